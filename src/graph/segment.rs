//! Cutting a graph at its outermost scopes.
//!
//! A [`Segment`] is a graph of its own whose inputs and outputs are values of the whole graph.
//! Sessions per block, weights that come and go, progress within a step and cancellation rest on
//! this. Blocks of a model that differ in nothing but their weights have equal segments; see
//! [`Segment::form`].

use std::collections::HashMap;

use super::op::Op;
use super::{Graph, Node, NodeId, Port, Scope, verify};

/// A part of a graph that runs as one.
#[derive(Clone, Debug)]
pub struct Segment {
    /// The outermost scope's name: `blocks.3`.
    pub name: String,
    /// The part. Its inputs and outputs are named after their place: `i0`, `o0`.
    pub graph: Graph,
    /// For each input, the value of the whole graph that it is.
    pub inputs: Vec<NodeId>,
    /// For each output, the value of the whole graph that it is.
    pub outputs: Vec<NodeId>,
}

impl Segment {
    /// The segment's graph without the names of weights and scopes: equal for segments that one
    /// compiled form can serve.
    pub fn form(&self) -> Graph {
        let mut form = self.graph.clone();
        form.scopes = vec![Scope::default()];
        form.nodes.iter_mut().for_each(|node| node.scope = 0);
        for weight in &mut form.weights {
            weight.name.clear();
            weight.steps.clear();
            weight.file_shape.clear();
        }
        form
    }
}

/// The segments of a graph in order of execution: runs of nodes with one outermost scope. Weights
/// and constants go to each segment that uses them.
pub fn segments(graph: &Graph) -> Vec<Segment> {
    let outermost = |node: &Node| graph.scopes[node.scope as usize].outermost;
    let mut runs: Vec<(u32, Vec<NodeId>)> = vec![];
    for id in graph.ids().filter(|&id| !graph.node(id).op.is_leaf()) {
        let scope = outermost(graph.node(id));
        match runs.last_mut() {
            Some((last, ids)) if *last == scope => ids.push(id),
            _ => runs.push((scope, vec![id])),
        }
    }
    let mut run_of = vec![usize::MAX; graph.nodes.len()];
    for (run, (_, ids)) in runs.iter().enumerate() {
        ids.iter().for_each(|id| run_of[id.index()] = run);
    }
    // A value leaves its run when another run or the caller takes it.
    let mut leaves = vec![false; graph.nodes.len()];
    for id in graph.ids() {
        for input in &graph.node(id).inputs {
            leaves[input.index()] |= run_of[input.index()] != run_of[id.index()];
        }
    }
    graph
        .outputs
        .iter()
        .for_each(|port| leaves[port.node.index()] = true);

    let cut = |(scope, ids): &(u32, Vec<NodeId>)| {
        let mut part = Extraction::new(graph);
        for &id in ids {
            part.add(id);
        }
        let outputs: Vec<NodeId> = ids
            .iter()
            .copied()
            .filter(|id| leaves[id.index()])
            .collect();
        part.finish(graph.scopes[*scope as usize].path.clone(), outputs)
    };
    runs.iter().map(cut).collect()
}

/// A part of a graph under construction.
struct Extraction<'a> {
    whole: &'a Graph,
    part: Graph,
    placed: HashMap<NodeId, NodeId>,
    weights: HashMap<usize, usize>,
    inputs: Vec<NodeId>,
}

impl<'a> Extraction<'a> {
    fn new(whole: &'a Graph) -> Self {
        let part = Graph {
            scopes: whole.scopes.clone(),
            ..Graph::default()
        };
        Self {
            whole,
            part,
            placed: HashMap::new(),
            weights: HashMap::new(),
            inputs: vec![],
        }
    }

    /// Adds a node of the segment; operands from outside become inputs or copied leaves.
    fn add(&mut self, id: NodeId) {
        let node = self.whole.node(id);
        let inputs = node
            .inputs
            .iter()
            .map(|&input| self.operand(input))
            .collect();
        let placed = self.push(Node {
            inputs,
            ..node.clone()
        });
        self.placed.insert(id, placed);
    }

    fn operand(&mut self, id: NodeId) -> NodeId {
        if let Some(&placed) = self.placed.get(&id) {
            return placed;
        }
        let node = self.whole.node(id).clone();
        let placed = match node.op {
            Op::Weight(index) => {
                let next = self.part.weights.len();
                let local = *self.weights.entry(index).or_insert(next);
                if local == next {
                    self.part.weights.push(self.whole.weights[index].clone());
                }
                self.push(Node {
                    op: Op::Weight(local),
                    ..node
                })
            }
            Op::Constant(_) => self.push(node),
            _ => {
                let placed = self.push(Node {
                    op: Op::Input,
                    inputs: vec![],
                    scope: 0,
                    ..node
                });
                self.part.inputs.push(Port {
                    name: format!("i{}", self.inputs.len()),
                    node: placed,
                });
                self.inputs.push(id);
                placed
            }
        };
        self.placed.insert(id, placed);
        placed
    }

    fn push(&mut self, node: Node) -> NodeId {
        self.part.nodes.push(node);
        NodeId(self.part.nodes.len() as u32 - 1)
    }

    fn finish(mut self, name: String, outputs: Vec<NodeId>) -> Segment {
        let port = |(i, id): (usize, &NodeId)| Port {
            name: format!("o{i}"),
            node: self.placed[id],
        };
        self.part.outputs = outputs.iter().enumerate().map(port).collect();
        verify::verify(&self.part);
        Segment {
            name,
            graph: self.part,
            inputs: self.inputs,
            outputs,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Builder, Params};
    use crate::tensor::DType;

    fn three_blocks() -> Graph {
        let g = Builder::new(DType::F32);
        let p = Params::new(&g);
        let mut x = g.input("x", DType::F32, [2, 4]);
        for i in 0..3 {
            x = g.scope(format!("blocks.{i}"), || {
                g.scope("ff", || x + x.linear(p.at(i).weight("w", &[4, 4]), None))
            });
        }
        g.finish([("y", x)])
    }

    #[test]
    fn a_block_becomes_a_segment_with_what_it_takes_and_gives() {
        let cut = segments(&three_blocks());
        let names: Vec<_> = cut.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names, ["blocks.0", "blocks.1", "blocks.2"]);
        assert_eq!(cut[1].inputs, cut[0].outputs);
        assert_eq!(cut[1].graph.weights[0].name, "1.w");
    }

    #[test]
    fn blocks_that_differ_only_in_weights_have_one_form() {
        let cut = segments(&three_blocks());
        assert_eq!(cut[0].form(), cut[2].form());
    }
}
