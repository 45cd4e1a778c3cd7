//! A backbone trained whole.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor, Var};
use candle_nn::VarBuilder;
use seed::Seed;
use tokenizers::Tokenizer;

use super::lesson::Lesson;
use super::schedule::{Schedule, StepReport};
use super::train::Trainer;
use super::weights::SeededWeights;
use crate::llava::{Llava, LlavaConfig};
use crate::{Error, Result};

/// A pretrained backbone's files.
pub struct Pretrained {
    /// `model.safetensors`, half precision.
    pub safetensors: Vec<u8>,
    /// `tokenizer.json`.
    pub tokenizer: Vec<u8>,
}

/// Trains a backbone from seeded weights; `lesson(i)` is the i-th lesson of the training stream.
pub fn pretrain(
    config: &LlavaConfig,
    tokenizer: &Tokenizer,
    seed: Seed,
    schedule: Schedule,
    lesson: &(dyn Fn(usize) -> Lesson + Sync),
    report: &mut dyn FnMut(StepReport),
) -> Result<Pretrained> {
    let seeded = SeededWeights::new(seed, config);
    let vars = seeded.vars.clone();
    let weights = VarBuilder::from_backend(Box::new(seeded), DType::F32, Device::Cpu);
    let model = Llava::new("pretraining", config, &weights, tokenizer.clone(), String::new())?;
    let vars: BTreeMap<String, Var> = vars.lock().map_err(|_| Error::Backbone("a pretraining thread panicked".into()))?.clone();

    let trainer = Trainer { model: &model, vars: &vars, schedule, part: 8, lesson };
    trainer.both_phases(report)?;
    let safetensors = encoded(vars.iter().map(|(name, var)| (name.clone(), var.as_tensor().clone())).collect())?;
    let tokenizer =
        tokenizer.to_string(false).map_err(|error| Error::Backbone(format!("cannot encode the tokenizer: {error}")))?;
    Ok(Pretrained { safetensors, tokenizer: tokenizer.into_bytes() })
}

/// Half-precision safetensors.
pub(super) fn encoded(tensors: BTreeMap<String, Tensor>) -> Result<Vec<u8>> {
    let half: BTreeMap<String, Tensor> =
        tensors.into_iter().map(|(name, tensor)| Ok((name, tensor.to_dtype(DType::F16)?))).collect::<Result<_>>()?;
    safetensors::serialize(half, None).map_err(|error| Error::Backbone(format!("cannot encode weights: {error}")))
}
