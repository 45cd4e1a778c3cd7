//! `fedbench`: federated tuning of multimodal LLMs, benchmarked.

use harness::registry::Registry;

/// Training makes and drops many middle-sized tensors; the system's allocator would hand their pages back each time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    fedbench::cli::main(Registry::new(baselines::METHODS))
}
