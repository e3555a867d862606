//! From prompts to embeddings.

use std::sync::Arc;

use super::observer::{in_stage, watched};
use super::{Event, Observer, Settings, Stage, TextToVideo, remedy};
use crate::checkpoint::Checkpoint;
use crate::tensor::HostTensor;
use crate::tokenizers::Tokens;
use crate::{Error, Result};

/// A prompt as the denoiser takes it.
#[derive(Clone)]
pub(super) struct Embedding {
    /// `[L, D]`.
    states: Arc<Vec<f32>>,
    /// Tokens before the padding.
    length: usize,
}

/// What the denoiser is told beside latent and timestep: a named tensor per input, with one row per
/// guidance branch. With guidance, the first row is the negative prompt's.
pub(super) struct Conditioning {
    pub(super) tensors: Vec<(&'static str, HostTensor)>,
    pub(super) branches: usize,
}

/// Every token id must have an embedding.
fn check_ids(checkpoint: &Checkpoint, ids: &[i64]) -> Result<()> {
    let rows = checkpoint.text_encoder.model.vocabulary();
    let fits = |id: &i64| usize::try_from(*id).is_ok_and(|id| id < rows);
    let Some(id) = ids.iter().find(|id| !fits(id)) else {
        return Ok(());
    };
    Err(Error::file(
        &checkpoint.tokenizer,
        format!(
            "gives token {id}, but the text encoder in {} has embeddings for {rows}; \
             pass the tokenizer that belongs to it with --tokenizer",
            checkpoint.text_encoder.dir.display()
        ),
    ))
}

impl TextToVideo {
    /// Embeds the prompts of a request; what was embedded before is reused.
    pub(super) fn encode_prompts(
        &mut self,
        settings: &Settings,
        observer: &dyn Observer,
    ) -> Result<Conditioning> {
        let mut prompts = vec![settings.prompt.as_str()];
        if settings.guided() {
            prompts.insert(0, settings.negative_prompt.as_str());
        }
        self.embed(&prompts, settings.text_tokens, observer)?;
        let embeddings: Vec<_> = prompts
            .iter()
            .map(|p| self.embeddings[&((*p).to_owned(), settings.text_tokens)].clone())
            .collect();
        let branches = embeddings.len();
        let states: Vec<f32> = embeddings
            .iter()
            .flat_map(|e| e.states.iter().copied())
            .collect();
        let width = self.checkpoint.text_encoder.model.width();
        let states = HostTensor::f32([branches, settings.text_tokens, width], states);
        let lengths = HostTensor::i64(
            [branches],
            embeddings.iter().map(|e| e.length as i64).collect(),
        );
        Ok(Conditioning {
            tensors: vec![
                ("encoder_hidden_states", states),
                ("encoder_lengths", lengths),
            ],
            branches,
        })
    }

    /// Embeds prompts that were not embedded before, all with one loading of the text encoder, whose
    /// memory is given back afterwards. Prompts of later requests can be embedded ahead this way.
    ///
    /// # Errors
    /// If the text encoder's files do not fit, the device fails, or the observer cancels.
    pub fn embed(
        &mut self,
        prompts: &[&str],
        tokens: usize,
        observer: &dyn Observer,
    ) -> Result<()> {
        let mut new: Vec<&str> = vec![];
        for &prompt in prompts {
            if !self.embeddings.contains_key(&(prompt.to_owned(), tokens)) && !new.contains(&prompt)
            {
                new.push(prompt);
            }
        }
        if new.is_empty() {
            return Ok(());
        }
        let span = tracing::info_span!("encode", prompts = new.len());
        let _entered = span.enter();
        observer.on(Event::Load(Stage::Encode));
        let encoder = &self.checkpoint.text_encoder;
        let graph = encoder.model.graph(1, tokens, self.dtype);
        let weights =
            Self::open_weights(encoder, &graph, encoder.model.known_unused(), self.strict)?;
        let weights = self.backend.load(weights)?;
        observer.on(Event::Compile(Stage::Encode));
        let mut program = in_stage(Stage::Encode, self.backend.compile(&graph, &weights))?;
        observer.on(Event::Ready(Stage::Encode));
        observer.on(Event::Begin(Stage::Encode, new.len()));
        for (i, prompt) in new.iter().enumerate() {
            observer.cancel().check()?;
            let text = self.tokenizer.encode(prompt, tokens)?;
            check_ids(&self.checkpoint, &text.input_ids)?;
            warn_if_truncated(prompt, &text, tokens);
            let length = text.attention_mask.iter().filter(|m| **m != 0).count();
            let mask = text.attention_mask.iter().map(|&m| m as f32).collect();
            let inputs = [
                self.backend
                    .upload(&HostTensor::i64([1, tokens], text.input_ids))?,
                self.backend.upload(&HostTensor::f32([1, tokens], mask))?,
            ];
            let outputs = watched(observer, Stage::Encode, |watch| {
                program.run(inputs.into(), watch)
            })?;
            let states = self.backend.download(&outputs[0])?;
            if states.as_f32().iter().any(|v| !v.is_finite()) {
                return Err(Error::NonFinite {
                    what: format!(
                        "the text encoder gave values that are not finite, computed in {}; {}",
                        self.dtype,
                        remedy(self.dtype)
                    ),
                });
            }
            let states = Arc::new(states.as_f32().to_vec());
            self.embeddings
                .insert(((*prompt).to_owned(), tokens), Embedding { states, length });
            observer.on(Event::Prompts(i + 1, new.len()));
        }
        observer.on(Event::End(Stage::Encode));
        Ok(())
    }

    /// Forgets all embeddings, which otherwise are kept as long as the pipeline.
    pub fn forget_prompts(&mut self) {
        self.embeddings.clear();
    }
}

fn warn_if_truncated(prompt: &str, text: &Tokens, tokens: usize) {
    if text.truncated() {
        let start: String = prompt.chars().take(40).collect();
        tracing::warn!(
            "the prompt \"{start}...\" has {} tokens; the model sees the first {tokens}",
            text.full_length
        );
    }
}
