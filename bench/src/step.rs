//! One training step at a given shape.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use candle_core::{DType, Device, Tensor, Var};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{AdamW, Init, Optimizer, ParamsAdamW};
use models::adapter::{AdapterSpec, Adapters};
use models::llava::{Llava, LlavaConfig};
use models::{Backbone, Batch, Branch, Sequence, nn, precision, pretrain};
use schema::experiment::AdapterConfig;
use seed::Seed;

/// A decoder and a batch for it.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// `S`, `M` or `7B`.
    pub name: &'static str,
    /// Width, blocks, query heads, key and value heads, width of the MLP, vocabulary.
    decoder: [usize; 6],
    /// Sequences in a batch.
    pub batch: usize,
    /// Tokens that enter the decoder, of each sequence.
    pub tokens: usize,
}

/// Tokens of every answer.
const ANSWER: usize = 8;
/// Tokens of every image.
const IMAGE: usize = 16;

impl Shape {
    /// A small decoder, d = 192.
    pub const S: Self = Self { name: "S", decoder: [192, 4, 6, 6, 512, 1024], batch: 16, tokens: 112 };
    /// SmolLM2-135M's shape.
    pub const M: Self = Self { name: "M", decoder: [576, 30, 9, 3, 1536, 49_152], batch: 4, tokens: 128 };

    /// Llama 2's shape with 7 billion parameters, over LLaVA-1.5's 576 tokens of a picture and a question.
    pub const LARGE: Self = Self { name: "7B", decoder: [4096, 32, 32, 32, 11_008, 32_000], batch: 2, tokens: 640 };

    /// The shape of this name.
    pub fn find(name: &str) -> Result<Self> {
        [Self::S, Self::M, Self::LARGE]
            .into_iter()
            .find(|shape| shape.name == name)
            .with_context(|| format!("shape `{name}`: expected S, M or 7B"))
    }

    fn config(&self) -> Result<LlavaConfig> {
        let [d, blocks, heads, kv_heads, hidden, vocabulary] = self.decoder;
        Ok(serde_json::from_value(serde_json::json!({
            "vision_config": {
                "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 32,
                "patch_size": 8
            },
            "text_config": {
                "hidden_size": d, "intermediate_size": hidden, "num_hidden_layers": blocks, "num_attention_heads": heads,
                "num_key_value_heads": kv_heads, "vocab_size": vocabulary, "tie_word_embeddings": true
            },
            "chat": { "turn": "{images}Q: {prompt}", "image": "<image>", "answer": " A:", "end": "</s>", "begin": "<s>" }
        }))?)
    }

    /// Floating-point operations of a step's linear layers: two a weight and token, forward and once more backward (no weight
    /// gradient); in the last block all but keys and values at the answer's places alone; head and adapters left out.
    pub fn flops(&self) -> f64 {
        let [d, blocks, heads, kv_heads, hidden, _] = self.decoder;
        let kv = d / heads * kv_heads;
        let behind = 2 * d * d + 3 * d * hidden;
        let block = behind + 2 * d * kv;
        let (tokens, read) = (self.batch * self.tokens, self.batch * ANSWER);
        4.0 * ((blocks * block - behind) * tokens + behind * read) as f64
    }
}

/// A model with a batch, ready to step.
pub struct Step {
    model: Llava,
    spec: AdapterSpec,
    vars: BTreeMap<String, Var>,
    optimizer: AdamW,
    batch: Batch,
    features: Tensor,
}

impl Step {
    /// Random weights as `dtype` on a device; `kind` is `nano` (rank 64 at image and text tokens) or `lora` (rank 8 at q and v).
    pub fn new(shape: Shape, kind: &str, dtype: DType, device: &Device) -> Result<Self> {
        let config = shape.config()?;
        let tokenizer = pretrain::train_tokenizer(&config, ["Q: how many? A: three.".to_owned()].into_iter())?;
        let weights = precision::builder(Box::new(Drawn { repeats: shape.name == Shape::LARGE.name }), dtype, device);
        let model = Llava::new(shape.name, &config, &weights, tokenizer, String::new())?;
        let rank = if kind == "nano" { 64 } else { 8 };
        let adapter = AdapterConfig { kind: Some(kind.into()), rank: Some(rank), ..AdapterConfig::default() };
        let spec = AdapterSpec::resolve(&adapter, kind, model.spec())?;
        let vars = spec.init(Seed::new(0), DType::F32, device)?.to_vars()?;
        let optimizer = AdamW::new(vars.values().cloned().collect(), ParamsAdamW { lr: 1e-4, ..ParamsAdamW::default() })?;
        let sequences: Vec<Sequence> = (0..shape.batch).map(|i| sequence(&model, shape, i)).collect();
        let batch = Batch::new(&sequences.iter().collect::<Vec<_>>(), model.text().image_token(), model.dtype(), device)?;
        let features = drawn("features", &[shape.batch, IMAGE, model.spec().d_model], 1.0)?;
        let features = features.to_dtype(model.dtype())?.to_device(device)?;
        Ok(Self { model, spec, vars, optimizer, batch, features })
    }

    /// Of each block, keeps what enters it alone.
    pub fn checkpoint(&mut self) {
        self.batch.checkpoint = true;
    }

    /// Forward, backward, AdamW; the loss.
    pub fn run(&mut self) -> Result<f32> {
        let loss = self.loss(&Adapters::from_vars(&self.vars))?;
        self.optimizer.step(&loss.backward()?)?;
        Ok(loss.to_scalar()?)
    }

    /// The loss, and the gradient of every adapter tensor on the CPU, where no tensor is zero: fresh adapters change nothing, and half
    /// of their gradients are none.
    pub fn gradients(&self) -> Result<(f32, BTreeMap<String, Tensor>)> {
        for (name, var) in &self.vars {
            var.set(&drawn(name, var.dims(), 0.05)?.to_device(var.device())?)?;
        }
        let loss = self.loss(&Adapters::from_vars(&self.vars))?;
        let gradients = loss.backward()?;
        let of = |(name, var): (&String, &Var)| {
            let gradient = gradients.get(var).with_context(|| format!("{name} got no gradient"))?;
            Ok((name.clone(), gradient.to_device(&Device::Cpu)?))
        };
        Ok((loss.to_scalar()?, self.vars.iter().map(of).collect::<Result<_>>()?))
    }

    /// Forward alone.
    pub fn forward(&self) -> Result<f32> {
        Ok(self.loss(&Adapters::from_var_values(&self.vars)?)?.to_scalar()?)
    }

    fn loss(&self, adapters: &Adapters) -> Result<Tensor> {
        let embeddings = self.model.embed(&self.batch, &self.features)?;
        let logits = self.model.decode(&embeddings, &self.spec.attach(adapters)?)?;
        Ok(nn::log_likelihood(&logits, &self.batch.targets)?.mean_all()?.neg()?)
    }
}

/// One image, a prompt and an answer of random tokens, `shape.tokens` of which enter the decoder.
fn sequence(model: &Llava, shape: Shape, index: usize) -> Sequence {
    let mut stream = Seed::new(1).index("sequence", index);
    let mut token = || 300 + stream.below(700) as u32;
    let mut prefix = vec![model.text().image_token(); IMAGE];
    prefix.extend((IMAGE..shape.tokens + 1 - ANSWER).map(|_| token()));
    Sequence { prefix, images: vec![index], branches: vec![Branch::answer((0..ANSWER).map(|_| token()).collect())] }
}

/// Weights drawn by name: norms at one, the rest normal with the spread of a fresh model.
struct Drawn {
    /// Whether numbers repeat after some million: to draw seven billion takes minutes.
    repeats: bool,
}

/// A prime, so that no two rows of a matrix are alike.
const PERIOD: usize = 1_048_573;

impl SimpleBackend for Drawn {
    fn get(&self, shape: candle_core::Shape, name: &str, _: Init, dtype: DType, device: &Device) -> candle_core::Result<Tensor> {
        if name.contains("norm") {
            return Tensor::ones(shape, dtype, device);
        }
        let fan_in: usize = shape.dims().iter().skip(1).product();
        let std = (fan_in.max(1) as f64).powf(-0.5);
        let count = shape.elem_count();
        let drawn = if self.repeats && count > PERIOD {
            let period = numbers(name, PERIOD, std);
            Tensor::from_vec(period.into_iter().cycle().take(count).collect(), shape, &Device::Cpu)?
        } else {
            drawn(name, shape.dims(), std)?
        };
        drawn.to_dtype(dtype)?.to_device(device)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> candle_core::Result<Tensor> {
        candle_core::bail!("weight `{name}` is asked for without a shape")
    }

    fn contains_tensor(&self, _: &str) -> bool {
        true
    }
}

pub(crate) fn drawn(name: &str, shape: &[usize], std: f64) -> candle_core::Result<Tensor> {
    Tensor::from_vec(numbers(name, shape.iter().product(), std), shape, &Device::Cpu)
}

fn numbers(name: &str, count: usize, std: f64) -> Vec<f32> {
    let mut stream = Seed::new(5).stream(name);
    (0..count).map(|_| (stream.normal() * std) as f32).collect()
}
