//! Facts about this machine and this process: memory, processor. It knows no devices beside the
//! host.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Memory of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Bytes that this process may use at most: all there are, or the limit of its control group.
    pub total_bytes: u64,
    /// Bytes that can be had now without swapping, where the system says so.
    pub available_bytes: Option<u64>,
}

/// The host's memory; `None` where the system does not tell.
pub fn memory() -> Option<Memory> {
    if cfg!(target_os = "macos") {
        return Some(Memory {
            total_bytes: sysctl("hw.memsize")?.parse().ok()?,
            available_bytes: None,
        });
    }
    linux_memory(Path::new("/"))
}

/// The processor's name, where the system tells it.
pub fn cpu_name() -> Option<String> {
    if cfg!(target_os = "macos") {
        return sysctl("machdep.cpu.brand_string");
    }
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    cpu_name_in(&text)
}

/// Cores that this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The most bytes of memory that this process has had resident, mapped files included; `None`
/// where the system does not tell.
pub fn peak_resident_bytes() -> Option<u64> {
    kib_of(
        &std::fs::read_to_string("/proc/self/status").ok()?,
        "VmHWM:",
    )
}

/// What `sysctl` says about a name.
fn sysctl(name: &str) -> Option<String> {
    let output = Command::new("/usr/sbin/sysctl").args(["-n", name]).output();
    let text = String::from_utf8(output.ok()?.stdout).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// x86 says `model name`; most other architectures do not name their processors.
fn cpu_name_in(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo
        .lines()
        .find(|line| line.starts_with("model name"))?;
    let name = line.split_once(':')?.1.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

/// The number in a line `Key:   123 kB`, in bytes.
fn kib_of(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    kib.checked_mul(1024)
}

fn linux_memory(root: &Path) -> Option<Memory> {
    let info = std::fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let mut memory = Memory {
        total_bytes: kib_of(&info, "MemTotal:")?,
        available_bytes: kib_of(&info, "MemAvailable:"),
    };
    for group in control_groups(root) {
        let read = |name: &str| std::fs::read_to_string(group.join(name)).ok();
        let number = |name: &str| read(name)?.trim().parse::<u64>().ok();
        // Version 2 of control groups, then version 1; "max" is no number.
        let limit = number("memory.max").or_else(|| number("memory.limit_in_bytes"));
        let used = number("memory.current").or_else(|| number("memory.usage_in_bytes"));
        let Some(limit) = limit.filter(|limit| *limit < memory.total_bytes) else {
            continue;
        };
        memory.total_bytes = limit;
        // Cached files count as used, but are given back when memory is needed.
        let stat = read("memory.stat").unwrap_or_default();
        let cached = stat
            .lines()
            .find_map(|line| line.strip_prefix("inactive_file "))
            .and_then(|n| n.trim().parse::<u64>().ok())
            .unwrap_or(0);
        let free = used.map(|used| limit.saturating_sub(used.saturating_sub(cached)));
        memory.available_bytes = [memory.available_bytes, free].into_iter().flatten().min();
    }
    Some(memory)
}

/// The directories of the control groups for memory that this process is in, the innermost first.
fn control_groups(root: &Path) -> Vec<PathBuf> {
    let text = std::fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let mut groups = vec![];
    for line in text.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else {
            continue;
        };
        let top = root.join(match controllers {
            "" => "sys/fs/cgroup",
            "memory" => "sys/fs/cgroup/memory",
            _ => continue,
        });
        let below = Path::new(path.trim_start_matches('/'));
        groups.extend(below.ancestors().map(|path| top.join(path)));
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        root
    }

    const MEMINFO: (&str, &str) = (
        "proc/meminfo",
        "MemTotal:       8000 kB\nMemFree:  1 kB\nMemAvailable:   6000 kB\n",
    );

    #[test]
    fn memory_is_read_from_the_system() {
        let root = machine(&[MEMINFO]);
        let expected = Memory {
            total_bytes: 8000 * 1024,
            available_bytes: Some(6000 * 1024),
        };
        assert_eq!(linux_memory(root.path()), Some(expected));
        assert_eq!(linux_memory(Path::new("/nowhere")), None);
    }

    #[test]
    fn the_limit_of_a_control_group_counts_without_cached_files() {
        let root = machine(&[
            MEMINFO,
            ("proc/self/cgroup", "0::/pod/box\n"),
            ("sys/fs/cgroup/pod/box/memory.max", "max\n"),
            ("sys/fs/cgroup/pod/memory.max", "1000000\n"),
            ("sys/fs/cgroup/pod/memory.current", "700000\n"),
            (
                "sys/fs/cgroup/pod/memory.stat",
                "anon 1\ninactive_file 500000\n",
            ),
        ]);
        let expected = Memory {
            total_bytes: 1_000_000,
            available_bytes: Some(800_000),
        };
        assert_eq!(linux_memory(root.path()), Some(expected));
    }

    #[test]
    fn an_old_control_group_without_a_limit_changes_nothing() {
        let root = machine(&[
            MEMINFO,
            ("proc/self/cgroup", "9:cpu:/x\n4:memory:/x\n0::/\n"),
            (
                "sys/fs/cgroup/memory/x/memory.limit_in_bytes",
                "9223372036854771712\n",
            ),
            ("sys/fs/cgroup/memory/x/memory.usage_in_bytes", "5\n"),
        ]);
        let memory = linux_memory(root.path()).unwrap();
        assert_eq!(memory.total_bytes, 8000 * 1024);
        assert_eq!(memory.available_bytes, Some(6000 * 1024));
    }

    #[test]
    fn the_processor_is_named_where_the_system_does() {
        let text = "processor\t: 0\nmodel name\t: Fast CPU 3000\n";
        assert_eq!(cpu_name_in(text).as_deref(), Some("Fast CPU 3000"));
        assert_eq!(cpu_name_in("processor : 0\nCPU part : 0xd01\n"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_peak_of_this_process_is_known() {
        assert!(peak_resident_bytes().unwrap() > 1 << 20);
    }
}
