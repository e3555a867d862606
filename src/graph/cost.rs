//! What a graph costs: floating point operations, bytes moved, and the activations that are alive
//! at once.

use super::op::Op;
use super::{Graph, NodeId};
use crate::tensor::numel;

/// Work of a node, a segment or a graph.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Floating point operations; a multiplication with an addition counts two.
    pub flops: u64,
    /// Bytes of operands read and results written, each once.
    pub bytes: u64,
}

impl std::ops::AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.flops += other.flops;
        self.bytes += other.bytes;
    }
}

/// The cost of one node. Reshapes and leaves cost nothing; functions count as one operation per
/// element and normalisations as eight.
pub fn of_node(graph: &Graph, id: NodeId) -> Cost {
    let node = graph.node(id);
    let shape = |i: usize| graph.node(node.inputs[i]).shape.as_slice();
    let out = numel(&node.shape) as u64;
    let product = |a: u64, s: &[usize]| a * numel(s) as u64;
    let flops = match &node.op {
        Op::Input | Op::Weight(_) | Op::Constant(_) | Op::Reshape(_) => return Cost::default(),
        Op::Linear { .. } => product(2 * out, &shape(1)[1..]),
        Op::MatMul { .. } => product(2 * out, &shape(0)[shape(0).len() - 1..]),
        Op::Conv { .. } | Op::CausalConv3d { .. } => product(2 * out, &shape(1)[1..]),
        Op::Attention { .. } => {
            let (q, k, v) = (shape(0), shape(1), shape(2));
            2 * (q[0] * q[1] * q[2] * k[1]) as u64 * (q[3] + v[3]) as u64
        }
        Op::Rope { .. } => 3 * out,
        Op::LayerNorm { .. }
        | Op::AdaLayerNorm { .. }
        | Op::RmsNorm { .. }
        | Op::GroupNorm { .. } => 8 * out,
        Op::Softmax => 5 * out,
        Op::Reduce { .. } => numel(shape(0)) as u64,
        Op::Resize { factors, .. } => 3 * factors.iter().filter(|f| **f > 1).count() as u64 * out,
        Op::Unary(_) | Op::Affine { .. } | Op::Binary(_) => out,
        Op::Cast(_)
        | Op::Permute(_)
        | Op::Slice { .. }
        | Op::Concat { .. }
        | Op::Expand(_)
        | Op::Pad { .. }
        | Op::Gather => 0,
    };
    let size = |id: NodeId| size_bytes(graph, id);
    let read = match &node.op {
        // Only the chosen rows of a table are read.
        Op::Gather => size(id) + size(node.inputs[1]),
        Op::Slice { .. } => size(id),
        _ => node.inputs.iter().map(|&i| size(i)).sum(),
    };
    Cost {
        flops,
        bytes: read + size(id),
    }
}

/// The cost of all nodes.
pub fn of_graph(graph: &Graph) -> Cost {
    graph.ids().fold(Cost::default(), |mut total, id| {
        total += of_node(graph, id);
        total
    })
}

/// Bytes of a node's value.
pub fn size_bytes(graph: &Graph, id: NodeId) -> u64 {
    let node = graph.node(id);
    (numel(&node.shape) * node.dtype.size_bytes()) as u64
}

/// Bytes of all weights in the graph's dtypes.
pub fn weight_bytes(graph: &Graph) -> u64 {
    graph.weights.iter().map(|w| w.size_bytes() as u64).sum()
}

/// The largest sum of activations that are alive at once when nodes run in order: a lower bound of
/// what any plan needs beside the weights. Reshapes share their operand's memory.
pub fn peak_activation_bytes(graph: &Graph) -> u64 {
    let owner = owners(graph);
    let mut last_use = vec![0; graph.nodes.len()];
    for (i, node) in graph.nodes.iter().enumerate() {
        for input in &node.inputs {
            last_use[owner[input.index()]] = i;
        }
    }
    for port in &graph.outputs {
        last_use[owner[port.node.index()]] = graph.nodes.len();
    }
    let counted =
        |i: usize| owner[i] == i && !matches!(graph.nodes[i].op, Op::Weight(_) | Op::Constant(_));
    let mut freed_after = vec![0u64; graph.nodes.len() + 1];
    let (mut alive, mut peak) = (0, 0);
    for i in 0..graph.nodes.len() {
        if counted(i) {
            let size = size_bytes(graph, NodeId(i as u32));
            alive += size;
            freed_after[last_use[i].max(i)] += size;
        }
        peak = peak.max(alive);
        alive -= freed_after[i];
    }
    peak
}

/// The node whose memory each node's value lies in.
fn owners(graph: &Graph) -> Vec<usize> {
    let mut owner: Vec<usize> = (0..graph.nodes.len()).collect();
    for (i, node) in graph.nodes.iter().enumerate() {
        if matches!(node.op, Op::Reshape(_)) {
            owner[i] = owner[node.inputs[0].index()];
        }
    }
    owner
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Builder;
    use crate::tensor::DType;

    #[test]
    fn a_linear_counts_two_operations_per_weight_and_row() {
        let g = Builder::new(DType::F32);
        let x = g.input("x", DType::F32, [3, 4]);
        let w = g.input("w", DType::F32, [5, 4]);
        let graph = g.finish([("y", x.linear(w, None))]);
        assert_eq!(
            of_graph(&graph),
            Cost {
                flops: 2 * 3 * 4 * 5,
                bytes: 4 * (12 + 20 + 15)
            }
        );
    }

    #[test]
    fn attention_counts_scores_and_mix() {
        let g = Builder::new(DType::F32);
        let q = g.input("q", DType::F32, [1, 7, 2, 8]);
        let k = g.input("k", DType::F32, [1, 5, 2, 8]);
        let graph = g.finish([("y", q.attention(k, k, 1.0, None))]);
        assert_eq!(of_graph(&graph).flops, 2 * 2 * 7 * 5 * 2 * 8);
    }

    #[test]
    fn the_peak_counts_what_is_alive_together() {
        let g = Builder::new(DType::F32);
        let x = g.input("x", DType::F32, [4]);
        let y = x * 2.0;
        let graph = g.finish([("z", (y * 2.0) * 2.0)]);
        assert_eq!(peak_activation_bytes(&graph), 2 * 16);
    }
}
