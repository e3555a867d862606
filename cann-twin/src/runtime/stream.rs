//! Streams: tasks in order, each stream on a thread of its own; events across them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::error::{Failure, Outcome, RT_AICORE_EXCEPTION, RT_STREAM_ABORT, RT_SYNC_TIMEOUT};

/// Work of a stream.
pub(crate) type Work = Box<dyn FnOnce(&Progress) -> Outcome + Send>;

/// What is in a stream.
enum Job {
    /// Left out when the stream has failed or is aborted.
    Work(Work),
    /// An event's record of this number. It is told of a stream that failed, too, so that nobody waits
    /// for ever.
    Mark(Arc<Event>, u64),
}

/// A stream.
pub(crate) struct Stream {
    pub(crate) device: usize,
    pub(crate) context: usize,
    jobs: Mutex<Option<Sender<Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    progress: Arc<Progress>,
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

    /// Whether the stream is to stop.
    fn is_aborted(&self) -> bool {
        self.state().aborted
    }

    /// Why nothing more is done, if so.
    fn check(&self) -> Outcome {
        let state = self.state();
        match &state.failure {
            Some(failure) => Err(failure.clone()),
            None if state.aborted => Err(Failure::new(RT_STREAM_ABORT, "the stream was aborted")),
            None => Ok(()),
        }
    }

    fn run(&self, work: Work) -> Outcome {
        catch_unwind(AssertUnwindSafe(|| work(self))).unwrap_or_else(|_| {
            let text = "the twin's own operator panicked";
            Err(Failure::new(RT_AICORE_EXCEPTION, text))
        })
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
                let outcome = match (job, own.check()) {
                    (Job::Work(work), Ok(())) => own.run(work),
                    (Job::Work(_), Err(_)) => Ok(()),
                    (Job::Mark(event, number), state) => {
                        event.reach(number, state);
                        Ok(())
                    }
                };
                own.finish(outcome);
            }
        };
        let thread = std::thread::Builder::new().name("twin stream".into());
        let thread = thread.spawn(work).map_err(|e| {
            Failure::new(
                crate::error::RT_RESOURCE_ALLOC_FAIL,
                format!("no thread: {e}"),
            )
        })?;
        Ok(Arc::new(Self {
            device,
            context,
            jobs: Mutex::new(Some(jobs)),
            thread: Mutex::new(Some(thread)),
            progress,
        }))
    }

    /// Puts work behind what is there.
    ///
    /// # Errors
    /// What the stream failed with before.
    pub(crate) fn put(&self, work: Work) -> Outcome {
        self.add(Job::Work(work))
    }

    fn add(&self, job: Job) -> Outcome {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        self.progress.check()?;
        self.progress.state().submitted += 1;
        let sent = jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok());
        match sent {
            true => Ok(()),
            false => {
                self.progress.state().submitted -= 1;
                Err(Failure::new(RT_STREAM_ABORT, "the stream is gone"))
            }
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

    /// Ends the thread when all work is done, and waits for that.
    pub(crate) fn close(&self) {
        *self.jobs.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = thread.take() {
            // The thread catches panics of operators; one of its own is no reason to stop.
            let _ = thread.join();
        }
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
    /// What the stream of the record that was reached last had failed with.
    failure: Option<Failure>,
    at: Option<Instant>,
}

impl Event {
    fn state(&self) -> MutexGuard<'_, EventState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Is reached when a stream has come to where it stands now.
    ///
    /// # Errors
    /// What the stream failed with before; the event stays as it was.
    pub(crate) fn record(self: &Arc<Self>, stream: &Stream) -> Outcome {
        // Held until the record counts, for the stream may come to it at once.
        let mut state = self.state();
        let number = state.recorded + 1;
        stream.add(Job::Mark(Arc::clone(self), number))?;
        state.recorded = number;
        Ok(())
    }

    /// A stream has come to a record, in good order or not.
    fn reach(&self, number: u64, outcome: Outcome) {
        let mut state = self.state();
        // A later record may have been reached before, on another stream.
        if number > state.reached {
            state.reached = number;
            state.at = outcome.is_ok().then(Instant::now);
            state.failure = outcome.err();
            self.changed.notify_all();
        }
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

    /// Waits until the last record is reached.
    ///
    /// # Errors
    /// What the stream of that record failed with before it came there.
    pub(crate) fn synchronize(&self) -> Outcome {
        let number = self.state().recorded;
        self.wait_for(number, &|| false);
        match &self.state().failure {
            Some(failure) => Err(failure.clone()),
            None => Ok(()),
        }
    }

    /// Whether what came before the last record is done, and well.
    pub(crate) fn is_reached(&self) -> bool {
        let state = self.state();
        state.reached >= state.recorded && state.failure.is_none()
    }

    /// When its last record was reached, if it was.
    pub(crate) fn time(&self) -> Option<Instant> {
        let state = self.state();
        state.at.filter(|_| state.reached >= state.recorded)
    }
}
