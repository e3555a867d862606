//! What a fuzzer runs against the tokenizer; `tests/tokenizers.rs` runs it as a plain test.
//!
//! A `cargo fuzz` target includes this file by path and calls [`open_and_encode`] with its input.

use std::path::Path;

use ascendit::Error;
use ascendit::tokenizers::T5Tokenizer;

/// Takes the first byte of `data` as the choice of a file and the rest as its content; opens the
/// tokenizer with it. What opens must encode, with all ids in the vocabulary; what does not must
/// say why.
pub(crate) fn open_and_encode(data: &[u8]) {
    let Some((choice, content)) = data.split_first() else {
        return;
    };
    let name = [
        "spiece.model",
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
    ][usize::from(*choice) % 5];
    let dir = tempfile::tempdir().expect("the system has a place for temporary files");
    if !matches!(name, "spiece.model" | "tokenizer.json") {
        let model = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/data/t5-tokenizer-extra/rules/spiece.model");
        std::fs::copy(model, dir.path().join("spiece.model")).expect("it is in the repository");
    }
    std::fs::write(dir.path().join(name), content).expect("the folder is there");
    match T5Tokenizer::open(dir.path()) {
        Ok(tokenizer) => {
            for text in [
                "",
                "a red  seven </s><pad> <extra_id_0>",
                "Ａe\u{301}ﬁ\u{ac00}\u{200b}\t한글 狐狸<0x41>▁▁ \u{fdfa}",
                &String::from_utf8_lossy(&content[..content.len().min(200)]),
            ] {
                check(&tokenizer, text, 64);
            }
        }
        Err(Error::File { path, what }) => {
            assert!(path.starts_with(dir.path()));
            assert!(!what.is_empty() && what.len() < 2000, "{what}");
        }
        Err(other) => panic!("{other:?}"),
    }
}

/// Encodes `text` and checks what holds for every tokenizer and text.
pub(crate) fn check(tokenizer: &T5Tokenizer, text: &str, max_length: usize) {
    let tokens = tokenizer
        .encode(text, max_length)
        .expect("the length is allowed");
    let real = tokens.full_length.min(max_length);
    assert_eq!(tokens.input_ids.len(), max_length);
    assert_eq!(tokens.attention_mask.len(), max_length);
    assert_eq!(tokens.truncated(), tokens.full_length > max_length);
    assert_eq!(tokens.input_ids[real - 1], tokenizer.eos_id());
    for (place, (&id, &mask)) in tokens
        .input_ids
        .iter()
        .zip(&tokens.attention_mask)
        .enumerate()
    {
        assert!((0..tokenizer.vocab_size() as i64).contains(&id));
        assert_eq!(mask, i64::from(place < real));
        assert!(place < real || id == tokenizer.pad_id());
    }
}
