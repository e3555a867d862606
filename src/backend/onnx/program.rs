//! A compiled graph: its segments one after the other.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use ort::session::{NoSelectedOutputs, RunOptions};

use super::lower::{gathered_only, lower};
use super::session::{Compiled, Engine, Place};
use super::value::Value;
use super::weights::{OnnxWeights, Slot};
use crate::backend::{DeviceTensor, Program, Watch};
use crate::cancel::Cancel;
use crate::graph::segment::{Segment, segments};
use crate::graph::{Graph, NodeId, Op, Type, WeightDecl};
use crate::tensor::DType;
use crate::{Error, Result};

/// How often a running segment looks whether it should stop.
const CANCEL_POLL: Duration = Duration::from_millis(50);

/// A program of [`super::OnnxBackend`].
pub(super) struct OnnxProgram {
    engine: Arc<Engine>,
    weights: Arc<OnnxWeights>,
    /// Sessions that the steps share.
    sessions: Vec<Compiled>,
    steps: Vec<Step>,
    inputs: Vec<(NodeId, Type)>,
    outputs: Vec<(NodeId, Type)>,
    /// Outputs that no segment computes, except inputs.
    fixed: HashMap<NodeId, Arc<Value>>,
}

/// One segment.
struct Step {
    name: String,
    session: usize,
    inputs: Vec<NodeId>,
    weights: Vec<Slot>,
    outputs: Vec<(NodeId, Type)>,
    /// Values that no later step takes.
    dropped: Vec<NodeId>,
}

impl OnnxProgram {
    /// Prepares a graph. Weights that need converting are converted each time they are used when
    /// all of them would take more than `resident_limit` bytes.
    pub(super) fn compile(
        engine: &Arc<Engine>,
        graph: &Graph,
        weights: &Arc<OnnxWeights>,
        resident_limit: u64,
    ) -> Result<Self> {
        let parts = segments(graph);
        let stored: Vec<Vec<DType>> = parts.iter().map(|p| stored(p, weights)).collect();
        let converted: u64 = parts
            .iter()
            .zip(&stored)
            .flat_map(|(part, stored)| part.graph.weights.iter().zip(stored))
            .map(|(decl, &dtype)| weights.converted_bytes(&with_dtype(decl.clone(), dtype)))
            .sum();
        let streaming = engine.on_host() && converted > resident_limit;
        tracing::debug!(
            segments = parts.len(),
            converted_bytes = converted,
            streaming,
            "weights"
        );

        let mut forms: Vec<(Graph, Vec<DType>)> = vec![];
        let mut sessions = vec![];
        let mut steps = vec![];
        for (part, stored) in parts.into_iter().zip(stored) {
            let form = (part.form(), stored);
            let session = match forms.iter().position(|known| *known == form) {
                Some(known) => known,
                None => {
                    let lowered = lower(&part.graph, engine.provider, &form.1);
                    let compiled = engine.compile(lowered);
                    sessions.push(compiled.map_err(|e| engine.failed(&part.name, &e))?);
                    forms.push(form.clone());
                    sessions.len() - 1
                }
            };
            let slots = part.graph.weights.into_iter().zip(&form.1);
            steps.push(Step {
                name: part.name,
                session,
                weights: slots
                    .map(|(decl, &dtype)| weights.slot(with_dtype(decl, dtype), engine, streaming))
                    .collect::<Result<_>>()?,
                outputs: part
                    .outputs
                    .iter()
                    .map(|&id| (id, graph.type_of(id)))
                    .collect(),
                inputs: part.inputs,
                dropped: vec![],
            });
        }
        plan_drops(&mut steps, graph);
        Ok(Self {
            engine: Arc::clone(engine),
            weights: Arc::clone(weights),
            sessions,
            steps,
            inputs: typed(graph, graph.inputs.iter().map(|p| p.node)),
            outputs: typed(graph, graph.outputs.iter().map(|p| p.node)),
            fixed: fixed_outputs(engine, graph, weights)?,
        })
    }
}

impl Program for OnnxProgram {
    fn run(&mut self, inputs: Vec<DeviceTensor>, watch: &Watch<'_>) -> Result<Vec<DeviceTensor>> {
        let fits = inputs.len() == self.inputs.len()
            && inputs
                .iter()
                .zip(&self.inputs)
                .all(|(tensor, (_, (dtype, shape)))| {
                    tensor.dtype() == *dtype && tensor.shape() == shape
                });
        assert!(fits, "{inputs:?} for a program of {:?}", self.inputs);
        let mut values = self.fixed.clone();
        for (tensor, (id, _)) in inputs.into_iter().zip(&self.inputs) {
            values.insert(*id, super::value_of(tensor));
        }
        let options = RunOptions::new().map_err(|e| self.engine.failed("", &e))?;
        while_watching(watch.cancel, &options, || {
            self.run_steps(&mut values, watch, &options)
        })?;
        let output = |(id, (dtype, shape)): &(NodeId, Type)| {
            let value = Arc::clone(&values[id]);
            DeviceTensor::new(*dtype, shape.clone(), value)
        };
        Ok(self.outputs.iter().map(output).collect())
    }
}

impl OnnxProgram {
    fn run_steps(
        &mut self,
        values: &mut HashMap<NodeId, Arc<Value>>,
        watch: &Watch<'_>,
        options: &RunOptions<NoSelectedOutputs>,
    ) -> Result<()> {
        let count = self.steps.len();
        for (done, step) in self.steps.iter().enumerate() {
            watch.cancel.check()?;
            let failed = |e: ort::Error| match watch.cancel.is_cancelled() {
                true => Error::Cancelled,
                false => self.engine.failed(&step.name, &e),
            };
            let weights = step
                .weights
                .iter()
                .map(|slot| match slot {
                    Slot::Resident(value) => Ok(Arc::clone(value)),
                    Slot::Transient(decl) => self.weights.make(decl, &self.engine),
                })
                .collect::<Result<Vec<_>>>()?;
            let inputs = step.inputs.iter().map(|id| &values[id]).chain(&weights);
            let types: Vec<Type> = step.outputs.iter().map(|(_, kind)| kind.clone()).collect();
            let made = self.engine.memory(Place::Device).and_then(|memory| {
                let inputs: Vec<_> = inputs.collect();
                self.sessions[step.session].run(&inputs, &types, &memory, options)
            });
            let made = made.map_err(failed)?;
            for ((id, _), value) in step.outputs.iter().zip(made) {
                values.insert(*id, Arc::new(value));
            }
            for id in &step.dropped {
                values.remove(id);
            }
            (watch.on_segment)(done + 1, count);
        }
        Ok(())
    }
}

/// Runs `body`; a session that runs with `options` in it stops when `cancel` is set.
fn while_watching<T>(
    cancel: &Cancel,
    options: &RunOptions<NoSelectedOutputs>,
    body: impl FnOnce() -> T,
) -> T {
    thread::scope(|scope| {
        let (running, done) = channel::<()>();
        let watch = move || {
            while done.recv_timeout(CANCEL_POLL) == Err(RecvTimeoutError::Timeout) {
                if cancel.is_cancelled() {
                    if let Err(why) = options.terminate() {
                        tracing::warn!("cannot stop a running segment: {why}");
                    }
                    return;
                }
            }
        };
        // Without the thread, `cancel` is still looked at between segments.
        if let Err(why) = thread::Builder::new().spawn_scoped(scope, watch) {
            tracing::debug!("cannot watch a running segment: {why}");
        }
        let result = body();
        drop(running);
        result
    })
}

/// The dtype in which each weight of a segment comes: that of the file for tables of which only some
/// rows are read, else the graph's.
fn stored(part: &Segment, weights: &OnnxWeights) -> Vec<DType> {
    let dtype = |(i, decl)| match gathered_only(&part.graph, i) {
        true => weights.file_dtype(decl).unwrap_or(decl.dtype),
        false => decl.dtype,
    };
    part.graph.weights.iter().enumerate().map(dtype).collect()
}

/// Lets each value go after the last step that takes it.
fn plan_drops(steps: &mut [Step], graph: &Graph) {
    let mut kept: Vec<NodeId> = graph.outputs.iter().map(|p| p.node).collect();
    for step in steps.iter_mut().rev() {
        let taken = step
            .inputs
            .iter()
            .chain(step.outputs.iter().map(|(id, _)| id));
        for &id in taken {
            if !kept.contains(&id) {
                kept.push(id);
                step.dropped.push(id);
            }
        }
    }
}

fn with_dtype(decl: WeightDecl, dtype: DType) -> WeightDecl {
    WeightDecl { dtype, ..decl }
}

fn typed(graph: &Graph, ids: impl Iterator<Item = NodeId>) -> Vec<(NodeId, Type)> {
    ids.map(|id| (id, graph.type_of(id))).collect()
}

/// Outputs that are constants or weights.
fn fixed_outputs(
    engine: &Engine,
    graph: &Graph,
    weights: &OnnxWeights,
) -> Result<HashMap<NodeId, Arc<Value>>> {
    let mut fixed = HashMap::new();
    for port in &graph.outputs {
        let value = match &graph.node(port.node).op {
            Op::Constant(tensor) => engine.upload(Arc::clone(tensor))?,
            Op::Weight(index) => weights.make(&graph.weights[*index], engine)?,
            _ => continue,
        };
        fixed.insert(port.node, value);
    }
    Ok(fixed)
}
