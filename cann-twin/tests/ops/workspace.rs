//! Workspace tells what aclnn does beside the operator: copies of strided tensors and conversions.

use crate::device::*;
use ascendit_cann_twin::TABLE as T;
use cann_sys::*;
use std::ptr::null;

/// What the cube operators take for themselves.
const CUBE: u64 = 16 << 20;

fn size(first: impl FnOnce(*mut u64, *mut *mut aclOpExecutor) -> aclnnStatus) -> u64 {
    workspace(first).unwrap().0
}

#[test]
fn elementwise_operators_copy_what_is_strided() {
    let rows = |dtype| Array::out(dtype, &[100, 64], Lay::Rows);
    let gaps = Array::out(ACL_FLOAT16, &[100, 64], Lay::Gaps);
    let a = rows(ACL_FLOAT16);
    let add = |a: &Array, b: &Array, alpha: f32, z: &Array| {
        // SAFETY: all pointers are alive.
        size(|w, e| unsafe {
            (T.aclnnAddGetWorkspaceSize)(a.tensor, b.tensor, scalar(alpha), z.tensor, w, e)
        })
    };
    let bytes = 12_800;
    assert_eq!(add(&a, &a, 1.0, &a), 0);
    assert_eq!(add(&gaps, &a, 1.0, &a), bytes);
    assert_eq!(add(&gaps, &gaps, 1.0, &gaps), 3 * bytes);
    // f32 beside f16 is added as it is, but not with a factor.
    let wide = rows(ACL_FLOAT);
    assert_eq!(add(&a, &wide, 1.0, &wide), 0);
    assert_eq!(add(&a, &wide, 0.5, &wide), 2 * bytes);
    // Sizes are rounded up to 512 bytes.
    let small = Array::out(ACL_FLOAT16, &[3, 3], Lay::Swapped);
    let straight = Array::out(ACL_FLOAT16, &[3, 3], Lay::Rows);
    assert_eq!(add(&small, &straight, 1.0, &straight), 512);
}

#[test]
fn a_product_reads_swapped_axes_and_copies_other_strides() {
    let matmul = |lay| {
        let a = Array::out(ACL_FLOAT16, &[64, 32], lay);
        let b = Array::out(ACL_FLOAT16, &[32, 16], Lay::Swapped);
        let z = Array::out(ACL_FLOAT16, &[64, 16], Lay::Rows);
        // SAFETY: all pointers are alive.
        size(|w, e| unsafe {
            (T.aclnnMatmulGetWorkspaceSize)(a.tensor, b.tensor, z.tensor, 0, w, e)
        })
    };
    assert_eq!(matmul(Lay::Rows), CUBE);
    assert_eq!(matmul(Lay::Swapped), CUBE);
    assert_eq!(matmul(Lay::Gaps), CUBE + 4096);
}

/// What a convolution asks for beside the cube units' own, in three dimensions and without padding.
fn for_bias(dtype: aclDataType, bias: aclDataType, kernel: usize, width: usize) -> u64 {
    let of = |shape: &[usize]| {
        let zeros = vec![0.0; shape.iter().product()];
        Array::with_format(dtype, shape, Lay::Rows, ACL_FORMAT_NCDHW, &zeros)
    };
    let (x, weight) = (of(&[1, 2, 1, 1, width]), of(&[8, 2, 1, 1, kernel]));
    let z = of(&[1, 8, 1, 1, width + 1 - kernel]);
    let bias = Array::out(bias, &[8], Lay::Rows);
    let (ones, zeros) = (ints(&[1; 3]), ints(&[0; 3]));
    // SAFETY: all pointers are alive.
    let got = size(|w, e| unsafe {
        let (x, weight, bias, z) = (x.tensor, weight.tensor, bias.tensor, z.tensor);
        (T.aclnnConvolutionGetWorkspaceSize)(
            x,
            weight,
            bias,
            ones,
            zeros,
            ones,
            false,
            null(),
            1,
            z,
            0,
            w,
            e,
        )
    });
    got - CUBE
}

#[test]
fn a_bias_is_converted_to_what_the_cube_units_take() {
    for (dtype, bias, kernel, width, extra) in [
        (ACL_BF16, ACL_BF16, 2, 9, 512),
        (ACL_BF16, ACL_FLOAT, 2, 9, 0),
        (ACL_FLOAT16, ACL_FLOAT16, 2, 9, 0),
        (ACL_FLOAT16, ACL_FLOAT, 2, 9, 512),
        // The kernel for points, but not for too many.
        (ACL_FLOAT16, ACL_FLOAT16, 1, 9, 512),
        (ACL_FLOAT16, ACL_FLOAT, 1, 9, 0),
        (ACL_FLOAT16, ACL_FLOAT16, 1, 65_534, 512),
        (ACL_FLOAT16, ACL_FLOAT16, 1, 65_535, 0),
    ] {
        let got = for_bias(dtype, bias, kernel, width);
        assert_eq!(got, extra, "{dtype} {bias} {kernel} {width}");
    }
}

#[test]
fn a_bias_of_bf16_is_converted_and_one_of_f16_is_not() {
    for (dtype, extra) in [(ACL_FLOAT, 0), (ACL_FLOAT16, 0), (ACL_BF16, 512)] {
        let of = |shape: &[usize]| {
            Array::with_format(
                dtype,
                shape,
                Lay::Rows,
                ACL_FORMAT_NCHW,
                &vec![0.0; shape.iter().product()],
            )
        };
        let (x, weight, z) = (of(&[1, 4, 5, 5]), of(&[8, 4, 1, 1]), of(&[1, 8, 5, 5]));
        let bias = Array::out(dtype, &[8], Lay::Rows);
        let (one, zero) = (ints(&[1, 1]), ints(&[0, 0]));
        // SAFETY: all pointers are alive.
        let got = size(|w, e| unsafe {
            (T.aclnnConvolutionGetWorkspaceSize)(
                x.tensor,
                weight.tensor,
                bias.tensor,
                one,
                zero,
                one,
                false,
                null(),
                1,
                z.tensor,
                0,
                w,
                e,
            )
        });
        assert_eq!(got, CUBE + extra);
        let (a, b, z) = (
            Array::out(dtype, &[4, 4], Lay::Rows),
            Array::out(dtype, &[4, 8], Lay::Rows),
            Array::out(dtype, &[4, 8], Lay::Rows),
        );
        // SAFETY: all pointers are alive.
        let got = size(|w, e| unsafe {
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
        });
        assert_eq!(got, CUBE + extra);
    }
}

#[test]
fn flash_attention_pads_heads_and_transposes_long_tokens() {
    let flash = |layout: &std::ffi::CStr, shape: &[usize], heads: usize, rows: usize| {
        let [q, k, v, z] = [(); 4].map(|()| Array::out(ACL_FLOAT16, shape, Lay::Rows));
        let statistics = Array::out(ACL_FLOAT, &[1, heads, rows, 8], Lay::Rows);
        // SAFETY: all pointers are alive.
        size(|w, e| unsafe {
            (T.aclnnFlashAttentionScoreGetWorkspaceSize)(
                q.tensor,
                k.tensor,
                v.tensor,
                null(),
                null(),
                null(),
                null(),
                null(),
                1.0,
                1.0,
                65536,
                65536,
                heads as i64,
                layout.as_ptr().cast_mut(),
                0,
                0,
                statistics.tensor,
                statistics.tensor,
                null(),
                z.tensor,
                w,
                e,
            )
        })
    };
    assert_eq!(flash(c"BSND", &[1, 64, 4, 64], 4, 64), CUBE);
    // 72 is taken as it is where tokens come first.
    assert_eq!(flash(c"BSND", &[1, 64, 4, 72], 4, 64), CUBE);
    let (padded, own) = (4 * 64 * 80 * 2, 4 * 64 * 72 * 2);
    assert_eq!(
        flash(c"BNSD", &[1, 4, 64, 72], 4, 64),
        CUBE + 3 * padded + own
    );
    // 200 heads of 384 are more than 65535 elements to a token.
    let all = 200 * 2 * 384 * 2;
    assert_eq!(flash(c"BSND", &[1, 2, 200, 384], 200, 2), CUBE + 4 * all);
}
