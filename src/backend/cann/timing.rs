//! Launches of our own kernels in the twin's timing model: every instruction goes through the pipes of a
//! chip, no data does. Predictions, not measurements.

use std::collections::HashMap;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use ascendit_kernels::twin::{Launch, Memory, Modes, Outcome, kernel};
use ascendit_kernels::{Chip, Operand, Plan as KernelPlan};

use super::call::{Aclnn, Call, KernelCall, Parameter};
use super::plan::Plan;
use super::view::View;
use crate::cancel::Cancel;
use crate::tensor::{DType, numel};
use crate::{Error, Result};

/// Between looks at whether to stop.
const PAUSE: Duration = Duration::from_millis(100);

/// Times a launch, on a thread of its own so that it can be given up.
///
/// # Errors
/// If this program does not have the kernel, the kernel does something wrong, or on cancelling.
pub fn time(
    plan: &KernelPlan,
    operands: Vec<Operand>,
    chip: &Chip,
    trace: bool,
    cancel: &Cancel,
) -> Result<Outcome> {
    let function = kernel(&plan.kernel).ok_or_else(|| Error::Unavailable {
        device: "twin".into(),
        what: format!(
            "this program has no kernel {}; kernels are timed on Linux on x86-64 and aarch64",
            plan.kernel
        ),
    })?;
    let modes = Modes {
        trace,
        ..Modes::TIMED
    };
    let mut memory = Memory::default();
    let mut launch = Launch::new(chip.name, plan.blocks, modes);
    for operand in operands {
        match operand {
            Operand::Absent(bytes) => launch.buffer(memory.absent(bytes), 0),
            Operand::Present(bytes) => launch.buffer(memory.present(&bytes), 0),
            Operand::Null => launch.null(),
        };
    }
    launch.tiling(&plan.tiling);
    let (done, result) = channel();
    let work = move || done.send(launch.run(function, &mut memory));
    std::thread::Builder::new()
        .name("kernel".into())
        .spawn(work)
        .map_err(Error::io("start a thread for", &plan.kernel))?;
    loop {
        cancel.check()?;
        match result.recv_timeout(PAUSE) {
            Ok(outcome) => {
                return outcome.map_err(|what| Error::Device {
                    device: format!("twin of {}", chip.name),
                    what,
                });
            }
            Err(RecvTimeoutError::Timeout) => (),
            Err(RecvTimeoutError::Disconnected) => unreachable!("the thread sends before it ends"),
        }
    }
}

/// Seconds of each launch of a kernel in a plan, by its place among the launches. Those that are alike are
/// timed once.
///
/// # Errors
/// As [`time`].
pub fn seconds(plan: &Plan, chip: &Chip, cancel: &Cancel) -> Result<HashMap<usize, f64>> {
    let mut known: HashMap<(&str, &[u8]), f64> = HashMap::new();
    let mut seconds = HashMap::new();
    for (index, launch) in plan.launches.iter().enumerate() {
        let Aclnn::Kernel(kernel) = &launch.call.op else {
            continue;
        };
        let key = (kernel.plan.kernel.as_str(), kernel.plan.tiling.as_slice());
        let one = match known.get(&key) {
            Some(one) => *one,
            None => {
                let operands = operands(kernel, &launch.call);
                let outcome = time(&kernel.plan, operands, chip, false, cancel)?;
                tracing::info!(
                    "{}: {:.1} us predicted",
                    kernel.plan.kernel,
                    outcome.microseconds
                );
                *known.entry(key).or_insert(outcome.microseconds * 1e-6)
            }
        };
        seconds.insert(index, one);
    }
    Ok(seconds)
}

fn operands(kernel: &KernelCall, call: &Call) -> Vec<Operand> {
    let parameters = kernel.parameters.iter();
    let operand = |parameter: &Parameter| match parameter {
        Parameter::Input(i) => present(&call.inputs[*i], call),
        Parameter::Output(i) => present(&call.outputs[*i], call),
        Parameter::Workspace if kernel.plan.workspace > 0 => Operand::Absent(kernel.plan.workspace),
        Parameter::Workspace | Parameter::Null => Operand::Null,
    };
    parameters.map(operand).collect()
}

/// The elements of a view. Integers are lengths of keys, which a kernel looks at: all keys are there.
fn present(view: &View, call: &Call) -> Operand {
    match view.dtype {
        DType::I32 => {
            let keys = call.inputs[1].shape[1] as i32;
            Operand::Present(
                vec![keys; numel(&view.shape)]
                    .into_iter()
                    .flat_map(i32::to_ne_bytes)
                    .collect(),
            )
        }
        dtype => Operand::Absent((view.span() * dtype.size_bytes()) as u64),
    }
}
