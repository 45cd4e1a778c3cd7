//! `fedbench`: federated tuning of multimodal LLMs, benchmarked.

use federation::registry::Registry;

/// Training makes and drops many middle-sized tensors; the system's allocator would hand their pages back each time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay`: in the enumeration `mi_option_t` of mimalloc's header (`v3/include/mimalloc.h` of libmimalloc-sys 0.1.49) it
/// is the one before `mi_option_use_numa_nodes`. The crate names the latter alone.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = libmimalloc_sys::mi_option_use_numa_nodes - 1;
const _: () = assert!(PURGE_DELAY == 15);

/// Keeps free pages instead of handing them back after a second, only to ask for them (cleared) again: 10 to 17% of
/// a short `fedbench pretrain nano` (100 grounding steps, two pairs of runs).
#[allow(unsafe_code, reason = "the allocator's options are set through its C interface")]
fn keep_pages() {
    // SAFETY: setting an option that exists has no precondition.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, -1) }
}

/// A file that may not grow further is an error of whoever writes it, with its name, instead of the end of the process.
#[allow(unsafe_code, reason = "what a signal does is set through the system's interface")]
fn outlive_file_limits() {
    // SAFETY: ignoring a signal runs no code of ours, and no other thread is there yet.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

fn main() -> std::process::ExitCode {
    keep_pages();
    outlive_file_limits();
    fedbench::cli::main(Registry::new(baselines::METHODS))
}
