//! `aclnnFlashAttentionScore`: the attention of training, which also gives the softmax's maxima and sums.

use super::Attention;
use super::layout::Layout::{self, Bnsd, Bsh, Bsnd, Sbh};
use crate::array::View;
use crate::nnop::{Checked, Task, Tensor, ints, optional_tensor, prepare, tensor};
use crate::ops::{CUBE_WORKSPACE, Plan, phase_2};
use crate::rules::{self, FLOATS, describe};
use cann_sys::*;
use std::ffi::c_char;

phase_2!(aclnnFlashAttentionScore);

/// Heads, at most.
const MAX_HEADS: usize = 256;
/// Size of a head, at most.
const MAX_HEAD_SIZE: usize = 768;
/// Elements between neighbouring tokens, at most; aclnn transposes where there are more.
const MAX_TOKEN_STRIDE: usize = 65535;

/// `softmax(scaleValue * (query key^T + realShift), masked) value`. The shift is scaled too.
///
/// # Safety
/// `inputLayout` is null or a C string.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclnnFlashAttentionScoreGetWorkspaceSize(
    query: *const aclTensor,
    key: *const aclTensor,
    value: *const aclTensor,
    real_shift: *const aclTensor,
    drop_mask: *const aclTensor,
    padding_mask: *const aclTensor,
    atten_mask: *const aclTensor,
    prefix: *const aclIntArray,
    scale_value: f64,
    keep_prob: f64,
    pre_tokens: i64,
    next_tokens: i64,
    head_num: i64,
    input_layout: *mut c_char,
    inner_precise: i64,
    sparse_mode: i64,
    softmax_max: *const aclTensor,
    softmax_sum: *const aclTensor,
    softmax_out: *const aclTensor,
    attention_out: *const aclTensor,
    workspace_size: *mut u64,
    executor: *mut *mut aclOpExecutor,
) -> aclnnStatus {
    prepare("aclnnFlashAttentionScore", workspace_size, executor, || {
        // SAFETY: promised by the caller.
        let layout = unsafe { Layout::parse(input_layout, &[Bsh, Sbh, Bsnd, Bnsd]) }?;
        let operands = Operands {
            query: tensor("query", query)?,
            key: tensor("key", key)?,
            value: tensor("value", value)?,
            shift: optional_tensor("realShiftOptional", real_shift)?,
            mask: optional_tensor("attenMaskOptional", atten_mask)?,
            maxima: tensor("softmaxMaxOut", softmax_max)?,
            sums: tensor("softmaxSumOut", softmax_sum)?,
            out: tensor("attentionOutOut", attention_out)?,
        };
        if let Some(unused) = optional_tensor("softmaxOutOut", softmax_out)? {
            rules::operand("softmaxOutOut", &unused, FLOATS)?;
        }
        for (what, given) in [
            (
                "dropMaskOptional",
                optional_tensor("dropMaskOptional", drop_mask)?,
            ),
            (
                "paddingMaskOptional",
                optional_tensor("paddingMaskOptional", padding_mask)?,
            ),
        ] {
            let empty = given.is_none_or(|t| t.shape.contains(&0));
            rules::require(empty, || {
                format!("{what} is given, must be null: the twin has no dropout or padding mask")
            })?;
        }
        if !prefix.is_null() {
            let given = ints("prefixOptional", prefix)?;
            rules::require(given.is_empty(), || {
                format!("prefixOptional is {given:?}, must be null with sparseMode 0")
            })?;
        }
        rules::require(keep_prob == 1.0, || {
            format!("keepProb is {keep_prob}, must be 1: the twin has no dropout")
        })?;
        rules::require(sparse_mode == 0, || {
            format!("sparseMode is {sparse_mode}, must be 0 in the twin")
        })?;
        rules::require([0, 1, 2].contains(&inner_precise), || {
            format!("innerPrecise is {inner_precise}, must be 0, 1 or 2")
        })?;
        rules::require(scale_value.is_finite(), || {
            format!("scaleValue is {scale_value}, must be finite")
        })?;
        flash(
            operands,
            layout,
            head_num,
            scale_value as f32,
            [pre_tokens, next_tokens],
            inner_precise == 2,
        )
    })
}

struct Operands {
    query: Tensor,
    key: Tensor,
    value: Tensor,
    shift: Option<Tensor>,
    mask: Option<Tensor>,
    maxima: Tensor,
    sums: Tensor,
    out: Tensor,
}

fn flash(
    t: Operands,
    layout: Layout,
    head_num: i64,
    scale: f32,
    window: [i64; 2],
    masked_rows_are_zero: bool,
) -> Checked<Task> {
    rules::operand("query", &t.query, FLOATS)?;
    for (what, other) in [
        ("key", &t.key),
        ("value", &t.value),
        ("attentionOutOut", &t.out),
    ] {
        rules::operand(what, other, FLOATS)?;
        rules::same_type(what, other, "query", &t.query)?;
    }
    rules::require((1..=MAX_HEADS as i64).contains(&head_num), || {
        format!("headNum is {head_num}, must be from 1 to {MAX_HEADS}")
    })?;
    let heads = head_num as usize;
    let q = layout.sizes("query", &t.query, heads, "headNum")?;
    let [batch, _, rows, width] = q;
    // Keys may have fewer heads. Where heads are no axis of their own, the head size tells how many.
    let axis = match layout {
        Bnsd => 1,
        _ => 2,
    };
    let key_heads = match layout {
        Bsnd | Bnsd => t.key.shape.get(axis).copied(),
        Bsh | Sbh => t.key.shape.get(axis).map(|h| h / width),
    };
    let key_heads = key_heads.unwrap_or(heads).max(1);
    let k = layout.sizes("key", &t.key, key_heads, "its heads")?;
    let v = layout.sizes("value", &t.value, key_heads, "the heads of key")?;
    let keys = k[2];
    rules::require(heads.is_multiple_of(key_heads), || {
        format!(
            "key is {}, must have a number of heads that divides headNum, {heads}",
            describe(&t.key)
        )
    })?;
    rules::require(k[0] == batch && k[3] == width, || {
        format!(
            "key is {}, must have batch {batch} and head size {width} like query",
            describe(&t.key)
        )
    })?;
    rules::require(v[..3] == k[..3] && v[3] <= width, || {
        format!(
            "value is {}, must have batch, heads and length of key, {:?}, and a head size up to {width}",
            describe(&t.value),
            &k[..3]
        )
    })?;
    rules::require(width <= MAX_HEAD_SIZE, || {
        format!("query has head size {width}, must be up to {MAX_HEAD_SIZE}")
    })?;
    let mut out_shape = t.query.shape.clone();
    if v[3] != width {
        let last = out_shape.last_mut().expect("the rank is checked");
        *last = *last / width * v[3];
    }
    rules::shape("attentionOutOut", &t.out, &out_shape)?;
    for (what, statistic) in [("softmaxMaxOut", &t.maxima), ("softmaxSumOut", &t.sums)] {
        rules::operand(what, statistic, &[ACL_FLOAT])?;
        rules::shape(what, statistic, &[batch, heads, rows, 8])?;
    }
    if let Some(shift) = &t.shift {
        rules::operand("realShiftOptional", shift, FLOATS)?;
        rules::same_type("realShiftOptional", shift, "query", &t.query)?;
        let shapes = [
            [batch, heads, rows, keys],
            [1, heads, rows, keys],
            [batch, heads, 1, keys],
        ];
        one_of_shapes(
            "realShiftOptional",
            shift,
            &shapes.each_ref().map(|s| &s[..]),
        )?;
    }
    if let Some(mask) = &t.mask {
        rules::operand("attenMaskOptional", mask, &[ACL_BOOL, ACL_UINT8])?;
        let shapes = [
            [batch, heads, rows, keys],
            [batch, 1, rows, keys],
            [1, 1, rows, keys],
        ];
        let [a, b, c] = shapes.each_ref().map(|s| &s[..]);
        one_of_shapes("attenMaskOptional", mask, &[a, b, c, &[rows, keys]])?;
        rules::require(window[0] >= rows as i64 && window[1] >= keys as i64, || {
            format!(
                "preTokens and nextTokens are {window:?}, must be at least {:?} beside a mask, or CANN leaves out what is farther",
                [rows, keys]
            )
        })?;
    }
    let plan = plan(&t, layout, q, v);
    Ok(plan.task(CUBE_WORKSPACE, move |access| {
        let full = [batch, heads, rows, keys];
        let wide = |t: &Option<Tensor>| t.as_ref().map(|t| View::of(t, access).broadcast(&full));
        Attention {
            query: layout.view(&t.query, access, width),
            key: layout.view(&t.key, access, width),
            value: layout.view(&t.value, access, v[3]),
            out: layout.view(&t.out, access, v[3]),
            shift: wide(&t.shift),
            shift_is_scaled: true,
            mask: wide(&t.mask),
            scale,
            query_lengths: vec![rows; batch],
            key_lengths: vec![keys; batch],
            masked_rows_are_zero,
            statistics: Some([View::of(&t.maxima, access), View::of(&t.sums, access)]),
        }
        .run();
    }))
}

/// Refuses a shape that is none of these.
pub(super) fn one_of_shapes(what: &str, t: &Tensor, shapes: &[&[usize]]) -> Checked<()> {
    rules::require(shapes.contains(&t.shape.as_slice()), || {
        let names: Vec<_> = shapes.iter().map(|s| format!("{s:?}")).collect();
        format!(
            "{what} is {}, must have shape {}",
            describe(t),
            rules::one_of(&names)
        )
    })
}

/// What aclnn does around the kernel: contiguous copies; heads padded to what the kernel takes; operands transposed
/// where tokens lie too far apart.
fn plan(
    t: &Operands,
    layout: Layout,
    [batch, heads, rows, width]: [usize; 4],
    v: [usize; 4],
) -> Plan {
    let [_, key_heads, keys, value_width] = v;
    let mut plan = Plan::default();
    for operand in [
        Some(&t.query),
        Some(&t.key),
        Some(&t.value),
        t.shift.as_ref(),
        t.mask.as_ref(),
    ] {
        operand.into_iter().for_each(|t| plan.read_contiguous(t));
    }
    let grain = if width < 196 { 16 } else { 128 };
    let [padded, value_padded] = [width, value_width].map(|n| n.next_multiple_of(grain));
    let token = heads * padded * if layout == Sbh { batch } else { 1 };
    let transposed = layout.tokens_first() && token > MAX_TOKEN_STRIDE;
    // The kernel takes 72 and 88 as they are.
    let taken = |n: usize| {
        [72, 88].contains(&n) && layout.tokens_first() && heads == key_heads && !transposed
    };
    let element = rules::bytes(&t.query) / t.query.shape.iter().product::<usize>() as u64;
    let size = |n: usize, rows: usize, width: usize| (batch * n * rows * width) as u64 * element;
    if padded != width && !taken(width) {
        plan.copy(size(heads, rows, padded));
        plan.copy(size(key_heads, keys, padded));
    }
    if value_padded != value_width && !taken(value_width) {
        plan.copy(size(key_heads, keys, value_padded));
        plan.copy(size(heads, rows, value_width));
    }
    if transposed {
        plan.copy(size(heads, rows, padded));
        plan.copy(size(key_heads, keys, padded));
        plan.copy(size(key_heads, keys, value_padded));
        plan.copy(size(heads, rows, value_padded));
    }
    plan.write(&t.out);
    plan.write(&t.maxima);
    plan.write(&t.sums);
    plan
}
