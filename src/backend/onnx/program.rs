//! A compiled graph: its segments one after the other.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use ort::session::{NoSelectedOutputs, RunOptions};

use super::lower::{Arrival, gathered_only, lower};
use super::session::{Compiled, Engine, Place};
use super::value::Value;
use super::weights::{OnnxWeights, Slot};
use crate::backend::{DeviceTensor, Program, Watch};
use crate::cancel::Cancel;
use crate::graph::segment::{Segment, segments};
use crate::graph::{Graph, NodeId, Op, Type, WeightDecl};
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
    /// Prepares a graph whose weights may take `weight_memory` bytes of host memory beside their
    /// files.
    pub(super) fn compile(
        engine: &Arc<Engine>,
        graph: &Graph,
        weights: &Arc<OnnxWeights>,
        weight_memory: u64,
    ) -> Result<Self> {
        let parts = segments(graph);
        let policy = policy(engine, &parts, weights, weight_memory);
        tracing::debug!(segments = parts.len(), ?policy, "weights");
        let mut sessions = Sessions::default();
        let mut steps = vec![];
        for part in parts {
            let arrivals = arrivals(&part, weights, policy);
            let session = sessions.of(engine, weights, &part, &arrivals)?;
            let slots = part.graph.weights.into_iter().zip(&arrivals);
            steps.push(Step {
                name: part.name,
                session,
                weights: slots
                    .filter(|(_, arrival)| !arrival.constant)
                    .map(|(decl, arrival)| {
                        let decl = WeightDecl {
                            dtype: arrival.dtype,
                            ..decl
                        };
                        weights.slot(decl, engine, policy == Policy::Streamed)
                    })
                    .collect::<Result<_>>()?,
                outputs: typed(graph, part.outputs.into_iter()),
                inputs: part.inputs,
                dropped: vec![],
            });
        }
        plan_drops(&mut steps, graph);
        Ok(Self {
            engine: Arc::clone(engine),
            weights: Arc::clone(weights),
            sessions: sessions.compiled,
            steps,
            inputs: typed(graph, graph.inputs.iter().map(|p| p.node)),
            outputs: typed(graph, graph.outputs.iter().map(|p| p.node)),
            fixed: fixed_outputs(engine, graph, weights)?,
        })
    }
}

/// What becomes of a program's weights on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Policy {
    /// Each session has its own as constants, laid out for its kernels: fastest, and a copy of all.
    Packed,
    /// The mapped files, and a copy of those that must be converted.
    Resident,
    /// The mapped files; what must be converted is converted each time it is used.
    Streamed,
}

/// The first policy that keeps within `weight_memory` bytes.
fn policy(engine: &Engine, parts: &[Segment], weights: &OnnxWeights, weight_memory: u64) -> Policy {
    if !engine.on_host() {
        return Policy::Resident;
    }
    let all = parts
        .iter()
        .flat_map(|part| {
            part.graph
                .weights
                .iter()
                .enumerate()
                .map(move |w| (part, w))
        })
        .filter(|(part, (i, _))| !gathered_only(&part.graph, *i))
        .map(|(_, (_, decl))| decl);
    let (mut total, mut converted) = (0, 0);
    for decl in all {
        total += decl.size_bytes() as u64;
        converted += weights.converted_bytes(decl);
    }
    match (total <= weight_memory, converted <= weight_memory) {
        (true, _) => Policy::Packed,
        (_, true) => Policy::Resident,
        _ => Policy::Streamed,
    }
}

/// How each weight of a segment comes. A table of which only some rows are read stays as it is in
/// the file.
fn arrivals(part: &Segment, weights: &OnnxWeights, policy: Policy) -> Vec<Arrival> {
    let arrival = |(i, decl): (usize, &WeightDecl)| match gathered_only(&part.graph, i) {
        true => Arrival {
            dtype: weights.file_dtype(decl).unwrap_or(decl.dtype),
            constant: false,
        },
        false => Arrival {
            dtype: decl.dtype,
            constant: policy == Policy::Packed,
        },
    };
    part.graph.weights.iter().enumerate().map(arrival).collect()
}

/// The sessions of a program as they are made.
#[derive(Default)]
struct Sessions {
    compiled: Vec<Compiled>,
    /// Forms that a session serves whatever its weights are.
    forms: Vec<(Graph, Vec<Arrival>, usize)>,
}

impl Sessions {
    /// The session of a segment: one that is there, or a new one.
    fn of(
        &mut self,
        engine: &Engine,
        weights: &OnnxWeights,
        part: &Segment,
        arrivals: &[Arrival],
    ) -> Result<usize> {
        let shared = arrivals.iter().all(|arrival| !arrival.constant);
        let form = part.form();
        let known =
            |(graph, by, _): &&(Graph, Vec<Arrival>, usize)| by == arrivals && *graph == form;
        if let Some((_, _, session)) = self.forms.iter().filter(|_| shared).find(known) {
            return Ok(*session);
        }
        let decls = part.graph.weights.iter().zip(arrivals).enumerate();
        let constants = decls
            .filter(|(_, (_, arrival))| arrival.constant)
            .map(|(i, (decl, _))| Ok((i, weights.make(decl, engine)?)))
            .collect::<Result<Vec<_>>>()?;
        let lowered = lower(&part.graph, engine.provider, arrivals);
        let compiled = engine
            .compile(lowered, &constants)
            .map_err(|e| engine.failed(&part.name, &e))?;
        let session = self.compiled.len();
        self.compiled.push(compiled);
        if shared {
            self.forms.push((form, arrivals.to_vec(), session));
        }
        Ok(session)
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
