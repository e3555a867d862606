//! Arrays on a device of the twin, calls, and comparison.

use ascendit_cann_twin::TABLE;
use cann_sys::*;
use half::{bf16, f16};
use std::ffi::{CStr, c_void};
use std::ptr::null_mut;
use std::sync::Once;

pub(crate) const FLOATS: [aclDataType; 3] = [ACL_FLOAT, ACL_FLOAT16, ACL_BF16];

/// Half a unit in the last place, as part of a number.
pub(crate) fn unit(dtype: aclDataType) -> f64 {
    match dtype {
        ACL_FLOAT => 2f64.powi(-24),
        ACL_FLOAT16 => 2f64.powi(-11),
        ACL_BF16 => 2f64.powi(-8),
        _ => 0.0,
    }
}

/// How an array lies in memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Lay {
    /// Row-major.
    Rows,
    /// Row-major, but for the last two axes, which are swapped.
    Swapped,
    /// The axes in reverse order.
    Reversed,
    /// Rows with three elements between them, from the seventh element on.
    Gaps,
}

pub(crate) const LAYS: [Lay; 4] = [Lay::Rows, Lay::Swapped, Lay::Reversed, Lay::Gaps];

/// Opens the device for this thread, and CANN for the process.
pub(crate) fn open() {
    static INIT: Once = Once::new();
    thread_local!(static OPEN: Once = const { Once::new() });
    INIT.call_once(|| {
        // SAFETY: CANN takes no configuration file as null.
        assert_eq!(unsafe { (TABLE.aclInit)(std::ptr::null()) }, 0);
    });
    OPEN.with(|open| {
        // SAFETY: nothing is passed.
        open.call_once(|| assert_eq!(unsafe { (TABLE.aclrtSetDevice)(0) }, 0));
    });
}

/// A copy that is over, on a stream of its own.
///
/// # Safety
/// Host memory is valid for the bytes.
unsafe fn copy(to: *mut c_void, from: *const c_void, bytes: usize, kind: aclrtMemcpyKind) {
    let mut stream = null_mut();
    // SAFETY: there is a place for the result; the rest is the caller's promise.
    unsafe {
        assert_eq!((TABLE.aclrtCreateStream)(&mut stream), 0);
        let begun = (TABLE.aclrtMemcpyAsync)(to, bytes, from, bytes, kind, stream);
        assert_eq!(begun, 0);
        assert_eq!((TABLE.aclrtSynchronizeStream)(stream), 0);
        assert_eq!((TABLE.aclrtDestroyStream)(stream), 0);
    }
}

/// An array on the device with what the host knows of it.
pub(crate) struct Array {
    pub(crate) dtype: aclDataType,
    pub(crate) shape: Vec<usize>,
    pub(crate) values: Vec<f64>,
    strides: Vec<i64>,
    offset: usize,
    bytes: usize,
    data: *mut c_void,
    pub(crate) tensor: *mut aclTensor,
}

impl Drop for Array {
    fn drop(&mut self) {
        // SAFETY: both are this array's own, and streams were waited for.
        unsafe {
            assert_eq!((TABLE.aclDestroyTensor)(self.tensor), 0);
            assert_eq!((TABLE.aclrtFree)(self.data), 0);
        }
    }
}

impl Array {
    pub(crate) fn new(dtype: aclDataType, shape: &[usize], lay: Lay, values: &[f64]) -> Self {
        Self::with_format(dtype, shape, lay, ACL_FORMAT_ND, values)
    }

    pub(crate) fn with_format(
        dtype: aclDataType,
        shape: &[usize],
        lay: Lay,
        format: aclFormat,
        values: &[f64],
    ) -> Self {
        assert_eq!(values.len(), shape.iter().product::<usize>());
        open();
        let rank = shape.len();
        let mut order: Vec<usize> = (0..rank).collect();
        let (mut gap, mut offset) = (0, 0);
        match lay {
            Lay::Rows => (),
            Lay::Swapped if rank > 1 => order.swap(rank - 1, rank - 2),
            Lay::Swapped => (),
            Lay::Reversed => order.reverse(),
            Lay::Gaps => (gap, offset) = (3, 7),
        }
        let mut strides = vec![1i64; rank];
        let mut next = 1;
        for (i, &axis) in order.iter().rev().enumerate() {
            strides[axis] = next as i64;
            next *= shape[axis].max(1);
            if i == 0 {
                next += gap;
            }
        }
        let bytes = (offset + next) * size_of(dtype);
        let mut data = null_mut();
        let view: Vec<i64> = shape.iter().map(|&n| n as i64).collect();
        let storage = [(offset + next) as i64];
        // SAFETY: the pointers are valid and of the lengths given.
        let tensor = unsafe {
            assert_eq!(
                (TABLE.aclrtMalloc)(&mut data, bytes, ACL_MEM_MALLOC_HUGE_FIRST),
                0
            );
            (TABLE.aclCreateTensor)(
                view.as_ptr(),
                rank as u64,
                dtype,
                strides.as_ptr(),
                offset as i64,
                format,
                storage.as_ptr(),
                1,
                data,
            )
        };
        assert!(!tensor.is_null());
        let mut array = Self {
            dtype,
            shape: shape.to_vec(),
            values: values.iter().map(|&v| round(dtype, v)).collect(),
            strides,
            offset,
            bytes,
            data,
            tensor,
        };
        let mut memory = vec![0x5a; bytes];
        for i in 0..values.len() {
            encode(dtype, array.values[i], &mut memory, array.place(i));
        }
        let from = memory.as_ptr().cast();
        // SAFETY: both sides are `bytes` long.
        unsafe { copy(data, from, bytes, ACL_MEMCPY_HOST_TO_DEVICE) };
        array.bytes = bytes;
        array
    }

    /// Numbers between -2 and 2.
    pub(crate) fn random(dtype: aclDataType, shape: &[usize], lay: Lay, seed: u64) -> Self {
        Self::new(dtype, shape, lay, &random(shape.iter().product(), seed))
    }

    /// Something for an output.
    pub(crate) fn out(dtype: aclDataType, shape: &[usize], lay: Lay) -> Self {
        Self::new(dtype, shape, lay, &vec![77.0; shape.iter().product()])
    }

    /// Address on the device.
    pub(crate) fn data(&self) -> *mut c_void {
        self.data
    }

    /// Place in memory of element `i` of the row-major order.
    fn place(&self, i: usize) -> usize {
        let mut rest = i;
        let mut at = self.offset as i64;
        for (n, stride) in self.shape.iter().zip(&self.strides).rev() {
            at += (rest % n) as i64 * stride;
            rest /= n;
        }
        at as usize
    }

    /// What is on the device now, in row-major order. The bytes between elements must be as they were.
    pub(crate) fn read(&self) -> Vec<f64> {
        let mut memory = vec![0u8; self.bytes];
        let to = memory.as_mut_ptr().cast();
        // SAFETY: both sides are `bytes` long.
        unsafe { copy(to, self.data, self.bytes, ACL_MEMCPY_DEVICE_TO_HOST) };
        let places: Vec<_> = (0..self.values.len()).map(|i| self.place(i)).collect();
        let values = places
            .iter()
            .map(|&p| decode(self.dtype, &memory, p))
            .collect();
        let size = size_of(self.dtype);
        let mut untouched = vec![true; self.bytes];
        places
            .iter()
            .for_each(|p| untouched[p * size..][..size].fill(false));
        let kept = memory
            .iter()
            .zip(untouched)
            .all(|(byte, gap)| !gap || *byte == 0x5a);
        assert!(kept, "an output wrote between its elements");
        values
    }
}

fn size_of(dtype: aclDataType) -> usize {
    match dtype {
        ACL_INT8 | ACL_UINT8 | ACL_BOOL => 1,
        ACL_FLOAT16 | ACL_BF16 => 2,
        ACL_INT64 | ACL_DOUBLE => 8,
        _ => 4,
    }
}

pub(crate) fn round(dtype: aclDataType, v: f64) -> f64 {
    match dtype {
        ACL_FLOAT => f64::from(v as f32),
        ACL_FLOAT16 => f16::from_f64(v).to_f64(),
        ACL_BF16 => bf16::from_f64(v).to_f64(),
        ACL_DOUBLE => v,
        _ => v.trunc(),
    }
}

fn encode(dtype: aclDataType, v: f64, memory: &mut [u8], place: usize) {
    let bytes = match dtype {
        ACL_FLOAT => (v as f32).to_le_bytes().to_vec(),
        ACL_FLOAT16 => f16::from_f64(v).to_le_bytes().to_vec(),
        ACL_BF16 => bf16::from_f64(v).to_le_bytes().to_vec(),
        ACL_DOUBLE => v.to_le_bytes().to_vec(),
        ACL_INT32 => (v as i32).to_le_bytes().to_vec(),
        ACL_INT64 => (v as i64).to_le_bytes().to_vec(),
        ACL_INT8 => vec![v as i8 as u8],
        ACL_UINT8 | ACL_BOOL => vec![v as u8],
        other => panic!("type {other}"),
    };
    memory[place * bytes.len()..][..bytes.len()].copy_from_slice(&bytes);
}

fn decode(dtype: aclDataType, memory: &[u8], place: usize) -> f64 {
    let size = size_of(dtype);
    let bytes = &memory[place * size..][..size];
    match dtype {
        ACL_FLOAT => f32::from_le_bytes(bytes.try_into().unwrap()).into(),
        ACL_FLOAT16 => f16::from_le_bytes(bytes.try_into().unwrap()).into(),
        ACL_BF16 => bf16::from_le_bytes(bytes.try_into().unwrap()).into(),
        ACL_DOUBLE => f64::from_le_bytes(bytes.try_into().unwrap()),
        ACL_INT32 => i32::from_le_bytes(bytes.try_into().unwrap()).into(),
        ACL_INT64 => i64::from_le_bytes(bytes.try_into().unwrap()) as f64,
        ACL_INT8 => (bytes[0] as i8).into(),
        ACL_UINT8 | ACL_BOOL => bytes[0].into(),
        other => panic!("type {other}"),
    }
}

/// Numbers between -2 and 2.
pub(crate) fn random(n: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..n)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as f64 / (1u64 << 51) as f64 - 2.0
        })
        .collect()
}

/// A number. It and the lists below are never destroyed: an executor needs them, and tests are short.
pub(crate) fn scalar(v: f32) -> *mut aclScalar {
    open();
    let mut v = v;
    // SAFETY: the value is an f32.
    unsafe { (TABLE.aclCreateScalar)((&raw mut v).cast(), ACL_FLOAT) }
}

pub(crate) fn ints(v: &[i64]) -> *mut aclIntArray {
    open();
    // SAFETY: the slice is as long as given.
    unsafe { (TABLE.aclCreateIntArray)(v.as_ptr(), v.len() as u64) }
}

pub(crate) fn list(arrays: &[&Array]) -> *mut aclTensorList {
    let tensors: Vec<*const aclTensor> = arrays.iter().map(|a| a.tensor.cast_const()).collect();
    // SAFETY: the slice is as long as given.
    unsafe { (TABLE.aclCreateTensorList)(tensors.as_ptr(), tensors.len() as u64) }
}

pub(crate) type Phase2 =
    unsafe extern "C" fn(*mut c_void, u64, *mut aclOpExecutor, aclrtStream) -> aclnnStatus;

/// The workspace that a first phase asks for, or its code and CANN's text.
pub(crate) fn workspace(
    first: impl FnOnce(*mut u64, *mut *mut aclOpExecutor) -> aclnnStatus,
) -> Result<(u64, *mut aclOpExecutor), (aclnnStatus, String)> {
    let (mut size, mut executor) = (0, null_mut());
    match first(&mut size, &mut executor) {
        0 => Ok((size, executor)),
        code => {
            // SAFETY: the message is a C string until the thread's next call.
            let text = unsafe { CStr::from_ptr((TABLE.aclGetRecentErrMsg)()) };
            Err((code, text.to_string_lossy().into_owned()))
        }
    }
}

/// Runs both phases.
pub(crate) fn run(
    first: impl FnOnce(*mut u64, *mut *mut aclOpExecutor) -> aclnnStatus,
    second: Phase2,
) {
    open();
    let (size, executor) = workspace(first).unwrap();
    let (mut memory, mut stream) = (null_mut(), null_mut());
    // SAFETY: pointers and sizes belong together; the stream is waited for before the workspace goes.
    unsafe {
        assert_eq!((TABLE.aclrtCreateStream)(&mut stream), 0);
        if size > 0 {
            assert_eq!(
                (TABLE.aclrtMalloc)(&mut memory, size as usize, ACL_MEM_MALLOC_HUGE_FIRST),
                0
            );
        }
        assert_eq!(second(memory, size, executor, stream), 0);
        assert_eq!((TABLE.aclrtSynchronizeStream)(stream), 0);
        if size > 0 {
            assert_eq!((TABLE.aclrtFree)(memory), 0);
        }
        assert_eq!((TABLE.aclrtDestroyStream)(stream), 0);
    }
}

/// Compares with `wanted`; `slack` is what computing in f32 may add, in absolute terms.
#[track_caller]
pub(crate) fn close(what: &str, got: &[f64], wanted: &[f64], dtype: aclDataType, slack: f64) {
    assert_eq!(got.len(), wanted.len(), "{what}");
    // Below the smallest normal number of f16 the units are absolute.
    let least = if dtype == ACL_FLOAT16 {
        2f64.powi(-25)
    } else {
        1e-38
    };
    for (i, (&g, &w)) in got.iter().zip(wanted).enumerate() {
        let bound = w.abs() * unit(dtype) * 1.001 + slack * 1.001 + least;
        assert!(
            (g - w).abs() <= bound,
            "{what}: element {i} is {g}, wanted {w} within {bound:e}"
        );
    }
}
