//! `smol`'s parts: is what was learned added where it belongs, does an alignment go on where it was stopped, and does what is written
//! answer as what was trained? Around a small language model (`fixtures/smol.py`) and a tower of random numbers.

use std::path::Path;
use std::sync::OnceLock;

use anyhow::{Context, Result};
use candle_core::{DType, Device, Tensor};
use data::Preprocess;
use models::adapter::Untouched;
use models::efficientnet::EfficientNetConfig;
use models::pretrain::{Alignment, Course, Lessons, Phase, Turn};
use models::smol::{self, Llm, Smol, Tower};
use models::{Backbone, Batch, Sequence, nn};
use seed::Seed;
use tempfile::TempDir;

use crate::support::{Test, setup, within};

/// A folder with a tower of EfficientNet-Lite0's shapes and random numbers.
fn tower() -> Result<&'static Path> {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    if FOLDER.get().is_none() {
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("config.json"), r#"{"architecture": "tf_efficientnet_lite0"}"#)?;
        candle_core::safetensors::save(&weights()?.into_iter().collect(), folder.path().join("model.safetensors"))?;
        drop(FOLDER.set(folder));
    }
    Ok(FOLDER.get().context("a folder")?.path())
}

fn weights() -> Result<Vec<(String, Tensor)>> {
    let (mut stream, mut all) = (Seed::new(2).stream("tower"), Vec::new());
    let mut add = |convolution: String, norm: String, shape: [usize; 4]| -> Result<()> {
        let (count, fan_in) = (shape.iter().product(), shape[1] * shape[2] * shape[3]);
        let size = (2.0 / fan_in as f64).sqrt();
        let numbers: Vec<f32> = (0..count).map(|_| (stream.normal() * size) as f32).collect();
        all.push((format!("{convolution}.weight"), Tensor::from_vec(numbers, shape.as_slice(), &Device::Cpu)?));
        for (part, value) in [("weight", 1f32), ("bias", 0.1), ("running_mean", 0.0), ("running_var", 1.0)] {
            all.push((format!("{norm}.{part}"), Tensor::full(value, shape[0], &Device::Cpu)?));
        }
        Ok(())
    };
    let config = EfficientNetConfig::lite0();
    add("conv_stem".into(), "bn1".into(), [config.stem, 3, 3, 3])?;
    let mut entering = config.stem;
    for (s, stage) in config.stages.iter().enumerate() {
        for b in 0..stage.blocks {
            let (p, wide) = (format!("blocks.{s}.{b}"), entering * stage.expansion);
            let [dw, project, last] = if stage.expansion > 1 { ["bn2", "conv_pwl", "bn3"] } else { ["bn1", "conv_pw", "bn2"] };
            if stage.expansion > 1 {
                add(format!("{p}.conv_pw"), format!("{p}.bn1"), [wide, entering, 1, 1])?;
            }
            add(format!("{p}.conv_dw"), format!("{p}.{dw}"), [wide, 1, stage.kernel, stage.kernel])?;
            add(format!("{p}.{project}"), format!("{p}.{last}"), [stage.width, wide, 1, 1])?;
            entering = stage.width;
        }
    }
    add("conv_head".into(), "bn2".into(), [config.head, entering, 1, 1])?;
    Ok(all)
}

fn parts() -> Result<(Llm, Tower)> {
    let llm = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/smol/tiny.gguf");
    Ok((Llm::open(&llm)?, Tower::open(tower()?)?))
}

/// Four pictures of noise, each with an answer of its own.
struct Four;

impl Four {
    fn turns(picture: usize) -> Vec<Turn> {
        let turn = |question: &str, answer: &str| Turn { question: question.into(), answer: answer.into() };
        vec![turn("Which?", ["one", "two", "three", "four"][picture]), turn("Is it?", ["yes", "no"][picture % 2])]
    }
}

impl Lessons for Four {
    fn pictures(&self) -> usize {
        4
    }

    fn pixels(&self, picture: usize, preprocess: &Preprocess) -> std::result::Result<Vec<f32>, String> {
        let mut stream = Seed::new(9).index("picture", picture);
        Ok((0..3 * preprocess.size * preprocess.size).map(|_| stream.range(-1.0, 1.0) as f32).collect())
    }

    fn words(&self, picture: usize) -> Vec<String> {
        vec![Self::turns(picture).remove(0).answer]
    }

    fn lesson(&self, index: usize) -> (usize, Vec<Turn>) {
        (index % 4, Self::turns(index % 4))
    }
}

fn alignment() -> Result<Alignment<'static>> {
    setup();
    let phase = Phase { steps: 8, batch_size: 4, learning_rate: 3e-3 };
    let course = Course { phase, change_rate: 1.0, weight_decay: 0.01, clip_norm: 1.0 };
    Ok(Alignment::new(parts()?, DType::F32, Seed::new(1), course, &Four, &mut |_| {})?)
}

fn written(learned: Vec<u8>) -> Result<Smol> {
    let (llm, tower) = parts()?;
    Ok(smol::with_aligned(llm, tower, learned, DType::F32, &Device::Cpu)?)
}

/// Mean negative log-likelihood of the four lessons.
fn loss(model: &Smol) -> Result<f64> {
    let size = model.preprocess().size;
    let pixels = (0..4).flat_map(|picture| Four.pixels(picture, model.preprocess()).unwrap_or_default()).collect::<Vec<f32>>();
    let features = model.encode(&Tensor::from_vec(pixels, (4, 3, size, size), &Device::Cpu)?)?;
    let sequence = |picture: usize| -> Result<Sequence> {
        let turns = Four::turns(picture);
        let branches =
            turns.iter().map(|turn| Ok(model.text().dialogue(&turn.question, &turn.answer)?)).collect::<Result<_>>()?;
        Ok(Sequence { prefix: model.text().picture()?, images: vec![picture], branches })
    };
    let sequences = (0..4).map(sequence).collect::<Result<Vec<_>>>()?;
    let batch = Batch::new(&sequences.iter().collect::<Vec<_>>(), model.text().image_token(), DType::F32, &Device::Cpu)?;
    let logits = model.decode(&model.embed(&batch, &features)?, &Untouched)?;
    Ok(-f64::from(nn::log_likelihood(&logits, &batch.targets)?.mean_all()?.to_scalar::<f32>()?))
}

/// Folding what was seen into the connector's first layer and adding the change to the matrices leaves the answers what they were.
#[test]
fn what_is_written_answers_as_what_was_trained() -> Test {
    let mut alignment = alignment()?;
    alignment.ground(Phase { steps: 3, batch_size: 4, learning_rate: 3e-3 }, &mut |_, _| {})?;
    let first = alignment.step()?;
    for _ in 0..5 {
        alignment.step()?;
    }
    let model = written(alignment.learned()?)?;
    let (trained, written) = (alignment.step()?, loss(&model)?);
    assert!(trained < first, "it learned nothing: {first} to {trained}");
    within("smol, loss of what is written and of what was trained", (trained - written).abs() / trained, 2e-3);
    Ok(())
}

#[test]
fn an_alignment_goes_on_where_it_was_stopped() -> Test {
    let mut whole = alignment()?;
    let mut stopped = alignment()?;
    for _ in 0..2 {
        assert_eq!(whole.step()?, stopped.step()?);
    }
    let kept = stopped.checkpoint("a recipe")?;
    let mut resumed = alignment()?;
    let other = resumed.resume(&kept, "another").err().context("another recipe")?.to_string();
    assert!(other.contains("it is of `a recipe`, this is `another`"), "{other}");
    let damaged = resumed.resume(&kept[..kept.len() - 1], "a recipe").err().context("cut off")?.to_string();
    assert!(damaged.contains("checkpoint"), "{damaged}");
    resumed.resume(&kept, "a recipe")?;
    assert_eq!(resumed.steps(), 2);
    for _ in 0..2 {
        assert_eq!(whole.step()?, resumed.step()?);
    }
    assert!(whole.learned()? == resumed.learned()?, "other bytes");
    Ok(())
}

/// Without a change the language model is its own; with one of another rank, it is refused by name.
#[test]
fn a_change_is_added_or_refused() -> Test {
    let learned = alignment()?.learned()?;
    let plain: Vec<(String, Tensor)> = candle_core::safetensors::load_buffer(&learned, &Device::Cpu)?
        .into_iter()
        .filter(|(name, _)| name.starts_with("multi_modal_projector."))
        .collect();
    let bytes =
        |tensors: Vec<(String, Tensor)>| Ok::<_, anyhow::Error>(models::adapter::Adapters::from_iter(tensors).to_bytes()?);
    let own = loss(&written(bytes(plain.clone())?)?)?;
    within("smol, a change that is nothing yet", (own - loss(&written(learned)?)?).abs() / own, 1e-6);
    let name = "language_model.model.layers.0.self_attn.q_proj";
    let change = |down: Tensor, up: Tensor| {
        [plain.clone(), vec![(format!("{name}.lora_A"), down), (format!("{name}.lora_B"), up)]].concat()
    };
    let full = |rows: usize, columns: usize| Tensor::full(0.05f32, (rows, columns), &Device::Cpu);
    let changed = loss(&written(bytes(change(full(smol::RANK, 64)?, full(64, smol::RANK)?))?)?)?;
    assert!((changed - own).abs() > 1e-3, "a change of q_proj changed nothing: {own} and {changed}");
    let wide = written(bytes(change(full(3, 64)?, full(64, 3)?))?).err().context("another rank")?.to_string();
    assert!(wide.contains(name) && wide.contains("[64, 3]"), "{wide}");
    Ok(())
}
