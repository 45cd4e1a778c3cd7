//! Files of backbones: safetensors, shard indices, configs, image processors, tokenizers, GGUF.

use anyhow::{Context, Result};
use candle_core::{DType, Device, Tensor};
use models::adapter::Untouched;
use models::llama::Llama;
use models::smol::Llm;
use models::{self, Backbone, Batch, Branch, Sequence};
use seed::Stream;

use super::{attack, fixtures};
use crate::mutate;
use crate::support::Test;

/// A copy of a fixture's folder in which one file is replaced from case to case.
struct Folder {
    folder: tempfile::TempDir,
}

impl Folder {
    fn of(name: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        for entry in std::fs::read_dir(fixtures().join("folders").join(name))? {
            let entry = entry?;
            if entry.file_name() != "expect.safetensors" {
                std::fs::copy(entry.path(), folder.path().join(entry.file_name()))?;
            }
        }
        Ok(Self { folder })
    }

    fn read(&self, name: &str) -> Result<Vec<u8>> {
        Ok(std::fs::read(self.folder.path().join(name))?)
    }

    /// Loads the model with this in the file's place; then a picture and a prompt go through it.
    fn with(&self, name: &str, bytes: &[u8]) -> Result<()> {
        std::fs::write(self.folder.path().join(name), bytes)?;
        use_it(&*models::load(self.folder.path().to_str().context("a path in UTF-8")?, &Device::Cpu)?)
    }
}

fn use_it(model: &dyn Backbone) -> Result<()> {
    let (preprocess, text) = (model.preprocess(), model.text());
    let picture = std::fs::read(fixtures().join("preprocess/tall.png"))?;
    let tiles = preprocess.tiles(&picture)?;
    let pixels = preprocess.pixels(&picture, u64::MAX)?;
    let shape = (tiles.squares(), 3, preprocess.size, preprocess.size);
    let features = model.encode(&Tensor::from_vec(pixels, shape, &Device::Cpu)?)?;
    let (prefix, _) = text.prefix("Which is it? <image> é 12\nA. x", &[tiles], 64)?;
    let images = (0..tiles.squares()).collect();
    let sequence = Sequence { prefix, images, branches: vec![Branch::answer(text.answer("B")?)] };
    let batch = Batch::new(&[&sequence], text.image_token(), DType::F32, &Device::Cpu)?;
    let logits = model.decode(&model.embed(&batch, &features)?, &Untouched)?;
    text.decode(&[logits.dim(0)? as u32])?;
    Ok(())
}

/// The same file of several folders.
fn folders(target: &str, of: &[(&str, &str)], damage: fn(&[u8], &mut Stream) -> Vec<u8>) -> Test {
    let folders = of.iter().map(|(name, _)| Folder::of(name)).collect::<Result<Vec<_>>>()?;
    let files = folders.iter().zip(of).map(|(folder, (_, file))| folder.read(file)).collect::<Result<Vec<_>>>()?;
    for ((folder, (_, name)), file) in folders.iter().zip(of).zip(&files) {
        folder.with(name, file)?;
    }
    attack(target, &files, damage, |which, bytes| folders[which].with(of[which].1, bytes))
}

#[test]
fn safetensors() -> Test {
    let files = [
        ("llava", "model-00006-of-00006.safetensors"),
        ("llava-tied", "model.safetensors"),
        ("smolvlm", "model.safetensors"),
        ("minigpt4", "model.safetensors"),
    ];
    folders("safetensors", &files, mutate::bytes)
}

/// The header alone, its length set right again, so that damage reaches what the header says.
#[test]
fn safetensors_headers() -> Test {
    let files = [("llava-tied", "model.safetensors"), ("smolvlm", "model.safetensors")];
    folders("safetensors headers", &files, |file, stream| {
        let length = u64::from_le_bytes(file[..8].try_into().expect("8 bytes")) as usize;
        let header = mutate::json(&file[8..8 + length], stream);
        [&(header.len() as u64).to_le_bytes(), header.as_slice(), &file[8 + length..]].concat()
    })
}

#[test]
fn shard_indices() -> Test {
    folders("shard indices", &[("llava", "model.safetensors.index.json")], mutate::json)
}

#[test]
fn configs() -> Test {
    folders("configs", &["llava", "llava-tied", "smolvlm", "minigpt4"].map(|name| (name, "config.json")), mutate::json)
}

#[test]
fn image_processors() -> Test {
    let files = [
        ("llava", "processor_config.json"),
        ("llava-tied", "preprocessor_config.json"),
        ("smolvlm", "processor_config.json"),
        ("smolvlm-tiles", "processor_config.json"),
        ("minigpt4", "preprocessor_config.json"),
    ];
    folders("image processors", &files, mutate::json)
}

#[test]
fn tokenizers() -> Test {
    folders("tokenizers", &["llava", "smolvlm"].map(|name| (name, "tokenizer.json")), mutate::json)
}

#[test]
fn gguf() -> Test {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("damaged.gguf");
    let file = std::fs::read(fixtures().join("smol/tiny.gguf"))?;
    attack("gguf", &[file], mutate::bytes, |_, bytes| {
        std::fs::write(&path, bytes)?;
        let llm = Llm::open(&path)?;
        llm.tokenizer().encode("the 12 threes, é <|im_end|>", false).map_err(anyhow::Error::msg)?;
        let config = llm.config().clone();
        Llama::new(&config, &llm.weights(DType::F32, &Device::Cpu))?;
        Ok(())
    })
}
