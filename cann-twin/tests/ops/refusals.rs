//! Calls that CANN refuses, with the whole text.

mod attention;
mod convolution;
mod movement;
mod norm;

use crate::device::*;
use ascendit_cann_twin::TABLE as T;
use cann_sys::*;
use std::ptr::{null, null_mut};

const NULL: aclnnStatus = 161_001;
const INVALID: aclnnStatus = 161_002;

#[track_caller]
fn refused(
    code: aclnnStatus,
    text: &str,
    first: impl FnOnce(*mut u64, *mut *mut aclOpExecutor) -> aclnnStatus,
) {
    let (got_code, got) = workspace(first).expect_err(text);
    let (function, reason) = text.split_once(": ").expect("a function and a reason");
    assert_eq!(
        got,
        format!("EZ{code}: {function}GetWorkspaceSize: {reason}")
    );
    assert_eq!(got_code, code);
}

fn f16(shape: &[usize]) -> Array {
    Array::out(ACL_FLOAT16, shape, Lay::Rows)
}

fn of(dtype: aclDataType, shape: &[usize]) -> Array {
    Array::out(dtype, shape, Lay::Rows)
}

fn ncdhw(dtype: aclDataType, shape: &[usize]) -> Array {
    Array::with_format(
        dtype,
        shape,
        Lay::Rows,
        ACL_FORMAT_NCDHW,
        &vec![0.0; shape.iter().product()],
    )
}

#[test]
fn arithmetic_is_refused_with_its_reason() {
    let (a, b) = (f16(&[2, 3]), f16(&[2, 3]));
    let add = |a: *const aclTensor, b: *const aclTensor, z: *mut aclTensor, alpha, code, text| {
        // SAFETY: all pointers are null or alive.
        refused(code, text, |w, e| unsafe {
            (T.aclnnAddGetWorkspaceSize)(a, b, alpha, z, w, e)
        });
    };
    add(
        null(),
        b.tensor,
        a.tensor,
        scalar(1.0),
        NULL,
        "aclnnAdd: self is a null pointer",
    );
    add(
        a.tensor,
        null(),
        a.tensor,
        scalar(1.0),
        NULL,
        "aclnnAdd: other is a null pointer",
    );
    add(
        a.tensor,
        b.tensor,
        null_mut(),
        scalar(1.0),
        NULL,
        "aclnnAdd: out is a null pointer",
    );
    add(
        a.tensor,
        b.tensor,
        a.tensor,
        null_mut(),
        NULL,
        "aclnnAdd: alpha is a null pointer",
    );
    let ints = of(ACL_INT32, &[2, 3]);
    add(
        ints.tensor,
        b.tensor,
        a.tensor,
        scalar(1.0),
        INVALID,
        "aclnnAdd: self is i32[2, 3], must be f32, f16 or bf16",
    );
    let other = f16(&[2, 4]);
    add(
        a.tensor,
        other.tensor,
        a.tensor,
        scalar(1.0),
        INVALID,
        "aclnnAdd: self [2, 3] and other [2, 4] do not broadcast",
    );
    let row = f16(&[3]);
    add(
        a.tensor,
        b.tensor,
        row.tensor,
        scalar(1.0),
        INVALID,
        "aclnnAdd: out is f16[3], must have shape [2, 3]",
    );
    let deep = f16(&[1; 9]);
    add(
        deep.tensor,
        b.tensor,
        a.tensor,
        scalar(1.0),
        INVALID,
        "aclnnAdd: self is f16[1, 1, 1, 1, 1, 1, 1, 1, 1], must have 0 to 8 axes",
    );
    let private = Array::with_format(
        ACL_FLOAT16,
        &[2, 3],
        Lay::Rows,
        ACL_FORMAT_FRACTAL_NZ,
        &[0.0; 6],
    );
    add(
        a.tensor,
        private.tensor,
        a.tensor,
        scalar(1.0),
        INVALID,
        "aclnnAdd: other has the private format FRACTAL_NZ, must have a plain one",
    );

    let (shape, strides, storage) = ([2i64, 3], [4i64, 1], [6i64]);
    // SAFETY: the arrays are as long as given.
    let beyond = unsafe {
        (T.aclCreateTensor)(
            shape.as_ptr(),
            2,
            ACL_FLOAT16,
            strides.as_ptr(),
            0,
            ACL_FORMAT_ND,
            storage.as_ptr(),
            1,
            a.data(),
        )
    };
    add(
        beyond,
        b.tensor,
        a.tensor,
        scalar(1.0),
        INVALID,
        "aclnnAdd: self is f16[2, 3] with strides [4, 1] and offset 0, must stay inside of its storage of 6 elements",
    );

    let f32s = of(ACL_FLOAT, &[2, 3]);
    // SAFETY: all pointers are alive.
    unsafe {
        refused(
            INVALID,
            "aclnnSilu: out is f32[2, 3], must have the type of self, f16",
            |w, e| (T.aclnnSiluGetWorkspaceSize)(a.tensor, f32s.tensor, w, e),
        );
        refused(
            INVALID,
            "aclnnExp: out is f16[3], must have shape [2, 3]",
            |w, e| (T.aclnnExpGetWorkspaceSize)(a.tensor, row.tensor, w, e),
        );
        refused(
            INVALID,
            "aclnnCos: input is i32[2, 3], must be f32, f16 or bf16",
            |w, e| (T.aclnnCosGetWorkspaceSize)(ints.tensor, a.tensor, w, e),
        );
        refused(
            INVALID,
            "aclnnGeluV2: approximate is 2, must be 0 (erf) or 1 (tanh)",
            |w, e| (T.aclnnGeluV2GetWorkspaceSize)(a.tensor, 2, b.tensor, w, e),
        );
        refused(
            INVALID,
            "aclnnCast: dtype is bf16, must be the type of out, f16",
            |w, e| (T.aclnnCastGetWorkspaceSize)(f32s.tensor, ACL_BF16, a.tensor, w, e),
        );
        refused(
            INVALID,
            "aclnnMuls: self is i32[2, 3], must be f32, f16 or bf16",
            |w, e| (T.aclnnMulsGetWorkspaceSize)(ints.tensor, scalar(2.0), a.tensor, w, e),
        );
        refused(
            INVALID,
            "aclnnAddcmul: self [2, 3] and tensor1 [2, 4] and tensor2 [2, 3] do not broadcast",
            |w, e| {
                (T.aclnnAddcmulGetWorkspaceSize)(
                    a.tensor,
                    other.tensor,
                    a.tensor,
                    scalar(1.0),
                    b.tensor,
                    w,
                    e,
                )
            },
        );
    }
}

#[test]
fn products_are_refused_with_their_reason() {
    let (a, b, z) = (f16(&[4, 5]), f16(&[5, 6]), f16(&[4, 6]));
    let matmul = |a: &Array, b: &Array, z: &Array, math, text| {
        // SAFETY: all pointers are alive.
        refused(INVALID, text, |w, e| unsafe {
            (T.aclnnMatmulGetWorkspaceSize)(a.tensor, b.tensor, z.tensor, math, w, e)
        });
    };
    matmul(
        &a,
        &a,
        &z,
        0,
        "aclnnMatmul: mat2 is f16[4, 5], must have 5 rows, as self f16[4, 5] has columns",
    );
    matmul(
        &a,
        &b,
        &a,
        0,
        "aclnnMatmul: out is f16[4, 5], must have shape [4, 6]",
    );
    matmul(
        &a,
        &b,
        &z,
        3,
        "aclnnMatmul: cubeMathType is 3, must be 0 (KEEP_DTYPE) or 1 (ALLOW_FP32_DOWN_PRECISION)",
    );
    matmul(
        &a,
        &of(ACL_BF16, &[5, 6]),
        &z,
        0,
        "aclnnMatmul: self is f16[4, 5] and mat2 bf16[5, 6], must be of one type, or f16 and f32",
    );
    matmul(
        &of(ACL_FLOAT, &[4, 5]),
        &of(ACL_FLOAT, &[5, 6]),
        &z,
        0,
        "aclnnMatmul: out is f16[4, 6], must not be f16 beside self of f32 with cubeMathType 0",
    );
    matmul(
        &of(ACL_INT8, &[4, 5]),
        &b,
        &z,
        0,
        "aclnnMatmul: self is i8[4, 5], must be f32, f16 or bf16",
    );
    matmul(
        &f16(&[]),
        &b,
        &z,
        0,
        "aclnnMatmul: self is f16[], must have 1 to 6 axes",
    );
    matmul(
        &f16(&[2, 4, 5]),
        &f16(&[3, 5, 6]),
        &z,
        0,
        "aclnnMatmul: self [2, 4, 5] and mat2 [3, 5, 6] do not broadcast but for their last two axes",
    );
    // SAFETY: all pointers are alive.
    unsafe {
        refused(
            INVALID,
            "aclnnBatchMatMul: self is f16[4, 5], must have 3 axes",
            |w, e| (T.aclnnBatchMatMulGetWorkspaceSize)(a.tensor, b.tensor, z.tensor, 0, w, e),
        );
        let (many, few) = (f16(&[2, 4, 5]), f16(&[1, 5, 6]));
        refused(
            INVALID,
            "aclnnBatchMatMul: mat2 is f16[1, 5, 6], must have as many matrices as self, 2",
            |w, e| (T.aclnnBatchMatMulGetWorkspaceSize)(many.tensor, few.tensor, z.tensor, 0, w, e),
        );
        let bias = f16(&[5]);
        refused(
            INVALID,
            "aclnnAddmm: self is f16[5], must broadcast to [4, 6]",
            |w, e| {
                (T.aclnnAddmmGetWorkspaceSize)(
                    bias.tensor,
                    a.tensor,
                    b.tensor,
                    scalar(1.0),
                    scalar(1.0),
                    z.tensor,
                    0,
                    w,
                    e,
                )
            },
        );
        refused(NULL, "aclnnAddmm: beta is a null pointer", |w, e| {
            (T.aclnnAddmmGetWorkspaceSize)(
                bias.tensor,
                a.tensor,
                b.tensor,
                null(),
                scalar(1.0),
                z.tensor,
                0,
                w,
                e,
            )
        });
    }
}
