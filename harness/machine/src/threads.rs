//! How the work is spread over threads.
//!
//! Clients, evaluation batches, image chunks and lessons are independent of each other, so they run at the same time, each on one
//! thread, and their results are put together in a fixed order. The operations inside stay single-threaded: no number can depend
//! on how many threads there are, and small models lose no time on handing tiny operations around.
//!
//! [`init`] is the first thing that `main` does: it keeps candle's operations on one thread each by environment variables, which it
//! sets only while the process has no other thread (`.cargo/config.toml` sets them for tests).

use rayon::{ThreadPool, ThreadPoolBuilder};

/// Threads cannot be had, or not so many.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Error(String);

/// What candle reads its thread counts from, at every operation; it offers no other way to keep them at one.
const VARIABLES: [&str; 2] = ["RAYON_NUM_THREADS", "CANDLE_NUM_THREADS"];

/// No machine that this runs on has more, and each takes a stack.
const MAX_THREADS: usize = 1024;

/// Sets the suite up to use `threads` threads (all of the machine's without a number). Call it first thing in `main`, before any
/// other thread exists. Where another one does (a test's, say), the variables that candle reads must be set already: `cargo` does that,
/// by `.cargo/config.toml`. Otherwise it is an error.
pub fn init(threads: Option<usize>) -> Result<(), Error> {
    keep_operations_on_one_thread()?;
    let threads = threads.unwrap_or_else(|| available().min(MAX_THREADS));
    if !(1..=MAX_THREADS).contains(&threads) {
        return Err(Error(format!("--threads {threads}: expected 1 to {MAX_THREADS}")));
    }
    ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global()
        .map_err(|error| Error(format!("cannot start {threads} threads: {error}")))
}

#[allow(unsafe_code, reason = "candle offers no other way to keep its operations on one thread")]
fn keep_operations_on_one_thread() -> Result<(), Error> {
    if VARIABLES.iter().all(|name| std::env::var_os(name).is_some_and(|value| value == "1")) {
        return Ok(());
    }
    if !is_alone() {
        let set = VARIABLES.map(|name| format!("{name}=1")).join(" ");
        return Err(Error(format!("operations cannot be kept on one thread while others run: set {set}, and start again")));
    }
    for name in VARIABLES {
        // SAFETY: this is the process's only thread, counted above, so nobody reads the environment meanwhile; on Windows that is
        // allowed in any case.
        unsafe { std::env::set_var(name, "1") };
    }
    Ok(())
}

/// Whether the process has no other thread than this one, as far as its system says so. Nobody else could start one meanwhile.
fn is_alone() -> bool {
    cfg!(windows) || std::fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.take(2).count() == 1)
}

/// A pool of its own, for work whose thread count is under test.
pub fn pool(threads: usize) -> Result<ThreadPool, Error> {
    ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|error| Error(format!("cannot start {threads} threads: {error}")))
}

/// The machine's threads.
pub fn available() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Beside a running thread nothing is set; `cargo` has set the variables for its tests.
    #[test]
    fn the_environment_is_left_alone_beside_other_threads() {
        std::thread::scope(|scope| {
            let (end, wait) = std::sync::mpsc::channel::<()>();
            scope.spawn(move || wait.recv());
            assert!(cfg!(windows) || !is_alone());
            drop(end);
        });
        assert!(VARIABLES.iter().all(|name| std::env::var_os(name).is_some_and(|value| value == "1")), "see .cargo/config.toml");
        assert!(keep_operations_on_one_thread().is_ok());
    }
}
