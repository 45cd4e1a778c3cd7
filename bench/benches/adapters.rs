//! Adapters forward and backward, per-example gradients for the Fisher, aggregation over many clients.

use std::collections::BTreeMap;
use std::hint::black_box;

use anyhow::Result;
use candle_core::{DType, Device, Tensor, Var};
use criterion::{BenchmarkId, Criterion, Throughput};
use federation::aggregate::{FisherMean, Mean};
use federation::{Sets, Update};
use models::SiteSpec;
use models::adapter::{Adapt, AdapterKind, AdapterSpec, Adapters, bottleneck, fisher, lora, nano};
use seed::Seed;

fn main() {
    bench::start(None).expect("threads start once");
    let mut criterion = Criterion::default().configure_from_args();
    kinds(&mut criterion);
    per_example_gradients(&mut criterion);
    aggregation(&mut criterion);
    criterion.final_summary();
}

fn drawn(name: &str, shape: &[usize]) -> Tensor {
    let mut stream = Seed::new(2).stream(name);
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| stream.range(-0.1, 0.1) as f32).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).expect("values fill their shape")
}

/// One site of width `d` with adapters of a kind.
fn spec(kind: &'static AdapterKind, d: usize, rank: usize) -> AdapterSpec {
    let site = SiteSpec { name: "site".into(), group: "site".into(), d_in: d, d_out: d, before_decoder: true };
    AdapterSpec { kind, rank, alpha: 2.0 * rank as f64, sites: vec![site], head: None }
}

/// Adapters with no number at zero, so that every path has a gradient.
fn adapters(spec: &AdapterSpec, name: &str) -> Adapters {
    let fresh = spec.init(Seed::new(2), DType::F32, &Device::Cpu).expect("fresh adapters");
    fresh.iter().map(|(tensor, like)| (tensor.clone(), drawn(&format!("{name}/{tensor}"), like.dims()))).collect()
}

/// What adapters add to `x`.
fn delta(spec: &AdapterSpec, adapters: &Adapters, x: &Tensor) -> Result<Tensor> {
    Ok(spec.attach(adapters)?.delta("site", x)?.expect("the site is adapted"))
}

/// Every kind at one site, on hidden states of shapes S and M; `dual` is FedDAT's teacher, the mean of two bottlenecks.
fn kinds(criterion: &mut Criterion) {
    for (shape, [b, t, d]) in [("S", [16, 112, 192]), ("M", [4, 128, 576])] {
        let x = Var::from_tensor(&drawn("x", &[b, t, d])).expect("a variable");
        for (name, kind, rank) in [
            ("nano", &nano::KIND, 64),
            ("lora", &lora::KIND, 8),
            ("bottleneck", &bottleneck::KIND, d / 16),
            ("dual", &bottleneck::KIND, d / 16),
        ] {
            let spec = spec(kind, d, rank);
            let (vars, other) = (adapters(&spec, "one").to_vars().expect("variables"), adapters(&spec, "other"));
            let at_work = |trained: &Adapters| match name {
                "dual" => spec.mix(&[(0.5, trained), (0.5, &other)]).expect("a mixture"),
                _ => trained.clone(),
            };
            let mut group = criterion.benchmark_group(format!("adapter/{name}-{shape}"));
            group.throughput(Throughput::Elements((b * t * d) as u64));
            let still = Adapters::from_var_values(&vars).expect("values");
            group.bench_function("forward", |bench| {
                bench.iter(|| delta(&spec, &at_work(&still), black_box(&x.as_detached_tensor())).expect("forward"));
            });
            group.bench_function("forward+backward", |bench| {
                bench.iter(|| {
                    let sum = delta(&spec, &at_work(&Adapters::from_vars(&vars)), black_box(&x)).and_then(|y| Ok(y.sum_all()?));
                    sum.and_then(|sum| Ok(sum.backward()?)).expect("backward")
                });
            });
        }
    }
}

/// Squared gradients of 16 examples through a NanoAdapter, each with its own copy.
fn per_example_gradients(criterion: &mut Criterion) {
    let (x, spec) = (drawn("x", &[16, 112, 192]), spec(&nano::KIND, 192, 64));
    let adapters = adapters(&spec, "one");
    let mut group = criterion.benchmark_group("fisher");
    group.throughput(Throughput::Elements(16));
    group.bench_function("16 examples", |bench| {
        bench.iter(|| -> Adapters {
            let copies: BTreeMap<String, Var> = fisher::copies(&adapters, 16).expect("copies");
            let sum = delta(&spec, &Adapters::from_vars(&copies), black_box(&x))
                .and_then(|y| Ok(y.sqr()?.sum_all()?))
                .expect("forward");
            fisher::sum_of_squares(&copies, &sum.backward().expect("backward")).expect("every copy has a gradient")
        });
    });
}

/// FedAvg and Fisher merging of the embedded backbone's NanoAdapters (4,096 numbers).
fn aggregation(criterion: &mut Criterion) {
    for clients in [5, 100, 1000] {
        let updates: Vec<Update> = (0..clients).map(update).collect();
        let mut group = criterion.benchmark_group("aggregation");
        group.throughput(Throughput::Elements(clients as u64 * 4096));
        group.bench_with_input(BenchmarkId::new("mean", clients), &updates, |bench, updates| {
            bench.iter(|| mean(black_box(updates)).expect("a mean"));
        });
        group.bench_with_input(BenchmarkId::new("fisher", clients), &updates, |bench, updates| {
            bench.iter(|| fisher_mean(black_box(updates)).expect("a merge"));
        });
    }
}

fn mean(updates: &[Update]) -> federation::Result<Adapters> {
    let mut mean = Mean::default();
    updates.iter().try_for_each(|update| mean.add(update.set("adapters")?, update.num_examples as f64))?;
    mean.take()
}

fn fisher_mean(updates: &[Update]) -> federation::Result<Adapters> {
    let mut mean = FisherMean::default();
    let add = |update: &Update| mean.add(update.set("adapters")?, update.set("fisher")?, update.num_examples as f64);
    updates.iter().try_for_each(add)?;
    mean.take(1e-12)
}

fn update(client: usize) -> Update {
    let set = |what: &str| -> Adapters {
        let tensor = |site: &str, shape: &[usize]| (site.to_owned(), drawn(&format!("{what}{client}{site}"), shape));
        ["image", "text"]
            .into_iter()
            .flat_map(|site| [tensor(&format!("{site}.down"), &[8, 128]), tensor(&format!("{site}.up"), &[128, 8])])
            .collect()
    };
    let fisher = set("fisher").map(|f| f.sqr()?.to_dtype(DType::F32)).expect("squares");
    Update {
        client,
        num_examples: 20,
        loss: 0.0,
        steps: 1,
        examples: 20,
        sets: Sets::default().with("adapters", set("adapters")).with("fisher", fisher),
    }
}
