//! Finding the ONNX Runtime library on this machine.
//!
//! ```no_run
//! use ascendit::backend::onnx::library::{Provider, SearchEnv, find};
//!
//! let found = find(None, Provider::Cpu, &SearchEnv::from_env())?;
//! println!("ONNX Runtime {} at {}", found.version, found.path.display());
//! # Ok::<(), ascendit::Error>(())
//! ```
//!
//! Only a library that was opened and asked for its version counts as found. This module does
//! not start the runtime and does not download: see [`super::setup`].

use std::ffi::{CStr, c_char, c_void};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use libloading::Library;

use super::{elf, places};
use crate::Error;

/// The version of ONNX Runtime that this engine is tested with and that `ascendit setup` gets.
pub const VERSION: &str = "1.31.1";

/// The oldest version that works: it is the one whose API the `ort` crate is built for here.
pub const MINIMUM_VERSION: (u32, u32) = (1, 24);

/// The file beside the library that holds its CUDA provider.
pub(super) const CUDA_PROVIDER: &str = "libonnxruntime_providers_cuda.so";

/// What the library must be able to run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// The processor: any build of ONNX Runtime.
    Cpu,
    /// NVIDIA GPUs: a build with the CUDA provider.
    Cuda,
}

impl Provider {
    /// The device as the user writes it.
    pub(super) fn device(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
        }
    }
}

/// Where to look. A value, so that a search depends on nothing else.
#[derive(Clone, Debug, Default)]
pub struct SearchEnv {
    /// A library named by the variable `ORT_DYLIB_PATH`.
    pub ort_dylib_path: Option<PathBuf>,
    /// The directory of the running program.
    pub exe_dir: Option<PathBuf>,
    /// The engine's cache directory.
    pub cache_dir: Option<PathBuf>,
    /// The system's library directories, in order.
    pub system_dirs: Vec<PathBuf>,
    /// The Python interpreter whose `onnxruntime` package may be used: a path, or a name that is
    /// looked up on `PATH`.
    pub python: Option<PathBuf>,
    /// How long Python may take to answer.
    pub python_timeout: Duration,
}

impl SearchEnv {
    /// This process's environment.
    pub fn from_env() -> Self {
        let exe = std::env::current_exe().and_then(std::fs::canonicalize);
        Self {
            ort_dylib_path: std::env::var_os("ORT_DYLIB_PATH")
                .filter(|path| !path.is_empty())
                .map(PathBuf::from),
            exe_dir: exe.ok().and_then(|path| Some(path.parent()?.to_owned())),
            cache_dir: places::cache_dir(),
            system_dirs: places::system_library_dirs(),
            python: Some("python3".into()),
            python_timeout: Duration::from_secs(5),
        }
    }
}

/// How a library was come by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Named with `--onnxruntime`.
    Flag,
    /// Named by `ORT_DYLIB_PATH`.
    Variable,
    /// Beside the running program.
    Executable,
    /// In the engine's cache directory.
    Cache,
    /// In a library directory of the system.
    System,
    /// In the `onnxruntime` package of Python.
    Python,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flag => "--onnxruntime",
            Self::Variable => "ORT_DYLIB_PATH",
            Self::Executable => "beside the executable",
            Self::Cache => "the engine's cache",
            Self::System => "a system library directory",
            Self::Python => "Python's onnxruntime package",
        })
    }
}

/// A library that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The library, as an absolute path.
    pub path: PathBuf,
    /// Its own version, as it writes it: `1.31.1`.
    pub version: String,
    /// Where it comes from.
    pub origin: Origin,
}

/// No place had a library that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotFound {
    /// What was wanted.
    pub provider: Provider,
    /// Every directory and file that was looked at, and why it was passed over.
    pub tried: Vec<(PathBuf, String)>,
}

impl fmt::Display for NotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (with, setup) = match self.provider {
            Provider::Cpu => ("", "setup"),
            Provider::Cuda => (" with its CUDA provider", "setup --cuda"),
        };
        write!(f, "ONNX Runtime{with} was not found")?;
        for (i, (path, reason)) in self.tried.iter().enumerate() {
            let before = if i == 0 { "; tried" } else { "," };
            write!(f, "{before} {} ({reason})", path.display())?;
        }
        write!(
            f,
            "; run `ascendit {setup}` to get it, or give a library with --onnxruntime"
        )
    }
}

/// Why [`find`] has no library.
#[derive(Debug)]
pub enum FindError {
    /// The library that the user named cannot be used. Nothing else was looked at.
    Named(Error),
    /// Nobody named one, and none was found: the case in which getting one helps.
    NotFound(NotFound),
}

impl fmt::Display for FindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(error) => error.fmt(f),
            Self::NotFound(not_found) => not_found.fmt(f),
        }
    }
}

impl std::error::Error for FindError {}

impl From<FindError> for Error {
    fn from(error: FindError) -> Self {
        match error {
            FindError::Named(error) => error,
            FindError::NotFound(not_found) => Error::Unavailable {
                device: not_found.provider.device().into(),
                what: not_found.to_string(),
            },
        }
    }
}

/// Finds a library: the one named by `explicit` (the flag `--onnxruntime`, a file or the
/// directory it is in) or by `ORT_DYLIB_PATH`; else the first that works beside the program, in
/// the engine's cache, in the system's library directories and in Python's `onnxruntime` package.
///
/// The library found stays open for the rest of the process.
///
/// # Errors
///
/// [`FindError::Named`] when a named library is missing, damaged, too old or without the provider;
/// [`FindError::NotFound`] with every place and reason when none was named.
pub fn find(
    explicit: Option<&Path>,
    provider: Provider,
    env: &SearchEnv,
) -> Result<Found, FindError> {
    let named = explicit.map(|path| (path, Origin::Flag)).or(env
        .ort_dylib_path
        .as_deref()
        .map(|path| (path, Origin::Variable)));
    match named {
        Some((path, origin)) => named_library(path, origin, provider).map_err(FindError::Named),
        None => search(provider, env).map_err(FindError::NotFound),
    }
}

fn named_library(path: &Path, origin: Origin, provider: Provider) -> Result<Found, Error> {
    let path = std::path::absolute(path).map_err(Error::io("resolve", path))?;
    let remedy = match origin {
        Origin::Flag => "leave --onnxruntime out",
        _ => "unset ORT_DYLIB_PATH",
    };
    let fail = |path: &Path, reason: &str| {
        let (major, minor) = MINIMUM_VERSION;
        Error::file(
            path,
            format!(
                "{reason} (named by {origin}); name the library of ONNX Runtime {major}.{minor} or \
                 newer, or {remedy} to have one looked for"
            ),
        )
    };
    let file = if path.is_dir() {
        candidates(&path)
            .into_iter()
            .next()
            .ok_or_else(|| fail(&path, "has no ONNX Runtime library in it"))?
    } else {
        path
    };
    match check(&file, provider) {
        Ok(version) => Ok(Found {
            path: file,
            version,
            origin,
        }),
        Err(reason) => Err(fail(&file, &reason)),
    }
}

fn search(provider: Provider, env: &SearchEnv) -> Result<Found, NotFound> {
    let mut tried = Vec::new();
    let mut places: Vec<(Origin, PathBuf)> = Vec::new();
    places.extend(env.exe_dir.clone().map(|dir| (Origin::Executable, dir)));
    if let Some(cache) = &env.cache_dir {
        // Both builds run on the CPU; the smaller one is then preferred.
        let mut dirs = [
            cached_dir(cache, provider),
            cached_dir(cache, other(provider)),
        ]
        .to_vec();
        if provider == Provider::Cuda {
            dirs.truncate(1);
        }
        places.extend(dirs.into_iter().map(|dir| (Origin::Cache, dir)));
    }
    places.extend(env.system_dirs.iter().map(|d| (Origin::System, d.clone())));
    for (origin, dir) in places {
        if let Some(found) = in_dir(&dir, origin, provider, &mut tried) {
            return Ok(found);
        }
    }

    // Asked last: starting Python is slow.
    if let Some(python) = &env.python {
        match places::python_path(python, env.python_timeout) {
            Err(reason) => tried.push((python.clone(), reason)),
            Ok(dirs) => {
                let packages: Vec<PathBuf> = dirs
                    .iter()
                    .map(|dir| dir.join("onnxruntime").join("capi"))
                    .filter(|dir| dir.is_dir())
                    .collect();
                if packages.is_empty() {
                    tried.push((python.clone(), "has no onnxruntime package".into()));
                }
                for dir in packages {
                    if let Some(found) = in_dir(&dir, Origin::Python, provider, &mut tried) {
                        return Ok(found);
                    }
                }
            }
        }
    }
    Err(NotFound { provider, tried })
}

fn other(provider: Provider) -> Provider {
    match provider {
        Provider::Cpu => Provider::Cuda,
        Provider::Cuda => Provider::Cpu,
    }
}

/// The directory of the engine's cache that holds the library which `ascendit setup` got.
pub fn cached_dir(cache_dir: &Path, provider: Provider) -> PathBuf {
    cache_dir.join(match provider {
        Provider::Cpu => format!("onnxruntime-{VERSION}"),
        Provider::Cuda => format!("onnxruntime-gpu-{VERSION}"),
    })
}

fn in_dir(
    dir: &Path,
    origin: Origin,
    provider: Provider,
    tried: &mut Vec<(PathBuf, String)>,
) -> Option<Found> {
    if !dir.is_dir() {
        tried.push((dir.to_owned(), "no such directory".into()));
        return None;
    }
    let candidates = candidates(dir);
    if candidates.is_empty() {
        tried.push((dir.to_owned(), "no ONNX Runtime library in it".into()));
    }
    for path in candidates {
        match check(&path, provider) {
            Ok(version) => {
                tracing::debug!(path = %path.display(), version, %origin, "found ONNX Runtime");
                return Some(Found {
                    path,
                    version,
                    origin,
                });
            }
            Err(reason) => tried.push((path, reason)),
        }
    }
    None
}

/// The files of a directory that are called like ONNX Runtime's library, newest version first;
/// a name without a version comes before all.
fn candidates(dir: &Path) -> Vec<PathBuf> {
    let mut found: Vec<(bool, Vec<u32>, PathBuf)> = places::entries(dir)
        .into_iter()
        .filter_map(|path| {
            let version = name_version(path.file_name()?.to_str()?)?.to_owned();
            let numbers = version.split('.').filter_map(|n| n.parse().ok()).collect();
            Some((version.is_empty(), numbers, path))
        })
        .collect();
    found.sort();
    found.into_iter().rev().map(|(_, _, path)| path).collect()
}

/// The version in a file name: `libonnxruntime.so.1.31.1`, `libonnxruntime.1.31.1.dylib`.
fn name_version(name: &str) -> Option<&str> {
    let rest = name.strip_prefix("libonnxruntime.")?;
    let version = if cfg!(target_os = "macos") {
        rest.strip_suffix("dylib")?
    } else {
        rest.strip_prefix("so")?
    };
    let version = version.trim_matches('.');
    version
        .bytes()
        .all(|b| b.is_ascii_digit() || b == b'.')
        .then_some(version)
}

/// The entry of ONNX Runtime's C API: `OrtApiBase` in `onnxruntime_c_api.h`. Its layout is the
/// same in every version.
#[repr(C)]
struct OrtApiBase {
    get_api: Option<unsafe extern "C" fn(u32) -> *const c_void>,
    get_version_string: Option<unsafe extern "C" fn() -> *const c_char>,
}

/// Opens a library and returns its version.
///
/// # Errors
///
/// A sentence that says why it cannot be used: missing, damaged, for another machine, not ONNX
/// Runtime, too old, or without the provider.
pub fn check(path: &Path, provider: Provider) -> Result<String, String> {
    if !path.exists() {
        return Err("no such file".into());
    }
    elf::check(path)?;
    if provider == Provider::Cuda {
        // The runtime looks for its providers beside its real file, not beside a link to it.
        let real = std::fs::canonicalize(path).map_err(|e| e.to_string())?;
        if !real.with_file_name(CUDA_PROVIDER).exists() {
            return Err(format!(
                "a build without CUDA: no {CUDA_PROVIDER} beside it"
            ));
        }
    }
    // SAFETY: opening a library runs its initialisers. That this file is ONNX Runtime is what the
    // user, the system or Python's package says by where it lies; a damaged one was refused above.
    let library =
        unsafe { Library::new(path) }.map_err(|e| format!("cannot be opened: {}", root(&e)))?;
    let version = version(&library)?;
    let numbers: Vec<u32> = version
        .split(['.', '-', '+'])
        .map_while(|n| n.parse().ok())
        .collect();
    let (major, minor) = MINIMUM_VERSION;
    match numbers[..] {
        [a, b, ..] if a == major && b >= minor => {
            // Not closed: the runtime would only be opened again, and is not made for it.
            std::mem::forget(library);
            Ok(version)
        }
        _ => Err(format!(
            "ONNX Runtime {version}, {major}.{minor} or newer is needed"
        )),
    }
}

fn version(library: &Library) -> Result<String, String> {
    // SAFETY: the symbol has this type in every version of ONNX Runtime.
    let entry =
        unsafe { library.get::<unsafe extern "C" fn() -> *const OrtApiBase>("OrtGetApiBase") }
            .map_err(|_| "not ONNX Runtime: it has no OrtGetApiBase")?;
    // SAFETY: the function takes nothing and returns a static table or null.
    let base = unsafe { entry().as_ref() };
    let get_version = base
        .filter(|base| base.get_api.is_some())
        .and_then(|base| base.get_version_string)
        .ok_or("not ONNX Runtime: its table of functions is empty")?;
    // SAFETY: as above.
    let text = unsafe { get_version() };
    if text.is_null() {
        return Err("not ONNX Runtime: it gives no version".into());
    }
    // SAFETY: not null, and a static string that ends in a zero byte by the function's contract.
    Ok(unsafe { CStr::from_ptr(text) }
        .to_string_lossy()
        .into_owned())
}

/// The innermost cause of an error.
pub(super) fn root(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_without_a_version_come_first_then_the_newest() {
        let dir = tempfile::tempdir().unwrap();
        let (names, ordered) = if cfg!(target_os = "macos") {
            (
                [
                    "libonnxruntime.1.9.0.dylib",
                    "libonnxruntime.1.31.1.dylib",
                    "libonnxruntime.dylib",
                ],
                [
                    "libonnxruntime.dylib",
                    "libonnxruntime.1.31.1.dylib",
                    "libonnxruntime.1.9.0.dylib",
                ],
            )
        } else {
            (
                [
                    "libonnxruntime.so.1.9.0",
                    "libonnxruntime.so.1.31.1",
                    "libonnxruntime.so",
                ],
                [
                    "libonnxruntime.so",
                    "libonnxruntime.so.1.31.1",
                    "libonnxruntime.so.1.9.0",
                ],
            )
        };
        let others = [
            "libonnxruntime_providers_shared.so",
            "libonnxruntime.so.1.31.1.old",
            "onnxruntime.so",
        ];
        for name in names.iter().chain(&others) {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        assert_eq!(
            candidates(dir.path()),
            ordered.map(|name| dir.path().join(name))
        );
    }

    #[test]
    fn what_was_tried_is_listed_with_the_remedy() {
        let none = |provider, tried| NotFound { provider, tried }.to_string();
        assert_eq!(
            none(
                Provider::Cpu,
                vec![
                    ("/a".into(), "no such directory".into()),
                    ("python3".into(), "no such program".into())
                ]
            ),
            "ONNX Runtime was not found; tried /a (no such directory), python3 (no such program); \
             run `ascendit setup` to get it, or give a library with --onnxruntime"
        );
        assert_eq!(
            none(Provider::Cuda, vec![]),
            "ONNX Runtime with its CUDA provider was not found; run `ascendit setup --cuda` to get \
             it, or give a library with --onnxruntime"
        );
    }
}
