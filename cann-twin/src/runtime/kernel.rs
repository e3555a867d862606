//! Kernel binaries: shared libraries of the host that stand for what a device would load.
//!
//! Arguments are appended one by one and then finalized, which must be done before the launch; a launch
//! uses them up.
//!
//! A kernel `k` is `void k(const struct twin_block *)`, called once per block, with
//!
//! ```c
//! struct twin_block {
//!     const void *args;      /* the argument block, laid out as on a device */
//!     uint64_t bytes;        /* its size */
//!     uint32_t index, count; /* which block, of how many */
//!     void *(*at)(const void *access, uint64_t address, uint64_t bytes); /* null outside of memory */
//!     const void *access;
//! };
//! ```

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

use super::api::{room, write};
use super::{ready, runtime};
use crate::error::{
    Failure, INVALID_FILE, INVALID_PARAM, RT_INVALID_HANDLE, RT_PARAM_INVALID, answer,
};
use crate::nnop;

/// What a kernel gets.
#[repr(C)]
struct TwinBlock {
    args: *const c_void,
    bytes: u64,
    index: u32,
    count: u32,
    at: unsafe extern "C" fn(*const c_void, u64, u64) -> *mut c_void,
    access: *const c_void,
}

type Entry = unsafe extern "C" fn(*const TwinBlock);

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
            let (name, entry) = unsafe {
                let name = CStr::from_ptr(name);
                (
                    name.to_string_lossy().into_owned(),
                    dlsym(binary.0, name.as_ptr()),
                )
            };
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
            let device = stream.device;
            nnop::enqueue(&name, &stream, move || {
                let _open = &binary;
                let access = KernelAccess { device };
                // Aligned as a device's argument block is.
                let mut words = vec![0u64; args.len().div_ceil(8)];
                // SAFETY: the words are at least as long.
                unsafe {
                    words
                        .as_mut_ptr()
                        .cast::<u8>()
                        .copy_from(args.as_ptr(), args.len())
                };
                for index in 0..blocks {
                    let block = TwinBlock {
                        args: words.as_ptr().cast(),
                        bytes: args.len() as u64,
                        index,
                        count: blocks,
                        at: kernel_memory,
                        access: (&raw const access).cast(),
                    };
                    // SAFETY: the caller's promise about the kernel.
                    unsafe { entry(&block) };
                }
                Ok(())
            })
        })(),
    )
}

struct KernelAccess {
    device: usize,
}

/// The twin's place of an address of the device.
unsafe extern "C" fn kernel_memory(access: *const c_void, address: u64, bytes: u64) -> *mut c_void {
    // SAFETY: a kernel passes on what it got.
    let access = unsafe { &*access.cast::<KernelAccess>() };
    let found = runtime().heap.find(address as usize, bytes as usize);
    match found.filter(|block| block.device == access.device) {
        Some(block) => block.at(address as usize).cast(),
        None => null_mut(),
    }
}
