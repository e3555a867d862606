//! Naming devices: `reference`, `cpu`, `cuda:N`, `cann:N`, `twin:N`.

use std::fmt;
use std::str::FromStr;

use crate::Error;
use crate::tensor::DType;

/// Which backend a device belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeviceKind {
    /// The definition of every operation, on the host.
    Reference,
    /// ONNX Runtime on the host.
    Cpu,
    /// ONNX Runtime on an NVIDIA GPU.
    Cuda,
    /// CANN on an Ascend NPU.
    Cann,
    /// The twin of an Ascend NPU, on the host.
    Twin,
}

impl DeviceKind {
    /// What its devices compute in where nobody asks for another dtype.
    pub fn default_dtype(self) -> DType {
        match self {
            Self::Reference | Self::Cpu => DType::F32,
            Self::Cuda | Self::Cann => DType::BF16,
            Self::Twin => DType::F16,
        }
    }

    /// Whether its devices share the host's memory, where weights stay mapped from their files.
    pub fn on_host(self) -> bool {
        matches!(self, Self::Reference | Self::Cpu)
    }
}

/// A device as the user writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Device {
    /// The backend.
    pub kind: DeviceKind,
    /// Which of several; 0 where there is one.
    pub ordinal: usize,
}

impl Device {
    /// The definition of every operation, on the host.
    pub const REFERENCE: Self = Self {
        kind: DeviceKind::Reference,
        ordinal: 0,
    };
    /// ONNX Runtime on the host.
    pub const CPU: Self = Self {
        kind: DeviceKind::Cpu,
        ordinal: 0,
    };
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            DeviceKind::Reference => f.write_str("reference"),
            DeviceKind::Cpu => f.write_str("cpu"),
            DeviceKind::Cuda => write!(f, "cuda:{}", self.ordinal),
            DeviceKind::Cann => write!(f, "cann:{}", self.ordinal),
            DeviceKind::Twin => write!(f, "twin:{}", self.ordinal),
        }
    }
}

impl FromStr for Device {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let unknown = || {
            Error::request(format!(
                "unknown device {text:?}; devices are reference, cpu, cuda:N, cann:N and twin:N (cuda is \
                 cuda:0)"
            ))
        };
        let (kind, ordinal) = match text.split_once(':') {
            Some((kind, ordinal)) => (kind, Some(ordinal.parse().map_err(|_| unknown())?)),
            None => (text, None),
        };
        let kind = match (kind, ordinal) {
            ("reference", None) => DeviceKind::Reference,
            ("cpu", None) => DeviceKind::Cpu,
            ("cuda", _) => DeviceKind::Cuda,
            ("cann", _) => DeviceKind::Cann,
            ("twin", _) => DeviceKind::Twin,
            _ => return Err(unknown()),
        };
        Ok(Self {
            kind,
            ordinal: ordinal.unwrap_or(0),
        })
    }
}

/// What is known about a device.
#[derive(Clone, Debug)]
pub struct DeviceInfo {
    /// Its name on the command line.
    pub device: Device,
    /// What it is, in words: processor or card, library and version.
    pub description: String,
    /// Bytes of memory that can be had, where known.
    pub memory_bytes: Option<u64>,
    /// Peak rates, where known.
    pub peak: Option<Peak>,
}

/// Peak rates of a device as its maker states them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Peak {
    /// Floating point operations per second of dense matrix products in f16 and bf16, sums in f32.
    pub half_flops: f64,
    /// The same in f32.
    pub f32_flops: f64,
    /// Bytes per second between the processor and its memory.
    pub bytes_per_s: f64,
}

impl Peak {
    /// Floating point operations per second with operands of a dtype.
    pub fn flops(&self, dtype: DType) -> f64 {
        match dtype {
            DType::F16 | DType::BF16 => self.half_flops,
            _ => self.f32_flops,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_devices_are_read_as_they_are_written() {
        for name in ["reference", "cpu", "cuda:0", "cuda:3", "cann:7", "twin:1"] {
            assert_eq!(name.parse::<Device>().expect(name).to_string(), name);
        }
        for name in ["cuda", "cann", "twin"] {
            let first = name.parse::<Device>().expect(name).to_string();
            assert_eq!(first, format!("{name}:0"));
        }
    }

    #[test]
    fn an_unknown_device_is_named_with_those_that_there_are() {
        for name in ["gpu", "cuda:x", "cpu:1", "twin:"] {
            let error = name.parse::<Device>().expect_err(name).to_string();
            let expected = format!(
                "unknown device {name:?}; devices are reference, cpu, cuda:N, cann:N and twin:N (cuda is \
                 cuda:0)"
            );
            assert_eq!(error, expected);
        }
    }
}
