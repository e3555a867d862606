//! The two phases of an operator: prepared once, then launched.

use std::ffi::{c_int, c_void};
use std::fmt;
use std::sync::Arc;

use cann_sys::{aclOpExecutor, aclnnStatus, aclrtStream};

use super::memory::nothing;
use super::stream::Keep;
use super::{Context, DeviceBuffer, Stream};
use crate::Result;

/// The second phase of every operator.
pub(super) type Launch =
    unsafe extern "C" fn(*mut c_void, u64, *mut aclOpExecutor, aclrtStream) -> aclnnStatus;

/// An operator with its arguments, ready to be launched once.
pub struct Prepared(Box<Call>);

/// An operator with its arguments, which can be launched any number of times.
pub struct Repeatable(Arc<Call>);

struct Call {
    name: &'static str,
    context: Context,
    launch: Launch,
    workspace_bytes: usize,
    executor: *mut aclOpExecutor,
    /// Whether dropping this has to destroy the executor: CANN has not taken it.
    owned: bool,
    /// The descriptors that the executor uses.
    keep: Vec<Keep>,
}

// SAFETY: CANN ties an executor to no thread; it is used by one at a time (see below).
unsafe impl Send for Call {}
// SAFETY: launches of one executor are put into streams under the stream's lock. Two streams may not
// launch it at once, which `Repeatable::launch` rules out by `&mut`.
unsafe impl Sync for Call {}

impl Prepared {
    /// Calls the first phase of an operator. `keep` are the descriptors that `first` passes on.
    pub(super) fn new(
        context: &Context,
        name: &'static str,
        launch: Launch,
        keep: Vec<Keep>,
        first: impl FnOnce(*mut u64, *mut *mut aclOpExecutor) -> aclnnStatus,
    ) -> Result<Self> {
        context.bind()?;
        let (mut workspace, mut executor) = (0u64, std::ptr::null_mut());
        let code = first(&mut workspace, &mut executor);
        context.check(format_args!("{name}GetWorkspaceSize"), code)?;
        if executor.is_null() {
            return Err(nothing(context, name));
        }
        Ok(Self(Box::new(Call {
            name,
            context: context.clone(),
            launch,
            workspace_bytes: usize::try_from(workspace).expect("a 64-bit machine"),
            executor,
            owned: true,
            keep,
        })))
    }

    /// The operator: `aclnnAdd`.
    pub fn name(&self) -> &'static str {
        self.0.name
    }

    /// The memory that a launch needs beside its tensors, in bytes.
    pub fn workspace_bytes(&self) -> usize {
        self.0.workspace_bytes
    }

    /// Puts the operator into a stream, which holds its tensors and the workspace until it is done.
    ///
    /// # Errors
    /// What CANN says.
    ///
    /// # Panics
    /// If the workspace is too small, or something is of another device.
    pub fn launch(mut self, workspace: Option<&Arc<DeviceBuffer>>, stream: &Stream) -> Result<()> {
        let keep: Vec<Keep> = std::mem::take(&mut self.0.keep);
        // CANN takes the executor with this call.
        self.0.owned = false;
        self.0.launch(keep, workspace, stream)
    }

    /// Makes it one that can be launched again. Some operators refuse that with some arguments.
    ///
    /// # Errors
    /// The operator as it was, if it refuses.
    pub fn repeatable(self) -> Result<Repeatable, Self> {
        let Ok(functions) = self.0.context.bind() else {
            return Err(self);
        };
        // SAFETY: the executor was made by the first phase and not launched.
        let code = unsafe { (functions.aclSetAclOpExecutorRepeatable)(self.0.executor) };
        if code == 0 {
            return Ok(Repeatable(Arc::from(self.0)));
        }
        let why = self.0.context.cann().recent_message();
        tracing::debug!(code, why, "{} cannot be launched again", self.0.name);
        Err(self)
    }
}

impl Repeatable {
    /// The operator: `aclnnAdd`.
    pub fn name(&self) -> &'static str {
        self.0.name
    }

    /// The memory that a launch needs beside its tensors, in bytes.
    pub fn workspace_bytes(&self) -> usize {
        self.0.workspace_bytes
    }

    /// Puts the operator into a stream, which holds it and the workspace until it is done.
    ///
    /// # Errors
    /// What CANN says.
    ///
    /// # Panics
    /// If the workspace is too small, or something is of another device.
    pub fn launch(&mut self, workspace: Option<&Arc<DeviceBuffer>>, stream: &Stream) -> Result<()> {
        self.0.launch(vec![self.0.clone()], workspace, stream)
    }
}

impl Call {
    fn launch(
        &self,
        mut keep: Vec<Keep>,
        workspace: Option<&Arc<DeviceBuffer>>,
        stream: &Stream,
    ) -> Result<()> {
        stream.check_context(&self.context);
        let bytes = self.workspace_bytes;
        let at = match workspace {
            Some(buffer) if bytes > 0 => {
                stream.check_context(buffer.context());
                keep.push(buffer.clone());
                buffer.address(0, bytes)
            }
            _ => {
                assert_eq!(bytes, 0, "{} needs a workspace", self.name);
                std::ptr::null_mut()
            }
        };
        stream.enqueue(self.name, keep, |_, stream| -> c_int {
            // SAFETY: the executor lives and was not taken; its descriptors, their memory and the
            // workspace, which is as large as it asks for, are held by the stream from now on.
            unsafe { (self.launch)(at, bytes as u64, self.executor, stream) }
        })
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if self.owned {
            // SAFETY: made by the first phase, not taken by CANN, and destroyed once.
            self.context
                .give_back("aclDestroyAclOpExecutor", |f| unsafe {
                    (f.aclDestroyAclOpExecutor)(self.executor)
                });
        }
    }
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for Repeatable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
