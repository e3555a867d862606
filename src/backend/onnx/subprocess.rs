//! Running another program so that it can neither hang us nor outlive us.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

/// How often a running program is looked at.
const POLL: Duration = Duration::from_millis(25);

/// What a program that ended by itself left.
pub(super) struct Output {
    pub(super) status: ExitStatus,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

/// Runs a program to its end, or until `keep_going` (asked every 25 ms) says no: then it is
/// killed, together with all it started, and the result is `None`.
///
/// Its output goes through files: a pipe could be held open by a process that the program leaves
/// behind, and reading it would never end. It runs in a process group of its own, so that a
/// Ctrl-C on the terminal reaches us alone and ends it through `keep_going`.
pub(super) fn run(
    command: &mut Command,
    keep_going: &mut dyn FnMut() -> bool,
) -> io::Result<Option<Output>> {
    let stdout = tempfile::tempfile()?;
    let stderr = tempfile::tempfile()?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(stdout.try_clone()?)
        .stderr(stderr.try_clone()?)
        .process_group(0)
        .spawn()?;
    loop {
        match child.try_wait() {
            Ok(None) if keep_going() => std::thread::sleep(POLL),
            Ok(Some(status)) => {
                return Ok(Some(Output {
                    status,
                    stdout: content(stdout)?,
                    stderr: content(stderr)?,
                }));
            }
            Ok(None) => {
                stop(&mut child);
                return Ok(None);
            }
            Err(error) => {
                stop(&mut child);
                return Err(error);
            }
        }
    }
}

fn stop(child: &mut Child) {
    // Not waited for yet, so the process id still is this child's. Its group being gone already
    // is the only way to fail, and what we want.
    let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
    let _ = child.wait();
}

fn content(mut file: File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    // A program that writes without end is its own problem, not our memory's.
    file.take(1 << 20).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn what_a_program_prints_and_returns_comes_back() {
        let output = run(
            Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"]),
            &mut || true,
        )
        .unwrap()
        .unwrap();
        assert_eq!(output.status.code(), Some(3));
        assert_eq!(
            (output.stdout.as_str(), output.stderr.as_str()),
            ("out\n", "err\n")
        );
    }

    #[test]
    fn a_stopped_program_dies_with_what_it_started() {
        let dir = tempfile::tempdir().unwrap();
        let mark = dir.path().join("mark");
        let start = Instant::now();
        let script = format!("(sleep 1; touch '{}') & sleep 60", mark.display());
        let output = run(Command::new("sh").args(["-c", &script]), &mut || {
            start.elapsed() < Duration::from_millis(200)
        })
        .unwrap();
        assert!(output.is_none());
        assert!(start.elapsed() < Duration::from_secs(1));
        std::thread::sleep(Duration::from_millis(1300));
        assert!(!mark.exists());
    }

    #[test]
    fn a_process_left_behind_does_not_hold_us_up() {
        let start = Instant::now();
        let output = run(
            Command::new("sh").args(["-c", "sleep 5 & echo done"]),
            &mut || true,
        )
        .unwrap()
        .unwrap();
        assert_eq!(output.stdout, "done\n");
        assert!(start.elapsed() < Duration::from_secs(3));
    }
}
