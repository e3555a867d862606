//! Getting the official ONNX Runtime library: `ascendit setup`.
//!
//! The library is inside the wheel of Python's `onnxruntime` package. The user's own `pip`
//! downloads it, so that mirrors, proxies and certificates that are configured there are used;
//! no package gets installed and no code of it runs. The wheel's version and SHA-256 are pinned.
//! What comes out is a directory of the engine's cache that appears whole or not at all.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};
use zip::ZipArchive;

use super::library::{self, CUDA_PROVIDER, Provider, VERSION};
use super::wheel::{PYTHON, Wheel};
use super::{elf, places, subprocess};
use crate::cancel::Cancel;
use crate::{Error, Result, disk};

/// How far [`Setup::run`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// `pip` is downloading.
    Downloading {
        /// Bytes that have arrived.
        done: u64,
        /// The wheel's size.
        total: u64,
    },
    /// The wheel is compared with its pinned SHA-256.
    Checking,
    /// The library is unpacked.
    Unpacking,
}

/// What to get, and how.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The wheel.
    pub wheel: Wheel,
    /// The engine's cache directory; made where it is missing.
    pub cache_dir: PathBuf,
    /// The Python interpreter whose `pip` downloads: a path, or a name looked up on `PATH`.
    pub python: PathBuf,
    /// Whether downloads are forbidden.
    pub offline: bool,
}

impl Setup {
    /// What this process's environment says, for this machine.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] where there is no wheel for this machine, [`Error::Request`] where
    /// no cache directory can be named.
    pub fn from_env(provider: Provider) -> Result<Self> {
        Ok(Self {
            wheel: Wheel::pinned(provider, std::env::consts::OS, std::env::consts::ARCH)?,
            cache_dir: places::cache_dir().ok_or_else(|| {
                Error::request("there is no cache directory: set ASCENDIT_CACHE to one")
            })?,
            python: "python3".into(),
            offline: false,
        })
    }

    /// Gets the library into the cache and returns its path. One that is there already and works
    /// is kept and nothing is downloaded. Several processes may do this at once.
    ///
    /// # Errors
    ///
    /// [`Error::Request`] when offline, [`Error::Unavailable`] without Python or `pip`,
    /// [`Error::Exhausted`] for a full disk, [`Error::Network`] when `pip` fails or gives another
    /// file than the pinned one, [`Error::Cancelled`] within a second of `cancel` being set.
    /// Nothing is left in the cache then.
    pub fn run(&self, progress: &dyn Fn(Progress), cancel: &Cancel) -> Result<PathBuf> {
        let installed = self.installed();
        match library::check(&installed, self.wheel.provider) {
            Ok(_) => return Ok(installed),
            Err(reason) => tracing::debug!(path = %installed.display(), reason, "not set up"),
        }
        if self.offline {
            return Err(Error::request(format!(
                "--offline forbids getting ONNX Runtime {VERSION}; run `ascendit {}` without it, or \
                 {}",
                match self.wheel.provider {
                    Provider::Cpu => "setup",
                    Provider::Cuda => "setup --cuda",
                },
                self.by_hand()
            )));
        }
        let free = disk::free_bytes(&self.cache_dir)?;
        // pip holds the wheel twice while it moves it between file systems.
        let needed = 2 * self.wheel.size_bytes + self.wheel.unpacked_bytes;
        disk::require(
            &format!("{} {VERSION}", self.wheel.package()),
            needed,
            free,
            &self.cache_dir,
            "set ASCENDIT_CACHE to a directory on a larger disk",
        )?;

        std::fs::create_dir_all(&self.cache_dir).map_err(Error::io("create", &self.cache_dir))?;
        let work = tempfile::Builder::new()
            .prefix(".setup-")
            .tempdir_in(&self.cache_dir)
            .map_err(Error::io("create a directory in", &self.cache_dir))?;
        let wheel = self.download(work.path(), progress, cancel)?;
        progress(Progress::Checking);
        self.verify(&wheel, cancel)?;
        progress(Progress::Unpacking);
        let unpacked = work.path().join("unpacked");
        self.unpack(&wheel, &unpacked, cancel)?;
        self.install(&unpacked, work.path())?;
        Ok(installed)
    }

    fn installed(&self) -> PathBuf {
        library::cached_dir(&self.cache_dir, self.wheel.provider).join(self.wheel.library)
    }

    fn by_hand(&self) -> String {
        let mut files = vec![self.wheel.library];
        if self.wheel.provider == Provider::Cuda {
            files.extend([CUDA_PROVIDER, "libonnxruntime_providers_shared.so"]);
        }
        format!(
            "get {} (a zip archive, on PyPI) and put {} of its onnxruntime/capi into {}",
            self.wheel.file_name(),
            files.join(", "),
            library::cached_dir(&self.cache_dir, self.wheel.provider).display()
        )
    }

    /// Has `pip` download the wheel into `work` and returns the file.
    fn download(
        &self,
        work: &Path,
        progress: &dyn Fn(Progress),
        cancel: &Cancel,
    ) -> Result<PathBuf> {
        let dest = work.join("wheel");
        let pip_temp = work.join("pip");
        std::fs::create_dir(&pip_temp).map_err(Error::io("create", &pip_temp))?;
        let mut command = Command::new(&self.python);
        command
            .args(["-m", "pip", "download", "--no-deps", "--only-binary=:all:"])
            .args([
                "--disable-pip-version-check",
                "--no-input",
                "--progress-bar=off",
            ])
            // Otherwise a cancelled download stays behind in pip's cache.
            .arg("--no-cache-dir")
            .args(["--implementation", "cp", "--python-version", PYTHON])
            .args([
                "--abi",
                &format!("cp{PYTHON}"),
                "--platform",
                self.wheel.platform,
            ])
            .arg("-d")
            .arg(&dest)
            .arg(format!("{}=={VERSION}", self.wheel.package()))
            .env("TMPDIR", &pip_temp);
        tracing::info!(
            package = self.wheel.package(),
            version = VERSION,
            "pip download"
        );
        let total = self.wheel.size_bytes;
        let mut last = 0;
        progress(Progress::Downloading { done: 0, total });
        let output = subprocess::run(&mut command, &mut || {
            let done = (size_below(&pip_temp) + size_below(&dest)).min(total);
            if done != last {
                last = done;
                progress(Progress::Downloading { done, total });
            }
            !cancel.is_cancelled()
        });
        let unavailable = |what: String| Error::Unavailable {
            device: self.wheel.provider.device().into(),
            what,
        };
        let output = output
            .map_err(|e| match e.kind() {
                io::ErrorKind::NotFound => unavailable(format!(
                    "getting ONNX Runtime {VERSION} takes Python and its pip, and there is no {}; \
                     install them (Debian and Ubuntu: `apt install python3-pip`), or {}",
                    self.python.display(),
                    self.by_hand()
                )),
                _ => Error::io("run", &self.python)(e),
            })?
            .ok_or(Error::Cancelled)?;
        if output.stderr.contains("No module named pip") {
            return Err(unavailable(format!(
                "getting ONNX Runtime {VERSION} takes pip, and {} has none; install it (Debian and \
                 Ubuntu: `apt install python3-pip`, elsewhere `{} -m ensurepip`), or {}",
                self.python.display(),
                self.python.display(),
                self.by_hand()
            )));
        }
        if !output.status.success() {
            return Err(Error::Network {
                what: format!(
                    "pip cannot get {} {VERSION} ({}): {}; check the network and the index that pip \
                     uses (`{} -m pip config list`), or {}",
                    self.wheel.package(),
                    output.status,
                    last_words(&output.stderr),
                    self.python.display(),
                    self.by_hand()
                ),
            });
        }
        let file = dest.join(self.wheel.file_name());
        if file.exists() {
            return Ok(file);
        }
        // Mirrors may serve the same wheel under another of its platform's names.
        places::entries(&dest)
            .into_iter()
            .find(|path| path.extension().is_some_and(|e| e == "whl"))
            .ok_or_else(|| Error::Network {
                what: format!(
                    "pip said that it downloaded {} and did not; {}",
                    self.wheel.file_name(),
                    self.by_hand()
                ),
            })
    }

    fn verify(&self, wheel: &Path, cancel: &Cancel) -> Result<()> {
        let mut file = File::open(wheel).map_err(Error::io("open", wheel))?;
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; 1 << 20];
        loop {
            cancel.check()?;
            let n = file.read(&mut buffer).map_err(Error::io("read", wheel))?;
            if n == 0 {
                break;
            }
            hasher.update(&buffer[..n]);
        }
        let sha256 = hex(&hasher.finalize());
        if sha256 == self.wheel.sha256 {
            return Ok(());
        }
        Err(Error::Network {
            what: format!(
                "pip downloaded a {} that is not the official one: its sha256 is {sha256}, expected \
                 {}; nothing was installed; check the index that pip uses (`{} -m pip config list`), \
                 or {}",
                self.wheel.file_name(),
                self.wheel.sha256,
                self.python.display(),
                self.by_hand()
            ),
        })
    }

    fn unpack(&self, wheel: &Path, into: &Path, cancel: &Cancel) -> Result<()> {
        std::fs::create_dir(into).map_err(Error::io("create", into))?;
        let file = File::open(wheel).map_err(Error::io("open", wheel))?;
        let damaged = |e: zip::result::ZipError| Error::file(wheel, format!("not a wheel: {e}"));
        let mut archive = ZipArchive::new(file).map_err(damaged)?;
        for index in 0..archive.len() {
            let mut entry = archive.by_index(index).map_err(damaged)?;
            let name = entry.name().map_err(damaged)?.into_owned();
            if !self.wheel.unpacks(&name) {
                continue;
            }
            let path = into.join(name.rsplit('/').next().unwrap_or(&name));
            let mut out = File::create(&path).map_err(Error::io("create", &path))?;
            let mut left = true;
            while left {
                cancel.check()?;
                let n = io::copy(&mut entry.by_ref().take(8 << 20), &mut out)
                    .map_err(Error::io("unpack", &path))?;
                left = n > 0;
            }
        }
        let library = into.join(self.wheel.library);
        elf::check(&library)
            .map_err(|reason| Error::file(wheel, format!("{}: {reason}", self.wheel.library)))
    }

    /// Moves the unpacked directory to its place. What was there is either as good, put there by
    /// another process in the meantime, or does not work and is moved out of the way.
    ///
    /// The library is opened only now: it finds its providers by the path of its first opening.
    fn install(&self, unpacked: &Path, work: &Path) -> Result<()> {
        let dir = library::cached_dir(&self.cache_dir, self.wheel.provider);
        let check = || library::check(&self.installed(), self.wheel.provider);
        if std::fs::rename(unpacked, &dir).is_err() {
            if check().is_ok() {
                return Ok(());
            }
            std::fs::rename(&dir, work.join("replaced")).map_err(Error::io("replace", &dir))?;
            std::fs::rename(unpacked, &dir).map_err(Error::io("create", &dir))?;
        }
        check().map(drop).map_err(|reason| {
            // Into the work directory, which is removed. If even that fails, the next search
            // passes the library over with the same reason.
            let _ = std::fs::rename(&dir, work.join("refused"));
            Error::Unavailable {
                device: self.wheel.provider.device().into(),
                what: format!(
                    "the official ONNX Runtime {VERSION} does not work on this machine: {reason}"
                ),
            }
        })
    }
}

/// Bytes in the files below a directory that others are writing to.
fn size_below(dir: &Path) -> u64 {
    places::entries(dir)
        .iter()
        .filter_map(|path| Some((path, std::fs::symlink_metadata(path).ok()?)))
        .map(|(path, meta)| {
            if meta.is_dir() {
                size_below(path)
            } else {
                meta.len()
            }
        })
        .sum()
}

/// What `pip` gives as its reason: its last error line, else its last line.
fn last_words(stderr: &str) -> &str {
    let lines = || {
        stderr
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
    };
    lines()
        .rev()
        .find_map(|line| line.strip_prefix("ERROR: "))
        .or_else(|| lines().next_back())
        .unwrap_or("no message")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pips_last_error_is_its_reason() {
        assert_eq!(
            last_words("WARNING: slow\nERROR: one\nERROR: two\n\nhint: x\n"),
            "two"
        );
        assert_eq!(last_words("Traceback\nKeyError: 'x'\n"), "KeyError: 'x'");
        assert_eq!(last_words(""), "no message");
    }
}
