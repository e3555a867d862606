//! One tensor of a weight file: its type, its shape, and where its elements lie.

use std::collections::BTreeMap;

use super::view::is_row_major;
use crate::tensor::{DType, numel};

/// More axes than any weight has; bounds what a small file can make the engine hold.
pub(super) const MAX_AXES: usize = 8;

/// Where a tensor lies. All of its elements are inside its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorEntry {
    /// Element type.
    pub dtype: DType,
    /// Sizes of the axes.
    pub shape: Vec<usize>,
    /// Elements between neighbours along each axis; row-major in safetensors, anything in
    /// PyTorch files, zeros for a tensor without elements.
    pub strides: Vec<usize>,
    /// Which of [`Weights::files`](super::Weights::files).
    pub file: usize,
    /// Where in the file the first element starts, in bytes.
    pub offset: usize,
}

impl TensorEntry {
    /// Number of elements.
    pub fn numel(&self) -> usize {
        numel(&self.shape)
    }

    /// Bytes of the elements.
    pub fn size_bytes(&self) -> usize {
        self.numel() * self.dtype.size_bytes()
    }

    /// Whether the elements lie in row-major order without gaps.
    pub fn is_contiguous(&self) -> bool {
        is_row_major(&self.shape, &self.strides)
    }

    /// Bytes from the start of the first to the end of the last element.
    pub(super) fn span_bytes(&self) -> usize {
        span(&self.shape, &self.strides) * self.dtype.size_bytes()
    }
}

/// A tensor of an element type that the engine does not know. It is only an error to ask for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsupported {
    /// The element type as the file writes it: `F8_E4M3`, `int8`.
    pub dtype: String,
    /// Sizes of the axes.
    pub shape: Vec<usize>,
    /// Which of [`Weights::files`](super::Weights::files).
    pub file: usize,
}

impl Unsupported {
    pub(super) fn problem(&self) -> String {
        format!(
            "its element type {} is not supported; f64, f32, f16, bf16, i64, i32, u8 and bool are",
            self.dtype
        )
    }
}

/// What one file holds, with `file` 0 in every entry.
#[derive(Debug, Default)]
pub(super) struct FileContent {
    pub(super) tensors: BTreeMap<String, TensorEntry>,
    pub(super) unsupported: BTreeMap<String, Unsupported>,
    pub(super) metadata: BTreeMap<String, String>,
}

/// Row-major strides; zeros where there are no elements.
pub(super) fn row_major(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![0; shape.len()];
    if shape.contains(&0) {
        return strides;
    }
    let mut stride = 1;
    for (axis, &dim) in shape.iter().enumerate().rev() {
        strides[axis] = stride;
        stride *= dim;
    }
    strides
}

/// Elements from the first to the last, for sizes and strides that are known to be small enough.
pub(super) fn span(shape: &[usize], strides: &[usize]) -> usize {
    if shape.contains(&0) {
        return 0;
    }
    let last: usize = shape.iter().zip(strides).map(|(d, s)| (d - 1) * s).sum();
    last + 1
}

/// Number of elements of a shape from a file, with all that could overflow refused.
pub(super) fn checked_elements(shape: &[usize]) -> Result<usize, String> {
    if shape.len() > MAX_AXES {
        return Err(format!(
            "it has {} axes; at most {MAX_AXES} are read",
            shape.len()
        ));
    }
    // Axes of size 0 must not hide others whose product overflows once they are reordered.
    shape
        .iter()
        .try_fold(1usize, |n, &d| n.checked_mul(d.max(1)))
        .filter(|&n| n <= isize::MAX as usize / 16)
        .ok_or_else(|| format!("its shape {shape:?} is larger than any memory"))?;
    Ok(numel(shape))
}
