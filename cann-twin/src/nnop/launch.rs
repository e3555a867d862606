//! The two phases of every operator: checks, executors, and launches on a stream.

use std::ffi::c_void;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use cann_sys::{aclOpExecutor, aclnnStatus, aclrtStream};

use super::{
    Access, Checked, Executor, INNER, INVALID, NULL, Object, Refusal, SEEN, Task, Tensor, add,
    element_bytes, objects,
};
use crate::error::{Failure, Outcome, RT_AICORE_EXCEPTION, RT_DEVICE_LOST, answer, note};
use crate::runtime::memory::Block;
use crate::runtime::stream::Stream;
use crate::runtime::{ready, runtime};
use crate::{fault, log};

/// The body of every first phase: checks, and makes the executor.
pub(crate) fn prepare(
    name: &'static str,
    workspace_size: *mut u64,
    executor: *mut *mut aclOpExecutor,
    check: impl FnOnce() -> Checked<Task>,
) -> aclnnStatus {
    let refuse = |code, text: &str| {
        note(&format!("{name}GetWorkspaceSize"), code, text);
        code
    };
    if workspace_size.is_null() || executor.is_null() {
        return refuse(NULL, "a pointer for a result is null");
    }
    if let Err(failure) = ready().and_then(|held| held.current().map(|_| ())) {
        return refuse(failure.code, &failure.text);
    }
    if fault::hits("prepare") {
        return refuse(INNER, "it fails on demand");
    }
    SEEN.with_borrow_mut(Vec::clear);
    let task = match check() {
        Ok(task) => task,
        Err(Refusal { code, text }) => return refuse(code, &text),
    };
    let needs = SEEN.with_borrow_mut(std::mem::take);
    let workspace = task.workspace;
    let handle = add(Object::Executor(Executor {
        name,
        task: Arc::new(task),
        needs,
        repeatable: false,
    }));
    // SAFETY: neither is null, and the caller has room for results there.
    unsafe {
        workspace_size.write(workspace);
        executor.write(handle);
    }
    0
}

/// The body of every second phase.
pub(crate) fn launch(
    name: &'static str,
    workspace: *mut c_void,
    size: u64,
    executor: *mut aclOpExecutor,
    stream: aclrtStream,
) -> aclnnStatus {
    answer(name, try_launch(name, workspace, size, executor, stream))
}

fn try_launch(
    name: &'static str,
    workspace: *mut c_void,
    size: u64,
    executor: *mut aclOpExecutor,
    stream: aclrtStream,
) -> Outcome {
    let refuse = |text: String| Failure::new(INVALID, text);
    let stream = ready()?.stream(stream)?;
    let task = {
        let mut objects = objects();
        let found = match objects.get(&(executor as usize)) {
            Some(Object::Executor(found)) if found.name == name => found,
            Some(Object::Executor(found)) => {
                return Err(refuse(format!("the executor is one of {}", found.name)));
            }
            _ => return Err(refuse("the executor was used before, or is none".into())),
        };
        if let Some(gone) = found.needs.iter().find(|need| !objects.contains_key(*need)) {
            return Err(refuse(format!(
                "a descriptor ({gone:#x}) was destroyed before the second phase"
            )));
        }
        let (task, repeatable) = (Arc::clone(&found.task), found.repeatable);
        if !repeatable {
            objects.remove(&(executor as usize));
        }
        task
    };
    if size < task.workspace {
        let text = format!(
            "a workspace of {size} bytes is too small, {} are needed",
            task.workspace
        );
        return Err(refuse(text));
    }
    let memory = match task.workspace {
        0 => None,
        needed => {
            let held = runtime();
            let found = held.heap.find(workspace as usize, needed as usize);
            let found = found.filter(|block| block.device == stream.device);
            Some(found.ok_or_else(|| refuse("the workspace is not memory of the device".into()))?)
        }
    };
    log::line(|| describe(name, &task));
    let blocks = blocks_of(&task, stream.device);
    enqueue(name, &stream, move || {
        let blocks = blocks?;
        if blocks.iter().chain(&memory).any(|block| block.is_freed()) {
            let text = format!("{name} ran on memory that was freed");
            return Err(Failure::new(RT_AICORE_EXCEPTION, text));
        }
        (task.run)(&Access { blocks });
        Ok(())
    })
}

/// Puts a launch into a stream, with the faults that launches have.
pub(crate) fn enqueue(
    name: &str,
    stream: &Arc<Stream>,
    run: impl FnOnce() -> Outcome + Send + 'static,
) -> Outcome {
    static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
    let began = *BEGAN;
    let name = name.to_owned();
    let queued = began.elapsed().as_nanos();
    let number = Arc::as_ptr(stream) as usize;
    // Counted here and not on the stream, so that the order of calls says which launch fails.
    let (hangs, fails) = (fault::hits("hang"), fault::hits("launch"));
    stream.put(Box::new(move |progress| {
        if !fault::count_launch() {
            return Err(Failure::new(RT_DEVICE_LOST, "the device is lost"));
        }
        if hangs {
            progress.hang();
            return Ok(());
        }
        if fails {
            return Err(Failure::new(
                RT_AICORE_EXCEPTION,
                format!("{name} fails on demand"),
            ));
        }
        std::thread::sleep(Duration::from_millis(fault::slow_ms()));
        let started = began.elapsed().as_nanos();
        let outcome = run();
        log::profile(&name, number, [queued, started, began.elapsed().as_nanos()]);
        outcome
    }))
}

/// The memory of a task's tensors. What reaches outside is found when the operator runs, as on a
/// device.
fn blocks_of(task: &Task, device: usize) -> Outcome<Vec<Arc<Block>>> {
    let held = runtime();
    let mut blocks: Vec<Arc<Block>> = vec![];
    for (tensor, does) in task
        .reads
        .iter()
        .map(|t| (t, "reads"))
        .chain(task.writes.iter().map(|t| (t, "writes")))
    {
        if tensor.shape.contains(&0) {
            continue;
        }
        let outside = || {
            let text = format!("an operator {does} outside of the memory of its tensor");
            Failure::new(RT_AICORE_EXCEPTION, text)
        };
        let (start, len) = range_of(tensor).ok_or_else(outside)?;
        let block = held
            .heap
            .find(start, len)
            .filter(|block| block.device == device);
        let block = block
            .filter(|block| block.holds(tensor.data, 0))
            .ok_or_else(outside)?;
        if !blocks.iter().any(|known| Arc::ptr_eq(known, &block)) {
            blocks.push(block);
        }
    }
    Ok(blocks)
}

/// The address of a tensor's first byte and how many there are up to its last one; none where there
/// cannot be such addresses. The tensor has elements.
fn range_of(tensor: &Tensor) -> Option<(usize, usize)> {
    let (mut low, mut high) = (i128::from(tensor.offset), i128::from(tensor.offset));
    for (&size, &stride) in tensor.shape.iter().zip(&tensor.strides) {
        let reach = (size as i128 - 1).checked_mul(i128::from(stride))?;
        low = low.checked_add(reach.min(0))?;
        high = high.checked_add(reach.max(0))?;
    }
    let bytes = element_bytes(tensor.dtype) as i128;
    let start = low.checked_mul(bytes)?.checked_add(tensor.data as i128)?;
    let len = high.checked_sub(low)?.checked_add(1)?.checked_mul(bytes)?;
    Some((usize::try_from(start).ok()?, usize::try_from(len).ok()?))
}

/// A line of the log; `bytes` are those that are read and written at the least.
fn describe(name: &str, task: &Task) -> String {
    let shapes = |tensors: &[Tensor]| {
        let shapes: Vec<String> = tensors.iter().map(|t| format!("{:?}", t.shape)).collect();
        format!("[{}]", shapes.join(","))
    };
    let bytes = |t: &Tensor| t.shape.iter().product::<usize>() * element_bytes(t.dtype);
    let moved: usize = task.reads.iter().chain(&task.writes).map(bytes).sum();
    format!(
        r#"{{"op":"{name}","reads":{},"writes":{},"bytes":{moved},"workspace":{},"casts":{},"copies":{}}}"#,
        shapes(&task.reads),
        shapes(&task.writes),
        task.workspace,
        task.casts,
        task.copies
    )
}
