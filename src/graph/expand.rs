//! Semantic operations rewritten into primitives, for backends without a kernel for them.

use super::op::{Mask, Op, Reduce, RopePairs, Unary};
use super::{Builder, Graph, Value};
use crate::tensor::{DType, HostTensor};

/// A graph that computes the same, in which no operation is left that `keep` refuses and that has an
/// expansion. Expansions of expansions are tried as well.
pub fn expand(graph: &Graph, keep: &dyn Fn(&Op) -> bool) -> Graph {
    let mut current = graph.clone();
    while current
        .nodes
        .iter()
        .any(|node| !keep(&node.op) && has_expansion(&node.op))
    {
        current = expand_once(&current, keep);
    }
    current
}

fn expand_once(graph: &Graph, keep: &dyn Fn(&Op) -> bool) -> Graph {
    let builder = Builder::rebuilding(graph);
    let mut values: Vec<Value<'_>> = Vec::with_capacity(graph.nodes.len());
    for (id, node) in graph.ids().zip(&graph.nodes) {
        let inputs: Vec<_> = node.inputs.iter().map(|i| values[i.index()]).collect();
        builder.enter(node.scope);
        let value = match keep(&node.op) || !has_expansion(&node.op) {
            true => builder.copy(node, &inputs),
            false => expansion(&node.op, &inputs),
        };
        if let Some(port) = graph.inputs.iter().find(|port| port.node == id) {
            builder.name_input(&port.name, value);
        }
        values.push(value);
    }
    let outputs: Vec<_> = graph
        .outputs
        .iter()
        .map(|p| (p.name.clone(), values[p.node.index()]))
        .collect();
    builder.finish(outputs)
}

/// Whether [`expand`] can rewrite an operation.
pub fn has_expansion(op: &Op) -> bool {
    matches!(
        op,
        Op::Unary(Unary::Silu | Unary::GeluTanh)
            | Op::Linear { .. }
            | Op::CausalConv3d { .. }
            | Op::Attention { .. }
            | Op::Rope { .. }
            | Op::LayerNorm { .. }
            | Op::AdaLayerNorm { .. }
            | Op::RmsNorm { .. }
            | Op::GroupNorm { .. }
    )
}

fn expansion<'g>(op: &Op, inputs: &[Value<'g>]) -> Value<'g> {
    let x = inputs[0];
    match op {
        Op::Unary(Unary::Silu) => x * x.unary(Unary::Sigmoid),
        Op::Unary(Unary::GeluTanh) => {
            let inner = (x + x * x * x * 0.044715) * (2.0 / std::f32::consts::PI).sqrt();
            (inner.unary(Unary::Tanh) + 1.0) * x * 0.5
        }
        Op::Linear { bias } => {
            let product = x.apply(Op::MatMul { transpose_b: true }, &inputs[1..2]);
            if *bias { product + inputs[2] } else { product }
        }
        Op::CausalConv3d {
            stride,
            padding,
            bias,
            cached,
        } => {
            let front = inputs[1].dim(2) - 1;
            let before = match cached {
                true => vec![inputs[2 + usize::from(*bias)]],
                false => vec![x.slice(2, 0, 1); front],
            };
            let frames = match front {
                0 => x,
                _ => x.builder().concat(&[before, vec![x]].concat(), 2),
            };
            let bias = bias.then(|| inputs[2]);
            frames.conv(inputs[1], bias, stride, &[(0, 0), padding[0], padding[1]])
        }
        Op::Attention { scale, mask } => attention(*scale, *mask, inputs),
        Op::Rope { pairs } => rope(*pairs, inputs),
        Op::LayerNorm { axis, eps, affine } => {
            let normed = standardised(x, &[*axis], *eps);
            let normed = match affine {
                true => channelwise(normed, *axis, inputs[1], inputs[2]),
                false => normed,
            };
            normed.cast(x.dtype())
        }
        Op::AdaLayerNorm { eps } => {
            let normed = standardised(x, &[2], *eps);
            let (shift, scale) = (inputs[1].cast(DType::F32), inputs[2].cast(DType::F32));
            (normed * (scale + 1.0) + shift).cast(x.dtype())
        }
        Op::RmsNorm { eps } => {
            let wide = x.cast(DType::F32);
            let rms =
                ((wide * wide).reduce(Reduce::Mean, &[x.rank() - 1]) + *eps).unary(Unary::Sqrt);
            (wide / rms * inputs[1].cast(DType::F32)).cast(x.dtype())
        }
        Op::GroupNorm { groups, eps } => {
            let shape = x.shape();
            let inner = shape[1..].iter().product::<usize>() / groups;
            let normed =
                standardised(x.reshape([shape[0], *groups, inner]), &[2], *eps).reshape(shape);
            channelwise(normed, 1, inputs[1], inputs[2]).cast(x.dtype())
        }
        _ => unreachable!("{} has no expansion", op.name()),
    }
}

/// `(x - mean) / sqrt(var + eps)` over some axes, in f32.
fn standardised<'g>(x: Value<'g>, axes: &[usize], eps: f32) -> Value<'g> {
    let x = x.cast(DType::F32);
    let centred = x - x.reduce(Reduce::Mean, axes);
    let variance = (centred * centred).reduce(Reduce::Mean, axes);
    centred / (variance + eps).unary(Unary::Sqrt)
}

/// `x * weight + bias` with one weight and bias per entry of an axis, in f32.
fn channelwise<'g>(x: Value<'g>, axis: usize, weight: Value<'g>, bias: Value<'g>) -> Value<'g> {
    let mut row = vec![1; x.rank() - axis];
    row[0] = x.dim(axis);
    x * weight.cast(DType::F32).reshape(row.clone()) + bias.cast(DType::F32).reshape(row)
}

fn attention<'g>(scale: f32, mask: Mask, inputs: &[Value<'g>]) -> Value<'g> {
    let heads_first = |v: Value<'g>| v.permute([0, 2, 1, 3]);
    let (q, k, v) = (
        heads_first(inputs[0]),
        heads_first(inputs[1]),
        heads_first(inputs[2]),
    );
    let builder = q.builder();
    let scores = q
        .apply(Op::MatMul { transpose_b: true }, &[k])
        .cast(DType::F32)
        * scale;
    let (queries, keys) = (q.dim(2), k.dim(2));
    let masked = match mask {
        Mask::None => scores,
        Mask::Bias => scores + inputs[3],
        Mask::KeyLengths => {
            // 0 for the keys before the length and a large negative number from there on:
            // min(length - index, 1) - 1 is 0 or at most -1.
            let index = HostTensor::f32([1, keys], (0..keys).map(|i| i as f32).collect());
            let left = inputs[3].cast(DType::F32).reshape([q.dim(0), 1]) - builder.constant(index);
            let missing = (left * -1.0 + 1.0).unary(Unary::Relu);
            scores + (missing * MASKED).reshape([q.dim(0), 1, 1, keys])
        }
        Mask::Causal => {
            let bias = (0..queries * keys).map(|i| if i % keys > i / keys { MASKED } else { 0.0 });
            scores + builder.constant(HostTensor::f32([1, 1, queries, keys], bias.collect()))
        }
    };
    let weights = masked.softmax().cast(v.dtype());
    heads_first(weights.matmul(v))
}

/// Added to a score so that the key gets no weight in f32.
const MASKED: f32 = -1e30;

fn rope<'g>(pairs: RopePairs, inputs: &[Value<'g>]) -> Value<'g> {
    let x = inputs[0].cast(DType::F32);
    let (shape, half) = (x.shape(), x.dim(3) / 2);
    let (l, n) = (shape[1], shape[2]);
    let [cos, sin] = [inputs[1], inputs[2]].map(|table| table.reshape([l, 1, half]));
    let builder = x.builder();
    let turned = match pairs {
        RopePairs::Halves => {
            let [a, b] = x.chunk::<2>(3);
            builder.concat(&[a * cos - b * sin, b * cos + a * sin], 3)
        }
        RopePairs::Neighbours => {
            let pair = x.reshape([shape[0], l, n, half, 2]);
            let [a, b] = pair
                .chunk::<2>(4)
                .map(|v| v.reshape([shape[0], l, n, half]));
            let column = |v: Value<'g>| v.reshape([shape[0], l, n, half, 1]);
            builder
                .concat(&[column(a * cos - b * sin), column(b * cos + a * sin)], 4)
                .reshape(shape)
        }
    };
    turned.cast(inputs[0].dtype())
}
