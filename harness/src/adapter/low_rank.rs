//! Pairs of low-rank matrices at work.

use std::collections::BTreeMap;

use candle_core::{Result, Tensor};

use super::{Adapt, Form};

/// `scale * up(down(x))` per site; `down` `[r, d_in]`, `up` `[d_out, r]`.
///
/// With a leading dimension (`[b, r, d_in]`, `[b, d_out, r]`) every example of a batch has its own copy, and one backward pass
/// gives every example's own gradient: how [`super::fisher`] avoids batches of one.
#[derive(Debug, Clone, Default)]
pub struct LowRank {
    scale: f64,
    pairs: BTreeMap<String, (Tensor, Tensor)>,
}

impl LowRank {
    /// No site yet.
    pub fn new(scale: f64) -> Self {
        Self { scale, pairs: BTreeMap::new() }
    }

    /// Adapts a site.
    pub fn add(&mut self, site: &str, down: Tensor, up: Tensor) {
        self.pairs.insert(site.into(), (down, up));
    }
}

impl Adapt for LowRank {
    fn delta(&self, site: &str, input: &Tensor) -> Result<Option<Tensor>> {
        let Some((down, up)) = self.pairs.get(site) else { return Ok(None) };
        let (b, t, d_in) = input.dims3()?;
        let delta = if down.rank() == 3 {
            input.contiguous()?.matmul(&down.transpose(1, 2)?.contiguous()?)?.matmul(&up.transpose(1, 2)?.contiguous()?)?
        } else {
            let low = input.reshape((b * t, d_in))?.matmul(&down.t()?)?;
            low.matmul(&up.t()?)?.reshape((b, t, ()))?
        };
        (delta * self.scale).map(Some)
    }

    fn form(&self, site: &str) -> Form<'_> {
        match self.pairs.get(site) {
            None => Form::Nothing,
            Some((down, up)) if down.rank() == 2 => Form::Pair { down, up, scale: self.scale },
            Some(_) => Form::Opaque,
        }
    }
}
