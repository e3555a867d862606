//! From a latent to frames, chunk by chunk.

use super::observer::{in_stage, watched};
use super::{Event, Observer, Settings, Stage, TextToVideo, remedy};
use crate::backend::DeviceTensor;
use crate::models::{Chunk, chunks};
use crate::tensor::HostTensor;
use crate::{Error, Result};

/// One decoded frame.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Number from 0.
    pub index: usize,
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
    /// `[3, H, W]`, about [-1, 1], not clamped.
    pub pixels: Vec<f32>,
}

impl TextToVideo {
    /// Decodes a latent `[1, C, T, H, W]`, giving frames away as they come, and returns their number.
    /// The decoder's state stays on the device from chunk to chunk.
    ///
    /// # Errors
    /// If the decoder's files do not fit, the device fails, a frame is not finite, the observer
    /// cancels or `on_frame` fails.
    pub fn decode(
        &mut self,
        settings: &Settings,
        latents: &HostTensor,
        observer: &dyn Observer,
        on_frame: &mut dyn FnMut(Frame) -> Result<()>,
    ) -> Result<usize> {
        let span = tracing::info_span!("decode", frames = settings.frames);
        let _entered = span.enter();
        let [t, h, w] = settings.latent;
        let plan = match settings.decode_chunk {
            Some(chunk) => chunks(t, chunk),
            None => vec![Chunk::whole(t)],
        };
        let raw = denormalise(latents, &self.checkpoint.vae.model.normalisation());
        let mut state: Vec<DeviceTensor> = vec![];
        let (mut start, mut done) = (0, 0);
        for (i, &chunk) in plan.iter().enumerate() {
            observer.cancel().check()?;
            self.prepare_decoder(chunk, [h, w], observer)?;
            if i == 0 {
                observer.on(Event::Begin(Stage::Decode, settings.frames));
            }
            let input = self.backend.upload(&frames_of(&raw, start, chunk.frames))?;
            start += chunk.frames;
            let inputs = std::iter::once(input).chain(state.drain(..)).collect();
            let program = self
                .decoders
                .get_mut(&(chunk, [h, w]))
                .expect("the decoder was prepared");
            let mut outputs =
                watched(observer, Stage::Decode, |watch| program.run(inputs, watch))?.into_iter();
            let video = outputs.next().expect("a decoder gives a video");
            state = outputs.collect();
            let video = self.backend.download(&video)?;
            done = self.give_frames(&video, done, on_frame)?;
            observer.on(Event::Frames(done, settings.frames));
        }
        observer.on(Event::End(Stage::Decode));
        Ok(done)
    }

    fn give_frames(
        &self,
        video: &HostTensor,
        mut index: usize,
        on_frame: &mut dyn FnMut(Frame) -> Result<()>,
    ) -> Result<usize> {
        let &[_, channels, frames, height, width] = video.shape() else {
            unreachable!("a video has five axes")
        };
        let plane = height * width;
        let values = video.as_f32();
        for t in 0..frames {
            let mut pixels = Vec::with_capacity(channels * plane);
            for c in 0..channels {
                pixels.extend_from_slice(&values[(c * frames + t) * plane..][..plane]);
            }
            if pixels.iter().any(|v| !v.is_finite()) {
                return Err(Error::NonFinite {
                    what: format!(
                        "frame {index} is not finite, decoded in {}; {}",
                        self.dtype,
                        remedy(self.dtype)
                    ),
                });
            }
            on_frame(Frame {
                index,
                height,
                width,
                pixels,
            })?;
            index += 1;
        }
        Ok(index)
    }

    fn prepare_decoder(
        &mut self,
        chunk: Chunk,
        size: [usize; 2],
        observer: &dyn Observer,
    ) -> Result<()> {
        if self.decoders.contains_key(&(chunk, size)) {
            return Ok(());
        }
        observer.on(Event::Load(Stage::Decode));
        // Programs of other sizes, and of chunks that do not come again, only hold memory.
        self.decoders.retain(|(_, known), _| *known == size);
        let vae = &self.checkpoint.vae;
        let graph = vae.model.decoder(chunk, size[0], size[1], self.dtype);
        if self.vae.is_none() {
            let weights =
                Self::open_weights(vae, &graph, vae.model.unused_by_decoder(), self.strict)?;
            self.vae = Some(self.backend.load(weights)?);
        }
        let weights = self.vae.as_ref().expect("the weights were loaded");
        observer.on(Event::Compile(Stage::Decode));
        let program = in_stage(Stage::Decode, self.backend.compile(&graph, weights))?;
        self.decoders.insert((chunk, size), program);
        observer.on(Event::Ready(Stage::Decode));
        Ok(())
    }
}

/// `z / factor + mean` per channel of `[1, C, T, H, W]`.
fn denormalise(latents: &HostTensor, normalisation: &[(f32, f32)]) -> HostTensor {
    let mut values = latents.as_f32().to_vec();
    let per_channel = values.len() / normalisation.len();
    for (channel, (factor, mean)) in values.chunks_mut(per_channel).zip(normalisation) {
        channel.iter_mut().for_each(|v| *v = *v / factor + mean);
    }
    HostTensor::f32(latents.shape(), values)
}

/// `len` frames from `start` of `[1, C, T, H, W]`.
fn frames_of(latents: &HostTensor, start: usize, len: usize) -> HostTensor {
    let &[_, c, t, h, w] = latents.shape() else {
        unreachable!("a latent has five axes")
    };
    let plane = h * w;
    let values = latents.as_f32();
    let channel = |c: usize| {
        values[(c * t + start) * plane..][..len * plane]
            .iter()
            .copied()
    };
    HostTensor::f32([1, c, len, h, w], (0..c).flat_map(channel).collect())
}
