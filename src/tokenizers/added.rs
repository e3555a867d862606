//! Added tokens: texts that are found in a prompt before anything else and become one id, such as
//! `</s>`, `<pad>` and `<extra_id_0>`.
//!
//! Works as `AddedVocabulary` of the `tokenizers` library: the leftmost and then longest token
//! wins, and a token that the vocabulary lacks gets the next free id behind it.

use std::collections::HashMap;

use aho_corasick::{AhoCorasick, MatchKind};

use super::unigram::Unigram;

/// Most text that all added tokens may have together; T5's hundred have 1.3 kB.
const MAX_TEXT_BYTES: usize = 1 << 20;

/// A token that stands outside the model's own cut of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AddedToken {
    /// Its text.
    pub(super) content: String,
    /// Whether it swallows white space before it.
    pub(super) lstrip: bool,
    /// Whether it swallows white space behind it.
    pub(super) rstrip: bool,
    /// Whether it is looked for after normalisation, not before.
    pub(super) normalized: bool,
    /// Whether it is one of the special tokens.
    pub(super) special: bool,
}

impl AddedToken {
    /// A special token that swallows nothing.
    pub(super) fn special(content: impl Into<String>) -> Self {
        Self {
            content: content.into(),
            lstrip: false,
            rstrip: false,
            normalized: false,
            special: true,
        }
    }
}

/// The added tokens of a tokenizer while it is put together.
#[derive(Debug, Default)]
pub(super) struct AddedTokens {
    tokens: Vec<(AddedToken, u32)>,
    places: HashMap<String, usize>,
    highest_id: Option<u32>,
}

impl AddedTokens {
    /// Adds a token. For one that is there already, the white space rules of the later call and
    /// the place (before or after normalisation) of the earlier one hold, unless only the later
    /// one is special.
    pub(super) fn add(&mut self, token: AddedToken, model: &Unigram) {
        if token.content.is_empty() {
            return;
        }
        if let Some(&place) = self.places.get(&token.content) {
            let known = &mut self.tokens[place].0;
            known.lstrip = token.lstrip;
            known.rstrip = token.rstrip;
            if token.special && !known.special {
                known.special = true;
                known.normalized = token.normalized;
            }
            return;
        }
        let end = u32::try_from(model.len()).expect("the model has fewer than 2^32 pieces");
        let id = model.id(&token.content).unwrap_or_else(|| {
            self.highest_id
                .map_or(end, |highest| end.max(highest.saturating_add(1)))
        });
        self.highest_id = self.highest_id.max(Some(id));
        self.places.insert(token.content.clone(), self.tokens.len());
        self.tokens.push((token, id));
    }

    /// Whether a token with this text is there.
    pub(super) fn contains(&self, content: &str) -> bool {
        self.places.contains_key(content)
    }

    /// The id of the token with this text.
    pub(super) fn id(&self, content: &str) -> Option<u32> {
        self.places.get(content).map(|&place| self.tokens[place].1)
    }

    /// The highest id of all tokens.
    pub(super) fn highest_id(&self) -> Option<u32> {
        self.highest_id
    }

    /// The finders of the tokens before and after normalisation; `normalize` is applied to the
    /// text of the latter.
    pub(super) fn finders(self, normalize: impl Fn(&str) -> String) -> Result<[Finder; 2], String> {
        let text_bytes: usize = self.tokens.iter().map(|token| token.0.content.len()).sum();
        if text_bytes > MAX_TEXT_BYTES {
            return Err(format!(
                "its added tokens have {text_bytes} bytes of text, more than {MAX_TEXT_BYTES}"
            ));
        }
        let (mut after, before): (Vec<_>, Vec<_>) = self
            .tokens
            .into_iter()
            .partition(|(token, _)| token.normalized);
        for (token, _) in &mut after {
            token.content = normalize(&token.content);
        }
        after.retain(|(token, _)| !token.content.is_empty());
        Ok([Finder::new(before)?, Finder::new(after)?])
    }
}

/// Finds added tokens in a text.
#[derive(Debug)]
pub(super) struct Finder {
    tokens: Vec<(AddedToken, u32)>,
    /// `None` where there are no tokens.
    automaton: Option<AhoCorasick>,
}

/// A stretch of a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// Ordinary text, and whether it is the beginning of what was searched.
    Text(&'a str, bool),
    /// An added token.
    Token(u32),
}

impl Finder {
    fn new(tokens: Vec<(AddedToken, u32)>) -> Result<Self, String> {
        let automaton = if tokens.is_empty() {
            None
        } else {
            let automaton = AhoCorasick::builder()
                .match_kind(MatchKind::LeftmostLongest)
                .build(tokens.iter().map(|(token, _)| &token.content))
                .map_err(|_| format!("its {} added tokens are too many", tokens.len()))?;
            Some(automaton)
        };
        Ok(Self { tokens, automaton })
    }

    /// Cuts `text` at the tokens. No part of text is empty.
    pub(super) fn split<'a>(&self, text: &'a str) -> Vec<Part<'a>> {
        let mut parts = Vec::new();
        let mut done = 0;
        let found = self.automaton.iter().flat_map(|a| a.find_iter(text));
        for found in found {
            let (token, id) = &self.tokens[found.pattern().as_usize()];
            let mut start = found.start();
            let mut end = found.end();
            if token.lstrip {
                start = text[..start].trim_end().len();
            }
            // What an earlier token has swallowed is gone.
            start = start.max(done);
            if end <= done {
                continue;
            }
            if token.rstrip {
                end = text.len() - text[end..].trim_start().len();
            }
            if done < start {
                parts.push(Part::Text(&text[done..start], done == 0));
            }
            parts.push(Part::Token(*id));
            done = end;
        }
        if done < text.len() {
            parts.push(Part::Text(&text[done..], done == 0));
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> Unigram {
        let pieces = ["<pad>", "</s>", "<unk>"].map(|piece| (piece.to_owned(), 0.0));
        Unigram::new(&pieces, 2, false).unwrap()
    }

    fn finder(tokens: Vec<AddedToken>) -> Finder {
        let mut added = AddedTokens::default();
        for token in tokens {
            added.add(token, &model());
        }
        let [before, _] = added.finders(str::to_owned).unwrap();
        before
    }

    #[test]
    fn a_token_outside_the_vocabulary_gets_the_next_id() {
        let mut added = AddedTokens::default();
        for content in ["</s>", "<x>", "<y>", "<x>", ""] {
            added.add(AddedToken::special(content), &model());
        }
        let ids = ["</s>", "<x>", "<y>", "", "<z>"].map(|content| added.id(content));
        assert_eq!(ids, [Some(1), Some(3), Some(4), None, None]);
        assert_eq!(added.highest_id(), Some(4));
    }

    #[test]
    fn the_longest_token_wins() {
        let finder = finder(vec![AddedToken::special("<x"), AddedToken::special("<x>")]);
        let parts = finder.split("a<x>b<x");
        assert_eq!(
            parts,
            [
                Part::Text("a", true),
                Part::Token(4),
                Part::Text("b", false),
                Part::Token(3)
            ]
        );
    }

    #[test]
    fn a_stripping_token_swallows_white_space() {
        let mut token = AddedToken::special("<x>");
        token.lstrip = true;
        token.rstrip = true;
        let finder = finder(vec![token]);
        let parts = finder.split(" a \t<x>  <x>\n b");
        assert_eq!(
            parts,
            [
                Part::Text(" a", true),
                Part::Token(3),
                Part::Token(3),
                Part::Text("b", false)
            ]
        );
    }

    #[test]
    fn a_token_of_white_space_that_was_swallowed_is_gone() {
        let mut greedy = AddedToken::special("<x>");
        greedy.rstrip = true;
        let finder = finder(vec![greedy, AddedToken::special("  ")]);
        assert_eq!(
            finder.split("<x>  b"),
            [Part::Token(3), Part::Text("b", false)]
        );
    }

    #[test]
    fn too_much_text_in_added_tokens_is_an_error() {
        let mut added = AddedTokens::default();
        added.add(
            AddedToken::special("x".repeat(MAX_TEXT_BYTES + 1)),
            &model(),
        );
        assert_eq!(
            added.finders(str::to_owned).unwrap_err(),
            "its added tokens have 1048577 bytes of text, more than 1048576"
        );
    }
}
