//! AdamW (Loshchilov & Hutter, arXiv 1711.05101) whose moments can be kept, so that a training that was stopped goes on.

use std::collections::BTreeMap;

use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};

use crate::{Error, Result};

const BETAS: [f64; 2] = [0.9, 0.99];
const EPS: f64 = 1e-8;

/// Both moments of every variable, and how many steps they have seen.
pub(super) struct AdamW {
    moments: BTreeMap<String, [Tensor; 2]>,
    pub(super) steps: usize,
}

impl AdamW {
    pub(super) fn new(vars: &BTreeMap<String, Var>) -> Result<Self> {
        let zeros = |(name, var): (&String, &Var)| Ok((name.clone(), [var.zeros_like()?, var.zeros_like()?]));
        Ok(Self { moments: vars.iter().map(zeros).collect::<Result<_>>()?, steps: 0 })
    }

    /// One step; `rate` gives a variable's learning rate by its name, and decay is in parts of that.
    pub(super) fn step(
        &mut self,
        vars: &BTreeMap<String, Var>,
        gradients: &GradStore,
        rate: &dyn Fn(&str) -> f64,
        decay: f64,
    ) -> Result<()> {
        self.steps += 1;
        let [first, second] = BETAS.map(|beta| 1.0 - beta.powi(self.steps as i32));
        for (name, var) in vars {
            let (Some(gradient), Some([m, v])) = (gradients.get(var), self.moments.get_mut(name)) else {
                return Err(Error::Backbone(format!("pretraining: `{name}` has no gradient")));
            };
            *m = ((&*m * BETAS[0])? + (gradient * (1.0 - BETAS[0]))?)?;
            *v = ((&*v * BETAS[1])? + (gradient.sqr()? * (1.0 - BETAS[1]))?)?;
            let direction = ((&*m / first)? / ((&*v / second)?.sqrt()? + EPS)?)?;
            let rate = rate(name);
            var.set(&((var.as_tensor() * (1.0 - rate * decay))? - (direction * rate)?)?)?;
        }
        Ok(())
    }

    /// The moments by name: `m.*` and `v.*`.
    pub(super) fn kept(&self) -> impl Iterator<Item = (String, Tensor)> + '_ {
        self.moments.iter().flat_map(|(name, [m, v])| [(format!("m.{name}"), m.clone()), (format!("v.{name}"), v.clone())])
    }

    /// Goes on from moments that were kept.
    pub(super) fn restore(&mut self, steps: usize, kept: &dyn Fn(&str) -> Result<Tensor>) -> Result<()> {
        for (name, [m, v]) in &mut self.moments {
            (*m, *v) = (kept(&format!("m.{name}"))?, kept(&format!("v.{name}"))?);
        }
        self.steps = steps;
        Ok(())
    }
}
