//! What the benches and the `step` program measure: one training step through a frozen decoder, at two shapes, and a small study.
//!
//! A step is what a client does for a batch: image features and token embeddings enter, adapters act, the frozen decoder runs,
//! the loss is taken at the answer tokens, gradients go back to the adapters, AdamW moves them. `torch_step.py` is the same step
//! in PyTorch.

mod step;
mod study;

pub use step::{Shape, Step};
pub use study::{Task, task};

/// The program's own allocator: what is timed here is what `fedbench` does.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay` of mimalloc 3.
const PURGE_DELAY: i32 = 15;

/// Sets allocator and threads up as `fedbench` does; first thing in `main`.
#[allow(unsafe_code, reason = "the allocator's options are set through its C interface")]
pub fn start(threads: Option<usize>) -> harness::Result<()> {
    // SAFETY: setting an option that exists has no precondition.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, -1) }
    harness::threads::init(threads)
}
