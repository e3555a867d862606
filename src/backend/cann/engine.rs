//! A device with what all programs on it share: one stream, one arena and one workspace.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ascendit_kernels::Chip;

use super::lower::Target;
use crate::cann::{Context, DeviceBuffer, KernelBinary, Repeatable, Stream};
use crate::tensor::{DType, HostTensor};
use crate::{Error, Result};

/// A device of [`super::CannBackend`].
pub(super) struct Engine {
    pub(super) context: Context,
    /// None after it failed, until the next one is needed.
    stream: Mutex<Option<Arc<Stream>>>,
    /// What plans may use.
    pub(super) target: Target,
    /// The file with kernels of our own, where plans may use them.
    pub(super) kernels: Option<KernelBinary>,
    memory: Mutex<Memory>,
    programs: AtomicU64,
}

/// Memory that the program that runs has to itself. It grows and is given back with the device.
#[derive(Default)]
pub(super) struct Memory {
    arena: Option<Arc<DeviceBuffer>>,
    workspace: Option<Arc<DeviceBuffer>>,
    /// Prepared operators by program and launch. They hold the arena that they were prepared for.
    operators: HashMap<u64, Vec<Option<Repeatable>>>,
}

/// A tensor on the device.
pub(super) struct Tensor {
    pub(super) buffer: Arc<DeviceBuffer>,
    /// The values of an integer tensor, which operators read on the host.
    pub(super) known: Option<Vec<i64>>,
}

impl Engine {
    /// With the kernels of a file for a chip, if there is one.
    pub(super) fn new(context: Context, kernels: Option<(&Path, Chip)>) -> Result<Self> {
        let stream = Mutex::new(Some(Arc::new(context.stream()?)));
        let target = Target {
            prompt_attention: context.cann().has_prompt_attention(),
            kernels: kernels.map(|(_, chip)| chip),
        };
        let kernels = kernels
            .map(|(file, _)| KernelBinary::load(&context, file))
            .transpose()?;
        Ok(Self {
            context,
            stream,
            target,
            kernels,
            memory: Mutex::default(),
            programs: AtomicU64::new(0),
        })
    }

    /// The stream.
    pub(super) fn stream(&self) -> Result<Arc<Stream>> {
        let mut held = self.held();
        match held.as_ref() {
            Some(stream) => Ok(Arc::clone(stream)),
            None => {
                let stream = Arc::new(self.context.stream()?);
                *held = Some(Arc::clone(&stream));
                Ok(stream)
            }
        }
    }

    /// Does something with the stream, which is replaced if that fails.
    pub(super) fn with_stream<T>(&self, work: impl FnOnce(&Stream) -> Result<T>) -> Result<T> {
        let stream = self.stream()?;
        work(&stream).inspect_err(|_| self.clear())
    }

    fn held(&self) -> MutexGuard<'_, Option<Arc<Stream>>> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// After a failure: throws away what is in the stream, and the stream, which may not work any more.
    pub(super) fn clear(&self) {
        let Some(stream) = self.held().take() else {
            return;
        };
        // That it cannot be stopped is no news beside the failure.
        if let Err(why) = stream.abort() {
            tracing::debug!("the stream cannot be stopped: {why}");
        }
    }

    /// A number that no other program has.
    pub(super) fn program_id(&self) -> u64 {
        self.programs.fetch_add(1, Ordering::Relaxed)
    }

    /// The memory for one program at a time.
    pub(super) fn turn(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A host tensor on the device.
    pub(super) fn upload(&self, tensor: &HostTensor) -> Result<Tensor> {
        let bytes = tensor.as_bytes();
        let buffer = self.context.alloc_for(bytes.len(), "an input")?;
        self.with_stream(|stream| stream.upload(bytes, &buffer, 0))?;
        let known = (tensor.dtype() == DType::I64).then(|| tensor.as_i64().to_vec());
        Ok(Tensor { buffer, known })
    }

    /// What went wrong at a place of the model.
    pub(super) fn at(&self, place: &str, error: Error) -> Error {
        let prefix = match place {
            "" => return error,
            place => format!("{place}: "),
        };
        match error {
            Error::Device { device, what } => Error::Device {
                device,
                what: prefix + &what,
            },
            other => other,
        }
    }
}

impl Memory {
    /// At least so many bytes for values.
    pub(super) fn arena(&mut self, engine: &Engine, bytes: usize) -> Result<Arc<DeviceBuffer>> {
        if self.arena.as_ref().is_none_or(|arena| arena.len() < bytes) {
            self.operators.clear();
        }
        grown(&mut self.arena, engine, bytes, "the values of a step")
    }

    /// A program's prepared operators, to be given back with [`Memory::keep`].
    pub(super) fn operators(&mut self, program: u64, count: usize) -> Vec<Option<Repeatable>> {
        let none = || std::iter::repeat_with(|| None).take(count).collect();
        self.operators.remove(&program).unwrap_or_else(none)
    }

    /// Keeps a program's prepared operators for its next run.
    pub(super) fn keep(&mut self, program: u64, operators: Vec<Option<Repeatable>>) {
        self.operators.insert(program, operators);
    }

    /// Lets go of what is kept for a program.
    pub(super) fn forget(&mut self, program: u64) {
        self.operators.remove(&program);
    }

    /// At least so many bytes for what operators need beside their operands.
    pub(super) fn workspace(&mut self, engine: &Engine, bytes: usize) -> Result<Arc<DeviceBuffer>> {
        grown(&mut self.workspace, engine, bytes, "operators' workspace")
    }
}

fn grown(
    held: &mut Option<Arc<DeviceBuffer>>,
    engine: &Engine,
    bytes: usize,
    purpose: &str,
) -> Result<Arc<DeviceBuffer>> {
    if let Some(buffer) = held.as_ref().filter(|buffer| buffer.len() >= bytes) {
        return Ok(Arc::clone(buffer));
    }
    // The old one goes first, or both would have to fit; what still runs keeps it alive.
    if held.take().is_some() {
        engine.with_stream(Stream::synchronize)?;
    }
    let buffer = engine.context.alloc_for(bytes, purpose)?;
    *held = Some(Arc::clone(&buffer));
    Ok(buffer)
}
