//! Pairs of low-rank matrices at work.

use std::collections::BTreeMap;

use candle_core::{Result, Tensor};

use super::{Adapt, Form};

/// `scale * up(down(x))` per site; `down` `[r, d_in]`, `up` `[d_out, r]`; with biases `[r]` and `[d_out]`, `scale *
/// up(ReLU(down(x)))`.
///
/// With a leading dimension (`[b, r, d_in]`, `[b, d_out, r]`) every example of a batch has its own copy, and one backward pass
/// gives every example's own gradient: how [`super::fisher`] avoids batches of one.
#[derive(Debug, Clone, Default)]
pub struct LowRank {
    scale: f64,
    pairs: BTreeMap<String, Pair>,
}

#[derive(Debug, Clone)]
struct Pair {
    down: Tensor,
    up: Tensor,
    biases: Option<[Tensor; 2]>,
}

impl LowRank {
    /// No site yet.
    pub fn new(scale: f64) -> Self {
        Self { scale, pairs: BTreeMap::new() }
    }

    /// Adapts a site.
    pub fn add(&mut self, site: &str, down: Tensor, up: Tensor) {
        self.pairs.insert(site.into(), Pair { down, up, biases: None });
    }

    /// Adapts a site by a bottleneck: a ReLU between the matrices, a bias after each.
    pub fn add_bottleneck(&mut self, site: &str, down: Tensor, up: Tensor, biases: [Tensor; 2]) {
        self.pairs.insert(site.into(), Pair { down, up, biases: Some(biases) });
    }
}

impl Adapt for LowRank {
    fn delta(&self, site: &str, input: &Tensor) -> Result<Option<Tensor>> {
        let Some(Pair { down, up, biases }) = self.pairs.get(site) else { return Ok(None) };
        let delta = match biases {
            None => linear(&linear(input, down)?, up)?,
            Some([of_down, of_up]) => {
                let low = shifted(&linear(input, down)?, of_down)?.relu()?;
                shifted(&linear(&low, up)?, of_up)?
            }
        };
        (delta * self.scale).map(Some)
    }

    fn form(&self, site: &str) -> Form<'_> {
        match self.pairs.get(site) {
            None => Form::Nothing,
            Some(Pair { down, up, biases: None }) if down.rank() == 2 => Form::Pair { down, up, scale: self.scale },
            Some(_) => Form::Opaque,
        }
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

/// `x` `[b, t, d]` plus a bias `[d]`, or every example's own `[b, d]`.
fn shifted(x: &Tensor, bias: &Tensor) -> Result<Tensor> {
    if bias.rank() == 2 { x.broadcast_add(&bias.unsqueeze(1)?) } else { x.broadcast_add(bias) }
}
