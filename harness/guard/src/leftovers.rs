//! What processes that were killed left behind, under names that hold their number.

use std::fs;
use std::io;
use std::path::Path;

/// Removes what lies in a folder as `PREFIX<number>REST` where the process of that number is gone; `rest` says which rests are meant.
/// What cannot be removed is in nobody's way.
pub fn sweep(folder: &Path, prefix: &str, rest: impl Fn(&str) -> bool) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(numbered) = name.to_str().and_then(|name| name.strip_prefix(prefix)) else { continue };
        let digits = numbered.bytes().take_while(u8::is_ascii_digit).count();
        let (process, end) = numbered.split_at(digits);
        if rest(end) && process.parse().is_ok_and(is_gone) {
            let _ = remove(&entry.path());
        }
    }
}

/// Whether a process has ended; never said where the system does not tell.
fn is_gone(process: u32) -> bool {
    Path::new("/proc/self").exists() && !Path::new("/proc").join(process.to_string()).exists()
}

/// Removes a file, a link or a folder with all that is in it; nothing is there afterwards, or it is an error.
pub fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_by_the_dead_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let ours = format!(".x-{}.part", std::process::id());
        // Numbers of processes end at 4194304.
        for name in [".x-4194999.part", ".x-4194999.txt", ".x-.part", ".y-4194999.part", &ours] {
            fs::write(folder.path().join(name), "half").expect("written");
        }
        fs::create_dir_all(folder.path().join(".x-4194998.part/in")).expect("a folder");
        sweep(folder.path(), ".x-", |rest| rest == ".part");
        let mut left: Vec<_> =
            fs::read_dir(folder.path()).expect("a folder").map(|entry| entry.expect("readable").file_name()).collect();
        left.sort();
        let mut kept = [".x-.part", ".x-4194999.txt", ".y-4194999.part", &ours];
        kept.sort();
        assert_eq!(left, kept);
        assert!(remove(&folder.path().join("nothing")).is_ok());
    }
}
