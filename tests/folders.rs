//! Folders as transformers saves them (`fixtures/folders.py`): token ids, pixels, hidden states, logits and adapters' gradients are
//! transformers'; damaged folders are errors that say what is wrong where.

use std::collections::HashMap;
use std::path::PathBuf;

use anyhow::{Context, Result};
use candle_core::{DType, Device, Tensor};
use data::Tiles;
use models::adapter::{AdapterSpec, Adapters, Untouched};
use models::folder::Folder;
use models::llava::Llava;
use models::minigpt4::MiniGpt4;
use models::smolvlm::SmolVlm;
use models::{self, Backbone, Batch, Branch, Sequence, adapter_dtype, nn};
use schema::experiment::AdapterConfig;

use crate::support::{Test, flat, ids, relative, setup, within};

/// The script's cases: prompt, pictures, answer.
const CASES: [(&str, &[usize], &str); 4] = [
    ("What is shown?", &[0], "a red circle"),
    ("Which of these is a mammal?\nA. shark\nB. whale\n\nAnswer with the letter, é or not: 12", &[], "B"),
    ("Compare the two pictures, please.", &[1, 2], "no"),
    ("How many?", &[1], "3"),
];

/// The script's pictures, of `fixtures/preprocess`.
const PICTURES: [&str; 3] = ["rgb.png", "tall.png", "palette.png"];

const FOLDERS: [&str; 5] = ["llava", "llava-tied", "smolvlm", "smolvlm-tiles", "minigpt4"];

/// Length of the difference over length. transformers itself is about 1e-6 from its own float64.
const STATES: f64 = 1e-5;
const GRADIENTS: f64 = 1e-4;

fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn folder(name: &str) -> PathBuf {
    fixtures().join("folders").join(name)
}

/// A loaded folder with what transformers makes of it.
struct Fixture {
    name: &'static str,
    model: Box<dyn Backbone>,
    expect: HashMap<String, Tensor>,
}

impl Fixture {
    fn load(name: &'static str, dtype: DType) -> Result<Self> {
        setup();
        let path = folder(name);
        let expect = candle_core::safetensors::load(path.join("expect.safetensors"), &Device::Cpu)?;
        let model = models::load_as(path.to_str().context("a path in UTF-8")?, dtype, &Device::Cpu)?;
        Ok(Self { name, model, expect })
    }

    fn get(&self, name: &str) -> Result<&Tensor> {
        self.expect.get(name).with_context(|| format!("{}: no `{name}`", self.name))
    }

    /// How each of the script's pictures is cut.
    fn tiles(&self) -> Result<Vec<Tiles>> {
        let tiles = |name: &&str| Ok(self.model.preprocess().tiles(&std::fs::read(fixtures().join("preprocess").join(name))?)?);
        PICTURES.iter().map(tiles).collect()
    }

    /// All cases as one padded batch, from our own tokens.
    fn batch(&self) -> Result<Batch> {
        let tiles = self.tiles()?;
        let first = |picture: usize| tiles[..picture].iter().map(|tiles| tiles.squares()).sum::<usize>();
        let sequence = |(prompt, pictures, answer): &(&str, &[usize], &str)| -> Result<Sequence> {
            let shown: Vec<Tiles> = pictures.iter().map(|&picture| tiles[picture]).collect();
            let (prefix, _) = self.model.text().prefix(prompt, &shown, usize::MAX)?;
            let branches = vec![Branch::answer(self.model.text().answer(answer)?)];
            let images = pictures.iter().flat_map(|&picture| first(picture)..first(picture + 1)).collect();
            Ok(Sequence { prefix, images, branches })
        };
        let sequences = CASES.iter().map(sequence).collect::<Result<Vec<_>>>()?;
        let token = self.model.text().image_token();
        Ok(Batch::new(&sequences.iter().collect::<Vec<_>>(), token, self.model.dtype(), &Device::Cpu)?)
    }

    fn features(&self) -> Result<Tensor> {
        Ok(self.model.encode(&self.get("pixels")?.to_dtype(self.model.dtype())?)?)
    }

    /// Loss and gradients of one adapter kind against autograd's.
    fn check_adapters(&self, kind: &str, sites: &[&str], bound: f64) -> Test {
        let sites = sites.iter().map(|site| (*site).to_owned()).collect();
        let config = AdapterConfig {
            kind: Some(kind.into()),
            rank: Some(2),
            alpha: Some(4.0),
            sites: Some(sites),
            ..AdapterConfig::default()
        };
        let spec = AdapterSpec::resolve(&config, kind, self.model.spec())?;
        let start = spec.init(seed::Seed::new(0), adapter_dtype(&*self.model), &Device::Cpu)?;
        let given = |name: &String| Ok((name.clone(), self.get(&format!("{kind}.{name}"))?.clone()));
        let adapters: Adapters = start.iter().map(|(name, _)| given(name)).collect::<Result<_>>()?;
        let vars = adapters.to_vars()?;
        let batch = self.batch()?;
        let embeddings = self.model.embed(&batch, &self.features()?)?;
        let logits = self.model.decode(&embeddings, &spec.attach(&Adapters::from_vars(&vars))?)?;
        let loss = nn::log_likelihood(&logits, &batch.targets)?.mean_all()?.neg()?;
        let wanted = self.get(&format!("{kind}.loss"))?;
        within(&format!("{} {kind} loss", self.name), relative(&loss, wanted)?, bound);
        let gradients = loss.backward()?;
        for (name, var) in &vars {
            let found = gradients.get(var).with_context(|| format!("`{name}` got no gradient"))?;
            let wanted = self.get(&format!("{kind}.grad.{name}"))?;
            within(&format!("{} {kind} gradient of {name}", self.name), relative(found, wanted)?, bound);
        }
        Ok(())
    }
}

/// Prompts with no, one and two pictures, and their answers, have transformers' token ids.
#[test]
fn token_ids() -> Test {
    for name in FOLDERS {
        let fixture = Fixture::load(name, DType::F32)?;
        let tiles = fixture.tiles()?;
        for (i, (prompt, pictures, answer)) in CASES.iter().enumerate() {
            let shown: Vec<Tiles> = pictures.iter().map(|&picture| tiles[picture]).collect();
            let (prefix, cut) = fixture.model.text().prefix(prompt, &shown, usize::MAX)?;
            assert_eq!(prefix, ids(fixture.get(&format!("case.{i}.prompt"))?)?, "{name}, prompt {i}");
            assert!(!cut);
            assert_eq!(
                fixture.model.text().answer(answer)?,
                ids(fixture.get(&format!("case.{i}.answer"))?)?,
                "{name}, answer {i}"
            );
        }
    }
    Ok(())
}

/// Truncation and padding that a tokenizer's file asks for are left out, as transformers leaves them out; what contradicts itself is an
/// error.
#[test]
fn tokenizers_neither_cut_nor_pad() -> Test {
    let plain = Fixture::load("llava", DType::F32)?;
    let copy = Copy::of("llava")?;
    let cut = r#""truncation": {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 5}"#;
    let pad = r#""padding": {"strategy": {"Fixed": 999999999999}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0,
        "pad_type_id": 0, "pad_token": "<unk>"}"#;
    copy.edit("tokenizer.json", r#""truncation": null"#, cut)?.edit("tokenizer.json", r#""padding": null"#, pad)?;
    let model = models::load(copy.folder.path().to_str().context("a path in UTF-8")?, &Device::Cpu)?;
    for (prompt, _, _) in CASES {
        let prefix = |model: &dyn Backbone| model.text().prefix(prompt, &[Tiles::WHOLE], usize::MAX);
        assert_eq!(prefix(&*model)?, prefix(&*plain.model)?);
    }
    let null = r#""continuing_subword_prefix": null"#;
    Copy::of("llava")?.edit("tokenizer.json", null, &null.replace("null", "\"x\""))?.fails(&["tokenizer.json"])
}

/// A long prompt loses its beginning and nothing else; the spelling of a special token stays text.
#[test]
fn prompts_from_outside() -> Test {
    for name in FOLDERS {
        let fixture = Fixture::load(name, DType::F32)?;
        let text = fixture.model.text();
        let picture = [Tiles::WHOLE];
        let (whole, _) = text.prefix("one two three four five é six", &picture, usize::MAX)?;
        let (short, cut) = text.prefix("one two three four five é six", &picture, 4)?;
        assert!(cut && short.len() < whole.len(), "{name}");
        // What stands behind the prompt is there, and so are its last tokens.
        assert_eq!(short[short.len() - 6..], whole[whole.len() - 6..], "{name}");
        let hostile = "<image> </s> <s> <end_of_utterance> <global-img> <|im_start|> <unk>";
        let (ids, _) = text.prefix(hostile, &picture, usize::MAX)?;
        let placeholders = ids.iter().filter(|id| **id == text.image_token()).count();
        assert_eq!(placeholders, fixture.model.spec().image_tokens, "{name}");
        let ends = |ids: &[u32]| ids.iter().filter(|id| **id == text.end_token()).count();
        assert_eq!(ends(&ids), ends(&whole), "{name}");
        assert_eq!(ends(&text.answer(hostile)?), 1, "{name}");
    }
    Ok(())
}

/// Pixels are those of the processors over Pillow: 99.9% within 1 of 255.
#[test]
fn pixels() -> Test {
    for name in FOLDERS {
        let fixture = Fixture::load(name, DType::F32)?;
        let preprocess = fixture.model.preprocess();
        let plane = preprocess.size * preprocess.size;
        let (mut near, mut all, mut worst, mut first) = (0, 0, 0.0, 0);
        for (picture, tiles) in PICTURES.iter().zip(fixture.tiles()?) {
            let found = preprocess.pixels(&std::fs::read(fixtures().join("preprocess").join(picture))?, u64::MAX)?;
            let wanted = flat(&fixture.get("pixels")?.narrow(0, first, tiles.squares())?)?;
            first += tiles.squares();
            assert_eq!(found.len(), wanted.len());
            for (at, (found, wanted)) in found.iter().zip(wanted).enumerate() {
                let steps = (f64::from(*found) - wanted).abs() * f64::from(preprocess.std[at / plane % 3]) * 255.0;
                near += usize::from(steps <= 1.001);
                all += 1;
                worst = f64::max(worst, steps);
            }
        }
        eprintln!("{name} pixels: {near} of {all} within 1 of 255, worst {worst:.2}");
        assert_eq!(first, fixture.get("pixels")?.dim(0)?, "{name}: squares");
        assert!(near as f64 >= 0.999 * all as f64);
        // Pillow's own arithmetic leaves nothing but the rounding of normalised numbers.
        assert!(worst < 1e-3, "{name}: {worst}");
    }
    Ok(())
}

/// Pictures are cut as transformers cuts them (`pixels` holds the squares): wide and tall ones.
#[test]
fn pictures_are_cut() -> Test {
    let tiles = Fixture::load("smolvlm-tiles", DType::F32)?.tiles()?;
    let expect = [(3, 4), (4, 2), (3, 4)].map(|(rows, columns)| Tiles { rows, columns });
    assert_eq!(tiles, expect);
    assert_eq!(Fixture::load("smolvlm", DType::F32)?.tiles()?, [Tiles::WHOLE; 3]);
    Ok(())
}

/// Hidden states of every stage.
#[test]
fn hidden_states() -> Test {
    let stage = |fixture: &Fixture, name: &str, found: Tensor| -> Test {
        within(&format!("{} {name}", fixture.name), relative(&found, fixture.get(&format!("stage.{name}"))?)?, STATES);
        Ok(())
    };
    for name in ["llava", "llava-tied"] {
        let fixture = Fixture::load(name, DType::F32)?;
        let (model, pixels) = (Llava::read(&folder(name), &Device::Cpu)?, fixture.get("pixels")?.narrow(0, 0, 2)?);
        for i in 0..4 {
            stage(&fixture, &format!("tower.{i}"), model.vision()?.tower().hidden_state(&pixels, i)?)?;
        }
    }
    let fixture = Fixture::load("smolvlm", DType::F32)?;
    let pixels = fixture.get("pixels")?.narrow(0, 0, 2)?;
    let model = SmolVlm::open(&Folder::open(&folder("smolvlm"))?, DType::F32, &Device::Cpu)?;
    let tower = model.vision()?.tower();
    for i in 0..3 {
        stage(&fixture, &format!("tower.{i}"), tower.hidden_state(&pixels, i)?)?;
    }
    stage(&fixture, "tower", tower.forward(&pixels)?)?;

    let fixture = Fixture::load("minigpt4", DType::F32)?;
    let pixels = fixture.get("pixels")?.narrow(0, 0, 2)?;
    let model = MiniGpt4::open(&Folder::open(&folder("minigpt4"))?, DType::F32, &Device::Cpu)?;
    let (tower, queries) = (model.vision()?.tower(), model.vision()?.queries(2)?);
    for i in 0..3 {
        stage(&fixture, &format!("tower.{i}"), tower.hidden_state(&pixels, i)?)?;
    }
    stage(&fixture, "tower", tower.forward(&pixels)?)?;
    stage(&fixture, "qformer", model.vision()?.qformer().forward(&queries, &tower.forward(&pixels)?)?)
}

/// Image features, and logits at all answers, every case in one padded batch.
#[test]
fn features_and_logits() -> Test {
    for name in FOLDERS {
        let fixture = Fixture::load(name, DType::F32)?;
        let features = fixture.features()?;
        within(&format!("{name} features"), relative(&features, fixture.get("features")?)?, STATES);
        let batch = fixture.batch()?;
        let logits = fixture.model.decode(&fixture.model.embed(&batch, &features)?, &Untouched)?;
        let mut row = 0;
        for i in 0..CASES.len() {
            let wanted = fixture.get(&format!("case.{i}.logits"))?;
            let found = logits.narrow(0, row, wanted.dim(0)?)?;
            row += wanted.dim(0)?;
            within(&format!("{name} logits of case {i}"), relative(&found, wanted)?, STATES);
        }
        assert_eq!(row, logits.dim(0)?);
    }
    Ok(())
}

/// Losses and gradients of NanoAdapters (by hand) and of LoRA (peft's).
#[test]
fn adapter_gradients() -> Test {
    for name in FOLDERS {
        let fixture = Fixture::load(name, DType::F32)?;
        fixture.check_adapters("nano", &["image", "text"], GRADIENTS)?;
        fixture.check_adapters("lora", &["q_proj", "v_proj"], GRADIENTS)?;
    }
    Ok(())
}

/// Half-precision weights give the same within their precision; the adapters and their gradients are f32.
#[test]
fn half_precision() -> Test {
    // In the longer sequences of pictures that are cut more is rounded; their numbers are the same operations'.
    let folders = FOLDERS.into_iter().filter(|name| *name != "smolvlm-tiles");
    for (dtype, bound) in [(DType::BF16, 0.05), (DType::F16, 0.01)] {
        for name in folders.clone() {
            let fixture = Fixture::load(name, dtype)?;
            assert_eq!((fixture.model.weights_dtype(), fixture.model.spec().bytes_per_number), (dtype, 2));
            let batch = fixture.batch()?;
            let logits = fixture.model.decode(&fixture.model.embed(&batch, &fixture.features()?)?, &Untouched)?;
            assert_eq!(logits.dtype(), DType::F32);
            let wanted = (0..CASES.len()).map(|i| fixture.get(&format!("case.{i}.logits"))).collect::<Result<Vec<_>>>()?;
            within(&format!("{name} logits as {}", dtype.as_str()), relative(&logits, &Tensor::cat(&wanted, 0)?)?, bound);
            fixture.check_adapters("nano", &["image", "text"], 2.0 * bound)?;
            fixture.check_adapters("lora", &["q_proj", "v_proj"], 2.0 * bound)?;
        }
    }
    Ok(())
}

/// A copy of a fixture's folder to damage.
struct Copy {
    folder: tempfile::TempDir,
}

impl Copy {
    fn of(name: &str) -> Result<Self> {
        let copy = Self { folder: tempfile::tempdir()? };
        for entry in std::fs::read_dir(folder(name))? {
            let entry = entry?;
            std::fs::copy(entry.path(), copy.path(&entry.file_name().to_string_lossy()))?;
        }
        Ok(copy)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Rewrites a file's text.
    fn edit(&self, name: &str, from: &str, to: &str) -> Result<&Self> {
        let text = std::fs::read_to_string(self.path(name))?;
        anyhow::ensure!(text.contains(from), "{name} has no {from}");
        std::fs::write(self.path(name), text.replacen(from, to, 1))?;
        Ok(self)
    }

    /// Loading fails, and all of these are said.
    fn fails(&self, texts: &[&str]) -> Test {
        setup();
        let loaded = models::load(self.folder.path().to_str().context("a path in UTF-8")?, &Device::Cpu);
        let said = loaded.err().context("a damaged folder was loaded")?.to_string();
        for text in texts {
            assert!(said.contains(text), "expected {text:?} in: {said}");
        }
        assert!(said.len() < 1000 && !said.contains("backtrace"), "{said}");
        Ok(())
    }
}

/// What is wrong with a folder is said with the file, the key or tensor, and what would be right.
#[test]
fn damaged_folders() -> Test {
    let config = |name: &str, from: &str, to: &str, texts: &[&str]| -> Test {
        Copy::of(name)?.edit("config.json", from, to)?.fails(texts)
    };
    config("llava", "\"llava\"", "\"qwen2_vl\"", &["config.json", "\"qwen2_vl\" is not supported", "\"idefics3\""])?;
    config("llava", "\"llama\"", "\"opt\"", &["text_config.model_type = \"opt\""])?;
    config("llava", "\"clip_vision_model\"", "\"siglip_vision_model\"", &["vision_config.model_type"])?;
    config("llava", "\"llama3\"", "\"spiral\"", &["text_config.rope_parameters.rope_type = \"spiral\""])?;
    config("llava", "\"llama3\"", "\"longrope\"", &["text_config.rope_parameters without `short_factor`"])?;
    config("llava", "\"num_attention_heads\": 4", "\"num_attention_heads\": 0", &["num_attention_heads = 0"])?;
    config("llava", "\"num_attention_heads\": 4", "\"num_attention_heads\": 3", &["does not divide"])?;
    config("llava", "\"hidden_act\": \"silu\"", "\"hidden_act\": \"relu\"", &["text_config.hidden_act = \"relu\""])?;
    config("llava", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1048576", &["between 1 and 4096"])?;
    config("llava", "\"patch_size\": 8", "\"patch_size\": 0", &["patch_size = 0"])?;
    config("llava", "\"patch_size\": 8", "\"patch_size\": 99999999999", &["patch_size = 99999999999"])?;
    config("llava", "\"vision_feature_layer\": -2", "\"vision_feature_layer\": -9", &["vision_feature_layer -9"])?;
    config("llava", "\"image_token_index\": 345", "\"image_token_index\": 7", &["tokenizer.json", "345", "7"])?;
    config("llava", "\"vocab_size\": 346", "\"vocab_size\": 100", &["tokenizer.json", "no row in an embedding of 100"])?;
    config("llava", "\"image_size\": 24", "\"image_size\": 32", &["processor_config.json", "size"])?;
    config("llava", "{", "", &["config.json"])?;
    config("llava", "\"intermediate_size\": 48", "\"intermediate_size\": 50", &["model-0000", "[48, 32]", "[50, 32]"])?;
    config(
        "llava-tied",
        "\"num_hidden_layers\": 3",
        "\"num_hidden_layers\": 4",
        &["no tensor", "layers.3", "model.safetensors"],
    )?;
    config("smolvlm", "\"scale_factor\": 2", "\"scale_factor\": 3", &["scale_factor 3"])?;
    config("minigpt4", "\"use_qformer_text_input\": false", "\"use_qformer_text_input\": true", &["use_qformer_text_input"])?;
    config(
        "minigpt4",
        "\"cross_attention_frequency\": 2",
        "\"cross_attention_frequency\": 0",
        &["cross_attention_frequency = 0"],
    )?;

    let copy = Copy::of("llava")?;
    let shard = copy.path("model-00003-of-00006.safetensors");
    let bytes = std::fs::read(&shard)?;
    std::fs::write(&shard, &bytes[..bytes.len() - 1])?;
    copy.fails(&["model-00003-of-00006.safetensors", "truncated"])?;
    std::fs::remove_file(&shard)?;
    copy.fails(&["model.safetensors.index.json", "`model-00003-of-00006.safetensors`, which is not there"])?;
    std::fs::remove_file(copy.path("model.safetensors.index.json"))?;
    std::fs::write(copy.path("pytorch_model.bin"), "pickle")?;
    copy.fails(&["holds neither model.safetensors nor", "never read"])?;
    std::fs::write(copy.path("tokenizer.json"), "{}")?;
    copy.fails(&["tokenizer.json"])?;
    std::fs::remove_file(copy.path("tokenizer.json"))?;
    copy.fails(&["cannot read", "tokenizer.json"])?;
    std::fs::remove_file(copy.path("config.json"))?;
    copy.fails(&["cannot read", "config.json"])
}

/// Every prefix of a checkpoint, and every byte of its header changed, is an error or a model: never a panic.
#[test]
fn damaged_weights() -> Test {
    use models::checkpoint::Checkpoint;
    let bytes = std::fs::read(folder("llava").join("model-00006-of-00006.safetensors"))?;
    let open = |bytes: &[u8]| Checkpoint::held("w", bytes, str::to_owned).map(|_| ());
    for length in (0..bytes.len()).step_by(7) {
        assert!(open(&bytes[..length]).is_err(), "{length} bytes");
    }
    for at in 0..1000 {
        for change in [0x01, 0x10, 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] ^= change;
            let _ = open(&damaged);
        }
    }
    Ok(())
}

/// The same weights under the names and keys of a published LLaVA: half precision, keys with default values left out.
#[test]
fn published_configs() -> Test {
    let published = [
        (
            r#"{"architectures":["LlavaForConditionalGeneration"],"ignore_index":-100,"image_token_index":32000,"model_type":"llava",
            "pad_token_id":32001,"projector_hidden_act":"gelu","text_config":{"_name_or_path":"lmsys/vicuna-7b-v1.5","architectures":
            ["LlamaForCausalLM"],"max_position_embeddings":4096,"model_type":"llama","rms_norm_eps":1e-05,"torch_dtype":"float16",
            "vocab_size":32064},"tie_word_embeddings":false,"torch_dtype":"float16","transformers_version":"4.36.0.dev0",
            "vision_config":{"hidden_size":1024,"image_size":336,"intermediate_size":4096,"model_type":"clip_vision_model",
            "num_attention_heads":16,"num_hidden_layers":24,"patch_size":14,"projection_dim":768,"vocab_size":32000},
            "vision_feature_layer":-2,"vision_feature_select_strategy":"default","vocab_size":32064}"#,
            7_063_427_072,
            576,
        ),
        (
            r#"{"architectures":["Idefics3ForConditionalGeneration"],"image_token_id":49190,"model_type":"idefics3","scale_factor":4,
            "text_config":{"head_dim":64,"hidden_size":576,"intermediate_size":1536,"max_position_embeddings":8192,"model_type":"llama",
            "num_attention_heads":9,"num_hidden_layers":30,"num_key_value_heads":3,"rms_norm_eps":1e-05,"rope_scaling":null,
            "rope_theta":100000,"tie_word_embeddings":false,"torch_dtype":"bfloat16","vocab_size":49280},"tie_word_embeddings":false,
            "vision_config":{"hidden_size":768,"image_size":512,"max_image_size":{"longest_edge":512},"model_type":"idefics3",
            "num_attention_heads":12,"patch_size":16,"size":{"longest_edge":2048},"tie_word_embeddings":false},"vocab_size":49280}"#,
            256_484_928,
            64,
        ),
    ];
    for (config, parameters, image_tokens) in published {
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("config.json"), config)?;
        let spec = models::spec(folder.path().to_str().context("a path in UTF-8")?)?;
        assert_eq!((spec.parameters.total(), spec.image_tokens), (parameters, image_tokens));
        // The shapes known by name are the same.
        let name = if image_tokens == 64 { "smolvlm-256m" } else { "llava-1.5-7b" };
        let known = models::spec(name)?;
        assert_eq!((known.parameters, known.sites), (spec.parameters, spec.sites));
    }
    Ok(())
}
