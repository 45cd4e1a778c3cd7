//! Times training steps and prints them as JSON: what `compare.py` and `gpu.sh` run beside `torch_step.py`.

#![allow(clippy::print_stdout, reason = "a program's output")]

use anyhow::{Context, Result, bail};
use bench::{Shape, Step};
use candle_core::Device;
use clap::Parser;
use machine::clock::Stopwatch;
use machine::memory;

/// Training steps through a frozen decoder.
#[derive(Parser)]
struct Options {
    /// S, M or 7B.
    #[arg(long, default_value = "S")]
    shape: String,
    /// nano or lora.
    #[arg(long, default_value = "nano")]
    kind: String,
    /// `cpu` or `cuda:N`.
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Times nothing: says how far the device's numbers are from the CPU's, a line of JSON each, and fails where that is too far.
    #[arg(long)]
    check: bool,
    /// Type of the frozen weights: f32, bf16 or f16.
    #[arg(long, default_value = "f32")]
    dtype: String,
    /// Keeps what enters a block alone, and computes the rest again (`backbone.checkpoint = "block"`).
    #[arg(long)]
    checkpoint: bool,
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
    let device = device(&options.device)?;
    if options.check {
        return check(&options.device, &device);
    }
    time(&options, &device)
}

/// `cpu` or `cuda:N`.
fn device(name: &str) -> Result<Device> {
    let Some(index) = name.strip_prefix("cuda:") else {
        return if name == "cpu" { Ok(Device::Cpu) } else { bail!("device `{name}`: expected `cpu` or `cuda:N`") };
    };
    let index = index.parse().with_context(|| format!("device `{name}`: expected a number behind `cuda:`"))?;
    Device::new_cuda(index)
        .with_context(|| format!("device {name}: needs a build with `--features cuda`, an NVIDIA GPU and its driver"))
}

fn check(name: &str, device: &Device) -> Result<()> {
    let checks = bench::checks(device)?;
    for check in &checks {
        let holds = check.holds();
        println!(
            "{}",
            serde_json::json!({ "check": check.what, "device": name, "error": check.error, "bound": check.bound, "holds": holds })
        );
    }
    let failed = checks.iter().filter(|check| !check.holds()).count();
    if failed > 0 { bail!("{failed} of {} checks failed on {name}", checks.len()) } else { Ok(()) }
}

fn time(options: &Options, device: &Device) -> Result<()> {
    let mut shape = Shape::find(&options.shape)?;
    shape.tokens = options.tokens.map_or(shape.tokens, |tokens| tokens as usize);
    shape.batch = options.batch.map_or(shape.batch, |batch| batch as usize);
    let mut step = Step::new(shape, &options.kind, models::parse_dtype(Some(&options.dtype))?, device)?;
    if options.checkpoint {
        step.checkpoint();
    }
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
        "stack": "fedbench", "shape": shape.name, "kind": options.kind, "dtype": options.dtype, "device": options.device, "median_ms": median, "loss": loss,
        "gflops": shape.flops() / median / 1e6, "peak_memory_mb": memory::peak_bytes() / 1_000_000,
        "milliseconds": milliseconds,
    });
    println!("{report}");
    Ok(())
}
