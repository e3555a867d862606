//! The unigram model: a vocabulary of scored pieces, and the cut of a word with the best score.
//!
//! The vocabulary is one sorted string; the pieces that begin a text are found by narrowing a
//! range of it byte by byte. That opens a vocabulary of 250,000 pieces in a fraction of a second
//! and keeps it in a few megabytes.
//!
//! The search is `Unigram::encode_optimized` of the `tokenizers` library (Kudo 2018, section 3.2,
//! Viterbi), with its choices: a character without a piece costs 10 more than the worst piece,
//! runs of unknown characters are one token, and a later piece wins over an equal earlier one.

/// How much worse than the worst piece an unknown character is.
const UNKNOWN_PENALTY: f64 = 10.0;

/// Longest piece in bytes. SentencePiece's default is 16 characters.
pub(super) const MAX_PIECE_BYTES: usize = 1024;

/// A piece and its score, as a file lists them.
pub(super) type ScoredPiece = (String, f64);

/// Checks the id of unknown text that a file of so many pieces states.
pub(super) fn checked_unknown_id(id: i64, pieces: usize) -> Result<u32, String> {
    if pieces == 0 {
        return Err("it has no pieces".into());
    }
    match u32::try_from(id) {
        Ok(id) if (id as usize) < pieces => Ok(id),
        _ => Err(format!(
            "the id of unknown text is {id}, but it has {pieces} pieces"
        )),
    }
}

/// A unigram language model over pieces.
#[derive(Debug)]
pub(super) struct Unigram {
    /// All distinct pieces, sorted by bytes, one after the other.
    text: String,
    /// Where each sorted piece ends in `text`.
    ends: Vec<usize>,
    /// The id of each sorted piece.
    ids: Vec<u32>,
    /// The score of each sorted piece.
    scores: Vec<f64>,
    /// The range of sorted pieces that start with each byte: `first_byte[b]..first_byte[b + 1]`.
    first_byte: Vec<usize>,
    len: usize,
    unknown_id: u32,
    unknown_score: f64,
    byte_fallback: bool,
}

/// The best way to reach a place in a word.
#[derive(Clone, Copy)]
struct Node {
    score: f64,
    start: usize,
    id: u32,
}

impl Unigram {
    /// Builds the model; ids are places in `pieces`. With `byte_fallback`, unknown text becomes
    /// its bytes (`<0x41>`) where the vocabulary has all of them.
    pub(super) fn new(
        pieces: &[ScoredPiece],
        unknown_id: u32,
        byte_fallback: bool,
    ) -> Result<Self, String> {
        for (id, (piece, score)) in pieces.iter().enumerate() {
            if !score.is_finite() {
                return Err(format!("the score of piece {id} is {score}"));
            }
            if piece.len() > MAX_PIECE_BYTES {
                return Err(format!(
                    "piece {id} is {} bytes long, more than {MAX_PIECE_BYTES}",
                    piece.len()
                ));
            }
        }
        let lowest = pieces.iter().map(|piece| piece.1).fold(f64::MAX, f64::min);

        // Of equal pieces only the last is kept.
        let mut sorted: Vec<(&str, u32)> = (0u32..)
            .zip(pieces)
            .map(|(id, (piece, _))| (piece.as_str(), id))
            .collect();
        sorted.sort_unstable();
        let mut model = Self {
            text: String::with_capacity(pieces.iter().map(|piece| piece.0.len()).sum()),
            ends: Vec::with_capacity(pieces.len()),
            ids: Vec::with_capacity(pieces.len()),
            scores: Vec::with_capacity(pieces.len()),
            first_byte: Vec::with_capacity(257),
            len: pieces.len(),
            unknown_id,
            unknown_score: lowest - UNKNOWN_PENALTY,
            byte_fallback,
        };
        for (place, &(piece, id)) in sorted.iter().enumerate() {
            if sorted.get(place + 1).is_some_and(|next| next.0 == piece) {
                continue;
            }
            model.text.push_str(piece);
            model.ends.push(model.text.len());
            model.ids.push(id);
            model.scores.push(pieces[id as usize].1);
        }
        for byte in 0..=256usize {
            let start = model.narrow(0, model.ids.len(), |piece| {
                piece.first().is_none_or(|first| usize::from(*first) < byte)
            });
            model.first_byte.push(start);
        }
        Ok(model)
    }

    /// Number of pieces, repeated ones included: ids are below it.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The id of unknown text.
    pub(super) fn unknown_id(&self) -> u32 {
        self.unknown_id
    }

    /// The id of a piece.
    pub(super) fn id(&self, piece: &str) -> Option<u32> {
        let place = self.narrow(0, self.ids.len(), |other| other < piece.as_bytes());
        (place < self.ids.len() && self.piece(place) == piece.as_bytes()).then(|| self.ids[place])
    }

    /// Appends the ids of `word` to `ids`.
    pub(super) fn encode(&self, word: &str, search: &mut Search, ids: &mut Vec<u32>) {
        self.search(word, &mut search.nodes);
        search.spans.clear();
        let mut end = word.len();
        while end > 0 {
            let node = search.nodes[end];
            search.spans.push((node.start, end, node.id));
            end = node.start;
        }
        let mut spans = search.spans.iter().rev().copied().peekable();
        while let Some((start, mut end, id)) = spans.next() {
            if id != self.unknown_id {
                ids.push(id);
                continue;
            }
            while let Some(next) = spans.next_if(|next| next.2 == self.unknown_id) {
                end = next.1;
            }
            self.encode_unknown(&word[start..end], ids);
        }
    }

    /// Fills `nodes[i]` with the best way to reach byte `i` of `word`, for every `i` that ends a
    /// character.
    fn search(&self, word: &str, nodes: &mut Vec<Node>) {
        let unreached = Node {
            score: f64::NEG_INFINITY,
            start: usize::MAX,
            id: self.unknown_id,
        };
        nodes.clear();
        nodes.resize(word.len() + 1, unreached);
        nodes[0].score = 0.0;
        for (start, c) in word.char_indices() {
            let so_far = nodes[start].score;
            let mut reach = |length: usize, id: u32, score: f64| {
                let node = &mut nodes[start + length];
                let score = score + so_far;
                if node.start == usize::MAX || score > node.score {
                    *node = Node { score, start, id };
                }
            };
            let mut has_character = false;
            self.prefixes(&word.as_bytes()[start..], |length, id, score| {
                reach(length, id, score);
                has_character |= length == c.len_utf8();
            });
            if !has_character {
                reach(c.len_utf8(), self.unknown_id, self.unknown_score);
            }
        }
    }

    fn encode_unknown(&self, text: &str, ids: &mut Vec<u32>) {
        if let Some(id) = self.id(text) {
            ids.push(id);
            return;
        }
        let before = ids.len();
        if self.byte_fallback {
            for byte in text.bytes() {
                match self.id(&format!("<0x{byte:02X}>")) {
                    Some(id) => ids.push(id),
                    None => {
                        ids.truncate(before);
                        break;
                    }
                }
            }
        }
        if ids.len() == before {
            ids.push(self.unknown_id);
        }
    }

    /// Calls `found(length, id, score)` for every piece that `text` starts with, shortest first.
    fn prefixes(&self, text: &[u8], mut found: impl FnMut(usize, u32, f64)) {
        let Some(&first) = text.first() else { return };
        let mut low = self.first_byte[usize::from(first)];
        let mut high = self.first_byte[usize::from(first) + 1];
        let mut depth = 1;
        // All pieces in `low..high` start with the first `depth` bytes of `text`; the one that
        // has no more than those, if it is there, is the first of them.
        while low < high {
            if self.piece(low).len() == depth {
                found(depth, self.ids[low], self.scores[low]);
            }
            let Some(next) = text.get(depth) else { return };
            low = self.narrow(low, high, |piece| piece.get(depth) < Some(next));
            high = self.narrow(low, high, |piece| piece.get(depth) == Some(next));
            depth += 1;
        }
    }

    /// The first place in `low..high` whose piece does not come `before`.
    fn narrow(&self, mut low: usize, mut high: usize, before: impl Fn(&[u8]) -> bool) -> usize {
        while low < high {
            let middle = low + (high - low) / 2;
            if before(self.piece(middle)) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    fn piece(&self, place: usize) -> &[u8] {
        let start = place
            .checked_sub(1)
            .map_or(0, |previous| self.ends[previous]);
        &self.text.as_bytes()[start..self.ends[place]]
    }
}

/// Working memory of [`Unigram::encode`], so that words share it.
#[derive(Default)]
pub(super) struct Search {
    nodes: Vec<Node>,
    spans: Vec<(usize, usize, u32)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(pieces: &[(&str, f64)], byte_fallback: bool) -> Unigram {
        let pieces: Vec<_> = pieces
            .iter()
            .map(|(piece, score)| (piece.to_string(), *score))
            .collect();
        Unigram::new(&pieces, 0, byte_fallback).unwrap()
    }

    fn encode(model: &Unigram, word: &str) -> Vec<u32> {
        let mut ids = Vec::new();
        model.encode(word, &mut Search::default(), &mut ids);
        ids
    }

    #[test]
    fn the_cut_with_the_best_total_score_wins() {
        let pieces = [
            ("<unk>", 0.0),
            ("a", -1.0),
            ("b", -1.0),
            ("ab", -2.5),
            ("abc", -2.9),
        ];
        let model = model(&pieces, false);
        assert_eq!(encode(&model, "ab"), [1, 2]);
        assert_eq!(encode(&model, "abc"), [4]);
        assert!(encode(&model, "").is_empty());
    }

    #[test]
    fn a_run_of_unknown_characters_is_one_token() {
        let model = model(&[("<unk>", 0.0), ("a", -1.0)], false);
        assert_eq!(encode(&model, "aééa"), [1, 0, 1]);
    }

    #[test]
    fn a_repeated_piece_has_its_last_id_and_score() {
        let pieces = [
            ("<unk>", 0.0),
            ("a", -1.0),
            ("b", -1.0),
            ("ab", 5.0),
            ("ab", -9.0),
        ];
        let model = model(&pieces, false);
        assert_eq!(model.id("ab"), Some(4));
        assert_eq!(encode(&model, "ab"), [1, 2]);
        assert_eq!(model.len(), 5);
    }

    #[test]
    fn bytes_stand_for_unknown_text_only_when_all_are_there() {
        let pieces = [("<unk>", 0.0), ("<0xC3>", 0.0), ("<0xA9>", 0.0)];
        assert_eq!(encode(&model(&pieces, true), "é"), [1, 2]);
        assert_eq!(encode(&model(&pieces, true), "è"), [0]);
        assert_eq!(encode(&model(&pieces, false), "é"), [0]);
    }

    #[test]
    fn ids_are_found_by_text() {
        let model = model(
            &[("<unk>", 0.0), ("", 0.0), ("b", 0.0), ("\u{10ffff}", 0.0)],
            false,
        );
        assert_eq!(model.id(""), Some(1));
        assert_eq!(model.id("b"), Some(2));
        assert_eq!(model.id("\u{10ffff}"), Some(3));
        assert_eq!(model.id("c"), None);
    }
}
