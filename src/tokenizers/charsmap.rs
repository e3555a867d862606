//! SentencePiece's precompiled character map: the normalisation rules inside a model file.
//!
//! Layout: a little-endian `u32` with the size of a trie in bytes, the trie (a Darts double array
//! of little-endian `u32` units over UTF-8 bytes), then the replacements, each ended by a zero
//! byte; a value of the trie is the place where its replacement starts. See `Normalizer` in
//! SentencePiece and `DoubleArrayImpl` in darts-clone.
//!
//! Rules are applied as the `Precompiled` normaliser of the `tokenizers` library does it, not as
//! SentencePiece does it, because that is what `T5TokenizerFast` uses: by grapheme and shortest
//! rule first.

use unicode_segmentation::UnicodeSegmentation;

/// A grapheme of at least this many bytes is normalised character by character.
const LONG_GRAPHEME_BYTES: usize = 6;

/// Longest replacement that is accepted. The longest one of `nmt_nfkc` has 33 bytes.
const MAX_REPLACEMENT_BYTES: usize = 256;

/// Normalisation rules: a trie over what is replaced, and the replacements.
#[derive(Debug)]
pub(super) struct Charsmap {
    trie: Vec<u32>,
    replacements: String,
}

impl Charsmap {
    /// Reads the rules from `blob`; the error says what is wrong with it.
    pub(super) fn parse(blob: &[u8]) -> Result<Self, String> {
        let broken = |why: &str| format!("its table of normalisation rules is broken: {why}");
        let (size, rest) = blob
            .split_first_chunk::<4>()
            .ok_or_else(|| broken("it is shorter than its own header"))?;
        let size_bytes = u32::from_le_bytes(*size) as usize;
        if size_bytes == 0 || !size_bytes.is_multiple_of(4) {
            return Err(broken(&format!(
                "the trie is {size_bytes} bytes long, which is not a multiple of 4 above 0"
            )));
        }
        let (trie, replacements) = rest.split_at_checked(size_bytes).ok_or_else(|| {
            broken(&format!(
                "the trie is {size_bytes} bytes long, but {} bytes are there",
                rest.len()
            ))
        })?;
        let replacements = std::str::from_utf8(replacements)
            .map_err(|_| broken("the replacements are not UTF-8"))?;
        let longest = replacements.split('\0').map(str::len).max().unwrap_or(0);
        if longest > MAX_REPLACEMENT_BYTES {
            return Err(broken(&format!(
                "a replacement is {longest} bytes long, more than {MAX_REPLACEMENT_BYTES}"
            )));
        }
        Ok(Self {
            trie: trie
                .chunks_exact(4)
                .map(|unit| u32::from_le_bytes([unit[0], unit[1], unit[2], unit[3]]))
                .collect(),
            replacements: replacements.to_owned(),
        })
    }

    /// The text after all rules.
    pub(super) fn normalize(&self, text: &str) -> String {
        let mut normalized = String::with_capacity(text.len());
        for grapheme in text.graphemes(true) {
            if grapheme.len() < LONG_GRAPHEME_BYTES
                && let Some(replacement) = self.shortest_rule(grapheme.as_bytes())
            {
                normalized.push_str(replacement);
                continue;
            }
            for c in grapheme.chars() {
                match self.shortest_rule(c.encode_utf8(&mut [0; 4]).as_bytes()) {
                    Some(replacement) => normalized.push_str(replacement),
                    None => normalized.push(c),
                }
            }
        }
        normalized
    }

    /// The replacement of the shortest prefix of `key` that has one. A unit or a replacement
    /// outside the tables, which only a broken file has, counts as no rule.
    fn shortest_rule(&self, key: &[u8]) -> Option<&str> {
        let mut node = offset(*self.trie.first()?);
        for &byte in key {
            if byte == 0 {
                return None;
            }
            node ^= usize::from(byte);
            let unit = *self.trie.get(node)?;
            if label(unit) != u32::from(byte) {
                return None;
            }
            node ^= offset(unit);
            if has_leaf(unit) {
                let start = value(*self.trie.get(node)?);
                return self.replacements.get(start..)?.split('\0').next();
            }
        }
        None
    }
}

// The bit fields of a Darts double array unit.

fn has_leaf(unit: u32) -> bool {
    (unit >> 8) & 1 == 1
}

fn value(unit: u32) -> usize {
    (unit & 0x7fff_ffff) as usize
}

fn label(unit: u32) -> u32 {
    unit & 0x8000_00ff
}

fn offset(unit: u32) -> usize {
    ((unit >> 10) << ((unit & (1 << 9)) >> 6)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A map with one rule: the byte `from` becomes `to`.
    fn one_rule(from: u8, to: &str) -> Vec<u8> {
        let mut units = vec![0u32; 1024];
        // The root's children lie at 256 ^ label, the leaf of `from` at 512 ^ that.
        units[0] = 256 << 10;
        let child = 256 ^ usize::from(from);
        units[child] = (512 << 10) | (1 << 8) | u32::from(from);
        units[child ^ 512] = 0x8000_0000;
        let mut blob = (units.len() as u32 * 4).to_le_bytes().to_vec();
        blob.extend(units.iter().flat_map(|unit| unit.to_le_bytes()));
        blob.extend(to.as_bytes());
        blob.push(0);
        blob
    }

    #[test]
    fn a_rule_replaces_its_character_and_leaves_others() {
        let map = Charsmap::parse(&one_rule(b'a', "xyz")).unwrap();
        assert_eq!(map.normalize("banana é"), "bxyznxyznxyz é");
    }

    #[test]
    fn an_empty_replacement_deletes() {
        let map = Charsmap::parse(&one_rule(b'a', "")).unwrap();
        assert_eq!(map.normalize("banana"), "bnn");
    }

    #[test]
    fn a_short_grapheme_is_replaced_as_a_whole_by_the_rule_of_its_beginning() {
        let map = Charsmap::parse(&one_rule(b'a', "x")).unwrap();
        assert_eq!(map.normalize("a\u{301}"), "x");
        assert_eq!(
            map.normalize("a\u{301}\u{302}\u{303}"),
            "x\u{301}\u{302}\u{303}"
        );
    }

    #[test]
    fn a_value_past_the_replacements_is_no_rule() {
        let mut blob = one_rule(b'a', "x");
        let leaf = 4 + 4 * (512 ^ 256 ^ usize::from(b'a'));
        blob[leaf..leaf + 4].copy_from_slice(&0x8000_0fffu32.to_le_bytes());
        let map = Charsmap::parse(&blob).unwrap();
        assert_eq!(map.normalize("banana"), "banana");
    }

    #[test]
    fn broken_maps_are_named() {
        let prefix = "its table of normalisation rules is broken: ";
        let error = |blob: &[u8]| Charsmap::parse(blob).unwrap_err();
        assert_eq!(
            error(&[1, 2]),
            format!("{prefix}it is shorter than its own header")
        );
        assert_eq!(
            error(&[0; 8]),
            format!("{prefix}the trie is 0 bytes long, which is not a multiple of 4 above 0")
        );
        assert_eq!(
            error(&[252, 255, 255, 255, 0]),
            format!("{prefix}the trie is 4294967292 bytes long, but 1 bytes are there")
        );
        assert_eq!(
            error(&[4, 0, 0, 0, 0, 0, 0, 0, 255]),
            format!("{prefix}the replacements are not UTF-8")
        );
        assert_eq!(
            error(&one_rule(b'a', &"x".repeat(300))),
            format!("{prefix}a replacement is 300 bytes long, more than 256")
        );
    }
}
