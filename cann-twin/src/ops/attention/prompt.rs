//! `aclnnPromptFlashAttentionV3`: the attention of inference, with a length per sample.

use super::Attention;
use super::flash::one_of_shapes;
use super::layout::Layout::{self, Bnsd, Bsh, Bsnd};
use crate::array::View;
use crate::nnop::{Checked, Task, Tensor, optional_ints, optional_tensor, prepare, tensor};
use crate::ops::{CUBE_WORKSPACE, Plan, phase_2};
use crate::rules::{self, HALVES, describe};
use cann_sys::*;
use std::ffi::c_char;

phase_2!(aclnnPromptFlashAttentionV3);

/// Samples, at most; of heads whose size is no multiple of 16, fewer.
const MAX_BATCH: usize = 65536;
const MAX_BATCH_UNALIGNED: usize = 128;
/// Heads, at most.
const MAX_HEADS: i64 = 256;
/// Heads of the query for one of the keys, at most.
const MAX_HEADS_PER_KEY_HEAD: usize = 64;
/// Size of a head, at most.
const MAX_HEAD_SIZE: usize = 512;
/// What all heads of a token must be less than where they lie side by side.
const TOKEN_SIZE_LIMIT: usize = 65535;

/// `softmax(scaleValue * query key^T + pseShift, masked) value` over the first `actualSeqLengthsKv` keys.
///
/// # Safety
/// `inputLayout` is null or a C string.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclnnPromptFlashAttentionV3GetWorkspaceSize(
    query: *const aclTensor,
    key: *const aclTensor,
    value: *const aclTensor,
    pse_shift: *const aclTensor,
    atten_mask: *const aclTensor,
    actual_seq_lengths: *const aclIntArray,
    actual_seq_lengths_kv: *const aclIntArray,
    deq_scale1: *const aclTensor,
    quant_scale1: *const aclTensor,
    deq_scale2: *const aclTensor,
    quant_scale2: *const aclTensor,
    quant_offset2: *const aclTensor,
    num_heads: i64,
    scale_value: f64,
    pre_tokens: i64,
    next_tokens: i64,
    input_layout: *mut c_char,
    num_key_value_heads: i64,
    sparse_mode: i64,
    inner_precise: i64,
    attention_out: *const aclTensor,
    workspace_size: *mut u64,
    executor: *mut *mut aclOpExecutor,
) -> aclnnStatus {
    prepare(
        "aclnnPromptFlashAttentionV3",
        workspace_size,
        executor,
        || {
            // SAFETY: promised by the caller.
            let layout = unsafe { Layout::parse(input_layout, &[Bsh, Bsnd, Bnsd]) }?;
            let operands = Operands {
                query: tensor("query", query)?,
                key: tensor("key", key)?,
                value: tensor("value", value)?,
                shift: optional_tensor("pseShift", pse_shift)?,
                mask: optional_tensor("attenMask", atten_mask)?,
                out: tensor("attentionOut", attention_out)?,
            };
            for (what, given) in [
                ("deqScale1", deq_scale1),
                ("quantScale1", quant_scale1),
                ("deqScale2", deq_scale2),
                ("quantScale2", quant_scale2),
                ("quantOffset2", quant_offset2),
            ] {
                rules::require(given.is_null(), || {
                    format!("{what} is given, must be null but for i8 inputs or outputs")
                })?;
            }
            rules::require(sparse_mode == 0, || {
                format!("sparseMode is {sparse_mode}, must be 0 in the twin")
            })?;
            rules::require((0..4).contains(&inner_precise), || {
                format!("innerPrecise is {inner_precise}, must be from 0 to 3")
            })?;
            rules::require(scale_value.is_finite(), || {
                format!("scaleValue is {scale_value}, must be finite")
            })?;
            let lengths = [
                (
                    "actualSeqLengths",
                    optional_ints("actualSeqLengths", actual_seq_lengths)?,
                ),
                (
                    "actualSeqLengthsKv",
                    optional_ints("actualSeqLengthsKv", actual_seq_lengths_kv)?,
                ),
            ];
            let heads = [num_heads, num_key_value_heads];
            let window = [pre_tokens, next_tokens];
            prompt(
                operands,
                layout,
                heads,
                lengths,
                window,
                scale_value as f32,
                inner_precise >= 2,
            )
        },
    )
}

struct Operands {
    query: Tensor,
    key: Tensor,
    value: Tensor,
    shift: Option<Tensor>,
    mask: Option<Tensor>,
    out: Tensor,
}

fn prompt(
    t: Operands,
    layout: Layout,
    [heads, key_heads]: [i64; 2],
    [query_lengths, key_lengths]: [(&str, Option<Vec<i64>>); 2],
    window: [i64; 2],
    scale: f32,
    masked_rows_are_zero: bool,
) -> Checked<Task> {
    rules::operand("query", &t.query, HALVES)?;
    for (what, other) in [
        ("key", &t.key),
        ("value", &t.value),
        ("attentionOut", &t.out),
    ] {
        rules::operand(what, other, HALVES)?;
        rules::same_type(what, other, "query", &t.query)?;
    }
    rules::require((1..=MAX_HEADS).contains(&heads), || {
        format!("numHeads is {heads}, must be from 1 to {MAX_HEADS}")
    })?;
    let given = key_heads;
    let key_heads = if given == 0 { heads } else { given };
    rules::require(key_heads > 0 && heads % key_heads == 0, || {
        format!("numKeyValueHeads is {given}, must be 0 or divide numHeads, {heads}")
    })?;
    let (heads, key_heads) = (heads as usize, key_heads as usize);
    rules::require(heads / key_heads <= MAX_HEADS_PER_KEY_HEAD, || {
        format!(
            "numKeyValueHeads is {given}, must be at least numHeads, {heads}, by {MAX_HEADS_PER_KEY_HEAD}"
        )
    })?;
    let [batch, _, rows, width] = layout.sizes("query", &t.query, heads, "numHeads")?;
    let k = layout.sizes("key", &t.key, key_heads, "numKeyValueHeads")?;
    let keys = k[2];
    rules::require(k[0] == batch && k[3] == width, || {
        format!(
            "key is {}, must have batch {batch} and head size {width} like query",
            describe(&t.key)
        )
    })?;
    rules::shape("value", &t.value, &t.key.shape)?;
    rules::shape("attentionOut", &t.out, &t.query.shape)?;
    rules::require(width <= MAX_HEAD_SIZE, || {
        format!("query has head size {width}, must be up to {MAX_HEAD_SIZE}")
    })?;
    let most = if width % 16 == 0 {
        MAX_BATCH
    } else {
        MAX_BATCH_UNALIGNED
    };
    rules::require(batch <= most, || {
        format!("query has batch {batch}, must be up to {most} with head size {width}")
    })?;
    rules::require(
        !layout.tokens_first() || heads * width < TOKEN_SIZE_LIMIT,
        || {
            format!(
                "query has {heads} heads of size {width} side by side, must be less than {TOKEN_SIZE_LIMIT} together"
            )
        },
    )?;
    if let Some(shift) = &t.shift {
        rules::operand("pseShift", shift, HALVES)?;
        rules::same_type("pseShift", shift, "query", &t.query)?;
        at_least("pseShift", shift, rows, keys)?;
        let [q, k] = [2, 3].map(|axis| shift.shape.get(axis).copied().unwrap_or(0));
        let shapes = [[batch, heads, q, k], [1, heads, q, k]];
        one_of_shapes("pseShift", shift, &shapes.each_ref().map(|s| &s[..]))?;
    }
    if let Some(mask) = &t.mask {
        rules::operand("attenMask", mask, &[ACL_BOOL, ACL_INT8, ACL_UINT8])?;
        at_least("attenMask", mask, rows, keys)?;
        let lead = &mask.shape[..mask.shape.len() - 2];
        let fits = matches!(lead, [] | [1] | [1, 1]) || *lead == [batch] || *lead == [batch, 1];
        rules::require(fits, || {
            format!(
                "attenMask is {}, must have no, one or two axes before the last two: batch {batch} or 1, then 1",
                describe(mask)
            )
        })?;
        rules::require(window[0] >= rows as i64 && window[1] >= keys as i64, || {
            format!(
                "preTokens and nextTokens are {window:?}, must be at least {:?} beside a mask, or CANN leaves out what is farther",
                [rows, keys]
            )
        })?;
    }
    let query_lengths = each(query_lengths, batch, rows)?;
    let key_lengths = each(key_lengths, batch, keys)?;
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
    plan.write(&t.out);
    Ok(plan.task(CUBE_WORKSPACE, move |access| {
        let full = [batch, heads, rows, keys];
        let wide = |t: &Option<Tensor>| t.as_ref().map(|t| part(&View::of(t, access), &full));
        Attention {
            query: layout.view(&t.query, access, width),
            key: layout.view(&t.key, access, width),
            value: layout.view(&t.value, access, width),
            out: layout.view(&t.out, access, width),
            shift: wide(&t.shift),
            shift_is_scaled: false,
            mask: wide(&t.mask),
            scale,
            query_lengths: query_lengths.clone(),
            key_lengths: key_lengths.clone(),
            masked_rows_are_zero,
            statistics: None,
        }
        .run();
    }))
}

/// Refuses a tensor whose last two axes do not cover all scores.
fn at_least(what: &str, t: &Tensor, rows: usize, keys: usize) -> Checked<()> {
    rules::rank(what, t, 2..=4)?;
    let covers = matches!(t.shape[..], [.., q, k] if q >= rows && k >= keys);
    rules::require(covers, || {
        format!(
            "{what} is {}, must have last axes of at least {:?}",
            describe(t),
            [rows, keys]
        )
    })
}

/// One length per sample.
fn each((what, given): (&str, Option<Vec<i64>>), batch: usize, all: usize) -> Checked<Vec<usize>> {
    let Some(given) = given else {
        return Ok(vec![all; batch]);
    };
    let lengths = match given.len() {
        1 => vec![given[0]; batch],
        n if n >= batch => given[..batch].to_vec(),
        n => {
            return rules::refuse(format!(
                "{what} has {n} lengths, must have 1 or at least {batch}"
            ));
        }
    };
    rules::require(lengths.iter().all(|n| (0..=all as i64).contains(n)), || {
        format!("{what} is {given:?}, must be from 0 to {all}")
    })?;
    Ok(lengths.into_iter().map(|n| n as usize).collect())
}

/// The part of a mask or a shift that there are scores for, as `[B, N, Lq, Lkv]`.
fn part(view: &View, full: &[usize; 4]) -> View {
    let rank = view.shape().len();
    let view = view.slice(rank - 2, 0..full[2]).slice(rank - 1, 0..full[3]);
    // With three axes the first is the batch.
    let view = if rank == 3 { view.split(0, 1) } else { view };
    view.broadcast(full)
}
