//! The Ascend 910B through CANN: `cann:N`, and `twin:N`, its twin on the CPU.
//!
//! A graph becomes a [`plan::Plan`]: launches of aclnn operators and of our own kernels ([`call`]) over
//! strided [`view`]s of buffers ([`lower`]), with all values in one arena. Plans know no device; `program` runs them through
//! [`crate::cann`]: weights are on the device once, results stay there, and a program stops between
//! launches when it is asked to.

pub mod call;
mod engine;
mod launch;
pub mod lower;
mod packing;
pub mod plan;
pub mod predict;
mod program;
pub mod soc;
pub mod timing;
pub mod view;
mod weights;

use std::path::Path;
use std::sync::Arc;

use ascendit_kernels::Chip;

use engine::{Engine, Tensor};
use program::CannProgram;
use soc::Soc;
use weights::CannWeights;

use super::{
    Backend, Device, DeviceInfo, DeviceKind, DeviceTensor, DeviceWeights, Program,
    unsupported_dtype,
};
use crate::cann::{Cann, Context, KernelSearch, Search, Stream, TwinSearch};
use crate::graph::Graph;
use crate::tensor::{DType, HostTensor, numel};
use crate::weights::Weights;
use crate::{Error, Result};

/// CANN, or its twin, on one device.
pub struct CannBackend {
    engine: Arc<Engine>,
    info: DeviceInfo,
}

impl CannBackend {
    /// Opens `device` (`cann:N` or `twin:N`) with the libraries that are found on this machine, and with our
    /// own kernels where they are wanted and found.
    ///
    /// # Errors
    /// If they are not there or too old, or there is no such device.
    pub fn open(device: Device, kernels: bool) -> Result<Self> {
        let cann = match device.kind {
            DeviceKind::Cann => Cann::open(&Search::from_env())?,
            DeviceKind::Twin => Cann::open_twin(&TwinSearch::from_env())?,
            _ => return Err(Error::request(format!("CANN does not drive {device}"))),
        };
        let file = match (kernels, device.kind) {
            (false, _) => None,
            (true, DeviceKind::Twin) => KernelSearch::twin().find()?,
            (true, _) => KernelSearch::card().find()?,
        };
        Self::new(device, &cann, file.as_deref())
    }

    /// Opens a device of libraries that are open, with the kernels of a file if there is one.
    ///
    /// # Errors
    /// If there is no such device, or the file is none with kernels.
    pub fn new(device: Device, cann: &Cann, kernels: Option<&Path>) -> Result<Self> {
        let context = Context::new(cann, device.ordinal)?;
        let memory = context.memory()?;
        let cores = context.cores()?;
        let name = cann.soc_name();
        let description = match device.kind {
            DeviceKind::Twin => format!("twin of {name}, computes on the CPU, for development"),
            _ => format!(
                "{name}, {} cube and {} vector cores, {}",
                cores.cube,
                cores.vector,
                cann.version()
            ),
        };
        let soc = Soc::find(&name);
        let chip = soc.and_then(|soc| Chip::find(soc.name).copied());
        let kernels = kernels.zip(chip);
        match kernels {
            Some((file, chip)) => {
                tracing::debug!("kernels for {} from {}", chip.name, file.display());
            }
            None => tracing::debug!("no kernels of our own are used on {name}"),
        }
        // The twin's speed says nothing about a chip's.
        let soc = soc.filter(|_| device.kind == DeviceKind::Cann);
        Ok(Self {
            info: DeviceInfo {
                device,
                description,
                memory_bytes: Some(memory.total_bytes as u64),
                peak: soc.map(Soc::peak),
            },
            engine: Arc::new(Engine::new(context, kernels)?),
        })
    }
}

impl Backend for CannBackend {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn compute_dtype(&self, wish: Option<DType>) -> Result<DType> {
        let device = self.info.device;
        let can: &[DType] = match device.kind {
            // CANN's attention for inference knows no f32; the twin's other operators do.
            DeviceKind::Twin => &[DType::F16, DType::BF16, DType::F32],
            _ => &[DType::BF16, DType::F16],
        };
        match wish {
            None => Ok(device.kind.default_dtype()),
            Some(wish) if can.contains(&wish) => Ok(wish),
            Some(wish) => Err(unsupported_dtype(&device.to_string(), wish, can)),
        }
    }

    fn load(&self, weights: Arc<Weights>) -> Result<DeviceWeights> {
        Ok(DeviceWeights(Arc::new(CannWeights::new(weights))))
    }

    fn compile(&self, graph: &Graph, weights: &DeviceWeights) -> Result<Box<dyn Program>> {
        let weights = Arc::clone(&weights.0)
            .downcast::<CannWeights>()
            .expect("weights go to the backend that loaded them");
        let program = CannProgram::compile(&self.engine, graph, &weights)?;
        Ok(Box::new(program))
    }

    fn upload(&self, tensor: &HostTensor) -> Result<DeviceTensor> {
        let data = self.engine.upload(tensor)?;
        Ok(DeviceTensor::new(
            tensor.dtype(),
            tensor.shape().to_vec(),
            Arc::new(data),
        ))
    }

    fn download(&self, tensor: &DeviceTensor) -> Result<HostTensor> {
        let data = tensor_of(tensor.clone());
        let len = numel(tensor.shape()) * tensor.dtype().size_bytes();
        let bytes = self
            .engine
            .with_stream(|stream| stream.download(&data.buffer, 0, len))?;
        Ok(HostTensor::from_le_bytes(
            tensor.dtype(),
            tensor.shape().to_vec(),
            &bytes,
        ))
    }

    fn synchronize(&self) -> Result<()> {
        self.engine.with_stream(Stream::synchronize)
    }
}

fn tensor_of(tensor: DeviceTensor) -> Arc<Tensor> {
    tensor
        .data
        .downcast()
        .expect("tensors go to the backend that made them")
}
