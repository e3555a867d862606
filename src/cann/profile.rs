//! CANN's profiler: what ran on a device, for how long and on which pipes, written to a folder.

use std::ffi::{CString, c_int};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use cann_sys::{
    ACL_AICORE_PIPE_UTILIZATION, ACL_PROF_ACL_API, ACL_PROF_AICORE_METRICS, ACL_PROF_TASK_TIME,
    Functions, aclprofConfig,
};

use super::Context;
use crate::{Error, Result};

/// A running profile of a device. There can be one per process at a time.
pub struct Profile {
    context: Context,
    config: *const aclprofConfig,
    calls: Calls,
}

// SAFETY: CANN's profiler is the process's, not a thread's.
unsafe impl Send for Profile {}

/// The functions that end a profile; all there, or there is no profile.
#[derive(Clone, Copy)]
struct Calls {
    stop: unsafe extern "C" fn(*const aclprofConfig) -> c_int,
    destroy: unsafe extern "C" fn(*const aclprofConfig) -> c_int,
    finalize: unsafe extern "C" fn() -> c_int,
}

impl Profile {
    /// Begins to profile a device. The folder must be there; CANN makes one for this profile in it.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where CANN has no profiler, else what CANN says.
    pub fn start(context: &Context, folder: &Path) -> Result<Self> {
        let f: &Functions = context.bind()?;
        let calls = (|| {
            let calls = Calls {
                stop: f.aclprofStop?,
                destroy: f.aclprofDestroyConfig?,
                finalize: f.aclprofFinalize?,
            };
            Some((
                f.aclprofInit?,
                f.aclprofCreateConfig?,
                f.aclprofStart?,
                calls,
            ))
        })();
        let Some((init, create, start, calls)) = calls else {
            return Err(Error::Unavailable {
                device: context.name().to_owned(),
                what: format!("{} has no profiler here", context.cann().version()),
            });
        };
        let folder = std::fs::canonicalize(folder).map_err(Error::io("open", folder))?;
        let path = CString::new(folder.as_os_str().as_bytes())
            .map_err(|_| Error::file(&folder, "a path with a zero byte"))?;
        // SAFETY: the path is as long as is passed with it.
        let code = unsafe { init(path.as_ptr(), path.as_bytes().len()) };
        context.check("aclprofInit", code)?;
        let mut devices = [context.device_number()];
        let what = ACL_PROF_ACL_API | ACL_PROF_TASK_TIME | ACL_PROF_AICORE_METRICS;
        // SAFETY: the devices are as many as are passed with them; no events are allowed.
        let config = unsafe {
            create(
                devices.as_mut_ptr(),
                1,
                ACL_AICORE_PIPE_UTILIZATION,
                std::ptr::null(),
                u64::from(what),
            )
        };
        if config.is_null() {
            let error = super::memory::nothing(context, "aclprofCreateConfig");
            // SAFETY: the profiler was initialised above.
            context.give_back("aclprofFinalize", |_| unsafe { (calls.finalize)() });
            return Err(error);
        }
        // SAFETY: the configuration was made above.
        let code = unsafe { start(config) };
        let started = context.check("aclprofStart", code);
        let profile = Self {
            context: context.clone(),
            config,
            calls,
        };
        // Ends what was begun if it did not start.
        started.map(|()| profile)
    }

    /// Ends it. What is in flight is not waited for.
    pub fn finish(self) {}
}

impl Drop for Profile {
    fn drop(&mut self) {
        let (config, calls) = (self.config, self.calls);
        // SAFETY: the configuration was made with the profile and is used for the last time here.
        self.context
            .give_back("aclprofStop", |_| unsafe { (calls.stop)(config) });
        // SAFETY: as above; it is destroyed once.
        self.context.give_back("aclprofDestroyConfig", |_| unsafe {
            (calls.destroy)(config)
        });
        // SAFETY: the profiler was initialised with the profile.
        self.context
            .give_back("aclprofFinalize", |_| unsafe { (calls.finalize)() });
    }
}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "profile of {}", self.context.name())
    }
}
