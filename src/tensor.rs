//! Element types, shapes and host tensors: the vocabulary that every other module shares.

use std::fmt;

use half::{bf16, f16};

/// Element type of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DType {
    /// IEEE 754 double precision.
    F64,
    /// IEEE 754 single precision.
    F32,
    /// IEEE 754 half precision.
    F16,
    /// Brain float: the upper half of an `f32`.
    BF16,
    /// Signed 64-bit integer.
    I64,
    /// Signed 32-bit integer.
    I32,
    /// Unsigned byte.
    U8,
    /// One byte, 0 or 1.
    Bool,
}

impl DType {
    /// Bytes per element.
    pub const fn size_bytes(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::BF16 => 2,
            Self::U8 | Self::Bool => 1,
        }
    }

    /// The name used on the command line, in messages and in the graph's text form.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F64 => "f64",
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::BF16 => "bf16",
            Self::I64 => "i64",
            Self::I32 => "i32",
            Self::U8 => "u8",
            Self::Bool => "bool",
        }
    }

    /// Whether this is one of the floating point types.
    pub const fn is_float(self) -> bool {
        matches!(self, Self::F64 | Self::F32 | Self::F16 | Self::BF16)
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Number of elements of a shape; `None` when it does not fit `usize`.
pub fn checked_numel(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d))
}

/// Number of elements of a shape that is known to be small enough.
pub fn numel(shape: &[usize]) -> usize {
    shape.iter().product()
}

/// `f32[2, 3]`, as shapes are written in messages and in the graph's text form.
pub fn describe(dtype: DType, shape: &[usize]) -> String {
    format!("{dtype}{shape:?}")
}

/// The elements of a [`HostTensor`], in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// Double precision.
    F64(Vec<f64>),
    /// Single precision.
    F32(Vec<f32>),
    /// Half precision.
    F16(Vec<f16>),
    /// Brain float.
    BF16(Vec<bf16>),
    /// 64-bit integers.
    I64(Vec<i64>),
    /// 32-bit integers.
    I32(Vec<i32>),
    /// Bytes.
    U8(Vec<u8>),
    /// Truth values, one byte each.
    Bool(Vec<bool>),
}

/// A dense row-major tensor in host memory.
#[derive(Clone, PartialEq)]
pub struct HostTensor {
    shape: Vec<usize>,
    data: Data,
}

impl HostTensor {
    /// A tensor from its shape and elements.
    ///
    /// # Panics
    /// If the number of elements is not the product of `shape`.
    pub fn new(shape: impl Into<Vec<usize>>, data: Data) -> Self {
        let tensor = Self {
            shape: shape.into(),
            data,
        };
        assert_eq!(
            numel(&tensor.shape),
            tensor.len(),
            "shape {:?} and element count differ",
            tensor.shape
        );
        tensor
    }

    /// An `f32` tensor. # Panics as [`HostTensor::new`].
    pub fn f32(shape: impl Into<Vec<usize>>, data: Vec<f32>) -> Self {
        Self::new(shape, Data::F32(data))
    }

    /// An `i64` tensor. # Panics as [`HostTensor::new`].
    pub fn i64(shape: impl Into<Vec<usize>>, data: Vec<i64>) -> Self {
        Self::new(shape, Data::I64(data))
    }

    /// Zeros of a floating point type.
    pub fn zeros(dtype: DType, shape: impl Into<Vec<usize>>) -> Self {
        let shape = shape.into();
        let n = numel(&shape);
        let data = match dtype {
            DType::F64 => Data::F64(vec![0.0; n]),
            DType::F32 => Data::F32(vec![0.0; n]),
            DType::F16 => Data::F16(vec![f16::ZERO; n]),
            DType::BF16 => Data::BF16(vec![bf16::ZERO; n]),
            DType::I64 => Data::I64(vec![0; n]),
            DType::I32 => Data::I32(vec![0; n]),
            DType::U8 => Data::U8(vec![0; n]),
            DType::Bool => Data::Bool(vec![false; n]),
        };
        Self { shape, data }
    }

    /// A tensor from little-endian bytes, as they lie in checkpoint files. A `bool` is any
    /// non-zero byte.
    ///
    /// # Panics
    /// If `bytes` is not exactly as long as `shape` and `dtype` say.
    pub fn from_le_bytes(dtype: DType, shape: impl Into<Vec<usize>>, bytes: &[u8]) -> Self {
        fn read<const N: usize, T>(bytes: &[u8], f: impl Fn([u8; N]) -> T) -> Vec<T> {
            bytes
                .chunks_exact(N)
                .map(|c| f(c.try_into().expect("chunk has N bytes")))
                .collect()
        }
        let shape = shape.into();
        assert_eq!(
            numel(&shape) * dtype.size_bytes(),
            bytes.len(),
            "byte count differs from {}",
            describe(dtype, &shape)
        );
        let data = match dtype {
            DType::F64 => Data::F64(read(bytes, f64::from_le_bytes)),
            DType::F32 => Data::F32(read(bytes, f32::from_le_bytes)),
            DType::F16 => Data::F16(read(bytes, f16::from_le_bytes)),
            DType::BF16 => Data::BF16(read(bytes, bf16::from_le_bytes)),
            DType::I64 => Data::I64(read(bytes, i64::from_le_bytes)),
            DType::I32 => Data::I32(read(bytes, i32::from_le_bytes)),
            DType::U8 => Data::U8(bytes.to_vec()),
            DType::Bool => Data::Bool(bytes.iter().map(|&b| b != 0).collect()),
        };
        Self { shape, data }
    }

    /// Sizes of the axes.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        match self.data {
            Data::F64(_) => DType::F64,
            Data::F32(_) => DType::F32,
            Data::F16(_) => DType::F16,
            Data::BF16(_) => DType::BF16,
            Data::I64(_) => DType::I64,
            Data::I32(_) => DType::I32,
            Data::U8(_) => DType::U8,
            Data::Bool(_) => DType::Bool,
        }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        match &self.data {
            Data::F64(v) => v.len(),
            Data::F32(v) => v.len(),
            Data::F16(v) => v.len(),
            Data::BF16(v) => v.len(),
            Data::I64(v) => v.len(),
            Data::I32(v) => v.len(),
            Data::U8(v) => v.len(),
            Data::Bool(v) => v.len(),
        }
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements.
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// The elements, by value.
    pub fn into_data(self) -> Data {
        self.data
    }

    /// The elements as raw bytes in the machine's (little-endian) order.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.data {
            Data::F64(v) => bytemuck::cast_slice(v),
            Data::F32(v) => bytemuck::cast_slice(v),
            Data::F16(v) => bytemuck::cast_slice(v),
            Data::BF16(v) => bytemuck::cast_slice(v),
            Data::I64(v) => bytemuck::cast_slice(v),
            Data::I32(v) => bytemuck::cast_slice(v),
            Data::U8(v) => v,
            Data::Bool(v) => bytemuck::cast_slice(v),
        }
    }

    /// The elements of an `f32` tensor.
    ///
    /// # Panics
    /// If the element type is another one.
    pub fn as_f32(&self) -> &[f32] {
        match &self.data {
            Data::F32(v) => v,
            _ => panic!("expected an f32 tensor, got {self:?}"),
        }
    }

    /// The elements of an `i64` tensor.
    ///
    /// # Panics
    /// If the element type is another one.
    pub fn as_i64(&self) -> &[i64] {
        match &self.data {
            Data::I64(v) => v,
            _ => panic!("expected an i64 tensor, got {self:?}"),
        }
    }

    /// The elements of an `i64` tensor, by value.
    ///
    /// # Panics
    /// If the element type is another one.
    pub fn into_i64(self) -> Vec<i64> {
        match self.data {
            Data::I64(v) => v,
            _ => panic!("expected an i64 tensor, got {self:?}"),
        }
    }

    /// The same elements under another shape.
    ///
    /// # Panics
    /// If the number of elements differs.
    pub fn reshaped(mut self, shape: impl Into<Vec<usize>>) -> Self {
        let shape = shape.into();
        assert_eq!(
            numel(&shape),
            self.len(),
            "cannot reshape {self:?} to {shape:?}"
        );
        self.shape = shape;
        self
    }

    /// The elements converted to another type, rounding to nearest; floats become integers by
    /// truncation and booleans by comparison with zero.
    pub fn cast(&self, to: DType) -> Self {
        if self.dtype() == to {
            return self.clone();
        }
        macro_rules! from {
            ($v:expr, $wide:expr) => {{
                let wide = $wide;
                match to {
                    DType::F64 => Data::F64($v.iter().map(|&x| wide(x) as f64).collect()),
                    DType::F32 => Data::F32($v.iter().map(|&x| wide(x) as f32).collect()),
                    DType::F16 => {
                        Data::F16($v.iter().map(|&x| f16::from_f32(wide(x) as f32)).collect())
                    }
                    DType::BF16 => {
                        Data::BF16($v.iter().map(|&x| bf16::from_f32(wide(x) as f32)).collect())
                    }
                    DType::I64 => Data::I64($v.iter().map(|&x| wide(x) as i64).collect()),
                    DType::I32 => Data::I32($v.iter().map(|&x| wide(x) as i32).collect()),
                    DType::U8 => Data::U8($v.iter().map(|&x| wide(x) as u8).collect()),
                    DType::Bool => Data::Bool($v.iter().map(|&x| wide(x) as f64 != 0.0).collect()),
                }
            }};
        }
        let data = match &self.data {
            Data::F64(v) => from!(v, |x: f64| x),
            Data::F32(v) => from!(v, |x: f32| x),
            Data::F16(v) => from!(v, |x: f16| x.to_f32()),
            Data::BF16(v) => from!(v, |x: bf16| x.to_f32()),
            Data::I64(v) => from!(v, |x: i64| x),
            Data::I32(v) => from!(v, |x: i32| x),
            Data::U8(v) => from!(v, |x: u8| x),
            Data::Bool(v) => from!(v, |x: bool| x as u8),
        };
        Self {
            shape: self.shape.clone(),
            data,
        }
    }
}

impl fmt::Debug for HostTensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&describe(self.dtype(), &self.shape))
    }
}
