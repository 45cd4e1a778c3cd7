//! What the benches and the `step` program measure: one training step through a frozen decoder, at three shapes, and a small study.
//!
//! A step is what a client does for a batch: image features and token embeddings enter, adapters act, the frozen decoder runs,
//! the loss is taken at the answer tokens, gradients go back to the adapters, AdamW moves them. `torch_step.py` is the same step
//! in PyTorch.

mod check;
mod step;
mod study;

pub use check::{Check, checks};
pub use step::{Shape, Step};
pub use study::{Task, task};

/// The program's own allocator: what is timed here is what `fedbench` does.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay`: in the enumeration `mi_option_t` of mimalloc's header (`v3/include/mimalloc.h` of libmimalloc-sys 0.1.49) it
/// is the one before `mi_option_use_numa_nodes`. The crate names the latter alone.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = libmimalloc_sys::mi_option_use_numa_nodes - 1;
const _: () = assert!(PURGE_DELAY == 15);

/// Sets allocator and threads up as `fedbench` does; first thing in `main`.
#[allow(unsafe_code, reason = "the allocator's options are set through its C interface")]
pub fn start(threads: Option<usize>) -> Result<(), machine::threads::Error> {
    // SAFETY: setting an option that exists has no precondition.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, -1) }
    machine::threads::init(threads)
}
