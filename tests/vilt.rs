//! ViLT as transformers has it (`fixtures/vilt.py`): token ids, patches, pooled states, class logits, losses, and gradients of adapters
//! and head; with one picture and with two; and what of a folder is refused.

use std::collections::HashMap;
use std::path::PathBuf;

use anyhow::{Context, Result};
use candle_core::{DType, Device, Tensor};
use data::Tiles;
use models::adapter::{AdapterSpec, Adapters, Head, Untouched, fisher};
use models::folder::Folder;
use models::vilt::Vilt;
use models::{Backbone, Batch, Branch, Embeddings, Sequence, nn};
use schema::experiment::AdapterConfig;

use crate::support::{Test, flat, ids, relative, setup, within};

/// The script's pictures, of `fixtures/preprocess`.
const PICTURES: [&str; 3] = ["rgb.png", "tall.png", "palette.png"];

/// A prompt and its pictures.
type Case = (&'static str, &'static [usize]);

const ONE: &[Case] = &[
    ("What is shown?", &[0]),
    ("Is there a ball to the left of the thin, red cube?", &[1]),
    ("How many?", &[2]),
    ("Why not?", &[1]),
];

const TWO: &[Case] =
    &[("Both show a dog.", &[0, 1]), ("One of the two pictures is much taller than it is wide.", &[1, 2]), ("Equal?", &[2, 2])];

const FOLDERS: [(&str, &[Case]); 2] = [("vilt", ONE), ("vilt-two", TWO)];

/// Length of the difference over length.
const STATES: f64 = 1e-5;
const GRADIENTS: f64 = 1e-4;

fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

struct Fixture {
    model: Vilt,
    cases: &'static [Case],
    expect: HashMap<String, Tensor>,
}

impl Fixture {
    fn load(name: &str, cases: &'static [Case], dtype: DType) -> Result<Self> {
        setup();
        let path = fixtures().join("folders").join(name);
        let expect = candle_core::safetensors::load(path.join("expect.safetensors"), &Device::Cpu)?;
        Ok(Self { model: Vilt::open(&Folder::open(&path)?, dtype, &Device::Cpu)?, cases, expect })
    }

    fn get(&self, name: &str) -> Result<&Tensor> {
        self.expect.get(name).with_context(|| format!("no `{name}`"))
    }

    /// How a picture is cut, and its squares, the whole included.
    fn picture(&self, picture: usize) -> Result<(Tiles, Tensor)> {
        let (preprocess, encoded) =
            (self.model.preprocess(), std::fs::read(fixtures().join("preprocess").join(PICTURES[picture]))?);
        let (tiles, pixels) = (preprocess.tiles(&encoded)?, preprocess.pixels(&encoded, 100_000)?);
        Ok((tiles, Tensor::from_vec(pixels, (tiles.squares(), 3, 8, 8), &Device::Cpu)?))
    }

    /// All cases as one padded batch, each with an answer, from our own tokens.
    fn batch(&self) -> Result<(Batch, Embeddings)> {
        let (mut sequences, mut squares, mut cut, mut first) = (Vec::new(), Vec::new(), Vec::new(), 0);
        let labels = ids(self.get("labels")?)?;
        for ((prompt, pictures), label) in self.cases.iter().zip(labels) {
            let shown = pictures.iter().map(|&picture| self.picture(picture)).collect::<Result<Vec<_>>>()?;
            let tiles: Vec<Tiles> = shown.iter().map(|(tiles, _)| *tiles).collect();
            let (prefix, _) = self.model.text().prefix(prompt, &tiles, usize::MAX)?;
            let count: usize = tiles.iter().map(|tiles| tiles.squares()).sum();
            sequences.push(Sequence {
                prefix,
                images: (first..first + count).collect(),
                branches: vec![Branch::answer(vec![label])],
            });
            first += count;
            cut.extend(tiles);
            squares.extend(shown.into_iter().map(|(_, squares)| squares));
        }
        let token = self.model.text().image_token();
        let batch = Batch::new(&sequences.iter().collect::<Vec<_>>(), token, self.model.dtype(), &Device::Cpu)?;
        let features = self.model.encode(&Tensor::cat(&squares, 0)?.to_dtype(self.model.dtype())?)?;
        let embeddings = self.model.embed_cut(&batch, &features, &cut)?;
        Ok((batch, embeddings))
    }

    /// The script's head, of its classes.
    fn head(&self) -> Adapters {
        self.expect.iter().filter(|(name, _)| Head::has(name)).map(|(name, tensor)| (name.clone(), tensor.clone())).collect()
    }

    fn spec(&self, kind: &str) -> Result<AdapterSpec> {
        let config = AdapterConfig {
            kind: Some(kind.into()),
            rank: Some(2),
            alpha: Some(4.0),
            classes: Some(7),
            ..AdapterConfig::default()
        };
        Ok(AdapterSpec::resolve(&config, kind, self.model.spec())?)
    }

    /// The script's adapters of a kind, with its head.
    fn adapters(&self, kind: &str) -> Result<(AdapterSpec, Adapters)> {
        let spec = self.spec(kind)?;
        let start = spec.init(seed::Seed::new(0), DType::F32, &Device::Cpu)?;
        let given = |(name, _): (&String, &Tensor)| Ok((name.clone(), self.get(&format!("{kind}.{name}"))?.clone()));
        let adapters: Adapters = start.iter().map(given).collect::<Result<_>>()?;
        Ok((spec, adapters.with(&self.head())))
    }

    /// Losses and gradients of one adapter kind and the head against autograd's.
    fn check_adapters(&self, kind: &str) -> Test {
        let (spec, adapters) = self.adapters(kind)?;
        for what in ["ce", "bce"] {
            let vars = adapters.to_vars()?;
            let (batch, embeddings) = self.batch()?;
            let logits = self.model.decode(&embeddings, &spec.attach(&Adapters::from_vars(&vars))?)?;
            let likelihoods = match what {
                "ce" => nn::log_likelihood(&logits, &batch.targets)?,
                _ => nn::soft_log_likelihood(&logits, self.get("soft")?)?,
            };
            let loss = likelihoods.mean_all()?.neg()?;
            within(&format!("{kind} {what}"), relative(&loss, self.get(&format!("{kind}.{what}.loss"))?)?, STATES);
            let gradients = loss.backward()?;
            for (name, var) in &vars {
                let found = gradients.get(var).with_context(|| format!("`{name}` got no gradient"))?;
                let wanted = self.get(&format!("{kind}.{what}.grad.{name}"))?;
                within(&format!("{kind} {what} gradient of {name}"), relative(found, wanted)?, GRADIENTS);
            }
        }
        Ok(())
    }
}

#[test]
fn token_ids_are_transformers() -> Test {
    for (name, cases) in FOLDERS {
        let fixture = Fixture::load(name, cases, DType::F32)?;
        for (i, (prompt, pictures)) in cases.iter().enumerate() {
            let tiles = vec![Tiles { rows: 1, columns: 2 }; pictures.len()];
            let (prefix, cut) = fixture.model.text().prefix(prompt, &tiles, usize::MAX)?;
            let wanted = ids(fixture.get(&format!("case.{i}.ids"))?)?;
            let pass = [vec![fixture.model.text().image_token(); 3], wanted].concat();
            assert_eq!((prefix, cut), (pass.repeat(pictures.len()), false), "{prompt}");
        }
    }
    Ok(())
}

/// Patches of three pictures, wide and tall, and how many there are.
#[test]
fn patches_are_transformers() -> Test {
    let fixture = Fixture::load("vilt", ONE, DType::F32)?;
    let mut shapes = Vec::new();
    for (i, name) in PICTURES.iter().enumerate() {
        let (tiles, squares) = fixture.picture(i)?;
        assert_eq!([tiles.rows as u32, tiles.columns as u32], ids(fixture.get(&format!("grid.{name}"))?)?[..], "{name}");
        let patches = squares.narrow(0, 0, tiles.rows * tiles.columns)?;
        within(name, relative(&patches, fixture.get(&format!("pixels.{name}"))?)?, 1e-6);
        shapes.push((tiles.rows, tiles.columns));
    }
    shapes.sort_unstable();
    shapes.dedup();
    assert_eq!(shapes, [(3, 4), (4, 2)], "neither is the square that positions are of");
    Ok(())
}

/// Pooled states and logits, alone in transformers and padded here.
#[test]
fn states_and_logits_are_transformers() -> Test {
    for (name, cases) in FOLDERS {
        let fixture = Fixture::load(name, cases, DType::F32)?;
        let spec = fixture.spec("lora")?;
        let (_, embeddings) = fixture.batch()?;
        let pooled = fixture.model.pooled(&embeddings, &Untouched)?;
        let logits = fixture.model.decode(&embeddings, &spec.attach(&fixture.head())?)?;
        for i in 0..cases.len() {
            within(&format!("{name} pooled {i}"), relative(&pooled.get(i)?, fixture.get(&format!("case.{i}.pooled"))?)?, STATES);
            within(&format!("{name} logits {i}"), relative(&logits.get(i)?, fixture.get(&format!("case.{i}.logits"))?)?, STATES);
        }
    }
    Ok(())
}

#[test]
fn gradients_are_transformers() -> Test {
    for (name, cases) in FOLDERS {
        let fixture = Fixture::load(name, cases, DType::F32)?;
        ["lora", "bottleneck"].into_iter().try_for_each(|kind| fixture.check_adapters(kind))?;
    }
    Ok(())
}

/// Every example's own gradient, of adapters and head, is that of the example alone.
#[test]
fn every_example_has_its_own_gradient() -> Test {
    let fixture = Fixture::load("vilt", ONE, DType::F32)?;
    let (spec, adapters) = fixture.adapters("bottleneck")?;
    let (batch, embeddings) = fixture.batch()?;
    let copies = fisher::copies(&adapters, ONE.len())?;
    let logits = fixture.model.decode(&embeddings, &spec.attach(&Adapters::from_vars(&copies))?)?;
    let together = nn::log_likelihood(&logits, &batch.targets)?.sum_all()?.backward()?;
    for i in 0..ONE.len() {
        let vars = adapters.to_vars()?;
        let logits = fixture.model.decode(&embeddings, &spec.attach(&Adapters::from_vars(&vars))?)?;
        let alone = nn::log_likelihood(&logits, &batch.targets)?.get(i)?.backward()?;
        for (name, var) in &vars {
            let (alone, copy) = (alone.get(var).context("no gradient")?, together.get(&copies[name]).context("no gradient")?);
            within(&format!("{name} of {i}"), relative(&copy.get(i)?, alone)?, GRADIENTS);
        }
    }
    Ok(())
}

/// With 16-bit matrices the logits are near, and adapters keep their 32 bits.
#[test]
fn sixteen_bits_are_near() -> Test {
    let [wide, narrow] = [DType::F32, DType::BF16].map(|dtype| Fixture::load("vilt", ONE, dtype));
    let (wide, narrow) = (wide?, narrow?);
    let logits = |fixture: &Fixture| -> Result<Tensor> {
        let (spec, adapters) = fixture.adapters("lora")?;
        Ok(fixture.model.decode(&fixture.batch()?.1, &spec.attach(&adapters)?)?)
    };
    assert_eq!((narrow.model.weights_dtype(), narrow.model.dtype()), (DType::BF16, DType::F32));
    within("bf16", relative(&logits(&narrow)?, &logits(&wide)?)?, 0.05);
    Ok(())
}

/// A text alone is a pass of its own; too many pictures, or too few, are refused; a long text loses its beginning.
#[test]
fn what_an_encoder_is_not_shown() -> Test {
    let one = Fixture::load("vilt", ONE, DType::F32)?;
    let (prefix, _) = one.model.text().prefix("How many?", &[], usize::MAX)?;
    let sequence = Sequence { prefix, images: Vec::new(), branches: vec![Branch::answer(vec![0])] };
    let batch = Batch::new(&[&sequence], one.model.text().image_token(), DType::F32, &Device::Cpu)?;
    let none = Tensor::zeros((0, 1, 32), DType::F32, &Device::Cpu)?;
    let pooled = one.model.pooled(&one.model.embed_cut(&batch, &none, &[])?, &Untouched)?;
    assert!(flat(&pooled)?.iter().all(|number| number.is_finite()));

    let (long, cut) = one.model.text().prefix(&format!("{} now", "many ".repeat(50)), &[], usize::MAX)?;
    assert_eq!((long.len(), cut), (32, true));
    let refused = |fixture: &Fixture, pictures: usize| {
        let tiles = vec![Tiles { rows: 1, columns: 1 }; pictures];
        fixture.model.text().prefix("How?", &tiles, usize::MAX).err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert!(refused(&one, 2).contains("2 pictures: this encoder sees one at most"), "{}", refused(&one, 2));
    let two = Fixture::load("vilt-two", TWO, DType::F32)?;
    for pictures in [0, 1, 3] {
        let said = format!("{pictures} pictures: this encoder sees exactly 2 in every example");
        assert!(refused(&two, pictures).contains(&said), "{}", refused(&two, pictures));
    }
    Ok(())
}

/// What a folder may not say.
#[test]
fn damaged_folders_are_refused() -> Test {
    for (file, from, to, said) in [
        ("config.json", "\"num_hidden_layers\": 3", "\"num_hidden_layers\": 2", "has no place in the model"),
        (
            "config.json",
            "\"max_image_length\": -1",
            "\"max_image_length\": 9",
            "would be drawn by chance; expected -1, or at least 12",
        ),
        ("config.json", "\"num_channels\": 3", "\"num_channels\": 4", "num_channels 4 (3 are read)"),
        ("config.json", "\"hidden_act\": \"gelu\"", "\"hidden_act\": \"relu\"", "relu"),
        ("config.json", "\"num_images\": -1", "\"num_images\": 99", "num_images 99 (at most 8)"),
        ("config.json", "\"image_size\": 24", "\"image_size\": 32", "position_embeddings"),
        ("config.json", "\"layer_norm_eps\": 1e-12", "\"layer_norm_eps\": 0.0", "layer_norm_eps"),
        ("preprocessor_config.json", "\"size_divisor\": 8", "\"size_divisor\": 32", "size_divisor = 32"),
        ("tokenizer.json", "[MASK]", "[MUSK]", "[MASK]"),
    ] {
        setup();
        let copy = tempfile::tempdir()?;
        for entry in std::fs::read_dir(fixtures().join("folders/vilt"))? {
            let entry = entry?;
            std::fs::copy(entry.path(), copy.path().join(entry.file_name()))?;
        }
        let path = copy.path().join(file);
        let text = std::fs::read_to_string(&path)?;
        anyhow::ensure!(text.contains(from), "{file} has no {from}");
        std::fs::write(&path, text.replace(from, to))?;
        let loaded = models::load(copy.path().to_str().context("a path in UTF-8")?, &Device::Cpu);
        let error = loaded.err().with_context(|| format!("taken with {to}"))?.to_string();
        assert!(error.contains(said), "{to}: {error}");
    }
    Ok(())
}
