//! Where libraries lie on a machine: the engine's cache, the system's directories, Python's.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::subprocess;

/// The engine's cache directory: `ASCENDIT_CACHE`, else `ascendit` in `XDG_CACHE_HOME`, in
/// `~/.cache`, or on macOS in `~/Library/Caches`. `None` where not even `HOME` is set.
pub fn cache_dir() -> Option<PathBuf> {
    cache_dir_from(&|name| std::env::var_os(name).map(PathBuf::from))
}

fn cache_dir_from(variable: &dyn Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let set = |name| variable(name).filter(|path| !path.as_os_str().is_empty());
    let user = || {
        let below = if cfg!(target_os = "macos") {
            "Library/Caches"
        } else {
            ".cache"
        };
        // The XDG specification has relative paths ignored.
        set("XDG_CACHE_HOME")
            .filter(|path| path.is_absolute())
            .or_else(|| set("HOME").map(|home| home.join(below)))
    };
    set("ASCENDIT_CACHE").or_else(|| user().map(|path| path.join("ascendit")))
}

/// The directories of this machine that shared libraries are loaded from: the loader's variable
/// first, then its configuration, then its defaults. Only those that exist.
pub fn system_library_dirs() -> Vec<PathBuf> {
    let (variable, defaults): (&str, &[&str]) = if cfg!(target_os = "macos") {
        (
            "DYLD_LIBRARY_PATH",
            &["/usr/local/lib", "/opt/homebrew/lib", "/usr/lib"],
        )
    } else {
        (
            "LD_LIBRARY_PATH",
            &["/usr/local/lib", "/lib64", "/usr/lib64", "/lib", "/usr/lib"],
        )
    };
    let mut dirs: Vec<PathBuf> = std::env::var_os(variable)
        .map(|value| std::env::split_paths(&value).collect())
        .unwrap_or_default();
    dirs.extend(configured_dirs(Path::new("/etc")));
    dirs.extend(defaults.iter().map(PathBuf::from));
    existing(dirs)
}

/// The directories named in `ld.so.conf` and `ld.so.conf.d/*.conf` below `etc`.
fn configured_dirs(etc: &Path) -> Vec<PathBuf> {
    let mut files = vec![etc.join("ld.so.conf")];
    files.extend(entries(&etc.join("ld.so.conf.d")));
    files
        .iter()
        .filter(|file| file.extension() == Some(OsStr::new("conf")))
        .filter_map(|file| std::fs::read_to_string(file).ok())
        .flat_map(|text| {
            text.lines()
                .map(|line| line.split('#').next().unwrap_or("").trim())
                .filter(|line| line.starts_with('/'))
                .map(PathBuf::from)
                .collect::<Vec<_>>()
        })
        .collect()
}

/// What a directory holds, sorted by name; nothing where it cannot be read.
pub(super) fn entries(dir: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(dir)
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    paths.sort();
    paths
}

/// The absolute paths among `dirs` that are directories, each once.
pub(super) fn existing(dirs: Vec<PathBuf>) -> Vec<PathBuf> {
    let mut kept: Vec<PathBuf> = Vec::new();
    for dir in dirs {
        if dir.is_absolute() && dir.is_dir() && !kept.contains(&dir) {
            kept.push(dir);
        }
    }
    kept
}

/// The directories that a Python interpreter imports packages from.
///
/// # Errors
///
/// A sentence that says why it gave none: not there, too slow, or its own last word.
pub fn python_path(python: &Path, timeout: Duration) -> Result<Vec<PathBuf>, String> {
    let deadline = Instant::now() + timeout;
    let output = subprocess::run(
        Command::new(python).args(["-c", r#"import sys; print("\n".join(sys.path))"#]),
        &mut || Instant::now() < deadline,
    )
    .map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => "no such program".into(),
        _ => format!("cannot be run: {e}"),
    })?
    .ok_or_else(|| format!("gave no answer in {} s", timeout.as_secs_f32()))?;
    if !output.status.success() {
        let last = output.stderr.trim().lines().last().unwrap_or("no message");
        return Err(format!("failed ({}): {last}", output.status));
    }
    Ok(existing(output.stdout.lines().map(PathBuf::from).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache_with(variables: &[(&str, &str)]) -> Option<PathBuf> {
        cache_dir_from(&|name| {
            variables
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, value)| value.into())
        })
    }

    #[test]
    fn the_engines_own_variable_names_the_cache_first() {
        let all = [
            ("ASCENDIT_CACHE", "/a"),
            ("XDG_CACHE_HOME", "/x"),
            ("HOME", "/h"),
        ];
        assert_eq!(cache_with(&all), Some("/a".into()));
        assert_eq!(cache_with(&all[1..]), Some("/x/ascendit".into()));
        let at_home = if cfg!(target_os = "macos") {
            "/h/Library/Caches/ascendit"
        } else {
            "/h/.cache/ascendit"
        };
        assert_eq!(cache_with(&all[2..]), Some(at_home.into()));
        assert_eq!(
            cache_with(&[
                ("ASCENDIT_CACHE", ""),
                ("XDG_CACHE_HOME", "rel"),
                ("HOME", "/h")
            ]),
            Some(at_home.into())
        );
        assert_eq!(cache_with(&[]), None);
    }

    #[test]
    fn the_loaders_configuration_is_read_without_its_comments() {
        let etc = tempfile::tempdir().unwrap();
        let parts = etc.path().join("ld.so.conf.d");
        std::fs::create_dir(&parts).unwrap();
        std::fs::write(
            etc.path().join("ld.so.conf"),
            "include ld.so.conf.d/*.conf\n/opt/one\n",
        )
        .unwrap();
        std::fs::write(
            parts.join("cuda.conf"),
            "# CUDA\n/opt/two # here\n\n  /opt/three\n",
        )
        .unwrap();
        std::fs::write(parts.join("README"), "/opt/no\n").unwrap();
        assert_eq!(
            configured_dirs(etc.path()),
            ["/opt/one", "/opt/two", "/opt/three"].map(PathBuf::from)
        );
    }

    #[test]
    fn python_that_does_not_answer_is_given_up() {
        let dir = tempfile::tempdir().unwrap();
        let start = Instant::now();
        assert_eq!(
            python_path(&dir.path().join("python3"), Duration::from_secs(1)).unwrap_err(),
            "no such program"
        );
        assert!(start.elapsed() < Duration::from_secs(1));
    }
}
