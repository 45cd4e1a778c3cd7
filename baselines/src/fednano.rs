//! FedNano (arXiv 2506.14824): NanoAdapters merged by Fisher information.
//!
//! `theta = sum_k p_k F_k theta_k / sum_k p_k F_k`, elementwise, p_k the data share, F_k the diagonal of the empirical Fisher at
//! the client's final parameters: squared per-example gradients of the answer's negative log-likelihood, averaged over the shard.
//! Where the denominator is below `floor`, the plain average. The paper does not say whether Fishers are normalised first; as they
//! are, one client's may be so much larger that it decides alone. `normalize` divides each client's by its own length, as Matena &
//! Raffel's code does, or by its mean. Every round records what share of the weight each client had. FedNano-EF accumulates F
//! from the squared gradients of the last local epoch's own steps instead; those are squared per batch, a different and smaller quantity.

use std::collections::BTreeMap;

use candle_core::{DType, Tensor};
use federation::aggregate::{FisherMean, Sum};
use federation::registry::{keys_of, options};
use federation::shares::Shares;
use federation::{ADAPTERS, Client, Diagnostic, Method, Objective, Plain, Round, Sets, Step, Update};
use federation::{Error, Result};
use models::adapter::Adapters;
use schema::limits::EXAMPLES;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::keys;

/// Whose gradients are squared into a Fisher. Not a choice yet, but stated in every run's config, because they are different
/// quantities: a batch's mean gradient squared is smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Squares {
    /// Every example's own.
    PerExample,
    /// A batch's mean.
    PerBatch,
}

/// Fisher merging.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FedNano {
    /// Denominators below this fall back to the plain average.
    pub floor: f64,
    /// At most so many examples of the shard in the Fisher pass, where there is one; all without it.
    pub examples: Option<usize>,
    /// `per-example`, in a pass after local training; or `per-batch`, without one.
    pub squares: Squares,
    /// What each client's Fisher is divided by at the server, over all its tensors; `floor` is for what comes of it.
    #[serde(skip_serializing_if = "Normalize::is_none")]
    pub normalize: Normalize,
    #[serde(skip)]
    merged: FisherMean,
    #[serde(skip)]
    shares: Shares,
    /// The last round's.
    #[serde(skip)]
    counted: Vec<Diagnostic>,
}

/// What a client's Fisher is divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Normalize {
    /// Nothing.
    #[default]
    None,
    /// Its Euclidean length.
    L2,
    /// The mean of its absolute values.
    Mean,
}

impl Normalize {
    fn is_none(&self) -> bool {
        *self == Self::None
    }

    /// A Fisher divided; one of zeros stays as it is, and says nothing.
    fn divided(self, fisher: &Adapters) -> Result<Adapters> {
        let sum = |of: fn(&Tensor) -> candle_core::Result<Tensor>| {
            let one = |(_, tensor): (&String, &Tensor)| of(&tensor.to_dtype(DType::F64)?)?.sum_all()?.to_scalar::<f64>();
            fisher.iter().map(one).sum::<candle_core::Result<f64>>()
        };
        let by = match self {
            Self::None => return Ok(fisher.clone()),
            Self::L2 => sum(Tensor::sqr)?.sqrt(),
            Self::Mean => sum(Tensor::abs)? / fisher.num_parameters().max(1) as f64,
        };
        if by == 0.0 {
            return Ok(fisher.clone());
        }
        Ok(fisher.map(|tensor| (tensor.to_dtype(DType::F64)? / by)?.to_dtype(tensor.dtype()))?)
    }
}

impl Default for FedNano {
    fn default() -> Self {
        Self {
            floor: FLOOR,
            examples: None,
            squares: Squares::PerExample,
            normalize: Normalize::None,
            merged: FisherMean::default(),
            shares: Shares::default(),
            counted: Vec::new(),
        }
    }
}

const FLOOR: f64 = 1e-12;
/// The tensor set that is sent beside the adapters.
const FISHER: &str = "fisher";

impl FedNano {
    /// Reads the keys of FedNano.
    pub fn with_a_pass(given: &BTreeMap<String, Value>) -> Result<Box<dyn Method>> {
        let method: Self = options("fednano", given)?;
        method.examples.map_or(Ok(()), |examples| keys::count("fednano", "examples", examples, EXAMPLES))?;
        method.checked("fednano", Squares::PerExample)
    }

    /// Reads the keys of FedNano-EF.
    pub fn without(given: &BTreeMap<String, Value>) -> Result<Box<dyn Method>> {
        let mut method: Self = options("fednano-ef", given)?;
        if given.contains_key("examples") {
            return Err(Error::Usage("[method] name = \"fednano-ef\": examples: there is no Fisher pass; leave it out".into()));
        }
        if !given.contains_key("squares") {
            method.squares = Squares::PerBatch;
        }
        method.checked("fednano-ef", Squares::PerBatch)
    }

    fn checked(self, name: &str, supported: Squares) -> Result<Box<dyn Method>> {
        keys::positive(name, "floor", self.floor)?;
        if self.squares != supported {
            return Err(Error::Usage(format!(
                "[method] name = \"{name}\": squares = {:?}: this method squares {supported:?}; leave the key out",
                self.squares
            )));
        }
        Ok(Box::new(self))
    }
}

/// Mean of squared gradients over the last local epoch's steps.
#[derive(Default)]
struct LastEpoch {
    sum: Sum,
    steps: usize,
}

impl LastEpoch {
    fn mean(self, client: usize) -> Result<Adapters> {
        let no_step = || Error::Usage(format!("client {client} took no step, so there is no gradient to square"));
        Ok(self.sum.total().ok_or_else(no_step)?.scale(1.0 / self.steps.max(1) as f64)?)
    }
}

impl Objective for LastEpoch {
    fn gradients(&mut self, step: Step, gradients: Adapters) -> Result<Adapters> {
        if step.in_last_epoch {
            self.sum.add(gradients.map(|gradient| gradient.sqr())?)?;
            self.steps += 1;
        }
        Ok(gradients)
    }

    fn wants_gradients(&self) -> bool {
        true
    }
}

impl Method for FedNano {
    fn train(&self, client: &mut Client, received: &Sets) -> Result<Update> {
        let start = received.get(ADAPTERS)?;
        let (fit, fisher) = match self.squares {
            Squares::PerExample => {
                let fit = client.fit(start, &mut Plain)?;
                let fisher = client.fisher(&fit.adapters, self.examples)?;
                (fit, fisher)
            }
            Squares::PerBatch => {
                let mut last_epoch = LastEpoch::default();
                (client.fit(start, &mut last_epoch)?, last_epoch.mean(client.id())?)
            }
        };
        Ok(client.update(fit.work).with(ADAPTERS, fit.adapters).with(FISHER, fisher))
    }

    fn sends(&self, _round: Round) -> &'static [&'static str] {
        &[ADAPTERS, FISHER]
    }

    fn receive(&mut self, update: Update, _global: &Adapters, _round: Round) -> Result<()> {
        let fisher = self.normalize.divided(update.set(FISHER)?)?;
        self.shares.add(update.client, &fisher, update.num_examples as f64)?;
        self.merged.add(update.set(ADAPTERS)?, &fisher, update.num_examples as f64)
    }

    fn aggregate(&mut self, _global: &Adapters, _round: Round) -> Result<Adapters> {
        self.counted = self.shares.take(self.floor);
        self.merged.take(self.floor)
    }

    fn diagnostics(&mut self) -> Vec<Diagnostic> {
        std::mem::take(&mut self.counted)
    }

    fn config(&self) -> BTreeMap<String, Value> {
        keys_of(self)
    }
}
