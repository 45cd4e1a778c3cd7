use std::sync::{Arc, Mutex};

use candle_core::{DType, Device, Result, Tensor};
use data::Preprocess;
use models::adapter::Adapt;
use models::crossing::{Crossing, Meter, Said, Words};
use models::{Backbone, Batch, Embeddings, Spec, TextCodec};
use schema::experiment::{Activations, LossAt};

use crate::far::{Far, Place};
use crate::message::Forward;
use crate::step::Step;

/// A backbone whose decoder is in another process: a client's half here, what [`crate::serve`] holds there.
pub struct Remote {
    half: Arc<dyn Backbone>,
    far: Arc<Far>,
}

impl Remote {
    /// The clients' half of a model with the decoder that listens there, if that is of the same model.
    pub fn new(half: Arc<dyn Backbone>, place: Place) -> crate::Result<Self> {
        let far = Arc::new(Far::of(&*half, place)?);
        Ok(Self { half, far })
    }

    /// A pass; `targets` where the loss is computed there.
    fn pass(
        &self,
        embeddings: &Embeddings,
        targets: Option<&Tensor>,
        adapt: &dyn Adapt,
        activations: Activations,
    ) -> Result<Said> {
        let hidden = self.half.halves()?.enter(embeddings, adapt)?;
        let activations = match (activations, hidden.dtype()) {
            // As they are.
            (Activations::F32, DType::BF16) => Activations::Bf16,
            (activations, _) => activations,
        };
        let keep = hidden.track_op();
        let loss_at = if targets.is_some() { LossAt::Server } else { LossAt::Client };
        let meter = Arc::new(Meter::default());
        let step = Step {
            far: self.far.clone(),
            layout: embeddings.layout.clone(),
            ask: Forward { activations, loss_at, keep },
            labels: targets.map(|targets| targets.to_vec1()).transpose()?,
            vocabulary: self.spec().vocabulary,
            meter: meter.clone(),
            open: Mutex::default(),
        };
        let said = hidden.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.contiguous()?.apply_op1(step)?;
        let said = said.to_device(self.device())?;
        let words = if targets.is_some() { Words::LogLikelihoods(said) } else { Words::Logits(said) };
        Ok(Said { words, meter: Some(meter) })
    }
}

impl Backbone for Remote {
    fn spec(&self) -> &Spec {
        self.half.spec()
    }

    fn text(&self) -> &TextCodec {
        self.half.text()
    }

    fn preprocess(&self) -> &Preprocess {
        self.half.preprocess()
    }

    fn weights_sha256(&self) -> &str {
        self.half.weights_sha256()
    }

    fn weights_dtype(&self) -> DType {
        self.half.weights_dtype()
    }

    fn dtype(&self) -> DType {
        self.half.dtype()
    }

    fn device(&self) -> &Device {
        self.half.device()
    }

    fn see(&self, pixels: &Tensor) -> Result<Tensor> {
        self.half.see(pixels)
    }

    fn encode(&self, pixels: &Tensor) -> Result<Tensor> {
        self.half.encode(pixels)
    }

    fn embed(&self, batch: &Batch, features: &Tensor) -> Result<Embeddings> {
        self.half.embed(batch, features)
    }

    fn embed_unconnected(&self, batch: &Batch, seen: &Tensor) -> Result<Embeddings> {
        self.half.embed_unconnected(batch, seen)
    }

    fn decode(&self, embeddings: &Embeddings, adapt: &dyn Adapt) -> Result<Tensor> {
        match self.pass(embeddings, None, adapt, Activations::F32)?.words {
            Words::Logits(numbers) | Words::LogLikelihoods(numbers) => Ok(numbers),
        }
    }

    fn log_likelihoods(&self, embeddings: &Embeddings, targets: &Tensor, adapt: &dyn Adapt) -> Result<Tensor> {
        match self.pass(embeddings, Some(targets), adapt, Activations::F32)?.words {
            Words::Logits(numbers) | Words::LogLikelihoods(numbers) => Ok(numbers.detach()),
        }
    }

    fn said(&self, embeddings: &Embeddings, targets: &Tensor, adapt: &dyn Adapt, crossing: Crossing) -> Result<Said> {
        let targets = (crossing.loss_at == LossAt::Server).then_some(targets);
        self.pass(embeddings, targets, adapt, crossing.activations)
    }
}
