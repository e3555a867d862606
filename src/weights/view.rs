//! Parts and rearrangements of a tensor that stay in the file: an offset and strides.
//!
//! Fused against split projections, transposed convolutions and permuted rows are all views; a
//! backend hands them on as strides where it can, and has them copied where it cannot.

use super::Weights;
use super::entry::{TensorEntry, span};
use crate::tensor::{DType, HostTensor, checked_numel, describe, numel};
use crate::{Error, Result};

/// Part of a tensor of a weight file, maybe rearranged.
///
/// The elements are those of a strided *pattern* ([`View::sizes`], [`View::strides`]), taken in
/// row-major order; [`View::shape`] is what the reader calls them. The two are equal but after a
/// [`View::reshape`] that merges axes which do not lie behind one another, such as a permutation
/// of rows: its pattern keeps the axes apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    name: String,
    dtype: DType,
    file: usize,
    offset: usize,
    sizes: Vec<usize>,
    strides: Vec<usize>,
    shape: Vec<usize>,
}

impl View {
    pub(super) fn of(name: &str, entry: &TensorEntry) -> Self {
        Self {
            name: name.to_owned(),
            dtype: entry.dtype,
            file: entry.file,
            offset: entry.offset,
            sizes: entry.shape.clone(),
            strides: entry.strides.clone(),
            shape: entry.shape.clone(),
        }
    }

    /// Name of the tensor that this is a part of.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Sizes of the axes.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Sizes of the axes of the pattern in the file.
    pub fn sizes(&self) -> &[usize] {
        &self.sizes
    }

    /// Elements between neighbours along each axis of [`View::sizes`].
    pub fn strides(&self) -> &[usize] {
        &self.strides
    }

    /// Which of [`Weights::files`] it lies in.
    pub fn file(&self) -> usize {
        self.file
    }

    /// Where in the file the first element starts, in bytes.
    pub fn byte_offset(&self) -> usize {
        self.offset
    }

    /// Bytes of the elements.
    pub fn size_bytes(&self) -> usize {
        numel(&self.shape) * self.dtype.size_bytes()
    }

    /// The `len` entries from `start` on along `axis`.
    ///
    /// # Errors
    /// Where the axis is not there or not so long.
    pub fn slice(mut self, axis: usize, start: usize, len: usize) -> Result<Self> {
        self.check_pattern("slice")?;
        let fits = start
            .checked_add(len)
            .zip(self.shape.get(axis))
            .is_some_and(|(end, &size)| end <= size);
        if !fits {
            return Err(self.problem(format!("cannot take {len} from {start} on of axis {axis}")));
        }
        if len > 0 {
            self.offset += start * self.strides[axis] * self.dtype.size_bytes();
        }
        self.sizes[axis] = len;
        self.shape[axis] = len;
        Ok(self)
    }

    /// The axes in another order: axis `i` of the result is axis `axes[i]` of this.
    ///
    /// # Errors
    /// Where `axes` does not name every axis once.
    pub fn permute(mut self, axes: &[usize]) -> Result<Self> {
        self.check_pattern("permute")?;
        let mut sorted = axes.to_vec();
        sorted.sort_unstable();
        if !sorted.into_iter().eq(0..self.shape.len()) {
            return Err(self.problem(format!("cannot permute to axes {axes:?}")));
        }
        self.sizes = axes.iter().map(|&axis| self.shape[axis]).collect();
        self.strides = axes.iter().map(|&axis| self.strides[axis]).collect();
        self.shape = self.sizes.clone();
        Ok(self)
    }

    /// One axis as several, the last of them fastest.
    ///
    /// # Errors
    /// Where the axis is not there or its size is not the product of `sizes`.
    pub fn split_axis(self, axis: usize, sizes: &[usize]) -> Result<Self> {
        self.check_pattern("split")?;
        if self.shape.get(axis).copied() != checked_numel(sizes) {
            return Err(self.problem(format!("cannot split axis {axis} into {sizes:?}")));
        }
        let mut shape = self.shape.clone();
        shape.splice(axis..=axis, sizes.iter().copied());
        self.reshape(&shape)
    }

    /// The same elements in the same order under another shape.
    ///
    /// # Errors
    /// Where the number of elements differs.
    pub fn reshape(mut self, shape: &[usize]) -> Result<Self> {
        if checked_numel(shape) != Some(numel(&self.shape)) {
            return Err(self.problem(format!("cannot reshape to {shape:?}")));
        }
        if let Some(strides) = reshaped(&self.sizes, &self.strides, shape) {
            self.sizes = shape.to_vec();
            self.strides = strides;
        }
        self.shape = shape.to_vec();
        Ok(self)
    }

    /// Whether the elements lie in order without gaps.
    pub fn is_contiguous(&self) -> bool {
        is_row_major(&self.sizes, &self.strides)
    }

    /// The elements straight out of the map, little-endian and at any alignment; `None` where
    /// they are not contiguous.
    pub fn as_bytes<'a>(&self, weights: &'a Weights) -> Option<&'a [u8]> {
        if !self.is_contiguous() {
            return None;
        }
        self.span_of(weights)
    }

    /// A copy of the elements in row-major order.
    ///
    /// # Errors
    /// Where `weights` are not those that the view was made from.
    pub fn materialize(&self, weights: &Weights) -> Result<HostTensor> {
        let Some(source) = self.span_of(weights) else {
            return Err(self.problem("is a view of other weights".into()));
        };
        if self.is_contiguous() {
            let shape = self.shape.clone();
            return Ok(HostTensor::from_le_bytes(self.dtype, shape, source));
        }
        let mut bytes = Vec::with_capacity(self.size_bytes());
        let item = self.dtype.size_bytes();
        let blocks: Vec<(usize, usize)> = merged(&self.sizes, &self.strides)
            .into_iter()
            .map(|(size, stride)| (size, stride * item))
            .collect();
        gather(source, 0, &blocks, item, &mut bytes);
        Ok(HostTensor::from_le_bytes(
            self.dtype,
            self.shape.clone(),
            &bytes,
        ))
    }

    /// The bytes from the first to the last element; `None` if the weights have no such place.
    fn span_of<'a>(&self, weights: &'a Weights) -> Option<&'a [u8]> {
        let span = span(&self.sizes, &self.strides) * self.dtype.size_bytes();
        let end = self.offset.checked_add(span)?;
        weights
            .files()
            .get(self.file)?
            .bytes()
            .get(self.offset..end)
    }

    fn check_pattern(&self, action: &str) -> Result<()> {
        if self.sizes == self.shape {
            return Ok(());
        }
        Err(self.problem(format!(
            "cannot {action} after axes were merged that do not lie behind one another"
        )))
    }

    fn problem(&self, what: String) -> Error {
        Error::Weights {
            component: "weights".into(),
            problems: vec![format!(
                "{}: {what} ({})",
                self.name,
                describe(self.dtype, &self.shape)
            )],
        }
    }
}

/// The axes that a copy has to step over: those that lie behind one another are merged, those of
/// size 1 are left out. Each is a size and a stride. Only for patterns with elements.
fn merged(sizes: &[usize], strides: &[usize]) -> Vec<(usize, usize)> {
    let mut blocks: Vec<(usize, usize)> = Vec::with_capacity(sizes.len());
    for (&size, &stride) in sizes.iter().zip(strides) {
        if size == 1 {
            continue;
        }
        match blocks.last_mut() {
            Some((outer, outer_stride)) if *outer_stride == stride * size => {
                *outer *= size;
                *outer_stride = stride;
            }
            _ => blocks.push((size, stride)),
        }
    }
    blocks
}

/// Whether a pattern is row-major without gaps.
pub(super) fn is_row_major(sizes: &[usize], strides: &[usize]) -> bool {
    sizes.contains(&0) || matches!(merged(sizes, strides)[..], [] | [(_, 1)])
}

/// Strides of a pattern under another shape of as many elements; `None` where no strides give it.
fn reshaped(sizes: &[usize], strides: &[usize], shape: &[usize]) -> Option<Vec<usize>> {
    if sizes.contains(&0) {
        return Some(vec![0; shape.len()]);
    }
    let mut blocks = merged(sizes, strides).into_iter();
    // What is left to hand out of the current block.
    let (mut left, mut stride) = (1, 0);
    shape
        .iter()
        .map(|&size| {
            if size == 1 {
                return Some(0);
            }
            if left == 1 {
                (left, stride) = blocks.next()?;
            }
            if left % size != 0 {
                return None;
            }
            left /= size;
            Some(stride * left)
        })
        .collect()
}

/// Appends the elements of `blocks` (sizes and strides in bytes) from `start` on, in row-major
/// order.
fn gather(source: &[u8], start: usize, blocks: &[(usize, usize)], item: usize, out: &mut Vec<u8>) {
    match *blocks {
        [] => out.extend_from_slice(&source[start..start + item]),
        [(size, stride)] if stride == item => {
            out.extend_from_slice(&source[start..start + size * item]);
        }
        [(size, stride)] => {
            for i in 0..size {
                let at = start + i * stride;
                out.extend_from_slice(&source[at..at + item]);
            }
        }
        [(size, stride), ref inner @ ..] => {
            for i in 0..size {
                gather(source, start + i * stride, inner, item, out);
            }
        }
    }
}
