//! Pretraining a small LLaVA-shaped backbone from scratch: byte-level BPE, seeded weights, AdamW with warm-up and cosine decay.
//!
//! A lesson is a picture, a caption and several questions about it. All of them are branches of one sequence, so the picture's
//! tokens are computed once per lesson (see [`super::batch`]); the caption and the answers are what is predicted.

use std::collections::BTreeMap;
use std::sync::Mutex;

use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Shape, Tensor, Var};
use candle_nn::{AdamW, Init, Optimizer, ParamsAdamW, VarBuilder, var_builder::SimpleBackend};
use rayon::prelude::*;
use seed::Seed;
use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, Tokenizer, TokenizerBuilder, models::TrainerWrapper};

use super::llava::{Llava, LlavaConfig};
use super::{Backbone, Batch, Branch, Sequence, nn};
use crate::adapter::Untouched;
use crate::{Error, Result};

/// A picture and what is said about it.
#[derive(Debug, Clone)]
pub struct Lesson {
    /// 8-bit RGB, row by row, of the backbone's image size.
    pub rgb: Vec<u8>,
    /// A sentence that describes it.
    pub caption: String,
    /// Questions with their answers and, for judging, the options.
    pub questions: Vec<Question>,
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

/// How long and how fast.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    /// Optimizer steps.
    pub steps: usize,
    /// Lessons in a step.
    pub batch_size: usize,
    /// Highest learning rate, reached after a twentieth of the steps.
    pub learning_rate: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Gradients with a larger norm are scaled down to it.
    pub clip_norm: f64,
}

impl Schedule {
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

/// What a step told.
#[derive(Debug, Clone, Copy)]
pub struct StepReport {
    /// From 1.
    pub step: usize,
    /// Steps in all.
    pub steps: usize,
    /// Mean negative log-likelihood of caption and answer tokens, nats.
    pub loss: f64,
}

/// A pretrained backbone's files.
pub struct Pretrained {
    /// `model.safetensors`, half precision.
    pub safetensors: Vec<u8>,
    /// `tokenizer.json`.
    pub tokenizer: Vec<u8>,
}

/// Trains a byte-level BPE of `config`'s vocabulary; the chat format's special tokens come first.
pub fn train_tokenizer(config: &LlavaConfig, corpus: impl Iterator<Item = String> + Send) -> Result<Tokenizer> {
    let failed = |error: tokenizers::Error| Error::Backbone(format!("training the tokenizer: {error}"));
    let chat = &config.chat;
    let specials: Vec<AddedToken> = std::iter::once("<pad>")
        .chain(chat.begin.as_deref())
        .chain([chat.end.as_str(), chat.image.as_str()])
        .map(|token| AddedToken::from(token, true))
        .collect();
    let trainer = BpeTrainerBuilder::new()
        .show_progress(false)
        .vocab_size(config.text_config.vocab_size)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .special_tokens(specials)
        .build();
    let mut tokenizer: Tokenizer = TokenizerBuilder::default()
        .with_model(BPE::default())
        .with_normalizer(None::<tokenizers::NormalizerWrapper>)
        .with_pre_tokenizer(Some(ByteLevel::new(false, true, true)))
        .with_post_processor(None::<tokenizers::PostProcessorWrapper>)
        .with_decoder(Some(ByteLevel::default()))
        .build()
        .map(
            |built: tokenizers::TokenizerImpl<
                BPE,
                tokenizers::NormalizerWrapper,
                ByteLevel,
                tokenizers::PostProcessorWrapper,
                ByteLevel,
            >| built.into(),
        )
        .map_err(failed)?;
    tokenizer.train(&mut TrainerWrapper::from(trainer), corpus).map_err(failed)?;
    Ok(tokenizer)
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

    let mut optimizer = AdamW::new(
        vars.values().cloned().collect(),
        ParamsAdamW { lr: schedule.learning_rate, beta2: 0.98, weight_decay: schedule.weight_decay, ..ParamsAdamW::default() },
    )?;
    for step in 0..schedule.steps {
        let first = step * schedule.batch_size;
        let lessons: Vec<Lesson> = (first..first + schedule.batch_size).into_par_iter().map(lesson).collect();
        let (loss, mut gradients) = gradients(&model, &vars, &lessons)?;
        clip(&vars, &mut gradients, schedule.clip_norm)?;
        optimizer.set_learning_rate(schedule.rate(step));
        optimizer.step(&gradients)?;
        report(StepReport { step: step + 1, steps: schedule.steps, loss });
    }
    let half: BTreeMap<&String, Tensor> =
        vars.iter().map(|(name, var)| Ok((name, var.as_tensor().to_dtype(DType::F16)?))).collect::<Result<_>>()?;
    let safetensors =
        safetensors::serialize(half, None).map_err(|error| Error::Backbone(format!("cannot encode weights: {error}")))?;
    let tokenizer =
        tokenizer.to_string(false).map_err(|error| Error::Backbone(format!("cannot encode the tokenizer: {error}")))?;
    Ok(Pretrained { safetensors, tokenizer: tokenizer.into_bytes() })
}

/// Lessons whose gradients one thread computes at a time; fixed, so that the sums do not depend on the thread count.
const PART: usize = 8;

/// Mean negative log-likelihood of the lessons' caption and answer tokens, and its gradients.
fn gradients(model: &Llava, vars: &BTreeMap<String, Var>, lessons: &[Lesson]) -> Result<(f64, GradStore)> {
    let parts: Vec<(f64, usize, GradStore)> =
        lessons.par_chunks(PART).map(|part| part_gradients(model, part)).collect::<Result<_>>()?;
    let tokens = parts.iter().map(|(_, tokens, _)| tokens).sum::<usize>() as f64;
    let loss = parts.iter().map(|(loss, _, _)| loss).sum::<f64>() / tokens;
    let mut parts = parts.into_iter().map(|(_, _, gradients)| gradients);
    let mut total = parts.next().ok_or_else(|| Error::Usage("a pretraining step needs at least one lesson".into()))?;
    for mut part in parts {
        for var in vars.values() {
            if let Some(gradient) = part.remove(var) {
                let sum = match total.remove(var) {
                    Some(sum) => (sum + gradient)?,
                    None => gradient,
                };
                total.insert(var, sum);
            }
        }
    }
    for var in vars.values() {
        if let Some(sum) = total.remove(var) {
            total.insert(var, (sum / tokens)?);
        }
    }
    Ok((loss, total))
}

/// Summed negative log-likelihood of a part's tokens, their number, and the sum's gradients.
fn part_gradients(model: &Llava, lessons: &[Lesson]) -> Result<(f64, usize, GradStore)> {
    let sequences = lessons.iter().enumerate().map(|(i, lesson)| sequence(model, i, lesson)).collect::<Result<Vec<_>>>()?;
    let batch = Batch::new(&sequences.iter().collect::<Vec<_>>(), model.text().image_token(), DType::F32, &Device::Cpu)?;
    let features = model.encode(&pixels(model, lessons)?)?;
    let logits = model.decode(&model.embed(&batch, &features)?, &Untouched)?;
    let loss = nn::log_likelihood(&logits, &batch.targets)?.sum_all()?.neg()?;
    Ok((f64::from(loss.to_scalar::<f32>()?), batch.owners.len(), loss.backward()?))
}

/// A picture, then its caption and each of its questions as branches.
fn sequence(model: &Llava, image: usize, lesson: &Lesson) -> Result<Sequence> {
    let text = model.text();
    let mut branches = vec![Branch { tokens: text.answer(&lesson.caption)?, read_from: 0 }];
    for question in &lesson.questions {
        branches.push(text.dialogue(&question.question, &question.answer)?);
    }
    Ok(Sequence { prefix: text.picture(), images: vec![image], branches })
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

/// Share of questions whose right option is the likeliest, by topic: (right, asked).
pub fn judge(model: &Llava, lessons: &[Lesson]) -> Result<BTreeMap<&'static str, (usize, usize)>> {
    let mut scores: BTreeMap<&'static str, (usize, usize)> = BTreeMap::new();
    for lesson in lessons {
        let features = model.encode(&pixels(model, std::slice::from_ref(lesson))?)?;
        for question in lesson.questions.iter().filter(|question| question.choices.len() > 1) {
            let (prefix, _) = model.text().prefix(&question.question, 1, usize::MAX)?;
            let branches = question
                .choices
                .iter()
                .map(|choice| Ok(Branch::answer(model.text().answer(choice)?)))
                .collect::<Result<Vec<_>>>()?;
            let sequence = Sequence { prefix, images: vec![0], branches };
            let batch = Batch::new(&[&sequence], model.text().image_token(), DType::F32, &Device::Cpu)?;
            let logits = model.decode(&model.embed(&batch, &features)?, &Untouched)?;
            let rows = nn::log_likelihood(&logits, &batch.targets)?.to_vec1::<f32>()?;
            let mut sums = vec![0f32; question.choices.len()];
            for (owner, row) in batch.owners.iter().zip(rows) {
                sums[owner.branch] += row;
            }
            let best = (0..sums.len()).fold(0, |best, i| if sums[i] > sums[best] { i } else { best });
            let entry = scores.entry(question.topic).or_default();
            entry.0 += usize::from(question.choices[best] == question.answer);
            entry.1 += 1;
        }
    }
    Ok(scores)
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

/// Weights that come into being, seeded by name, as the model asks for them.
struct SeededWeights {
    seed: Seed,
    blocks: usize,
    vars: std::sync::Arc<Mutex<BTreeMap<String, Var>>>,
}

impl SeededWeights {
    fn new(seed: Seed, config: &LlavaConfig) -> Self {
        let blocks = config.text_config.num_hidden_layers.max(config.vision_config.num_hidden_layers);
        Self { seed, blocks, vars: std::sync::Arc::default() }
    }

    /// Norms start at one, biases at zero, embeddings at N(0, 0.02), matrices at N(0, 1/fan-in), and those that write to the
    /// residual stream are scaled down by the number of writes (GPT-2's rule).
    fn draw(&self, name: &str, shape: &Shape) -> candle_core::Result<Tensor> {
        if name.ends_with("bias") {
            return Tensor::zeros(shape, DType::F32, &Device::Cpu);
        }
        if name.contains("norm") {
            return Tensor::ones(shape, DType::F32, &Device::Cpu);
        }
        let fan_in: usize = shape.dims().iter().skip(1).product();
        let writes = ["o_proj", "down_proj", "out_proj", "fc2"].iter().any(|site| name.contains(site));
        let std = match name {
            _ if name.contains("embed_tokens") || name.contains("position") || name.contains("class") => 0.02,
            _ if writes => (2.0 * self.blocks as f64 * fan_in as f64).powf(-0.5),
            _ => (fan_in as f64).powf(-0.5),
        };
        let mut stream = self.seed.stream(name);
        let values: Vec<f32> = (0..shape.elem_count()).map(|_| (stream.normal() * std) as f32).collect();
        Tensor::from_vec(values, shape, &Device::Cpu)
    }
}

impl SimpleBackend for SeededWeights {
    fn get(&self, shape: Shape, name: &str, _: Init, _: DType, _: &Device) -> candle_core::Result<Tensor> {
        let var = Var::from_tensor(&self.draw(name, &shape)?)?;
        let tensor = var.as_tensor().clone();
        if let Ok(mut vars) = self.vars.lock() {
            vars.insert(name.into(), var);
        }
        Ok(tensor)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> candle_core::Result<Tensor> {
        candle_core::bail!("weight `{name}` is asked for without a shape")
    }

    fn contains_tensor(&self, _: &str) -> bool {
        true
    }
}
