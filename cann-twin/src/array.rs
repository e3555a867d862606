//! Arrays in the twin's memory: a base address, a shape and strides, as a tensor descriptor of CANN gives them.
//!
//! Whatever the strides, an array has a row-major order of its elements, and everything here counts in that order:
//! a kernel takes a range of it, loads the inputs' elements into a buffer of one computing type, computes, and
//! stores. That is how a permuted f16 view is added to a broadcast bf16 row into an f32 slice with one function.
//! Axes that lie in memory as one are merged first, so for contiguous arrays a range is one run.

pub(crate) mod element;

use crate::nnop::{Access, Tensor};
use cann_sys::{ACL_BF16, ACL_FLOAT, ACL_FLOAT16, aclDataType};
use element::{Value, Via};
use rayon::prelude::*;
use std::ops::Range;

/// Elements that one task computes at a time; few enough for the buffers to stay in the L1 and L2 caches.
const CHUNK: usize = 4096;

/// Below this many elements threads cost more than they save.
const PARALLEL_FROM: usize = 32 * 1024;

/// An array whose elements are addressed by strides. It borrows memory in the way that a device pointer does: the
/// caller of CANN keeps the memory alive until the stream has run, and `launch` has checked that the range is inside
/// one allocation.
#[derive(Clone)]
pub(crate) struct View {
    base: *mut u8,
    dtype: aclDataType,
    shape: Vec<usize>,
    strides: Vec<isize>,
    /// The same array in as few axes as possible, at least one.
    merged: Vec<(usize, isize)>,
}

// SAFETY: a `View` is a pointer and numbers. Kernels run on a stream's thread and write disjoint ranges of their outputs
// from several threads; that no other stream touches the memory meanwhile is what CANN's callers order by events.
unsafe impl Send for View {}
// SAFETY: as above.
unsafe impl Sync for View {}

impl View {
    /// The array of a checked tensor.
    pub(crate) fn of(tensor: &Tensor, access: &Access) -> Self {
        let strides = tensor.strides.iter().map(|&s| s as isize).collect();
        let size = size_of_dtype(tensor.dtype) as isize;
        // `wrapping`: an empty tensor may have any offset; where there are elements, `launch` checked the range.
        let base = access
            .base(tensor)
            .wrapping_offset(tensor.offset as isize * size);
        Self::new(base, tensor.dtype, tensor.shape.clone(), strides)
    }

    /// A row-major f32 array in `data`.
    pub(crate) fn of_f32(data: &mut [f32], shape: &[usize]) -> Self {
        debug_assert_eq!(data.len(), shape.iter().product::<usize>());
        let base = data.as_mut_ptr().cast();
        Self::new(base, ACL_FLOAT, shape.to_vec(), row_major(shape))
    }

    fn new(base: *mut u8, dtype: aclDataType, shape: Vec<usize>, strides: Vec<isize>) -> Self {
        let mut merged: Vec<(usize, isize)> = vec![];
        for (&n, &stride) in shape.iter().zip(&strides).filter(|(n, _)| **n != 1) {
            match merged.last_mut() {
                Some(outer) if outer.1 == n as isize * stride => *outer = (outer.0 * n, stride),
                _ => merged.push((n, stride)),
            }
        }
        if merged.is_empty() {
            merged.push((1, 1));
        }
        Self {
            base,
            dtype,
            shape,
            strides,
            merged,
        }
    }

    /// Lengths of the axes.
    pub(crate) fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Distance of neighbours along an axis, in elements.
    pub(crate) fn stride(&self, axis: usize) -> isize {
        self.strides[axis]
    }

    /// Type of the elements.
    pub(crate) fn dtype(&self) -> aclDataType {
        self.dtype
    }

    /// Address of element (0, 0, ..).
    pub(crate) fn base(&self) -> *mut u8 {
        self.base
    }

    /// Number of elements.
    pub(crate) fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Seen in a shape that it broadcasts to: missing and size-1 axes repeat.
    pub(crate) fn broadcast(&self, shape: &[usize]) -> Self {
        let missing = shape.len() - self.shape.len();
        let mut strides = vec![0; missing];
        for (axis, &n) in self.shape.iter().enumerate() {
            let repeats = n == 1 && shape[missing + axis] != 1;
            strides.push(if repeats { 0 } else { self.strides[axis] });
        }
        Self::new(self.base, self.dtype, shape.to_vec(), strides)
    }

    /// With axis `axes[i]` in place `i`.
    pub(crate) fn permute(&self, axes: &[usize]) -> Self {
        let shape = axes.iter().map(|&a| self.shape[a]).collect();
        let strides = axes.iter().map(|&a| self.strides[a]).collect();
        Self::new(self.base, self.dtype, shape, strides)
    }

    /// The part `range` of one axis.
    pub(crate) fn slice(&self, axis: usize, range: Range<usize>) -> Self {
        let size = size_of_dtype(self.dtype) as isize;
        let base = self
            .base
            .wrapping_offset(range.start as isize * self.strides[axis] * size);
        let mut shape = self.shape.clone();
        shape[axis] = range.len();
        Self::new(base, self.dtype, shape, self.strides.clone())
    }

    /// The array at one index of the first axis.
    pub(crate) fn at(&self, index: usize) -> Self {
        let first = self.slice(0, index..index + 1);
        Self::new(
            first.base,
            self.dtype,
            self.shape[1..].to_vec(),
            self.strides[1..].to_vec(),
        )
    }

    /// One axis as two, the second of `inner` elements.
    pub(crate) fn split(&self, axis: usize, inner: usize) -> Self {
        let (mut shape, mut strides) = (self.shape.clone(), self.strides.clone());
        shape[axis] /= inner;
        shape.insert(axis + 1, inner);
        strides[axis] *= inner as isize;
        strides.insert(axis + 1, self.strides[axis]);
        Self::new(self.base, self.dtype, shape, strides)
    }

    /// Row `i` of the last axis, counting through all others.
    pub(crate) fn row(&self, i: usize) -> Self {
        let axes = self.shape.len() - 1;
        let (mut rest, mut row) = (i, self.clone());
        let mut places = vec![0; axes];
        for axis in (0..axes).rev() {
            places[axis] = rest % self.shape[axis];
            rest /= self.shape[axis];
        }
        for place in places {
            row = row.at(place);
        }
        row
    }

    /// In a shape that differs by axes of length 1 only.
    pub(crate) fn with_unit_axes(&self, shape: &[usize]) -> Self {
        let mut given = self
            .shape
            .iter()
            .zip(&self.strides)
            .filter(|(n, _)| **n != 1);
        let strides = shape
            .iter()
            .map(|&n| match n {
                1 => 0,
                _ => given.next().map_or(0, |(_, s)| *s),
            })
            .collect();
        Self::new(self.base, self.dtype, shape.to_vec(), strides)
    }

    /// Calls `f(done, address, stride, n)` for the runs of the elements `start..start + len`.
    fn runs(&self, start: usize, len: usize, mut f: impl FnMut(usize, *mut u8, isize, usize)) {
        let size = size_of_dtype(self.dtype) as isize;
        let (&(inner, stride), outer) = self.merged.split_last().expect("at least one axis");
        let mut index = vec![0; outer.len()];
        let (mut rest, mut column) = (start / inner.max(1), start % inner.max(1));
        let mut row = 0;
        for (i, &(n, s)) in outer.iter().enumerate().rev() {
            index[i] = rest % n.max(1);
            rest /= n.max(1);
            row += index[i] as isize * s;
        }
        let mut done = 0;
        while done < len {
            let n = (inner - column).min(len - done);
            let at = self
                .base
                .wrapping_offset((row + column as isize * stride) * size);
            f(done, at, stride, n);
            done += n;
            column = 0;
            for (i, &(n, s)) in outer.iter().enumerate().rev() {
                index[i] += 1;
                row += s;
                if index[i] < n {
                    break;
                }
                row -= n as isize * s;
                index[i] = 0;
            }
        }
    }

    /// Loads the elements from `start` on, as many as `into` holds.
    pub(crate) fn load<V: Value>(&self, start: usize, into: &mut [V]) {
        element::dispatch!(self.dtype, T => self.load_as::<T, V>(start, into));
    }

    fn load_as<T: Copy, V: Via<T>>(&self, start: usize, into: &mut [V]) {
        self.runs(start, into.len(), |done, at, stride, n| {
            let at = at.cast::<T>();
            let into = &mut into[done..done + n];
            match stride {
                // SAFETY: the run's elements are inside the tensor's range, which `launch` checked against the
                // allocation, and aligned (`rules::operand`); nothing writes them while this kernel runs.
                1 => V::widen(unsafe { std::slice::from_raw_parts(at, n) }, into),
                _ => {
                    for (i, into) in into.iter_mut().enumerate() {
                        // SAFETY: as above.
                        *into = V::of(unsafe { *at.offset(i as isize * stride) });
                    }
                }
            }
        });
    }

    /// Stores elements from `start` on, each rounded once to the array's type.
    pub(crate) fn store<V: Value>(&self, start: usize, from: &[V]) {
        element::dispatch!(self.dtype, T => self.store_as::<T, V>(start, from));
    }

    fn store_as<T: Copy, V: Via<T>>(&self, start: usize, from: &[V]) {
        self.runs(start, from.len(), |done, at, stride, n| {
            let at = at.cast::<T>();
            let from = &from[done..done + n];
            match stride {
                // SAFETY: as in `load_as`; a range of an output is stored by one thread.
                1 => V::narrow(from, unsafe { std::slice::from_raw_parts_mut(at, n) }),
                _ => {
                    for (i, &from) in from.iter().enumerate() {
                        // SAFETY: as above.
                        unsafe { *at.offset(i as isize * stride) = from.to() };
                    }
                }
            }
        });
    }

    /// All elements in row-major order, as f32.
    pub(crate) fn to_f32(&self) -> Vec<f32> {
        let mut all = vec![0.0; self.len()];
        if all.len() < PARALLEL_FROM {
            self.load(0, &mut all);
        } else {
            all.par_chunks_mut(CHUNK)
                .enumerate()
                .for_each(|(i, chunk)| self.load(i * CHUNK, chunk));
        }
        all
    }
}

/// Strides of a row-major array.
pub(crate) fn row_major(shape: &[usize]) -> Vec<isize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis] as isize;
    }
    strides
}

/// Bytes of an element. Types that the twin does not know are refused before a view is made.
pub(crate) fn size_of_dtype(dtype: aclDataType) -> usize {
    match dtype {
        ACL_FLOAT16 | ACL_BF16 => 2,
        ACL_FLOAT => 4,
        _ => element::size(dtype).expect("phase 1 refuses types that the twin does not know"),
    }
}

/// Calls `f` for ranges that cover `0..len`, from several threads where that pays, each with a scratch of its own.
pub(crate) fn in_chunks<S>(
    len: usize,
    scratch: impl Fn() -> S + Sync + Send,
    f: impl Fn(Range<usize>, &mut S) + Sync + Send,
) {
    let range = |i: usize| i * CHUNK..len.min((i + 1) * CHUNK);
    let chunks = len.div_ceil(CHUNK);
    if len < PARALLEL_FROM {
        let mut scratch = scratch();
        (0..chunks).for_each(|i| f(range(i), &mut scratch));
    } else {
        (0..chunks)
            .into_par_iter()
            .for_each_init(scratch, |scratch, i| f(range(i), scratch));
    }
}

/// Calls `f(i, row)` for `rows` rows with a buffer of `len` elements, from several threads where that pays.
pub(crate) fn in_rows(rows: usize, len: usize, f: impl Fn(usize, &mut [f32]) + Sync + Send) {
    let buffer = || vec![0.0; len];
    if rows * len < PARALLEL_FROM {
        let mut buffer = buffer();
        (0..rows).for_each(|i| f(i, &mut buffer));
    } else {
        (0..rows)
            .into_par_iter()
            .for_each_init(buffer, |buffer, i| f(i, buffer));
    }
}

/// Computes each element of `out` from the elements of the inputs at the same place: inputs broadcast to the shape of
/// `out`, are loaded as f32, and the result is rounded once. `f` gets ranges of equal length.
pub(crate) fn map<const N: usize>(
    inputs: [&View; N],
    out: &View,
    f: impl Fn([&[f32]; N], &mut [f32]) + Sync + Send,
) {
    let inputs = inputs.map(|v| v.broadcast(out.shape()));
    in_chunks(
        out.len(),
        || (vec![0.0; N * CHUNK], vec![0.0; CHUNK]),
        |range, (loaded, result)| {
            let n = range.len();
            for (view, into) in inputs.iter().zip(loaded.chunks_mut(CHUNK)) {
                view.load(range.start, &mut into[..n]);
            }
            let loaded = std::array::from_fn(|i| &loaded[i * CHUNK..][..n]);
            f(loaded, &mut result[..n]);
            out.store(range.start, &result[..n]);
        },
    );
}

/// Copies elements in row-major order between arrays of equally many elements, converting between types.
pub(crate) fn convert(from: &View, to: &View) {
    let copy = |len, f: &(dyn Fn(Range<usize>) + Sync)| in_chunks(len, || (), |range, ()| f(range));
    let float = |dtype| [ACL_FLOAT, ACL_FLOAT16, ACL_BF16].contains(&dtype);
    fn through<V: Value>(from: &View, to: &View, range: Range<usize>) {
        let mut values = vec![V::default(); range.len()];
        from.load(range.start, &mut values);
        to.store(range.start, &values);
    }
    if from.dtype == to.dtype {
        copy(to.len(), &|range| move_elements(from, to, range));
    } else if float(from.dtype) && float(to.dtype) {
        copy(to.len(), &|range| through::<f32>(from, to, range));
    } else if element::integer(from.dtype) && element::integer(to.dtype) {
        copy(to.len(), &|range| through::<i64>(from, to, range));
    } else {
        copy(to.len(), &|range| through::<f64>(from, to, range));
    }
}

/// Copies a range of elements of one type.
fn move_elements(from: &View, to: &View, range: Range<usize>) {
    let size = size_of_dtype(to.dtype);
    to.runs(
        range.start,
        range.len(),
        |done, target, target_stride, n| {
            from.runs(range.start + done, n, |done, source, stride, n| {
                let target = target.wrapping_offset(done as isize * target_stride * size as isize);
                // SAFETY: both runs are inside their tensors' ranges, which `launch` checked, and aligned; one thread
                // writes a range. `copy` allows the two to overlap.
                unsafe {
                    match size {
                        _ if stride == 1 && target_stride == 1 => {
                            target.copy_from(source, n * size)
                        }
                        1 => move_strided::<u8>(source, stride, target, target_stride, n),
                        2 => move_strided::<u16>(source, stride, target, target_stride, n),
                        4 => move_strided::<u32>(source, stride, target, target_stride, n),
                        _ => move_strided::<u64>(source, stride, target, target_stride, n),
                    }
                }
            });
        },
    );
}

/// # Safety
/// `n` elements at both addresses with these strides are valid and aligned.
unsafe fn move_strided<T: Copy>(
    source: *const u8,
    stride: isize,
    target: *mut u8,
    target_stride: isize,
    n: usize,
) {
    let (source, target) = (source.cast::<T>(), target.cast::<T>());
    for i in 0..n as isize {
        // SAFETY: promised by the caller.
        unsafe { *target.offset(i * target_stride) = *source.offset(i * stride) };
    }
}

/// Sets all elements to one value.
pub(crate) fn fill(out: &View, value: f64) {
    in_chunks(
        out.len(),
        || vec![value; CHUNK],
        |range, values| out.store(range.start, &values[..range.len()]),
    );
}
