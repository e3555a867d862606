//! The wheels of ONNX Runtime that the engine trusts: which file, for which machine.

use super::library::{CUDA_PROVIDER, Provider, VERSION};
use crate::{Error, Result};

/// A wheel with ONNX Runtime's library in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wheel {
    /// The build.
    pub provider: Provider,
    /// Its platform, as wheels name it.
    pub platform: &'static str,
    /// The library's file name inside it.
    pub library: &'static str,
    /// The wheel's SHA-256, in hexadecimal.
    pub sha256: &'static str,
    /// The wheel's size.
    pub size_bytes: u64,
    /// What is unpacked from it, together.
    pub unpacked_bytes: u64,
}

const LINUX_LIBRARY: &str = "libonnxruntime.so.1.31.1";

/// The wheels of ONNX Runtime [`VERSION`]. Wheels differ by the version of Python too; the
/// library inside is the same in all, and these are the ones for [`PYTHON`].
const WHEELS: [(&str, &str, Wheel); 4] = [
    (
        "linux",
        "x86_64",
        Wheel {
            provider: Provider::Cpu,
            platform: "manylinux_2_28_x86_64",
            library: LINUX_LIBRARY,
            sha256: "5752bd508126ae7c49894d3b9d2e83f0c3d487319246d04c444b393308d7ad7f",
            size_bytes: 23_753_652,
            unpacked_bytes: 29_366_832,
        },
    ),
    (
        "linux",
        "aarch64",
        Wheel {
            provider: Provider::Cpu,
            platform: "manylinux_2_28_aarch64",
            library: LINUX_LIBRARY,
            sha256: "da05378364c44d4407e463982d2bf8d5e4cfea873283757e48beeb41df97b7f3",
            size_bytes: 21_413_526,
            unpacked_bytes: 25_463_832,
        },
    ),
    (
        "macos",
        "aarch64",
        Wheel {
            provider: Provider::Cpu,
            platform: "macosx_14_0_arm64",
            library: "libonnxruntime.1.31.1.dylib",
            sha256: "60b6b69bfe580eab576cacc5d132a0e9cf2a37fcfd18d46dd191042b1d1ed0d7",
            size_bytes: 20_871_676,
            unpacked_bytes: 33_037_336,
        },
    ),
    (
        "linux",
        "x86_64",
        Wheel {
            provider: Provider::Cuda,
            platform: "manylinux_2_28_x86_64",
            library: LINUX_LIBRARY,
            sha256: "e26c475fe361b2015f45b4b824bd13f0bb20204e59b62814e6f0acd5f3d491a6",
            size_bytes: 255_560_985,
            unpacked_bytes: 313_451_216,
        },
    ),
];

/// The version of Python whose wheels are pinned, as wheels name it. It need not be installed.
pub(super) const PYTHON: &str = "311";

impl Wheel {
    /// The pinned wheel for an operating system and processor, as [`std::env::consts`] names them.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] where ONNX Runtime's authors publish none.
    pub fn pinned(provider: Provider, os: &str, arch: &str) -> Result<Self> {
        let of_provider = || WHEELS.iter().filter(|(_, _, w)| w.provider == provider);
        of_provider()
            .find(|(o, a, _)| (*o, *a) == (os, arch))
            .map(|(_, _, wheel)| wheel.clone())
            .ok_or_else(|| {
                let known: Vec<String> = of_provider().map(|(o, a, _)| format!("{o} {a}")).collect();
                Error::Unavailable {
                    device: provider.device().into(),
                    what: format!(
                        "there is no pinned ONNX Runtime build for {os} {arch}, only for {}; build \
                         ONNX Runtime {VERSION} from source and give its library with --onnxruntime",
                        known.join(", ")
                    ),
                }
            })
    }

    /// The package's name: `onnxruntime` or `onnxruntime-gpu`.
    pub fn package(&self) -> &'static str {
        match self.provider {
            Provider::Cpu => "onnxruntime",
            Provider::Cuda => "onnxruntime-gpu",
        }
    }

    /// The wheel's file name.
    pub fn file_name(&self) -> String {
        format!(
            "{}-{VERSION}-cp{PYTHON}-cp{PYTHON}-{}.whl",
            self.package().replace('-', "_"),
            self.platform
        )
    }

    /// Whether a file of the wheel is unpacked: the library and its providers, without TensorRT's,
    /// which needs libraries that this engine does not ask for.
    pub(super) fn unpacks(&self, name: &str) -> bool {
        let file = name.strip_prefix("onnxruntime/capi/").unwrap_or("");
        file == self.library
            || file == "libonnxruntime_providers_shared.so"
            || (self.provider == Provider::Cuda && file == CUDA_PROVIDER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pin_is_for_one_platform_and_whole() {
        for (os, arch, wheel) in &WHEELS {
            assert_eq!(&Wheel::pinned(wheel.provider, os, arch).unwrap(), wheel);
            assert_eq!(wheel.sha256.len(), 64);
            assert!(wheel.library.contains(VERSION));
        }
        assert_eq!(
            WHEELS[3].2.file_name(),
            "onnxruntime_gpu-1.31.1-cp311-cp311-manylinux_2_28_x86_64.whl"
        );
    }

    #[test]
    fn a_platform_without_a_wheel_is_told_which_have_one() {
        assert_eq!(
            Wheel::pinned(Provider::Cpu, "linux", "riscv64")
                .unwrap_err()
                .to_string(),
            "cpu: there is no pinned ONNX Runtime build for linux riscv64, only for linux x86_64, \
             linux aarch64, macos aarch64; build ONNX Runtime 1.31.1 from source and give its \
             library with --onnxruntime"
        );
        assert_eq!(
            Wheel::pinned(Provider::Cuda, "linux", "aarch64")
                .unwrap_err()
                .to_string(),
            "cuda: there is no pinned ONNX Runtime build for linux aarch64, only for linux x86_64; \
             build ONNX Runtime 1.31.1 from source and give its library with --onnxruntime"
        );
    }

    #[test]
    fn only_libraries_are_unpacked() {
        let [cpu, cuda] = [&WHEELS[0].2, &WHEELS[3].2];
        assert!(cpu.unpacks("onnxruntime/capi/libonnxruntime.so.1.31.1"));
        assert!(cpu.unpacks("onnxruntime/capi/libonnxruntime_providers_shared.so"));
        assert!(!cpu.unpacks("onnxruntime/capi/libonnxruntime_providers_cuda.so"));
        assert!(cuda.unpacks("onnxruntime/capi/libonnxruntime_providers_cuda.so"));
        for name in [
            "onnxruntime/capi/libonnxruntime_providers_tensorrt.so",
            "onnxruntime/capi/onnxruntime_pybind11_state.so",
            "onnxruntime/__init__.py",
            "libonnxruntime.so.1.31.1",
            "onnxruntime/capi/../libonnxruntime.so.1.31.1",
        ] {
            assert!(!cpu.unpacks(name) && !cuda.unpacks(name), "{name}");
        }
    }
}
