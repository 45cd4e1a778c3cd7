//! Pretraining a small encoder that answers by class: questions about generated pictures, every answer a class.
//!
//! It begins as ViLT did, with a picture transformer that sees: [`nano`]'s tower becomes the first blocks and [`nano`]'s words its words.
//! The tower has a norm in front of its blocks, which ViLT has not. Its centring and its gains are linear and go into patches, positions
//! and class token; its division by each token's deviation becomes one by the mean deviation.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use candle_core::{D, DType, Device, Shape, Tensor, Var};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{AdamW, Init, Optimizer, ParamsAdamW, VarBuilder};
use data::Tiles;
use rayon::prelude::*;
use seed::Seed;

use super::lesson::{Lesson, Question};
use super::muon::Muon;
use super::schedule::{Phase, StepReport};
use super::train::{Judged, clip, sum_of_parts};
use crate::adapter::Attached;
use crate::sites::Start;
use crate::vilt::{Vilt, ViltConfig, nano as small};
use crate::{Backbone, Batch, Branch, Error, Result, Sequence, nano, nn, vit};

/// How long, how much at a time and how fast.
#[derive(Debug, Clone, Copy)]
pub struct EncoderCourse {
    /// Steps, and pictures in one.
    pub phase: Phase,
    /// Questions about a picture in a step, at most.
    pub questions: usize,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Gradients with a larger norm are scaled down to it.
    pub clip_norm: f64,
}

/// Pictures whose gradients one thread computes at a time; fixed, so that the sums do not depend on the thread count.
const PART: usize = 4;
/// Lessons whose answers are the classes.
const SURVEY: usize = 4000;
/// What the names of the head's tensors begin with.
const HEAD: &str = "head.";

type Lessons<'a> = &'a (dyn Fn(usize) -> Lesson + Sync);

/// An encoder in pretraining.
struct Pupil {
    model: Vilt,
    vars: BTreeMap<String, Var>,
    answers: BTreeMap<String, u32>,
}

/// Trains an encoder on questions; `lesson(i)` is the i-th lesson of the training stream. Gives `model.safetensors`, half precision, and
/// the shares of `validation` questions that it then answers right, by topic: (right, asked).
#[allow(clippy::type_complexity, reason = "weights and scores")]
pub fn pretrain_encoder(
    config: &ViltConfig,
    seed: Seed,
    course: EncoderCourse,
    lesson: Lessons,
    validation: &[Lesson],
    report: &mut dyn FnMut(StepReport),
) -> Result<(Vec<u8>, BTreeMap<&'static str, (usize, usize)>)> {
    let pupil = Pupil::new(config, seed, lesson)?;
    let parameters = ParamsAdamW { beta2: 0.98, weight_decay: course.weight_decay, ..ParamsAdamW::default() };
    let is_hidden = |name: &str, var: &Var| Muon::serves(name, var) && !name.starts_with(HEAD);
    let (hidden, others): (BTreeMap<_, _>, BTreeMap<_, _>) =
        pupil.vars.clone().into_iter().partition(|(name, var)| is_hidden(name, var));
    let mut adamw = AdamW::new(others.into_values().collect(), parameters)?;
    let mut muon = Muon::new(&hidden, course.weight_decay)?;
    let EncoderCourse { phase, .. } = course;
    for step in 0..phase.steps {
        let first = step * phase.batch_size;
        let lessons: Vec<Lesson> = (first..first + phase.batch_size).into_par_iter().map(lesson).collect();
        let asked: usize = lessons.iter().map(|lesson| pupil.asked(lesson, course.questions).len()).sum();
        let parts = lessons.par_chunks(PART).map(|part| pupil.part(part, course.questions, asked));
        let (loss, mut gradients) = sum_of_parts(&pupil.vars, parts.collect::<Result<_>>()?)?;
        if !loss.is_finite() {
            return Err(Error::Backbone(format!("step {}: the loss is {loss}: lower the learning rate", step + 1)));
        }
        clip(&pupil.vars, &mut gradients, course.clip_norm)?;
        let rate = phase.rate(step);
        muon.step(&gradients, rate)?;
        adamw.set_learning_rate(rate);
        adamw.step(&gradients)?;
        report(StepReport { phase: "questions", step: step + 1, steps: phase.steps, loss });
    }
    let is_models = |(name, _): &(&String, &Var)| !name.starts_with(HEAD);
    let kept = pupil.vars.iter().filter(is_models).map(|(name, var)| (name.clone(), var.as_detached_tensor())).collect();
    Ok((super::made::encoded(kept)?, pupil.judge(validation)?))
}

impl Pupil {
    fn new(config: &ViltConfig, seed: Seed, lesson: Lessons) -> Result<Self> {
        let fresh = Fresh { seed, blocks: config.num_hidden_layers, vars: Arc::default() };
        let vars = fresh.vars.clone();
        let weights = VarBuilder::from_backend(Box::new(fresh), DType::F32, Device::Cpu);
        let model = small::assemble(config, &weights, DType::F32, String::new())?;
        let mut vars = vars.lock().map_err(|_| Error::Backbone("a pretraining thread panicked".into()))?.clone();
        let mut answers = BTreeMap::new();
        for index in 0..SURVEY {
            answers.extend(lesson(index).questions.into_iter().map(|question| (question.answer, 0)));
        }
        answers.values_mut().enumerate().for_each(|(class, place)| *place = class as u32);
        for tensor in &model.spec().head {
            let mut shape = tensor.shape.clone();
            if tensor.per_class {
                shape[0] = answers.len();
            }
            let made = match tensor.start {
                Start::Zeros => Tensor::zeros(shape, DType::F32, &Device::Cpu)?,
                Start::Ones => Tensor::ones(shape, DType::F32, &Device::Cpu)?,
                Start::Uniform(bound) => {
                    let mut stream = seed.stream(&format!("{HEAD}{}", tensor.name));
                    let numbers: Vec<f32> = (0..shape.iter().product()).map(|_| stream.range(-bound, bound) as f32).collect();
                    Tensor::from_vec(numbers, shape, &Device::Cpu)?
                }
            };
            vars.insert(format!("{HEAD}{}", tensor.name), Var::from_tensor(&made)?);
        }
        let pupil = Self { model, vars, answers };
        let shown: Vec<Lesson> = (0..16).map(lesson).collect();
        pupil.begin_with_nano(config, &shown)?;
        Ok(pupil)
    }

    fn set(&self, name: &str, value: &Tensor) -> Result<()> {
        let var = self.vars.get(name).ok_or_else(|| Error::Backbone(format!("pretraining: no `{name}`")))?;
        Ok(var.set(&value.reshape(var.shape())?.contiguous()?)?)
    }

    /// Tower and words of [`nano`], where there are blocks for them.
    fn begin_with_nano(&self, config: &ViltConfig, shown: &[Lesson]) -> Result<()> {
        let known = nano::tensors()?;
        let get = |name: &str| {
            let tensor = known.get(name).ok_or_else(|| Error::Backbone(format!("backbone `nano` has no `{name}`")))?;
            Ok::<_, Error>(tensor.to_dtype(DType::F32)?)
        };
        let tower = |name: &str| get(&format!("vision_tower.vision_model.{name}"));
        self.set("vilt.embeddings.text_embeddings.word_embeddings.weight", &get("language_model.model.embed_tokens.weight")?)?;
        for layer in 0..nano::config()?.vision_config.num_hidden_layers.min(config.num_hidden_layers) {
            for (ours, theirs) in BLOCK {
                for part in ["weight", "bias"] {
                    let value = tower(&format!("encoder.layers.{layer}.{theirs}.{part}"))?;
                    self.set(&format!("vilt.encoder.layer.{layer}.{ours}.{part}"), &value)?;
                }
            }
        }
        let kernel = tower("embeddings.patch_embedding.weight")?;
        let (class, positions) = (tower("embeddings.class_embedding")?, tower("embeddings.position_embedding.weight")?);
        let (gain, shift) = (tower("pre_layrnorm.weight")?, tower("pre_layrnorm.bias")?);
        // What enters the norm: how far its numbers lie apart, over all tokens of some pictures.
        let entering = vit::patches(&self.pixels(shown, Tiles::WHOLE)?, &kernel)?;
        let patches = positions.narrow(0, 1, positions.dim(0)? - 1)?;
        let entering = entering.reshape((shown.len(), (), config.hidden_size))?.broadcast_add(&patches)?;
        let centred = entering.broadcast_sub(&entering.mean_keepdim(D::Minus1)?)?;
        let deviation = f64::from(centred.sqr()?.mean(D::Minus1)?.sqrt()?.mean_all()?.to_scalar::<f32>()?);
        // Of a tensor whose first side, or last, is the width.
        let normed = |x: &Tensor, width: usize| -> Result<Tensor> {
            let mut shape = vec![1; x.rank()];
            shape[width] = config.hidden_size;
            let centred = x.broadcast_sub(&x.mean_keepdim(width)?)?;
            Ok((centred.broadcast_mul(&gain.reshape(shape)?)? / deviation)?)
        };
        self.set("vilt.embeddings.patch_embeddings.projection.weight", &normed(&kernel, 0)?)?;
        self.set("vilt.embeddings.cls_token", &normed(&class, 0)?)?;
        self.set("vilt.embeddings.position_embeddings", &normed(&positions, 1)?.broadcast_add(&shift)?)
    }

    /// Patches of lessons' pictures `[squares, 3, p, p]`, row by row; behind each picture, unless it is whole, one more.
    fn pixels(&self, lessons: &[Lesson], tiles: Tiles) -> Result<Tensor> {
        let preprocess = self.model.preprocess();
        let (p, side) = (preprocess.size, (lessons.first().map_or(0, |lesson| lesson.rgb.len() / 3)).isqrt());
        let mut values = Vec::with_capacity(lessons.len() * (side * side + p * p) * 3);
        for lesson in lessons {
            for place in 0..(side / p).pow(2) {
                let (top, left) = (place / (side / p) * p, place % (side / p) * p);
                for channel in 0..3 {
                    for pixel in 0..p * p {
                        let at = (top + pixel / p) * side + left + pixel % p;
                        let value = f32::from(lesson.rgb[3 * at + channel]) / 255.0;
                        values.push((value - preprocess.mean[channel]) / preprocess.std[channel]);
                    }
                }
            }
            if tiles != Tiles::WHOLE {
                values.extend(std::iter::repeat_n(0.0, 3 * p * p));
            }
        }
        let squares = values.len() / (3 * p * p);
        Ok(Tensor::from_vec(values, (squares, 3, p, p), &Device::Cpu)?)
    }

    /// The questions of a lesson whose answers are classes, at most so many.
    fn asked<'l>(&self, lesson: &'l Lesson, most: usize) -> Vec<&'l Question> {
        lesson.questions.iter().filter(|question| self.answers.contains_key(&question.answer)).take(most).collect()
    }

    /// Logits of some lessons' questions, `[questions, classes]`, and the right classes.
    fn logits(&self, lessons: &[Lesson], most: usize) -> Result<(Tensor, Tensor)> {
        let side = (lessons[0].rgb.len() / 3).isqrt() / self.model.preprocess().size;
        let tiles = Tiles { rows: side, columns: side };
        let (mut sequences, mut cut) = (Vec::new(), Vec::new());
        for (picture, lesson) in lessons.iter().enumerate() {
            let rows = picture * tiles.squares()..(picture + 1) * tiles.squares();
            for question in self.asked(lesson, most) {
                let (prefix, _) = self.model.text().prefix(&question.question, &[tiles], usize::MAX)?;
                let branches = vec![Branch::answer(vec![self.answers[&question.answer]])];
                sequences.push(Sequence { prefix, images: rows.clone().collect(), branches });
                cut.push(tiles);
            }
        }
        let sequences: Vec<&Sequence> = sequences.iter().collect();
        let batch = Batch::new(&sequences, self.model.text().image_token(), DType::F32, &Device::Cpu)?;
        let features = self.model.encode(&self.pixels(lessons, tiles)?)?.index_select(&batch.images, 0)?;
        let mut head = Attached::new(1.0);
        for (name, var) in self.vars.iter().filter_map(|(name, var)| Some((name.strip_prefix(HEAD)?, var))) {
            head.add_head(name, var.as_tensor().clone());
        }
        Ok((self.model.decode(&self.model.embed_cut(&batch, &features, &cut)?, &head)?, batch.targets))
    }

    /// A part of a step, of so many questions in all.
    fn part(&self, lessons: &[Lesson], most: usize, all: usize) -> Result<Judged> {
        let (logits, targets) = self.logits(lessons, most)?;
        let loss = (nn::log_likelihood(&logits, &targets)?.sum_all()?.neg()? / all as f64)?;
        Ok((f64::from(loss.to_scalar::<f32>()?), loss.backward()?))
    }

    /// How many questions are answered right, of all classes, by topic.
    fn judge(&self, lessons: &[Lesson]) -> Result<BTreeMap<&'static str, (usize, usize)>> {
        let mut scores: BTreeMap<&'static str, (usize, usize)> = BTreeMap::new();
        for lesson in lessons {
            let asked = self.asked(lesson, usize::MAX);
            if asked.is_empty() {
                continue;
            }
            let (logits, targets) = self.logits(std::slice::from_ref(lesson), usize::MAX)?;
            let (said, right) = (logits.argmax(1)?.to_vec1::<u32>()?, targets.to_vec1::<u32>()?);
            for (question, (said, right)) in asked.iter().zip(said.into_iter().zip(right)) {
                let entry = scores.entry(question.topic).or_default();
                *entry = (entry.0 + usize::from(said == right), entry.1 + 1);
            }
        }
        Ok(scores)
    }
}

/// Our names of a block's layers, and those of a CLIP tower's.
const BLOCK: [(&str, &str); 8] = [
    ("layernorm_before", "layer_norm1"),
    ("attention.attention.query", "self_attn.q_proj"),
    ("attention.attention.key", "self_attn.k_proj"),
    ("attention.attention.value", "self_attn.v_proj"),
    ("attention.output.dense", "self_attn.out_proj"),
    ("layernorm_after", "layer_norm2"),
    ("intermediate.dense", "mlp.fc1"),
    ("output.dense", "mlp.fc2"),
];

/// Weights that come into being, seeded by name, as the model asks for them.
struct Fresh {
    seed: Seed,
    blocks: usize,
    vars: Arc<Mutex<BTreeMap<String, Var>>>,
}

impl Fresh {
    /// Norms start at one, biases at zero, embeddings at N(0, 0.02), matrices at N(0, 1/fan-in), and those that write to the residual
    /// stream are scaled down by the number of writes.
    fn draw(&self, name: &str, shape: &Shape) -> candle_core::Result<Tensor> {
        let is_norm = name.contains("layernorm") || name.contains("LayerNorm");
        if name.ends_with("bias") {
            return Tensor::zeros(shape, DType::F32, &Device::Cpu);
        }
        if is_norm {
            return Tensor::ones(shape, DType::F32, &Device::Cpu);
        }
        let fan_in: usize = shape.dims().iter().skip(1).product();
        let std = match name {
            _ if name.contains(".embeddings.") => 0.02,
            _ if name.ends_with("output.dense.weight") => (2.0 * self.blocks as f64 * fan_in as f64).powf(-0.5),
            _ => (fan_in as f64).powf(-0.5),
        };
        let mut stream = self.seed.stream(name);
        let values: Vec<f32> = (0..shape.elem_count()).map(|_| (stream.normal() * std) as f32).collect();
        Tensor::from_vec(values, shape, &Device::Cpu)
    }
}

impl SimpleBackend for Fresh {
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
