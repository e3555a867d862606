//! Kernels of our own: binaries in files, loaded when they are needed.

use std::ffi::{CString, c_void};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cann_sys::{aclrtArgsHandle, aclrtBinHandle, aclrtFuncHandle, aclrtParamHandle};

use super::stream::Keep;
use super::{Context, DeviceBuffer, Stream};
use crate::{Error, Result};

/// Where a file with kernels may be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelSearch {
    /// A file, or a folder with one, named by the variable `ASCENDIT_KERNELS`; nothing else is looked at then.
    pub named: Option<PathBuf>,
    /// The file's name in folders.
    pub name: &'static str,
    /// Files that may be there, in this order.
    pub files: Vec<PathBuf>,
}

impl KernelSearch {
    /// For a card: `kernels/ascendit_kernels.o` beside the program, then where the build put it.
    pub fn card() -> Self {
        let name = "ascendit_kernels.o";
        let beside = program_folder().map(|folder| folder.join("kernels").join(name));
        let built = ascendit_kernels::DEVICE_BINARY.map(PathBuf::from);
        Self::new(name, [beside, built].into_iter().flatten().collect())
    }

    /// For the twin: the library of kernels for the host, where the twin itself is looked for.
    pub fn twin() -> Self {
        let name = "libascendit_kernels.so";
        let files = program_folder().map(|dir| vec![dir.join("deps").join(name), dir.join(name)]);
        Self::new(name, files.unwrap_or_default())
    }

    fn new(name: &'static str, files: Vec<PathBuf>) -> Self {
        let named = std::env::var_os("ASCENDIT_KERNELS").filter(|value| !value.is_empty());
        Self {
            named: named.map(PathBuf::from),
            name,
            files,
        }
    }

    /// The file, if there is one.
    ///
    /// # Errors
    /// If the one that was named is not there.
    pub fn find(&self) -> Result<Option<PathBuf>> {
        let Some(named) = &self.named else {
            return Ok(self.files.iter().find(|file| file.is_file()).cloned());
        };
        let file = match named.is_dir() {
            true => named.join(self.name),
            false => named.clone(),
        };
        match file.is_file() {
            true => Ok(Some(file)),
            false => Err(Error::request(format!(
                "ASCENDIT_KERNELS: {} is no file; name the file {} or its folder, or pass --kernels off",
                file.display(),
                self.name
            ))),
        }
    }
}

/// The folder of the running program.
fn program_folder() -> Option<PathBuf> {
    let exe = std::env::current_exe().and_then(std::fs::canonicalize);
    Some(exe.ok()?.parent()?.to_owned())
}

/// A file with kernels, loaded to a device. Clones are the same; kernels and launches hold it.
#[derive(Clone)]
pub struct KernelBinary(Arc<Loaded>);

struct Loaded {
    context: Context,
    handle: aclrtBinHandle,
    path: PathBuf,
}

// SAFETY: a handle that is only passed to CANN, from threads that make its context current.
unsafe impl Send for Loaded {}
// SAFETY: as above.
unsafe impl Sync for Loaded {}

/// A function of a [`KernelBinary`] that runs on the device's cores.
#[derive(Clone)]
pub struct Kernel {
    name: String,
    handle: aclrtFuncHandle,
    binary: KernelBinary,
}

// SAFETY: as for the binary.
unsafe impl Send for Kernel {}
// SAFETY: as for the binary.
unsafe impl Sync for Kernel {}

/// An argument of a kernel.
#[derive(Clone, Copy, Debug)]
pub enum Arg<'a> {
    /// The address of a byte of a buffer.
    Buffer(&'a Arc<DeviceBuffer>, usize),
    /// Bytes that are passed as they are: a number or a struct of tiling parameters.
    Bytes(&'a [u8]),
}

impl KernelBinary {
    /// Loads a file.
    ///
    /// # Errors
    /// If it is not there or CANN does not take it.
    pub fn load(context: &Context, path: &Path) -> Result<Self> {
        let absolute = std::fs::canonicalize(path).map_err(Error::io("open", path))?;
        let c_path = CString::new(absolute.as_os_str().as_bytes())
            .map_err(|_| Error::file(path, "a path with a zero byte"))?;
        let mut handle = std::ptr::null_mut();
        let functions = context.bind()?;
        let load = functions.aclrtBinaryLoadFromFile;
        // SAFETY: the path ends in a zero byte, no options are allowed, and `handle` is a valid place.
        let code = unsafe { load(c_path.as_ptr(), std::ptr::null_mut(), &mut handle) };
        let operation = format_args!("aclrtBinaryLoadFromFile of {}", absolute.display());
        context.check(operation, code)?;
        Ok(Self(Arc::new(Loaded {
            context: context.clone(),
            handle,
            path: absolute,
        })))
    }

    /// A kernel by its name.
    ///
    /// # Errors
    /// If the file has no such kernel.
    pub fn kernel(&self, name: &str) -> Result<Kernel> {
        let c_name = CString::new(name)
            .map_err(|_| Error::request(format!("kernel {name:?} has a zero byte in its name")))?;
        let mut handle = std::ptr::null_mut();
        let context = &self.0.context;
        let functions = context.bind()?;
        let get = functions.aclrtBinaryGetFunction;
        // SAFETY: the binary lives, the name ends in a zero byte, and `handle` is a valid place.
        let code = unsafe { get(self.0.handle, c_name.as_ptr(), &mut handle) };
        let operation = format_args!(
            "aclrtBinaryGetFunction of {name} in {}",
            self.0.path.display()
        );
        context.check(operation, code)?;
        Ok(Kernel {
            name: name.to_owned(),
            handle,
            binary: self.clone(),
        })
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        // SAFETY: loaded by this function's counterpart and unloaded once; launches hold it.
        self.context.give_back("aclrtBinaryUnLoad", |f| unsafe {
            (f.aclrtBinaryUnLoad)(self.handle)
        });
    }
}

impl Kernel {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Puts the kernel into a stream, on `blocks` cores, which holds the buffers until it is done.
    /// What a kernel does with its arguments is the kernel's own affair: it can write wherever on the
    /// device it computes an address, which is why kernels are checked on the twin.
    ///
    /// # Errors
    /// What CANN says.
    ///
    /// # Panics
    /// If an address does not lie inside of its buffer, or something is of another device.
    pub fn launch(&self, blocks: u32, args: &[Arg<'_>], stream: &Stream) -> Result<()> {
        let context = &self.binary.0.context;
        stream.check_context(context);
        let functions = context.bind()?;
        let operation = |call: &str| format!("{call} of {}", self.name);
        let mut handle: aclrtArgsHandle = std::ptr::null_mut();
        // SAFETY: the kernel lives and `handle` is a valid place to write to.
        let code = unsafe { (functions.aclrtKernelArgsInit)(self.handle, &mut handle) };
        context.check(operation("aclrtKernelArgsInit"), code)?;
        let mut keep: Vec<Keep> = vec![self.binary.0.clone()];
        for arg in args {
            match arg {
                Arg::Buffer(buffer, at) => {
                    stream.check_context(buffer.context());
                    keep.push((*buffer).clone());
                    let address = buffer.address(*at, 0) as u64;
                    self.append(handle, &address.to_ne_bytes())?;
                }
                Arg::Bytes(bytes) => self.append(handle, bytes)?,
            }
        }
        // SAFETY: the arguments were begun above.
        let code = unsafe { (functions.aclrtKernelArgsFinalize)(handle) };
        context.check(operation("aclrtKernelArgsFinalize"), code)?;
        stream.enqueue(
            operation("aclrtLaunchKernelWithConfig"),
            keep,
            |f, stream| {
                let (config, reserve) = (std::ptr::null_mut(), std::ptr::null_mut());
                let launch = f.aclrtLaunchKernelWithConfig;
                // SAFETY: kernel, stream and complete arguments live; no configuration is allowed. The
                // stream holds the binary and the buffers from now on.
                unsafe { launch(self.handle, blocks, stream, config, handle, reserve) }
            },
        )
    }

    fn append(&self, args: aclrtArgsHandle, bytes: &[u8]) -> Result<()> {
        let context = &self.binary.0.context;
        let functions = context.bind()?;
        let mut param: aclrtParamHandle = std::ptr::null_mut();
        let at = bytes.as_ptr().cast_mut().cast::<c_void>();
        // SAFETY: the arguments are not complete; the bytes are copied and not changed.
        let code = unsafe { (functions.aclrtKernelArgsAppend)(args, at, bytes.len(), &mut param) };
        context.check(format_args!("aclrtKernelArgsAppend of {}", self.name), code)
    }
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.name, self.binary.0.path.display())
    }
}

impl fmt::Debug for KernelBinary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.path.fmt(f)
    }
}
