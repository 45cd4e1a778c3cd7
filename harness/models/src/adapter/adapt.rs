//! What every adapter is to a model: something added at a site.

use candle_core::{Result, Tensor};

/// What adapters add to a hidden state.
pub trait Adapt: Send + Sync {
    /// What is added at `site` for `input` `[b, t, d_in]`: `[b, t, d_out]`, or nothing where the site is not adapted.
    fn delta(&self, site: &str, input: &Tensor) -> Result<Option<Tensor>>;

    /// What it is that [`Adapt::delta`] adds there. An adapter that does not tell is served all the same, more slowly.
    fn form(&self, site: &str) -> Form<'_> {
        let _ = site;
        Form::Opaque
    }

    /// A tensor of the trained head that lies beside them, by its name there; with one more, leading dimension, every example's own copy
    /// ([`super::fisher`]).
    fn head(&self, name: &str) -> Result<&Tensor> {
        candle_core::bail!("the backbone's trained head is missing (`{name}`): a private one stays with its client")
    }
}

/// What an adapter adds at a site, for a decoder that does it in one go with the rest.
#[derive(Debug, Clone, Copy)]
pub enum Form<'a> {
    /// Nothing.
    Nothing,
    /// `scale * (x down^T) up^T`, the same for all examples; with biases, `scale * (ReLU(x down^T + b) up^T + c)`.
    Pair {
        /// `[r, in]`.
        down: &'a Tensor,
        /// `[out, r]`.
        up: &'a Tensor,
        /// `[r]` and `[out]`.
        biases: Option<(&'a Tensor, &'a Tensor)>,
        /// alpha / r.
        scale: f64,
    },
    /// Only `delta` knows.
    Opaque,
}

/// The untouched backbone.
#[derive(Debug, Clone, Copy)]
pub struct Untouched;

impl Adapt for Untouched {
    fn delta(&self, _site: &str, _input: &Tensor) -> Result<Option<Tensor>> {
        Ok(None)
    }

    fn form(&self, _site: &str) -> Form<'_> {
        Form::Nothing
    }
}
