//! Progress of downloads: a bar on a terminal, plain lines elsewhere.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::Global;
use super::progress::wants_bars;
use crate::checkpoint::hub::{DownloadObserver, RepoId};
use crate::disk::size_text;

/// Plain lines come at most this often.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Shows how many bytes of something are there.
pub(super) struct Bytes {
    what: String,
    bar: ProgressBar,
    bars: bool,
    said: Mutex<Instant>,
}

impl Bytes {
    pub(super) fn new(what: String, global: &Global) -> Self {
        Self {
            what,
            bar: ProgressBar::hidden(),
            bars: wants_bars(global),
            said: Mutex::new(Instant::now()),
        }
    }

    /// `done` of `total` bytes are there.
    pub(super) fn set(&self, done: u64, total: u64) {
        if self.bars {
            if self.bar.is_hidden() {
                let template =
                    "{msg} [{bar:32}] {bytes}/{total_bytes} {bytes_per_sec} (left {eta})";
                let style = ProgressStyle::with_template(template)
                    .expect("the template is valid")
                    .progress_chars("=> ");
                self.bar.set_style(style);
                self.bar.set_message(self.what.clone());
                self.bar
                    .set_draw_target(indicatif::ProgressDrawTarget::stderr());
            }
            self.bar.set_length(total);
            self.bar.set_position(done);
            return;
        }
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.elapsed() >= LINE_EVERY {
            *said = Instant::now();
            tracing::info!("{}: {} of {}", self.what, size_text(done), size_text(total));
        }
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// Shows the download of a repository.
pub(super) struct HubProgress {
    bytes: Bytes,
    files: Mutex<HashMap<String, (u64, u64)>>,
}

impl HubProgress {
    pub(super) fn new(repo: &RepoId, global: &Global) -> Self {
        Self {
            bytes: Bytes::new(repo.to_string(), global),
            files: Mutex::default(),
        }
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        self.bytes.finish();
    }

    fn show(&self, files: &HashMap<String, (u64, u64)>) {
        let (done, total) = files
            .values()
            .fold((0u64, 0u64), |(done, total), (d, t)| (done + d, total + t));
        self.bytes.set(done, total);
    }
}

impl DownloadObserver for HubProgress {
    fn planned(&self, planned: &[(String, u64)]) {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.extend(
            planned
                .iter()
                .map(|(path, size)| (path.clone(), (0, *size))),
        );
        let total: u64 = planned.iter().map(|(_, size)| size).sum();
        if total > 0 {
            tracing::info!(
                "{}: downloading {} files, {}",
                self.bytes.what,
                planned.len(),
                size_text(total)
            );
        }
    }

    fn progress(&self, path: &str, done: u64, total: u64) {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.insert(path.to_owned(), (done, total));
        self.show(&files);
    }
}
