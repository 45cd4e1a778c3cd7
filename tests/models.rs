//! Folders of backbones are read as transformers reads them, or refused with the file, the tensor or the key and what would be right:
//! what is stale, missing, damaged, not finite, too big or there twice.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device};
use data::Tiles;
use models::smol::Llm;
use models::{self, Backbone};
use serde_json::{Value, json};

use crate::cli::Desk;
use crate::support::{Test, setup};

const POINTER: &str = "version https://git-lfs.github.com/spec/v1\noid sha256:5e5e\nsize 146946961\n";

/// A copy of a fixture's folder.
struct Model {
    folder: tempfile::TempDir,
}

impl Model {
    fn of(name: &str) -> Result<Self> {
        setup();
        let model = Self { folder: tempfile::tempdir()? };
        for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/folders").join(name))? {
            let entry = entry?;
            if entry.file_name() != "expect.safetensors" {
                std::fs::copy(entry.path(), model.folder.path().join(entry.file_name()))?;
            }
        }
        Ok(model)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> Result<&Self> {
        std::fs::write(self.path(name), bytes)?;
        Ok(self)
    }

    /// Rewrites a JSON file.
    fn edit(&self, name: &str, change: impl FnOnce(&mut Value)) -> Result<&Self> {
        let mut table = serde_json::from_slice(&std::fs::read(self.path(name))?)?;
        change(&mut table);
        self.write(name, serde_json::to_vec(&table)?)
    }

    /// Rewrites the f32 numbers of the tensors whose names end so.
    fn numbers(&self, ending: &str, change: impl Fn(&mut [f32])) -> Result<&Self> {
        let mut bytes = std::fs::read(self.path("model.safetensors"))?;
        let data = 8 + u64::from_le_bytes(bytes[..8].try_into()?) as usize;
        let header: serde_json::Map<String, Value> = serde_json::from_slice(&bytes[8..data])?;
        let mut found = false;
        for (_, tensor) in header.iter().filter(|(name, _)| name.ends_with(ending)) {
            let place =
                |at: usize| Ok::<_, anyhow::Error>(data + tensor["data_offsets"][at].as_u64().context("a place")? as usize);
            let raw = &mut bytes[place(0)?..place(1)?];
            let mut numbers: Vec<f32> = raw.as_chunks().0.iter().map(|number| f32::from_le_bytes(*number)).collect();
            change(&mut numbers);
            raw.copy_from_slice(&numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>());
            found = true;
        }
        ensure!(found, "no tensor ends in {ending}");
        self.write("model.safetensors", bytes)
    }

    fn load_as(&self, dtype: DType) -> Result<Box<dyn Backbone>> {
        Ok(models::load_as(self.folder.path().to_str().context("a path in UTF-8")?, dtype, &Device::Cpu)?)
    }

    fn load(&self) -> Result<Box<dyn Backbone>> {
        self.load_as(DType::F32)
    }

    /// Loading fails, and all of these are said, in a message of bounded length.
    fn fails(&self, texts: &[&str]) -> Test {
        said(self.load().err(), texts)
    }
}

fn said(error: Option<anyhow::Error>, texts: &[&str]) -> Test {
    let said = error.with_context(|| format!("expected an error with {texts:?}"))?.to_string();
    for text in texts {
        ensure!(said.contains(text), "expected {text:?} in: {said}");
    }
    ensure!(said.len() < 1_500 && !said.contains("backtrace"), "{said}");
    Ok(())
}

/// The nested table is what transformers 5 reads, however stale a file of transformers 4 beside it; without it, that file.
#[test]
fn the_nested_image_processor_wins() -> Test {
    let fit = |model: &Model| Ok::<_, anyhow::Error>(model.load()?.preprocess().clone());
    let new = Model::of("smolvlm-tiles")?;
    let nested: Value = serde_json::from_slice(&std::fs::read(new.path("processor_config.json"))?)?;
    let mut stale = nested["image_processor"].clone();
    stale["do_image_splitting"] = false.into();
    let expect = fit(&new)?;
    new.write("preprocessor_config.json", stale.to_string())?;
    assert_eq!(fit(&new)?, expect);

    let old = Model::of("smolvlm-tiles")?;
    std::fs::remove_file(old.path("processor_config.json"))?;
    old.fails(&["neither a processor_config.json with a table `image_processor` nor a preprocessor_config.json"])?;
    old.write("preprocessor_config.json", stale.to_string())?;
    let whole = fit(&old)?;
    assert_ne!(whole, expect);
    // As transformers 4 wrote the two: settings of the processor alone.
    old.write("processor_config.json", json!({"image_seq_len": 4, "processor_class": "Idefics3Processor"}).to_string())?;
    assert_eq!(fit(&old)?, whole);
    old.write("processor_config.json", json!({"image_processor": null}).to_string())?;
    assert_eq!(fit(&old)?, whole);
    old.write("processor_config.json", "[]")?.fails(&["processor_config.json", "no JSON table"])?;
    old.write("processor_config.json", json!({"image_processor": "x"}).to_string())?
        .fails(&["processor_config.json", "no table"])?;
    let std = json!({"image_processor": {"image_std": [0.5, 0, 0.5]}});
    old.write("processor_config.json", std.to_string())?.fails(&["processor_config.json", "image_std", "above 0"])
}

/// Whatever file is a pointer, it is said before anything is made of it.
#[test]
fn git_lfs_pointers_are_named() -> Test {
    for (folder, name) in [
        ("llava-tied", "config.json"),
        ("llava-tied", "tokenizer.json"),
        ("llava-tied", "model.safetensors"),
        ("llava-tied", "preprocessor_config.json"),
        ("smolvlm", "processor_config.json"),
        ("llava", "model.safetensors.index.json"),
        ("llava", "model-00004-of-00006.safetensors"),
    ] {
        Model::of(folder)?.write(name, POINTER)?.fails(&[name, "is a Git LFS pointer", "git lfs pull", "fetch"])?;
    }
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("model.gguf");
    std::fs::write(&path, POINTER)?;
    said(Llm::open(&path).err().map(Into::into), &["model.gguf", "is a Git LFS pointer"])
}

/// Pipes and folders in a file's place are an error at once, and so is a file of any size where settings are expected.
#[cfg(unix)]
#[test]
fn files_are_regular_and_of_bounded_size() -> Test {
    for name in ["config.json", "tokenizer.json", "model.safetensors", "preprocessor_config.json"] {
        let model = Model::of("llava-tied")?;
        std::fs::remove_file(model.path(name))?;
        ensure!(std::process::Command::new("mkfifo").arg(model.path(name)).status()?.success());
        model.fails(&[name, "it is a pipe, a socket or a device; expected a regular file"])?;
        std::fs::remove_file(model.path(name))?;
        std::fs::create_dir(model.path(name))?;
        model.fails(&[name, "it is a folder; expected a regular file"])?;
        std::fs::remove_dir(model.path(name))?;
        std::os::unix::fs::symlink("/nowhere", model.path(name))?;
        model.fails(&[name, "No such file"])?;
    }
    for (name, size) in [("config.json", 5u64 << 20), ("tokenizer.json", 33 << 20), ("preprocessor_config.json", 5 << 20)] {
        let model = Model::of("llava-tied")?;
        std::fs::File::create(model.path(name))?.set_len(size)?;
        model.fails(&[name, "it is longer than the"])?;
    }
    Ok(())
}

/// What was not saved is said with what it would take.
#[test]
fn what_is_missing_is_said_with_the_way_out() -> Test {
    let untied = Model::of("llava-tied")?;
    untied.edit("config.json", |config| config["tie_word_embeddings"] = false.into())?;
    untied.edit("config.json", |config| config["text_config"]["tie_word_embeddings"] = false.into())?;
    untied.fails(&["no tensor `language_model.lm_head.weight`", "`tie_word_embeddings` in config.json must be true"])?;

    for (name, whose) in [("tokenizer.model", "SentencePiece's"), ("vocab.json", "GPT-2's")] {
        let pieces = Model::of("llava-tied")?;
        std::fs::rename(pieces.path("tokenizer.json"), pieces.path(name))?;
        pieces.fails(&[name, whose, "no tokenizer.json", "AutoTokenizer.from_pretrained(", ").save_pretrained("])?;
    }
    let load = |name: &str| models::load(name, &Device::Cpu).err().map(anyhow::Error::from);
    let spec = |name: &str| models::spec(name).err().map(anyhow::Error::from);
    for path in ["./nowhere", "no/where", "/no/where", "nowhere/", "~/llava"] {
        said(load(path), &[path, "there is no such folder"])?;
        said(spec(path), &[path, "there is no such folder"])?;
    }
    let file = untied.path("config.json");
    said(load(file.to_str().context("UTF-8")?), &["config.json", "is no folder; expected the name of a backbone"])?;
    said(load("nanno"), &["nanno", "nano"])
}

/// A head in the file is not dropped unseen because the config calls it the embedding.
#[test]
fn a_head_is_the_embedding_or_it_is_not() -> Test {
    for (change, fails) in [(0.0f32, false), (1.0, true)] {
        let model = Model::of("llava-tied")?;
        let bytes = std::fs::read(model.path("model.safetensors"))?;
        let tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu)?;
        let (name, embedding) = tensors.iter().find(|(name, _)| name.ends_with("embed_tokens.weight")).context("an embedding")?;
        let head = (embedding + f64::from(change))?;
        let mut tensors = tensors.clone();
        // As the folder's own names have it, beside the embedding.
        let prefix = if name.starts_with("model.") { "" } else { "language_model." };
        tensors.insert(format!("{prefix}lm_head.weight"), head);
        candle_core::safetensors::save(&tensors, model.path("model.safetensors"))?;
        match fails {
            false => drop(model.load()?),
            true => model.fails(&["config.json", "tie_word_embeddings = true", "not the token embedding"])?,
        }
    }
    Ok(())
}

/// Numbers that are none, and numbers that 16 bits cannot hold.
#[test]
fn weights_are_finite() -> Test {
    for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for tensor in ["model.norm.weight", "layers.0.mlp.up_proj.weight", "linear_1.bias", "patch_embedding.weight"] {
            let model = Model::of("llava-tied")?;
            let last = |numbers: &mut [f32]| numbers.iter_mut().rev().take(1).for_each(|number| *number = wrong);
            let tensor = if tensor == "model.norm.weight" { "norm.weight" } else { tensor };
            model.numbers(tensor, last)?.fails(&["model.safetensors: tensor `", tensor, "not finite"])?;
        }
    }
    let large = Model::of("llava-tied")?;
    large.numbers("embed_tokens.weight", |numbers| numbers[7] = -70_000.0)?;
    large.load()?;
    large.load_as(DType::BF16)?;
    said(large.load_as(DType::F16).err(), &["embed_tokens.weight` holds 70000, more than the 65504 of f16: use bf16 or f32"])
}

/// The same in a GGUF file: the number that scales a block of quantised ones.
#[test]
fn scales_of_quantised_weights_are_finite() -> Test {
    setup();
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("damaged.gguf");
    let mut bytes = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/smol/tiny.gguf"))?;
    let end = bytes.len();
    bytes[end - 300..].fill(0xff);
    std::fs::write(&path, &bytes)?;
    let llm = Llm::open(&path)?;
    let config = llm.config().clone();
    let built = models::llama::Llama::new(&config, &llm.weights(DType::F32, &Device::Cpu));
    said(built.err().map(|error| anyhow::anyhow!("{error}")), &["damaged.gguf: tensor `", "not finite"])
}

/// What the format's own library refuses is refused.
#[test]
fn every_byte_of_a_checkpoint_belongs_to_one_tensor() -> Test {
    let model = Model::of("llava-tied")?;
    let bytes = std::fs::read(model.path("model.safetensors"))?;
    let data = 8 + u64::from_le_bytes(bytes[..8].try_into()?) as usize;
    let header = std::str::from_utf8(&bytes[8..data])?.trim_end().to_owned();
    let with = |header: &str, tail: &[u8]| [&(header.len() as u64).to_le_bytes(), header.as_bytes(), tail].concat();
    let open = |extra: &str| format!("{}{extra}}}", header.strip_suffix('}').unwrap_or(&header));
    let length = bytes.len() - data;
    let again = r#","extra":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}"#;
    let behind = format!(r#","extra":{{"dtype":"F32","shape":[1],"data_offsets":[{},{}]}}"#, length + 4, length + 8);
    let mut longer = bytes[data..].to_vec();
    longer.extend([0; 8]);
    model.write("model.safetensors", with(&header, &bytes[data..]))?.load()?;
    model.write("model.safetensors", with(&header, &longer))?.fails(&["goes on for 8 bytes behind its last tensor"])?;
    model.write("model.safetensors", with(&open(again), &bytes[data..]))?.fails(&["overlaps the one before it"])?;
    model.write("model.safetensors", with(&open(&behind), &longer))?.fails(&["`extra` leaves a hole"])?;
    let first = header.split('"').nth(1).context("a name")?;
    let twice = open(&format!(r#","{first}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}"#));
    model.write("model.safetensors", with(&twice, &bytes[data..]))?.fails(&["is there twice"])
}

/// No text of a dataset becomes a picture or an end, whatever a tokenizer's normalizer does; a tokenizer stays within its budgets.
#[test]
fn tokenizers_keep_within_bounds() -> Test {
    let with = |steps: Vec<Value>| -> Result<Model> {
        let model = Model::of("smolvlm")?;
        model.edit("tokenizer.json", |file| file["normalizer"] = json!({"type": "Sequence", "normalizers": steps}))?;
        Ok(model)
    };
    let replace = |pattern: &str, content: &str| json!({"type": "Replace", "pattern": {"String": pattern}, "content": content});
    // The special tokens are looked for in the normalized text.
    let undoing = with(vec![replace("< ", "<")])?;
    undoing.edit("tokenizer.json", |file| {
        file["added_tokens"].as_array_mut().into_iter().flatten().for_each(|token| token["normalized"] = true.into());
    })?;
    let model = undoing.load()?;
    model.text().prefix("what is shown?", &[Tiles::WHOLE], 64)?;
    for hostile in ["see <image> here", "and <end_of_utterance>"] {
        let special = if hostile.contains("image") { "<image>" } else { "<end_of_utterance>" };
        let prefix = model.text().prefix(hostile, &[Tiles::WHOLE], 64);
        said(prefix.err().map(Into::into), &["takes for its special token", special])?;
        said(model.text().answer(hostile).err().map(Into::into), &["takes for its special token", special])?;
    }

    let doubling = (0..40).map(|_| replace("a", "aa")).collect();
    with(doubling)?.fails(&["tokenizer.json", "may make", "of a text of 1000"])?;
    let model = with((0..8).map(|_| replace("a", "aa")).collect())?.load()?;
    let long = "a".repeat(100_000);
    said(model.text().prefix(&long, &[], 64).err().map(Into::into), &["a text of 100000 bytes", "may make 51200001"])?;

    let split = Model::of("smolvlm")?;
    let pattern =
        json!({"type": "Split", "behavior": "Isolated", "invert": false, "pattern": {"Regex": "(?=(a*)(a*)(a*)\\3b)x|[^x]"}});
    split.edit("tokenizer.json", |file| file["pre_tokenizer"] = pattern)?;
    let model = split.load()?;
    let slow = format!("{}x", "a".repeat(100)).repeat(400);
    said(model.text().prefix(&slow, &[], 64).err().map(Into::into), &["did not end one text of", "backtracks"])?;

    let dropout = Model::of("smolvlm")?;
    dropout.edit("tokenizer.json", |file| file["model"]["dropout"] = 0.1.into())?;
    dropout.fails(&["tokenizer.json", "model.dropout = 0.1"])?;
    // A placeholder that is split into letters would leave the pictures out.
    let split = Model::of("smolvlm")?;
    split.edit("tokenizer.json", |file| {
        let image =
            file["added_tokens"].as_array().and_then(|all| all.iter().find(|token| token["content"] == "<image>")).cloned();
        let id = image.map_or(Value::Null, |token| token["id"].clone());
        file["added_tokens"] = json!([]);
        file["model"]["vocab"]["<image>"] = id;
        for (at, token) in ["<end_of_utterance>", "<fake_token_around_image>", "<global-img>"].iter().enumerate() {
            file["model"]["vocab"][*token] = json!(320 + at);
        }
    })?;
    let prefix = split.load()?.text().prefix("what?", &[Tiles::WHOLE], 64);
    said(prefix.err().map(Into::into), &["writes 0 tokens `<image>` for 1 pictures"])
}

/// A chat format writes a prompt once, and no megabytes.
#[test]
fn chat_formats_do_not_multiply() -> Test {
    let with = |key: &str, value: &str| -> Result<Model> {
        let model = Model::of("llava-tied")?;
        let mut chat =
            json!({"turn": "USER: {images}{prompt}", "image": "<image>", "answer": " ASSISTANT:", "end": "</s>", "begin": "<s>"});
        chat[key] = value.into();
        model.edit("config.json", |config| config["chat"] = chat)?;
        Ok(model)
    };
    with("answer", " A:")?.load()?;
    with("turn", "{prompt} {prompt}")?.fails(&["config.json: chat.turn holds {prompt} 2 times; expected once"])?;
    with("turn", &"{images}".repeat(100_000))?.fails(&["chat.turn has 800000 bytes; at most 10000"])?;
    with("answer", &"x".repeat(3_000_000))?.fails(&["chat.answer has 3000000 bytes"])?;
    with("before_image", "<image><image>")?.fails(&["chat.before_image holds the placeholder's token"])?;
    with("end", &"y".repeat(9_999))?.fails(&["the tokenizer has no token `yyy"])
}

/// Sizes that no memory holds are refused by their key, before anything is allocated.
#[test]
fn sizes_are_bounded() -> Test {
    let with = |table: &str, key: &str, value: u64| -> Result<Model> {
        let model = Model::of("llava-tied")?;
        model.edit("config.json", |config| config[table][key] = value.into())?;
        Ok(model)
    };
    with("text_config", "head_dim", 1 << 40)?.fails(&["num_attention_heads * head_dim", "between 1 and"])?;
    with("text_config", "vocab_size", 1 << 62)?.fails(&["text_config.vocab_size"])?;
    with("text_config", "hidden_size", 1 << 20)?.fails(&["does not fit"])?;
    with("vision_config", "image_size", 1 << 20)?.fails(&["config.json"])?;
    let model = Model::of("llava-tied")?;
    model.edit("config.json", |config| config["scale_factor"] = (1u64 << 32).into())?.fails(&["scale_factor", "at most 64"])?;
    let mut names: Vec<String> = (0..1001).map(|i| format!("\"{i}\":\"{i}.safetensors\"")).collect();
    names.sort();
    let index = Model::of("llava")?;
    index.write("model.safetensors.index.json", format!("{{\"weight_map\":{{{}}}}}", names.join(",")))?;
    index.fails(&["model.safetensors.index.json", "names 1001 files; at most 1000"])
}

/// A config that says less than the weights hold makes another model, and so do numbers that no model has.
#[test]
fn a_config_is_that_of_its_weights() -> Test {
    let no_place = ["model.safetensors", "has no place in the model that config.json describes"];
    let changed = |folder: &str, table: &str, key: &str, value: Value| -> Result<Model> {
        let model = Model::of(folder)?;
        model.edit("config.json", |config| config[table][key] = value)?;
        Ok(model)
    };
    for (folder, table, key, value) in [
        ("llava-tied", "text_config", "num_hidden_layers", json!(1)),
        ("llava-tied", "text_config", "attention_bias", json!(false)),
        ("llava-tied", "vision_config", "num_hidden_layers", json!(2)),
        ("smolvlm", "text_config", "num_hidden_layers", json!(1)),
        ("smolvlm", "vision_config", "num_hidden_layers", json!(1)),
        ("minigpt4", "text_config", "num_hidden_layers", json!(1)),
        ("minigpt4", "vision_config", "num_hidden_layers", json!(1)),
        ("minigpt4", "qformer_config", "num_hidden_layers", json!(1)),
        ("minigpt4", "qformer_config", "cross_attention_frequency", json!(100)),
    ] {
        changed(folder, table, key, value)?.fails(&no_place).with_context(|| format!("{folder}: {table}.{key}"))?;
    }
    for (folder, table, key, value) in [
        ("llava-tied", "text_config", "rms_norm_eps", json!(1.0)),
        ("llava-tied", "text_config", "rms_norm_eps", json!(0.0)),
        ("llava-tied", "vision_config", "layer_norm_eps", json!(1e-320)),
        ("minigpt4", "qformer_config", "layer_norm_eps", json!(1e30)),
        ("smolvlm", "text_config", "rope_parameters", json!({"rope_theta": 1e300})),
        ("smolvlm", "text_config", "rope_parameters", json!({"rope_type": "linear", "factor": 1e-9})),
    ] {
        changed(folder, table, key, value)?.fails(&[&format!("{table}.{key}"), "it must be"])?;
    }
    let quantised = Model::of("smolvlm")?;
    quantised.edit("config.json", |config| config["quantization_config"] = json!({"quant_method": "gptq"}))?;
    quantised.fails(&["config.json", "quantization_config", "quantised weights are not read"])?;
    let marked = Model::of("smolvlm")?;
    let config = std::fs::read(marked.path("config.json"))?;
    marked.write("config.json", [b"\xef\xbb\xbf".as_slice(), &config].concat())?;
    marked.fails(&["config.json", "byte order mark"])?;
    let large = Model::of("llava-tied")?;
    large.numbers("embed_tokens.weight", |numbers| numbers.iter_mut().for_each(|number| *number *= 1e30))?;
    large.fails(&["embed_tokens.weight", "weights up to 1e15 are read"])
}

/// An added token behind all others of the folder `llava`, which has a row for each of its 346.
fn added(content: &str) -> Result<Model> {
    let model = Model::of("llava")?;
    let token = json!({
        "id": 346, "content": content, "special": false, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false
    });
    model.edit("tokenizer.json", |table| table["added_tokens"].as_array_mut().expect("added tokens").push(token))?;
    Ok(model)
}

/// A chat format of the folder `llava`.
fn chat(answer: &str, end: &str) -> Value {
    json!({"turn": "USER: {images}{prompt}", "image": "<image>", "answer": answer, "end": end, "begin": "<s>", "joined": true})
}

/// Checkpoints may have more added tokens than rows of their embedding: such a token is refused where a text asks for it, and at once
/// where every text would.
#[test]
fn tokens_without_a_row_are_refused_where_they_are_asked_for() -> Test {
    let zebra = ["tokenizer.json: ", "token id 346, `zebra`, has no row in an embedding of 346"];
    let model = added("zebra")?;
    let loaded = model.load()?;
    let text = loaded.text();
    text.prefix("a horse", &[Tiles::WHOLE], usize::MAX)?;
    said(text.prefix("a zebra?", &[Tiles::WHOLE], usize::MAX).err().map(Into::into), &zebra)?;
    said(text.answer("zebra").err().map(Into::into), &zebra)?;
    for chat in [chat(" zebra:", "</s>"), chat(" ASSISTANT:", "zebra")] {
        added("zebra")?.edit("config.json", |table| table["chat"] = chat)?.fails(&zebra)?;
    }

    // A mark that only some pictures are written with.
    let tiles = Model::of("smolvlm-tiles")?;
    tiles.edit("tokenizer.json", |table| {
        let tokens = table["added_tokens"].as_array_mut().expect("added tokens");
        let (mut last, at) = (tokens[0].clone(), tokens.len() - 1);
        last["content"] = "<unasked>".into();
        last["id"] = tokens[at]["id"].clone();
        tokens[at]["id"] = 336.into();
        tokens.insert(at, last);
    })?;
    let loaded = tiles.load()?;
    let cut = |rows, columns| loaded.text().prefix("What?", &[Tiles { rows, columns }], usize::MAX);
    cut(2, 4)?;
    said(
        cut(3, 4).err().map(Into::into),
        &["tokenizer.json: ", "token id 336, `<row_3_col_4>`, has no row in an embedding of 336"],
    )
}

/// The example is named.
#[test]
fn a_text_that_asks_for_such_a_token_is_named() -> Test {
    let (desk, model) = (Desk::new(), added("Which")?);
    let folder = model.folder.path().to_str().context("a path in UTF-8")?;
    let eval = ["eval", "--backbone", folder, "--dataset", "icongen", "--limit", "4", "--out", "o"];
    let said = desk.expect(
        &eval,
        1,
        &["example `choose_img-test-0`: ", "tokenizer.json: token id 346, `Which`, has no row in an embedding of 346"],
    );
    ensure!(!said.contains("index-select"), "{said}");
    Ok(())
}

/// A model may say the placeholder of pictures, which has a row like other tokens; what it says is text. (This one does.)
#[test]
fn a_model_that_says_the_placeholder_goes_on() -> Test {
    let (desk, model) = (Desk::new(), Model::of("llava")?);
    let folder = model.folder.path().to_str().context("a path in UTF-8")?;
    desk.expect(&["eval", "--backbone", folder, "--dataset", "icongen", "--limit", "24", "--out", "o"], 0, &["on 24 examples"]);
    Ok(())
}
