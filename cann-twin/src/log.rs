//! What was launched, as JSON lines, for tests and for looking at.

use std::fs::File;
use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Default)]
struct Log {
    kept: Option<Vec<String>>,
    /// Where a profile of launches goes.
    profile: Option<File>,
}

static LOG: Mutex<Log> = Mutex::new(Log {
    kept: None,
    profile: None,
});

fn log() -> MutexGuard<'static, Log> {
    LOG.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Begins or ends keeping lines.
pub(crate) fn keep(on: bool) {
    log().kept = on.then(Vec::new);
}

/// Keeps a line.
pub(crate) fn line(text: impl FnOnce() -> String) {
    if let Some(lines) = &mut log().kept {
        lines.push(text());
    }
}

/// Bytes of the lines so far.
pub(crate) fn len() -> usize {
    let log = log();
    let lines = log.kept.iter().flatten();
    lines.map(|line| line.len() + 1).sum()
}

/// The lines so far, which are forgotten.
pub(crate) fn take() -> Vec<String> {
    log().kept.as_mut().map(std::mem::take).unwrap_or_default()
}

/// Where a profile goes from now on.
pub(crate) fn profile_to(file: Option<File>) {
    log().profile = file;
}

/// A launch for the profile; times in nanoseconds since the process began to use the twin.
pub(crate) fn profile(name: &str, stream: usize, [queued, began, ended]: [u128; 3]) {
    if let Some(file) = &mut log().profile {
        // A profile that cannot be written is not worth failing a launch.
        let _ = writeln!(
            file,
            r#"{{"name":"{name}","stream":{stream},"queued_ns":{queued},"began_ns":{began},"ended_ns":{ended}}}"#
        );
    }
}
