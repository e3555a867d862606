//! Making and destroying descriptors and executors.

use std::ffi::c_void;
use std::ptr::null_mut;

use cann_sys::{
    ACL_BF16, ACL_BOOL, ACL_DOUBLE, ACL_FLOAT, ACL_FLOAT16, ACL_INT32, ACL_INT64, ACL_UINT8,
    aclDataType, aclFormat, aclIntArray, aclOpExecutor, aclScalar, aclTensor, aclTensorList,
    aclnnStatus,
};

use super::{INVALID, NULL, Object, Scalar, Tensor, add, element_bytes, objects};
use crate::error::note;

/// A list that the caller gave.
///
/// # Safety
/// `pointer` is null or valid for `len` elements.
unsafe fn list<T: Copy>(pointer: *const T, len: u64) -> Option<Vec<T>> {
    match (pointer.is_null(), usize::try_from(len).ok()?) {
        (_, 0) => Some(vec![]),
        (true, _) => None,
        // SAFETY: the caller's promise.
        (false, len) => Some(unsafe { std::slice::from_raw_parts(pointer, len) }.to_vec()),
    }
}

/// See the documentation of CANN.
///
/// # Safety
/// The lists are valid for their lengths.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclCreateTensor(
    dims: *const i64,
    count: u64,
    dtype: aclDataType,
    strides: *const i64,
    offset: i64,
    format: aclFormat,
    storage: *const i64,
    storage_count: u64,
    data: *mut c_void,
) -> *mut aclTensor {
    let sizes = |list: Vec<i64>| -> Option<Vec<usize>> {
        list.into_iter().map(|n| usize::try_from(n).ok()).collect()
    };
    let made = (|| {
        // SAFETY: the caller's promise.
        let (dims, storage) = unsafe { (list(dims, count)?, list(storage, storage_count)?) };
        let shape = sizes(dims)?;
        let strides = match strides.is_null() {
            true => row_major(&shape),
            // SAFETY: the caller's promise.
            false => unsafe { list(strides, count)? },
        };
        (element_bytes(dtype) > 0).then_some(Tensor {
            dtype,
            shape,
            strides,
            offset,
            format,
            storage: sizes(storage)?,
            data: data as usize,
        })
    })();
    match made {
        Some(tensor) => add(Object::Tensor(tensor)),
        None => {
            note(
                "aclCreateTensor",
                INVALID,
                "sizes, strides or dtype are not what they must be",
            );
            null_mut()
        }
    }
}

fn row_major(shape: &[usize]) -> Vec<i64> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis] as i64;
    }
    strides
}

/// See the documentation of CANN.
///
/// # Safety
/// `value` is valid for an element of the type.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclCreateScalar(
    value: *mut c_void,
    dtype: aclDataType,
) -> *mut aclScalar {
    if value.is_null() {
        note("aclCreateScalar", NULL, "the value is a null pointer");
        return null_mut();
    }
    // SAFETY: the caller's promise.
    let number = unsafe {
        match dtype {
            ACL_FLOAT => f64::from(value.cast::<f32>().read_unaligned()),
            ACL_FLOAT16 => value.cast::<half::f16>().read_unaligned().to_f64(),
            ACL_BF16 => value.cast::<half::bf16>().read_unaligned().to_f64(),
            ACL_DOUBLE => value.cast::<f64>().read_unaligned(),
            ACL_INT32 => f64::from(value.cast::<i32>().read_unaligned()),
            ACL_INT64 => value.cast::<i64>().read_unaligned() as f64,
            ACL_BOOL | ACL_UINT8 => f64::from(value.cast::<u8>().read()),
            _ => {
                note(
                    "aclCreateScalar",
                    INVALID,
                    "there are no scalars of this type",
                );
                return null_mut();
            }
        }
    };
    add(Object::Scalar(Scalar {
        dtype,
        value: number,
    }))
}

/// See the documentation of CANN.
///
/// # Safety
/// `values` is valid for `count` numbers.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclCreateIntArray(
    values: *const i64,
    count: u64,
) -> *mut aclIntArray {
    // SAFETY: the caller's promise.
    match unsafe { list(values, count) } {
        Some(values) => add(Object::Ints(values)),
        None => {
            note("aclCreateIntArray", NULL, "the values are a null pointer");
            null_mut()
        }
    }
}

/// See the documentation of CANN.
///
/// # Safety
/// `tensors` is valid for `count` pointers.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclCreateTensorList(
    tensors: *const *const aclTensor,
    count: u64,
) -> *mut aclTensorList {
    // SAFETY: the caller's promise.
    let handles = unsafe { list(tensors, count) };
    let handles: Option<Vec<usize>> =
        handles.map(|handles| handles.into_iter().map(|handle| handle as usize).collect());
    match handles {
        Some(handles) => add(Object::List(handles)),
        None => {
            note(
                "aclCreateTensorList",
                NULL,
                "the tensors are a null pointer",
            );
            null_mut()
        }
    }
}

fn destroy(name: &str, handle: usize, kind: &'static str) -> aclnnStatus {
    let mut objects = objects();
    match objects.get(&handle).map(Object::kind) {
        Some(found) if found == kind => {
            // A list owns its tensors.
            if let Some(Object::List(handles)) = objects.remove(&handle) {
                handles
                    .iter()
                    .for_each(|tensor| drop(objects.remove(tensor)));
            }
            0
        }
        _ => {
            note(
                name,
                INVALID,
                &format!("it is no {kind}, or one that was destroyed"),
            );
            INVALID
        }
    }
}

/// See the documentation of CANN.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn aclDestroyTensor(tensor: *const aclTensor) -> aclnnStatus {
    destroy("aclDestroyTensor", tensor as usize, "tensor")
}

/// See the documentation of CANN.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn aclDestroyScalar(scalar: *const aclScalar) -> aclnnStatus {
    destroy("aclDestroyScalar", scalar as usize, "scalar")
}

/// See the documentation of CANN.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn aclDestroyIntArray(array: *const aclIntArray) -> aclnnStatus {
    destroy("aclDestroyIntArray", array as usize, "integer array")
}

/// See the documentation of CANN. The tensors in the list go with it.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn aclDestroyTensorList(list: *const aclTensorList) -> aclnnStatus {
    destroy("aclDestroyTensorList", list as usize, "tensor list")
}

/// See the documentation of CANN.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn aclSetAclOpExecutorRepeatable(
    executor: *mut aclOpExecutor,
) -> aclnnStatus {
    match objects().get_mut(&(executor as usize)) {
        Some(Object::Executor(found)) => {
            found.repeatable = true;
            0
        }
        _ => {
            note(
                "aclSetAclOpExecutorRepeatable",
                INVALID,
                "it is no executor",
            );
            INVALID
        }
    }
}

/// See the documentation of CANN.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn aclDestroyAclOpExecutor(executor: *mut aclOpExecutor) -> aclnnStatus {
    destroy("aclDestroyAclOpExecutor", executor as usize, "executor")
}
