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

/// Bytes that the process may still take: what Linux calls available, or what is left of its control group's limit, the smaller;
/// nothing where the system does not tell.
pub fn available_bytes() -> Option<u64> {
    let meminfo = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let available = line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024;
    Some(left_of_group().map_or(available, |left| left.min(available)))
}

/// What is left of a control group's limit (version 2); pages of files that nobody uses are as good as free.
fn left_of_group() -> Option<u64> {
    let read = |name: &str| std::fs::read_to_string(format!("/sys/fs/cgroup/{name}")).ok();
    let number = |text: String| text.trim().parse::<u64>().ok();
    let (limit, used) = (read("memory.max").and_then(number)?, read("memory.current").and_then(number)?);
    let stat = read("memory.stat")?;
    let unused = stat.lines().find_map(|line| line.strip_prefix("inactive_file ")).and_then(|count| number(count.to_owned()))?;
    Some(limit.saturating_sub(used.saturating_sub(unused)))
}
