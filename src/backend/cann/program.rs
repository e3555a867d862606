//! A compiled graph: its plan, its weights on the device, and the launches.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::call::{Aclnn, Call, KernelCall, Lengths, Parameter};
use super::engine::{Engine, Memory, Tensor};
use super::launch::prepare;
use super::lower::Base;
use super::plan::Plan;
use super::view::View;
use super::weights::CannWeights;
use crate::Result;
use crate::backend::{DeviceTensor, Program, Watch};
use crate::cancel::Cancel;
use crate::cann::{Arg, DeviceBuffer, Event, Kernel, Repeatable, Stream};
use crate::graph::Graph;

/// Segments that are started before the first of them has to be done: few, so that a program stops
/// soon when it is asked to, and more than one, so that the device does not wait for the host.
const SEGMENTS_AHEAD: usize = 2;

/// A null pointer of a device.
const NULL: [u8; 8] = [0; 8];

/// Between looks at an event that is not reached.
const SHORTEST_PAUSE: Duration = Duration::from_micros(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(2);

/// Between looks at whether the stream still works.
const HEALTH_CHECK: Duration = Duration::from_millis(250);

/// A program of [`super::CannBackend`].
pub(super) struct CannProgram {
    engine: Arc<Engine>,
    plan: Plan,
    /// For each buffer of the plan that is a weight or a constant, what it is.
    fixed: Vec<Option<Arc<DeviceBuffer>>>,
    /// For each launch of a kernel of our own, the kernel.
    kernels: Vec<Option<Kernel>>,
    /// By which the engine knows it.
    id: u64,
}

/// Where the buffers of a plan lie in one run.
pub(super) struct Places<'a> {
    plan: &'a Plan,
    fixed: &'a [Option<Arc<DeviceBuffer>>],
    inputs: &'a [Arc<Tensor>],
    outputs: Vec<Arc<DeviceBuffer>>,
    arena: Option<Arc<DeviceBuffer>>,
}

impl CannProgram {
    pub(super) fn compile(
        engine: &Arc<Engine>,
        graph: &Graph,
        weights: &CannWeights,
    ) -> Result<Self> {
        let plan = Plan::new(graph, engine.target);
        tracing::debug!(
            launches = plan.launches.len(),
            arena_bytes = plan.arena_bytes,
            "plan"
        );
        let mut used = vec![false; plan.bases.len()];
        for launch in &plan.launches {
            let operands = launch.call.inputs.iter();
            operands.for_each(|view| used[view.base.0] = true);
        }
        let fixed = plan
            .bases
            .iter()
            .zip(used)
            .map(|(base, used)| match base {
                // Those that only kernels read lie in an order of their own.
                _ if !used => Ok(None),
                Base::Weight(index, packing) => {
                    let weight = &plan.graph.weights[*index];
                    weights.get(weight, *packing, engine).map(Some)
                }
                Base::Constant(tensor) => Ok(Some(engine.upload(tensor)?.buffer)),
                Base::Temp(_) | Base::Input(_) => Ok(None),
            })
            .collect::<Result<_>>()?;
        let kernels = kernels(engine, &plan)?;
        Ok(Self {
            engine: Arc::clone(engine),
            plan,
            fixed,
            kernels,
            id: engine.program_id(),
        })
    }
}

/// The kernels of a plan's launches.
fn kernels(engine: &Engine, plan: &Plan) -> Result<Vec<Option<Kernel>>> {
    let mut known: HashMap<&str, Kernel> = HashMap::new();
    let mut kernels = vec![];
    for launch in &plan.launches {
        let name = launch.call.op.name();
        let (Aclnn::Kernel(_), Some(binary)) = (&launch.call.op, &engine.kernels) else {
            kernels.push(None);
            continue;
        };
        let kernel = match known.get(name) {
            Some(kernel) => kernel.clone(),
            None => known.entry(name).or_insert(binary.kernel(name)?).clone(),
        };
        kernels.push(Some(kernel));
    }
    Ok(kernels)
}

/// One run's way through a plan.
struct Run<'a> {
    engine: &'a Engine,
    places: &'a Places<'a>,
    kernels: &'a [Option<Kernel>],
    /// Operators of earlier runs, by launch, that can be launched again: those whose operands lie at the
    /// same places in every run.
    operators: &'a mut [Option<Repeatable>],
}

impl Run<'_> {
    /// Launches one of the plan's operators.
    fn launch(&mut self, index: usize, memory: &mut Memory, stream: &Stream) -> Result<()> {
        let (engine, places) = (self.engine, self.places);
        let mut workspace = |bytes: usize| match bytes {
            0 => Ok(None),
            bytes => memory.workspace(engine, bytes).map(Some),
        };
        let call = &places.plan.launches[index].call;
        if let (
            Aclnn::Kernel(KernelCall {
                plan, parameters, ..
            }),
            Some(kernel),
        ) = (&call.op, &self.kernels[index])
        {
            let workspace = workspace(plan.workspace as usize)?;
            let parameters = parameters.iter().map(|parameter| match parameter {
                Parameter::Input(i) => places.argument(&call.inputs[*i]),
                Parameter::Output(i) => places.argument(&call.outputs[*i]),
                Parameter::Workspace => match &workspace {
                    Some(workspace) => Arg::Buffer(workspace, 0),
                    None => Arg::Bytes(&NULL),
                },
                Parameter::Null => Arg::Bytes(&NULL),
            });
            let args: Vec<Arg<'_>> = parameters.chain([Arg::Bytes(&plan.tiling)]).collect();
            return kernel.launch(plan.blocks, &args, stream);
        }
        let operator = &mut self.operators[index];
        if let Some(operator) = operator {
            let workspace = workspace(operator.workspace_bytes())?;
            return operator.launch(workspace.as_ref(), stream);
        }
        let prepared = prepare(&engine.context, call, places)?;
        let workspace = workspace(prepared.workspace_bytes())?;
        if !places.are_fixed(call) {
            return prepared.launch(workspace.as_ref(), stream);
        }
        match prepared.repeatable() {
            Ok(repeatable) => operator
                .insert(repeatable)
                .launch(workspace.as_ref(), stream),
            Err(prepared) => prepared.launch(workspace.as_ref(), stream),
        }
    }

    /// Starts all launches, a few segments ahead of what the device has done.
    fn launch_all(&mut self, memory: &mut Memory, watch: &Watch<'_>) -> Result<()> {
        let (engine, plan) = (self.engine, self.places.plan);
        let graph = &plan.graph;
        let outermost = |scope: u32| graph.scopes[scope as usize].outermost;
        let segments = || {
            let launches = &plan.launches;
            launches.chunk_by(|a, b| outermost(a.scope) == outermost(b.scope))
        };
        let count = segments().count();
        let stream = engine.stream()?;
        let mut ahead: VecDeque<Event> = VecDeque::new();
        let mut done = 0;
        let mut finish = |event: Event| {
            wait(&event, &stream, watch.cancel)?;
            done += 1;
            (watch.on_segment)(done, count);
            Ok(())
        };
        let mut index = 0;
        for segment in segments() {
            for launch in segment {
                watch.cancel.check()?;
                let scope = &graph.scopes[launch.scope as usize].path;
                self.launch(index, memory, &stream)
                    .map_err(|e| engine.at(scope, e))?;
                index += 1;
            }
            let event = engine.context.event()?;
            stream.record(&event)?;
            ahead.push_back(event);
            if ahead.len() > SEGMENTS_AHEAD {
                ahead.pop_front().map_or(Ok(()), &mut finish)?;
            }
        }
        ahead.into_iter().try_for_each(finish)
    }
}

impl CannProgram {
    /// New buffers for the outputs; one for those that are the same value.
    fn outputs(&self) -> Result<Vec<Arc<DeviceBuffer>>> {
        let ids = &self.plan.outputs;
        let mut made: Vec<Arc<DeviceBuffer>> = Vec::with_capacity(ids.len());
        for (i, id) in ids.iter().enumerate() {
            let buffer = match (
                ids[..i].iter().position(|before| before == id),
                &self.plan.bases[id.0],
            ) {
                (Some(same), _) => Arc::clone(&made[same]),
                (None, Base::Temp(bytes)) => self.engine.context.alloc_for(*bytes, "a result")?,
                _ => unreachable!("an output is a value of the program"),
            };
            made.push(buffer);
        }
        Ok(made)
    }
}

/// Waits for an event, and stops waiting when asked to.
fn wait(event: &Event, stream: &Stream, cancel: &Cancel) -> Result<()> {
    let (mut pause, mut looked) = (SHORTEST_PAUSE, Instant::now());
    while !event.is_reached()? {
        cancel.check()?;
        if looked.elapsed() > HEALTH_CHECK {
            // A stream that failed does not come to its events, but tells when it is waited for.
            stream.synchronize_within(SHORTEST_PAUSE)?;
            looked = Instant::now();
        }
        std::thread::sleep(pause);
        pause = (2 * pause).min(LONGEST_PAUSE);
    }
    Ok(())
}

impl Program for CannProgram {
    fn run(&mut self, inputs: Vec<DeviceTensor>, watch: &Watch<'_>) -> Result<Vec<DeviceTensor>> {
        let graph = &self.plan.graph;
        let types = graph.inputs.iter().map(|port| graph.type_of(port.node));
        let fits = inputs.len() == graph.inputs.len()
            && inputs
                .iter()
                .zip(types)
                .all(|(tensor, (dtype, shape))| tensor.dtype() == dtype && tensor.shape() == shape);
        assert!(fits, "{inputs:?} for a program of other inputs");
        let inputs: Vec<Arc<Tensor>> = inputs.into_iter().map(super::tensor_of).collect();
        let engine = Arc::clone(&self.engine);
        let mut memory = engine.turn();
        let outputs = self.outputs()?;
        let arena = match self.plan.arena_bytes {
            0 => None,
            bytes => Some(memory.arena(&engine, bytes)?),
        };
        let mut operators = memory.operators(self.id, self.plan.launches.len());
        let places = Places {
            plan: &self.plan,
            fixed: &self.fixed,
            inputs: &inputs,
            outputs,
            arena,
        };
        let mut run = Run {
            engine: &engine,
            places: &places,
            kernels: &self.kernels,
            operators: &mut operators,
        };
        let done = run.launch_all(&mut memory, watch);
        if let Err(error) = done {
            // Nothing of this run is left on the stream.
            engine.clear();
            return Err(error);
        }
        memory.keep(self.id, operators);
        let output = |(port, buffer): (&crate::graph::Port, &Arc<DeviceBuffer>)| {
            let (dtype, shape) = graph.type_of(port.node);
            let tensor = Tensor {
                buffer: Arc::clone(buffer),
                known: None,
            };
            DeviceTensor::new(dtype, shape, Arc::new(tensor))
        };
        Ok(graph
            .outputs
            .iter()
            .zip(&places.outputs)
            .map(output)
            .collect())
    }
}

impl Drop for CannProgram {
    fn drop(&mut self) {
        self.engine.turn().forget(self.id);
    }
}

impl Places<'_> {
    /// Whether a launch finds all its operands where the last run found them.
    fn are_fixed(&self, call: &Call) -> bool {
        let mut operands = call.inputs.iter().chain(&call.outputs);
        let from_host = matches!(
            call.op,
            Aclnn::PromptFlashAttention {
                lengths: Some(_),
                ..
            }
        );
        !from_host
            && operands.all(|view| match self.plan.bases[view.base.0] {
                Base::Input(_) => false,
                Base::Weight(..) | Base::Constant(_) => true,
                Base::Temp(_) => !self.plan.outputs.contains(&view.base),
            })
    }

    /// The buffer that a view lies in, and where in it the view's buffer begins, in bytes.
    pub(super) fn buffer(&self, view: &View) -> (&Arc<DeviceBuffer>, usize) {
        let base = &self.plan.bases[view.base.0];
        let output = self.plan.outputs.iter().position(|id| *id == view.base);
        match (base, output) {
            (Base::Input(index), _) => (&self.inputs[*index].buffer, 0),
            (Base::Weight(..) | Base::Constant(_), _) => {
                let buffer = self.fixed[view.base.0].as_ref();
                (buffer.expect("made when the graph was compiled"), 0)
            }
            (Base::Temp(_), Some(index)) => (&self.outputs[index], 0),
            (Base::Temp(_), None) => {
                let arena = self.arena.as_ref().expect("the plan has values in it");
                (arena, self.plan.offsets[&view.base])
            }
        }
    }

    /// The address of a view's first element.
    fn argument(&self, view: &View) -> Arg<'_> {
        let (buffer, start) = self.buffer(view);
        Arg::Buffer(buffer, start + view.offset * view.dtype.size_bytes())
    }

    /// Lengths of rows.
    pub(super) fn lengths<'a>(&'a self, lengths: &'a Lengths) -> &'a [i64] {
        match lengths {
            Lengths::Known(known) => known,
            Lengths::Input(index) => self.inputs[*index]
                .known
                .as_deref()
                .expect("integers are kept on the host"),
        }
    }
}
