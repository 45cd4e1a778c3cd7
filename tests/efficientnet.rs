//! EfficientNet-Lite: a tiny one gives PyTorch's feature maps at any size (`fixtures/efficientnet.py`), the real one those that its
//! checkpoint came with; folders in timm's form are right or refused.
//!
//! The real weights are not kept here. Tests that need them read the folder that `FEDBENCH_TOWER` names, or
//! `../shared/weights/efficientnet-lite0`, and say so where neither is there.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use models::efficientnet::{EfficientNet, EfficientNetConfig, Stage};
use models::folder::Folder;
use models::smol::Tower;
use tempfile::TempDir;

use crate::support::{Test, relative, setup, within};

type Tensors = HashMap<String, Tensor>;

fn tiny() -> EfficientNetConfig {
    let stage = |(blocks, kernel, stride, expansion, width)| Stage { blocks, kernel, stride, expansion, width };
    let stages = [(1, 3, 1, 1, 3), (2, 5, 2, 6, 5), (2, 3, 2, 4, 6), (1, 5, 1, 6, 6)].map(stage).to_vec();
    EfficientNetConfig { stem: 4, stages, head: 19, image_size: 32 }
}

/// The fixture's weights under their own names, and all else.
fn fixture() -> Result<(Tensors, Tensors)> {
    setup();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/efficientnet.safetensors");
    let rest = candle_core::safetensors::load(path, &Device::Cpu)?;
    let own = |(name, tensor): (&String, &Tensor)| Some((name.strip_prefix("weights.")?.to_owned(), tensor.clone()));
    Ok((rest.iter().filter_map(own).collect(), rest))
}

fn built(weights: Tensors) -> candle_core::Result<EfficientNet> {
    EfficientNet::new(&tiny(), &VarBuilder::from_tensors(weights, DType::F32, &Device::Cpu))
}

/// `[n, h, w, c]` as `[n, c, h, w]`.
fn planes(x: &Tensor) -> Result<Tensor> {
    Ok(x.permute((0, 3, 1, 2))?.contiguous()?)
}

#[test]
fn a_tiny_one_gives_pytorchs_feature_maps_at_any_size() -> Test {
    let (weights, expect) = fixture()?;
    let tower = built(weights)?;
    for picture in ["odd", "even", "small"] {
        let stages = tower.stages(&expect[&format!("{picture}.pixels")], &[0, 1, 2, 3, 4])?;
        for (s, stage) in stages.iter().enumerate() {
            let wanted = &expect[&format!("{picture}.stage{s}")];
            assert_eq!(planes(stage)?.dims(), wanted.dims(), "{picture}, stage {s}");
            within(&format!("tiny, {picture}, stage {s}"), relative(&planes(stage)?, wanted)?, 1e-5);
        }
    }
    // Some stages alone are the same numbers.
    let pixels = &expect["even.pixels"];
    let (all, some) = (tower.stages(pixels, &[0, 1, 2, 3, 4])?, tower.stages(pixels, &[2, 4])?);
    assert_eq!(some.len(), 2);
    assert_eq!(relative(&some[0], &all[2])? + relative(&some[1], &all[4])?, 0.0);
    Ok(())
}

#[test]
fn what_is_missing_misshapen_or_no_variance_is_named() -> Test {
    let (weights, _) = fixture()?;
    let said = |name: &str, other: Option<Tensor>| -> Result<String> {
        let mut weights = weights.clone();
        weights.remove(name);
        weights.extend(other.map(|tensor| (name.to_owned(), tensor)));
        Ok(built(weights).err().context("it must be refused")?.to_string())
    };
    let gone = said("blocks.1.1.bn2.running_mean", None)?;
    assert!(gone.contains("blocks.1.1.bn2.running_mean"), "{gone}");
    let misshapen = said("conv_stem.weight", Some(Tensor::zeros((4, 27), DType::F32, &Device::Cpu)?))?;
    assert!(misshapen.contains("conv_stem.weight") && misshapen.contains("[4, 27]"), "{misshapen}");
    let negative = said("bn2.running_var", Some(Tensor::full(-0.5f32, 19, &Device::Cpu)?))?;
    assert!(negative.contains("bn2.running_var") && negative.contains("a variance is not negative"), "{negative}");
    Ok(())
}

/// The counts of its weights file: 4,652,008 without statistics, of which the classifier has 1,281,000.
#[test]
fn counts_are_those_of_the_checkpoint() {
    let config = EfficientNetConfig::lite0();
    assert_eq!(config.parameters(), 4_652_008 - 1_281_000);
    assert_eq!([config.side(0), config.side(4), config.side(6), config.side(7)], [112, 14, 7, 7]);
    let macs = config.image_flops() / 2e9;
    assert!((0.35..0.41).contains(&macs), "{macs} GMACs");
}

/// Where the real one lies, if it is at hand.
pub(crate) fn lite0() -> Option<PathBuf> {
    let named = std::env::var_os("FEDBENCH_TOWER").filter(|value| !value.is_empty()).map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/weights/efficientnet-lite0");
    let path = named.or_else(|| beside.is_dir().then_some(beside));
    if path.is_none() {
        eprintln!("skipped: FEDBENCH_TOWER names no EfficientNet-Lite0 in timm's form");
    }
    path
}

/// What the checkpoint came with: inputs, feature maps, pooled features and logits.
#[test]
fn lite0_gives_its_own_feature_maps_and_logits() -> Test {
    let Some(path) = lite0() else { return Ok(()) };
    if !path.join("expected.safetensors").is_file() {
        eprintln!("skipped: {} holds no expected.safetensors", path.display());
        return Ok(());
    }
    setup();
    let expect = candle_core::safetensors::load(path.join("expected.safetensors"), &Device::Cpu)?;
    let weights = candle_core::safetensors::load(path.join("model.safetensors"), &Device::Cpu)?;
    let classifier = [weights["classifier.weight"].clone(), weights["classifier.bias"].clone()];
    let tower = EfficientNet::new(&EfficientNetConfig::lite0(), &VarBuilder::from_tensors(weights, DType::F32, &Device::Cpu))?;
    let stages = tower.stages(&expect["pixels"], &[0, 1, 2, 3, 4, 5, 6, 7])?;
    for s in 0..7 {
        let wanted = &expect[&format!("stage{s}")];
        let found = planes(&stages[s])?.narrow(0, 0, wanted.dim(0)?)?;
        within(&format!("EfficientNet-Lite0, stage {s}"), relative(&found, wanted)?, 1e-5);
    }
    let pooled = stages[7].mean((1, 2))?;
    within("EfficientNet-Lite0, pooled", relative(&pooled, &expect["pooled"])?, 1e-5);
    let logits = pooled.matmul(&classifier[0].t()?)?.broadcast_add(&classifier[1])?;
    within("EfficientNet-Lite0, logits", relative(&logits, &expect["logits"])?, 1e-5);
    let far = (logits - &expect["logits"])?.abs()?.max_all()?.to_scalar::<f32>()?;
    assert!(far < 1e-4, "largest difference of a logit: {far}");
    Ok(())
}

/// A folder with a config and no weights yet.
fn folder(config: &str) -> Result<TempDir> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("config.json"), config)?;
    Ok(folder)
}

#[test]
fn folders_of_other_towers_are_refused() -> Test {
    for (config, expect) in [
        (r#"{"architecture": "tf_efficientnet_lite1"}"#, "architecture = \"tf_efficientnet_lite1\""),
        (r#"{"model_type": "llava"}"#, "missing field `architecture`"),
        (
            r#"{"architecture": "tf_efficientnet_lite0", "pretrained_cfg": {"input_size": [3, 240, 240]}}"#,
            "input_size = [3, 240, 240]",
        ),
        (r#"{"architecture": "tf_efficientnet_lite0", "pretrained_cfg": {"std": [0.5, 0.5, 0.0]}}"#, "std = [0.5, 0.5, 0.0]"),
        (
            r#"{"architecture": "tf_efficientnet_lite0", "pretrained_cfg": {"mean": [127, 127, 127]}}"#,
            "mean = [127.0, 127.0, 127.0]",
        ),
        (r#"{"architecture": "tf_efficientnet_lite0"}"#, "holds neither model.safetensors"),
    ] {
        let folder = folder(config)?;
        let error = Tower::open(folder.path()).err().context("it must be refused")?.to_string();
        assert!(error.contains(expect), "{error}");
    }
    let plain = folder(r#"{"architecture": "tf_efficientnet_lite0"}"#)?;
    let (_, preprocess) = EfficientNetConfig::of(&Folder::open(plain.path())?)?;
    assert_eq!((preprocess.size, preprocess.mean, preprocess.std), (224, [0.5; 3], [0.5; 3]));
    Ok(())
}

/// Milliseconds a picture on one thread. `cargo test ... -- --ignored milliseconds`
#[test]
#[ignore = "a measurement"]
fn milliseconds_of_a_picture() -> Test {
    let Some(path) = lite0() else { return Ok(()) };
    setup();
    let weights = candle_core::safetensors::load(path.join("model.safetensors"), &Device::Cpu)?;
    let tower = EfficientNet::new(&EfficientNetConfig::lite0(), &VarBuilder::from_tensors(weights, DType::F32, &Device::Cpu))?;
    let pixels = Tensor::zeros((1, 3, 224, 224), DType::F32, &Device::Cpu)?;
    let clock = machine::clock::Stopwatch::start();
    for _ in 0..20 {
        tower.stages(&pixels, &[4, 7])?;
    }
    eprintln!("{:.1} ms", clock.seconds() * 50.0);
    Ok(())
}
