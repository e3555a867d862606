//! ONNX Runtime as a backend: `cpu` and `cuda:N`.
//!
//! A graph becomes one session per kind of segment (`lower`, `session`); a program runs them one
//! after the other over tensors that stay on the device (`program`). Weights are inputs of the
//! sessions, on the host the mapped files themselves (`weights`). A provider that cannot be used is
//! an error, never another provider.
//!
//! The library is opened at run time: [`library`] finds one on this machine, [`setup`] gets the
//! official one where there is none, [`cuda`] looks for what its CUDA provider needs, and
//! [`card`] knows the GPU itself.

pub mod card;
pub mod cuda;
mod elf;
mod environment;
pub mod library;
mod lower;
pub mod places;
mod program;
mod proto;
mod session;
pub mod setup;
mod subprocess;
mod value;
mod weights;
pub mod wheel;

use std::path::Path;
use std::sync::Arc;

use card::Card;
use program::OnnxProgram;
use session::{Engine, Place};
use value::Value;
use weights::OnnxWeights;

use super::{Backend, Device, DeviceInfo, DeviceKind, DeviceTensor, DeviceWeights, Program};
use crate::graph::Graph;
use crate::machine;
use crate::tensor::{DType, HostTensor};
use crate::weights::Weights;
use crate::{Error, Result};

/// Memory for weights where the system does not say how much there is.
const DEFAULT_WEIGHT_MEMORY: u64 = 4 << 30;

/// What runs the nodes of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Provider {
    Cpu,
    Cuda { ordinal: i32 },
}

/// Settings of an [`OnnxBackend`].
#[derive(Clone, Debug, Default)]
pub struct OnnxOptions {
    /// Threads for the work of one operation; as many as the process may use when not given. The
    /// first backend of the process decides.
    pub threads: Option<usize>,
    /// Bytes of host memory that the weights of a program on `cpu` may take beside their files; half
    /// of what is available when it is compiled, when not given. Within it, weights are copied into
    /// the order that the kernels like best; else only those are that must be converted; else none,
    /// and what must be converted is each time it is used.
    pub weight_memory_bytes: Option<u64>,
}

/// ONNX Runtime on one device.
pub struct OnnxBackend {
    engine: Arc<Engine>,
    info: DeviceInfo,
    weight_memory_bytes: Option<u64>,
}

impl OnnxBackend {
    /// Opens `device` (`cpu` or `cuda:N`) with the library in a file.
    ///
    /// # Errors
    /// If the library cannot be loaded, is too old or is another one than this process has loaded, or
    /// if it cannot use the device.
    pub fn new(device: Device, library: &Path, options: &OnnxOptions) -> Result<Self> {
        let provider = match device.kind {
            DeviceKind::Cpu => Provider::Cpu,
            DeviceKind::Cuda => Provider::Cuda {
                ordinal: i32::try_from(device.ordinal)
                    .map_err(|_| Error::request(format!("there is no device {device}")))?,
            },
            DeviceKind::Reference | DeviceKind::Cann | DeviceKind::Twin => {
                return Err(Error::request(format!(
                    "ONNX Runtime does not drive {device}"
                )));
            }
        };
        let threads = match options.threads {
            Some(threads) => threads,
            None => std::thread::available_parallelism().map_or(1, usize::from),
        };
        let environment = environment::environment(device, library, threads)?;
        let engine = Arc::new(Engine::new(device, provider, environment));
        engine.check()?;
        let (description, memory_bytes, peak) = match provider {
            Provider::Cpu => (
                format!("ONNX Runtime, {threads} threads"),
                available_memory(),
                None,
            ),
            Provider::Cuda { ordinal } => match Card::find(ordinal) {
                Some(card) => (
                    format!("ONNX Runtime, {}", card.name),
                    Some(card.memory_bytes),
                    card.peak(),
                ),
                None => ("ONNX Runtime, CUDA".to_owned(), None, None),
            },
        };
        Ok(Self {
            engine,
            info: DeviceInfo {
                device,
                description,
                memory_bytes,
                peak,
            },
            weight_memory_bytes: options.weight_memory_bytes,
        })
    }
}

impl Backend for OnnxBackend {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn compute_dtype(&self, wish: Option<DType>) -> Result<DType> {
        let can: &[DType] = match self.engine.provider {
            Provider::Cpu => &[DType::F32],
            Provider::Cuda { .. } => &[DType::BF16, DType::F16, DType::F32],
        };
        match wish {
            None => Ok(can[0]),
            Some(wish) if can.contains(&wish) => Ok(wish),
            Some(wish) => Err(super::unsupported_dtype(
                &self.info.device.to_string(),
                wish,
                can,
            )),
        }
    }

    fn load(&self, weights: Arc<Weights>) -> Result<DeviceWeights> {
        Ok(DeviceWeights(Arc::new(OnnxWeights::new(weights))))
    }

    fn compile(&self, graph: &Graph, weights: &DeviceWeights) -> Result<Box<dyn Program>> {
        let weights = Arc::clone(&weights.0)
            .downcast::<OnnxWeights>()
            .expect("weights go to the backend that loaded them");
        let half = || available_memory().map(|bytes| bytes / 2);
        let weight_memory = self
            .weight_memory_bytes
            .or_else(half)
            .unwrap_or(DEFAULT_WEIGHT_MEMORY);
        let program = OnnxProgram::compile(&self.engine, graph, &weights, weight_memory)?;
        Ok(Box::new(program))
    }

    fn upload(&self, tensor: &HostTensor) -> Result<DeviceTensor> {
        let value = self.engine.upload(Arc::new(tensor.clone()))?;
        Ok(DeviceTensor::new(
            tensor.dtype(),
            tensor.shape().to_vec(),
            value,
        ))
    }

    fn download(&self, tensor: &DeviceTensor) -> Result<HostTensor> {
        let value = value_of(tensor.clone());
        self.engine
            .copy(&value, Place::Host)
            .and_then(|value| value.read())
            .map_err(|e| self.engine.failed("a copy to the host", &e))
    }

    fn synchronize(&self) -> Result<()> {
        // Every run of a session waits for its device.
        Ok(())
    }
}

fn value_of(tensor: DeviceTensor) -> Arc<Value> {
    tensor
        .data
        .downcast::<Value>()
        .expect("tensors go to the backend that made them")
}

/// Bytes of host memory that can be had now, where the system says so.
fn available_memory() -> Option<u64> {
    machine::memory()?.available_bytes
}
