//! What ONNX Runtime's CUDA provider needs besides itself: NVIDIA's driver, the libraries of
//! CUDA 13 and those of cuDNN 9.
//!
//! The provider leaves finding them to the dynamic loader, which does not look into Python
//! packages and says little when it fails. So they are looked for here, listed where missing,
//! and opened before the provider. Nothing is downloaded: a gigabyte of NVIDIA's software under
//! NVIDIA's licence is the user's decision.

use std::collections::BTreeMap;
use std::ffi::c_int;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_LAZY};

use super::{elf, library::root, places};
use crate::{Error, Result};

/// The library through which programs talk to NVIDIA's driver.
pub(super) const DRIVER: &str = "libcuda.so.1";

/// How to get the driver.
const DRIVER_REMEDY: &str = "install NVIDIA's driver, R580 or newer";

/// The version of CUDA that a driver must be able to run, as the driver states it: 13.0.
const CUDA_VERSION: c_int = 13_000;

/// Libraries by the names that the provider and cuDNN ask for, in an order in which each comes
/// after those it needs, with the Python package that has them.
const LIBRARIES: [(&str, &str); 13] = [
    ("libcudart.so.13", "nvidia-cuda-runtime==13.*"),
    ("libcublasLt.so.13", "nvidia-cublas==13.*"),
    ("libcublas.so.13", "nvidia-cublas==13.*"),
    ("libnvrtc.so.13", "nvidia-cuda-nvrtc==13.*"),
    ("libcurand.so.10", "nvidia-curand==10.*"),
    ("libcudnn.so.9", "nvidia-cudnn-cu13==9.*"),
    ("libcudnn_graph.so.9", "nvidia-cudnn-cu13==9.*"),
    ("libcudnn_ops.so.9", "nvidia-cudnn-cu13==9.*"),
    ("libcudnn_heuristic.so.9", "nvidia-cudnn-cu13==9.*"),
    ("libcudnn_adv.so.9", "nvidia-cudnn-cu13==9.*"),
    ("libcudnn_cnn.so.9", "nvidia-cudnn-cu13==9.*"),
    (
        "libcudnn_engines_precompiled.so.9",
        "nvidia-cudnn-cu13==9.*",
    ),
    (
        "libcudnn_engines_runtime_compiled.so.9",
        "nvidia-cudnn-cu13==9.*",
    ),
];

/// Where to look.
#[derive(Clone, Debug, Default)]
pub struct CudaEnv {
    /// The system's library directories, in order.
    pub library_dirs: Vec<PathBuf>,
    /// The directories that Python imports packages from.
    pub python_path: Vec<PathBuf>,
}

impl CudaEnv {
    /// This process's environment: the loader's directories, those of CUDA toolkits in
    /// `/usr/local`, and the packages of the `python3` on `PATH`.
    pub fn from_env() -> Self {
        let mut dirs = places::system_library_dirs();
        let toolkits = places::entries(Path::new("/usr/local"))
            .into_iter()
            .filter(|path| {
                let name = path.file_name().and_then(|name| name.to_str());
                name.is_some_and(|name| name == "cuda" || name.starts_with("cuda-"))
            });
        dirs.extend(toolkits.map(|toolkit| toolkit.join("lib64")));
        // Where the driver's libraries lie under Windows' Linux.
        dirs.push("/usr/lib/wsl/lib".into());
        Self {
            library_dirs: places::existing(dirs),
            python_path: places::python_path(Path::new("python3"), Duration::from_secs(5))
                .unwrap_or_default(),
        }
    }

    /// Looks for every library.
    pub fn look(&self) -> CudaReport {
        let mut dirs = self.library_dirs.clone();
        for packages in &self.python_path {
            // nvidia/cu13/lib, nvidia/cudnn/lib.
            let nvidia = places::entries(&packages.join("nvidia"));
            dirs.extend(nvidia.into_iter().map(|part| part.join("lib")));
        }
        let find = |name: &str| {
            dirs.iter()
                .map(|dir| dir.join(name))
                .find(|path| path.exists() && elf::check(path).is_ok())
        };

        let mut report = CudaReport::default();
        match find(DRIVER).map(|path| (driver_version(&path), path)) {
            Some((Ok(version), path)) if version >= CUDA_VERSION => report.found.push(path),
            Some((Ok(version), path)) => report.missing.push(Missing {
                name: format!(
                    "CUDA 13.0 in the driver ({} runs at most CUDA {}.{})",
                    path.display(),
                    version / 1000,
                    version % 1000 / 10
                ),
                remedy: DRIVER_REMEDY.into(),
            }),
            Some((Err(reason), path)) => report.missing.push(Missing {
                name: format!("a driver that works ({}: {reason})", path.display()),
                remedy: DRIVER_REMEDY.into(),
            }),
            None => report.missing.push(Missing {
                name: DRIVER.into(),
                remedy: DRIVER_REMEDY.into(),
            }),
        }
        for (name, package) in LIBRARIES {
            match find(name) {
                Some(path) => report.found.push(path),
                None => report.missing.push(Missing {
                    name: name.into(),
                    remedy: format!("python3 -m pip install '{package}'"),
                }),
            }
        }
        report
    }
}

/// Asks a driver which version of CUDA it can run, without using a device.
fn driver_version(path: &Path) -> Result<c_int, String> {
    // SAFETY: opening a library runs its initialisers; this one is the system's CUDA driver.
    let library = unsafe { Library::new(path) }.map_err(|e| root(&e))?;
    // SAFETY: cuDriverGetVersion has this type in every version of CUDA.
    let get =
        unsafe { library.get::<unsafe extern "C" fn(*mut c_int) -> c_int>("cuDriverGetVersion") }
            .map_err(|e| root(&e))?;
    let mut version = 0;
    // SAFETY: it writes one int to a valid place, and may be called before anything else.
    let status = unsafe { get(&raw mut version) };
    // Kept open: the provider is about to use it.
    std::mem::forget(library);
    if status != 0 {
        return Err(format!("cuDriverGetVersion failed ({status})"));
    }
    Ok(version)
}

/// Something that the CUDA provider needs and that is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The library's name, or what about it will not do.
    pub name: String,
    /// How to get it.
    pub remedy: String,
}

/// What is there and what is not. As text, it lists what is missing and how to get it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CudaReport {
    /// The libraries that were found, in the order in which to open them.
    pub found: Vec<PathBuf>,
    /// What is missing.
    pub missing: Vec<Missing>,
}

impl CudaReport {
    /// Whether nothing is missing.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }

    /// The libraries to open before the first CUDA session, in this order.
    pub fn preload_order(&self) -> &[PathBuf] {
        &self.found
    }

    /// Opens the libraries in [`Self::preload_order`] for the rest of the process, so that the
    /// provider finds them wherever they lie.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] that lists what is missing, or names the library that cannot be
    /// opened and the loader's reason.
    pub fn preload(&self) -> Result<()> {
        let unavailable = |what| Error::Unavailable {
            device: "cuda".into(),
            what,
        };
        if !self.is_complete() {
            return Err(unavailable(self.to_string()));
        }
        for path in self.preload_order() {
            // SAFETY: opening a library runs its initialisers; these are NVIDIA's own libraries,
            // which the provider would open otherwise.
            let library =
                unsafe { Library::open(Some(path), RTLD_LAZY | RTLD_GLOBAL) }.map_err(|e| {
                    unavailable(format!("cannot open {}: {}", path.display(), root(&e)))
                })?;
            std::mem::forget(library);
        }
        Ok(())
    }
}

impl fmt::Display for CudaReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_complete() {
            return f.write_str("the driver, CUDA 13 and cuDNN 9 are all there");
        }
        // What comes from one place is listed together.
        let mut by_remedy: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for missing in &self.missing {
            let names = by_remedy.entry(&missing.remedy).or_default();
            names.push(&missing.name);
        }
        f.write_str("missing for CUDA: ")?;
        for (i, (remedy, names)) in by_remedy.iter().enumerate() {
            let before = if i == 0 { "" } else { "; " };
            write!(f, "{before}{} ({remedy})", names.join(", "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_machine_lacks_everything_by_name() {
        let report = CudaEnv::default().look();
        assert!(report.preload_order().is_empty());
        assert_eq!(
            report.to_string(),
            "missing for CUDA: libcuda.so.1 (install NVIDIA's driver, R580 or newer); \
             libcublasLt.so.13, libcublas.so.13 (python3 -m pip install 'nvidia-cublas==13.*'); \
             libnvrtc.so.13 (python3 -m pip install 'nvidia-cuda-nvrtc==13.*'); \
             libcudart.so.13 (python3 -m pip install 'nvidia-cuda-runtime==13.*'); \
             libcudnn.so.9, libcudnn_graph.so.9, libcudnn_ops.so.9, libcudnn_heuristic.so.9, \
             libcudnn_adv.so.9, libcudnn_cnn.so.9, libcudnn_engines_precompiled.so.9, \
             libcudnn_engines_runtime_compiled.so.9 (python3 -m pip install \
             'nvidia-cudnn-cu13==9.*'); libcurand.so.10 (python3 -m pip install \
             'nvidia-curand==10.*')"
        );
        let error = report.preload().unwrap_err().to_string();
        assert_eq!(error, format!("cuda: {report}"));
    }
}
