//! Times training steps and prints them as JSON: what `compare.py` runs beside `torch_step.py`.

#![allow(clippy::print_stdout, reason = "a program's output")]

use anyhow::Result;
use bench::{Shape, Step};
use clap::Parser;
use machine::clock::Stopwatch;
use machine::memory;

/// Training steps through a frozen decoder.
#[derive(Parser)]
struct Options {
    /// S or M.
    #[arg(long, default_value = "S")]
    shape: String,
    /// nano or lora.
    #[arg(long, default_value = "nano")]
    kind: String,
    /// Type of the frozen weights: f32, bf16 or f16.
    #[arg(long, default_value = "f32")]
    dtype: String,
    /// Tokens of a sequence; the shape's without a number.
    #[arg(long, value_parser = clap::value_parser!(u32).range(32..))]
    tokens: Option<u32>,
    /// Sequences in a batch; the shape's without a number.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    batch: Option<u32>,
    /// Timed steps.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    steps: u32,
    /// Steps before them.
    #[arg(long, default_value_t = 2)]
    warm_up: usize,
    /// Threads; all of the machine's without a number.
    #[arg(long)]
    threads: Option<usize>,
}

fn main() -> Result<()> {
    let options = Options::parse();
    bench::start(options.threads)?;
    let mut shape = Shape::find(&options.shape)?;
    shape.tokens = options.tokens.map_or(shape.tokens, |tokens| tokens as usize);
    shape.batch = options.batch.map_or(shape.batch, |batch| batch as usize);
    let mut step = Step::new(shape, &options.kind, models::parse_dtype(Some(&options.dtype))?)?;
    for _ in 0..options.warm_up {
        step.run()?;
    }
    let mut milliseconds = Vec::new();
    let mut loss = 0.0;
    for _ in 0..options.steps {
        let clock = Stopwatch::start();
        loss = step.run()?;
        milliseconds.push(clock.seconds() * 1e3);
    }
    let mut sorted = milliseconds.clone();
    sorted.sort_by(f64::total_cmp);
    let median = (sorted[(sorted.len() - 1) / 2] + sorted[sorted.len() / 2]) / 2.0;
    let report = serde_json::json!({
        "stack": "fedbench", "shape": shape.name, "kind": options.kind, "dtype": options.dtype, "median_ms": median, "loss": loss,
        "gflops": shape.flops() / median / 1e6, "peak_memory_mb": memory::peak_bytes() / 1_000_000,
        "milliseconds": milliseconds,
    });
    println!("{report}");
    Ok(())
}
