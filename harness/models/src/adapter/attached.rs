//! Adapters at work.

use std::collections::BTreeMap;

use candle_core::{D, Result, Tensor};

use super::{Adapt, Form, Untouched};
use crate::nn;

/// What is added at each site, times one scale.
///
/// With one more, leading dimension (`[b, r, d_in]`, `[b, d]`) every example of a batch has its own copy of a tensor, and one backward
/// pass gives every example's own gradient: how [`super::fisher`] avoids batches of one.
#[derive(Debug, Clone, Default)]
pub struct Attached {
    scale: f64,
    sites: BTreeMap<String, Part>,
    head: BTreeMap<String, Tensor>,
}

#[derive(Debug, Clone)]
enum Part {
    /// `up(down(x))`, `down` `[r, d_in]`, `up` `[d_out, r]`; with biases `[r]` and `[d_out]`, `up(ReLU(down(x)))`.
    Pair { down: Tensor, up: Tensor, biases: Option<(Tensor, Tensor)> },
    /// `g_0 up_0(down_0(x)) + g_1 up_1(down_1(x))`, `g = softmax(router x)` for each token, `router` `[2, d_in]`.
    Routed { pairs: [(Tensor, Tensor); 2], router: Tensor },
    /// `b` `[d_out]`.
    Shift(Tensor),
    /// `v * x`, `v` `[d]`.
    Scale(Tensor),
    /// `x tokens`, `tokens` `[p, d]`, where `x` `[b, t, p]` says which of them is where.
    Tokens(Tensor),
}

impl Attached {
    /// No site yet.
    pub fn new(scale: f64) -> Self {
        Self { scale, ..Self::default() }
    }

    /// Adapts a site by a pair of matrices; with biases, a bottleneck: a ReLU between them, a bias after each.
    pub fn add_pair(&mut self, site: &str, down: Tensor, up: Tensor, biases: Option<(Tensor, Tensor)>) {
        self.sites.insert(site.into(), Part::Pair { down, up, biases });
    }

    /// Adapts a site by two pairs of matrices, down and up, that a router weighs for each token.
    pub fn add_routed(&mut self, site: &str, pairs: [(Tensor, Tensor); 2], router: Tensor) {
        self.sites.insert(site.into(), Part::Routed { pairs, router });
    }

    /// Adapts a site by a bias.
    pub fn add_shift(&mut self, site: &str, bias: Tensor) {
        self.sites.insert(site.into(), Part::Shift(bias));
    }

    /// Adapts a site by a weight for each channel.
    pub fn add_scale(&mut self, site: &str, weight: Tensor) {
        self.sites.insert(site.into(), Part::Scale(weight));
    }

    /// Adapts the front of sequences by embeddings.
    pub fn add_tokens(&mut self, site: &str, tokens: Tensor) {
        self.sites.insert(site.into(), Part::Tokens(tokens));
    }

    /// Lays a tensor of a trained head beside.
    pub fn add_head(&mut self, name: &str, tensor: Tensor) {
        self.head.insert(name.into(), tensor);
    }
}

impl Adapt for Attached {
    fn delta(&self, site: &str, input: &Tensor) -> Result<Option<Tensor>> {
        let Some(part) = self.sites.get(site) else { return Ok(None) };
        let delta = match part {
            Part::Pair { down, up, biases: None } => linear(&linear(input, down)?, up)?,
            Part::Pair { down, up, biases: Some((of_down, of_up)) } => {
                let low = spread(&linear(input, down)?, of_down, Tensor::broadcast_add)?.relu()?;
                spread(&linear(&low, up)?, of_up, Tensor::broadcast_add)?
            }
            Part::Routed { pairs, router } => {
                let gates = nn::softmax(&linear(input, router)?)?;
                let gated = |which: usize| {
                    let (down, up) = &pairs[which];
                    linear(&linear(input, down)?, up)?.broadcast_mul(&gates.narrow(D::Minus1, which, 1)?)
                };
                (gated(0)? + gated(1)?)?
            }
            Part::Shift(bias) => {
                let (b, t, _) = input.dims3()?;
                let width = bias.dims().last().copied().unwrap_or_default();
                spread(&Tensor::zeros((b, t, width), input.dtype(), input.device())?, bias, Tensor::broadcast_add)?
            }
            Part::Scale(weight) => spread(input, weight, Tensor::broadcast_mul)?,
            Part::Tokens(tokens) if tokens.rank() == 3 => input.matmul(&tokens.contiguous()?)?,
            Part::Tokens(tokens) => linear(input, &tokens.t()?)?,
        };
        (delta * self.scale).map(Some)
    }

    fn form(&self, site: &str) -> Form<'_> {
        match self.sites.get(site) {
            None => Form::Nothing,
            Some(Part::Pair { down, up, biases }) if down.rank() == 2 => {
                Form::Pair { down, up, biases: biases.as_ref().map(|(b, c)| (b, c)), scale: self.scale }
            }
            Some(_) => Form::Opaque,
        }
    }

    fn head(&self, name: &str) -> Result<&Tensor> {
        self.head.get(name).map_or_else(|| Untouched.head(name), Ok)
    }
}

/// `x` `[b, t, d_in]` times a matrix `[d_out, d_in]`, or every example's own `[b, d_out, d_in]`.
fn linear(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    if weight.rank() == 3 {
        return x.contiguous()?.matmul(&weight.transpose(1, 2)?.contiguous()?);
    }
    let (b, t, d_in) = x.dims3()?;
    x.reshape((b * t, d_in))?.matmul(&weight.t()?)?.reshape((b, t, ()))
}

/// `x` `[b, t, d]` and a vector `[d]`, or every example's own `[b, d]`, at every token.
fn spread(x: &Tensor, vector: &Tensor, with: fn(&Tensor, &Tensor) -> Result<Tensor>) -> Result<Tensor> {
    if vector.rank() == 2 { with(x, &vector.unsqueeze(1)?) } else { with(x, vector) }
}
