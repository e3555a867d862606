//! A component's weights on the device: one copy of each, shared by all programs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::engine::Engine;
use super::packing::Packing;
use crate::Result;
use crate::backend::stored;
use crate::cann::DeviceBuffer;
use crate::graph::{ViewStep, WeightDecl};
use crate::tensor::{DType, HostTensor};
use crate::weights::Weights;

/// What [`crate::backend::DeviceWeights`] holds.
pub(super) struct CannWeights {
    files: Arc<Weights>,
    resident: Mutex<HashMap<Key, Arc<DeviceBuffer>>>,
}

/// What makes two weights the same tensor.
type Key = (String, Vec<ViewStep>, Vec<usize>, DType, Packing);

impl CannWeights {
    pub(super) fn new(files: Arc<Weights>) -> Self {
        Self {
            files,
            resident: Mutex::default(),
        }
    }

    /// A weight on the device, which is copied there from the mapped file when it is first asked for.
    pub(super) fn get(
        &self,
        decl: &WeightDecl,
        packing: Packing,
        engine: &Engine,
    ) -> Result<Arc<DeviceBuffer>> {
        let key = (
            decl.name.clone(),
            decl.steps.clone(),
            decl.shape.clone(),
            decl.dtype,
            packing,
        );
        let mut resident = self.resident.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(buffer) = resident.get(&key) {
            return Ok(Arc::clone(buffer));
        }
        let buffer = match packing {
            Packing::Stored => self.upload(decl, engine)?,
            packed => self.upload_packed(decl, packed, engine)?,
        };
        resident.insert(key, Arc::clone(&buffer));
        Ok(buffer)
    }

    /// Converts to the dtype of the graph, where the file has another, on the way through the pinned
    /// memory: nothing of a weight's size is made on the host.
    fn upload(&self, decl: &WeightDecl, engine: &Engine) -> Result<Arc<DeviceBuffer>> {
        let found = stored(decl, &self.files)?;
        let bytes = decl.size_bytes();
        let purpose = format!("the weight {}", decl.name);
        let buffer = engine.context.alloc_for(bytes, &purpose)?;
        if found.dtype == decl.dtype {
            engine.with_stream(|stream| stream.upload(&found.bytes, &buffer, 0))?;
            return Ok(buffer);
        }
        let (from, to) = (found.dtype.size_bytes(), decl.dtype.size_bytes());
        let convert = |start: usize, part: &mut [u8]| {
            let elements = part.len() / to;
            let source = &found.bytes[start / to * from..][..elements * from];
            let wide = HostTensor::from_le_bytes(found.dtype, [elements], source);
            part.copy_from_slice(wide.cast(decl.dtype).as_bytes());
            Ok(())
        };
        engine.with_stream(|stream| stream.upload_with(bytes, &buffer, 0, convert))?;
        Ok(buffer)
    }

    /// In the order that a kernel reads, made on the host: these are small.
    fn upload_packed(
        &self,
        decl: &WeightDecl,
        packing: Packing,
        engine: &Engine,
    ) -> Result<Arc<DeviceBuffer>> {
        let found = stored(decl, &self.files)?;
        let host = HostTensor::from_le_bytes(found.dtype, decl.shape.clone(), &found.bytes);
        let packed = packing.pack(&host, decl.dtype);
        let purpose = format!("the weight {}", decl.name);
        let buffer = engine.context.alloc_for(packed.len(), &purpose)?;
        engine.with_stream(|stream| stream.upload(&packed, &buffer, 0))?;
        Ok(buffer)
    }
}
