use super::*;
use std::ffi::CStr;

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
