//! How much host memory can be had.

use std::path::Path;

/// Bytes of memory that this process can have without swapping, where the system says so: those of
/// the machine, or less in a control group (version 2) with a limit.
pub(super) fn available_memory() -> Option<u64> {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let machine = read("/proc/meminfo").and_then(|text| machine_available(&text));
    let group = read("/proc/self/cgroup")
        .and_then(|text| Some(text.lines().find_map(|l| l.strip_prefix("0::"))?.to_owned()))
        .and_then(|path| group_available(Path::new("/sys/fs/cgroup"), &path));
    [machine, group].into_iter().flatten().min()
}

/// From the text of `/proc/meminfo`.
fn machine_available(text: &str) -> Option<u64> {
    let line = text.lines().find(|l| l.starts_with("MemAvailable:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    kib.checked_mul(1024)
}

/// What a control group and those around it leave: the limit less what is in use, where files that
/// are only cached do not count. `None` without a limit.
fn group_available(root: &Path, path: &str) -> Option<u64> {
    let own = root.join(path.trim_start_matches('/'));
    own.ancestors()
        .take_while(|dir| dir.starts_with(root))
        .filter_map(|dir| {
            let number = |file: &str| -> Option<u64> {
                std::fs::read_to_string(dir.join(file))
                    .ok()?
                    .trim()
                    .parse()
                    .ok()
            };
            let limit = number("memory.max")?;
            let used = number("memory.current")?;
            let cached = std::fs::read_to_string(dir.join("memory.stat"))
                .ok()
                .and_then(|text| {
                    let line = text.lines().find_map(|l| l.strip_prefix("file "))?;
                    line.trim().parse().ok()
                })
                .unwrap_or(0);
            Some(limit.saturating_sub(used.saturating_sub(cached)))
        })
        .min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_machine_has_is_read_in_bytes() {
        let text = "MemTotal:       24684024 kB\nMemAvailable:   22000000 kB\n";
        assert_eq!(machine_available(text), Some(22_000_000 * 1024));
        assert_eq!(machine_available("MemTotal: 1 kB\n"), None);
    }

    #[test]
    fn the_tightest_group_counts_and_cached_files_do_not() {
        let root = tempfile::tempdir().expect("a directory");
        let inner = root.path().join("a/b");
        std::fs::create_dir_all(&inner).expect("directories");
        let write = |dir: &Path, name: &str, text: &str| {
            std::fs::write(dir.join(name), text).expect("a file");
        };
        write(&inner, "memory.max", "max\n");
        write(&inner, "memory.current", "100\n");
        assert_eq!(group_available(root.path(), "/a/b"), None);
        let outer = root.path().join("a");
        write(&outer, "memory.max", "1000\n");
        write(&outer, "memory.current", "700\n");
        write(&outer, "memory.stat", "anon 100\nfile 600\n");
        assert_eq!(group_available(root.path(), "/a/b"), Some(900));
    }
}
