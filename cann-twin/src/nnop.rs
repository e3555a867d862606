//! Descriptors and executors, as libnnopbase has them; the two phases of operators are in `launch`.

mod launch;

pub(crate) use launch::{enqueue, launch, prepare};

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use cann_sys::{
    ACL_BF16, ACL_BOOL, ACL_DOUBLE, ACL_FLOAT, ACL_FLOAT16, ACL_INT8, ACL_INT16, ACL_INT32,
    ACL_INT64, ACL_UINT8, ACL_UINT16, ACL_UINT32, ACL_UINT64, aclDataType, aclFormat, aclIntArray,
    aclOpExecutor, aclScalar, aclTensor, aclTensorList, aclnnStatus,
};

use crate::error::note;
use crate::runtime::memory::Block;
use crate::runtime::runtime;

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
