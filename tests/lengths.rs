//! The decoder at lengths from 1 to 2048 tokens, with a NanoAdapter before it and LoRA inside, beside transformers and peft
//! (`tests/fixtures/lengths.py`).

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, Result};
use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Tensor, Var};
use candle_nn::VarBuilder;
use machine::threads;
use models::adapter::Attached;
use models::llama::{Llama, LlamaConfig};
use models::{Batch, Branch, Sequence, nn};
use serde_json::json;

use crate::support::{Test, adapted_logits, distance, flat, ids, nan_max, relative, setup, within};

/// Of the largest logit.
const LOGITS: f64 = 1e-5;
/// Of a gradient's length.
const GRADIENTS: f64 = 1e-4;

const LENGTHS: [usize; 10] = [1, 2, 63, 64, 65, 511, 512, 513, 1024, 2048];
const ANSWER: usize = 4;
/// alpha / r.
const SCALE: f64 = 2.0;

struct Fixture {
    tensors: HashMap<String, Tensor>,
    decoder: Llama,
    vars: BTreeMap<String, Var>,
    dtype: DType,
}

impl Fixture {
    fn load(name: &str, width: usize, hidden: usize, kv_heads: usize, dtype: DType) -> Result<Self> {
        setup();
        let path = format!("{}/tests/fixtures/{name}.safetensors", env!("CARGO_MANIFEST_DIR"));
        let tensors = candle_core::safetensors::load(path, &Device::Cpu)?;
        let config: LlamaConfig = serde_json::from_value(json!({
            "hidden_size": width, "intermediate_size": hidden, "num_hidden_layers": 3, "num_attention_heads": 4,
            "num_key_value_heads": kv_heads, "vocab_size": 97, "rms_norm_eps": 1e-5, "tie_word_embeddings": kv_heads == 4
        }))?;
        let decoder = Llama::new(&config, &VarBuilder::from_tensors(tensors.clone(), dtype, &Device::Cpu))?;
        let adapters = tensors.iter().filter_map(|(name, tensor)| Some((name.strip_prefix("adapter.")?, tensor)));
        let vars = adapters.map(|(name, tensor)| Ok((name.to_owned(), Var::from_tensor(&tensor.to_dtype(dtype)?)?)));
        let vars = vars.collect::<Result<_>>()?;
        Ok(Self { tensors, decoder, vars, dtype })
    }

    fn get(&self, name: &str) -> Result<&Tensor> {
        self.tensors.get(name).with_context(|| format!("the fixture has no `{name}`"))
    }

    /// LoRA at every site that the fixture has it.
    fn lora(&self) -> Attached {
        let mut attached = Attached::new(SCALE);
        for (name, down) in &self.vars {
            if let Some(site) = name.strip_suffix(".lora_A") {
                let up = &self.vars[&format!("{site}.lora_B")];
                attached.add_pair(site, down.as_tensor().clone(), up.as_tensor().clone(), None);
            }
        }
        attached
    }

    /// A sequence of so many tokens that enter, the last few before an answer.
    fn batch(&self, length: usize) -> Result<Batch> {
        let (ids, answer) = (ids(self.get("input.ids")?)?, ANSWER.min(length));
        let (prefix, rest) = ids.split_at(length + 1 - answer);
        let sequence =
            Sequence { prefix: prefix.to_vec(), images: vec![], branches: vec![Branch::answer(rest[..answer].to_vec())] };
        Ok(Batch::new(&[&sequence], u32::MAX, self.dtype, &Device::Cpu)?)
    }

    /// Logits at a length, and all adapters' gradients.
    fn pass(&self, length: usize) -> Result<(Tensor, GradStore)> {
        let batch = self.batch(length)?;
        let targets = batch.targets.clone();
        let (down, up) = (self.vars["down"].t()?, self.vars["up"].t()?);
        let nano = |hidden: &Tensor| hidden + (hidden.broadcast_matmul(&down)?.broadcast_matmul(&up)? * SCALE)?;
        let logits = adapted_logits(&self.decoder, batch, &nano, &self.lora())?;
        let gradients = nn::log_likelihood(&logits, &targets)?.mean_all()?.neg()?.backward()?;
        Ok((logits, gradients))
    }

    /// The same as numbers, on so many threads.
    fn numbers(&self, length: usize, threads: usize) -> Result<Vec<Vec<f64>>> {
        let (logits, gradients) = threads::pool(threads)?.install(|| self.pass(length))?;
        let of = |(name, var): (&String, &Var)| gradients.get(var).with_context(|| format!("`{name}` got no gradient"));
        let gradients = self.vars.iter().map(of).collect::<Result<Vec<_>>>()?;
        Ok(std::iter::once(&logits).chain(gradients).map(flat).collect::<candle_core::Result<_>>()?)
    }

    /// The largest errors at a length: of logits, of gradients.
    fn errors(&self, length: usize) -> Result<(f64, f64)> {
        let (logits, gradients) = self.pass(length)?;
        let wanted = self.get(&format!("expect.{length}.logits"))?;
        let largest = wanted.abs()?.max_all()?.to_scalar::<f32>()?;
        let mut worst = 0.0;
        for (name, var) in &self.vars {
            let found = gradients.get(var).with_context(|| format!("`{name}` got no gradient"))?;
            let wanted = self.get(&format!("expect.{length}.grad.{name}"))?;
            // One token sees only itself: its query has no gradient.
            let is_none = flat(wanted)?.iter().all(|&gradient| gradient == 0.0);
            worst = nan_max(if is_none { distance(found, wanted)? } else { relative(found, wanted)? }, worst);
        }
        Ok((distance(&logits, wanted)? / f64::from(largest), worst))
    }
}

/// Grouped queries with a head of its own, and as many keys as queries with a tied one.
#[test]
fn all_lengths() -> Test {
    for (name, width, hidden, kv_heads) in [("lengths_gqa", 32, 48, 2), ("lengths_mha_tied", 16, 24, 4)] {
        let fixture = Fixture::load(name, width, hidden, kv_heads, DType::F32)?;
        for length in LENGTHS {
            let (logits, gradients) = fixture.errors(length)?;
            within(&format!("{name}, logits at {length} tokens"), logits, LOGITS);
            within(&format!("{name}, gradients at {length} tokens"), gradients, GRADIENTS);
        }
    }
    Ok(())
}

/// One sequence, which has all threads to itself, gives the same bits on any number of them: where rows do not depend on the cut of a
/// product (f32, where there is a kernel for it), and where they do (f64).
#[test]
fn threads_change_no_bit() -> Test {
    for dtype in [DType::F32, DType::F64] {
        let fixture = Fixture::load("lengths_gqa", 32, 48, 2, dtype)?;
        for length in [1, 65, 300, 676] {
            let [one, two, seven] = [1, 2, 7].map(|threads| fixture.numbers(length, threads));
            let one = one?;
            assert!(one.iter().flatten().all(|number| number.is_finite()) && one.len() > 3);
            assert!(one == two? && one == seven?, "{length} tokens, {dtype:?}");
        }
    }
    Ok(())
}
