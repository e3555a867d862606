//! Sessions: ONNX models ready to run on one provider.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use ort::environment::Environment;
use ort::ep;
use ort::memory::{AllocationDevice, MemoryInfo};
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::session::{NoSelectedOutputs, RunOptions, Session};
use prost::Message;

use super::Provider;
use super::lower::{Lowered, model};
use super::proto::{GraphProto, NodeProto, ValueInfoProto};
use super::value::{Value, host_memory, memory};
use crate::backend::Device;
use crate::graph::Type;
use crate::tensor::{DType, HostTensor};
use crate::{Error, Result};

/// The largest result of constants that is computed once and kept.
const MAX_FOLDED_BYTES: &str = "67108864";

/// What all programs of a device share.
pub(super) struct Engine {
    pub(super) device: Device,
    pub(super) provider: Provider,
    environment: Environment,
    /// Sessions that copy a tensor, by dtype and rank.
    copies: Mutex<HashMap<(DType, usize), Compiled>>,
}

/// A model that is ready to run.
pub(super) struct Compiled {
    session: Session,
    inputs: Vec<String>,
    outputs: Vec<String>,
}

/// Where results go.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Host,
    Device,
}

impl Engine {
    pub(super) fn new(device: Device, provider: Provider, environment: Environment) -> Self {
        Self {
            device,
            provider,
            environment,
            copies: Mutex::default(),
        }
    }

    /// Tries whether the provider can be used.
    ///
    /// # Errors
    /// If it cannot, with its own reason.
    pub(super) fn check(&self) -> Result<()> {
        let session = self.compile(identity(DType::F32, 1), &[]);
        session.map(|_| ()).map_err(|e| Error::Unavailable {
            device: self.device.to_string(),
            what: format!("ONNX Runtime cannot use it: {e}"),
        })
    }

    /// Whether device memory is host memory.
    pub(super) fn on_host(&self) -> bool {
        self.provider == Provider::Cpu
    }

    /// What went wrong at a place of the model.
    pub(super) fn failed(&self, place: &str, why: &ort::Error) -> Error {
        Error::Device {
            device: self.device.to_string(),
            what: format!("{place}: {why}"),
        }
    }

    /// A host tensor on the device.
    pub(super) fn upload(&self, tensor: Arc<HostTensor>) -> Result<Arc<Value>> {
        Value::of_host(tensor)
            .and_then(|value| self.copy(&Arc::new(value), Place::Device))
            .map_err(|e| self.failed("a copy from the host", &e))
    }

    /// Prepares a model. `constants` are the weights that are no inputs, by their places; the inputs
    /// are the segment's and then the other weights.
    pub(super) fn compile(
        &self,
        lowered: Lowered,
        constants: &[(usize, Arc<Value>)],
    ) -> ort::Result<Compiled> {
        let mut builder = self.builder()?;
        for (weight, value) in constants {
            let name = &lowered.weights[*weight];
            builder = builder.with_external_initializer(name, Arc::clone(value.tensor()))?;
        }
        let session = builder.commit_from_memory(&lowered.model.encode_to_vec())?;
        let is_input = |(i, _): &(usize, String)| constants.iter().all(|(c, _)| c != i);
        let weights = lowered.weights.into_iter().enumerate().filter(is_input);
        let mut inputs = lowered.inputs;
        inputs.extend(weights.map(|(_, name)| name));
        Ok(Compiled {
            session,
            inputs,
            outputs: lowered.outputs,
        })
    }

    fn builder(&self) -> ort::Result<SessionBuilder> {
        let mut builder = Session::builder(&self.environment)?
            .with_optimization_level(GraphOptimizationLevel::All)?
            .with_memory_pattern(false)?
            .with_env_allocators()?
            // Parts of constant weights are folded; what is larger had better not be kept.
            .with_config_entry(
                "optimization.constant_folding_max_output_size_in_bytes",
                MAX_FOLDED_BYTES,
            )?;
        match self.provider {
            Provider::Cpu => {
                let cpu = |d: &ort::device::Device<'_>| {
                    d.ep().is_ok_and(|ep| ep == "CPUExecutionProvider")
                };
                builder = builder.with_devices(self.environment.devices().filter(cpu), None)?;
            }
            Provider::Cuda { ordinal } => {
                let cuda = ep::CUDA::default()
                    .with_device_id(ordinal)
                    .with_arena_extend_strategy(ep::ArenaExtendStrategy::SameAsRequested)
                    .with_conv_algorithm_search(ep::cuda::ConvAlgorithmSearch::Heuristic)
                    // f32 means f32.
                    .with_tf32(false)
                    .build()
                    .error_on_failure();
                builder = builder
                    .with_execution_providers([cuda])?
                    .with_disable_cpu_fallback()?;
            }
        };
        Ok(builder)
    }

    /// The memory that results go to.
    pub(super) fn memory(&self, place: Place) -> ort::Result<MemoryInfo<'static>> {
        match (place, self.provider) {
            (Place::Device, Provider::Cuda { ordinal }) => memory(AllocationDevice::CUDA, ordinal),
            _ => host_memory(),
        }
    }

    /// A tensor in another place; the same one where host and device are one.
    pub(super) fn copy(&self, value: &Arc<Value>, to: Place) -> ort::Result<Arc<Value>> {
        if self.on_host() {
            return Ok(Arc::clone(value));
        }
        let (dtype, rank) = (value.dtype(), value.shape().len());
        let mut copies = self.copies.lock().unwrap_or_else(PoisonError::into_inner);
        let compiled = match copies.entry((dtype, rank)) {
            std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::hash_map::Entry::Vacant(vacant) => {
                vacant.insert(self.compile(identity(dtype, rank), &[])?)
            }
        };
        let types = [(dtype, value.shape().to_vec())];
        let memory = self.memory(to)?;
        let options = RunOptions::new()?;
        let mut made = compiled.run(&[value], &types, &memory, &options)?;
        Ok(Arc::new(made.pop().expect("the model has one output")))
    }
}

impl Compiled {
    /// Runs the model on its inputs (the segment's and then the weights); the results have the given
    /// types and go to `memory`.
    pub(super) fn run(
        &mut self,
        inputs: &[&Arc<Value>],
        types: &[Type],
        memory: &MemoryInfo<'_>,
        options: &RunOptions<NoSelectedOutputs>,
    ) -> ort::Result<Vec<Value>> {
        // A new binding per run: results that are bound once more would be written over.
        let mut binding = self.session.create_binding()?;
        for (name, value) in self.inputs.iter().zip(inputs) {
            binding.bind_input(name, value.tensor())?;
        }
        for name in &self.outputs {
            binding.bind_output_to_device(name, memory)?;
        }
        let mut results = self.session.run_binding_with_options(&binding, options)?;
        let take = |(name, (dtype, shape)): (&String, &Type)| {
            let tensor = results.remove(name).expect("the output was bound");
            Value::made(tensor, *dtype, shape.clone())
        };
        Ok(self.outputs.iter().zip(types).map(take).collect())
    }
}

/// A model that gives back its input.
fn identity(dtype: DType, rank: usize) -> Lowered {
    let node = NodeProto {
        input: vec!["x".into()],
        output: vec!["y".into()],
        op_type: Some("Identity".into()),
        ..NodeProto::default()
    };
    let graph = GraphProto {
        node: vec![node],
        name: Some("copy".into()),
        initializer: vec![],
        input: vec![ValueInfoProto::of_rank("x", dtype, rank)],
        output: vec![ValueInfoProto::of_rank("y", dtype, rank)],
    };
    Lowered {
        model: model(graph, super::lower::OPSET),
        inputs: vec!["x".into()],
        weights: vec![],
        outputs: vec!["y".into()],
    }
}
