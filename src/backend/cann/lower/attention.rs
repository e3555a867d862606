//! Attention and rotary embedding.
//!
//! `aclnnPromptFlashAttentionV3` writes no statistics and takes the number of keys of each row from
//! the host; it wants heads of a multiple of 16 channels in f16 or bf16. Heads of another width go to
//! `aclnnFlashAttentionScore` where no keys are left out, and get zeros behind their channels where
//! some are. A summand to the scores (short texts, masks of callers) is added to scores in f32.

use std::sync::Arc;

use super::super::call::{Aclnn, Lengths};
use super::super::view::View;
use super::{Base, Lowering};
use crate::graph::{Binary, Mask, Node, RopePairs};
use crate::tensor::{DType, Data, HostTensor};

/// Heads of `aclnnPromptFlashAttentionV3` have a multiple of this many channels.
const HEAD_STEP: usize = 16;

/// Most channels of a head in `aclnnPromptFlashAttentionV3` and in `aclnnFlashAttentionScore`.
const MAX_HEADS: [usize; 2] = [512, 768];

/// Most heads in both, and the channels of all heads that the first one takes.
const MAX_COUNT: usize = 256;
const MAX_WIDTH: usize = 65_534;

/// Added to a score so that the key gets no weight in f32.
const MASKED: f32 = -1e30;

impl Lowering<'_> {
    /// `(q [B, L, N, K], k [B, S, N, K], v [B, S, N, V], mask?)` → `[B, L, N, V]`.
    pub(super) fn attention(
        &mut self,
        inputs: &[View],
        node: &Node,
        scale: f32,
        mask: Mask,
    ) -> View {
        if let Some(out) = self.attention_kernel(inputs, scale, mask) {
            return out;
        }
        let [q, k, v] = [0, 1, 2].map(|i| self.contiguous(&inputs[i]));
        let lengths = match mask {
            Mask::KeyLengths => self.lengths(&inputs[3], k.shape[1]),
            _ => None,
        };
        let whole = mask == Mask::None || (mask == Mask::KeyLengths && lengths.is_none());
        let (count, head, value_head) = (q.shape[2], q.shape[3], v.shape[3]);
        let width = head.max(value_head).next_multiple_of(HEAD_STEP);
        let prompt = self.target.prompt_attention
            && q.dtype != DType::F32
            && width <= MAX_HEADS[0]
            && count <= MAX_COUNT
            && count * width <= MAX_WIDTH;
        let score = value_head <= head && head <= MAX_HEADS[1] && count <= MAX_COUNT;
        let even = head == width && value_head == width;
        if whole && score && !(prompt && even) {
            return self.flash_attention_score(q, k, v, scale, &node.shape);
        }
        if prompt && (whole || lengths.is_some()) {
            return self.prompt_attention(q, k, v, scale, lengths);
        }
        let bias = match lengths {
            Some(_) => Some(self.length_bias(&inputs[3], k.shape[1])),
            None => inputs.get(3).filter(|_| mask == Mask::Bias).cloned(),
        };
        self.attention_in_f32([&q, &k, &v], scale, bias)
    }

    /// The lengths of rows, unless all keys are seen by all.
    pub(super) fn lengths(&self, lengths: &View, keys: usize) -> Option<Lengths> {
        match &self.bases[lengths.base.0] {
            Base::Constant(tensor) => {
                let Data::I64(known) = tensor.data() else {
                    unreachable!("lengths are integers");
                };
                let all = known.iter().all(|&n| n == keys as i64);
                (!all).then(|| Lengths::Known(known.clone()))
            }
            Base::Input(place) => Some(Lengths::Input(*place)),
            _ => unreachable!("lengths are constants or inputs: no operation makes integers"),
        }
    }

    fn flash_attention_score(
        &mut self,
        q: View,
        k: View,
        v: View,
        scale: f32,
        shape: &[usize],
    ) -> View {
        let out = self.temp(q.dtype, shape);
        let rows = [q.shape[0], q.shape[2], q.shape[1], 8];
        let statistics = [0; 2].map(|_| self.temp(DType::F32, &rows));
        let outputs = [vec![out.clone()], statistics.to_vec()].concat();
        let op = Aclnn::FlashAttentionScore { scale };
        self.launch(op, vec![q, k, v], outputs);
        out
    }

    fn prompt_attention(
        &mut self,
        q: View,
        k: View,
        v: View,
        scale: f32,
        lengths: Option<Lengths>,
    ) -> View {
        let width = q.shape[3].max(v.shape[3]).next_multiple_of(HEAD_STEP);
        let value_width = v.shape[3];
        let [q, k, v] = [q, k, v].map(|x| {
            let missing = width - x.shape[3];
            self.pad(&x, 3, 0, missing)
        });
        let (dtype, shape) = (q.dtype, q.shape.clone());
        let op = Aclnn::PromptFlashAttention { scale, lengths };
        let out = self.emit(op, vec![q, k, v], dtype, &shape);
        out.slice(3, 0, value_width)
    }

    /// Attention from matrix products, with scores in f32 and a summand to them.
    fn attention_in_f32(&mut self, [q, k, v]: [&View; 3], scale: f32, bias: Option<View>) -> View {
        let [q, k] = [q, k].map(|x| self.cast(x, DType::F32));
        let heads_first = |x: &View| x.permute(&[0, 2, 1, 3]);
        let scores = self.matmul(&heads_first(&q), &heads_first(&k), true);
        let scores = self.affine(&scores, scale, 0.0);
        let scores = match bias {
            Some(bias) => {
                let shape = scores.shape.clone();
                self.binary(Binary::Add, &scores, &bias, &shape)
            }
            None => scores,
        };
        let weights = self.softmax(&scores);
        let weights = self.cast(&weights, v.dtype);
        let mixed = self.matmul(&weights, &heads_first(v), false);
        mixed.permute(&[0, 2, 1, 3])
    }

    /// `lengths [B] i64` → `[B, 1, 1, S]` f32: 0 for the keys before the length and at most
    /// [`MASKED`] from there on, as `min(length - index, 1) - 1` is 0 or at most -1.
    fn length_bias(&mut self, lengths: &View, keys: usize) -> View {
        let rows = lengths.shape[0];
        let places = (0..keys).map(|i| i as f32).collect();
        let places = self.constant(HostTensor::f32([1, keys], places));
        let lengths = self.cast(lengths, DType::F32);
        let lengths = self.reshape(&lengths, &[rows, 1]);
        let left = self.binary(Binary::Sub, &lengths, &places, &[rows, keys]);
        let missing = self.affine(&left, -1.0, 1.0);
        let missing = self.unary(crate::graph::Unary::Relu, &missing);
        let bias = self.affine(&missing, MASKED, 0.0);
        self.reshape(&bias, &[rows, 1, 1, keys])
    }

    /// `x cos + swap(x) sin` with tables as wide as a head, `(x [B, L, N, K], cos [L, K/2], sin [L, K/2])`:
    /// `swap` exchanges the two channels of each pair, and the sine of a pair's first channel has a
    /// minus sign.
    pub(super) fn rope(&mut self, inputs: &[View], pairs: RopePairs) -> View {
        if let Some(out) = self.rope_kernel(inputs, pairs, None) {
            return out;
        }
        let x = self.contiguous(&inputs[0]);
        let shape = x.shape.clone();
        let (axis, split) = parted(&shape, pairs);
        let parts = x
            .reshape(&split)
            .expect("what is in one piece has any shape");
        let [first, second] = [0, 1].map(|i| parts.slice(axis, i, 1));
        let swapped = self.concat(&[second, first], axis, &split);
        let swapped = self.reshape(&swapped, &shape);
        let [cos, sin] = self.rope_tables([&inputs[1], &inputs[2]], x.dtype, pairs);
        let turned = self.binary(Binary::Mul, &x, &cos, &shape);
        let dtype = x.dtype;
        self.emit(Aclnn::Addcmul, vec![turned, swapped, sin], dtype, &shape)
    }

    /// `cos` and `sin`, `[L, K/2]`, for all channels of a head: `[L, 1, K]`. Made once for all blocks.
    fn rope_tables(&mut self, tables: [&View; 2], dtype: DType, pairs: RopePairs) -> [View; 2] {
        let key = (tables[0].base, tables[1].base, dtype, pairs);
        if let Some(known) = self.tables.get(&key) {
            return known.clone();
        }
        let [cos, sin] = tables;
        let (l, half) = (cos.shape[0], cos.shape[1]);
        let (axis, split) = parted(&[l, 1, 2 * half], pairs);
        let column: Vec<usize> = split
            .iter()
            .enumerate()
            .map(|(i, &n)| if i == axis { 1 } else { n })
            .collect();
        let minus = self.affine(sin, -1.0, 0.0);
        let made = [[cos, cos], [&minus, sin]].map(|pair| {
            let parts = pair.map(|half| self.reshape(half, &column));
            let table = self.concat(&parts, axis, &split);
            let table = self.cast(&table, dtype);
            self.reshape(&table, &[l, 1, 2 * half])
        });
        self.tables.insert(key, made.clone());
        made
    }

    fn constant(&mut self, tensor: HostTensor) -> View {
        let (dtype, shape) = (tensor.dtype(), tensor.shape().to_vec());
        self.base(Base::Constant(Arc::new(tensor)), dtype, &shape)
    }
}

/// The axis that the two channels of pairs lie along, and the shape `[.., K]` with it.
fn parted(shape: &[usize], pairs: RopePairs) -> (usize, Vec<usize>) {
    let (outer, channels) = shape.split_at(shape.len() - 1);
    let half = channels[0] / 2;
    match pairs {
        RopePairs::Halves => (outer.len(), [outer, &[2, half]].concat()),
        RopePairs::Neighbours => (outer.len() + 1, [outer, &[half, 2]].concat()),
    }
}
