//! What a generation tells while it works.

use std::fmt;

use serde::Serialize;

use crate::backend::Watch;
use crate::cancel::Cancel;
use crate::{Error, Result};

/// Parts of a generation, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Prompts become embeddings.
    Encode,
    /// Noise becomes a latent.
    Denoise,
    /// The latent becomes frames.
    Decode,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Encode => "encode",
            Self::Denoise => "denoise",
            Self::Decode => "decode",
        })
    }
}

/// What happened.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A component's weights are being loaded.
    Load(Stage),
    /// A program for the component is being compiled.
    Compile(Stage),
    /// The program is ready.
    Ready(Stage),
    /// A stage begins; it has so many prompts, steps (of the sampler) or frames.
    Begin(Stage, usize),
    /// Segments of the model that are done, of all in this step or chunk.
    Segment(Stage, usize, usize),
    /// Prompts that are done, of all.
    Prompts(usize, usize),
    /// A step of the sampler is done: its number from 1, all steps, and the latent
    /// `[1, C, T, H, W]` after it.
    Step(usize, usize, &'a [f32]),
    /// Frames that are done, of all.
    Frames(usize, usize),
    /// A stage ends.
    End(Stage),
}

/// Sees a generation and can stop it.
pub trait Observer {
    /// Called as things happen, on the thread that generates.
    fn on(&self, event: Event<'_>);

    /// Looked at between segments and launches.
    fn cancel(&self) -> &Cancel;
}

/// Sees nothing.
#[derive(Debug, Default)]
pub struct Silent(Cancel);

impl Observer for Silent {
    fn on(&self, _: Event<'_>) {}

    fn cancel(&self) -> &Cancel {
        &self.0
    }
}

/// Names the stage in which something ran out.
pub(super) fn in_stage<T>(stage: Stage, result: Result<T>) -> Result<T> {
    result.map_err(|error| match error {
        Error::Exhausted { what } => Error::Exhausted {
            what: format!("to {stage}: {what}"),
        },
        other => other,
    })
}

/// Runs `body` with a [`Watch`] that passes segments on to an observer.
pub(super) fn watched<T>(
    observer: &dyn Observer,
    stage: Stage,
    body: impl FnOnce(&Watch<'_>) -> Result<T>,
) -> Result<T> {
    let on_segment = |done, all| observer.on(Event::Segment(stage, done, all));
    let watch = Watch {
        cancel: observer.cancel(),
        on_segment: &on_segment,
    };
    in_stage(stage, body(&watch))
}
