//! Where graphs run: one trait, several devices.
//!
//! A [`Backend`] takes a whole [`Graph`] and returns a [`Program`] that runs on [`DeviceTensor`]s.
//! What is large stays on the device: weights ([`DeviceWeights`], one resident copy per component,
//! shared by all programs), activations, and state such as the causal caches of a streaming decoder,
//! which the caller owns and passes to programs as inputs and gets back as outputs.

pub mod cann;
mod device;
pub mod onnx;
pub mod open;
pub mod reference;
mod resident;

use std::any::Any;
use std::sync::Arc;

pub use device::{Device, DeviceInfo, DeviceKind, Peak};
pub use resident::{Stored, check_weights, materialize, materialize_rows, stored};

use crate::cancel::Cancel;
use crate::graph::Graph;
use crate::tensor::{DType, HostTensor, describe};
use crate::weights::Weights;
use crate::{Error, Result};

/// A device with what it takes to compile graphs for it and to run them there.
pub trait Backend: Send + Sync {
    /// What is known about the device.
    fn info(&self) -> &DeviceInfo;

    /// The dtype to compute in for a wish (`None`: the device's best).
    ///
    /// # Errors
    /// If the device cannot compute in that dtype, with those that it can.
    fn compute_dtype(&self, wish: Option<DType>) -> Result<DType>;

    /// Takes over a component's weights. They are read when a program first needs them.
    ///
    /// # Errors
    /// If the device has no room for them.
    fn load(&self, weights: Arc<Weights>) -> Result<DeviceWeights>;

    /// Prepares a graph for running. The weights must have passed [`check_weights`].
    ///
    /// # Errors
    /// If the device cannot run the graph or has no room for it.
    fn compile(&self, graph: &Graph, weights: &DeviceWeights) -> Result<Box<dyn Program>>;

    /// Copies a tensor to the device.
    ///
    /// # Errors
    /// If the device has no room for it or fails.
    fn upload(&self, tensor: &HostTensor) -> Result<DeviceTensor>;

    /// Copies a tensor from the device, after everything that was started before.
    ///
    /// # Errors
    /// If the device fails.
    fn download(&self, tensor: &DeviceTensor) -> Result<HostTensor>;

    /// Waits for everything that was started.
    ///
    /// # Errors
    /// If the device fails.
    fn synchronize(&self) -> Result<()>;
}

/// A compiled graph.
pub trait Program: Send {
    /// Runs the graph on its inputs, in order, and returns its outputs, in order. Inputs are taken by
    /// value so that the memory of one that nobody else holds can serve an output.
    ///
    /// # Errors
    /// [`Error::Cancelled`] when asked to stop, and what the device reports.
    ///
    /// # Panics
    /// If the inputs are not those of the graph: only the engine's own code can cause it.
    fn run(&mut self, inputs: Vec<DeviceTensor>, watch: &Watch<'_>) -> Result<Vec<DeviceTensor>>;
}

/// What a running program looks at and reports to between segments.
pub struct Watch<'a> {
    /// Looked at between segments or launches.
    pub cancel: &'a Cancel,
    /// Called with the number of finished segments and of all.
    pub on_segment: &'a dyn Fn(usize, usize),
}

impl<'a> Watch<'a> {
    /// Looks at `cancel` and reports to nobody.
    pub fn quiet(cancel: &'a Cancel) -> Self {
        Self {
            cancel,
            on_segment: &|_, _| {},
        }
    }
}

/// A component's weights on a device. Clones share one copy.
#[derive(Clone)]
pub struct DeviceWeights(pub(crate) Arc<dyn Any + Send + Sync>);

/// A tensor in a device's memory. Clones share one buffer, which nobody writes to.
#[derive(Clone)]
pub struct DeviceTensor {
    dtype: DType,
    shape: Vec<usize>,
    pub(crate) data: Arc<dyn Any + Send + Sync>,
}

impl DeviceTensor {
    pub(crate) fn new(dtype: DType, shape: Vec<usize>, data: Arc<dyn Any + Send + Sync>) -> Self {
        Self { dtype, shape, data }
    }

    /// Sizes of the axes.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }
}

impl std::fmt::Debug for DeviceTensor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&describe(self.dtype, &self.shape))
    }
}

/// Runs a graph once on host tensors: upload, compile, run, download.
///
/// # Errors
/// Those of the backend.
pub fn run_once(
    backend: &dyn Backend,
    graph: &Graph,
    weights: &DeviceWeights,
    inputs: &[HostTensor],
) -> Result<Vec<HostTensor>> {
    let mut program = backend.compile(graph, weights)?;
    let inputs = inputs
        .iter()
        .map(|t| backend.upload(t))
        .collect::<Result<Vec<_>>>()?;
    let outputs = program.run(inputs, &Watch::quiet(&Cancel::new()))?;
    outputs.iter().map(|t| backend.download(t)).collect()
}

fn unsupported_dtype(device: &str, wish: DType, can: &[DType]) -> Error {
    let can: Vec<_> = can.iter().map(|d| d.name()).collect();
    Error::Unavailable {
        device: device.to_owned(),
        what: format!(
            "cannot compute in {wish}, only in {}; leave out --dtype or pass one of these",
            can.join(", ")
        ),
    }
}
