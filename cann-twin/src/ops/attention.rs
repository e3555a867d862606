//! Attention: `FlashAttentionScore`, `PromptFlashAttentionV3`, and softmax by itself.
//!
//! Scores, softmax and both products are f32; the result is rounded once. The kernels on a device keep the softmax's
//! numerators in the type of the inputs before the second product, which adds to the error there.

mod flash;
mod layout;
mod prompt;

pub(crate) use flash::*;
pub(crate) use prompt::*;

use super::product::{Matrix, multiply};
use super::{Plan, phase_2};
use crate::array::{View, in_rows};
use crate::nnop::{prepare, tensor};
use crate::rules::{self, FLOATS};
use cann_sys::*;
use rayon::prelude::*;

phase_2!(aclnnSoftmax);

/// Scores that a thread holds at a time.
const SCORES: usize = 128 * 1024;

/// What takes the place of a masked score, so that a row of nothing else is an even mean and not a NaN.
const MASKED: f32 = f32::MIN;

/// Views of the operands of one attention, all `[B, N, L, K]`.
struct Attention {
    query: View,
    key: View,
    value: View,
    out: View,
    /// Added to the scores, before or after the factor: `[B, N, Lq, Lkv]`.
    shift: Option<View>,
    shift_is_scaled: bool,
    /// Scores to leave out, where it is not 0: `[B, N, Lq, Lkv]`.
    mask: Option<View>,
    scale: f32,
    /// Rows of each sample that are computed; the others are 0.
    query_lengths: Vec<usize>,
    /// Keys of each sample that take part.
    key_lengths: Vec<usize>,
    /// Whether a row with all scores masked is 0.
    masked_rows_are_zero: bool,
    /// The softmax's maximum and sum of each row, 8 times each: `[B, N, Lq, 8]`.
    statistics: Option<[View; 2]>,
}

impl Attention {
    fn run(&self) {
        let [batch, heads, rows, width] = *self.query.shape() else {
            unreachable!("views are [B, N, L, K]")
        };
        let [_, key_heads, keys, value_width] = *self.value.shape() else {
            unreachable!("views are [B, N, L, K]")
        };
        let (query, key, value) = (self.query.to_f32(), self.key.to_f32(), self.value.to_f32());
        let block = (SCORES / keys.max(1)).clamp(8, 256);
        let blocks = rows.div_ceil(block);
        (0..batch * heads * blocks).into_par_iter().for_each(|i| {
            let (head, first) = (i / blocks, i % blocks * block);
            let (b, n) = (head / heads, head % heads);
            let n_key = n / (heads / key_heads);
            let count = block.min(rows - first);
            let start = head * rows + first;
            let keys_at = (b * key_heads + n_key) * keys;
            let kept = self.key_lengths[b];
            let mut scores = vec![0.0; count * kept];
            let query = Matrix::of(&query[start * width..][..count * width], width);
            let key = Matrix::of(&key[keys_at * width..][..kept * width], width).transposed();
            // SAFETY: the slices above are all that the sizes reach.
            unsafe {
                multiply(
                    [count, width, kept],
                    query,
                    key,
                    scores.as_mut_ptr(),
                    kept as isize,
                    false,
                );
            }
            let sums = self.softmax(&mut scores, (start, count), keys, kept);
            let value = Matrix::of(
                &value[keys_at * value_width..][..kept * value_width],
                value_width,
            );
            let mut result = vec![0.0; count * value_width];
            // SAFETY: as above.
            unsafe {
                multiply(
                    [count, kept, value_width],
                    Matrix::of(&scores, kept),
                    value,
                    result.as_mut_ptr(),
                    value_width as isize,
                    false,
                );
            }
            for (row, (values, sum)) in result.chunks_exact_mut(value_width).zip(sums).enumerate() {
                let factor = if first + row < self.query_lengths[b] {
                    1.0 / sum
                } else {
                    0.0
                };
                values.iter_mut().for_each(|v| *v *= factor);
            }
            self.out.store(start * value_width, &result);
        });
    }

    /// Makes softmax's numerators of `count` rows of scores from row `start` on, and gives their sums; infinite for a row
    /// that is to become 0.
    fn softmax(
        &self,
        scores: &mut [f32],
        (start, count): (usize, usize),
        keys: usize,
        kept: usize,
    ) -> Vec<f32> {
        let mut extra = vec![0.0; kept];
        let mut sums = Vec::with_capacity(count);
        for row in 0..count {
            let scores = &mut scores[row * kept..][..kept];
            if let Some(shift) = &self.shift {
                shift.load((start + row) * keys, &mut extra);
                let scale = if self.shift_is_scaled {
                    1.0
                } else {
                    self.scale
                };
                scores
                    .iter_mut()
                    .zip(&extra)
                    .for_each(|(s, e)| *s = *s * scale + e);
            }
            if self.shift.is_none() || self.shift_is_scaled {
                scores.iter_mut().for_each(|s| *s *= self.scale);
            }
            let mut masked = 0;
            if let Some(mask) = &self.mask {
                mask.load((start + row) * keys, &mut extra);
                for (score, _) in scores.iter_mut().zip(&extra).filter(|(_, m)| **m != 0.0) {
                    *score = MASKED;
                    masked += 1;
                }
            }
            let max = scores.iter().copied().fold(f32::MIN, f32::max);
            let sum = exponentials(scores, max);
            if let Some([maxima, sum_of_row]) = &self.statistics {
                maxima.store((start + row) * 8, &[max; 8]);
                sum_of_row.store((start + row) * 8, &[sum; 8]);
            }
            let zero = kept == 0 || self.masked_rows_are_zero && masked == kept;
            sums.push(if zero { f32::INFINITY } else { sum });
        }
        sums
    }
}

/// `e^(x - max)` in place, and their sum.
fn exponentials(values: &mut [f32], max: f32) -> f32 {
    let mut sum = 0.0;
    for part in values.chunks_mut(64) {
        part.iter_mut().for_each(|x| *x = (*x - max).exp());
        sum += part.iter().sum::<f32>();
    }
    sum
}

/// Softmax along one axis.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclnnSoftmaxGetWorkspaceSize(
    self_: *const aclTensor,
    dim: i64,
    out: *mut aclTensor,
    workspace_size: *mut u64,
    executor: *mut *mut aclOpExecutor,
) -> aclnnStatus {
    prepare("aclnnSoftmax", workspace_size, executor, || {
        let (t, out) = (tensor("self", self_)?, tensor("out", out)?);
        rules::operand("self", &t, FLOATS)?;
        rules::operand("out", &out, FLOATS)?;
        rules::shape("out", &out, &t.shape)?;
        let rank = t.shape.len();
        let axis = rules::axis("dim", dim, rank)?;
        let mut plan = Plan::default();
        plan.read_contiguous(&t);
        plan.cast(&t.shape, t.dtype, out.dtype);
        plan.write(&out);
        Ok(plan.task(0, move |access| {
            let order: Vec<_> = (0..rank).filter(|&a| a != axis).chain([axis]).collect();
            let order = if rank == 0 { vec![] } else { order };
            let (t, out) = (
                View::of(&t, access).permute(&order),
                View::of(&out, access).permute(&order),
            );
            let row = t.shape().last().copied().unwrap_or(1);
            in_rows(out.len() / row, row, |i, values| {
                t.load(i * row, values);
                let max = values.iter().copied().fold(f32::MIN, f32::max);
                let factor = 1.0 / exponentials(values, max);
                values.iter_mut().for_each(|v| *v *= factor);
                out.store(i * row, values);
            });
        }))
    })
}
