//! A component's weights as tensors that sessions take.
//!
//! On the host, a weight whose elements lie in the file as the graph wants them is the mapped file
//! itself. Others are converted once and kept for all programs of the component, or, where that
//! would take too much memory, each time a segment runs. A GPU has its own copy of each.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::session::{Engine, Place};
use super::value::Value;
use crate::backend::{materialize, stored};
use crate::graph::{ViewStep, WeightDecl};
use crate::tensor::DType;
use crate::weights::Weights;
use crate::{Error, Result};

/// What [`crate::backend::DeviceWeights`] holds.
pub(super) struct OnnxWeights {
    weights: Arc<Weights>,
    resident: Mutex<HashMap<Key, Arc<Value>>>,
}

/// What makes two weights the same tensor.
type Key = (String, Vec<ViewStep>, Vec<usize>, DType);

/// A weight of a segment.
pub(super) enum Slot {
    /// A tensor that is there all the time.
    Resident(Arc<Value>),
    /// A tensor that is made before the segment runs and dropped after it.
    Transient(WeightDecl),
}

impl OnnxWeights {
    pub(super) fn new(weights: Arc<Weights>) -> Self {
        Self {
            weights,
            resident: Mutex::default(),
        }
    }

    /// The dtype in which the file has a weight.
    pub(super) fn file_dtype(&self, decl: &WeightDecl) -> Option<DType> {
        self.weights.get(&decl.name).map(|entry| entry.dtype)
    }

    /// Whether a weight is its tensor in the file, as it is.
    fn is_mapped(&self, decl: &WeightDecl) -> bool {
        decl.steps.is_empty() && self.file_dtype(decl) == Some(decl.dtype)
    }

    /// Bytes of memory beside the files that a weight takes on the host.
    pub(super) fn converted_bytes(&self, decl: &WeightDecl) -> u64 {
        match self.is_mapped(decl) {
            true => 0,
            false => decl.size_bytes() as u64,
        }
    }

    /// A weight as a segment takes it.
    pub(super) fn slot(&self, decl: WeightDecl, engine: &Engine, streaming: bool) -> Result<Slot> {
        if streaming && !self.is_mapped(&decl) {
            return Ok(Slot::Transient(decl));
        }
        let key = (
            decl.name.clone(),
            decl.steps.clone(),
            decl.shape.clone(),
            decl.dtype,
        );
        let mut known = self.resident.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = known.get(&key) {
            return Ok(Slot::Resident(Arc::clone(value)));
        }
        let value = self.make(&decl, engine)?;
        known.insert(key, Arc::clone(&value));
        Ok(Slot::Resident(value))
    }

    /// The tensor of a weight on the device.
    pub(super) fn make(&self, decl: &WeightDecl, engine: &Engine) -> Result<Arc<Value>> {
        let failed = |e: ort::Error| Error::Device {
            device: engine.device.to_string(),
            what: format!("cannot take over the weight {}: {e}", decl.name),
        };
        let found = stored(decl, &self.weights)?;
        let on_host = match found.bytes {
            Cow::Borrowed(bytes) if found.dtype == decl.dtype => {
                // SAFETY: the bytes are a part of a mapped file, which the weights hold.
                unsafe {
                    Value::over(
                        decl.dtype,
                        decl.shape.clone(),
                        bytes,
                        Arc::clone(&self.weights) as _,
                    )
                }
            }
            _ => Value::of_host(Arc::new(materialize(decl, &self.weights)?)),
        };
        let on_host = Arc::new(on_host.map_err(failed)?);
        engine.copy(&on_host, Place::Device).map_err(failed)
    }
}
