//! Tensors that ONNX Runtime reads and writes.

use std::any::Any;
use std::ptr::NonNull;
use std::sync::Arc;

use ort::AsPointer;
use ort::memory::{AllocationDevice, Allocator, MemoryInfo};
use ort::sys::ONNXTensorElementDataType as Element;
use ort::value::DynValue;

use crate::tensor::{DType, HostTensor, numel};

/// A tensor on the host or on a device. Nobody writes to it once it is made.
pub(super) struct Value {
    // Before what keeps its memory, so that it goes first.
    tensor: Arc<DynValue>,
    dtype: DType,
    shape: Vec<usize>,
    _keep: Option<Arc<dyn Any + Send + Sync>>,
}

impl Value {
    /// What a session made.
    pub(super) fn made(tensor: DynValue, dtype: DType, shape: Vec<usize>) -> Self {
        Self {
            tensor: Arc::new(tensor),
            dtype,
            shape,
            _keep: None,
        }
    }

    /// A host tensor, not copied.
    pub(super) fn of_host(tensor: Arc<HostTensor>) -> ort::Result<Self> {
        let (dtype, shape) = (tensor.dtype(), tensor.shape().to_vec());
        let bytes: *const [u8] = tensor.as_bytes();
        // SAFETY: the bytes belong to the tensor, which is kept and not changed.
        unsafe { Self::over(dtype, shape, &*bytes, tensor) }
    }

    /// Bytes on the host, not copied.
    ///
    /// # Safety
    /// `keep` must hold `bytes` in place, unchanged, for as long as it lives.
    pub(super) unsafe fn over(
        dtype: DType,
        shape: Vec<usize>,
        bytes: &[u8],
        keep: Arc<dyn Any + Send + Sync>,
    ) -> ort::Result<Self> {
        assert_eq!(bytes.len(), numel(&shape) * dtype.size_bytes());
        let memory = MemoryInfo::default();
        let dims: Vec<i64> = shape.iter().map(|&d| d as i64).collect();
        let mut made = std::ptr::null_mut();
        // SAFETY: the data is as long as the call says and lives as long as `keep`, which outlives
        // the tensor; ONNX Runtime writes to no input.
        unsafe {
            let status = (ort::api().CreateTensorWithDataAsOrtValue)(
                memory.ptr(),
                bytes.as_ptr().cast_mut().cast(),
                bytes.len(),
                dims.as_ptr(),
                dims.len(),
                element(dtype),
                &raw mut made,
            );
            ort::Error::result_from_status(status)?;
        }
        let made = NonNull::new(made).expect("a successful call gives a tensor");
        // SAFETY: the pointer was made just now and is owned by nobody else.
        let tensor = unsafe { DynValue::from_ptr(made, Some(&Allocator::default())) };
        Ok(Self {
            tensor: Arc::new(tensor),
            dtype,
            shape,
            _keep: Some(keep),
        })
    }

    pub(super) fn dtype(&self) -> DType {
        self.dtype
    }

    pub(super) fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The tensor as sessions take it.
    pub(super) fn tensor(&self) -> &Arc<DynValue> {
        &self.tensor
    }

    /// A copy of a tensor that lies on the host.
    pub(super) fn read(&self) -> ort::Result<HostTensor> {
        let len = numel(&self.shape) * self.dtype.size_bytes();
        let mut data = std::ptr::null_mut();
        // SAFETY: the pointer is to a live tensor; the call only looks it up.
        unsafe {
            let status =
                (ort::api().GetTensorMutableData)(self.tensor.ptr().cast_mut(), &raw mut data);
            ort::Error::result_from_status(status)?;
        }
        let bytes = match len {
            0 => &[],
            // SAFETY: a tensor of this shape and dtype on the host has so many bytes.
            _ => unsafe { std::slice::from_raw_parts(data.cast::<u8>().cast_const(), len) },
        };
        Ok(HostTensor::from_le_bytes(
            self.dtype,
            self.shape.clone(),
            bytes,
        ))
    }
}

/// The memory of the host, as sessions name it.
pub(super) fn host_memory() -> ort::Result<MemoryInfo<'static>> {
    memory(AllocationDevice::CPU, 0)
}

/// The memory of a device, as sessions name it.
pub(super) fn memory(
    device: AllocationDevice<'static>,
    ordinal: i32,
) -> ort::Result<MemoryInfo<'static>> {
    MemoryInfo::new(
        device,
        ordinal,
        ort::memory::AllocatorType::Device,
        ort::memory::MemoryType::Default,
    )
}

fn element(dtype: DType) -> Element {
    match dtype {
        DType::F64 => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE,
        DType::F32 => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,
        DType::F16 => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16,
        DType::BF16 => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16,
        DType::I64 => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64,
        DType::I32 => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32,
        DType::U8 => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8,
        DType::Bool => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL,
    }
}
