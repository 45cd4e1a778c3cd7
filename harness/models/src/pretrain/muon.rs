//! Muon: momentum whose matrices are made orthogonal before they are applied (Jordan et al. 2024,
//! <https://kellerjordan.github.io/posts/muon>).
//!
//! Every direction of a weight matrix then moves at the same pace, and a small model needs fewer steps than with AdamW. Updates are
//! scaled to AdamW's usual size, `0.2 sqrt(max(rows, columns))` (Liu et al. 2025, arXiv 2502.16982), so that one learning rate and
//! one weight decay serve both: AdamW goes on with embeddings, gains and biases.

use std::collections::BTreeMap;

use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};
use rayon::prelude::*;

use crate::Result;

/// How much of the last momentum stays.
const MOMENTUM: f64 = 0.95;
/// Newton-Schulz steps, and the coefficients of their polynomial `aX + bXX'X + c(XX')^2 X`.
const ITERATIONS: usize = 5;
const COEFFICIENTS: [f64; 3] = [3.4445, -4.775, 2.0315];

/// The optimizer and its momenta.
pub(super) struct Muon {
    matrices: Vec<(Var, Tensor)>,
    weight_decay: f64,
}

impl Muon {
    /// Whether a parameter is a matrix that maps hidden states to hidden states.
    pub(super) fn serves(name: &str, var: &Var) -> bool {
        var.rank() == 2 && !name.contains("embed") && !name.contains("lm_head")
    }

    pub(super) fn new(vars: &BTreeMap<String, Var>, weight_decay: f64) -> Result<Self> {
        let served = vars.iter().filter(|(name, var)| Self::serves(name, var));
        let matrices = served.map(|(_, var)| Ok((var.clone(), var.zeros_like()?))).collect::<Result<_>>()?;
        Ok(Self { matrices, weight_decay })
    }

    /// One step; a matrix without a gradient stays.
    pub(super) fn step(&mut self, gradients: &GradStore, learning_rate: f64) -> Result<()> {
        let decay = 1.0 - learning_rate * self.weight_decay;
        self.matrices.par_iter_mut().try_for_each(|(var, momentum)| {
            let Some(gradient) = gradients.get(var) else { return Ok(()) };
            *momentum = ((&*momentum * MOMENTUM)? + gradient)?;
            let direction = orthogonal(&(gradient + (&*momentum * MOMENTUM)?)?)?;
            let (rows, columns) = var.dims2()?;
            let size = learning_rate * 0.2 * (rows.max(columns) as f64).sqrt();
            Ok(var.set(&((var.as_tensor() * decay)? - (direction * size)?)?)?)
        })
    }
}

/// The matrix with all its singular values brought near 1.
fn orthogonal(matrix: &Tensor) -> Result<Tensor> {
    let (rows, columns) = matrix.dims2()?;
    let wide = if rows > columns { matrix.t()?.contiguous()? } else { matrix.clone() };
    let norm = f64::from(wide.sqr()?.sum_all()?.to_scalar::<f32>()?).sqrt();
    let mut x = (wide / (norm + 1e-7))?;
    let [a, b, c] = COEFFICIENTS;
    for _ in 0..ITERATIONS {
        let gram = x.matmul(&x.t()?)?;
        let polynomial = ((&gram * b)? + (gram.matmul(&gram)? * c)?)?;
        x = ((&x * a)? + polynomial.matmul(&x)?)?;
    }
    Ok(if rows > columns { x.t()?.contiguous()? } else { x })
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn singular_values_come_near_one() {
        for (rows, columns) in [(6, 6), (4, 9), (9, 4)] {
            let mut s = seed::Seed::new(3).stream("muon");
            let values: Vec<f32> = (0..rows * columns).map(|_| s.range(-1.0, 1.0) as f32).collect();
            let x = orthogonal(&Tensor::from_vec(values, (rows, columns), &Device::Cpu).expect("matrix")).expect("orthogonal");
            assert_eq!(x.dims(), [rows, columns]);
            let gram = if rows > columns { x.t().and_then(|t| t.contiguous()?.matmul(&x)) } else { x.matmul(&x.t().expect("t")) };
            let gram = gram.expect("gram").to_vec2::<f32>().expect("values");
            for (i, row) in gram.iter().enumerate() {
                assert!((0.4..1.6).contains(&row[i]), "squared length {} of row {i}", row[i]);
                let across = row.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, value)| value.abs()).fold(0.0, f32::max);
                assert!(across < 0.6, "{across} between rows");
            }
        }
    }
}
