//! What lies beside the vocabulary: `tokenizer_config.json`, `special_tokens_map.json` and
//! `added_tokens.json`. All are optional; a real mT5 checkpoint may have none.
//!
//! They are merged as `PreTrainedTokenizerBase._from_pretrained` of transformers 4.44 does it:
//! with `added_tokens_decoder` in the configuration the other two files are not looked at.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::added::{AddedToken, AddedTokens};
use super::read_file;
use super::unigram::Unigram;
use crate::{Error, Result};

const CONFIG: &str = "tokenizer_config.json";
const SPECIAL_TOKENS: &str = "special_tokens_map.json";
const ADDED_TOKENS: &str = "added_tokens.json";

/// Largest file of settings; T5's have a few kilobytes.
const MAX_FILE_BYTES: u64 = 8 << 20;

/// Most sentinel tokens that are accepted; T5 has 100, umT5 300.
const MAX_EXTRA_IDS: u64 = 10_000;

/// How many sentinels T5's tokenizer adds unless it is told otherwise.
const DEFAULT_EXTRA_IDS: u64 = 100;

/// The named special tokens, in the order in which transformers adds them.
const NAMES: [&str; 7] = [
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
];
const EOS: usize = 1;
const UNK: usize = 2;
const PAD: usize = 4;

/// A token as a JSON file states it.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "a token or an object that describes it")]
enum RawToken {
    Text(String),
    Full(RawAddedToken),
}

/// An added token as a JSON file states it.
#[derive(Clone, Debug, Deserialize)]
#[serde(expecting = "an object that describes a token")]
pub(super) struct RawAddedToken {
    content: String,
    #[serde(default)]
    lstrip: bool,
    #[serde(default)]
    rstrip: bool,
    #[serde(default)]
    single_word: bool,
    normalized: Option<bool>,
    #[serde(default)]
    special: bool,
}

impl RawAddedToken {
    /// The token; the error says why it cannot be used.
    pub(super) fn check(self) -> Result<AddedToken, String> {
        if self.single_word {
            return Err(format!(
                "the added token {:?} is found only as a whole word (`single_word`), which is not \
                 supported; no T5 or mT5 checkpoint has such a token",
                self.content
            ));
        }
        Ok(AddedToken {
            normalized: self.normalized.unwrap_or(!self.special),
            content: self.content,
            lstrip: self.lstrip,
            rstrip: self.rstrip,
            special: self.special,
        })
    }
}

impl RawToken {
    fn content(&self) -> &str {
        match self {
            Self::Text(content) => content,
            Self::Full(token) => &token.content,
        }
    }

    /// The special token that this is.
    fn into_special(self) -> Result<AddedToken, String> {
        match self {
            Self::Text(content) => Ok(AddedToken::special(content)),
            Self::Full(mut token) => {
                token.special = true;
                token.check()
            }
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, expecting = "an object")]
struct RawConfig {
    tokenizer_class: Option<String>,
    extra_ids: Option<u64>,
    legacy: Option<bool>,
    add_prefix_space: Option<bool>,
    padding_side: Option<String>,
    truncation_side: Option<String>,
    split_special_tokens: Option<bool>,
    added_tokens_decoder: Option<BTreeMap<u64, RawAddedToken>>,
    #[serde(flatten)]
    special: RawSpecial,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, expecting = "an object")]
struct RawSpecial {
    bos_token: Option<RawToken>,
    eos_token: Option<RawToken>,
    unk_token: Option<RawToken>,
    sep_token: Option<RawToken>,
    pad_token: Option<RawToken>,
    cls_token: Option<RawToken>,
    mask_token: Option<RawToken>,
    additional_special_tokens: Option<Vec<RawToken>>,
}

impl RawSpecial {
    fn named(self) -> [Option<RawToken>; NAMES.len()] {
        [
            self.bos_token,
            self.eos_token,
            self.unk_token,
            self.sep_token,
            self.pad_token,
            self.cls_token,
            self.mask_token,
        ]
    }
}

/// The merged settings of a tokenizer.
#[derive(Debug)]
pub(super) struct Settings {
    named: [Option<AddedToken>; NAMES.len()],
    /// Other special tokens, and whether their own white space rules are stated.
    additional: Option<Vec<(AddedToken, bool)>>,
    decoder: Vec<AddedToken>,
    extra_ids: Option<u64>,
    /// Whether only the beginning of a prompt, not every stretch after a token, gets a space.
    pub(super) prefix_first_only: bool,
    /// Whether transformers rebuilds this tokenizer from its `spiece.model` even if there is a
    /// `tokenizer.json`.
    pub(super) prefers_spiece: bool,
}

impl Settings {
    /// Reads the files of a directory.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, is not JSON of the right form, or asks for what is not
    /// supported.
    pub(super) fn read(dir: &Path) -> Result<Self> {
        let config: RawConfig = read_json(&dir.join(CONFIG))?.unwrap_or_default();
        let config_error = |what: String| Error::file(dir.join(CONFIG), what);
        check(&config).map_err(config_error)?;

        let mut additional = config.special.additional_special_tokens.clone();
        let mut named = config.special.named();
        let mut decoder = Vec::new();
        if let Some(tokens) = config.added_tokens_decoder {
            for token in tokens.into_values() {
                decoder.push(token.check().map_err(config_error)?);
            }
        } else {
            let path = dir.join(SPECIAL_TOKENS);
            if let Some(map) = read_json::<RawSpecial>(&path)? {
                for token in map.additional_special_tokens.iter().flatten() {
                    let known = additional.get_or_insert_default();
                    if !known.iter().any(|k| k.content() == token.content()) {
                        known.push(token.clone());
                    }
                }
                for (slot, token) in named.iter_mut().zip(map.named()) {
                    *slot = token.or(slot.take());
                }
            }
            let path = dir.join(ADDED_TOKENS);
            if let Some(ids) = read_json::<BTreeMap<String, u64>>(&path)? {
                let special: Vec<&str> = named
                    .iter()
                    .flatten()
                    .chain(additional.iter().flatten())
                    .map(RawToken::content)
                    .collect();
                let mut by_id: Vec<_> = ids.into_iter().collect();
                by_id.sort_by_key(|token| token.1);
                for (content, _) in by_id {
                    let special = special.contains(&content.as_str());
                    decoder.push(AddedToken {
                        normalized: !special,
                        special,
                        ..AddedToken::special(content)
                    });
                }
            }
        }
        for (place, content) in [(EOS, "</s>"), (UNK, "<unk>"), (PAD, "<pad>")] {
            named[place].get_or_insert_with(|| RawToken::Text(content.to_owned()));
        }
        let mut special = [const { None }; NAMES.len()];
        for (slot, token) in special.iter_mut().zip(named) {
            *slot = token
                .map(RawToken::into_special)
                .transpose()
                .map_err(config_error)?;
        }
        let additional = additional
            .map(|tokens| {
                tokens
                    .into_iter()
                    .map(|token| {
                        let stated = matches!(token, RawToken::Full(_));
                        Ok((token.into_special()?, stated))
                    })
                    .collect::<Result<_, String>>()
            })
            .transpose()
            .map_err(config_error)?;
        Ok(Self {
            named: special,
            additional,
            decoder,
            extra_ids: config.extra_ids,
            prefix_first_only: config.legacy == Some(false),
            prefers_spiece: config.add_prefix_space.is_some(),
        })
    }

    /// How many sentinel pieces `<extra_id_N>` are appended to a `spiece.model`'s vocabulary.
    ///
    /// Where no file says it, T5's 100, but none for a vocabulary that has its own, as mT5's has:
    /// it would get ids that no mT5 encoder knows.
    pub(super) fn extra_ids(&self, has_own: bool) -> u64 {
        match self.extra_ids {
            Some(count) => count,
            None if has_own => 0,
            None => DEFAULT_EXTRA_IDS,
        }
    }

    /// Adds all tokens of the settings to those of the vocabulary's own file.
    pub(super) fn add_to(&self, added: &mut AddedTokens, model: &Unigram, extra_ids: u64) {
        let in_file: Vec<bool> = self
            .named
            .iter()
            .flatten()
            .map(|token| added.contains(&token.content))
            .collect();
        for token in &self.decoder {
            added.add(token.clone(), model);
        }
        let described =
            |token: &AddedToken| self.decoder.iter().any(|d| d.content == token.content);
        for (token, in_file) in self.named.iter().flatten().zip(in_file) {
            if !in_file && !described(token) {
                added.add(token.clone(), model);
            }
        }
        for (token, stated) in self.additional.iter().flatten() {
            if *stated || !added.contains(&token.content) {
                added.add(token.clone(), model);
            }
        }
        let has_sentinels = self
            .additional
            .iter()
            .flatten()
            .any(|(token, _)| token.content.contains("<extra_id_"));
        if !has_sentinels {
            for n in 0..extra_ids {
                let content = sentinel(n);
                if !added.contains(&content) {
                    added.add(AddedToken::special(content), model);
                }
            }
        }
    }

    /// The text of the end-of-sequence token.
    pub(super) fn eos(&self) -> &str {
        self.text(EOS)
    }

    /// The text of the padding token.
    pub(super) fn pad(&self) -> &str {
        self.text(PAD)
    }

    fn text(&self, place: usize) -> &str {
        let token = self.named[place].as_ref();
        &token.expect("eos, unk and pad have defaults").content
    }
}

/// The text of the `n`-th sentinel.
pub(super) fn sentinel(n: u64) -> String {
    format!("<extra_id_{n}>")
}

fn check(config: &RawConfig) -> Result<(), String> {
    if let Some(class) = &config.tokenizer_class {
        let family = class.strip_suffix("Fast").unwrap_or(class);
        if !matches!(
            family,
            "T5Tokenizer" | "MT5Tokenizer" | "PreTrainedTokenizer"
        ) {
            return Err(format!(
                "the tokenizer is a {class}; expected T5Tokenizer or MT5Tokenizer"
            ));
        }
    }
    for (key, side) in [
        ("padding_side", &config.padding_side),
        ("truncation_side", &config.truncation_side),
    ] {
        if let Some(side) = side.as_deref().filter(|side| *side != "right") {
            return Err(format!("{key} is {side:?}; only \"right\" is supported"));
        }
    }
    if config.split_special_tokens == Some(true) {
        return Err("split_special_tokens is true; only false is supported".into());
    }
    if let Some(count) = config.extra_ids.filter(|count| *count > MAX_EXTRA_IDS) {
        return Err(format!(
            "extra_ids is {count}; at most {MAX_EXTRA_IDS} are supported"
        ));
    }
    Ok(())
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    if !path.is_file() {
        return Ok(None);
    }
    let bytes = read_file(path, MAX_FILE_BYTES)?;
    serde_json::from_slice(&bytes).map(Some).map_err(|error| {
        Error::file(
            path,
            format!("not JSON of the expected form ({error}); download it again"),
        )
    })
}
