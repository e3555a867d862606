//! Attention, and the softmax.

use std::ffi::{CStr, c_char};
use std::ptr::null;

use super::{Argument, Ops, Prepared, Tensor, raw};
use crate::cann::Cann;
use crate::{Error, Result};

/// How many keys before and behind a query it may look at: all.
const ALL_TOKENS: i64 = i32::MAX as i64;
/// Every query looks at every key that no mask hides.
const NOT_SPARSE: i64 = 0;

/// The order of axes of queries, keys, values and results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttentionLayout {
    /// `[B, L, N * K]`.
    Bsh,
    /// `[B, L, N, K]`.
    Bsnd,
    /// `[B, N, L, K]`.
    Bnsd,
    /// `[L, B, N * K]`.
    Sbh,
}

impl AttentionLayout {
    /// CANN's name, for parameters that are not `const` but are only read.
    fn raw(self) -> *mut c_char {
        let name: &'static CStr = match self {
            Self::Bsh => c"BSH",
            Self::Bsnd => c"BSND",
            Self::Bnsd => c"BNSD",
            Self::Sbh => c"SBH",
        };
        name.as_ptr().cast_mut()
    }
}

/// The arguments of `aclnnFlashAttentionScore`.
#[derive(Clone, Copy, Debug)]
pub struct FlashArgs<'a> {
    /// In the layout.
    pub query: &'a Tensor,
    /// In the layout.
    pub key: &'a Tensor,
    /// In the layout.
    pub value: &'a Tensor,
    /// Added to the scores: `[B, N, L_q, L_k]`, or with 1 for `B` or `L_q`.
    pub bias: Option<&'a Tensor>,
    /// 1 where a query does not look at a key: `[B, N, L_q, L_k]`, `[B, 1, L_q, L_k]`,
    /// `[1, 1, L_q, L_k]` or `[L_q, L_k]`.
    pub mask: Option<&'a Tensor>,
    /// Whether the mask may hide all keys from a query.
    pub masked_rows: bool,
    /// `N`.
    pub heads: usize,
    /// What scores are multiplied by.
    pub scale: f64,
    /// Of query, key, value and result.
    pub layout: AttentionLayout,
    /// The largest scores, an output that CANN insists on: `f32[B, N, L_q, 8]`.
    pub softmax_max: &'a Tensor,
    /// The sums of the softmax, an output that CANN insists on: `f32[B, N, L_q, 8]`.
    pub softmax_sum: &'a Tensor,
    /// The result, in the layout.
    pub out: &'a Tensor,
}

/// The arguments of `aclnnPromptFlashAttentionV3`.
#[derive(Clone, Copy, Debug)]
pub struct PromptArgs<'a> {
    /// In the layout.
    pub query: &'a Tensor,
    /// In the layout.
    pub key: &'a Tensor,
    /// In the layout.
    pub value: &'a Tensor,
    /// Added to the scores: `[B, N, L_q, L_k]` or `[1, N, L_q, L_k]`.
    pub bias: Option<&'a Tensor>,
    /// 1 where a query does not look at a key: `[B, 1, L_q, L_k]`, `[1, 1, L_q, L_k]` or `[L_q, L_k]`.
    pub mask: Option<&'a Tensor>,
    /// The number of queries per batch row; all where absent.
    pub lengths: Option<&'a [i64]>,
    /// The number of keys per batch row; all where absent.
    pub key_lengths: Option<&'a [i64]>,
    /// Whether all keys may be hidden from a query.
    pub masked_rows: bool,
    /// Whether the softmax of `f16` may be computed in `f16`, which is faster.
    pub half_softmax: bool,
    /// `N`.
    pub heads: usize,
    /// `N` of keys and values.
    pub key_heads: usize,
    /// What scores are multiplied by.
    pub scale: f64,
    /// Of query, key, value and result.
    pub layout: AttentionLayout,
    /// The result, in the layout.
    pub out: &'a Tensor,
}

impl Ops<'_> {
    /// Attention as for training: any head size up to 768, and masks of the full size.
    ///
    /// # Errors
    /// CANN's refusal.
    pub fn flash_attention(&self, args: FlashArgs<'_>) -> Result<Prepared> {
        let f = self.functions();
        let arguments: [&dyn Argument; 8] = [
            args.query,
            args.key,
            args.value,
            &args.bias,
            &args.mask,
            args.softmax_max,
            args.softmax_sum,
            args.out,
        ];
        let keep_all = 1.0;
        let inner_precise = if args.masked_rows { 2 } else { 0 };
        let launch = f.aclnnFlashAttentionScore;
        self.call(
            "aclnnFlashAttentionScore",
            launch,
            &arguments,
            |workspace, executor| {
                // SAFETY: see `Ops::call`; the layout's name is static and only read.
                unsafe {
                    (f.aclnnFlashAttentionScoreGetWorkspaceSize)(
                        args.query.raw(),
                        args.key.raw(),
                        args.value.raw(),
                        raw(args.bias),
                        null(), // drop mask
                        null(), // padding mask
                        raw(args.mask),
                        null(), // prefix
                        args.scale,
                        keep_all,
                        ALL_TOKENS,
                        ALL_TOKENS,
                        super::signed(args.heads),
                        args.layout.raw(),
                        inner_precise,
                        NOT_SPARSE,
                        args.softmax_max.raw(),
                        args.softmax_sum.raw(),
                        null(), // softmax
                        args.out.raw(),
                        workspace,
                        executor,
                    )
                }
            },
        )
    }

    /// Attention as for inference, with numbers of keys per batch row.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where [`Cann::has_prompt_attention`] is not so, and CANN's refusal.
    pub fn prompt_attention(&self, args: PromptArgs<'_>) -> Result<Prepared> {
        let f = self.functions();
        let name = "aclnnPromptFlashAttentionV3";
        let first = f.aclnnPromptFlashAttentionV3GetWorkspaceSize;
        let (Some(first), Some(launch)) = (first, f.aclnnPromptFlashAttentionV3) else {
            return Err(absent(self.context.cann(), self.context.name(), name));
        };
        let ints = |values: Option<&[i64]>| values.map(|values| self.ints(values)).transpose();
        let (lengths, key_lengths) = (ints(args.lengths)?, ints(args.key_lengths)?);
        let raw_ints = |ints: &Option<_>| ints.as_ref().map_or(null(), raw_of);
        let arguments: [&dyn Argument; 8] = [
            args.query,
            args.key,
            args.value,
            &args.bias,
            &args.mask,
            &lengths,
            &key_lengths,
            args.out,
        ];
        let inner_precise = i64::from(args.half_softmax) | i64::from(args.masked_rows) << 1;
        self.call(name, launch, &arguments, |workspace, executor| {
            // SAFETY: see `Ops::call`; the layout's name is static and only read.
            unsafe {
                first(
                    args.query.raw(),
                    args.key.raw(),
                    args.value.raw(),
                    raw(args.bias),
                    raw(args.mask),
                    raw_ints(&lengths),
                    raw_ints(&key_lengths),
                    null(), // scales and offset of quantised tensors
                    null(),
                    null(),
                    null(),
                    null(),
                    super::signed(args.heads),
                    args.scale,
                    ALL_TOKENS,
                    ALL_TOKENS,
                    args.layout.raw(),
                    super::signed(args.key_heads),
                    NOT_SPARSE,
                    inner_precise,
                    args.out.raw(),
                    workspace,
                    executor,
                )
            }
        })
    }

    /// `out = exp(x) / sum(exp(x))` along an axis.
    ///
    /// # Errors
    /// CANN's refusal.
    pub fn softmax(&self, x: &Tensor, axis: usize, out: &Tensor) -> Result<Prepared> {
        let f = self.functions();
        self.call(
            "aclnnSoftmax",
            f.aclnnSoftmax,
            &[x, out],
            |workspace, executor| {
                let (first, axis) = (f.aclnnSoftmaxGetWorkspaceSize, super::signed(axis));
                // SAFETY: see `Ops::call`.
                unsafe { first(x.raw(), axis, out.raw_mut(), workspace, executor) }
            },
        )
    }
}

fn raw_of(ints: &std::sync::Arc<super::Ints>) -> *const cann_sys::aclIntArray {
    ints.raw()
}

fn absent(cann: &Cann, device: &str, name: &str) -> Error {
    Error::Unavailable {
        device: device.to_owned(),
        what: format!("{} has no {name}", cann.version()),
    }
}
