//! Seeded first weights.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use candle_core::{DType, Device, Shape, Tensor, Var};
use candle_nn::{Init, var_builder::SimpleBackend};
use seed::Seed;

use crate::llava::LlavaConfig;

/// Weights that come into being, seeded by name, as the model asks for them.
pub(super) struct SeededWeights {
    seed: Seed,
    blocks: usize,
    pub(super) vars: Arc<Mutex<BTreeMap<String, Var>>>,
}

impl SeededWeights {
    pub(super) fn new(seed: Seed, config: &LlavaConfig) -> Self {
        let blocks = config.text_config.num_hidden_layers.max(config.vision_config.num_hidden_layers);
        Self { seed, blocks, vars: Arc::default() }
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
