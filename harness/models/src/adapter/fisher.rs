//! The diagonal of the empirical Fisher information.
//!
//! `F = 1/n sum_i (d NLL_i / d theta)^2`, elementwise, where `NLL_i` is the summed negative log-likelihood of example i's answer
//! tokens at the ground truth. Squaring a batch's mean gradient would be a different quantity, so every example of a batch gets
//! its own copy of the adapters: the gradient of the batch's summed loss with respect to copy i is example i's gradient alone.

use std::collections::BTreeMap;

use candle_core::{Result, Tensor, Var};

use super::Adapters;

/// `n` copies of every tensor along a new first dimension, as variables.
pub fn copies(adapters: &Adapters, n: usize) -> Result<BTreeMap<String, Var>> {
    let copy = |(name, tensor): (&String, &Tensor)| {
        let mut shape = vec![n];
        shape.extend(tensor.dims());
        Ok((name.clone(), Var::from_tensor(&tensor.unsqueeze(0)?.broadcast_as(shape)?.contiguous()?)?))
    };
    adapters.iter().map(copy).collect()
}

/// The sum over examples of squared gradients, given the gradient store of the summed loss.
pub fn sum_of_squares(copies: &BTreeMap<String, Var>, gradients: &candle_core::backprop::GradStore) -> Result<Adapters> {
    let squares = |(name, var): (&String, &Var)| match gradients.get(var) {
        Some(gradient) => Ok((name.clone(), gradient.sqr()?.sum(0)?)),
        None => candle_core::bail!("adapter tensor `{name}` got no gradient"),
    };
    copies.iter().map(squares).collect()
}
