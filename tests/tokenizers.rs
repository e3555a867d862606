//! The T5 and mT5 tokenizer against transformers, broken files, and the clock.

#[path = "fuzz_bodies/tokenizers.rs"]
mod fuzz_bodies;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ascendit::tokenizers::T5Tokenizer;
use fuzz_bodies::{check, open_and_encode};
use proptest::prelude::*;
use serde::Deserialize;
use tempfile::TempDir;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

fn open(name: &str) -> T5Tokenizer {
    T5Tokenizer::open(&data(name)).unwrap()
}

#[derive(Deserialize)]
struct Golden {
    text: String,
    max_length: usize,
    input_ids: Vec<i64>,
    attention_mask: Vec<i64>,
}

#[test]
fn every_golden_case_is_exact() {
    let tokenizer = open("t5-tokenizer");
    let text = fs::read_to_string(data("t5-tokenizer/cases.json")).unwrap();
    let cases: Vec<Golden> = serde_json::from_str(&text).unwrap();
    assert!(!cases.is_empty());
    for case in cases {
        let tokens = tokenizer.encode(&case.text, case.max_length).unwrap();
        assert_eq!(tokens.input_ids, case.input_ids, "{:?}", case.text);
        assert_eq!(
            tokens.attention_mask, case.attention_mask,
            "{:?}",
            case.text
        );
    }
}

#[derive(Deserialize)]
struct Extra {
    eos_id: i64,
    pad_id: i64,
    unk_id: i64,
    vocab_size: usize,
    cases: Vec<ExtraCase>,
}

#[derive(Deserialize)]
struct ExtraCase {
    text: String,
    max_length: usize,
    ids: Vec<i64>,
    full_length: usize,
}

/// Compares a tokenizer with the cases of a folder of `t5-tokenizer-extra`.
fn equals_transformers(tokenizer: &str, cases: &str) {
    let tokenizer = open(tokenizer);
    let path = data("t5-tokenizer-extra").join(cases).join("cases.json");
    let extra: Extra = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    assert_eq!(tokenizer.eos_id(), extra.eos_id);
    assert_eq!(tokenizer.pad_id(), extra.pad_id);
    assert_eq!(tokenizer.unk_id(), extra.unk_id);
    assert_eq!(tokenizer.vocab_size(), extra.vocab_size);
    assert!(!extra.cases.is_empty());
    for case in extra.cases {
        check(&tokenizer, &case.text, case.max_length);
        let tokens = tokenizer.encode(&case.text, case.max_length).unwrap();
        let real = tokens.attention_mask.iter().sum::<i64>() as usize;
        assert_eq!(tokens.input_ids[..real], case.ids, "{:?}", case.text);
        assert_eq!(tokens.full_length, case.full_length, "{:?}", case.text);
    }
}

#[test]
fn hard_texts_equal_transformers() {
    equals_transformers("t5-tokenizer", "golden");
}

#[test]
fn a_bare_spiece_model_gets_sentinels_and_padding_behind_its_pieces() {
    equals_transformers("t5-tokenizer-extra/plain", "plain");
    equals_transformers("t5-tokenizer-extra/plain/spiece.model", "plain");
}

#[test]
fn other_special_ids_and_rules_of_a_model_are_respected() {
    equals_transformers("t5-tokenizer-extra/rules", "rules");
}

#[test]
fn sentinels_among_the_pieces_are_found() {
    equals_transformers("t5-tokenizer-extra/own-sentinels", "own-sentinels");
}

#[test]
fn a_bare_model_with_sentinels_among_its_pieces_gets_no_others() {
    let dir = with_file("spiece.model", &read("own-sentinels/spiece.model"));
    let bare = T5Tokenizer::open(dir.path()).unwrap();
    let configured = open("t5-tokenizer-extra/own-sentinels");
    assert_eq!(bare.vocab_size(), configured.vocab_size());
    let text = "a <extra_id_0> b ▁<extra_id_1>";
    assert_eq!(
        bare.encode(text, 32).unwrap(),
        configured.encode(text, 32).unwrap()
    );
}

#[test]
fn saved_settings_are_respected() {
    equals_transformers("t5-tokenizer-extra/saved", "saved");
}

#[test]
fn settings_of_older_files_are_respected() {
    equals_transformers("t5-tokenizer-extra/legacy", "legacy");
}

#[test]
fn a_tokenizer_json_is_enough() {
    equals_transformers("t5-tokenizer-extra/saved-json", "saved-json");
    equals_transformers("t5-tokenizer-extra/saved-json/tokenizer.json", "saved-json");
    equals_transformers("t5-tokenizer-extra/old-json", "old-json");
}

#[test]
fn the_json_wins_over_the_model_unless_the_settings_ask_for_the_model() {
    let dir = with_file("spiece.model", &read("own-sentinels/spiece.model"));
    fs::write(
        dir.path().join("tokenizer.json"),
        read("old-json/tokenizer.json"),
    )
    .unwrap();
    let tokenizer = T5Tokenizer::open(dir.path()).unwrap();
    assert_eq!(
        tokenizer.pad_id(),
        open("t5-tokenizer-extra/old-json").pad_id()
    );
    let config = dir.path().join("tokenizer_config.json");
    fs::write(
        config,
        br#"{"add_prefix_space": true, "extra_ids": 0, "added_tokens_decoder": {}}"#,
    )
    .unwrap();
    let tokenizer = T5Tokenizer::open(dir.path()).unwrap();
    assert_eq!(
        tokenizer.vocab_size(),
        open("t5-tokenizer-extra/own-sentinels").vocab_size()
    );
}

#[test]
fn a_long_prompt_is_cut_and_says_so() {
    let tokenizer = open("t5-tokenizer");
    let whole = tokenizer.encode("a red seven moving left", 64).unwrap();
    assert!(!whole.truncated());
    let cut = tokenizer.encode("a red seven moving left", 4).unwrap();
    assert!(cut.truncated());
    assert_eq!(cut.full_length, whole.full_length);
    assert_eq!(cut.input_ids[..3], whole.input_ids[..3]);
    assert_eq!(cut.input_ids[3], tokenizer.eos_id());
    assert_eq!(
        tokenizer.encode("a red", 1).unwrap().input_ids,
        [tokenizer.eos_id()]
    );
}

#[test]
fn a_length_that_cannot_be_is_refused() {
    let tokenizer = open("t5-tokenizer");
    for length in [0, usize::MAX] {
        assert_eq!(
            tokenizer.encode("a", length).unwrap_err().to_string(),
            format!("a prompt of {length} tokens was asked for; expected 1 to 16777216")
        );
    }
}

// Broken files.

fn read(name: &str) -> Vec<u8> {
    fs::read(data("t5-tokenizer-extra").join(name)).unwrap()
}

fn with_file(name: &str, content: &[u8]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(name), content).unwrap();
    dir
}

/// The whole message of opening a folder with this one file, without the folder's name.
fn error(name: &str, content: &[u8]) -> String {
    message(&with_file(name, content))
}

/// The same with a setting beside a good model.
fn settings_error(name: &str, content: &str) -> String {
    let dir = with_file("spiece.model", &read("rules/spiece.model"));
    fs::write(dir.path().join(name), content).unwrap();
    message(&dir)
}

fn message(dir: &TempDir) -> String {
    let message = T5Tokenizer::open(dir.path()).unwrap_err().to_string();
    message.replace(&format!("{}/", dir.path().display()), "")
}

const REMEDY: &str = "download it again, or give the tokenizer of a T5 or mT5 checkpoint";

/// A protobuf field that holds bytes.
fn field(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag << 3 | 2];
    prost::encoding::encode_varint(content.len() as u64, &mut bytes);
    bytes.extend(content);
    bytes
}

fn piece(text: &[u8], score: f32) -> Vec<u8> {
    let score = score.to_le_bytes();
    field(
        1,
        &[field(1, text), vec![2 << 3 | 5], score.to_vec()].concat(),
    )
}

/// A model of these pieces, with this trainer message and character map.
fn spiece(pieces: &[(&[u8], f32)], trainer: &[u8], charsmap: &[u8]) -> Vec<u8> {
    let mut bytes: Vec<u8> = pieces.iter().flat_map(|p| piece(p.0, p.1)).collect();
    bytes.extend(field(2, trainer));
    bytes.extend(field(3, &field(2, charsmap)));
    bytes
}

const PIECES: [(&[u8], f32); 3] = [(b"<unk>", 0.0), (b"</s>", 0.0), (b"a", -1.0)];

#[test]
fn a_missing_path_is_an_io_error() {
    let error = T5Tokenizer::open(Path::new("no/such/folder")).unwrap_err();
    assert_eq!(error.to_string(), "cannot open no/such/folder");
}

#[test]
fn a_folder_without_a_tokenizer_says_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(
        T5Tokenizer::open(dir.path()).unwrap_err().to_string(),
        format!(
            "{}: has neither spiece.model nor tokenizer.json; give the tokenizer folder of a T5 \
             or mT5 checkpoint",
            dir.path().display()
        )
    );
}

#[test]
fn broken_models_are_explained() {
    let bpe = [3 << 3, 2];
    let far_unknown = [0xc0, 0x02, 0x09];
    let with_score = |score| spiece(&[PIECES[0], PIECES[1], (b"a", score)], &[], &[]);
    let not_a_model = "it is not a SentencePiece model, or it is cut short";
    let rules = "its table of normalisation rules is broken:";
    let long = vec![b'x'; 1025];
    let cases: [(&str, Vec<u8>, &str); 14] = [
        ("empty", vec![], not_a_model),
        ("text", b"hello, this is not a model".to_vec(), not_a_model),
        (
            "huge length",
            vec![0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f],
            not_a_model,
        ),
        (
            "invalid UTF-8",
            spiece(&[(b"\xff\xfe", 0.0)], &[], &[]),
            not_a_model,
        ),
        (
            "BPE",
            spiece(&PIECES, &bpe, &[]),
            "its model type is BPE, but T5 and mT5 have a unigram model",
        ),
        ("no pieces", spiece(&[], &[], &[]), "it has no pieces"),
        (
            "unknown id",
            spiece(&PIECES, &far_unknown, &[]),
            "the id of unknown text is 9, but it has 3 pieces",
        ),
        (
            "no end",
            spiece(&PIECES[..1], &[], &[]),
            "it has no end-of-sequence piece \"</s>\"",
        ),
        ("nan", with_score(f32::NAN), "the score of piece 2 is NaN"),
        (
            "infinite",
            with_score(f32::INFINITY),
            "the score of piece 2 is inf",
        ),
        (
            "long piece",
            spiece(&[PIECES[0], PIECES[1], (&long, 0.0)], &[], &[]),
            "piece 2 is 1025 bytes long, more than 1024",
        ),
        (
            "short rules",
            spiece(&PIECES, &[], &[1]),
            &format!("{rules} it is shorter than its own header"),
        ),
        (
            "lying rules",
            spiece(&PIECES, &[], &[0, 0, 0, 0xf0, 1]),
            &format!("{rules} the trie is 4026531840 bytes long, but 1 bytes are there"),
        ),
        (
            "rules without a trie",
            spiece(&PIECES, &[], &[0; 9]),
            &format!("{rules} the trie is 0 bytes long, which is not a multiple of 4 above 0"),
        ),
    ];
    for (name, content, what) in cases {
        assert_eq!(
            error("spiece.model", &content),
            format!("spiece.model: {what}; {REMEDY}"),
            "{name}"
        );
    }
}

#[test]
fn a_model_without_normalisation_rules_is_good() {
    let dir = with_file("spiece.model", &spiece(&PIECES, &[], &[]));
    let tokenizer = T5Tokenizer::open(dir.path()).unwrap();
    let tokens = tokenizer.encode("ab a", 8).unwrap();
    assert_eq!(tokens.input_ids[..tokens.full_length], [0, 2, 0, 0, 2, 1]);
}

#[test]
fn a_large_score_is_good() {
    let pieces = [
        PIECES[0],
        PIECES[1],
        (b"a", f32::MAX),
        ("▁".as_bytes(), f32::MIN),
    ];
    let dir = with_file("spiece.model", &spiece(&pieces, &[], &[]));
    check(&T5Tokenizer::open(dir.path()).unwrap(), "aaa b a", 8);
}

#[test]
fn a_pointer_is_told_from_a_file() {
    assert_eq!(
        error(
            "spiece.model",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"
        ),
        "spiece.model: it is a Git LFS pointer, not the file itself; run `git lfs pull` in its \
         repository"
    );
}

#[test]
fn a_file_that_is_too_large_is_not_read_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let file = fs::File::create(dir.path().join("spiece.model")).unwrap();
    file.set_len(1 << 40).unwrap();
    assert_eq!(
        message(&dir),
        format!("spiece.model: it is larger than 16 MiB; {REMEDY}")
    );
}

#[test]
fn broken_json_is_explained() {
    assert_eq!(
        error("tokenizer.json", b"{\"model\": "),
        format!(
            "tokenizer.json: it is not a tokenizer.json (EOF while parsing a value at line 1 \
             column 10); {REMEDY}"
        )
    );
    assert_eq!(
        error(
            "tokenizer.json",
            br#"{"model": {"type": "BPE", "vocab": {"a": 0}}}"#
        ),
        format!(
            "tokenizer.json: its model type is BPE, but T5 and mT5 have a unigram model; {REMEDY}"
        )
    );
}

#[test]
fn settings_that_cannot_be_met_are_explained() {
    let config = |content: &str| settings_error("tokenizer_config.json", content);
    assert_eq!(
        config("{"),
        "tokenizer_config.json: not JSON of the expected form (EOF while parsing an object at line 1 \
         column 1); download it again"
    );
    assert_eq!(
        config(r#"{"tokenizer_class": "LlamaTokenizerFast"}"#),
        "tokenizer_config.json: the tokenizer is a LlamaTokenizerFast; expected T5Tokenizer or \
         MT5Tokenizer"
    );
    assert_eq!(
        config(r#"{"padding_side": "left"}"#),
        "tokenizer_config.json: padding_side is \"left\"; only \"right\" is supported"
    );
    assert_eq!(
        config(r#"{"split_special_tokens": true}"#),
        "tokenizer_config.json: split_special_tokens is true; only false is supported"
    );
    assert_eq!(
        config(r#"{"extra_ids": 18446744073709551615}"#),
        "tokenizer_config.json: extra_ids is 18446744073709551615; at most 10000 are supported"
    );
    assert_eq!(
        config(r#"{"added_tokens_decoder": {"7": {"content": "x", "single_word": true}}}"#),
        "tokenizer_config.json: the added token \"x\" is found only as a whole word \
         (`single_word`), which is not supported; no T5 or mT5 checkpoint has such a token"
    );
    assert_eq!(
        settings_error("special_tokens_map.json", "3"),
        "special_tokens_map.json: not JSON of the expected form (invalid type: integer `3`, \
         expected an object at line 1 column 1); download it again"
    );
}

#[test]
fn a_model_cut_anywhere_is_refused_or_means_the_same() {
    let whole = read("rules/spiece.model");
    let text = "a Red sevénth ABBA \u{ac00} <extra_id_0> </s>";
    let expected = open("t5-tokenizer-extra/rules").encode(text, 64).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("spiece.model");
    let mut refused = 0;
    for end in 0..whole.len() {
        fs::write(&path, &whole[..end]).unwrap();
        match T5Tokenizer::open(&path) {
            Ok(tokenizer) => assert_eq!(tokenizer.encode(text, 64).unwrap(), expected, "{end}"),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > whole.len() - 5, "{refused} of {}", whole.len());
}

fn no_seed_files() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Good files with a few bytes changed, put in or taken out.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let files = [
        (0, "rules/spiece.model"),
        (0, "own-sentinels/spiece.model"),
        (1, "old-json/tokenizer.json"),
        (1, "saved-json/tokenizer.json"),
        (2, "saved/tokenizer_config.json"),
        (3, "legacy/special_tokens_map.json"),
        (4, "legacy/added_tokens.json"),
    ];
    let files = files.map(|(choice, name)| [vec![choice], read(name)].concat());
    let edit = (any::<prop::sample::Index>(), 0..3, any::<u8>());
    (
        prop::sample::select(files.to_vec()),
        prop::collection::vec(edit, 0..6),
    )
        .prop_map(|(mut file, edits)| {
            for (place, kind, byte) in edits {
                let place = 1 + place.index(file.len() - 1);
                match kind {
                    0 => file[place] = byte,
                    1 => file.insert(place, byte),
                    _ => drop(file.remove(place)),
                }
            }
            file
        })
}

proptest! {
    #![proptest_config(no_seed_files())]

    #[test]
    fn damaged_files_never_panic(file in damaged()) {
        open_and_encode(&file);
    }

    #[test]
    fn random_files_never_panic(file in prop::collection::vec(any::<u8>(), 0..300)) {
        open_and_encode(&file);
    }

    #[test]
    fn random_rules_never_panic(
        units in prop::collection::vec(any::<u32>(), 1..600),
        replacements in "[a\u{0}é]{0,40}",
        text in ".*",
    ) {
        let mut rules = (units.len() as u32 * 4).to_le_bytes().to_vec();
        rules.extend(units.iter().flat_map(|unit| unit.to_le_bytes()));
        rules.extend(replacements.bytes());
        let dir = with_file("spiece.model", &spiece(&PIECES, &[], &rules));
        check(&T5Tokenizer::open(dir.path()).unwrap(), &text, 16);
    }
}

#[test]
fn any_text_has_ids_of_the_vocabulary() {
    let tokenizers = [
        "t5-tokenizer",
        "t5-tokenizer-extra/saved",
        "t5-tokenizer-extra/old-json",
    ]
    .map(open);
    proptest!(no_seed_files(), |(text in "(?s).*", max_length in 1usize..40)| {
        for tokenizer in &tokenizers {
            check(tokenizer, &text, max_length);
        }
    });
}

// The clock. Limits are wide because test machines are busy.

#[test]
fn a_vocabulary_of_mt5_size_opens_quickly() {
    let texts: Vec<String> = (0..250_000u32)
        .map(|n| {
            format!(
                "▁{:x}{}",
                n.wrapping_mul(2_654_435_761),
                ["", "ing", "の"][n as usize % 3]
            )
        })
        .collect();
    let mut pieces = PIECES.to_vec();
    pieces.extend(
        texts
            .iter()
            .enumerate()
            .map(|(n, text)| (text.as_bytes(), -(n as f32) / 1e4)),
    );
    let dir = with_file("spiece.model", &spiece(&pieces, &[], &[]));
    let start = Instant::now();
    let tokenizer = T5Tokenizer::open(dir.path()).unwrap();
    let took = start.elapsed();
    println!("opened 250,003 pieces in {took:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
    let tokens = tokenizer
        .encode(&texts[200_000].replace('▁', ""), 4)
        .unwrap();
    assert_eq!(tokens.input_ids, [200_003, 1, 250_103, 250_103]);
}

#[test]
fn long_prompts_take_linear_time() {
    let tokenizer = open("t5-tokenizer");
    for unit in [
        "a red seven moving left ",
        "a",
        "é",
        " ",
        "▁",
        "\u{301}",
        "</s>",
        " <extra_id_0>",
        "👩\u{200d}",
        "🇨",
        "zx狐",
    ] {
        let text = unit.repeat((1 << 20) / unit.len());
        let start = Instant::now();
        check(&tokenizer, &text, 512);
        let took = start.elapsed();
        println!("{unit:?}: {took:?}");
        assert!(took < Duration::from_secs(20), "{unit:?} took {took:?}");
    }
}
