//! Pretraining a small LLaVA-shaped backbone from scratch, seeded, in two phases, each with warm-up and cosine decay; AdamW, and
//! Muon for the hidden matrices (`muon`).
//!
//! *Grounding* teaches tower, connector and embeddings to name what stands where (`grounding`); the decoder does not run.
//! *Dialogue* then trains everything on captions, questions and plain sentences: they are branches of one sequence, so a picture's
//! tokens are computed once per lesson (see [`super::batch`]); grounding stays as a second term of the loss.

mod dialogue;
mod grounding;
mod judge;
mod muon;
mod tokenizer;
mod weights;

use std::collections::BTreeMap;

use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Tensor, Var};
use candle_nn::{AdamW, Optimizer, ParamsAdamW, VarBuilder};
use dialogue::Dialogues;
use grounding::Names;
use muon::Muon;
use rayon::prelude::*;
use seed::Seed;
use tokenizers::Tokenizer;
use weights::SeededWeights;

use super::llava::{Llava, LlavaConfig};
use super::{Backbone, smol};
use crate::{Error, Result};

pub use judge::judge;
pub use tokenizer::train_tokenizer;

/// A picture and what is said about it.
#[derive(Debug, Clone)]
pub struct Lesson {
    /// 8-bit RGB, row by row, of the backbone's image size.
    pub rgb: Vec<u8>,
    /// What stands where.
    pub marks: Vec<Mark>,
    /// A sentence that describes it, said right behind it.
    pub caption: Option<String>,
    /// Now and then a sentence that has nothing to do with it: plain language.
    pub text: Option<String>,
    /// Questions with their answers and, for judging, the options.
    pub questions: Vec<Question>,
}

/// A thing in a picture.
#[derive(Debug, Clone)]
pub struct Mark {
    /// Its centre's column, in pixels.
    pub x: f32,
    /// Its centre's row, in pixels.
    pub y: f32,
    /// What it is, a word for each thing to know about it.
    pub words: Vec<&'static str>,
}

/// A question of a lesson.
#[derive(Debug, Clone)]
pub struct Question {
    /// The question.
    pub question: String,
    /// Its answer.
    pub answer: String,
    /// Options that contain the answer.
    pub choices: Vec<String>,
    /// What it asks about.
    pub topic: &'static str,
}

/// How long, how much at a time and how fast.
#[derive(Debug, Clone, Copy)]
pub struct Phase {
    /// Optimizer steps.
    pub steps: usize,
    /// Lessons in a step.
    pub batch_size: usize,
    /// Highest learning rate, reached after a twentieth of the steps.
    pub learning_rate: f64,
}

impl Phase {
    /// Linear warm-up over a twentieth of the steps, then a cosine to a hundredth.
    fn rate(&self, step: usize) -> f64 {
        let warm_up = (self.steps / 20).max(1);
        if step < warm_up {
            return self.learning_rate * (step + 1) as f64 / warm_up as f64;
        }
        let progress = (step - warm_up) as f64 / (self.steps - warm_up).max(1) as f64;
        self.learning_rate * (0.01 + 0.99 * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()))
    }
}

/// Both phases.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    /// The first.
    pub grounding: Phase,
    /// The second.
    pub dialogue: Phase,
    /// The weight of the grounding term in the second.
    pub grounding_weight: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Gradients with a larger norm are scaled down to it.
    pub clip_norm: f64,
}

/// What a step told.
#[derive(Debug, Clone, Copy)]
pub struct StepReport {
    /// `grounding` or `dialogue`.
    pub phase: &'static str,
    /// From 1, within the phase.
    pub step: usize,
    /// Steps of the phase.
    pub steps: usize,
    /// Mean negative log-likelihood, nats: of names and empty places, or of caption and answer tokens.
    pub loss: f64,
}

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
    let safetensors = encoded(&vars)?;
    let tokenizer =
        tokenizer.to_string(false).map_err(|error| Error::Backbone(format!("cannot encode the tokenizer: {error}")))?;
    Ok(Pretrained { safetensors, tokenizer: tokenizer.into_bytes() })
}

/// Trains the connector of [`smol`] from seeded weights, through its frozen tower and language model, whose matrices are held as
/// `dtype`; its `safetensors` in half precision.
pub fn align(
    llm: smol::Llm,
    dtype: DType,
    seed: Seed,
    schedule: Schedule,
    lesson: &(dyn Fn(usize) -> Lesson + Sync),
    report: &mut dyn FnMut(StepReport),
) -> Result<Vec<u8>> {
    let seeded = SeededWeights::new(seed, &smol::config()?);
    let vars = seeded.vars.clone();
    let model = smol::assemble(llm, Box::new(seeded), "", dtype, &Device::Cpu)?;
    let vars: BTreeMap<String, Var> = vars.lock().map_err(|_| Error::Backbone("a pretraining thread panicked".into()))?.clone();
    Trainer { model: &model, vars: &vars, schedule, part: 4, lesson }.both_phases(report)?;
    encoded(&vars)
}

/// Half-precision safetensors.
fn encoded(vars: &BTreeMap<String, Var>) -> Result<Vec<u8>> {
    let half: BTreeMap<&String, Tensor> =
        vars.iter().map(|(name, var)| Ok((name, var.as_tensor().to_dtype(DType::F16)?))).collect::<Result<_>>()?;
    safetensors::serialize(half, None).map_err(|error| Error::Backbone(format!("cannot encode weights: {error}")))
}

struct Trainer<'a> {
    model: &'a Llava,
    vars: &'a BTreeMap<String, Var>,
    schedule: Schedule,
    /// Lessons whose gradients one thread computes at a time; fixed, so that the sums do not depend on the thread count.
    part: usize,
    lesson: &'a (dyn Fn(usize) -> Lesson + Sync),
}

/// The loss that is reported, and the gradients of the one that is trained.
type Judged = (f64, GradStore);

impl Trainer<'_> {
    fn both_phases(&self, report: &mut dyn FnMut(StepReport)) -> Result<()> {
        let Schedule { grounding, dialogue, .. } = self.schedule;
        let seen = grounding.steps * grounding.batch_size;
        self.run("grounding", grounding, 0, &|lessons| self.grounding(lessons), report)?;
        self.run("dialogue", dialogue, seen, &|lessons| self.dialogue(lessons), report)
    }

    /// One phase over the lessons from `first` on.
    fn run(
        &self,
        name: &'static str,
        phase: Phase,
        first: usize,
        judge: &dyn Fn(&[Lesson]) -> Result<Judged>,
        report: &mut dyn FnMut(StepReport),
    ) -> Result<()> {
        let parameters = ParamsAdamW { beta2: 0.98, weight_decay: self.schedule.weight_decay, ..ParamsAdamW::default() };
        let others = self.vars.iter().filter(|(name, var)| !Muon::serves(name, var)).map(|(_, var)| var.clone());
        let (mut adamw, mut muon) =
            (AdamW::new(others.collect(), parameters)?, Muon::new(self.vars, self.schedule.weight_decay)?);
        for step in 0..phase.steps {
            let first = first + step * phase.batch_size;
            let lessons: Vec<Lesson> = (first..first + phase.batch_size).into_par_iter().map(self.lesson).collect();
            let (loss, mut gradients) = judge(&lessons)?;
            clip(self.vars, &mut gradients, self.schedule.clip_norm)?;
            let rate = phase.rate(step);
            muon.step(&gradients, rate)?;
            adamw.set_learning_rate(rate);
            adamw.step(&gradients)?;
            report(StepReport { phase: name, step: step + 1, steps: phase.steps, loss });
        }
        Ok(())
    }

    fn grounding(&self, lessons: &[Lesson]) -> Result<Judged> {
        let names = lessons.par_chunks(self.part).map(|part| Names::new(self.model, part)).collect::<Result<Vec<_>>>()?;
        let counts = total(&names);
        self.over_parts(lessons, |i, features| {
            let loss = names[i].loss(self.model, features, counts)?;
            Ok((f64::from(loss.to_scalar::<f32>()?), loss.backward()?))
        })
    }

    fn dialogue(&self, lessons: &[Lesson]) -> Result<Judged> {
        let parts = || lessons.par_chunks(self.part);
        let names = parts().map(|part| Names::new(self.model, part)).collect::<Result<Vec<_>>>()?;
        let dialogues = parts().map(|part| Dialogues::new(self.model, part)).collect::<Result<Vec<_>>>()?;
        let counts = total(&names);
        let tokens = dialogues.iter().map(Dialogues::tokens).sum::<usize>() as f64;
        self.over_parts(lessons, |i, features| {
            let spoken = (dialogues[i].loss(self.model, features)? / tokens)?;
            let named = (names[i].loss(self.model, features, counts)? * self.schedule.grounding_weight)?;
            Ok((f64::from(spoken.to_scalar::<f32>()?), (spoken + named)?.backward()?))
        })
    }

    /// Sums of what `judge` says of each part, from the part's index and image tokens; in the parts' order.
    fn over_parts(&self, lessons: &[Lesson], judge: impl Fn(usize, &Tensor) -> Result<Judged> + Sync) -> Result<Judged> {
        let parts: Vec<Judged> = lessons
            .par_chunks(self.part)
            .enumerate()
            .map(|(i, part)| judge(i, &self.model.encode(&pixels(self.model, part)?)?))
            .collect::<Result<_>>()?;
        let mut parts = parts.into_iter();
        let mut sum = parts.next().ok_or_else(|| Error::Usage("a pretraining step needs at least one lesson".into()))?;
        for (loss, gradients) in parts {
            sum.0 += loss;
            add(self.vars, &mut sum.1, gradients)?;
        }
        Ok(sum)
    }
}

fn total(names: &[Names]) -> [usize; 2] {
    names.iter().map(Names::counts).fold([0, 0], |sum, counts| [sum[0] + counts[0], sum[1] + counts[1]])
}

/// Adds gradients to a sum of gradients.
fn add(vars: &BTreeMap<String, Var>, sum: &mut GradStore, mut part: GradStore) -> Result<()> {
    for var in vars.values() {
        if let Some(gradient) = part.remove(var) {
            let both = match sum.remove(var) {
                Some(sum) => (sum + gradient)?,
                None => gradient,
            };
            sum.insert(var, both);
        }
    }
    Ok(())
}

fn pixels(model: &Llava, lessons: &[Lesson]) -> Result<Tensor> {
    let preprocess = model.preprocess();
    let (size, plane) = (preprocess.size, preprocess.size * preprocess.size);
    let mut values = vec![0f32; lessons.len() * 3 * plane];
    for (lesson, image) in lessons.iter().zip(values.chunks_exact_mut(3 * plane)) {
        for (i, &byte) in lesson.rgb.iter().enumerate() {
            let channel = i % 3;
            image[channel * plane + i / 3] = (f32::from(byte) / 255.0 - preprocess.mean[channel]) / preprocess.std[channel];
        }
    }
    Ok(Tensor::from_vec(values, (lessons.len(), 3, size, size), &Device::Cpu)?)
}

/// Scales gradients so that their joint norm is at most `limit`.
fn clip(vars: &BTreeMap<String, Var>, gradients: &mut GradStore, limit: f64) -> Result<()> {
    let mut square = 0.0;
    for var in vars.values() {
        if let Some(gradient) = gradients.get(var) {
            square += f64::from(gradient.sqr()?.sum_all()?.to_scalar::<f32>()?);
        }
    }
    let norm = square.sqrt();
    if norm > limit {
        for var in vars.values() {
            if let Some(gradient) = gradients.remove(var) {
                gradients.insert(var, (gradient * (limit / norm))?);
            }
        }
    }
    Ok(())
}
