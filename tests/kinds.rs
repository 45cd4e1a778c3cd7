//! Adapters against what they stand for: biases, norms and pairs at the connector against a model whose weights have been changed, a
//! prompt against tokens that the model knows.

use anyhow::{Context, Result};
use candle_core::{DType, Device, Shape, Tensor};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};
use models::adapter::{Adapt, AdapterSpec, Adapters, KINDS, Untouched};
use models::llava::Llava;
use models::{Backbone, Batch, Branch, Sequence, SiteSpec};
use schema::experiment::{AdapterConfig, Checkpoint};
use seed::Seed;

use crate::support::{Test, distance, normal, within};
use crate::tiny::{self, Drawn};

/// The drawn weights, each with what the adapters of its name add to it.
struct Changed(Adapters);

impl SimpleBackend for Changed {
    fn get(&self, shape: Shape, name: &str, init: Init, dtype: DType, device: &Device) -> candle_core::Result<Tensor> {
        let site = name.replace("language_model.model.", "").replace("self_attn.", "").replace("mlp.", "");
        // The model to compare with has no biases in its decoder.
        let added = self.0.get(&site);
        match (added, site.ends_with("_proj.bias")) {
            (Some(added), true) => Ok(added.clone()),
            (Some(added), false) => Drawn.get(shape, name, init, dtype, device)? + added,
            (None, _) => Drawn.get(shape, name, init, dtype, device),
        }
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> candle_core::Result<Tensor> {
        candle_core::bail!("weight `{name}` is asked for without a shape")
    }

    fn contains_tensor(&self, _: &str) -> bool {
        true
    }
}

/// Logits of two answers to a question about a picture.
fn logits(model: &Llava, front: &[u32], virtual_tokens: usize, adapt: &dyn Adapt) -> Result<Tensor> {
    let (batch, pixels) = question(model, front, virtual_tokens)?;
    Ok(model.decode(&model.embed(&batch, &model.encode(&pixels)?)?, adapt)?)
}

/// The same with a connector that runs in the step.
fn late_logits(model: &Llava, adapt: &dyn Adapt) -> Result<Tensor> {
    let (batch, pixels) = question(model, &[], 0)?;
    Ok(model.decode(&model.embed_unconnected(&batch, &model.see(&pixels)?)?, adapt)?)
}

/// The question as a batch, and the picture.
fn question(model: &Llava, front: &[u32], virtual_tokens: usize) -> Result<(Batch, Tensor)> {
    let image = model.text().image_token();
    let mut prefix = front.to_vec();
    prefix.extend(vec![image; model.spec().image_tokens]);
    prefix.extend([40, 50, 60]);
    let branches = vec![Branch::answer(vec![70, 80, 2]), Branch::answer(vec![90, 2])];
    let sequence = Sequence { prefix, images: vec![0], branches }.behind_virtual_tokens(virtual_tokens);
    let size = model.preprocess().size;
    let batch = Batch::new(&[&sequence], image, DType::F64, &Device::Cpu)?;
    Ok((batch, normal("pixels", (1, 3, size, size), DType::F64)?))
}

fn spec(kind: &str, rank: Option<usize>, model: &Llava) -> Result<AdapterSpec> {
    let config = AdapterConfig { kind: Some(kind.into()), rank, ..AdapterConfig::default() };
    Ok(AdapterSpec::resolve(&config, kind, model.spec())?)
}

/// Of every kind that has a rank: so many parameters are that rank, and it is the rank that is kept; the nearest one is taken, of two
/// as near the lower. A number that no rank comes near, a rank beside it, and kinds without one are refused.
#[test]
fn parameters_choose_the_nearest_rank() -> Test {
    let plain = tiny::llava(&tiny::config(), DType::F64, None)?;
    for kind in KINDS {
        let asked = |parameters: u64, rank: Option<usize>| {
            let config = AdapterConfig { parameters: Some(parameters), rank, ..AdapterConfig::default() };
            AdapterSpec::of(kind, &config, plain.spec())
        };
        let refused = |parameters, rank, why: &str| {
            let error = asked(parameters, rank).expect_err(kind.name).to_string();
            assert!(error.starts_with(&format!("adapter.parameters = {parameters}: ")) && error.contains(why), "{error}");
        };
        if !kind.has_rank() {
            refused(64, None, "no rank that could be chosen");
            continue;
        }
        let of = |rank| Ok::<_, anyhow::Error>(spec(kind.name, Some(rank), &plain)?.parameters());
        let most = plain.spec().d_model;
        for rank in [1, 2, 3, 7, most] {
            let found = asked(of(rank)?, None)?;
            assert_eq!((found.rank, found.parameters()), (rank, of(rank)?), "{}", kind.name);
            assert_eq!((found.config().rank, found.config().parameters), (Some(rank), None));
            assert_eq!(found.alpha, kind.alpha_over_rank * rank as f64);
        }
        let (five, six) = (of(5)?, of(6)?);
        assert_eq!([asked(five + 1, None)?.rank, asked(six - 1, None)?.rank], [5, 6], "{}", kind.name);
        assert_eq!(asked((five + six) / 2, None)?.rank, 5, "{}", kind.name);
        refused(five, Some(5), "adapter.rank = 5 is given, too");
        refused(0, None, "the nearest rank, 1,");
        refused(2 * of(most)?, None, &format!("the nearest rank, {most},"));
        refused(u64::MAX, None, "expected a number from");
    }
    Ok(())
}

#[test]
fn vectors_are_changed_weights() -> Test {
    let plain = tiny::llava(&tiny::config(), DType::F64, None)?;
    for (kind, biases) in [("norm", false), ("bias", true)] {
        let spec = spec(kind, None, &plain)?;
        let start = spec.init(Seed::new(0), DType::F64, &Device::Cpu)?;
        let drawn = start.iter().map(|(name, x)| Ok((name.clone(), (normal(name, x.shape(), DType::F64)? * 0.3)?)));
        let adapters = drawn.collect::<Result<Adapters>>()?;
        let mut config = tiny::config();
        (config.text_config.attention_bias, config.text_config.mlp_bias) = (biases, biases);
        let weights = VarBuilder::from_backend(Box::new(Changed(adapters.clone())), DType::F64, Device::Cpu);
        let changed = tiny::llava(&config, DType::F64, Some(weights))?;

        let wanted = logits(&changed, &[], 0, &Untouched)?;
        let untouched = logits(&plain, &[], 0, &Untouched)?;
        assert!(distance(&wanted, &untouched)? > 1e-2, "{kind}: the change changes nothing");
        within(
            &format!("{kind} against changed weights"),
            distance(&logits(&plain, &[], 0, &spec.attach(&adapters)?)?, &wanted)?,
            1e-11,
        );
    }
    Ok(())
}

/// Pairs at the connector's layers are `W + scale B A` there; untouched, a connector that runs in every step is the one whose output
/// is kept.
#[test]
fn pairs_at_the_connector_are_changed_weights() -> Test {
    let plain = tiny::llava(&tiny::config(), DType::F64, None)?;
    let sites = Some(vec![models::sites::CONNECTOR.into()]);
    let config = AdapterConfig { kind: Some("lora".into()), rank: Some(3), alpha: Some(2.0), sites, ..AdapterConfig::default() };
    let spec = AdapterSpec::resolve(&config, "lora", plain.spec())?;
    assert!(spec.reaches_connector() && spec.is_split());
    let start = spec.init(Seed::new(0), DType::F64, &Device::Cpu)?;
    let drawn = start.iter().map(|(name, x)| Ok((name.clone(), (normal(name, x.shape(), DType::F64)? * 0.3)?)));
    let adapters = drawn.collect::<Result<Adapters>>()?;

    let product = |site: &SiteSpec| -> Result<(String, Tensor)> {
        let [a, b] = spec.names(site).context("a pair")?.map(|name| adapters.get(&name));
        let name = site.name.replace("connector.", "multi_modal_projector.") + ".weight";
        Ok((name, (b.context("B")?.matmul(a.context("A")?)? * spec.scale())?))
    };
    let changes = spec.sites.iter().map(product).collect::<Result<Adapters>>()?;
    assert_eq!(changes.iter().count(), 2);
    let weights = VarBuilder::from_backend(Box::new(Changed(changes)), DType::F64, Device::Cpu);
    let changed = tiny::llava(&tiny::config(), DType::F64, Some(weights))?;

    let untouched = logits(&plain, &[], 0, &Untouched)?;
    within("an untouched connector, run late", distance(&late_logits(&plain, &Untouched)?, &untouched)?, 1e-11);
    let wanted = logits(&changed, &[], 0, &Untouched)?;
    assert!(distance(&wanted, &untouched)? > 1e-2, "the change changes nothing");
    within("pairs at the connector", distance(&late_logits(&plain, &spec.attach(&adapters)?)?, &wanted)?, 1e-11);
    Ok(())
}

/// Virtual tokens that are real tokens' embeddings do what these tokens do in front.
#[test]
fn a_prompt_is_tokens_in_front() -> Test {
    let model = tiny::llava(&tiny::config(), DType::F64, None)?;
    let spec = spec("prompt", Some(3), &model)?;
    let front = [33u32, 71, 5];
    let embedding =
        Drawn.get((320, 16).into(), "language_model.model.embed_tokens.weight", Init::Const(0.0), DType::F64, &Device::Cpu)?;
    let tokens = embedding.index_select(&Tensor::new(&front, &Device::Cpu)?, 0)?;
    let name =
        spec.init(Seed::new(0), DType::F64, &Device::Cpu)?.iter().map(|(name, _)| name.clone()).next().context("a tensor")?;
    let adapters: Adapters = [(name, tokens)].into_iter().collect();
    let found = logits(&model, &[], 3, &spec.attach(&adapters)?)?;
    within("a prompt against tokens", distance(&found, &logits(&model, &front, 0, &Untouched)?)?, 1e-11);
    assert!(distance(&found, &logits(&model, &[], 0, &Untouched)?)? > 1e-2);
    Ok(())
}

/// What is kept of a step for its backward pass changes no byte and no run's name, whatever is trained, and wherever. The Fisher pass
/// (FedNano's) goes through the same blocks.
#[test]
fn what_is_kept_changes_no_byte() -> Test {
    let methods = KINDS.iter().map(|kind| ("fedavg", Some(kind.name))).chain([("fednano", None), ("feddat", None)]);
    for (method, kind) in methods {
        let mut experiment = tiny::experiment(method);
        experiment.adapter.kind = kind.map(str::to_owned);
        if kind.is_some_and(|kind| KINDS.iter().any(|row| row.name == kind && !row.has_rank())) {
            experiment.adapter.rank = None;
        }
        let (_, _, plain) = tiny::run(&experiment)?;
        let mut spared = experiment.clone();
        spared.backbone.checkpoint = Checkpoint::Block;
        let (_, _, found) = tiny::run(&spared)?;
        assert_eq!(tiny::bytes(&found)?, tiny::bytes(&plain)?, "{method} {kind:?}");
        assert_eq!(spared.run_name("d", "m"), experiment.run_name("d", "m"));
        let text = serde_json::to_string(&experiment)?;
        assert!(!text.contains("checkpoint") && serde_json::to_string(&spared)?.contains("\"checkpoint\":\"block\""));
    }
    Ok(())
}
