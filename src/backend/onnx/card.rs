//! What NVIDIA's driver and data sheets say about a GPU.

use std::ffi::{CStr, c_char, c_int, c_uint};
use std::path::Path;

use libloading::os::unix::Library;

use super::cuda::DRIVER;
use crate::backend::Peak;

/// A GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    /// Its name, such as `NVIDIA H100 80GB HBM3`.
    pub name: String,
    /// Bytes of its memory.
    pub memory_bytes: u64,
}

/// Peaks of dense matrix products without sparsity, from the data sheets of `nvidia.com`: part of
/// the driver's name, TFLOP/s in bf16, TFLOP/s in f32 without TF32, GB/s. The first that fits counts.
const PEAKS: [(&str, f64, f64, f64); 15] = [
    ("GH200", 989.4, 66.9, 4_000.0),
    ("H200", 989.4, 66.9, 4_800.0),
    ("H100 PCIe", 756.0, 51.2, 2_039.0),
    ("H100 NVL", 835.5, 60.3, 3_938.0),
    ("H100", 989.4, 66.9, 3_352.0),
    ("H800", 989.4, 66.9, 3_352.0),
    ("H20", 148.0, 44.0, 4_000.0),
    ("A100-PCIE-40GB", 312.0, 19.5, 1_555.0),
    ("A100-SXM4-40GB", 312.0, 19.5, 1_555.0),
    ("A100", 312.0, 19.5, 2_039.0),
    ("A800", 312.0, 19.5, 2_039.0),
    ("L40S", 362.05, 91.6, 864.0),
    ("L40", 181.05, 90.5, 864.0),
    ("L4", 121.0, 30.3, 300.0),
    ("A10", 125.0, 31.2, 600.0),
];

impl Card {
    /// Asks the system's driver about one of the GPUs that it shows to this process.
    pub fn find(ordinal: c_int) -> Option<Self> {
        Self::ask(Path::new(DRIVER), ordinal)
    }

    /// Asks a driver's library.
    pub fn ask(driver: &Path, ordinal: c_int) -> Option<Self> {
        // SAFETY: opening a library runs its initialisers; this one is the CUDA driver.
        let driver = unsafe { Library::new(driver) }.ok()?;
        // SAFETY: these have the stated types in every version of CUDA, and are called in the order
        // that the driver asks for, with places that are valid for what they write.
        let card = unsafe {
            let init = driver.get::<unsafe extern "C" fn(c_uint) -> c_int>("cuInit");
            let get = driver.get::<unsafe extern "C" fn(*mut c_int, c_int) -> c_int>("cuDeviceGet");
            let name = driver
                .get::<unsafe extern "C" fn(*mut c_char, c_int, c_int) -> c_int>("cuDeviceGetName");
            let memory = driver
                .get::<unsafe extern "C" fn(*mut usize, c_int) -> c_int>("cuDeviceTotalMem_v2");
            let (mut device, mut bytes, mut text) = (0, 0, [0; 256]);
            let done = init.ok()?(0) == 0
                && get.ok()?(&raw mut device, ordinal) == 0
                && name.ok()?(text.as_mut_ptr(), text.len() as c_int - 1, device) == 0
                && memory.ok()?(&raw mut bytes, device) == 0;
            done.then(|| Self {
                name: CStr::from_ptr(text.as_ptr()).to_string_lossy().into_owned(),
                memory_bytes: bytes as u64,
            })
        };
        // Kept open: the provider uses it.
        std::mem::forget(driver);
        card
    }

    /// Its peak rates, where its data sheet is known.
    pub fn peak(&self) -> Option<Peak> {
        let has = |part: &str| {
            let mut words = self.name.split([' ', '-']).collect::<Vec<_>>();
            let wanted = part.split([' ', '-']).collect::<Vec<_>>();
            words.retain(|word| !word.is_empty());
            words.windows(wanted.len()).any(|run| run == wanted)
        };
        let (_, half, single, memory) = PEAKS.iter().find(|(part, ..)| has(part))?;
        Some(Peak {
            half_flops: half * 1e12,
            f32_flops: single * 1e12,
            bytes_per_s: memory * 1e9,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn half(name: &str) -> Option<f64> {
        let card = Card {
            name: name.into(),
            memory_bytes: 0,
        };
        card.peak().map(|peak| peak.half_flops / 1e12)
    }

    #[test]
    fn peaks_are_found_by_the_names_that_drivers_report() {
        for (name, expected) in [
            ("NVIDIA H100 80GB HBM3", Some(989.4)),
            ("NVIDIA H100 PCIe", Some(756.0)),
            ("NVIDIA H200", Some(989.4)),
            ("NVIDIA H20", Some(148.0)),
            ("NVIDIA A100-SXM4-80GB", Some(312.0)),
            ("NVIDIA A10", Some(125.0)),
            ("NVIDIA L40S", Some(362.05)),
            ("NVIDIA L4", Some(121.0)),
            ("NVIDIA GeForce RTX 4090", None),
            ("NVIDIA T4", None),
            ("", None),
        ] {
            assert_eq!(half(name), expected, "{name}");
        }
    }
}
