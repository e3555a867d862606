//! Types of biases.
//!
//! The operators on the cube units take a bias of one type beside operands of another, and aclnn functions
//! convert other biases in every launch. So biases that are weights get that type on their way to the
//! device, once. From hicann/ops-nn: `UpdateInputDtype` and `Conv3dImpl` in
//! `conv/convolution_forward/op_host/op_api/aclnn_convolution.cpp`, `CheckDtypeSupportBias` in
//! `matmul/common/op_host/op_api/matmul_util.cpp`.

use std::collections::HashMap;

use super::conv::divided;
use crate::graph::{Graph, Node, NodeId, Op};
use crate::tensor::{DType, numel};

/// From this many positions on, CANN has no kernel of its own for points.
const TOO_MANY_POINTS: usize = 65_535;

/// Beside products of matrices.
pub(super) fn of_product(dtype: DType) -> DType {
    match dtype {
        DType::BF16 => DType::F32,
        _ => dtype,
    }
}

/// Beside a convolution with these weights and results: as of products, but f32 in the kernel for
/// points of three spatial axes.
pub(super) fn of_convolution(
    dtype: DType,
    w: &[usize],
    out: &[usize],
    stride: &[usize],
    around: &[usize],
    groups: usize,
) -> DType {
    let all = |sizes: &[usize], n: usize| sizes.iter().all(|&size| size == n);
    // Such a result has as many positions as the input.
    let points = w.len() == 5
        && all(&w[2..], 1)
        && all(stride, 1)
        && all(around, 0)
        && groups == 1
        && numel(&out[2..]) < TOO_MANY_POINTS;
    match points {
        true => DType::F32,
        false => of_product(dtype),
    }
}

/// Gives weights that are nothing but biases the type that their operators take.
pub(super) fn settle(graph: &mut Graph) {
    let mut wishes: HashMap<NodeId, Option<DType>> = HashMap::new();
    for node in &graph.nodes {
        for (place, &input) in node.inputs.iter().enumerate() {
            let wish = wish(graph, node).filter(|_| place == 2);
            let known = wishes.entry(input).or_insert(wish);
            if *known != wish {
                *known = None;
            }
        }
    }
    let outputs = graph.outputs.iter().map(|port| port.node);
    wishes.extend(outputs.map(|id| (id, None)));
    let mut leaves: HashMap<usize, Vec<NodeId>> = HashMap::new();
    for id in graph.ids() {
        if let Op::Weight(index) = graph.node(id).op {
            leaves.entry(index).or_default().push(id);
        }
    }
    for (index, nodes) in leaves {
        let [id] = nodes[..] else { continue };
        if let Some(Some(dtype)) = wishes.get(&id) {
            graph.weights[index].dtype = *dtype;
            graph.nodes[id.index()].dtype = *dtype;
        }
    }
}

/// The type of a node's bias, its third operand, if it may have one.
fn wish(graph: &Graph, node: &Node) -> Option<DType> {
    match &node.op {
        Op::Linear { .. } => Some(of_product(node.dtype)),
        Op::Conv {
            stride,
            padding,
            groups,
            ..
        } => {
            let w = &graph.node(node.inputs[1]).shape;
            let (around, _) = divided(padding);
            let dtype = of_convolution(node.dtype, w, &node.shape, stride, &around, *groups);
            Some(dtype)
        }
        Op::CausalConv3d {
            stride,
            padding,
            bias: true,
            ..
        } => {
            let w = &graph.node(node.inputs[1]).shape;
            let (around, _) = divided(&[(0, 0), padding[0], padding[1]]);
            let dtype = of_convolution(node.dtype, w, &node.shape, stride, &around, 1);
            Some(dtype)
        }
        _ => None,
    }
}
