//! Scaled rotary positions (`fixtures/rope.py`): frequencies, attention factors and a small Llama's logits are transformers', within
//! the context of the first training and beyond it.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result};
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use models::llama::{Llama, LlamaConfig};
use models::rope::Rope;
use models::{Batch, Branch, Sequence};

use crate::support::{Test, decoder_logits, distance, flat, ids, relative, setup, within};

const HEAD_DIM: usize = 16;
const LENGTHS: [usize; 2] = [12, 40];
/// Logits are kept at every so many places.
const EVERY: usize = 4;

struct Fixture {
    expect: HashMap<String, Tensor>,
    configs: Vec<(String, LlamaConfig)>,
}

impl Fixture {
    fn load() -> Result<Self> {
        setup();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/rope.safetensors");
        let bytes = std::fs::read(&path)?;
        let length = u64::from_le_bytes(bytes[..8].try_into()?) as usize;
        let header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + length])?;
        let text = header["__metadata__"]["configs"].as_str().context("the script's configs")?;
        let tables: HashMap<String, serde_json::Value> = serde_json::from_str(text)?;
        let config = |table: serde_json::Value| -> Result<LlamaConfig> {
            let given: LlamaConfig = serde_json::from_value(table)?;
            Ok(LlamaConfig {
                hidden_size: 32,
                intermediate_size: 48,
                num_hidden_layers: 2,
                num_attention_heads: 2,
                num_key_value_heads: Some(1),
                vocab_size: 97,
                rms_norm_eps: 1e-5,
                ..given
            })
        };
        let configs = tables.into_iter().map(|(name, table)| Ok((name, config(table)?))).collect::<Result<Vec<_>>>()?;
        Ok(Self { expect: candle_core::safetensors::load_buffer(&bytes, &Device::Cpu)?, configs })
    }

    fn get(&self, name: &str) -> Result<&Tensor> {
        self.expect.get(name).with_context(|| format!("no `{name}`"))
    }

    fn decoder(&self, config: &LlamaConfig) -> Result<Llama> {
        let weights =
            self.expect.iter().filter_map(|(name, tensor)| Some((name.strip_prefix("weight.")?.to_owned(), tensor.clone())));
        let weights = VarBuilder::from_tensors(weights.collect(), DType::F32, &Device::Cpu);
        Ok(Llama::new(config, &weights)?)
    }

    /// The script's sequence of so many tokens, of which all but the first are read.
    fn sequence(&self, tokens: usize) -> Result<Sequence> {
        let ids = ids(self.get(&format!("ids.{tokens}"))?)?;
        // The last token of a branch is only ever predicted.
        let rest = ids[1..].iter().copied().chain([0]).collect();
        Ok(Sequence { prefix: vec![ids[0]], images: Vec::new(), branches: vec![Branch::answer(rest)] })
    }
}

fn batch(sequences: &[Sequence]) -> Result<Batch> {
    Ok(Batch::new(&sequences.iter().collect::<Vec<_>>(), u32::MAX - 1, DType::F32, &Device::Cpu)?)
}

#[test]
fn frequencies_and_attention_factors_are_transformers() -> Test {
    let fixture = Fixture::load()?;
    assert_eq!(fixture.configs.len(), 11);
    for (name, config) in &fixture.configs {
        assert_eq!(config.unsupported(), None, "{name}");
        let rope: Rope = config.rope().map_err(anyhow::Error::msg)?;
        let wanted = flat(fixture.get(&format!("{name}.attention"))?)?;
        within(&format!("{name} attention factor"), (rope.attention_factor() - wanted[0]).abs(), 1e-12);
        for tokens in LENGTHS {
            let found = Tensor::new(rope.frequencies(HEAD_DIM, tokens), &Device::Cpu)?;
            let wanted = fixture.get(&format!("{name}.{tokens}.frequencies"))?.to_dtype(DType::F64)?;
            // transformers computes them in f32.
            within(&format!("{name} frequencies at {tokens}"), relative(&found, &wanted)?, 1e-6);
            let ratio = distance(&(found / &wanted)?, &wanted.ones_like()?)?;
            within(&format!("{name} frequencies at {tokens}, each"), ratio, 1e-6);
        }
    }
    Ok(())
}

#[test]
fn logits_are_transformers_alone_and_beside_a_longer_sequence() -> Test {
    let fixture = Fixture::load()?;
    let sequences = LENGTHS.map(|tokens| fixture.sequence(tokens));
    let [short, long] = sequences;
    let (short, long) = (short?, long?);
    for (name, config) in &fixture.configs {
        let decoder = fixture.decoder(config)?;
        for (kind, sequences) in
            [("alone", vec![short.clone()]), ("alone", vec![long.clone()]), ("both", vec![short.clone(), long.clone()])]
        {
            let logits = decoder_logits(&decoder, batch(&sequences)?)?;
            let mut first = 0;
            for sequence in &sequences {
                let tokens = sequence.num_targets();
                let at = Tensor::arange_step(first as u32, (first + tokens) as u32, EVERY as u32, &Device::Cpu)?;
                let wanted = fixture.get(&format!("{name}.{tokens}.logits"))?;
                within(&format!("{name} {kind}, {tokens} tokens"), relative(&logits.index_select(&at, 0)?, wanted)?, 1e-5);
                first += tokens;
            }
        }
    }
    Ok(())
}
