//! Peak memory of the process, as the operating system counts it.

/// Peak resident memory in bytes; 0 where the system does not tell.
#[cfg(unix)]
#[allow(unsafe_code, reason = "getrusage has no safe wrapper in the standard library")]
pub fn peak_bytes() -> u64 {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: `usage` is valid for writes of one rusage, and the all-zero value is a valid one.
    let usage = unsafe {
        if libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()) != 0 {
            return 0;
        }
        usage.assume_init()
    };
    // Linux counts kibibytes, macOS bytes.
    let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
    usage.ru_maxrss as u64 * unit
}

/// Peak resident memory in bytes; 0 where the system does not tell.
#[cfg(not(unix))]
pub fn peak_bytes() -> u64 {
    0
}
