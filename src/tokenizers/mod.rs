//! Text in, token ids out: the tokenizer of T5, T5 v1.1 and mT5.
//!
//! [`T5Tokenizer`] is built from a SentencePiece `spiece.model` alone (real mT5 checkpoints ship
//! nothing else) or from a `tokenizer.json`, together with `tokenizer_config.json`,
//! `special_tokens_map.json` and `added_tokens.json` where they are there. Its ids equal those of
//! `T5TokenizerFast` in transformers 4.44.2, which is not what SentencePiece itself gives: there
//! is no byte fallback, and white space is treated differently.
//!
//! ```no_run
//! use std::path::Path;
//! use ascendit::tokenizers::T5Tokenizer;
//!
//! # fn main() -> ascendit::Result<()> {
//! let tokenizer = T5Tokenizer::open(Path::new("checkpoint/tokenizer"))?;
//! let tokens = tokenizer.encode("a red seven moving left", 512)?;
//! assert_eq!(tokens.input_ids.len(), 512);
//! # Ok(())
//! # }
//! ```
//!
//! It does not clean prompts, decode ids, encode pairs of texts or train vocabularies.
//!
//! Why this is our own code: the `tokenizers` library indexes out of bounds on broken character
//! maps, and its 1.0 release candidates read no `spiece.model` and build no tokenizer from parts.

mod added;
mod charsmap;
mod json;
mod settings;
mod spiece;
mod unigram;
mod words;

use std::io::Read;
use std::path::Path;

use crate::{Error, Result};
use added::{AddedToken, AddedTokens, Finder, Part};
use json::Json;
use settings::{Settings, sentinel};
use spiece::Spiece;
use unigram::{Search, Unigram};
use words::{Prefix, Words};

const SPIECE: &str = "spiece.model";
const JSON: &str = "tokenizer.json";

/// Largest `spiece.model`; mT5's has 4.3 MB.
const MAX_SPIECE_BYTES: u64 = 16 << 20;

/// Largest `tokenizer.json`; mT5's has 16 MB.
const MAX_JSON_BYTES: u64 = 64 << 20;

/// Longest sequence that can be asked for.
const MAX_LENGTH: usize = 1 << 24;

/// What remedies a file that cannot be used.
const REMEDY: &str = "download it again, or give the tokenizer of a T5 or mT5 checkpoint";

/// The tokenizer of a T5, T5 v1.1 or mT5 text encoder.
#[derive(Debug)]
pub struct T5Tokenizer {
    model: Unigram,
    words: Words,
    before: Finder,
    after: Finder,
    vocab_size: usize,
    eos_id: u32,
    pad_id: u32,
}

/// A prompt as a text encoder takes it: `L` ids, padded or cut to the length that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// `[L]` token ids, the end-of-sequence id last, then padding.
    pub input_ids: Vec<i64>,
    /// `[L]` 1 for each token, 0 for padding.
    pub attention_mask: Vec<i64>,
    /// How many tokens the whole text has, the end-of-sequence token included.
    pub full_length: usize,
}

impl Tokens {
    /// Whether the text has more tokens than there was room for, so that its end was left out.
    pub fn truncated(&self) -> bool {
        self.full_length > self.input_ids.len()
    }
}

impl T5Tokenizer {
    /// Opens a tokenizer: a directory, a `spiece.model` (by any name) or a `tokenizer.json` (by
    /// any name that ends in `.json`).
    ///
    /// In a directory with both, `tokenizer.json` is used, as `T5TokenizerFast` does, unless
    /// `tokenizer_config.json` has `add_prefix_space`, which makes `T5TokenizerFast` build itself
    /// from `spiece.model`; the added tokens of a `tokenizer.json` beside it are then not looked
    /// at, although transformers does so if there is no `added_tokens_decoder`. The settings files
    /// of the directory, or of the file's directory, are respected. Without a stated number of
    /// `extra_ids`, 100 sentinels are appended to a `spiece.model`, as for T5, but none if it has
    /// its own, as mT5's has.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if a file cannot be read, [`Error::File`] if one is broken, is not of a T5
    /// or mT5 tokenizer, or asks for what is not supported, and if a directory has neither file.
    pub fn open(path: &Path) -> Result<Self> {
        let is_dir = std::fs::metadata(path)
            .map_err(Error::io("open", path))?
            .is_dir();
        let dir = if is_dir {
            path
        } else {
            path.parent().unwrap_or(Path::new(""))
        };
        let settings = Settings::read(dir)?;
        let file = if is_dir {
            let has = |name| path.join(name).is_file();
            match (has(JSON), has(SPIECE)) {
                (true, true) if settings.prefers_spiece => path.join(SPIECE),
                (true, _) => path.join(JSON),
                (false, true) => path.join(SPIECE),
                (false, false) => {
                    return Err(Error::file(
                        path,
                        format!(
                            "has neither {SPIECE} nor {JSON}; give the tokenizer folder of a T5 \
                             or mT5 checkpoint"
                        ),
                    ));
                }
            }
        } else {
            path.to_owned()
        };
        let is_json = file
            .extension()
            .is_some_and(|extension| extension == "json");
        let limit = if is_json {
            MAX_JSON_BYTES
        } else {
            MAX_SPIECE_BYTES
        };
        let bytes = read_file(&file, limit)?;
        let built = if is_json {
            Json::parse(&bytes).and_then(|json| Self::from_json(json, &settings))
        } else {
            Spiece::parse(&bytes).and_then(|spiece| Self::from_spiece(spiece, &settings))
        };
        built.map_err(|what| Error::file(&file, format!("{what}; {REMEDY}")))
    }

    fn from_spiece(spiece: Spiece, settings: &Settings) -> Result<Self, String> {
        let mut pieces = spiece.pieces;
        let has_own = pieces.iter().any(|piece| piece.0 == "▁<extra_id_0>");
        let extra_ids = settings.extra_ids(has_own);
        pieces.extend((0..extra_ids).rev().map(|n| (sentinel(n), 0.0)));
        let prefix = if settings.prefix_first_only {
            Prefix::First
        } else {
            Prefix::Always
        };
        let added = spiece
            .marked
            .into_iter()
            .map(|(content, control)| AddedToken {
                special: control,
                ..AddedToken::special(content)
            });
        Self::assemble(
            Unigram::new(&pieces, spiece.unknown_id, false)?,
            Words::of_spiece(spiece.charsmap, prefix),
            added.collect(),
            settings,
            extra_ids,
            // T5's converter appends this token whatever the settings call the end of a sequence.
            "</s>",
        )
    }

    fn from_json(json: Json, settings: &Settings) -> Result<Self, String> {
        let added: Result<Vec<_>, _> = json.added.into_iter().map(|token| token.check()).collect();
        Self::assemble(
            Unigram::new(&json.pieces, json.unknown_id, json.byte_fallback)?,
            json.words,
            added?,
            settings,
            settings.extra_ids(false),
            &json.eos,
        )
    }

    fn assemble(
        model: Unigram,
        words: Words,
        tokens: Vec<AddedToken>,
        settings: &Settings,
        extra_ids: u64,
        eos: &str,
    ) -> Result<Self, String> {
        let mut added = AddedTokens::default();
        for token in tokens {
            added.add(token, &model);
        }
        // The end of a sequence is a piece, or a token of the file; one that only the settings
        // bring would have an id that no encoder was trained with.
        let eos_id = [eos, settings.eos()]
            .into_iter()
            .find_map(|eos| added.id(eos).or_else(|| model.id(eos)))
            .ok_or_else(|| format!("it has no end-of-sequence piece {eos:?}"))?;
        settings.add_to(&mut added, &model, extra_ids);
        let pad_id = added
            .id(settings.pad())
            .ok_or_else(|| format!("it has no padding piece {:?}", settings.pad()))?;
        let highest_added = added.highest_id().map_or(0, |id| id as usize + 1);
        let vocab_size = model.len().max(highest_added);
        let [before, after] = added.finders(|text| words.normalize(text))?;
        Ok(Self {
            model,
            words,
            before,
            after,
            vocab_size,
            eos_id,
            pad_id,
        })
    }

    /// The ids of `text`, padded or cut to `max_length`; what is cut is the end of the text, and
    /// the end-of-sequence id is always there.
    ///
    /// # Errors
    ///
    /// [`Error::Request`] unless `max_length` is between 1 and 16,777,216.
    pub fn encode(&self, text: &str, max_length: usize) -> Result<Tokens> {
        if !(1..=MAX_LENGTH).contains(&max_length) {
            return Err(Error::request(format!(
                "a prompt of {max_length} tokens was asked for; expected 1 to {MAX_LENGTH}"
            )));
        }
        let ids = self.ids(text);
        let kept = ids.len().min(max_length - 1);
        let mut input_ids = Vec::with_capacity(max_length);
        input_ids.extend(ids[..kept].iter().map(|&id| i64::from(id)));
        input_ids.push(self.eos_id.into());
        input_ids.resize(max_length, self.pad_id.into());
        let mut attention_mask = vec![1; kept + 1];
        attention_mask.resize(max_length, 0);
        Ok(Tokens {
            input_ids,
            attention_mask,
            full_length: ids.len() + 1,
        })
    }

    /// All ids of `text`, without the end-of-sequence id.
    fn ids(&self, text: &str) -> Vec<u32> {
        let mut ids = Vec::new();
        let mut search = Search::default();
        for part in self.before.split(text) {
            let (text, at_start) = match part {
                Part::Text(text, at_start) => (self.words.normalize(text), at_start),
                Part::Token(id) => {
                    ids.push(id);
                    continue;
                }
            };
            for part in self.after.split(&text) {
                match part {
                    Part::Token(id) => ids.push(id),
                    Part::Text(text, first) => {
                        self.words.split(text, at_start && first, |word| {
                            self.model.encode(word, &mut search, &mut ids);
                        });
                    }
                }
            }
        }
        ids
    }

    /// Every id is below this number. A text encoder may have more rows (T5 v1.1: 32,128 for
    /// 32,100; mT5: 250,112 for 250,100) but must not have fewer.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// The id that ends every prompt.
    pub fn eos_id(&self) -> i64 {
        self.eos_id.into()
    }

    /// The id of padding.
    pub fn pad_id(&self) -> i64 {
        self.pad_id.into()
    }

    /// The id of unknown text.
    pub fn unk_id(&self) -> i64 {
        self.model.unknown_id().into()
    }
}

/// Reads a file of at most `limit` bytes.
fn read_file(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(limit + 1).read_to_end(&mut bytes))
        .map_err(Error::io("read", path))?;
    if bytes.len() as u64 > limit {
        return Err(Error::file(
            path,
            format!("it is larger than {} MiB; {REMEDY}", limit >> 20),
        ));
    }
    if bytes.starts_with(b"version https://git-lfs") {
        return Err(Error::file(
            path,
            "it is a Git LFS pointer, not the file itself; run `git lfs pull` in its repository",
        ));
    }
    Ok(bytes)
}
