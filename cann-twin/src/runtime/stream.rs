//! Streams: tasks in order, each stream on a thread of its own; events across them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Failure, Outcome, RT_AICORE_EXCEPTION, RT_STREAM_ABORT, RT_SYNC_TIMEOUT};

/// Work of a stream.
pub(crate) type Job = Box<dyn FnOnce(&Progress) -> Outcome + Send>;

/// A stream.
pub(crate) struct Stream {
    pub(crate) device: usize,
    pub(crate) context: usize,
    jobs: Mutex<Option<Sender<Job>>>,
    pub(crate) progress: Arc<Progress>,
}

/// How far a stream is.
#[derive(Default)]
pub(crate) struct Progress {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    submitted: u64,
    finished: u64,
    failure: Option<Failure>,
    aborted: bool,
}

impl Progress {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the stream failed with, if it did.
    pub(crate) fn failure(&self) -> Option<Failure> {
        self.state().failure.clone()
    }

    /// Whether the stream is to stop.
    fn is_aborted(&self) -> bool {
        self.state().aborted
    }

    /// Waits until the stream is aborted.
    pub(crate) fn hang(&self) {
        let mut state = self.state();
        while !state.aborted {
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn finish(&self, outcome: Outcome) {
        let mut state = self.state();
        state.finished += 1;
        if let Err(failure) = outcome {
            state.failure.get_or_insert(failure);
        }
        self.changed.notify_all();
    }
}

impl Stream {
    pub(crate) fn new(device: usize, context: usize) -> Outcome<Arc<Self>> {
        let progress = Arc::new(Progress::default());
        let (jobs, queue) = channel::<Job>();
        let own = Arc::clone(&progress);
        let work = move || {
            for job in queue {
                let stop = own.is_aborted() || own.failure().is_some();
                let outcome = match stop {
                    true => Ok(()),
                    false => catch_unwind(AssertUnwindSafe(|| job(&own))).unwrap_or_else(|_| {
                        let text = "the twin's own operator panicked";
                        Err(Failure::new(RT_AICORE_EXCEPTION, text))
                    }),
                };
                own.finish(outcome);
            }
        };
        let thread = std::thread::Builder::new().name("twin stream".into());
        thread.spawn(work).map_err(|e| {
            Failure::new(
                crate::error::RT_RESOURCE_ALLOC_FAIL,
                format!("no thread: {e}"),
            )
        })?;
        Ok(Arc::new(Self {
            device,
            context,
            jobs: Mutex::new(Some(jobs)),
            progress,
        }))
    }

    /// Puts work behind what is there.
    ///
    /// # Errors
    /// What the stream failed with before.
    pub(crate) fn put(&self, job: Job) -> Outcome {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut state = self.progress.state();
            if let Some(failure) = &state.failure {
                return Err(failure.clone());
            }
            if state.aborted {
                return Err(Failure::new(RT_STREAM_ABORT, "the stream was aborted"));
            }
            state.submitted += 1;
        }
        let sent = jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok());
        match sent {
            true => Ok(()),
            false => Err(Failure::new(RT_STREAM_ABORT, "the stream is gone")),
        }
    }

    /// Waits until all work is done.
    ///
    /// # Errors
    /// What the stream failed with, or that the time is up.
    pub(crate) fn synchronize(&self, limit: Option<Duration>) -> Outcome {
        let end = limit.map(|limit| Instant::now() + limit);
        let mut state = self.progress.state();
        while state.finished < state.submitted {
            state = match end.map(|end| end.saturating_duration_since(Instant::now())) {
                Some(Duration::ZERO) => {
                    return Err(Failure::new(
                        RT_SYNC_TIMEOUT,
                        "the stream is not done in time",
                    ));
                }
                Some(left) => {
                    let waited = self.progress.changed.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => {
                    let waited = self.progress.changed.wait(state);
                    waited.unwrap_or_else(PoisonError::into_inner)
                }
            };
        }
        match &state.failure {
            Some(failure) => Err(failure.clone()),
            None => Ok(()),
        }
    }

    /// Throws away what is not done; the stream can be used again when it stands still.
    pub(crate) fn abort(&self) {
        self.progress.state().aborted = true;
        self.progress.changed.notify_all();
        let mut state = self.progress.state();
        while state.finished < state.submitted {
            let waited = self.progress.changed.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
        state.aborted = false;
    }

    /// Ends the thread when all work is done.
    pub(crate) fn close(&self) {
        *self.jobs.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// An event.
#[derive(Default)]
pub(crate) struct Event {
    state: Mutex<EventState>,
    changed: Condvar,
}

#[derive(Default)]
struct EventState {
    recorded: u64,
    reached: u64,
    at: Option<Instant>,
}

impl Event {
    fn state(&self) -> MutexGuard<'_, EventState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Is reached when a stream has come to where it stands now.
    pub(crate) fn record(self: &Arc<Self>, stream: &Stream) -> Outcome {
        let number = {
            let mut state = self.state();
            state.recorded += 1;
            state.recorded
        };
        let event = Arc::clone(self);
        stream.put(Box::new(move |_| {
            let mut state = event.state();
            state.reached = state.reached.max(number);
            state.at = Some(Instant::now());
            event.changed.notify_all();
            Ok(())
        }))
    }

    /// What a stream does later comes after the event's last record.
    pub(crate) fn hold(self: &Arc<Self>, stream: &Stream) -> Outcome {
        let event = Arc::clone(self);
        let number = self.state().recorded;
        stream.put(Box::new(move |progress| {
            event.wait_for(number, &|| progress.is_aborted());
            Ok(())
        }))
    }

    fn wait_for(&self, number: u64, stop: &dyn Fn() -> bool) {
        let mut state = self.state();
        while state.reached < number && !stop() {
            let waited = self.changed.wait_timeout(state, Duration::from_millis(20));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until the last record is reached, or `stop` says that it will not be.
    pub(crate) fn synchronize(&self, stop: &dyn Fn() -> bool) {
        let number = self.state().recorded;
        self.wait_for(number, stop);
    }

    pub(crate) fn is_reached(&self) -> bool {
        let state = self.state();
        state.reached >= state.recorded
    }

    /// When it was reached last.
    pub(crate) fn time(&self) -> Option<Instant> {
        self.state().at
    }
}
