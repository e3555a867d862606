//! From a stretch of prompt to the words that the unigram model cuts: normalisation, then the
//! split at spaces.
//!
//! The steps are those that T5's converter writes for a `spiece.model` (`SpmConverter` in
//! transformers' `convert_slow_tokenizer.py`), and those of older T5 `tokenizer.json` files.

use super::charsmap::Charsmap;

/// What SentencePiece writes for a space.
pub(super) const SPACE_MARK: char = '▁';

/// One step of normalisation.
#[derive(Debug)]
pub(super) enum Step {
    /// The model's own rules.
    Charsmap(Charsmap),
    /// White space is removed at the ends.
    Strip {
        /// At the beginning.
        left: bool,
        /// At the end.
        right: bool,
    },
    /// A run of two or more spaces becomes this text.
    MergeSpaces(String),
}

impl Step {
    fn apply(&self, text: &str) -> String {
        match self {
            Self::Charsmap(map) => map.normalize(text),
            Self::Strip { left, right } => {
                let text = if *left { text.trim_start() } else { text };
                let text = if *right { text.trim_end() } else { text };
                text.to_owned()
            }
            Self::MergeSpaces(merged) => merge_spaces(text, merged),
        }
    }
}

fn merge_spaces(text: &str, merged: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("  ") {
        out.push_str(&rest[..start]);
        out.push_str(merged);
        rest = rest[start..].trim_start_matches(' ');
    }
    out.push_str(rest);
    out
}

/// When a stretch of text gets a space mark in front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prefix {
    /// Every stretch between added tokens.
    Always,
    /// The stretch at the beginning of the prompt.
    First,
    /// None.
    Never,
}

/// How text becomes words.
#[derive(Debug)]
pub(super) struct Words {
    /// Steps of normalisation, in order.
    pub(super) steps: Vec<Step>,
    /// Whether words are cut at white space first, which drops the white space.
    pub(super) split_whitespace: bool,
    /// What stands for a space.
    pub(super) mark: char,
    /// When a mark is put in front.
    pub(super) prefix: Prefix,
    /// Whether each mark begins a new word.
    pub(super) split_marks: bool,
}

impl Words {
    /// What T5's converter makes of a `spiece.model`.
    pub(super) fn of_spiece(charsmap: Option<Charsmap>, prefix: Prefix) -> Self {
        let mut steps: Vec<_> = charsmap.into_iter().map(Step::Charsmap).collect();
        steps.push(Step::Strip {
            left: false,
            right: true,
        });
        steps.push(Step::MergeSpaces(SPACE_MARK.into()));
        Self {
            steps,
            split_whitespace: false,
            mark: SPACE_MARK,
            prefix,
            split_marks: true,
        }
    }

    /// `text` after all steps.
    pub(super) fn normalize(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for step in &self.steps {
            text = step.apply(&text);
        }
        text
    }

    /// Calls `word` for each word of normalised `text`; `at_start` says that the prompt begins
    /// with it.
    pub(super) fn split(&self, text: &str, at_start: bool, mut word: impl FnMut(&str)) {
        if !self.split_whitespace {
            return self.split_at_marks(text, at_start, &mut word);
        }
        let mut at_start = at_start && !text.starts_with(char::is_whitespace);
        for part in text.split_whitespace() {
            self.split_at_marks(part, at_start, &mut word);
            at_start = false;
        }
    }

    fn split_at_marks(&self, text: &str, at_start: bool, word: &mut impl FnMut(&str)) {
        if text.is_empty() {
            return;
        }
        let mut marked = String::with_capacity(text.len() + text.len() / 2 + 4);
        let wants_mark = match self.prefix {
            Prefix::Always => true,
            Prefix::First => at_start,
            Prefix::Never => false,
        };
        if wants_mark && !text.starts_with([' ', self.mark]) {
            marked.push(self.mark);
        }
        marked.extend(text.chars().map(|c| if c == ' ' { self.mark } else { c }));
        if !self.split_marks {
            return word(&marked);
        }
        let mut start = 0;
        for (place, _) in marked.match_indices(self.mark) {
            if place > start {
                word(&marked[start..place]);
            }
            start = place;
        }
        word(&marked[start..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &Words, text: &str, at_start: bool) -> Vec<String> {
        let mut found = Vec::new();
        words.split(&words.normalize(text), at_start, |word| {
            found.push(word.to_owned());
        });
        found
    }

    #[test]
    fn each_mark_begins_a_word() {
        let t5 = Words::of_spiece(None, Prefix::Always);
        assert_eq!(words(&t5, "a b", true), ["▁a", "▁b"]);
        assert_eq!(words(&t5, " a", true), ["▁a"]);
        assert_eq!(words(&t5, "▁▁a", true), ["▁", "▁a"]);
        assert_eq!(words(&t5, "a    b  ", true), ["▁a", "▁b"]);
        assert_eq!(words(&t5, "   a", true), ["▁a"]);
        assert_eq!(words(&t5, "a▁  b", true), ["▁a", "▁", "▁b"]);
        assert!(words(&t5, "  \t", true).is_empty());
    }

    #[test]
    fn a_mark_is_put_in_front_where_the_scheme_says() {
        let first = Words::of_spiece(None, Prefix::First);
        assert_eq!(words(&first, "a b", true), ["▁a", "▁b"]);
        assert_eq!(words(&first, "a b", false), ["a", "▁b"]);
        let never = Words::of_spiece(None, Prefix::Never);
        assert_eq!(words(&never, "a b", true), ["a", "▁b"]);
    }

    #[test]
    fn a_split_at_white_space_drops_it() {
        let mut old = Words::of_spiece(None, Prefix::Always);
        old.steps.clear();
        old.split_whitespace = true;
        assert_eq!(words(&old, "  a\t\nb ", true), ["▁a", "▁b"]);
        assert!(words(&old, " ", true).is_empty());
    }
}
