//! Does a backbone that answers by class learn and answer with each client's own classes, whatever the method; and what of those that
//! cannot?

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use candle_core::{DType, Device, Tensor};
use data::{Answer, Example};
use federation::{Client, HEAD, InProcess, Outcome, Round, Scope, Soft, Unwatched};
use models::adapter::{Adapters, Head};
use models::folder::Folder;
use models::vilt::Vilt;
use models::{Backbone, nn};
use schema::card::Scoring;
use schema::experiment::Sharing;
use schema::metrics::Metric;
use schema::{Card, Experiment};
use serde_json::json;
use study::Study;
use tasks::Split;
use tasks::classes::Heads;
use tasks::table::Tasks;

use crate::support::{Test, setup, within};
use crate::tiny;

fn encoder() -> Result<Arc<dyn Backbone>> {
    setup();
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/folders/vilt");
    Ok(Arc::new(Vilt::open(&Folder::open(&path)?, DType::F32, &Device::Cpu)?))
}

fn experiment(method: &str, kind: Option<&str>) -> Experiment {
    let mut experiment = tiny::experiment(method);
    experiment.adapter.kind = kind.map(str::to_owned);
    experiment.adapter.classes = Some(5);
    experiment
}

/// Splits of the rows with no more than one picture, which this encoder cuts.
fn splits(backbone: &dyn Backbone) -> Result<[Arc<Split>; 2]> {
    let of = |split: usize| -> Result<Arc<Split>> {
        let mut dataset = tiny::split("icongen", split).dataset.clone();
        dataset.examples.retain(|example| example.images.len() <= 1);
        Ok(Arc::new(Split::new(dataset, backbone)?))
    };
    Ok([of(0)?, of(1)?])
}

fn study(experiment: &Experiment) -> Result<(federation::registry::MethodRow, Study)> {
    let registry = federation::registry::Registry::new(baselines::METHODS);
    let row = registry.choose(&experiment.method.name, experiment.adapter.kind.as_deref())?;
    let backbone = encoder()?;
    let [train, test] = splits(&*backbone)?;
    Ok((row, Study::new(experiment.clone(), &row, backbone, train, test)?))
}

fn run(experiment: &Experiment) -> Result<(Study, Outcome)> {
    let (row, study) = study(experiment)?;
    let mut method = (row.build)(&experiment.method.options)?;
    let outcome = study.run(&mut *method, &mut InProcess::new(study.host()?), &Unwatched)?;
    Ok((study, outcome))
}

/// The methods that run on it, with the adapters that they take there.
const RUN: [(&str, Option<&str>); 10] = [
    ("feddat", None),
    ("fedavg", Some("bottleneck")),
    ("fedavg-lora", None),
    ("local", Some("lora")),
    ("fedprox", Some("bottleneck")),
    ("fednano", Some("lora")),
    ("scaffold", Some("lora")),
    ("ditto", Some("bottleneck")),
    ("ffa-lora", None),
    ("centralized-lora", None),
];

/// Every client answers with the answers of its own training rows, five at most; what no class is right of is not trained on, and said.
#[test]
fn clients_answer_with_their_own_classes() -> Test {
    for (method, kind) in RUN {
        let (study, outcome) = run(&experiment(method, kind)).context(method)?;
        let pooled = method.starts_with("centralized");
        assert_eq!(outcome.recorded(Metric::LeftOut).count(), 0, "{method}");
        assert!(!outcome.predictions.is_empty() && outcome.predictions.iter().all(|p| p.scoring == Scoring::Class), "{method}");
        let heads = study.judge().heads.clone().context("classes")?;
        assert_eq!(heads.is_private(), !pooled, "{method}");
        for prediction in &outcome.predictions {
            assert_eq!(prediction.client.is_none(), pooled, "{method}");
            let classes = heads.by(prediction.client.map(|id| id as usize))?.answers();
            assert!((1..=5).contains(&classes.len()) && classes.contains(&prediction.prediction), "{method}: {prediction:?}");
            let right = prediction.prediction == prediction.gold;
            assert!(!prediction.correct || right || !prediction.parsed, "{method}: {prediction:?}");
        }
        let trained: BTreeSet<String> = study.train().iter().map(|example| example.id.clone()).collect();
        assert!(trained.len() < 45 && study.doubts().iter().any(|doubt| doubt.contains("are not trained on")), "{method}");
        let saved: BTreeSet<String> = study.partition().shards.iter().flat_map(|shard| shard.train.clone()).collect();
        assert_eq!(saved, trained, "{method}: the partition names other rows than were trained on");
    }
    Ok(())
}

/// Private heads cost no byte; a shared one its own; and everybody then answers with the same classes.
#[test]
fn a_head_is_counted_where_it_travels() -> Test {
    let up = |sharing| -> Result<f64> {
        let mut experiment = experiment("fedavg", Some("bottleneck"));
        experiment.adapter.head = Some(sharing);
        let (study, outcome) = run(&experiment)?;
        let heads = study.judge().heads.clone().context("classes")?;
        assert_eq!(heads.by(None).is_ok(), sharing == Sharing::Shared);
        assert_eq!(outcome.global.iter().any(|(name, _)| Head::has(name)), sharing == Sharing::Shared);
        let head = (64 * 32 + 64) + 2 * 64 + (5 * 64 + 5);
        assert_eq!(study.adapter().parameters() - 3 * (2 * 2 * 32 + 2 + 32), head);
        Ok(outcome.recorded(Metric::UplinkBytes).sum())
    };
    let (private, shared) = (up(Sharing::Private)?, up(Sharing::Shared)?);
    let head = 4.0 * ((64 * 32 + 64) + 2 * 64 + (5 * 64 + 5)) as f64;
    // Two rounds of three clients, and the names of six tensors.
    assert!(shared - private >= 6.0 * head && shared - private < 6.0 * (head + 1000.0), "{private} and {shared} bytes");
    Ok(())
}

/// A client that trains long enough knows its rows: adapters and head descend the loss.
#[test]
fn it_learns() -> Test {
    let mut experiment = experiment("local", Some("lora"));
    (experiment.federation.rounds, experiment.federation.local_epochs) = (2, 12);
    let (_, outcome) = run(&experiment)?;
    let losses = |round: u32| -> Vec<f64> {
        let of =
            |record: &&schema::Record| record.metric == Metric::TrainLoss && record.round == round && record.client.is_some();
        outcome.measured.records.iter().filter(of).map(|record| record.value).collect()
    };
    let mean = |values: Vec<f64>| values.iter().sum::<f64>() / values.len() as f64;
    let (first, last) = (mean(losses(1)), mean(losses(2)));
    assert!(last < 0.7 * first, "the loss goes from {first} to {last}");
    Ok(())
}

/// What cannot be is refused by name.
#[test]
fn what_cannot_answer_is_refused() -> Test {
    let refused = |experiment: &Experiment| match run(experiment) {
        Ok(_) => "taken".to_owned(),
        Err(error) => format!("{error:#}"),
    };
    let zero = refused(&experiment("zero-shot", None));
    assert!(zero.contains("`zero-shot`") && zero.contains("a head that nobody has trained"), "{zero}");
    let nano = refused(&experiment("fedavg-nano", None));
    assert!(nano.contains("has no image, text") && nano.contains("`lora` and `bottleneck`"), "{nano}");
    let mut letters = experiment("fedavg-lora", None);
    letters.data.prompt = "letters".into();
    let letters = refused(&letters);
    assert!(letters.contains("asks for a letter") || letters.contains("unknown prompt"), "{letters}");
    let mut decoder = tiny::experiment("fedavg-lora");
    decoder.adapter.classes = Some(5);
    let words = tiny::run(&decoder).err().map(|error| error.to_string()).unwrap_or_default();
    assert!(words.contains("adapter.classes = 5: backbone `tiny` answers in words"), "{words}");
    let ticks = Experiment { ..experiment("feddat", None) };
    let mut ticks = ticks;
    ticks.method.options = BTreeMap::from([("schedule_ticks".into(), json!(2))]);
    let ticks = refused(&ticks);
    assert!(ticks.contains("schedule_ticks = 2: the learning rate is constant"), "{ticks}");
    Ok(())
}

/// FedDAT's options: with `first-round` A_C stays as it was after the first round while the head goes on; two ticks change what a warming
/// schedule gives.
#[test]
fn feddat_has_its_codes_defects_as_options() -> Test {
    let trained = |options: &[(&str, serde_json::Value)], warmup: f64| -> Result<[BTreeMap<String, Adapters>; 2]> {
        let mut experiment = experiment("feddat", None);
        experiment.optimizer.warmup = warmup;
        let options: BTreeMap<String, serde_json::Value> =
            options.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        let (row, study) = study(&experiment)?;
        let method = (row.build)(&options)?;
        let mut client: Client = study.federation().clients(Scope::Shard).remove(0);
        let mut memories = Vec::new();
        for index in 1..=2 {
            let round = Round { index, total: 2, clients: 3 };
            client.begin_round(round)?;
            method.train(&mut client, &method.send(0, study.initial(), round)?)?;
            memories.push(client.memory.clone());
        }
        Ok([memories.remove(0), memories.remove(0)])
    };
    let same = |one: &Adapters, other: &Adapters| -> Result<bool> { Ok(one.flat()? == other.flat()?) };
    let [first, second] = trained(&[("ac_training", json!("first-round"))], 0.0)?;
    assert!(same(&first["local"], &second["local"])? && !same(&first[HEAD], &second[HEAD])?);
    let [usual, after] = trained(&[], 0.0)?;
    assert!(same(&first["local"], &usual["local"])? && !same(&usual["local"], &after["local"])?);
    let [once, _] = trained(&[], 0.5)?;
    let [twice, _] = trained(&[("schedule_ticks", json!(2))], 0.5)?;
    assert!(!same(&once["local"], &twice["local"])?);
    let built = (tiny::method("feddat")?.config(), (study(&experiment("feddat", None))?.0.build)(&BTreeMap::new())?.config());
    assert_eq!(built.0, built.1);
    assert!(!built.0.contains_key("ac_training") && !built.0.contains_key("schedule_ticks"), "{built:?}");
    Ok(())
}

/// What each class is worth to several people is its target, as ViLT has it; a row that they all answered otherwise has none.
#[test]
fn peoples_answers_are_soft_targets() -> Test {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/data-scripts/cards/vqav2.toml");
    let card: Arc<Card> = Arc::new(schema::toml_file::read(path.as_ref())?);
    let row = |id: usize, all: &[&str]| Example {
        id: id.to_string(),
        question: "q".into(),
        hint: String::new(),
        choices: Vec::new(),
        answer: Answer::People { gold: all[0].into(), all: all.iter().map(|answer| (*answer).to_owned()).collect() },
        images: Vec::new(),
        card: card.clone(),
        tags: BTreeMap::new(),
        row: id,
        raw_bytes: 0,
    };
    let people = ["yes", "yes", "yes", "yes", "no", "no", "no", "maybe", "maybe", "red"];
    let rows = [row(0, &people), row(1, &["no"; 10]), row(2, &["maybe"; 10]), row(3, &["blue"; 10])];
    let spec = models::spec("vilt-b32")?;
    let config = schema::experiment::AdapterConfig { classes: Some(3), ..Default::default() };
    let adapter = models::adapter::AdapterSpec::resolve(&config, "lora", &spec)?;
    let heads = Heads::new(&adapter, &rows, &[vec![0, 1, 2]])?;
    let classes = heads.by(Some(0))?;
    assert_eq!(classes.answers(), ["maybe", "no", "yes"]);
    let right = classes.right(&rows[0], &Tasks::default(), 3)?.context("right")?;
    let soft = right.soft.context("soft")?;
    assert_eq!(right.class, 2);
    for (found, wanted) in soft.iter().zip([0.6, 0.9, 1.0]) {
        within("soft target", f64::from((found - wanted).abs()), 1e-6);
    }
    assert_eq!(classes.right(&rows[3], &Tasks::default(), 3)?, None);

    // Rows of either kind in one batch: each descends its own loss.
    let logits = Tensor::new(&[[0.5f32, -1.0, 2.0], [1.0, 0.0, -3.0]], &Device::Cpu)?;
    let targets = Tensor::new(&[2u32, 0], &Device::Cpu)?;
    let soft = Tensor::from_vec([soft, vec![0.0; 3]].concat(), (2, 3), &Device::Cpu)?;
    let answers = federation::Answers {
        said: models::crossing::Said::here(logits.clone()),
        targets: targets.clone(),
        soft: Some(Soft { targets: soft.clone(), rows: Tensor::new(&[1u8, 0], &Device::Cpu)? }),
        passes: Default::default(),
        flops: Default::default(),
    };
    let found = answers.log_likelihoods()?.to_vec1::<f32>()?;
    assert_eq!(found[0], nn::soft_log_likelihood(&logits, &soft)?.to_vec1::<f32>()?[0]);
    assert_eq!(found[1], nn::log_likelihood(&logits, &targets)?.to_vec1::<f32>()?[1]);
    Ok(())
}
