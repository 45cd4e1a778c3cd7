//! How the work is spread over threads.
//!
//! Clients, evaluation batches, image chunks and lessons are independent of each other, so they run at the same time, each on one
//! thread, and their results are put together in a fixed order. The operations inside stay single-threaded: no number can depend
//! on how many threads there are, and small models lose no time on handing tiny operations around.

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::{Error, Result};

/// Sets the suite up to use `threads` threads (all of the machine's without a number). Call it first thing in `main`, before any
/// other thread exists: candle reads its own thread counts from the environment.
#[allow(unsafe_code, reason = "candle offers no other way to keep its operations on one thread")]
pub fn init(threads: Option<usize>) -> Result<()> {
    for name in ["RAYON_NUM_THREADS", "CANDLE_NUM_THREADS"] {
        // SAFETY: the caller promises that no other thread runs yet, so nobody reads the environment meanwhile.
        unsafe { std::env::set_var(name, "1") };
    }
    let threads = threads.unwrap_or_else(available);
    ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global()
        .map_err(|error| Error::Usage(format!("cannot start {threads} threads: {error}")))
}

/// A pool of its own, for work whose thread count is under test.
pub fn pool(threads: usize) -> Result<ThreadPool> {
    ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|error| Error::Usage(format!("cannot start {threads} threads: {error}")))
}

/// The machine's threads.
pub fn available() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
