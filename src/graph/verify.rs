//! What a well-formed graph is; run after building and after every pass.

use super::op::Op;
use super::shape::infer;
use super::{Graph, NodeId};
use crate::tensor::describe;

/// Checks that operands come before their users, that every node has the type that its operation
/// gives it, and that inputs, outputs, weights and scopes are there.
///
/// # Panics
/// With the node that is wrong: only the engine's own code can cause it.
pub(super) fn verify(graph: &Graph) {
    for (id, node) in graph.ids().zip(&graph.nodes) {
        let fail = |why: String| -> ! {
            panic!(
                "malformed graph at %{} ({} at {}): {why}",
                id.0,
                node.op.name(),
                graph.scope_of(id)
            )
        };
        assert!(
            (node.scope as usize) < graph.scopes.len(),
            "node %{} has no scope",
            id.0
        );
        if let Some(late) = node.inputs.iter().find(|i| **i >= id) {
            fail(format!("operand %{} comes later", late.0));
        }
        let stated = (node.dtype, node.shape.clone());
        let expected = match &node.op {
            Op::Input => stated.clone(),
            Op::Weight(index) => match graph.weights.get(*index) {
                Some(decl) => (decl.dtype, decl.shape.clone()),
                None => fail(format!("no weight {index}")),
            },
            Op::Constant(tensor) => (tensor.dtype(), tensor.shape().to_vec()),
            op => {
                let types: Vec<_> = node.inputs.iter().map(|&i| graph.type_of(i)).collect();
                infer(op, &types).unwrap_or_else(|why| fail(why))
            }
        };
        if stated != expected {
            fail(format!(
                "is {}, expected {}",
                describe(stated.0, &stated.1),
                describe(expected.0, &expected.1)
            ));
        }
    }
    let last = NodeId(graph.nodes.len() as u32);
    for port in graph.inputs.iter().chain(&graph.outputs) {
        assert!(port.node < last, "port {} refers to no node", port.name);
    }
    for port in &graph.inputs {
        assert_eq!(
            graph.node(port.node).op,
            Op::Input,
            "input {} is no input node",
            port.name
        );
    }
}
