//! Is a backbone, or a kind of adapter, one file and one row, from outside too?

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device, Tensor, safetensors};
use serde_json::{Value, json};

use crate::cli::Desk;
use crate::support::{Test, normal};

/// `examples/my_backbone.rs`. (Tests lie in `deps`, examples beside that.)
fn example(desk: &Desk, arguments: &[&str]) -> Result<Output> {
    let tests = std::env::current_exe()?;
    let example = tests.ancestors().nth(2).context("a target folder")?.join("examples/my_backbone");
    Command::new(example).args(arguments).current_dir(desk.path()).output().context("cargo test builds the example")
}

fn llava() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/folders/llava")
}

/// A folder of the example's architecture: the decoder of the fixture `llava`, and a projection of its own.
fn patches(desk: &Desk) -> Test {
    let folder = desk.path().join("eyeless");
    std::fs::create_dir(&folder)?;
    std::fs::copy(llava().join("tokenizer.json"), folder.join("tokenizer.json"))?;
    let config: Value = serde_json::from_slice(&std::fs::read(llava().join("config.json"))?)?;
    let config = json!({
        "model_type": "patches", "text_config": config["text_config"], "image_size": 24, "patch_size": 8, "image_token_index": 345,
        "chat": {"turn": "USER: {images}{prompt}", "image": "<image>", "answer": " ASSISTANT:", "end": "</s>", "begin": "<s>"}
    });
    std::fs::write(folder.join("config.json"), config.to_string())?;
    let mut weights: HashMap<String, Tensor> = HashMap::new();
    for entry in std::fs::read_dir(llava())? {
        let path = entry?.path();
        if path.to_string_lossy().contains("model-0") {
            weights.extend(safetensors::load(path, &Device::Cpu)?);
        }
    }
    weights.retain(|name, _| name.starts_with("language_model."));
    weights.insert("projection.weight".into(), (normal("projection", (32, 192), DType::F32)? * 0.1)?);
    weights.insert("projection.bias".into(), normal("bias", 32, DType::F32)?);
    Ok(safetensors::save(&weights, folder.join("model.safetensors"))?)
}

/// A backbone and a kind of adapter from outside go the whole way, and stand in the lists; the suite's own program knows neither.
#[test]
fn a_backbone_of_ones_own() -> Test {
    let desk = Desk::new();
    patches(&desk)?;
    let text = "[backbone]\nname = \"eyeless\"\n[data]\ndataset = \"icongen\"\ntrain_limit = 20\ntest_limit = 10\n\
        [federation]\nrounds = 1\nlocal_steps = 2\n[partition]\nclients = 2\n[adapter]\nkind = \"projection\"\n\
        [method]\nname = \"fedavg\"\n";
    desk.write("mine.toml", text);
    let ran = example(&desk, &["run", "mine.toml", "--quiet"])?;
    ensure!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let run = std::fs::read_dir(desk.path().join("runs"))?.next().context("a run")??.path();
    let summary: Value = serde_json::from_slice(&std::fs::read(run.join("summary.json"))?)?;
    assert_eq!((summary["backbone"].as_str(), summary["adapter"].as_str()), (Some("eyeless"), Some("projection")));
    let adapters = safetensors::load(run.join("adapters.safetensors"), &Device::Cpu)?;
    let mut shapes: Vec<(&str, &[usize])> = adapters.iter().map(|(name, tensor)| (name.as_str(), tensor.dims())).collect();
    shapes.sort_unstable();
    assert_eq!(shapes, [("connector.projection.down", &[2, 192][..]), ("connector.projection.up", &[32, 2][..])]);
    let up = adapters["connector.projection.up"].abs()?.max_all()?.to_scalar::<f32>()?;
    ensure!(up > 0.0, "nothing was trained");

    let adapters = run.join("adapters.safetensors").display().to_string();
    let eval =
        ["eval", "--backbone", "eyeless", "--dataset", "icongen", "--limit", "10", "--adapters", &adapters, "--out", "judged"];
    let judged = example(&desk, &eval)?;
    ensure!(judged.status.success(), "{}", String::from_utf8_lossy(&judged.stderr));
    let judged: Value = serde_json::from_slice(&std::fs::read(desk.path().join("judged/evaluation.json"))?)?;
    assert_eq!(judged["accuracy"], summary["accuracy"]);

    for (what, name) in [("backbones", "patches"), ("adapters", "projection")] {
        let listed = example(&desk, &["list", what])?;
        ensure!(String::from_utf8_lossy(&listed.stdout).contains(&format!("{name}\n")), "{what}");
    }
    desk.expect(&["validate", "mine.toml"], 2, &["unknown adapter.kind `projection`"]);
    let eval = ["eval", "--backbone", "eyeless", "--dataset", "icongen", "--out", "o"];
    desk.expect(&eval, 1, &["eyeless/config.json: model_type = \"patches\" is not supported; there are \"llava\""]);
    Ok(())
}
