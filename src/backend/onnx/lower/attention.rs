//! Attention and rotary embedding.
//!
//! `com.microsoft.MultiHeadAttention` without a mask is the one kernel on the CPU that does not
//! store all scores, and the fastest on CUDA. It takes `[B, L, N · K]`, which is our layout but for
//! the split of the last axis. A mask that depends on keys alone becomes one more channel: queries
//! get a 1 and keys their summand, so that the scores come out masked and no mask is left.

use super::super::proto::AttributeProto;
use super::Lowering;
use crate::graph::{Mask, Node, NodeId, Op, RopePairs};
use crate::tensor::{DType, HostTensor};

/// Added to a score so that the key gets no weight in f32.
const MASKED: f32 = -1e30;

/// Sizes of an attention.
#[derive(Clone, Copy)]
struct Sizes {
    batch: usize,
    queries: usize,
    keys: usize,
    heads: usize,
    head: usize,
    value_head: usize,
}

impl Lowering<'_> {
    pub(super) fn attention(
        &mut self,
        node: &Node,
        inputs: &[String],
        scale: f32,
        mask: Mask,
    ) -> String {
        let (q, v) = (self.shape(node.inputs[0]), self.shape(node.inputs[2]));
        let sizes = Sizes {
            batch: q[0],
            queries: q[1],
            keys: v[1],
            heads: q[2],
            head: q[3],
            value_head: v[3],
        };
        let [q, k, v] = [0, 1, 2].map(|i| inputs[i].as_str());
        let mask = match mask {
            Mask::KeyLengths if self.all_are(node.inputs[3], sizes.keys) => Mask::None,
            mask => mask,
        };
        let merged = match mask {
            Mask::None => self.multi_head([q, k, v], sizes, scale, None, false),
            Mask::Causal if sizes.queries == sizes.keys => {
                self.multi_head([q, k, v], sizes, scale, None, true)
            }
            Mask::Causal => {
                let bias = self.causal_bias(sizes, node.dtype);
                self.multi_head([q, k, v], sizes, scale, Some(&bias), false)
            }
            Mask::KeyLengths if self.opset == super::OPSET_NEW => {
                self.attention_by_length([q, k, v], sizes, scale, &inputs[3])
            }
            Mask::KeyLengths => {
                let bias = self.length_bias(&inputs[3], sizes);
                let shape = [sizes.batch, 1, 1, sizes.keys];
                self.biased([q, k, v], sizes, scale, &bias, &shape, node.dtype)
            }
            Mask::Bias => {
                let shape = self.shape(node.inputs[3]);
                self.biased([q, k, v], sizes, scale, &inputs[3], &shape, node.dtype)
            }
        };
        self.reshape(&merged, &node.shape)
    }

    /// Whether a value is known and the same number everywhere.
    fn all_are(&self, id: NodeId, number: usize) -> bool {
        match &self.graph.node(id).op {
            Op::Constant(tensor) => tensor.as_i64().iter().all(|&n| n == number as i64),
            _ => false,
        }
    }

    /// `[B, L, N, K]`s → `[B, L, N · V]`.
    fn multi_head(
        &mut self,
        qkv: [&str; 3],
        sizes: Sizes,
        scale: f32,
        bias: Option<&str>,
        causal: bool,
    ) -> String {
        let Sizes {
            batch,
            queries,
            keys,
            heads,
            head,
            value_head,
        } = sizes;
        let q = self.reshape(qkv[0], &[batch, queries, heads * head]);
        let k = self.reshape(qkv[1], &[batch, keys, heads * head]);
        let v = self.reshape(qkv[2], &[batch, keys, heads * value_head]);
        let mut inputs = vec![q.as_str(), &k, &v];
        if let Some(bias) = bias {
            inputs.extend(["", "", bias]);
        }
        let mut attributes = vec![
            AttributeProto::int("num_heads", heads as i64),
            AttributeProto::float("scale", scale),
        ];
        if causal {
            attributes.push(AttributeProto::int("unidirectional", 1));
        }
        self.contrib("MultiHeadAttention", &inputs, attributes)
    }

    /// Attention with a summand of `shape`, f32, that broadcasts to the scores.
    fn biased(
        &mut self,
        qkv: [&str; 3],
        sizes: Sizes,
        scale: f32,
        bias: &str,
        shape: &[usize],
        dtype: DType,
    ) -> String {
        if self.on_cpu() && shape[1..3] == [1, 1] && scale != 0.0 {
            return self.key_biased(qkv, sizes, scale, bias, shape);
        }
        let full = [shape[0], shape[1], sizes.queries, sizes.keys];
        let bias = match shape == full {
            true => bias.to_owned(),
            false => self.expand(bias, &full),
        };
        let bias = self.as_dtype(&bias, DType::F32, dtype);
        self.multi_head(qkv, sizes, scale, Some(&bias), false)
    }

    /// Attention with a summand `[B or 1, 1, 1, S or 1]` as one more channel of q and k.
    fn key_biased(
        &mut self,
        [q, k, v]: [&str; 3],
        sizes: Sizes,
        scale: f32,
        bias: &str,
        shape: &[usize],
    ) -> String {
        let Sizes {
            batch,
            queries,
            keys,
            heads,
            head,
            ..
        } = sizes;
        let column = self.reshape(bias, &[shape[0], shape[3], 1, 1]);
        let inverse = self.scalar(DType::F32, 1.0 / scale);
        let column = self.emit("Mul", &[&column, &inverse], vec![]);
        // The most negative f32 would overflow.
        let least = self.scalar(DType::F32, MASKED);
        let column = self.emit("Max", &[&column, &least], vec![]);
        let column = self.expand(&column, &[batch, keys, heads, 1]);
        let k = self.concat(&[k, &column], 3);
        let ones = self.expanded_scalar(DType::F32, 1.0, &[batch, queries, heads, 1]);
        let q = self.concat(&[q, &ones], 3);
        let sizes = Sizes {
            head: head + 1,
            ..sizes
        };
        self.multi_head([&q, &k, v], sizes, scale, None, false)
    }

    /// `lengths [B]` → `[B, S]`: 0 for the keys before the length, [`MASKED`] from there on.
    fn length_bias(&mut self, lengths: &str, sizes: Sizes) -> String {
        let places = (0..sizes.keys as i64).collect();
        let places = self.shared_constant(&HostTensor::i64([1, sizes.keys], places));
        let lengths = self.reshape(lengths, &[sizes.batch, 1]);
        let seen = self.emit("Less", &[&places, &lengths], vec![]);
        let [zero, masked] = [0.0, MASKED].map(|v| self.scalar(DType::F32, v));
        let bias = self.emit("Where", &[&seen, &zero, &masked], vec![]);
        self.reshape(&bias, &[sizes.batch, 1, 1, sizes.keys])
    }

    /// `[1, 1, L, S]`: query `i` sees the keys up to `i`.
    fn causal_bias(&mut self, sizes: Sizes, dtype: DType) -> String {
        let least = match dtype {
            DType::F16 => -65504.0,
            _ => MASKED,
        };
        let later = |i: usize| i % sizes.keys > i / sizes.keys;
        let bias = (0..sizes.queries * sizes.keys).map(|i| if later(i) { least } else { 0.0 });
        let bias = HostTensor::f32([1, 1, sizes.queries, sizes.keys], bias.collect());
        self.shared_constant(&bias.cast(dtype))
    }

    /// Attention of the standard operator set, which keeps a kernel without stored scores when rows
    /// have lengths.
    fn attention_by_length(
        &mut self,
        qkv: [&str; 3],
        sizes: Sizes,
        scale: f32,
        lengths: &str,
    ) -> String {
        let Sizes {
            batch,
            queries,
            keys,
            heads,
            head,
            value_head,
        } = sizes;
        let q = self.reshape(qkv[0], &[batch, queries, heads * head]);
        let k = self.reshape(qkv[1], &[batch, keys, heads * head]);
        let v = self.reshape(qkv[2], &[batch, keys, heads * value_head]);
        let attributes = vec![
            AttributeProto::int("q_num_heads", heads as i64),
            AttributeProto::int("kv_num_heads", heads as i64),
            AttributeProto::float("scale", scale),
        ];
        self.emit("Attention", &[&q, &k, &v, "", "", "", lengths], attributes)
    }

    pub(super) fn rope(&mut self, node: &Node, inputs: &[String], pairs: RopePairs) -> String {
        let shape = &node.shape;
        let rows = self.reshape(&inputs[0], &[shape[0], shape[1], shape[2] * shape[3]]);
        let first = self.ints(&[0]);
        let [cos, sin] =
            [1, 2].map(|i| self.as_dtype(&inputs[i], self.dtype(node.inputs[i]), node.dtype));
        let interleaved = i64::from(pairs == RopePairs::Neighbours);
        let turned = self.contrib(
            "RotaryEmbedding",
            &[&rows, &first, &cos, &sin],
            vec![AttributeProto::int("interleaved", interleaved)],
        );
        self.reshape(&turned, shape)
    }
}
