//! Adapters forward and backward, per-example gradients for the Fisher, aggregation over many clients.

use std::collections::BTreeMap;
use std::hint::black_box;

use anyhow::Result;
use candle_core::{DType, Device, Tensor, Var};
use criterion::{BenchmarkId, Criterion, Throughput};
use harness::adapter::{Adapt, Adapters, LowRank, fisher};
use harness::federation::{Sets, Update, aggregate};
use seed::Seed;

fn main() {
    bench::start(None).expect("threads start once");
    let mut criterion = Criterion::default().configure_from_args();
    pairs(&mut criterion);
    per_example_gradients(&mut criterion);
    aggregation(&mut criterion);
    criterion.final_summary();
}

fn drawn(name: &str, shape: &[usize]) -> Tensor {
    let mut stream = Seed::new(2).stream(name);
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| stream.range(-0.1, 0.1) as f32).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).expect("values fill their shape")
}

/// A low-rank pair of width `d`.
fn pair(d: usize, rank: usize) -> Adapters {
    [("site.down".to_owned(), drawn("down", &[rank, d])), ("site.up".to_owned(), drawn("up", &[d, rank]))].into_iter().collect()
}

/// What a pair adds to `x`.
fn delta(adapters: &Adapters, x: &Tensor) -> Result<Tensor> {
    let tensor = |name: &str| adapters.get(name).cloned().expect("a pair has both halves");
    let mut pair = LowRank::new(2.0);
    pair.add("site", tensor("site.down"), tensor("site.up"));
    Ok(pair.delta("site", x)?.expect("the site is adapted"))
}

/// A NanoAdapter (rank 64) and LoRA's pair at one projection (rank 8), on hidden states of shapes S and M.
fn pairs(criterion: &mut Criterion) {
    for (shape, [b, t, d]) in [("S", [16, 112, 192]), ("M", [4, 128, 576])] {
        let x = drawn("x", &[b, t, d]);
        let x_var = Var::from_tensor(&x).expect("a variable");
        for (kind, rank) in [("nano", 64), ("lora", 8)] {
            let adapters = pair(d, rank);
            let vars = adapters.to_vars().expect("variables");
            let mut group = criterion.benchmark_group(format!("adapter/{kind}-{shape}"));
            group.throughput(Throughput::Elements((b * t * d) as u64));
            group.bench_function("forward", |bench| bench.iter(|| delta(&adapters, black_box(&x)).expect("forward")));
            group.bench_function("forward+backward", |bench| {
                bench.iter(|| {
                    let sum = delta(&Adapters::from_vars(&vars), black_box(&x_var)).and_then(|y| Ok(y.sum_all()?));
                    sum.and_then(|sum| Ok(sum.backward()?)).expect("backward")
                });
            });
        }
    }
}

/// Squared gradients of 16 examples through a NanoAdapter, each with its own copy.
fn per_example_gradients(criterion: &mut Criterion) {
    let (x, adapters) = (drawn("x", &[16, 112, 192]), pair(192, 64));
    let mut group = criterion.benchmark_group("fisher");
    group.throughput(Throughput::Elements(16));
    group.bench_function("16 examples", |bench| {
        bench.iter(|| -> Adapters {
            let copies: BTreeMap<String, Var> = fisher::copies(&adapters, 16).expect("copies");
            let sum = delta(&Adapters::from_vars(&copies), black_box(&x)).and_then(|y| Ok(y.sqr()?.sum_all()?)).expect("forward");
            fisher::sum_of_squares(&copies, &sum.backward().expect("backward")).expect("every copy has a gradient")
        });
    });
}

/// FedAvg and Fisher merging of the embedded backbone's NanoAdapters (4,096 numbers).
fn aggregation(criterion: &mut Criterion) {
    for clients in [5, 100, 1000] {
        let updates: Vec<Update> = (0..clients).map(update).collect();
        let weights = aggregate::data_weights(&updates);
        let mut group = criterion.benchmark_group("aggregation");
        group.throughput(Throughput::Elements(clients as u64 * 4096));
        group.bench_with_input(BenchmarkId::new("mean", clients), &updates, |bench, updates| {
            bench.iter(|| aggregate::weighted_mean(black_box(updates), "adapters", &weights).expect("a mean"));
        });
        group.bench_with_input(BenchmarkId::new("fisher", clients), &updates, |bench, updates| {
            bench.iter(|| aggregate::fisher_merge(black_box(updates), &weights, 1e-12).expect("a merge"));
        });
    }
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
