//! Descriptors and executors, as libnnopbase has them, and the two phases of every operator.

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

/// A list that the caller gave.
///
/// # Safety
/// `pointer` is null or valid for `len` elements.
unsafe fn list<T: Copy>(pointer: *const T, len: u64) -> Option<Vec<T>> {
    match (pointer.is_null(), usize::try_from(len).ok()?) {
        (_, 0) => Some(vec![]),
        (true, _) => None,
        // SAFETY: the caller's promise.
        (false, len) => Some(unsafe { std::slice::from_raw_parts(pointer, len) }.to_vec()),
    }
}

/// See the documentation of CANN.
///
/// # Safety
/// The lists are valid for their lengths.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclCreateTensor(
    dims: *const i64,
    count: u64,
    dtype: aclDataType,
    strides: *const i64,
    offset: i64,
    format: aclFormat,
    storage: *const i64,
    storage_count: u64,
    data: *mut c_void,
) -> *mut aclTensor {
    let sizes = |list: Vec<i64>| -> Option<Vec<usize>> {
        list.into_iter().map(|n| usize::try_from(n).ok()).collect()
    };
    let made = (|| {
        // SAFETY: the caller's promise.
        let (dims, storage) = unsafe { (list(dims, count)?, list(storage, storage_count)?) };
        let shape = sizes(dims)?;
        let strides = match strides.is_null() {
            true => row_major(&shape),
            // SAFETY: the caller's promise.
            false => unsafe { list(strides, count)? },
        };
        (element_bytes(dtype) > 0).then_some(Tensor {
            dtype,
            shape,
            strides,
            offset,
            format,
            storage: sizes(storage)?,
            data: data as usize,
        })
    })();
    match made {
        Some(tensor) => add(Object::Tensor(tensor)),
        None => {
            note(
                "aclCreateTensor",
                INVALID,
                "sizes, strides or dtype are not what they must be",
            );
            null_mut()
        }
    }
}

fn row_major(shape: &[usize]) -> Vec<i64> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        let size = i64::try_from(shape[axis]).unwrap_or(i64::MAX);
        strides[axis - 1] = i64::saturating_mul(strides[axis], size);
    }
    strides
}

/// See the documentation of CANN.
///
/// # Safety
/// `value` is valid for an element of the type.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclCreateScalar(
    value: *mut c_void,
    dtype: aclDataType,
) -> *mut aclScalar {
    if value.is_null() {
        note("aclCreateScalar", NULL, "the value is a null pointer");
        return null_mut();
    }
    // SAFETY: the caller's promise.
    let number = unsafe {
        match dtype {
            ACL_FLOAT => f64::from(value.cast::<f32>().read_unaligned()),
            ACL_FLOAT16 => value.cast::<half::f16>().read_unaligned().to_f64(),
            ACL_BF16 => value.cast::<half::bf16>().read_unaligned().to_f64(),
            ACL_DOUBLE => value.cast::<f64>().read_unaligned(),
            ACL_INT32 => f64::from(value.cast::<i32>().read_unaligned()),
            ACL_INT64 => value.cast::<i64>().read_unaligned() as f64,
            ACL_BOOL | ACL_UINT8 => f64::from(value.cast::<u8>().read()),
            _ => {
                note(
                    "aclCreateScalar",
                    INVALID,
                    "there are no scalars of this type",
                );
                return null_mut();
            }
        }
    };
    add(Object::Scalar(Scalar {
        dtype,
        value: number,
    }))
}

/// See the documentation of CANN.
///
/// # Safety
/// `values` is valid for `count` numbers.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclCreateIntArray(
    values: *const i64,
    count: u64,
) -> *mut aclIntArray {
    // SAFETY: the caller's promise.
    match unsafe { list(values, count) } {
        Some(values) => add(Object::Ints(values)),
        None => {
            note("aclCreateIntArray", NULL, "the values are a null pointer");
            null_mut()
        }
    }
}

/// See the documentation of CANN.
///
/// # Safety
/// `tensors` is valid for `count` pointers.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclCreateTensorList(
    tensors: *const *const aclTensor,
    count: u64,
) -> *mut aclTensorList {
    // SAFETY: the caller's promise.
    let handles = unsafe { list(tensors, count) };
    let handles: Option<Vec<usize>> =
        handles.map(|handles| handles.into_iter().map(|handle| handle as usize).collect());
    match handles {
        Some(handles) => add(Object::List(handles)),
        None => {
            note(
                "aclCreateTensorList",
                NULL,
                "the tensors are a null pointer",
            );
            null_mut()
        }
    }
}

fn destroy(name: &str, handle: usize, kind: &'static str) -> aclnnStatus {
    let mut objects = objects();
    match objects.get(&handle).map(Object::kind) {
        Some(found) if found == kind => {
            // A list owns its tensors.
            if let Some(Object::List(handles)) = objects.remove(&handle) {
                handles
                    .iter()
                    .for_each(|tensor| drop(objects.remove(tensor)));
            }
            0
        }
        _ => {
            note(
                name,
                INVALID,
                &format!("it is no {kind}, or one that was destroyed"),
            );
            INVALID
        }
    }
}

/// See the documentation of CANN.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn aclDestroyTensor(tensor: *const aclTensor) -> aclnnStatus {
    destroy("aclDestroyTensor", tensor as usize, "tensor")
}

/// See the documentation of CANN.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn aclDestroyScalar(scalar: *const aclScalar) -> aclnnStatus {
    destroy("aclDestroyScalar", scalar as usize, "scalar")
}

/// See the documentation of CANN.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn aclDestroyIntArray(array: *const aclIntArray) -> aclnnStatus {
    destroy("aclDestroyIntArray", array as usize, "integer array")
}

/// See the documentation of CANN. The tensors in the list go with it.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn aclDestroyTensorList(list: *const aclTensorList) -> aclnnStatus {
    destroy("aclDestroyTensorList", list as usize, "tensor list")
}

/// See the documentation of CANN.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn aclSetAclOpExecutorRepeatable(
    executor: *mut aclOpExecutor,
) -> aclnnStatus {
    if executor.is_null() {
        let name = "aclSetAclOpExecutorRepeatable";
        note(name, INNER, "the executor is a null pointer");
        return INNER;
    }
    match objects().get_mut(&(executor as usize)) {
        Some(Object::Executor(found)) => {
            found.repeatable = true;
            0
        }
        _ => {
            note(
                "aclSetAclOpExecutorRepeatable",
                INVALID,
                "it is no executor",
            );
            INVALID
        }
    }
}

/// See the documentation of CANN.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn aclDestroyAclOpExecutor(executor: *mut aclOpExecutor) -> aclnnStatus {
    destroy("aclDestroyAclOpExecutor", executor as usize, "executor")
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
