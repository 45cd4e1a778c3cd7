//! Trained LoRA as PEFT loads it: `adapter_config.json` and `adapter_model.safetensors` for `peft.PeftModel.from_pretrained`, and a model card
//! with what the run measured, as the Hub shows it.
//!
//! Our sites are named by layer and projection, PEFT's modules by their place in transformers' classes (5, the same since 4.52). Other kinds
//! of adapters have no place in PEFT: a run's `adapters.safetensors` holds them under the names of their sites.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use candle_core::Device;
use models::adapter::Adapters;
use models::folder::Folder;
use reports::Run;
use schema::run_dir;
use serde_json::json;

use crate::hub;

/// Its name among the formats of `fedbench export`.
pub const NAME: &str = "peft";

/// What a client's own tensors begin with in `adapters.safetensors`.
const CLIENT: &str = "client-";

/// What PEFT writes in front of a module's name.
const PREFIX: &str = "base_model.model";

/// Where an architecture has its decoder and its connector's layers, in transformers' class for it.
struct Places {
    decoder: &'static str,
    connector: Option<&'static str>,
}

impl Places {
    /// By the `model_type` of a folder's config.
    fn of(model_type: &str) -> Option<Self> {
        Some(match model_type {
            "llava" => Self { decoder: "model.language_model.layers", connector: Some("model.multi_modal_projector") },
            "idefics3" | "smolvlm" => Self { decoder: "model.text_model.layers", connector: None },
            "llama" => Self { decoder: "model.layers", connector: None },
            _ => return None,
        })
    }

    /// The module of a site; none where PEFT could not find it.
    fn module(&self, site: &str) -> Option<String> {
        if let Some(layer) = site.strip_prefix("connector.") {
            return self.connector.map(|connector| format!("{connector}.{layer}"));
        }
        let (layer, projection) = site.strip_prefix("layers.")?.split_once('.')?;
        let part = match projection {
            "q_proj" | "k_proj" | "v_proj" | "o_proj" => "self_attn",
            "gate_proj" | "up_proj" | "down_proj" => "mlp",
            _ => return None,
        };
        Some(format!("{}.{layer}.{part}.{projection}", self.decoder))
    }
}

/// Writes the adapters of a run into a folder of its own, each client's own into one below; why they cannot be PEFT's, otherwise.
pub fn write(run: &Run, out: &Path) -> Result<Result<Vec<PathBuf>, String>> {
    let kind = &run.summary.adapter;
    if kind != models::adapter::lora::KIND.name {
        return Ok(Err(format!("its adapters are of kind `{kind}`, for which PEFT has no class; expected `lora`")));
    }
    let (base, places) = match base(run) {
        Ok(found) => found,
        Err(why) => return Ok(Err(why)),
    };
    let path = run.source.path(run_dir::ADAPTERS);
    let adapters = Adapters::read(&path, &Device::Cpu)?;
    let folder = out.join(&run.summary.run);
    let mut written = Vec::new();
    for owner in owners(&adapters) {
        let (place, own) = match &owner {
            None => (folder.clone(), adapters.filter(|name| !name.starts_with(CLIENT))),
            Some(client) => (folder.join(client), of_client(&adapters, client)),
        };
        match written_of(run, &base, &places, &own) {
            Ok(files) => written.extend(save(&place, files)?),
            Err(why) => return Ok(Err(why)),
        }
    }
    Ok(Ok(written))
}

/// The base model's name and where its modules are.
fn base(run: &Run) -> Result<(String, Places), String> {
    let name = &run.experiment.backbone.name;
    if name == "smol" {
        let llama = Places::of("llama").ok_or("no places of `llama`")?;
        return Ok(("HuggingFaceTB/SmolLM2-135M-Instruct".into(), llama));
    }
    let folder = match hub::find_backbone(name) {
        Ok(Some(found)) => found.folder().to_owned(),
        Ok(None) => PathBuf::from(name),
        Err(error) => return Err(error.to_string()),
    };
    let folder =
        Folder::open(&folder).map_err(|_| format!("its backbone `{name}` is no folder of a model that transformers reads"))?;
    let model_type = folder.model_type().map_err(|error| error.to_string())?.to_owned();
    let places = Places::of(&model_type).ok_or_else(|| {
        format!("its backbone is of model_type `{model_type}`; expected llava, idefics3, smolvlm or llama, whose modules' names are known")
    })?;
    Ok((name.clone(), places))
}

/// The global adapters, where there are some, and every client with adapters of its own.
fn owners(adapters: &Adapters) -> BTreeSet<Option<String>> {
    let owner = |name: &String| {
        let client = name.split_once('/').filter(|(client, _)| client.starts_with(CLIENT));
        client.map(|(client, _)| client.to_owned())
    };
    adapters.iter().map(|(name, _)| owner(name)).collect()
}

fn of_client(adapters: &Adapters, client: &str) -> Adapters {
    let own = |(name, tensor): (&String, &candle_core::Tensor)| {
        Some((name.strip_prefix(client)?.strip_prefix('/')?.to_owned(), tensor.clone()))
    };
    adapters.iter().filter_map(own).collect()
}

/// The files of one set of adapters, by name.
fn written_of(run: &Run, base: &str, places: &Places, own: &Adapters) -> Result<Vec<(&'static str, Vec<u8>)>, String> {
    let (mut tensors, mut modules, mut ranks) = (Adapters::default(), BTreeSet::new(), BTreeSet::new());
    for (name, tensor) in own.iter() {
        let (site, half) = name.rsplit_once('.').unwrap_or((name, ""));
        let rank = match half {
            "lora_A" => tensor.dims().first(),
            "lora_B" => tensor.dims().last(),
            _ => return Err(format!("it has trained `{}`, which is no LoRA matrix", guard::text::line(name, 80))),
        };
        let module =
            places.module(site).ok_or_else(|| format!("its adapters at `{site}` have no module in transformers' class"))?;
        ranks.extend(rank.copied());
        tensors.insert(format!("{PREFIX}.{module}.{half}.weight"), tensor.clone());
        modules.insert(module);
    }
    let [rank] = ranks.iter().copied().collect::<Vec<_>>()[..] else {
        return Err(format!("its matrices are of ranks {ranks:?}; expected one"));
    };
    let alpha = run.experiment.adapter.alpha.unwrap_or(2.0 * rank as f64);
    let config = json!({
        "peft_type": "LORA", "auto_mapping": null, "base_model_name_or_path": base, "bias": "none", "fan_in_fan_out": false,
        "inference_mode": true, "init_lora_weights": true, "lora_alpha": alpha, "lora_dropout": 0.0, "modules_to_save": null,
        "r": rank, "revision": null, "target_modules": modules, "task_type": null, "use_dora": false, "use_rslora": false,
    });
    let config = serde_json::to_vec_pretty(&config).map_err(|error| error.to_string())?;
    let tensors = tensors.to_bytes().map_err(|error| error.to_string())?;
    let card = card(run, base).into_bytes();
    Ok(vec![("adapter_config.json", config), ("adapter_model.safetensors", tensors), ("README.md", card)])
}

fn save(folder: &Path, files: Vec<(&'static str, Vec<u8>)>) -> Result<Vec<PathBuf>> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let save = |(name, bytes): (&str, Vec<u8>)| {
        let path = folder.join(name);
        guard::files::write_unlocked(&path, &bytes).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    };
    files.into_iter().map(save).collect()
}

/// A model card as the Hub reads it: what was tuned, how, and what came out.
fn card(run: &Run, base: &str) -> String {
    let (summary, metadata) = (
        &run.summary,
        json!({
            "base_model": base,
            "library_name": "peft",
            "tags": ["federated-learning", "lora", "fedbench"],
            "model-index": [{
                "name": run.summary.run,
                "results": [{
                    "task": {"type": "visual-question-answering"},
                    "dataset": {"type": run.dataset, "name": run.dataset, "split": run.experiment.data.test_split},
                    "metrics": [{"type": "accuracy", "value": run.summary.accuracy, "name": "Accuracy", "verified": false}],
                }],
            }],
        }),
    );
    // JSON is YAML.
    let accuracy = 100.0 * summary.accuracy;
    format!(
        "---\n{metadata}\n---\n\n# {}\n\nLoRA tuned by {} on {} ({} clients, {} rounds, seed {}), {} parameters; {accuracy:.1}% of {} test rows. \
         Made by fedbench {}, commit {}.\n\n```python\nfrom peft import PeftModel\n\nmodel = PeftModel.from_pretrained(base, \"FOLDER\")  \
         # base: {base}, as transformers loads it\n```\n",
        summary.run,
        summary.method,
        run.dataset,
        summary.clients,
        summary.rounds,
        summary.seed,
        summary.trainable_parameters,
        summary.test_examples,
        run.environment.version,
        run.environment.commit,
    )
}

#[cfg(test)]
mod tests {
    use super::Places;

    #[test]
    fn sites_are_transformers_modules() {
        let module = |model_type: &str, site: &str| Places::of(model_type).and_then(|places| places.module(site));
        assert_eq!(module("llava", "layers.3.q_proj").as_deref(), Some("model.language_model.layers.3.self_attn.q_proj"));
        assert_eq!(module("llava", "connector.linear_1").as_deref(), Some("model.multi_modal_projector.linear_1"));
        assert_eq!(module("smolvlm", "layers.0.down_proj").as_deref(), Some("model.text_model.layers.0.mlp.down_proj"));
        assert_eq!(module("llama", "layers.11.o_proj").as_deref(), Some("model.layers.11.self_attn.o_proj"));
        assert_eq!((module("llama", "connector.linear_1"), module("bert", "layers.0.q_proj")), (None, None));
        assert_eq!(module("llama", "layers.0.ffn"), None);
    }
}
