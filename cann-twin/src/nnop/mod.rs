//! Descriptors and executors, as libnnopbase has them, and the two phases of every operator.

mod descriptors;

pub(crate) use descriptors::*;

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cann_sys::{
    ACL_BF16, ACL_BOOL, ACL_DOUBLE, ACL_FLOAT, ACL_FLOAT16, ACL_INT8, ACL_INT16, ACL_INT32,
    ACL_INT64, ACL_UINT8, ACL_UINT16, ACL_UINT32, ACL_UINT64, aclDataType, aclFormat, aclIntArray,
    aclOpExecutor, aclScalar, aclTensor, aclTensorList, aclnnStatus, aclrtStream,
};

use crate::error::{Failure, Outcome, RT_AICORE_EXCEPTION, RT_DEVICE_LOST, answer, note};
use crate::runtime::memory::Block;
use crate::runtime::stream::Stream;
use crate::runtime::{ready, runtime};
use crate::{fault, log};

/// A parameter that must not be null is.
pub(crate) const NULL: aclnnStatus = 161_001;
/// A parameter is not what it must be.
pub(crate) const INVALID: aclnnStatus = 161_002;
/// Something inside went wrong.
const INNER: aclnnStatus = 561_103;

/// A tensor descriptor as the caller made it. Element `(i0, ..)` lies at `data` plus the element's size
/// times `offset + Σ iₖ · strides[k]`.
#[derive(Clone, Debug)]
pub(crate) struct Tensor {
    pub(crate) dtype: aclDataType,
    pub(crate) shape: Vec<usize>,
    pub(crate) strides: Vec<i64>,
    pub(crate) offset: i64,
    pub(crate) format: aclFormat,
    /// Sizes of what is stored; none where the caller does not say.
    pub(crate) storage: Vec<usize>,
    /// The address that the caller gave.
    pub(crate) data: usize,
}

/// A number that the caller gave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scalar {
    pub(crate) dtype: aclDataType,
    pub(crate) value: f64,
}

/// Why a first phase refuses.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) code: aclnnStatus,
    pub(crate) text: String,
}

/// What can be refused.
pub(crate) type Checked<T> = Result<T, Refusal>;

/// What a first phase leaves for the second.
pub(crate) struct Task {
    pub(crate) reads: Vec<Tensor>,
    pub(crate) writes: Vec<Tensor>,
    pub(crate) workspace: u64,
    /// Conversions that CANN does unasked.
    pub(crate) casts: u32,
    /// Copies into one piece that CANN does unasked.
    pub(crate) copies: u32,
    pub(crate) run: Box<dyn Fn(&Access) + Send + Sync>,
}

/// Memory for a running operator.
pub(crate) struct Access {
    blocks: Vec<Arc<Block>>,
}

impl Access {
    /// The twin's own place of a tensor's address, where its element at offset 0 lies.
    pub(crate) fn base(&self, tensor: &Tensor) -> *mut u8 {
        let block = self.blocks.iter().find(|block| block.holds(tensor.data, 0));
        block.map_or(null_mut(), |block| block.at(tensor.data))
    }
}

/// Something that a handle stands for.
enum Object {
    Tensor(Tensor),
    Scalar(Scalar),
    Ints(Vec<i64>),
    List(Vec<usize>),
    Executor(Executor),
}

struct Executor {
    name: &'static str,
    task: Arc<Task>,
    /// Descriptors that the first phase has looked at.
    needs: Vec<usize>,
    repeatable: bool,
}

impl Object {
    fn kind(&self) -> &'static str {
        match self {
            Self::Tensor(_) => "tensor",
            Self::Scalar(_) => "scalar",
            Self::Ints(_) => "integer array",
            Self::List(_) => "tensor list",
            Self::Executor(_) => "executor",
        }
    }
}

static OBJECTS: LazyLock<Mutex<HashMap<usize, Object>>> = LazyLock::new(Mutex::default);

thread_local! {
    /// Descriptors that the first phase at hand has looked at.
    static SEEN: RefCell<Vec<usize>> = const { RefCell::new(vec![]) };
}

fn objects() -> MutexGuard<'static, HashMap<usize, Object>> {
    OBJECTS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn add<T>(object: Object) -> *mut T {
    let handle = runtime().handle();
    objects().insert(handle, object);
    handle as *mut T
}

/// Live objects by kind.
pub(crate) fn live() -> Vec<(usize, &'static str)> {
    let objects = objects();
    let kinds = [
        "tensor",
        "scalar",
        "integer array",
        "tensor list",
        "executor",
    ];
    let count = |kind: &'static str| (objects.values().filter(|o| o.kind() == kind).count(), kind);
    kinds.map(count).to_vec()
}

/// A live object of a kind, noted as one that the first phase needs.
fn look<P, T>(
    what: &'static str,
    pointer: *const P,
    kind: &'static str,
    take: impl FnOnce(&Object) -> Option<T>,
) -> Checked<T> {
    if pointer.is_null() {
        return Err(Refusal {
            code: NULL,
            text: format!("{what} is a null pointer"),
        });
    }
    SEEN.with_borrow_mut(|seen| seen.push(pointer as usize));
    let objects = objects();
    objects
        .get(&(pointer as usize))
        .and_then(take)
        .ok_or_else(|| Refusal {
            code: INVALID,
            text: format!("{what} is no {kind}, or one that was destroyed"),
        })
}

pub(crate) fn tensor(what: &'static str, pointer: *const aclTensor) -> Checked<Tensor> {
    look(what, pointer, "tensor", |object| match object {
        Object::Tensor(tensor) => Some(tensor.clone()),
        _ => None,
    })
}

pub(crate) fn optional_tensor(
    what: &'static str,
    pointer: *const aclTensor,
) -> Checked<Option<Tensor>> {
    match pointer.is_null() {
        true => Ok(None),
        false => tensor(what, pointer).map(Some),
    }
}

pub(crate) fn scalar(what: &'static str, pointer: *const aclScalar) -> Checked<Scalar> {
    look(what, pointer, "scalar", |object| match object {
        Object::Scalar(scalar) => Some(*scalar),
        _ => None,
    })
}

pub(crate) fn ints(what: &'static str, pointer: *const aclIntArray) -> Checked<Vec<i64>> {
    look(what, pointer, "integer array", |object| match object {
        Object::Ints(ints) => Some(ints.clone()),
        _ => None,
    })
}

pub(crate) fn optional_ints(
    what: &'static str,
    pointer: *const aclIntArray,
) -> Checked<Option<Vec<i64>>> {
    match pointer.is_null() {
        true => Ok(None),
        false => ints(what, pointer).map(Some),
    }
}

pub(crate) fn tensors(what: &'static str, pointer: *const aclTensorList) -> Checked<Vec<Tensor>> {
    let handles = look(what, pointer, "tensor list", |object| match object {
        Object::List(handles) => Some(handles.clone()),
        _ => None,
    })?;
    let one = |handle: usize| tensor(what, handle as *const aclTensor);
    handles.into_iter().map(one).collect()
}

/// Bytes of an element, 0 for a type that the twin does not know.
pub(crate) fn element_bytes(dtype: aclDataType) -> usize {
    match dtype {
        ACL_INT8 | ACL_UINT8 | ACL_BOOL => 1,
        ACL_FLOAT16 | ACL_BF16 | ACL_INT16 | ACL_UINT16 => 2,
        ACL_FLOAT | ACL_INT32 | ACL_UINT32 => 4,
        ACL_INT64 | ACL_UINT64 | ACL_DOUBLE => 8,
        _ => 0,
    }
}

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
    stream.put(Box::new(move |progress| {
        if !fault::count_launch() {
            return Err(Failure::new(RT_DEVICE_LOST, "the device is lost"));
        }
        if fault::hits("hang") {
            progress.hang();
            return Ok(());
        }
        if fault::hits("launch") {
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
        let (mut low, mut high) = (tensor.offset, tensor.offset);
        for (&size, &stride) in tensor.shape.iter().zip(&tensor.strides) {
            let reach = stride.saturating_mul(size as i64 - 1);
            match reach < 0 {
                true => low = low.saturating_add(reach),
                false => high = high.saturating_add(reach),
            }
        }
        let bytes = element_bytes(tensor.dtype);
        let outside = || {
            let text = format!("an operator {does} outside of the memory of its tensor");
            Failure::new(RT_AICORE_EXCEPTION, text)
        };
        let start = usize::try_from(low)
            .ok()
            .map(|low| tensor.data + low * bytes);
        let len = usize::try_from(high - low)
            .ok()
            .map(|len| (len + 1) * bytes);
        let (start, len) = start.zip(len).ok_or_else(outside)?;
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

fn describe(name: &str, task: &Task) -> String {
    let shapes = |tensors: &[Tensor]| {
        let shapes: Vec<String> = tensors.iter().map(|t| format!("{:?}", t.shape)).collect();
        format!("[{}]", shapes.join(","))
    };
    format!(
        r#"{{"op":"{name}","reads":{},"writes":{},"workspace":{},"casts":{},"copies":{}}}"#,
        shapes(&task.reads),
        shapes(&task.writes),
        task.workspace,
        task.casts,
        task.copies
    )
}
