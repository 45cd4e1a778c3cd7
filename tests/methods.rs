//! Methods against PyTorch: whole federations of every method on a problem small enough to be written twice.
//!
//! `fixtures/methods.py` has the problem and the other side. Each method's own `send`, `train` and `aggregate` run here over the
//! suite's epoch loop and optimizer, in f64; what is compared is each site's effective change of its weight, round by round.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use baselines::METHODS;
use candle_core::{DType, Device, Tensor};
use federation::merge;
use federation::{Answers, Client, Error, Method, Plain, Round, Task};
use models::SiteSpec;
use models::adapter::{Adapt, AdapterSpec, Adapters, lora};
use models::crossing::Said;
use schema::Experiment;
use schema::experiment::Course;

use crate::support::{Test, distance, setup, within};

/// Rounding, and nothing else.
const BOUND: f64 = 1e-9;
const CLIENTS: usize = 3;
const ROUNDS: usize = 3;
const STEPS: usize = 3;

/// `logits = W2 tanh(W1 x)`, a LoRA pair at each weight; the clients' examples one after the other.
struct Toy {
    experiment: Experiment,
    spec: AdapterSpec,
    initial: Adapters,
    weights: [Tensor; 2],
    x: Tensor,
    y: Vec<u32>,
    shards: Vec<Vec<usize>>,
    /// Whether nothing it says is a number.
    broken: AtomicBool,
}

type Fixture = HashMap<String, Tensor>;

fn fixture() -> Result<Fixture> {
    setup();
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/methods.safetensors");
    Ok(candle_core::safetensors::load(path, &Device::Cpu)?)
}

fn get<'f>(fixture: &'f Fixture, name: &str) -> Result<&'f Tensor> {
    fixture.get(name).with_context(|| format!("methods.safetensors: no `{name}`"))
}

impl Toy {
    fn new(fixture: &Fixture) -> Result<Self> {
        let experiment = toml::from_str(
            "[data]\ndataset = \"toy\"\n[method]\nname = \"any\"\n[federation]\nbatch_size = 16\n[optimizer]\nlearning_rate = 0.05\n\
             beta2 = 0.99\nweight_decay = 0.01\n",
        )?;
        let weights = [get(fixture, "input.weight.first")?.clone(), get(fixture, "input.weight.second")?.clone()];
        let site = |(name, weight): (&str, &Tensor)| -> Result<SiteSpec> {
            let (d_out, d_in) = weight.dims2()?;
            Ok(SiteSpec { name: name.into(), group: "q_proj".into(), d_in, d_out, before_decoder: false })
        };
        let sites = ["first", "second"].into_iter().zip(&weights).map(site).collect::<Result<_>>()?;
        let spec = AdapterSpec { kind: &lora::KIND, rank: 4, alpha: 8.0, sites, head: None };
        let (mut x, mut y, mut shards) = (Vec::new(), Vec::new(), Vec::new());
        for client in 0..CLIENTS {
            let answers: Vec<i64> = get(fixture, &format!("input.y.{client}"))?.to_vec1()?;
            shards.push((y.len()..y.len() + answers.len()).collect());
            y.extend(answers.iter().map(|&answer| answer as u32));
            x.push(get(fixture, &format!("input.x.{client}"))?.clone());
        }
        Ok(Self {
            experiment,
            initial: pairs(fixture, "input", &spec)?,
            spec,
            weights,
            x: Tensor::cat(&x, 0)?,
            y,
            shards,
            broken: AtomicBool::new(false),
        })
    }
}

/// A set of pairs of a fixture.
fn pairs(fixture: &Fixture, prefix: &str, spec: &AdapterSpec) -> Result<Adapters> {
    let mut set = Adapters::default();
    for site in &spec.sites {
        let [a, b] = spec.names(site).context("LoRA has pairs")?;
        set.insert(a, get(fixture, &format!("{prefix}.{}.A", site.name))?.clone());
        set.insert(b, get(fixture, &format!("{prefix}.{}.B", site.name))?.clone());
    }
    Ok(set)
}

impl Task for Toy {
    fn experiment(&self) -> &Experiment {
        &self.experiment
    }

    fn adapter(&self) -> &AdapterSpec {
        &self.spec
    }

    fn initial(&self) -> &Adapters {
        &self.initial
    }

    fn examples(&self) -> usize {
        self.shards.iter().map(Vec::len).sum()
    }

    fn length(&self, _example: usize) -> usize {
        1
    }

    fn raw_bytes(&self, _example: usize) -> u64 {
        0
    }

    fn answers(&self, examples: &[usize], adapters: &Adapters) -> federation::Result<Answers> {
        let attached = self.spec.attach(adapters)?;
        let linear = |site: usize, x: &Tensor| -> federation::Result<Tensor> {
            let (b, t, d) = x.dims3()?;
            let y = x.reshape((b * t, d))?.matmul(&self.weights[site].t()?)?.reshape((b, t, ()))?;
            match attached.delta(&self.spec.sites[site].name, x)? {
                Some(delta) => Ok((y + delta)?),
                None => Ok(y),
            }
        };
        let rows: Vec<u32> = examples.iter().map(|&example| example as u32).collect();
        let x = self.x.index_select(&Tensor::new(rows, &Device::Cpu)?, 0)?.unsqueeze(1)?;
        let logits = linear(1, &linear(0, &x)?.tanh()?)?.squeeze(1)?;
        let logits = if self.broken.load(Ordering::Relaxed) { (logits * f64::NAN)? } else { logits };
        let targets: Vec<u32> = examples.iter().map(|&example| self.y[example]).collect();
        Ok(Answers {
            said: Said::here(logits),
            targets: Tensor::new(targets, &Device::Cpu)?,
            soft: None,
            passes: Default::default(),
            flops: Default::default(),
        })
    }
}

/// What adapters change a site's weight by: what they add to every unit vector.
fn change(spec: &AdapterSpec, site: &SiteSpec, adapters: &Adapters) -> Result<Tensor> {
    let unit = Tensor::eye(site.d_in, DType::F64, &Device::Cpu)?.unsqueeze(0)?;
    match spec.attach(adapters)?.delta(&site.name, &unit)? {
        Some(columns) => Ok(columns.squeeze(0)?.t()?.contiguous()?),
        None => Ok(Tensor::zeros((site.d_out, site.d_in), DType::F64, &Device::Cpu)?),
    }
}

/// A method over a task: the global adapters after every round, and the clients' own after the last.
struct Federation {
    rounds: Vec<Adapters>,
    personal: Vec<Option<Adapters>>,
}

fn federate(toy: &Toy, method: &mut dyn Method) -> Result<Federation> {
    let shards = toy.shards.iter().enumerate();
    let mut clients: Vec<Client> = shards.map(|(id, shard)| Client::new(id, toy, shard.clone(), STEPS)).collect();
    let mut global = method.start(toy.initial.clone(), &toy.spec);
    let mut rounds = Vec::new();
    for index in 1..=ROUNDS {
        let round = Round { index, total: ROUNDS, clients: CLIENTS };
        for client in &mut clients {
            client.begin_round(round)?;
            let received = method.send(client.id(), &global, round)?;
            let update = method.train(client, &received)?;
            method.receive(update, &global, round)?;
        }
        global = method.aggregate(&global, round)?;
        rounds.push(global.clone());
    }
    let personal = clients.iter().map(|client| Ok(method.personalize(client, &global)?)).collect::<Result<_>>()?;
    Ok(Federation { rounds, personal })
}

fn build(name: &str, keys: serde_json::Value) -> Result<Box<dyn Method>> {
    let row = METHODS.iter().find(|row| row.name == name).with_context(|| format!("no method `{name}`"))?;
    let keys: BTreeMap<String, serde_json::Value> = serde_json::from_value(keys)?;
    Ok((row.build)(&keys)?)
}

/// The methods of the fixture, with the keys it was made with.
fn settings() -> Vec<(&'static str, &'static str, serde_json::Value)> {
    use serde_json::json;
    vec![
        ("fedavg-lora", "fedavg", json!({})),
        ("fedavg-lora/uniform", "fedavg", json!({ "weights": "uniform" })),
        ("fedprox", "fedprox", json!({ "mu": 0.5 })),
        ("feddyn", "feddyn", json!({ "alpha": 0.1 })),
        ("scaffold", "scaffold", json!({})),
        ("fedavgm", "fedavgm", json!({})),
        ("fedadagrad", "fedadagrad", json!({})),
        ("fedyogi", "fedyogi", json!({})),
        ("fedadam", "fedadam", json!({})),
        ("fedmedian", "fedmedian", json!({})),
        ("fedtrimmedmean", "fedtrimmedmean", json!({ "trim": 0.34 })),
        ("fednano", "fednano", json!({})),
        ("fednano-ef", "fednano-ef", json!({})),
        ("fednano/l2", "fednano", json!({ "normalize": "l2" })),
        ("fednano/mean", "fednano", json!({ "normalize": "mean" })),
        ("feddpa-f", "feddpa-f", json!({})),
        ("feddpa-t", "feddpa-t", json!({ "local_weight": 0.3 })),
        ("ditto", "ditto", json!({ "lambda": 0.4 })),
        ("feddat", "feddat", json!({})),
        ("ffa-lora", "ffa-lora", json!({})),
        ("rolora", "rolora", json!({})),
        ("rolora/a", "rolora", json!({ "first": "a" })),
        ("fedsvd", "fedsvd", json!({})),
        ("lora-fair", "lora-fair", json!({ "lambda": 0.02, "steps": 50, "rate": 0.1 })),
        ("fedsa-lora", "fedsa-lora", json!({})),
        ("fedalt", "fedalt", json!({})),
        ("hetlora", "hetlora", json!({ "ranks": [2, 4, 3], "gamma": 0.5, "lambda": 3.0 })),
        ("flexlora", "flexlora", json!({ "ranks": [1, 3, 4] })),
        ("fedex-lora", "fedex-lora", json!({})),
    ]
}

/// Holds a federation against what the fixture has of it.
fn compare(fixture: &Fixture, toy: &Toy, expected: &str, found: &Federation) -> Test {
    let rounds = found.rounds.iter().enumerate().map(|(index, global)| (format!("round.{}", index + 1), global));
    let own = found.personal.iter().enumerate().filter_map(|(client, own)| Some((format!("client.{client}"), own.as_ref()?)));
    let mut compared = 0;
    for (what, adapters) in rounds.chain(own) {
        for site in &toy.spec.sites {
            if let Some(wanted) = fixture.get(&format!("expect.{expected}.{what}.{}", site.name)) {
                let error = distance(&change(&toy.spec, site, adapters)?, wanted)?;
                within(&format!("{expected}, {what}, {}", site.name), error, BOUND);
                compared += 1;
            }
        }
    }
    let wanted = fixture.keys().filter(|key| key.starts_with(&format!("expect.{expected}.")));
    assert!(compared >= 6 && compared == wanted.count(), "{expected}: {compared} values compared");
    Ok(())
}

/// Every method that federates, three rounds of it, is PyTorch's.
#[test]
fn methods_are_the_references() -> Test {
    let fixture = fixture()?;
    let toy = Toy::new(&fixture)?;
    for (expected, name, keys) in settings() {
        compare(&fixture, &toy, expected, &federate(&toy, &mut *build(name, keys)?)?)?;
    }
    Ok(())
}

/// With a warm-up, half a cosine and clipped gradients over the whole run, too: of the common loop, of one whose objective changes
/// gradients, and of a method with steps of its own.
#[test]
fn schedules_and_clipping_are_the_references() -> Test {
    let fixture = fixture()?;
    let mut toy = Toy::new(&fixture)?;
    let optimizer = &mut toy.experiment.optimizer;
    (optimizer.schedule, optimizer.warmup, optimizer.clip) = (Course::Cosine, 0.2, Some(0.25));
    for name in ["fedavg", "scaffold", "feddat"] {
        let expected = if name == "fedavg" { "fedavg-lora" } else { name };
        let found = federate(&toy, &mut *build(name, serde_json::json!({}))?)?;
        compare(&fixture, &toy, &format!("{expected}/scheduled"), &found)?;
    }
    Ok(())
}

/// FLoRA's stack of pairs of unequal ranks is the weighted sum of their products, and clients who merge what they receive hold the
/// server's weights.
#[test]
fn flora_is_exact() -> Test {
    let fixture = fixture()?;
    let toy = Toy::new(&fixture)?;
    let mut method = build("flora", serde_json::json!({ "ranks": [1, 3, 4] }))?;
    let start = method.start(toy.initial.clone(), &toy.spec);
    let round = |index: usize| Round { index, total: ROUNDS, clients: CLIENTS };
    let updates = (0..CLIENTS).map(|client| {
        let update = federation::Update { client, num_examples: toy.shards[client].len(), ..Default::default() };
        Ok(update.with("adapters", pairs(&fixture, &format!("input.flora.{client}"), &toy.spec)?))
    });
    let global = merge(&mut *method, &start, updates.collect::<Result<Vec<_>>>()?, round(1))?;
    let mut client = Client::new(1, &toy, toy.shards[1].clone(), STEPS);
    client.begin_round(round(2))?;
    let update = method.train(&mut client, &method.send(1, &global, round(2))?)?;
    for site in &toy.spec.sites {
        let wanted = get(&fixture, &format!("expect.flora.{}", site.name))?;
        within(&format!("flora, {}", site.name), distance(&change(&toy.spec, site, &global)?, wanted)?, BOUND);
        let merged = client.memory.get("base").context("the client merged nothing")?;
        within(&format!("flora at a client, {}", site.name), distance(&change(&toy.spec, site, merged)?, wanted)?, BOUND);
        let [a, _] = toy.spec.names(site).context("LoRA has pairs")?;
        assert_eq!(update.set("adapters")?.get(&a).context("no A")?.dims(), [3, site.d_in], "client 1 has rank 3");
    }
    Ok(())
}

/// A client whose own training diverges has merged what it received all the same: else its frozen weights would be none of the others'.
#[test]
fn a_round_that_diverges_loses_no_merge() -> Test {
    let fixture = fixture()?;
    for name in ["flora", "fedex-lora"] {
        let toy = Toy::new(&fixture)?;
        let mut method = build(name, serde_json::json!({}))?;
        let mut global = method.start(toy.initial.clone(), &toy.spec);
        let shards = toy.shards.iter().enumerate();
        let mut clients: Vec<Client> = shards.map(|(id, shard)| Client::new(id, &toy, shard.clone(), STEPS)).collect();
        for index in 1..=2 {
            let round = Round { index, total: ROUNDS, clients: CLIENTS };
            let mut updates = Vec::new();
            for client in &mut clients {
                client.begin_round(round)?;
                toy.broken.store(index == 2 && client.id() == 1, Ordering::Relaxed);
                match method.train(client, &method.send(client.id(), &global, round)?) {
                    Ok(update) => updates.push(update),
                    Err(error) => assert!(matches!(error, Error::Diverged { client: 1, .. }), "{error}"),
                }
            }
            assert_eq!(updates.len(), if index == 1 { 3 } else { 2 });
            global = merge(&mut *method, &global, updates, round)?;
        }
        let base = |client: &Client| client.memory.get("base").cloned().context("it merged nothing");
        for site in &toy.spec.sites {
            let [lost, other] = [1, 0].map(|id| change(&toy.spec, site, &base(&clients[id]).expect(name)));
            within(&format!("{name}, {}", site.name), distance(&lost?, &other?)?, 0.0);
        }
    }
    Ok(())
}

/// A tensor that no gradient reaches would stay as it is without a word, whatever the objective.
#[test]
fn a_tensor_without_a_gradient_is_an_error() -> Test {
    let toy = Toy::new(&fixture()?)?;
    let mut client = Client::new(0, &toy, toy.shards[0].clone(), STEPS);
    client.begin_round(Round { index: 1, total: 1, clients: 1 })?;
    let mut start = toy.initial.clone();
    start.insert("third.A".into(), Tensor::ones((2, 2), DType::F64, &Device::Cpu)?);
    let error = client.fit(&start, &mut Plain).err().context("it was trained")?.to_string();
    assert!(error.contains("`third.A` got no gradient"), "{error}");
    Ok(())
}

/// Every method of the table that federates is compared with a reference, or says here why not.
#[test]
fn no_method_is_without_a_reference() {
    let elsewhere = [
        "zero-shot",   // laws: the untouched backbone
        "local",       // laws: FedAvg with one client is local tuning
        "centralized", // one trainer, no rule of its own
        "flora",       // above: its fresh pairs are drawn by our own generator
    ];
    let settings = settings();
    for row in METHODS {
        let compared = settings.iter().any(|(_, name, _)| *name == row.name);
        assert!(compared != elsewhere.contains(&row.name), "{}", row.name);
    }
}
