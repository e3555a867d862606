//! Kernel binaries: shared libraries of the host that stand for what a device would load.
//!
//! Arguments are appended one by one and then finalized, which must be done before the launch; a launch
//! uses them up. A library exports `const void *twin_kernel(const char *name)`, which returns the entry
//! of a kernel: it gets the whole launch, with the memory of the device, and runs it on cores that it
//! models itself. `kernels/twin/entry.h` has the types.

use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char, c_void};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::ptr::null_mut;
use std::sync::Arc;

use cann_sys::{
    aclError, aclrtArgsHandle, aclrtBinHandle, aclrtBinaryLoadOptions, aclrtFuncHandle,
    aclrtLaunchKernelCfg, aclrtParamHandle, aclrtStream,
};

use super::api::{aclrtGetSocName, room, write};
use super::memory::Block;
use super::{ready, runtime};
use crate::error::{
    Failure, INVALID_FILE, INVALID_PARAM, Outcome, RT_AICORE_EXCEPTION, RT_INVALID_HANDLE,
    RT_PARAM_INVALID, answer,
};
use crate::{log, nnop};

/// An allocation, as in `entry.h`.
#[repr(C)]
struct Range {
    address: u64,
    bytes: u64,
    host: *mut u8,
}

/// A launch, as in `entry.h`.
#[repr(C)]
struct Launch {
    soc: *const c_char,
    blocks: u32,
    modes: u32,
    arguments: *const u8,
    argument_bytes: u64,
    ranges: *const Range,
    range_count: u64,
    tell: unsafe extern "C" fn(*mut c_void, u32, *const c_char, u64),
    user: *mut c_void,
}

/// Of [`Launch::modes`]: compute, and check what the kernel does.
const COMPUTE_AND_CHECK: u32 = 0b11;

/// Of [`Launch::tell`]: the text of a fault.
const FAULT: u32 = 0;

type Entry = unsafe extern "C" fn(*const Launch) -> i32;

/// Finds a kernel's entry.
type Find = unsafe extern "C" fn(*const c_char) -> *mut c_void;

/// A shared library.
struct Binary(*mut c_void);

// SAFETY: a handle of the loader can be used on every thread.
unsafe impl Send for Binary {}
// SAFETY: as above.
unsafe impl Sync for Binary {}

impl Drop for Binary {
    fn drop(&mut self) {
        // SAFETY: the handle was opened and nothing of it is used any more.
        unsafe { dlclose(self.0) };
    }
}

unsafe extern "C" {
    fn dlopen(path: *const c_char, flags: i32) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
    fn dlclose(library: *mut c_void) -> i32;
}

const RTLD_NOW: i32 = 2;

/// What was loaded.
#[derive(Default)]
pub(crate) struct Kernels {
    binaries: HashMap<usize, Arc<Binary>>,
    functions: HashMap<usize, (String, Entry, Arc<Binary>)>,
    arguments: HashMap<usize, Arguments>,
}

/// Arguments of one launch.
struct Arguments {
    function: usize,
    block: Vec<u8>,
    finalized: bool,
}

impl Kernels {
    pub(crate) fn binaries(&self) -> usize {
        self.binaries.len()
    }

    pub(crate) fn arguments(&self) -> usize {
        self.arguments.len()
    }
}

/// See the documentation of CANN.
///
/// # Safety
/// `path` is a text and `handle` is null or valid to write. The file is a library whose initialisers
/// are sound.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclrtBinaryLoadFromFile(
    path: *const c_char,
    _options: *mut aclrtBinaryLoadOptions,
    handle: *mut aclrtBinHandle,
) -> aclError {
    answer(
        "aclrtBinaryLoadFromFile",
        (|| {
            ready()?.current()?;
            room(handle)?;
            if path.is_null() {
                return Err(Failure::new(INVALID_PARAM, "the path is a null pointer"));
            }
            // SAFETY: the caller's promise.
            let text = unsafe { CStr::from_ptr(path) }.to_string_lossy();
            let path = Path::new(&*text);
            if !path.is_file() {
                return Err(Failure::new(INVALID_FILE, format!("{text} is no file")));
            }
            // A name without a folder would be looked for in the system's folders.
            let full = std::path::absolute(path).ok();
            let full = full.and_then(|path| CString::new(path.into_os_string().into_vec()).ok());
            // SAFETY: the caller's promise; the runtime is not held, as initialisers may use it.
            let library = full.map_or(null_mut(), |full| unsafe {
                dlopen(full.as_ptr(), RTLD_NOW)
            });
            if library.is_null() {
                let text = format!("{text} cannot be loaded");
                return Err(Failure::new(INVALID_FILE, text));
            }
            let mut held = runtime();
            let number = held.handle();
            let binary = Arc::new(Binary(library));
            held.kernels.binaries.insert(number, binary);
            // SAFETY: the caller's promise.
            unsafe { write(handle, number as aclrtBinHandle) }
        })(),
    )
}

/// See the documentation of CANN. Its kernels and their arguments go with it; what is launched ends first.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn aclrtBinaryUnLoad(handle: aclrtBinHandle) -> aclError {
    let mut held = runtime();
    let kernels = &mut held.kernels;
    let removed = kernels.binaries.remove(&(handle as usize));
    if let Some(binary) = &removed {
        let functions = &mut kernels.functions;
        functions.retain(|_, (_, _, of)| !Arc::ptr_eq(of, binary));
        let arguments = &mut kernels.arguments;
        arguments.retain(|_, arguments| functions.contains_key(&arguments.function));
    }
    // Unloading runs the library's own code, which may use the runtime.
    drop(held);
    answer(
        "aclrtBinaryUnLoad",
        match removed {
            Some(_) => Ok(()),
            None => Err(Failure::new(RT_INVALID_HANDLE, "there is no such binary")),
        },
    )
}

/// See the documentation of CANN.
///
/// # Safety
/// `name` is a text and `function` is null or valid to write.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclrtBinaryGetFunction(
    handle: aclrtBinHandle,
    name: *const c_char,
    function: *mut aclrtFuncHandle,
) -> aclError {
    answer(
        "aclrtBinaryGetFunction",
        (|| {
            let mut held = ready()?;
            let binary = held.kernels.binaries.get(&(handle as usize)).cloned();
            let binary =
                binary.ok_or_else(|| Failure::new(RT_INVALID_HANDLE, "there is no such binary"))?;
            if name.is_null() {
                return Err(Failure::new(RT_PARAM_INVALID, "the name is a null pointer"));
            }
            room(function)?;
            // SAFETY: the caller's promise; the library is open.
            let find = unsafe { dlsym(binary.0, c"twin_kernel".as_ptr()) };
            // SAFETY: in libraries of kernels this name has this type, and it takes any text.
            let entry = unsafe {
                let find = std::mem::transmute::<*mut c_void, Option<Find>>(find);
                find.map_or(null_mut(), |find| find(name))
            };
            // SAFETY: the caller's promise.
            let name = unsafe { CStr::from_ptr(name) };
            let name = name.to_string_lossy().into_owned();
            if entry.is_null() {
                let text = format!("the binary has no kernel {name}");
                return Err(Failure::new(RT_INVALID_HANDLE, text));
            }
            // SAFETY: kernels of the twin have this type.
            let entry = unsafe { std::mem::transmute::<*mut c_void, Entry>(entry) };
            let number = held.handle();
            held.kernels.functions.insert(number, (name, entry, binary));
            // SAFETY: the caller's promise.
            unsafe { write(function, number as aclrtFuncHandle) }
        })(),
    )
}

/// See the documentation of CANN.
///
/// # Safety
/// `handle` is null or valid to write.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclrtKernelArgsInit(
    function: aclrtFuncHandle,
    handle: *mut aclrtArgsHandle,
) -> aclError {
    answer(
        "aclrtKernelArgsInit",
        (|| {
            let mut held = ready()?;
            if !held.kernels.functions.contains_key(&(function as usize)) {
                return Err(Failure::new(RT_INVALID_HANDLE, "there is no such kernel"));
            }
            room(handle)?;
            let number = held.handle();
            let arguments = Arguments {
                function: function as usize,
                block: vec![],
                finalized: false,
            };
            held.kernels.arguments.insert(number, arguments);
            // SAFETY: the caller's promise.
            unsafe { write(handle, number as aclrtArgsHandle) }
        })(),
    )
}

/// See the documentation of CANN.
///
/// # Safety
/// `param` is valid for `size` bytes and `handle` is null or valid to write.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclrtKernelArgsAppend(
    arguments: aclrtArgsHandle,
    param: *mut c_void,
    size: usize,
    handle: *mut aclrtParamHandle,
) -> aclError {
    answer(
        "aclrtKernelArgsAppend",
        (|| {
            let mut held = ready()?;
            let found = held.kernels.arguments.get_mut(&(arguments as usize));
            let found = found
                .ok_or_else(|| Failure::new(RT_INVALID_HANDLE, "there are no such arguments"))?;
            if found.finalized {
                let text = "the arguments were finalized before";
                return Err(Failure::new(RT_PARAM_INVALID, text));
            }
            if param.is_null() || size == 0 {
                return Err(Failure::new(RT_PARAM_INVALID, "an argument has no bytes"));
            }
            // Natural alignment, at least 4 bytes and at most 8.
            let alignment = if size > 4 { 8 } else { 4 };
            let block = &mut found.block;
            block.resize(block.len().next_multiple_of(alignment), 0);
            // SAFETY: the caller's promise.
            block
                .extend_from_slice(unsafe { std::slice::from_raw_parts(param.cast::<u8>(), size) });
            match handle.is_null() {
                true => Ok(()),
                // SAFETY: the caller's promise.
                false => unsafe { write(handle, block.len() as aclrtParamHandle) },
            }
        })(),
    )
}

/// See the documentation of CANN.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn aclrtKernelArgsFinalize(arguments: aclrtArgsHandle) -> aclError {
    let mut held = runtime();
    let found = held.kernels.arguments.get_mut(&(arguments as usize));
    let found = found.map(|arguments| arguments.finalized = true);
    let none = || Failure::new(RT_INVALID_HANDLE, "there are no such arguments");
    answer("aclrtKernelArgsFinalize", found.ok_or_else(none))
}

/// See the documentation of CANN. The arguments are used up.
///
/// # Safety
/// The kernel is what [`Entry`] says.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclrtLaunchKernelWithConfig(
    function: aclrtFuncHandle,
    blocks: u32,
    stream: aclrtStream,
    _config: *mut aclrtLaunchKernelCfg,
    arguments: aclrtArgsHandle,
    _reserve: *mut c_void,
) -> aclError {
    answer(
        "aclrtLaunchKernelWithConfig",
        (|| {
            let mut held = ready()?;
            let stream = held.stream(stream)?;
            let (name, entry, binary) =
                held.kernels
                    .functions
                    .get(&(function as usize))
                    .cloned()
                    .ok_or_else(|| Failure::new(RT_INVALID_HANDLE, "there is no such kernel"))?;
            let known = held.kernels.arguments.get(&(arguments as usize));
            let known = known.filter(|known| known.function == function as usize);
            match known.map(|known| known.finalized) {
                Some(true) => (),
                Some(false) => {
                    let text = "the arguments are not finalized";
                    return Err(Failure::new(RT_PARAM_INVALID, text));
                }
                None => {
                    let text = "there are no such arguments of this kernel";
                    return Err(Failure::new(RT_INVALID_HANDLE, text));
                }
            }
            if blocks == 0 {
                return Err(Failure::new(
                    RT_PARAM_INVALID,
                    "a kernel needs at least one block",
                ));
            }
            let arguments = held.kernels.arguments.remove(&(arguments as usize));
            let args = arguments.map_or(vec![], |arguments| arguments.block);
            drop(held);
            log::line(|| format!(r#"{{"op":"{name}","blocks":{blocks}}}"#));
            let device = stream.device;
            nnop::enqueue(&name, &stream, move || {
                let _open = &binary;
                // What is freed meanwhile stays mapped until the kernel is done.
                let memory = runtime().heap.of_device(device);
                run(entry, blocks, &args, &memory)
            })
        })(),
    )
}

/// Runs a whole launch over the memory of a device, in the order of addresses.
fn run(entry: Entry, blocks: u32, arguments: &[u8], memory: &[Arc<Block>]) -> Outcome {
    let range = |block: &Arc<Block>| Range {
        address: block.address as u64,
        bytes: block.bytes as u64,
        host: block.at(block.address),
    };
    let ranges: Vec<Range> = memory.iter().map(range).collect();
    let soc = CString::new(chip_name()).unwrap_or_default();
    let mut fault: Option<String> = None;
    let launch = Launch {
        soc: soc.as_ptr(),
        blocks,
        modes: COMPUTE_AND_CHECK,
        arguments: arguments.as_ptr(),
        argument_bytes: arguments.len() as u64,
        ranges: ranges.as_ptr(),
        range_count: ranges.len() as u64,
        tell,
        user: (&raw mut fault).cast(),
    };
    // SAFETY: all that the launch points to lives until the call ends; that a kernel stays in the memory
    // of the device is checked by what runs it.
    match unsafe { entry(&launch) } {
        0 => Ok(()),
        _ => {
            let text = fault.unwrap_or_else(|| "a kernel failed and did not say why".into());
            Err(Failure::new(RT_AICORE_EXCEPTION, text))
        }
    }
}

/// Takes what a launch tells: of interest is why it failed.
unsafe extern "C" fn tell(user: *mut c_void, kind: u32, text: *const c_char, bytes: u64) {
    if kind == FAULT {
        // SAFETY: `user` is what `run` gave, and the text has so many bytes.
        unsafe {
            let text = std::slice::from_raw_parts(text.cast::<u8>(), bytes as usize);
            *user.cast::<Option<String>>() = Some(String::from_utf8_lossy(text).into_owned());
        }
    }
}

/// The chip's name as kernels know it: `910B2`.
fn chip_name() -> String {
    // SAFETY: a text that lives for ever.
    let name = unsafe { CStr::from_ptr(aclrtGetSocName()) }.to_string_lossy();
    name.trim_start_matches("Ascend").to_owned()
}
