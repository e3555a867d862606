//! Free disk space, looked at before something large is written.

use std::path::Path;

use crate::{Error, Result};

/// Bytes that this user can still write to the file system that holds `path`. Where `path` does
/// not exist yet, its nearest existing parent is asked.
///
/// # Errors
///
/// [`Error::Io`] when the file system cannot be asked.
pub fn free_bytes(path: &Path) -> Result<u64> {
    let path = std::path::absolute(path).map_err(Error::io("resolve", path))?;
    let existing = path
        .ancestors()
        .find(|dir| dir.exists())
        .unwrap_or(Path::new("/"));
    let stat = rustix::fs::statvfs(existing)
        .map_err(|e| Error::io("measure the free space of", existing)(e.into()))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// An [`Error::Exhausted`] when `needed` bytes do not fit in `free` ones: `what` names what needs
/// them, `remedy` what can be done besides deleting files.
///
/// # Errors
///
/// [`Error::Exhausted`] as said.
pub fn require(what: &str, needed: u64, free: u64, dir: &Path, remedy: &str) -> Result<()> {
    if needed <= free {
        return Ok(());
    }
    Err(Error::Exhausted {
        what: format!(
            "{what} needs {} of disk space in {}, {} is free; free some space, or {remedy}",
            size_text(needed),
            dir.display(),
            size_text(free)
        ),
    })
}

/// A byte count as people read it, in powers of ten: `24.1 GB`, `381.2 MB`, `12 bytes`.
pub fn size_text(bytes: u64) -> String {
    const UNITS: [(f64, &str); 4] = [(1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")];
    let value = bytes as f64;
    match UNITS.iter().find(|(unit, _)| value >= *unit) {
        Some((unit, name)) => format!("{:.1} {name}", value / unit),
        None => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_names_both_sizes_and_the_remedy() {
        let error = require(
            "acme/film",
            24_100_000_000,
            381_200_000,
            Path::new("/cache"),
            "set HF_HOME to a directory on a larger disk",
        )
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "acme/film needs 24.1 GB of disk space in /cache, 381.2 MB is free; free some space, \
             or set HF_HOME to a directory on a larger disk"
        );
        assert_eq!(error.exit_code(), 200);
        require("it", 5, 5, Path::new("/"), "").unwrap();
    }

    #[test]
    fn sizes_read_in_powers_of_ten() {
        let texts = [0, 999, 1000, 1_250_000, 3_000_000_000, 2_000_000_000_000].map(size_text);
        assert_eq!(
            texts,
            [
                "0 bytes",
                "999 bytes",
                "1.0 kB",
                "1.2 MB",
                "3.0 GB",
                "2.0 TB"
            ]
        );
    }

    #[test]
    fn a_directory_that_is_not_there_yet_has_the_space_of_its_parent() {
        let dir = tempfile::tempdir().unwrap();
        assert!(free_bytes(&dir.path().join("a/b/c")).unwrap() > 0);
    }
}
