//! Tensors: views of a device's memory, as CANN describes them.

use std::fmt;
use std::sync::Arc;

use cann_sys::{
    ACL_BF16, ACL_BOOL, ACL_DOUBLE, ACL_FLOAT, ACL_FLOAT16, ACL_FORMAT_NCDHW, ACL_FORMAT_NCHW,
    ACL_FORMAT_NCL, ACL_FORMAT_ND, ACL_INT32, ACL_INT64, ACL_UINT8, aclDataType, aclFormat,
    aclTensor,
};

use super::memory::nothing;
use super::{Context, DeviceBuffer};
use crate::Result;
use crate::tensor::DType;

/// Element type of a tensor on a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ElementType {
    /// IEEE 754 double precision. Few operators take it.
    F64,
    /// IEEE 754 single precision.
    F32,
    /// IEEE 754 half precision.
    F16,
    /// The upper half of an `f32`.
    Bf16,
    /// Signed 64-bit integer.
    I64,
    /// Signed 32-bit integer.
    I32,
    /// Unsigned byte.
    U8,
    /// One byte, 0 or 1.
    Bool,
}

impl ElementType {
    /// Bytes per element.
    pub const fn size_bytes(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::U8 | Self::Bool => 1,
        }
    }

    /// Whether this is one of the floating point types.
    pub const fn is_float(self) -> bool {
        matches!(self, Self::F64 | Self::F32 | Self::F16 | Self::Bf16)
    }

    pub(super) const fn raw(self) -> aclDataType {
        match self {
            Self::F64 => ACL_DOUBLE,
            Self::F32 => ACL_FLOAT,
            Self::F16 => ACL_FLOAT16,
            Self::Bf16 => ACL_BF16,
            Self::I64 => ACL_INT64,
            Self::I32 => ACL_INT32,
            Self::U8 => ACL_UINT8,
            Self::Bool => ACL_BOOL,
        }
    }
}

impl From<DType> for ElementType {
    fn from(dtype: DType) -> Self {
        match dtype {
            DType::F64 => Self::F64,
            DType::F32 => Self::F32,
            DType::F16 => Self::F16,
            DType::BF16 => Self::Bf16,
            DType::I64 => Self::I64,
            DType::I32 => Self::I32,
            DType::U8 => Self::U8,
            DType::Bool => Self::Bool,
        }
    }
}

/// What the axes of a tensor mean to operators that ask for it. Elements lie as the strides say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// Nothing.
    #[default]
    Nd,
    /// Batch, channels, length.
    Ncl,
    /// Batch, channels, height, width.
    Nchw,
    /// Batch, channels, depth, height, width.
    Ncdhw,
}

impl Format {
    const fn raw(self) -> aclFormat {
        match self {
            Self::Nd => ACL_FORMAT_ND,
            Self::Ncl => ACL_FORMAT_NCL,
            Self::Nchw => ACL_FORMAT_NCHW,
            Self::Ncdhw => ACL_FORMAT_NCDHW,
        }
    }
}

/// Where the elements of a tensor lie in a buffer.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Layout {
    /// Element type.
    pub dtype: ElementType,
    /// Sizes of the axes.
    pub shape: Vec<usize>,
    /// Elements from one place of an axis to the next; 0 repeats one.
    pub strides: Vec<usize>,
    /// Elements from the start of the buffer to the first of the tensor.
    pub offset: usize,
    /// What the axes mean.
    pub format: Format,
}

impl Layout {
    /// Row-major from the start of a buffer, without a meaning of the axes.
    pub fn contiguous(dtype: ElementType, shape: &[usize]) -> Self {
        Self {
            dtype,
            shape: shape.to_vec(),
            strides: row_major(shape),
            offset: 0,
            format: Format::Nd,
        }
    }

    /// Whether the elements lie row-major and close together.
    pub fn is_contiguous(&self) -> bool {
        let expected = row_major(&self.shape);
        let axes = self.shape.iter().zip(self.strides.iter().zip(&expected));
        axes.into_iter().all(|(&size, (a, b))| size <= 1 || a == b)
    }

    /// Elements from the first to behind the last; `None` if that cannot be counted.
    fn span(&self) -> Option<usize> {
        if self.shape.contains(&0) {
            return Some(0);
        }
        let axes = self.shape.iter().zip(&self.strides);
        axes.into_iter().try_fold(1usize, |span, (&size, &stride)| {
            span.checked_add((size - 1).checked_mul(stride)?)
        })
    }
}

fn row_major(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1usize; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis].saturating_mul(shape[axis].max(1));
    }
    strides
}

impl fmt::Debug for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}{:?}", self.dtype, self.shape)?;
        if !self.is_contiguous() {
            write!(f, " strides {:?}", self.strides)?;
        }
        if self.offset > 0 {
            write!(f, " at {}", self.offset)?;
        }
        if self.format != Format::Nd {
            write!(f, " {:?}", self.format)?;
        }
        Ok(())
    }
}

/// A view of a buffer. Clones are the same; it holds the buffer.
#[derive(Clone)]
pub struct Tensor(Arc<Described>);

struct Described {
    layout: Layout,
    descriptor: *const aclTensor,
    buffer: Arc<DeviceBuffer>,
}

// SAFETY: CANN only reads a descriptor, from any thread; it is destroyed by its last holder.
unsafe impl Send for Described {}
// SAFETY: as above.
unsafe impl Sync for Described {}

impl Tensor {
    /// Describes a part of a buffer.
    ///
    /// # Errors
    /// If CANN has no memory for it.
    ///
    /// # Panics
    /// If shape and strides differ in length, or an element does not lie inside of the buffer.
    pub fn new(buffer: &Arc<DeviceBuffer>, layout: Layout) -> Result<Self> {
        let descriptor = describe(buffer, &layout)?;
        Ok(Self(Arc::new(Described {
            layout,
            descriptor,
            buffer: buffer.clone(),
        })))
    }

    /// Where its elements lie.
    pub fn layout(&self) -> &Layout {
        &self.0.layout
    }

    /// Sizes of the axes.
    pub fn shape(&self) -> &[usize] {
        &self.0.layout.shape
    }

    /// Element type.
    pub fn dtype(&self) -> ElementType {
        self.0.layout.dtype
    }

    /// The memory that it is a view of.
    pub fn buffer(&self) -> &Arc<DeviceBuffer> {
        &self.0.buffer
    }

    /// The device that it is on.
    pub fn context(&self) -> &Context {
        self.0.buffer.context()
    }

    pub(super) fn raw(&self) -> *const aclTensor {
        self.0.descriptor
    }

    /// For outputs, which CANN takes as what it may change: the memory, not the descriptor.
    pub(super) fn raw_mut(&self) -> *mut aclTensor {
        self.0.descriptor.cast_mut()
    }

    /// One more descriptor of the same, which the caller has to destroy.
    pub(super) fn describe_again(&self) -> Result<*const aclTensor> {
        describe(&self.0.buffer, &self.0.layout)
    }

    /// What keeps it alive.
    pub(super) fn keep(&self) -> super::stream::Keep {
        self.0.clone()
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.layout.fmt(f)
    }
}

impl Drop for Described {
    fn drop(&mut self) {
        // SAFETY: made by this function's counterpart and destroyed once; executors hold it.
        self.buffer
            .context()
            .give_back("aclDestroyTensor", |f| unsafe {
                (f.aclDestroyTensor)(self.descriptor)
            });
    }
}

/// Has CANN make a descriptor. The storage that it names begins at the tensor's first element and
/// ends with its last: what else is in the buffer is none of the operators' business.
fn describe(buffer: &DeviceBuffer, layout: &Layout) -> Result<*const aclTensor> {
    let rank = layout.shape.len();
    assert_eq!(
        rank,
        layout.strides.len(),
        "a stride for each axis of {layout:?}"
    );
    let size = layout.dtype.size_bytes();
    let span = layout.span();
    let bytes = |elements: Option<usize>| elements.and_then(|n| n.checked_mul(size));
    let (Some(at), Some(len)) = (bytes(Some(layout.offset)), bytes(span)) else {
        panic!("{layout:?} is larger than memory can be");
    };
    let data = buffer.address(at, len);
    // No larger than the buffer by the check above, but for axes without elements or steps.
    let signed = |n: &usize| i64::try_from(*n).expect("sizes of tensors fit 63 bits");
    let shape: Vec<i64> = layout.shape.iter().map(signed).collect();
    let strides: Vec<i64> = layout.strides.iter().map(signed).collect();
    let storage = match layout.is_contiguous() {
        true => shape.clone(),
        false => vec![signed(&span.unwrap_or(0))],
    };
    let context = buffer.context();
    let functions = context.bind()?;
    // SAFETY: the arrays have the lengths that are passed with them and are copied; `data` is where
    // the elements lie, all of them inside of the buffer.
    let descriptor = unsafe {
        (functions.aclCreateTensor)(
            shape.as_ptr(),
            rank as u64,
            layout.dtype.raw(),
            strides.as_ptr(),
            0,
            layout.format.raw(),
            storage.as_ptr(),
            storage.len() as u64,
            data,
        )
    };
    match descriptor.is_null() {
        true => Err(nothing(context, "aclCreateTensor")),
        false => Ok(descriptor),
    }
}
