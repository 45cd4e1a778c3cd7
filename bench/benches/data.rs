//! From parquet to a batch, and judging an example: what surrounds a training step.

use std::hint::black_box;

use criterion::{Criterion, SamplingMode, Throughput};
use data::Dataset;
use tasks::judgement::judge_global;

const ROWS: usize = 200;

fn main() {
    bench::start(None).expect("threads start once");
    let task = bench::task(ROWS).expect("a study");
    let (study, folder) = (&task.study, task.folder());
    let dataset = || Dataset::load(&folder, &task.card, "train", None).expect("rows");
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("data");
    group.sample_size(10).sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(ROWS as u64));
    group.bench_function("parquet to examples", |bench| bench.iter(dataset));
    let loaded = dataset();
    let preprocess = study.backbone().preprocess();
    group.bench_function("decode and preprocess", |bench| {
        bench.iter(|| {
            for image in &loaded.images {
                black_box(preprocess.pixels(image, u64::MAX).expect("pixels"));
            }
        });
    });
    let examples: Vec<usize> = (0..study.train().len()).collect();
    group.bench_function("examples to batches of 16", |bench| {
        bench.iter(|| {
            for chunk in examples.chunks(16) {
                black_box(study.train_batch(chunk).expect("a batch"));
            }
        });
    });
    group.bench_function("judge", |bench| bench.iter(|| judge_global(study.judge(), study.initial()).expect("a judgement")));
    group.finish();
    criterion.final_summary();
}
