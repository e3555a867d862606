//! Progress of a generation: bars on a terminal, plain lines elsewhere.

use std::cell::RefCell;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::Global;
use crate::cancel::Cancel;
use crate::pipeline::{Event, Observer, Stage};

/// Shows what a generation does.
pub(super) struct Progress<'a> {
    cancel: &'a Cancel,
    bars: bool,
    state: RefCell<State>,
}

struct State {
    bar: ProgressBar,
    began: Instant,
    said: Instant,
    total: usize,
}

/// Plain lines come at most this often within a stage.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Whether stderr is a terminal and nobody asked for silence or JSON.
pub(super) fn wants_bars(global: &Global) -> bool {
    std::io::stderr().is_terminal() && !global.quiet && global.log_format == super::LogFormat::Text
}

impl<'a> Progress<'a> {
    /// Bars where [`wants_bars`], else plain lines.
    pub(super) fn new(global: &Global, cancel: &'a Cancel) -> Self {
        let now = Instant::now();
        let state = State {
            bar: ProgressBar::hidden(),
            began: now,
            said: now,
            total: 0,
        };
        Self {
            cancel,
            bars: wants_bars(global),
            state: RefCell::new(state),
        }
    }

    fn begin(&self, stage: Stage, total: usize) {
        let mut state = self.state.borrow_mut();
        state.began = Instant::now();
        state.said = state.began;
        state.total = total;
        if self.bars {
            let template = "{prefix:>8} [{bar:32}] {pos}/{len} {elapsed}{msg} (left {eta})";
            let style = ProgressStyle::with_template(template)
                .expect("the template is valid")
                .progress_chars("=> ");
            state.bar = ProgressBar::new(total as u64)
                .with_style(style)
                .with_prefix(stage.to_string());
            state.bar.enable_steady_tick(Duration::from_millis(200));
        }
    }

    fn advance(&self, stage: Stage, done: usize) {
        let mut state = self.state.borrow_mut();
        state.bar.set_message("");
        state.bar.set_position(done as u64);
        if !self.bars && state.said.elapsed() >= LINE_EVERY {
            state.said = Instant::now();
            tracing::info!(
                "{stage}: {done} of {} in {:.1} s",
                state.total,
                state.began.elapsed().as_secs_f64()
            );
        }
    }
}

impl Observer for Progress<'_> {
    fn on(&self, event: Event<'_>) {
        match event {
            Event::Load(stage) => tracing::debug!("{stage}: loading"),
            Event::Compile(stage) => tracing::debug!("{stage}: compiling"),
            Event::Ready(_) => {}
            Event::Begin(stage, total) => self.begin(stage, total),
            Event::Segment(_, done, all) if all > 1 => {
                self.state
                    .borrow()
                    .bar
                    .set_message(format!(" part {done}/{all}"));
            }
            Event::Segment(..) => {}
            Event::Prompts(done, _) => self.advance(Stage::Encode, done),
            Event::Step(done, _, _) => self.advance(Stage::Denoise, done),
            Event::Frames(done, _) => self.advance(Stage::Decode, done),
            Event::End(stage) => {
                let state = self.state.borrow();
                state.bar.finish_and_clear();
                tracing::info!("{stage}: {:.2} s", state.began.elapsed().as_secs_f64());
            }
        }
    }

    fn cancel(&self) -> &Cancel {
        self.cancel
    }
}
