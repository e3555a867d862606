//! Ctrl-C and SIGTERM stop the work, and a second one the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::cancel::Cancel;
use crate::{Error, Result};

/// Which signal came.
pub(super) struct Signals(Arc<AtomicU8>);

impl Signals {
    /// 130 after Ctrl-C, 200 after SIGTERM.
    pub(super) fn exit_code(&self) -> u8 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Sets `cancel` when a signal comes.
pub(super) fn listen(cancel: &Cancel) -> Result<Signals> {
    let code = Arc::new(AtomicU8::new(130));
    let mut signals = signal_hook::iterator::Signals::new([
        signal_hook::consts::SIGINT,
        signal_hook::consts::SIGTERM,
    ])
    .map_err(|e| Error::request(format!("cannot listen for signals: {e}")))?;
    let (cancel, seen) = (cancel.clone(), code.clone());
    std::thread::spawn(move || {
        for signal in signals.forever() {
            let exit = if signal == signal_hook::consts::SIGTERM {
                200
            } else {
                130
            };
            if cancel.is_cancelled() {
                std::process::exit(exit);
            }
            seen.store(exit as u8, Ordering::Relaxed);
            tracing::warn!("stopping; once more to stop at once");
            cancel.cancel();
        }
    });
    Ok(Signals(code))
}
