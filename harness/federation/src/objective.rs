//! What a method adds to the one epoch loop.

use candle_core::Tensor;
use models::adapter::{AdapterSpec, Adapters};

use crate::{Result, Step};

/// What a method adds to the plain loss, and what it wants to see of a step.
pub trait Objective {
    /// The adapters at work, from those in training: others may stand beside them.
    fn attach(&self, spec: &AdapterSpec, trained: &Adapters) -> Result<Adapters> {
        let _ = spec;
        Ok(trained.clone())
    }

    /// The loss to descend, from the batch's mean answer-token loss and the adapters in training.
    fn loss(&mut self, loss: Tensor, trained: &Adapters) -> Result<Tensor> {
        let _ = trained;
        Ok(loss)
    }

    /// The gradients to descend, from those of the loss; called only where [`Objective::wants_gradients`].
    fn gradients(&mut self, step: Step, gradients: Adapters) -> Result<Adapters> {
        let _ = step;
        Ok(gradients)
    }

    /// Whether [`Objective::gradients`] should be called at all.
    fn wants_gradients(&self) -> bool {
        false
    }
}

/// The plain loss.
pub struct Plain;

impl Objective for Plain {}
