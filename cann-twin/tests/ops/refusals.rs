//! Calls that CANN refuses, with the whole text.

use crate::device::*;
use ascendit_cann_twin::TABLE as T;
use cann_sys::*;
use std::ffi::CStr;
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
    assert_eq!(got, text);
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

/// A convolution that is right, to be spoilt.
struct Convolution {
    x: Array,
    weight: Array,
    bias: Option<Array>,
    numbers: [Vec<i64>; 3],
    transposed: bool,
    groups: i64,
    out: Array,
}

impl Convolution {
    fn new() -> Self {
        Self {
            x: ncdhw(ACL_BF16, &[1, 4, 3, 5, 6]),
            weight: ncdhw(ACL_BF16, &[8, 4, 3, 3, 3]),
            bias: None,
            numbers: [vec![1, 1, 1], vec![1, 1, 1], vec![1, 1, 1]],
            transposed: false,
            groups: 1,
            out: ncdhw(ACL_BF16, &[1, 8, 3, 5, 6]),
        }
    }

    fn first(&self, w: *mut u64, e: *mut *mut aclOpExecutor) -> aclnnStatus {
        let [stride, padding, dilation] = self.numbers.each_ref().map(|n| ints(n));
        let bias = self.bias.as_ref().map_or(null(), |b| b.tensor.cast_const());
        // SAFETY: all pointers are alive.
        unsafe {
            (T.aclnnConvolutionGetWorkspaceSize)(
                self.x.tensor,
                self.weight.tensor,
                bias,
                stride,
                padding,
                dilation,
                self.transposed,
                null(),
                self.groups,
                self.out.tensor,
                1,
                w,
                e,
            )
        }
    }
}

#[test]
fn convolutions_are_refused_with_their_reason() {
    let spoilt = |text: &str, spoil: fn(&mut Convolution)| {
        let mut c = Convolution::new();
        spoil(&mut c);
        refused(INVALID, &format!("aclnnConvolution: {text}"), |w, e| {
            c.first(w, e)
        });
    };
    assert!(workspace(|w, e| Convolution::new().first(w, e)).is_ok());
    spoilt("input has format ND, must have NCDHW", |c| {
        c.x = of(ACL_BF16, &[1, 4, 3, 5, 6])
    });
    spoilt("weight has format ND, must have NCDHW", |c| {
        c.weight = of(ACL_BF16, &[8, 4, 3, 3, 3])
    });
    spoilt("input is bf16[4, 6], must have 3 to 5 axes", |c| {
        c.x = of(ACL_BF16, &[4, 6])
    });
    spoilt(
        "weight is f16[8, 4, 3, 3, 3], must have the type of input, bf16",
        |c| c.weight = ncdhw(ACL_FLOAT16, &[8, 4, 3, 3, 3]),
    );
    spoilt(
        "output is f32[1, 8, 3, 5, 6], must have the type of input, bf16",
        |c| c.out = ncdhw(ACL_FLOAT, &[1, 8, 3, 5, 6]),
    );
    spoilt(
        "output is bf16[1, 8, 3, 5, 5], must have shape [1, 8, 3, 5, 6]",
        |c| c.out = ncdhw(ACL_BF16, &[1, 8, 3, 5, 5]),
    );
    spoilt("bias is bf16[4], must have shape [8]", |c| {
        c.bias = Some(of(ACL_BF16, &[4]))
    });
    spoilt(
        "stride is [1, 64, 1], must be 3 numbers from 1 to 63, or to 1000000 for depth",
        |c| c.numbers[0][1] = 64,
    );
    spoilt(
        "stride is [1, 1], must be 3 numbers from 1 to 63, or to 1000000 for depth",
        |c| c.numbers[0] = vec![1, 1],
    );
    spoilt(
        "padding is [1, 1, 256], must be 3 numbers from 0 to 255, or to 1000000 for depth",
        |c| c.numbers[1][2] = 256,
    );
    spoilt(
        "dilation is [1, 0, 1], must be 3 numbers from 1 to 255, or to 1000000 for depth",
        |c| c.numbers[2][1] = 0,
    );
    spoilt("transposed is true, must be false in the twin", |c| {
        c.transposed = true
    });
    spoilt(
        "groups is 3, must be from 1 to 65535, divide the 8 output channels and be input channels by weight's: input bf16[1, 4, 3, 5, 6], weight bf16[8, 4, 3, 3, 3]",
        |c| c.groups = 3,
    );
    spoilt(
        "weight is bf16[8, 4, 9, 3, 3], must with its dilation fit into the padded input, bf16[1, 4, 3, 5, 6]",
        |c| {
            c.weight = ncdhw(ACL_BF16, &[8, 4, 9, 3, 3]);
        },
    );
    spoilt(
        "weight is bf16[8, 4, 1, 512, 1], must be up to 511 high and wide",
        |c| c.weight = ncdhw(ACL_BF16, &[8, 4, 1, 512, 1]),
    );
}

/// An attention that is right, to be spoilt; both functions take what they have in common from here.
struct Attention {
    query: Array,
    key: Array,
    value: Array,
    shift: Option<Array>,
    mask: Option<Array>,
    scale: f64,
    keep: f64,
    window: i64,
    heads: i64,
    key_heads: i64,
    layout: &'static CStr,
    sparse: i64,
    inner: i64,
    lengths: Vec<i64>,
    max: Option<Array>,
    out: Array,
}

impl Attention {
    fn of_shape(dtype: aclDataType, shape: &[usize], heads: i64) -> Self {
        let (b, s) = (shape[0], shape[1]);
        Self {
            query: of(dtype, shape),
            key: of(dtype, shape),
            value: of(dtype, shape),
            shift: None,
            mask: None,
            scale: 1.0,
            keep: 1.0,
            window: 65536,
            heads,
            key_heads: 0,
            layout: c"BSND",
            sparse: 0,
            inner: 0,
            lengths: vec![s as i64; b],
            max: Some(of(ACL_FLOAT, &[b, heads.max(1) as usize, s, 8])),
            out: of(dtype, shape),
        }
    }

    fn new() -> Self {
        Self::of_shape(ACL_FLOAT16, &[2, 5, 4, 16], 4)
    }

    fn flash(&self, w: *mut u64, e: *mut *mut aclOpExecutor) -> aclnnStatus {
        let of = |a: &Option<Array>| a.as_ref().map_or(null(), |a| a.tensor.cast_const());
        // SAFETY: all pointers are null or alive.
        unsafe {
            (T.aclnnFlashAttentionScoreGetWorkspaceSize)(
                self.query.tensor,
                self.key.tensor,
                self.value.tensor,
                of(&self.shift),
                null(),
                null(),
                of(&self.mask),
                null(),
                self.scale,
                self.keep,
                self.window,
                self.window,
                self.heads,
                self.layout.as_ptr().cast_mut(),
                self.inner,
                self.sparse,
                of(&self.max),
                of(&self.max),
                null(),
                self.out.tensor,
                w,
                e,
            )
        }
    }

    fn prompt(&self, w: *mut u64, e: *mut *mut aclOpExecutor) -> aclnnStatus {
        let of = |a: &Option<Array>| a.as_ref().map_or(null(), |a| a.tensor.cast_const());
        // SAFETY: all pointers are null or alive.
        unsafe {
            (T.aclnnPromptFlashAttentionV3GetWorkspaceSize.unwrap())(
                self.query.tensor,
                self.key.tensor,
                self.value.tensor,
                of(&self.shift),
                of(&self.mask),
                null(),
                ints(&self.lengths),
                null(),
                null(),
                null(),
                null(),
                null(),
                self.heads,
                self.scale,
                self.window,
                self.window,
                self.layout.as_ptr().cast_mut(),
                self.key_heads,
                self.sparse,
                self.inner,
                self.out.tensor,
                w,
                e,
            )
        }
    }
}

#[test]
fn flash_attention_is_refused_with_its_reason() {
    let spoilt = |text: &str, spoil: fn(&mut Attention)| {
        let mut a = Attention::new();
        spoil(&mut a);
        refused(
            INVALID,
            &format!("aclnnFlashAttentionScore: {text}"),
            |w, e| a.flash(w, e),
        );
    };
    assert!(workspace(|w, e| Attention::new().flash(w, e)).is_ok());
    let mut missing = Attention::new();
    missing.max = None;
    refused(
        NULL,
        "aclnnFlashAttentionScore: softmaxMaxOut is a null pointer",
        |w, e| missing.flash(w, e),
    );
    spoilt(
        "inputLayout is \"TND\", must be BSH, SBH, BSND or BNSD",
        |a| a.layout = c"TND",
    );
    spoilt("headNum is 0, must be from 1 to 256", |a| a.heads = 0);
    spoilt(
        "query is f16[2, 5, 4, 16], must have as many heads as headNum, 8",
        |a| a.heads = 8,
    );
    spoilt("query is f16[2, 5, 4, 16], must have 3 axes", |a| {
        a.layout = c"BSH"
    });
    spoilt(
        "key is bf16[2, 5, 4, 16], must have the type of query, f16",
        |a| a.key = of(ACL_BF16, &[2, 5, 4, 16]),
    );
    spoilt(
        "key is f16[2, 5, 4, 32], must have batch 2 and head size 16 like query",
        |a| a.key = f16(&[2, 5, 4, 32]),
    );
    spoilt(
        "key is f16[2, 5, 3, 16], must have a number of heads that divides headNum, 4",
        |a| {
            a.key = f16(&[2, 5, 3, 16]);
            a.value = f16(&[2, 5, 3, 16]);
        },
    );
    spoilt(
        "value is f16[2, 5, 4, 32], must have batch, heads and length of key, [2, 4, 5], and a head size up to 16",
        |a| a.value = f16(&[2, 5, 4, 32]),
    );
    spoilt("query has head size 784, must be up to 768", |a| {
        *a = Attention::of_shape(ACL_FLOAT16, &[1, 2, 1, 784], 1)
    });
    spoilt("softmaxMaxOut is f16[2, 4, 5, 8], must be f32", |a| {
        a.max = Some(f16(&[2, 4, 5, 8]))
    });
    spoilt(
        "softmaxMaxOut is f32[2, 4, 5, 1], must have shape [2, 4, 5, 8]",
        |a| a.max = Some(of(ACL_FLOAT, &[2, 4, 5, 1])),
    );
    spoilt(
        "attentionOutOut is f16[2, 5, 4], must have shape [2, 5, 4, 16]",
        |a| a.out = f16(&[2, 5, 4]),
    );
    spoilt("attenMaskOptional is f16[5, 5], must be bool or u8", |a| {
        a.mask = Some(f16(&[5, 5]))
    });
    spoilt(
        "attenMaskOptional is bool[5, 6], must have shape [2, 4, 5, 5], [2, 1, 5, 5], [1, 1, 5, 5] or [5, 5]",
        |a| a.mask = Some(of(ACL_BOOL, &[5, 6])),
    );
    spoilt(
        "preTokens and nextTokens are [3, 3], must be at least [5, 5] beside a mask, or CANN leaves out what is farther",
        |a| {
            a.mask = Some(of(ACL_BOOL, &[5, 5]));
            a.window = 3;
        },
    );
    spoilt(
        "realShiftOptional is f32[2, 4, 5, 5], must have the type of query, f16",
        |a| a.shift = Some(of(ACL_FLOAT, &[2, 4, 5, 5])),
    );
    spoilt(
        "realShiftOptional is f16[5, 5], must have shape [2, 4, 5, 5], [1, 4, 5, 5] or [2, 4, 1, 5]",
        |a| a.shift = Some(f16(&[5, 5])),
    );
    spoilt("scaleValue is NaN, must be finite", |a| a.scale = f64::NAN);
    spoilt("keepProb is 0.9, must be 1: the twin has no dropout", |a| {
        a.keep = 0.9
    });
    spoilt("sparseMode is 3, must be 0 in the twin", |a| a.sparse = 3);
    spoilt("innerPrecise is 4, must be 0, 1 or 2", |a| a.inner = 4);
}

#[test]
fn prompt_attention_is_refused_with_its_reason() {
    let spoilt = |text: &str, spoil: fn(&mut Attention)| {
        let mut a = Attention::new();
        spoil(&mut a);
        refused(
            INVALID,
            &format!("aclnnPromptFlashAttentionV3: {text}"),
            |w, e| a.prompt(w, e),
        );
    };
    assert!(workspace(|w, e| Attention::new().prompt(w, e)).is_ok());
    spoilt("inputLayout is \"SBH\", must be BSH, BSND or BNSD", |a| {
        a.layout = c"SBH"
    });
    spoilt("numHeads is 257, must be from 1 to 256", |a| a.heads = 257);
    spoilt(
        "numKeyValueHeads is 3, must be 0 or divide numHeads, 4",
        |a| a.key_heads = 3,
    );
    spoilt(
        "numKeyValueHeads is 1, must be at least numHeads, 128, by 64",
        |a| {
            *a = Attention::of_shape(ACL_FLOAT16, &[1, 2, 128, 16], 128);
            a.key_heads = 1;
        },
    );
    spoilt("query has head size 528, must be up to 512", |a| {
        *a = Attention::of_shape(ACL_FLOAT16, &[1, 2, 1, 528], 1)
    });
    spoilt(
        "query has batch 129, must be up to 128 with head size 72",
        |a| *a = Attention::of_shape(ACL_FLOAT16, &[129, 1, 1, 72], 1),
    );
    spoilt(
        "query has 256 heads of size 256 side by side, must be less than 65535 together",
        |a| {
            *a = Attention::of_shape(ACL_FLOAT16, &[1, 1, 256, 256], 256);
        },
    );
    spoilt(
        "value is f16[2, 5, 4, 8], must have shape [2, 5, 4, 16]",
        |a| a.value = f16(&[2, 5, 4, 8]),
    );
    spoilt("attenMask is f16[5, 5], must be bool, i8 or u8", |a| {
        a.mask = Some(f16(&[5, 5]))
    });
    spoilt(
        "attenMask is bool[4, 5], must have last axes of at least [5, 5]",
        |a| a.mask = Some(of(ACL_BOOL, &[4, 5])),
    );
    spoilt(
        "attenMask is bool[2, 4, 5, 5], must have no, one or two axes before the last two: batch 2 or 1, then 1",
        |a| {
            a.mask = Some(of(ACL_BOOL, &[2, 4, 5, 5]));
        },
    );
    spoilt(
        "pseShift is f16[3, 4, 5, 5], must have shape [2, 4, 5, 5] or [1, 4, 5, 5]",
        |a| a.shift = Some(f16(&[3, 4, 5, 5])),
    );
    spoilt("actualSeqLengthsKv is [5, 6], must be from 0 to 5", |a| {
        a.lengths = vec![5, 6]
    });
    spoilt(
        "actualSeqLengthsKv has 0 lengths, must have 1 or at least 2",
        |a| a.lengths = vec![],
    );
    spoilt("scaleValue is inf, must be finite", |a| {
        a.scale = f64::INFINITY
    });
    spoilt("sparseMode is 2, must be 0 in the twin", |a| a.sparse = 2);
    spoilt("innerPrecise is 4, must be from 0 to 3", |a| a.inner = 4);
    let a = Attention::new();
    // SAFETY: all pointers are null or alive.
    refused(
        INVALID,
        "aclnnPromptFlashAttentionV3: quantScale2 is given, must be null but for i8 inputs or outputs",
        |w, e| unsafe {
            (T.aclnnPromptFlashAttentionV3GetWorkspaceSize.unwrap())(
                a.query.tensor,
                a.key.tensor,
                a.value.tensor,
                null(),
                null(),
                null(),
                null(),
                null(),
                null(),
                null(),
                a.query.tensor,
                null(),
                4,
                1.0,
                0,
                0,
                a.layout.as_ptr().cast_mut(),
                0,
                0,
                0,
                a.out.tensor,
                w,
                e,
            )
        },
    );
}

#[test]
fn norms_are_refused_with_their_reason() {
    let (x, g, z) = (f16(&[2, 4, 6]), f16(&[6]), f16(&[2, 4, 6]));
    let rstd = of(ACL_FLOAT, &[2, 4, 1]);
    let layer = |shape: &[i64], weight: &Array, bias: &Array, mean: *mut aclTensor, text| {
        let shape = ints(shape);
        // SAFETY: all pointers are null or alive.
        refused(INVALID, text, |w, e| unsafe {
            (T.aclnnLayerNormGetWorkspaceSize)(
                x.tensor,
                shape,
                weight.tensor,
                bias.tensor,
                1e-5,
                z.tensor,
                mean,
                null_mut(),
                w,
                e,
            )
        });
    };
    let (f32s, bf16s) = (of(ACL_FLOAT, &[6]), of(ACL_BF16, &[6]));
    layer(
        &[4],
        &g,
        &g,
        null_mut(),
        "aclnnLayerNorm: normalizedShape is [4], must be the last axes of input, f16[2, 4, 6]",
    );
    layer(
        &[],
        &g,
        &g,
        null_mut(),
        "aclnnLayerNorm: normalizedShape is [], must be the last axes of input, f16[2, 4, 6]",
    );
    layer(
        &[6],
        &bf16s,
        &g,
        null_mut(),
        "aclnnLayerNorm: weightOptional is bf16[6], must have the type of input, f16",
    );
    layer(
        &[6],
        &f32s,
        &g,
        null_mut(),
        "aclnnLayerNorm: biasOptional is f16[6], must have the type of weightOptional, f32",
    );
    layer(
        &[4, 6],
        &g,
        &g,
        null_mut(),
        "aclnnLayerNorm: weightOptional is f16[6], must have shape [4, 6]",
    );
    layer(
        &[6],
        &g,
        &g,
        f32s.tensor,
        "aclnnLayerNorm: meanOutOptional is f32[6], must have shape [2, 4, 1]",
    );
    // SAFETY: all pointers are null or alive.
    unsafe {
        let rms = |gamma: &Array, out: &Array, rstd: *const aclTensor, code, text| {
            refused(code, text, |w, e| {
                (T.aclnnRmsNormGetWorkspaceSize)(
                    x.tensor,
                    gamma.tensor,
                    1e-6,
                    out.tensor,
                    rstd,
                    w,
                    e,
                )
            });
        };
        rms(
            &g,
            &z,
            null(),
            NULL,
            "aclnnRmsNorm: rstdOut is a null pointer",
        );
        rms(
            &bf16s,
            &z,
            rstd.tensor,
            INVALID,
            "aclnnRmsNorm: gamma is bf16[6], must have the type of x, f16",
        );
        rms(
            &f16(&[4]),
            &z,
            rstd.tensor,
            INVALID,
            "aclnnRmsNorm: gamma is f16[4], must have the last axes of x, f16[2, 4, 6]",
        );
        rms(
            &g,
            &z,
            g.tensor,
            INVALID,
            "aclnnRmsNorm: rstdOut is f16[6], must be f32",
        );
        rms(
            &g,
            &z,
            f32s.tensor,
            INVALID,
            "aclnnRmsNorm: rstdOut is f32[6], must have shape [2, 4, 1]",
        );
        rms(
            &g,
            &of(ACL_FLOAT, &[2, 4, 6]),
            rstd.tensor,
            INVALID,
            "aclnnRmsNorm: yOut is f32[2, 4, 6], must have the type of x, f16",
        );
        let (scale, moments) = (f16(&[4]), f16(&[2, 2]));
        let group =
            |gamma: *const aclTensor, sizes: [i64; 4], eps, mean: *mut aclTensor, code, text| {
                let [n, c, inner, groups] = sizes;
                refused(code, text, |w, e| {
                    (T.aclnnGroupNormGetWorkspaceSize)(
                        x.tensor,
                        gamma,
                        null(),
                        n,
                        c,
                        inner,
                        groups,
                        eps,
                        z.tensor,
                        mean,
                        moments.tensor,
                        w,
                        e,
                    )
                });
            };
        group(
            scale.tensor,
            [2, 4, 6, 2],
            1e-5,
            null_mut(),
            NULL,
            "aclnnGroupNorm: meanOut is a null pointer",
        );
        group(
            scale.tensor,
            [2, 4, 5, 2],
            1e-5,
            moments.tensor,
            INVALID,
            "aclnnGroupNorm: HxW is 5, must be 6 for self, f16[2, 4, 6]",
        );
        group(
            scale.tensor,
            [2, 4, 6, 3],
            1e-5,
            moments.tensor,
            INVALID,
            "aclnnGroupNorm: group is 3, must be greater than 0 and divide C, 4",
        );
        group(
            scale.tensor,
            [2, 4, 6, 2],
            0.0,
            moments.tensor,
            INVALID,
            "aclnnGroupNorm: eps is 0, must be greater than 0",
        );
        let wide = of(ACL_FLOAT, &[4]);
        group(
            wide.tensor,
            [2, 4, 6, 2],
            1e-5,
            moments.tensor,
            INVALID,
            "aclnnGroupNorm: gamma is f32[4], must have the type of self, f16",
        );
        group(
            scale.tensor,
            [2, 4, 6, 4],
            1e-5,
            moments.tensor,
            INVALID,
            "aclnnGroupNorm: meanOut is f16[2, 2], must have shape [2, 4]",
        );
        refused(
            INVALID,
            "aclnnSoftmax: dim is 3, must be from -3 to 2",
            |w, e| (T.aclnnSoftmaxGetWorkspaceSize)(x.tensor, 3, z.tensor, w, e),
        );
    }
}

#[test]
fn reductions_are_refused_with_their_reason() {
    let (x, z) = (f16(&[2, 4, 6]), f16(&[2, 6]));
    // SAFETY: all pointers are null or alive.
    unsafe {
        refused(NULL, "aclnnMean: dim is a null pointer", |w, e| {
            (T.aclnnMeanGetWorkspaceSize)(x.tensor, null(), false, ACL_FLOAT16, z.tensor, w, e)
        });
        refused(
            INVALID,
            "aclnnMean: dim is 3, must be from -3 to 2",
            |w, e| {
                (T.aclnnMeanGetWorkspaceSize)(
                    x.tensor,
                    ints(&[3]),
                    false,
                    ACL_FLOAT16,
                    z.tensor,
                    w,
                    e,
                )
            },
        );
        refused(
            INVALID,
            "aclnnMean: dim is [1, -2], must name an axis once",
            |w, e| {
                (T.aclnnMeanGetWorkspaceSize)(
                    x.tensor,
                    ints(&[1, -2]),
                    false,
                    ACL_FLOAT16,
                    z.tensor,
                    w,
                    e,
                )
            },
        );
        refused(
            INVALID,
            "aclnnMean: dtype is i32, must be f32, f16 or bf16",
            |w, e| {
                (T.aclnnMeanGetWorkspaceSize)(
                    x.tensor,
                    ints(&[1]),
                    false,
                    ACL_INT32,
                    z.tensor,
                    w,
                    e,
                )
            },
        );
        refused(
            INVALID,
            "aclnnMean: out is f16[2, 6], must have shape [2, 1, 6]",
            |w, e| {
                (T.aclnnMeanGetWorkspaceSize)(
                    x.tensor,
                    ints(&[1]),
                    true,
                    ACL_FLOAT16,
                    z.tensor,
                    w,
                    e,
                )
            },
        );
        refused(
            INVALID,
            "aclnnReduceSum: dtype is f32, must be the type of out, f16",
            |w, e| {
                (T.aclnnReduceSumGetWorkspaceSize)(
                    x.tensor,
                    ints(&[1]),
                    false,
                    ACL_FLOAT,
                    z.tensor,
                    w,
                    e,
                )
            },
        );
        let wide = of(ACL_FLOAT, &[2, 6]);
        refused(
            INVALID,
            "aclnnAmax: out is f32[2, 6], must have the type of self, f16",
            |w, e| (T.aclnnAmaxGetWorkspaceSize)(x.tensor, ints(&[1]), false, wide.tensor, w, e),
        );
        let empty = f16(&[2, 0, 6]);
        refused(
            INVALID,
            "aclnnAmax: self is f16[2, 0, 6], must not be empty along dim 1",
            |w, e| (T.aclnnAmaxGetWorkspaceSize)(empty.tensor, ints(&[1]), false, z.tensor, w, e),
        );
    }
}

#[test]
fn movement_is_refused_with_its_reason() {
    let (x, z) = (f16(&[2, 3]), f16(&[3, 2]));
    // SAFETY: all pointers are null or alive.
    unsafe {
        let permute = |dims: &[i64], out: &Array, text| {
            refused(INVALID, text, |w, e| {
                (T.aclnnPermuteGetWorkspaceSize)(x.tensor, ints(dims), out.tensor, w, e)
            });
        };
        permute(
            &[1],
            &z,
            "aclnnPermute: dims is [1], must name all axes of self, f16[2, 3]",
        );
        permute(&[1, 2], &z, "aclnnPermute: dims is 2, must be from -2 to 1");
        permute(
            &[1, 0],
            &x,
            "aclnnPermute: out is f16[2, 3], must have shape [3, 2]",
        );
        permute(
            &[1, 0],
            &of(ACL_BF16, &[3, 2]),
            "aclnnPermute: out is bf16[3, 2], must have the type of self, f16",
        );
        refused(
            INVALID,
            "aclnnInplaceCopy: src is f16[3, 2], must broadcast to selfRef, f16[2, 3]",
            |w, e| (T.aclnnInplaceCopyGetWorkspaceSize)(x.tensor, z.tensor, w, e),
        );
        refused(
            NULL,
            "aclnnInplaceZero: selfRef is a null pointer",
            |w, e| (T.aclnnInplaceZeroGetWorkspaceSize)(null_mut(), w, e),
        );
        let cat = |parts: &[&Array], dim, out: &Array, text| {
            let parts = list(parts);
            refused(INVALID, text, |w, e| {
                (T.aclnnCatGetWorkspaceSize)(parts, dim, out.tensor, w, e)
            });
        };
        cat(
            &[&x, &z],
            0,
            &f16(&[5, 3]),
            "aclnnCat: tensors[1] is f16[3, 2], must be like tensors[0], f16[2, 3], but along dim 0",
        );
        cat(
            &[&x, &x],
            2,
            &f16(&[4, 3]),
            "aclnnCat: dim is 2, must be from -2 to 1",
        );
        cat(
            &[&x, &x],
            0,
            &f16(&[3, 3]),
            "aclnnCat: out is f16[3, 3], must have shape [4, 3]",
        );
        cat(
            &[&x, &of(ACL_INT32, &[2, 3])],
            0,
            &f16(&[4, 3]),
            "aclnnCat: tensors[1] is i32[2, 3], must have the type of tensors[0], f16[2, 3]",
        );
        let pad = |pads: &[i64], out: &Array, text| {
            refused(INVALID, text, |w, e| {
                (T.aclnnConstantPadNdGetWorkspaceSize)(
                    x.tensor,
                    ints(pads),
                    scalar(0.0),
                    out.tensor,
                    w,
                    e,
                )
            });
        };
        pad(
            &[1],
            &x,
            "aclnnConstantPadNd: pad is [1], must be an even number of up to 4",
        );
        pad(
            &[1; 6],
            &x,
            "aclnnConstantPadNd: pad is [1, 1, 1, 1, 1, 1], must be an even number of up to 4",
        );
        pad(
            &[-2, -2],
            &x,
            "aclnnConstantPadNd: pad is [-2, -2], must leave axes of self, f16[2, 3], of 0 or more",
        );
        pad(
            &[1, 1],
            &x,
            "aclnnConstantPadNd: out is f16[2, 3], must have shape [2, 5]",
        );
        let indices = of(ACL_INT64, &[4]);
        let look = |weight: &Array, indices: &Array, out: &Array, text| {
            refused(INVALID, text, |w, e| {
                (T.aclnnEmbeddingGetWorkspaceSize)(weight.tensor, indices.tensor, out.tensor, w, e)
            });
        };
        look(
            &x,
            &x,
            &f16(&[4, 3]),
            "aclnnEmbedding: indices is f16[2, 3], must be i64 or i32",
        );
        look(
            &f16(&[3]),
            &indices,
            &f16(&[4, 3]),
            "aclnnEmbedding: weight is f16[3], must have 2 axes",
        );
        look(
            &x,
            &indices,
            &f16(&[4, 2]),
            "aclnnEmbedding: out is f16[4, 2], must have shape [4, 3]",
        );
        let (small, large) = (
            ncdhw(ACL_FLOAT16, &[1, 2, 3, 4, 5]),
            ncdhw(ACL_FLOAT16, &[1, 2, 6, 8, 10]),
        );
        let nearest = |x: &Array, size: &[i64], scale, out: &Array, text| {
            refused(INVALID, text, |w, e| {
                (T.aclnnUpsampleNearest3dGetWorkspaceSize)(
                    x.tensor,
                    ints(size),
                    scale,
                    0.0,
                    0.0,
                    out.tensor,
                    w,
                    e,
                )
            });
        };
        nearest(
            &f16(&[1, 2, 3, 4, 5]),
            &[6, 8, 10],
            0.0,
            &large,
            "aclnnUpsampleNearest3d: self has format ND, must have NCDHW",
        );
        nearest(
            &f16(&[2, 3, 4, 5]),
            &[6, 8, 10],
            0.0,
            &large,
            "aclnnUpsampleNearest3d: self is f16[2, 3, 4, 5], must have 5 axes",
        );
        nearest(
            &small,
            &[6, 8],
            0.0,
            &large,
            "aclnnUpsampleNearest3d: outputSize is [6, 8], must be 3 numbers greater than 0",
        );
        nearest(
            &small,
            &[6, 8, 10],
            f64::NAN,
            &large,
            "aclnnUpsampleNearest3d: scales are [NaN, 0.0, 0.0], must be 0 or greater",
        );
        nearest(
            &small,
            &[6, 8, 9],
            0.0,
            &large,
            "aclnnUpsampleNearest3d: out is f16[1, 2, 6, 8, 10], must have shape [1, 2, 6, 8, 9]",
        );
        let bf16s = ncdhw(ACL_BF16, &[1, 2, 6, 8, 10]);
        refused(
            INVALID,
            "aclnnUpsampleTrilinear3d: out is bf16[1, 2, 6, 8, 10], must have the type of self, f16",
            |w, e| {
                (T.aclnnUpsampleTrilinear3dGetWorkspaceSize)(
                    small.tensor,
                    ints(&[6, 8, 10]),
                    false,
                    0.0,
                    0.0,
                    0.0,
                    bf16s.tensor,
                    w,
                    e,
                )
            },
        );
    }
}
