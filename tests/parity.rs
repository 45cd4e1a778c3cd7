//! What other people's code says the answer is (`tests/fixtures`, each with its script).

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use anyhow::{Context, Result};
use candle_core::{DType, Device, Tensor, Var};
use candle_nn::{AdamW, Optimizer, ParamsAdamW, VarBuilder};
use federation::Update;
use federation::aggregate::{FisherMean, Mean};
use models::adapter::{Adapt, AdapterSpec, Adapters, Untouched, fisher};
use models::clip_vit::{ClipVisionConfig, ClipVisionTower};
use models::llama::{Llama, LlamaConfig};
use models::llava::{Llava, LlavaConfig};
use models::{Backbone, Batch, Branch, Sequence, nn};
use schema::experiment::AdapterConfig;
use serde_json::json;

use crate::support::{Test, decoder_logits, distance, ids, relative, setup, within};
use crate::tiny;

/// Passes rounding and fails the smallest mistakes tried (`fixtures/README.md`).
const LOGITS: f64 = 5e-5;
const GRADIENTS: f64 = 1e-4;

type Tensors = HashMap<String, Tensor>;

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn load(name: &str) -> Result<Tensors> {
    setup();
    Ok(candle_core::safetensors::load(path(name), &Device::Cpu)?)
}

fn get<'t>(tensors: &'t Tensors, name: &str) -> Result<&'t Tensor> {
    tensors.get(name).with_context(|| format!("the fixture has no `{name}`"))
}

fn weights(tensors: &Tensors) -> VarBuilder<'static> {
    VarBuilder::from_tensors(tensors.clone(), DType::F32, &Device::Cpu)
}

fn clip_config() -> Result<ClipVisionConfig> {
    Ok(serde_json::from_value(json!({
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4, "image_size": 24, "patch_size": 8
    }))?)
}

fn llama_config(d: usize, ffn: usize, layers: usize, kv_heads: usize, tied: bool) -> Result<LlamaConfig> {
    Ok(serde_json::from_value(json!({
        "hidden_size": d, "intermediate_size": ffn, "num_hidden_layers": layers, "num_attention_heads": 4,
        "num_key_value_heads": kv_heads, "vocab_size": 97, "rms_norm_eps": 1e-5, "tie_word_embeddings": tied
    }))?)
}

/// A sequence whose positions are read, from the last of so many tokens on.
fn read_behind(prefix: usize, ids: &[u32], images: Vec<usize>) -> Sequence {
    let mut tokens = ids[prefix..].to_vec();
    tokens.push(0);
    Sequence { prefix: ids[..prefix].to_vec(), images, branches: vec![Branch { tokens, read_from: 0 }] }
}

fn rows(tensor: &Tensor) -> Result<Vec<Vec<u32>>> {
    (0..tensor.dim(0)?).map(|row| Ok(ids(&tensor.get(row)?)?)).collect()
}

/// The tower's every hidden state is transformers' `CLIPVisionModel`'s.
#[test]
fn clip_hidden_states() -> Test {
    let fixture = load("clip_vit.safetensors")?;
    let tower = ClipVisionTower::new(&clip_config()?, &weights(&fixture).pp("vision_model"))?;
    for layer in 0..4 {
        let found = tower.hidden_state(get(&fixture, "input.pixel_values")?, layer)?;
        let wanted = get(&fixture, &format!("expect.hidden_states.{layer}"))?;
        within(&format!("clip hidden state {layer}"), distance(&found, wanted)?, LOGITS);
        assert_eq!(distance(&found, &tower.hidden_state(get(&fixture, "input.pixel_values")?, layer - 4)?)?, 0.0);
    }
    Ok(())
}

/// The decoder's logits are transformers' `LlamaForCausalLM`'s: grouped queries or not, tied head or not, padded or not.
#[test]
fn llama_logits() -> Test {
    for (name, config) in
        [("llama_gqa", llama_config(32, 48, 3, 2, false)?), ("llama_mha_tied", llama_config(16, 24, 3, 4, true)?)]
    {
        let fixture = load(&format!("{name}.safetensors"))?;
        let llama = Llama::new(&config, &weights(&fixture))?;
        let logits = |rows: &[Vec<u32>]| -> Result<Tensor> {
            let sequences: Vec<Sequence> = rows.iter().map(|ids| read_behind(1, ids, vec![])).collect();
            let batch = Batch::new(&sequences.iter().collect::<Vec<_>>(), u32::MAX, DType::F32, &Device::Cpu)?;
            Ok(decoder_logits(&llama, batch)?)
        };
        let found = logits(&rows(get(&fixture, "input.ids")?)?)?;
        within(name, distance(&found, &get(&fixture, "expect.logits")?.flatten(0, 1)?)?, LOGITS);

        let lengths = ids(get(&fixture, "input.lengths")?)?;
        let mut padded = rows(get(&fixture, "input.padded_ids")?)?;
        padded.iter_mut().zip(lengths).for_each(|(row, length)| row.truncate(length as usize));
        let wanted = [get(&fixture, "expect.padded_logits.0")?, get(&fixture, "expect.padded_logits.1")?];
        within(&format!("{name}, padded"), distance(&logits(&padded)?, &Tensor::cat(&wanted, 0)?)?, LOGITS);
    }
    Ok(())
}

const IMAGE: u32 = 96;

/// The LLaVA fixture, read as a checkpoint is.
struct Fixture {
    tensors: Tensors,
    model: Llava,
    features: Tensor,
}

fn llava_config() -> Result<LlavaConfig> {
    let (vision, text) = (serde_json::to_value(clip_config()?)?, serde_json::to_value(llama_config(32, 48, 2, 2, false)?)?);
    Ok(serde_json::from_value(json!({ "vision_config": vision, "text_config": text }))?)
}

impl Fixture {
    fn load() -> Result<Self> {
        let tensors = load("llava.safetensors")?;
        let config = llava_config()?;
        let bytes = std::fs::read(path("llava.safetensors"))?;
        let model = Llava::from_bytes("fixture", &config, &bytes, &tiny::tokenizer_json(&config)?, &Device::Cpu)?;
        let features = model.encode(get(&tensors, "input.pixel_values")?)?;
        Ok(Self { tensors, model, features })
    }

    fn get(&self, name: &str) -> Result<&Tensor> {
        get(&self.tensors, name)
    }

    fn batch(&self, sequences: &[Sequence]) -> Result<Batch> {
        Ok(Batch::new(&sequences.iter().collect::<Vec<_>>(), IMAGE, DType::F32, &Device::Cpu)?)
    }

    fn logits(&self, batch: &Batch, adapt: &dyn Adapt) -> Result<Tensor> {
        Ok(self.model.decode(&self.model.embed(batch, &self.features)?, adapt)?)
    }

    /// Prompt and answer of both rows, as training sees them.
    fn answers(&self) -> Result<Batch> {
        let sequence = |(row, (ids, answer)): (usize, (Vec<u32>, usize))| {
            let (prefix, answer) = ids.split_at(ids.len() - answer);
            Sequence { prefix: prefix.to_vec(), images: vec![row], branches: vec![Branch::answer(answer.to_vec())] }
        };
        let sequences: Vec<Sequence> = rows(self.get("input.ids")?)?.into_iter().zip([3, 2]).enumerate().map(sequence).collect();
        let batch = self.batch(&sequences)?;
        assert_eq!(ids(&batch.targets)?, ids(self.get("input.answer_tokens")?)?);
        Ok(batch)
    }

    fn spec(&self, kind: &str) -> Result<AdapterSpec> {
        let config = AdapterConfig { kind: Some(kind.into()), rank: Some(4), alpha: Some(8.0), ..AdapterConfig::default() };
        Ok(AdapterSpec::resolve(&config, kind, self.model.spec())?)
    }

    /// The fixture's tensors of these names (`ours -> <prefix><theirs>`) as adapters.
    fn adapters(&self, prefix: &str, names: &BTreeMap<String, String>) -> Result<Adapters> {
        names.iter().map(|(ours, theirs)| Ok((ours.clone(), self.get(&format!("{prefix}{theirs}"))?.clone()))).collect()
    }

    /// Loss, logits and gradients with these adapters; gives the adapters back.
    fn check(&self, kind: &str, prefix: &str, names: &BTreeMap<String, String>) -> Result<Adapters> {
        let adapters = self.adapters(prefix, names)?;
        let spec = self.spec(kind)?;
        assert_eq!(spec.parameters(), adapters.num_parameters());
        let vars = adapters.to_vars()?;
        let batch = self.answers()?;
        let logits = self.logits(&batch, &spec.attach(&Adapters::from_vars(&vars))?)?;
        let loss = nn::log_likelihood(&logits, &batch.targets)?.mean_all()?.neg()?;
        within(&format!("{kind} logits"), distance(&logits, self.get(&format!("expect.{kind}.logits"))?)?, LOGITS);
        within(&format!("{kind} loss"), distance(&loss, self.get(&format!("expect.{kind}.loss"))?)?, 1e-5);
        let gradients = loss.backward()?;
        for (ours, theirs) in names {
            let found = gradients.get(&vars[ours]).with_context(|| format!("`{ours}` got no gradient"))?;
            let wanted = self.get(&format!("expect.{kind}.grad.{theirs}"))?;
            within(&format!("{kind} gradient of {ours}"), relative(found, wanted)?, GRADIENTS);
        }
        Ok(adapters)
    }
}

fn nano_names() -> BTreeMap<String, String> {
    ["image.down", "image.up", "text.down", "text.up"].map(|name| (name.to_owned(), name.to_owned())).into()
}

fn lora_names() -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    for site in ["layers.0.q_proj", "layers.0.v_proj", "layers.1.q_proj", "layers.1.v_proj"] {
        names.insert(format!("{site}.lora_A"), format!("{site}.a"));
        names.insert(format!("{site}.lora_B"), format!("{site}.b"));
    }
    names
}

/// Image features, logits and loss are transformers' `LlavaForConditionalGeneration`'s.
#[test]
fn llava_features_and_logits() -> Test {
    let fixture = Fixture::load()?;
    within("llava features", distance(&fixture.features, fixture.get("expect.image_features")?)?, LOGITS);
    let ids = rows(fixture.get("input.ids")?)?;
    // Pictures stand in the prefix: what is read begins behind their last token.
    let (mut sequences, mut expect) = (Vec::new(), Vec::new());
    for (row, ids) in ids.iter().enumerate() {
        let last = ids.iter().rposition(|id| *id == IMAGE).context("a picture")?;
        sequences.push(read_behind(last + 1, ids, vec![row]));
        expect.push(fixture.get("expect.logits")?.get(row)?.narrow(0, last, ids.len() - last)?);
    }
    let logits = fixture.logits(&fixture.batch(&sequences)?, &Untouched)?;
    within("llava logits", distance(&logits, &Tensor::cat(&expect, 0)?)?, LOGITS);
    let batch = fixture.answers()?;
    let loss = nn::log_likelihood(&fixture.logits(&batch, &Untouched)?, &batch.targets)?.mean_all()?.neg()?;
    within("llava loss", distance(&loss, fixture.get("expect.loss")?)?, 1e-5);
    Ok(())
}

/// NanoAdapters: loss, logits, gradients, and the per-example Fisher through the adapter copies that clients use.
#[test]
fn nano_adapters_and_fisher() -> Test {
    let fixture = Fixture::load()?;
    let adapters = fixture.check("nano", "adapter.", &nano_names())?;
    let copies = fisher::copies(&adapters, 2)?;
    let batch = fixture.answers()?;
    let logits = fixture.logits(&batch, &fixture.spec("nano")?.attach(&Adapters::from_vars(&copies))?)?;
    let summed = nn::log_likelihood(&logits, &batch.targets)?.sum_all()?.neg()?;
    let found = fisher::sum_of_squares(&copies, &summed.backward()?)?.scale(0.5)?;
    for (name, found) in found.iter() {
        within(
            &format!("nano Fisher of {name}"),
            relative(found, fixture.get(&format!("expect.nano.fisher.{name}"))?)?,
            GRADIENTS,
        );
    }
    Ok(())
}

/// LoRA: loss, logits and gradients are peft's.
#[test]
fn lora_adapters() -> Test {
    Fixture::load()?.check("lora", "adapter.lora.", &lora_names())?;
    Ok(())
}

/// A tokenizer of a few ids below the fixture's 97.
const TOKENIZER: &str = r#"{"version":"1.0","added_tokens":[
    {"id":96,"content":"<image>","special":true,"single_word":false,"lstrip":false,"rstrip":false,"normalized":false}],
    "model":{"type":"WordLevel","vocab":{"<unk>":0,"<s>":1,"</s>":2},"unk_token":"<unk>"}}"#;

/// Checkpoint folders of all transformers versions load to the same model.
#[test]
fn names_of_all_transformers_versions() -> Test {
    let fixture = Fixture::load()?;
    let batch = fixture.answers()?;
    let wanted = fixture.logits(&batch, &Untouched)?;
    let checkpoint =
        |name: &&String| ["vision_tower.", "multi_modal_projector.", "language_model."].iter().any(|part| name.starts_with(part));
    let versions: [(&str, &[(&str, &str)]); 3] = [
        ("4.37", &[]),
        (
            "4.52",
            &[
                ("vision_tower.", "model.vision_tower."),
                ("multi_modal", "model.multi_modal"),
                ("language_model.model.", "model.language_model."),
                ("language_model.lm_head", "lm_head"),
            ],
        ),
        (
            "5",
            &[
                ("vision_tower.vision_model.", "model.vision_tower."),
                ("multi_modal", "model.multi_modal"),
                ("language_model.model.", "model.language_model."),
                ("language_model.lm_head", "lm_head"),
            ],
        ),
    ];
    for (version, renames) in versions {
        let renamed = |name: &String| match renames.iter().find(|(old, _)| name.starts_with(old)) {
            Some((old, new)) => format!("{new}{}", &name[old.len()..]),
            None => name.clone(),
        };
        let mut names: Vec<&String> = fixture.tensors.keys().filter(checkpoint).collect();
        names.sort();
        let tensors: Tensors = names.into_iter().map(|name| (renamed(name), fixture.tensors[name].clone())).collect();
        let folder = tempfile::tempdir()?;
        let config = llava_config()?;
        candle_core::safetensors::save(&tensors, folder.path().join("model.safetensors"))?;
        std::fs::write(folder.path().join("config.json"), serde_json::to_vec(&config)?)?;
        std::fs::write(folder.path().join("tokenizer.json"), TOKENIZER)?;
        let model = Llava::read(folder.path(), &Device::Cpu).with_context(|| format!("transformers {version}"))?;
        let features = model.encode(fixture.get("input.pixel_values")?)?;
        let found = model.decode(&model.embed(&batch, &features)?, &Untouched)?;
        assert_eq!(distance(&found, &wanted)?, 0.0, "transformers {version}");
    }
    Ok(())
}

/// The optimizer is `torch.optim.AdamW`, where a gradient is 0 and where epsilon decides too.
#[test]
fn adamw_steps() -> Test {
    let fixture = load("adamw.safetensors")?;
    let theta = Var::from_tensor(get(&fixture, "input.initial")?)?;
    let params = ParamsAdamW { lr: 0.01, beta1: 0.9, beta2: 0.98, eps: 1e-8, weight_decay: 0.05 };
    let mut optimizer = AdamW::new(vec![theta.clone()], params)?;
    for t in 1..=5 {
        let gradient = get(&fixture, &format!("input.grad.{t}"))?;
        optimizer.step(&(theta.as_tensor() * gradient)?.sum_all()?.backward()?)?;
        within(&format!("AdamW step {t}"), distance(theta.as_tensor(), get(&fixture, &format!("expect.theta.{t}"))?)?, 1e-6);
    }
    Ok(())
}

/// FedAvg, the uniform mean and the Fisher merge, fallback below the floor included, are NumPy's, element by element.
#[test]
fn merges() -> Test {
    let fixture = load("merge.safetensors")?;
    let names = ["image.down", "text.up"];
    let set = |prefix: &str| -> Result<Adapters> {
        names.iter().map(|name| Ok((name.to_string(), get(&fixture, &format!("{prefix}.{name}"))?.clone()))).collect()
    };
    let counts = ids(get(&fixture, "input.num_examples")?)?;
    let updates = (0..3).map(|client| {
        let update = Update { client, num_examples: counts[client] as usize, ..Update::default() };
        let (theta, fisher) = (set(&format!("input.client.{client}.theta"))?, set(&format!("input.client.{client}.fisher"))?);
        Ok(update.with("adapters", theta).with("fisher", fisher))
    });
    let updates: Vec<Update> = updates.collect::<Result<_>>()?;
    let floor = f64::from(get(&fixture, "input.floor")?.to_scalar::<f32>()?);
    let mean = |weight: fn(&Update) -> f64| -> Result<Adapters> {
        let mut mean = Mean::default();
        updates.iter().try_for_each(|update| mean.add(update.set("adapters")?, weight(update)))?;
        Ok(mean.take()?)
    };
    let mut fisher = FisherMean::default();
    for update in &updates {
        fisher.add(update.set("adapters")?, update.set("fisher")?, update.num_examples as f64)?;
    }
    for (kind, merged) in
        [("fedavg", mean(|update| update.num_examples as f64)?), ("uniform", mean(|_| 1.0)?), ("fisher", fisher.take(floor)?)]
    {
        for (name, found) in merged.iter() {
            within(&format!("{kind} of {name}"), distance(found, get(&fixture, &format!("expect.{kind}.{name}"))?)?, 1e-6);
        }
    }
    Ok(())
}
