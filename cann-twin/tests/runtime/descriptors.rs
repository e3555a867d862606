//! Descriptors: handles that are not live or of another kind are refused and never followed.

use std::ffi::c_void;
use std::ptr::{null, null_mut};

use cann_sys::*;

use crate::twin::*;

fn scalar(value: f32) -> *mut aclScalar {
    let mut value = value;
    // SAFETY: the value is an f32.
    let scalar = unsafe { (T.aclCreateScalar)((&raw mut value).cast(), ACL_FLOAT) };
    assert!(!scalar.is_null());
    scalar
}

fn ints(values: &[i64]) -> *mut aclIntArray {
    // SAFETY: the values are as many as said.
    let ints = unsafe { (T.aclCreateIntArray)(values.as_ptr(), values.len() as u64) };
    assert!(!ints.is_null());
    ints
}

#[test]
fn live_objects_are_counted_by_kind() {
    let _twin = twin();
    let (a, b) = (malloc(8), malloc(8));
    let tensors = [tensor(a, 2, 1, 0), tensor(b, 2, 1, 0)];
    let (number, sizes) = (scalar(1.0), ints(&[1, 2]));
    let (stream, event) = (stream(), event());
    let all = "1 stream, 1 event, 2 device allocations, 2 tensors, 1 scalar, 1 integer array";
    assert_eq!(live(), all);
    // SAFETY: handles are checked.
    unsafe {
        ok((T.aclDestroyScalar)(number));
        ok((T.aclDestroyIntArray)(sizes));
        ok((T.aclrtDestroyEvent)(event));
    }
    tensors.into_iter().for_each(destroy_tensor);
    destroy(stream);
    assert_eq!(live(), "2 device allocations");
    free(a);
    free(b);
}

#[test]
fn a_list_takes_its_tensors_with_it() {
    let _twin = twin();
    let a = malloc(8);
    let tensors = [tensor(a, 2, 1, 0), tensor(a, 2, 1, 0)];
    let of: Vec<*const aclTensor> = tensors.iter().map(|t| t.cast_const()).collect();
    // SAFETY: the tensors are as many as said; handles are checked.
    unsafe {
        let list = (T.aclCreateTensorList)(of.as_ptr(), 2);
        assert_eq!(live(), "1 device allocation, 2 tensors, 1 tensor list");
        ok((T.aclDestroyTensorList)(list));
        assert_eq!(live(), "1 device allocation");
        let text = "aclDestroyTensor: it is no tensor, or one that was destroyed";
        refused((T.aclDestroyTensor)(tensors[0]), 161_002, text);
    }
    free(a);
}

#[test]
fn handles_that_are_not_live_are_refused() {
    let _twin = twin();
    let a = malloc(8);
    let (live, gone) = (tensor(a, 2, 1, 0), tensor(a, 2, 1, 0));
    destroy_tensor(gone);
    let other = scalar(1.0);
    let mut own = [0u64; 64];
    let own: *mut aclTensor = own.as_mut_ptr().cast();
    let nowhere = 8 as *mut aclTensor;
    let (mut size, mut executor) = (0, null_mut());
    // SAFETY: handles are checked; there are places for the results.
    unsafe {
        for wrong in [gone, other.cast(), own, nowhere, a.cast()] {
            for (x, out, what) in [(wrong, live, "self"), (live, wrong, "out")] {
                let code = (T.aclnnNegGetWorkspaceSize)(x, out, &mut size, &mut executor);
                let text = format!("{what} is no tensor, or one that was destroyed");
                refused(code, 161_002, &format!("aclnnNegGetWorkspaceSize: {text}"));
            }
            refused(
                (T.aclDestroyTensor)(wrong),
                161_002,
                "aclDestroyTensor: it is no tensor, or one that was destroyed",
            );
        }
        for wrong in [null(), live.cast_const().cast(), own.cast_const().cast()] {
            refused(
                (T.aclDestroyScalar)(wrong),
                161_002,
                "aclDestroyScalar: it is no scalar, or one that was destroyed",
            );
        }
        for wrong in [null(), live.cast_const().cast()] {
            refused(
                (T.aclDestroyIntArray)(wrong),
                161_002,
                "aclDestroyIntArray: it is no integer array, or one that was destroyed",
            );
        }
        for wrong in [null(), live.cast_const().cast()] {
            refused(
                (T.aclDestroyTensorList)(wrong),
                161_002,
                "aclDestroyTensorList: it is no tensor list, or one that was destroyed",
            );
        }
        ok((T.aclDestroyScalar)(other));
    }
    assert!(executor.is_null());
    destroy_tensor(live);
    free(a);
}

#[test]
fn a_handle_is_given_out_once() {
    let _twin = twin();
    let a = malloc(8);
    let first = tensor(a, 2, 1, 0);
    destroy_tensor(first);
    let second = tensor(a, 2, 1, 0);
    assert_ne!(first, second);
    destroy_tensor(second);
    free(a);
}

#[test]
fn descriptors_that_cannot_be_are_not_made() {
    let _twin = twin();
    let dims = [2i64, -1];
    let create = |dims: *const i64, count, dtype| {
        // SAFETY: the lists are as long as said, or null, which is looked at.
        unsafe {
            (T.aclCreateTensor)(
                dims,
                count,
                dtype,
                null(),
                0,
                ACL_FORMAT_ND,
                dims,
                count,
                null_mut(),
            )
        }
    };
    let text = "EZ161002: aclCreateTensor: sizes, strides or dtype are not what they must be";
    for (dims, count, dtype) in [
        (null(), 1, ACL_FLOAT),
        (dims.as_ptr(), 2, ACL_FLOAT),
        (dims.as_ptr(), 1, ACL_DT_UNDEFINED),
        (dims.as_ptr(), 1, 99),
    ] {
        assert!(create(dims, count, dtype).is_null());
        assert_eq!(message().as_deref(), Some(text));
    }
    let mut value = 0u64;
    let value: *mut c_void = (&raw mut value).cast();
    // SAFETY: null is looked at, and the value is as long as that of any type.
    unsafe {
        assert!((T.aclCreateScalar)(null_mut(), ACL_FLOAT).is_null());
        let text = "EZ161001: aclCreateScalar: the value is a null pointer";
        assert_eq!(message().as_deref(), Some(text));
        assert!((T.aclCreateScalar)(value, ACL_DT_UNDEFINED).is_null());
        let text = "EZ161002: aclCreateScalar: there are no scalars of this type";
        assert_eq!(message().as_deref(), Some(text));
        assert!((T.aclCreateIntArray)(null(), 1).is_null());
        let text = "EZ161001: aclCreateIntArray: the values are a null pointer";
        assert_eq!(message().as_deref(), Some(text));
        assert!((T.aclCreateTensorList)(null(), 1).is_null());
        let text = "EZ161001: aclCreateTensorList: the tensors are a null pointer";
        assert_eq!(message().as_deref(), Some(text));
    }
    // What is empty needs no place.
    let tensor = create(null(), 0, ACL_FLOAT);
    assert!(!tensor.is_null());
    destroy_tensor(tensor);
}

#[test]
fn strides_that_are_too_large_for_numbers_stop_nobody() {
    let _twin = twin();
    let dims = [2, i64::MAX, i64::MAX];
    // SAFETY: the lists are as long as said.
    let tensor = unsafe {
        (T.aclCreateTensor)(
            dims.as_ptr(),
            3,
            ACL_FLOAT,
            null(),
            0,
            ACL_FORMAT_ND,
            dims.as_ptr(),
            3,
            null_mut(),
        )
    };
    assert!(!tensor.is_null());
    let (mut size, mut executor) = (0, null_mut());
    // SAFETY: handles are checked; there are places for the results.
    let code = unsafe { (T.aclnnNegGetWorkspaceSize)(tensor, tensor, &mut size, &mut executor) };
    assert_eq!(code, 161_002);
    destroy_tensor(tensor);
}
