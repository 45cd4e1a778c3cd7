//! A training step and a forward pass through the frozen decoder, shapes S and M, FedNano's adapters and LoRA; M with bf16 weights
//! too.

use candle_core::{DType, Device};
use criterion::{Criterion, SamplingMode, Throughput};

use bench::{Shape, Step};

fn main() {
    bench::start(None).expect("threads start once");
    let mut criterion = Criterion::default().configure_from_args();
    for (shape, dtype) in [(Shape::S, DType::F32), (Shape::M, DType::F32), (Shape::M, DType::BF16)] {
        for kind in ["nano", "lora"] {
            let mut step = Step::new(shape, kind, dtype, &Device::Cpu).expect("a model");
            let mut group = criterion.benchmark_group(format!("decoder/{kind}-{}-{}", shape.name, dtype.as_str()));
            group.sample_size(10).sampling_mode(SamplingMode::Flat);
            group.throughput(Throughput::Elements((shape.batch * shape.tokens) as u64));
            group.bench_function("forward", |bench| bench.iter(|| step.forward().expect("forward")));
            group.bench_function("step", |bench| bench.iter(|| step.run().expect("a step")));
        }
    }
    criterion.final_summary();
}
