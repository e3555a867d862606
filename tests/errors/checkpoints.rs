//! Checkpoints that are not there or not whole.

use serde_json::json;

use super::{Case, case, check, with};
use crate::program::Place;

/// The demo without one of its files or folders.
fn without(path: &'static str, stderr: &'static str) -> Case {
    let setup = move |place: &Place| {
        place.demo();
        place.remove(&format!("demo/{path}"));
    };
    with(setup, "+ --model demo", 2, stderr)
}

/// The demo with another content of a file.
fn changed(path: &'static str, content: &'static str, stderr: &'static str) -> Case {
    let setup = move |place: &Place| {
        place.demo();
        place.write(&format!("demo/{path}"), content);
    };
    with(setup, "+ --model demo", 2, stderr)
}

pub(super) fn cases() -> Vec<Case> {
    vec![
        case(
            "+ --model ./nowhere",
            2,
            "ERROR ./nowhere: no such file or directory, and not a hub repository (owner/name or owner/name@revision) either",
        ),
        case(
            "+ --model acme/film --offline",
            2,
            "ERROR acme/film is not in the cache <dir>/home/.cache/huggingface/hub and --offline forbids downloading it; run once without --offline, or give a directory",
        ),
        case(
            "+ --model acme/film",
            200,
            "ERROR cannot download acme/film from http://127.0.0.1:9: no connection (Connection refused (os error 111)); check the network and HTTPS_PROXY, or set HF_ENDPOINT to a mirror",
        ),
        case(
            "+ --transformer ./nowhere",
            2,
            "ERROR ./nowhere: no such file or directory, and not a hub repository (owner/name or owner/name@revision) either",
        ),
        with(
            |place| place.write("x.txt", ""),
            "+ --model x.txt",
            2,
            "ERROR x.txt: is not a directory; pass the directory of a checkpoint as --model",
        ),
        with(
            |place| place.write("empty/x.txt", ""),
            "+ --model empty",
            2,
            "ERROR empty: is not a whole checkpoint; pass the missing components with --transformer, --vae, --text-encoder, --tokenizer",
        ),
        without(
            "transformer",
            "ERROR demo: is not a whole checkpoint; pass the missing components with --transformer",
        ),
        without(
            "transformer/config.json",
            "ERROR demo/transformer: has no config.json; is it the directory of a transformer?",
        ),
        without(
            "vae/config.json",
            "ERROR demo/vae: has no config.json; is it the directory of a vae?",
        ),
        without(
            "tokenizer",
            "ERROR demo: is not a whole checkpoint; pass the missing components with --tokenizer",
        ),
        without(
            "tokenizer/spiece.model",
            "ERROR demo/tokenizer: has neither spiece.model nor tokenizer.json; give the tokenizer folder of a T5 or mT5 checkpoint",
        ),
        without(
            "scheduler/scheduler_config.json",
            "ERROR cannot read demo/scheduler/scheduler_config.json: No such file or directory (os error 2)",
        ),
        changed(
            "transformer/config.json",
            "{",
            "ERROR demo/transformer/config.json: is not valid JSON: EOF while parsing an object at line 1 column 1",
        ),
        changed(
            "vae/config.json",
            "[]",
            "ERROR demo/vae/config.json: wrong config: invalid type: sequence, expected struct Config",
        ),
        changed(
            "tokenizer/spiece.model",
            "junk",
            "ERROR demo/tokenizer/spiece.model: it is not a SentencePiece model, or it is cut short; download it again, or give the tokenizer of a T5 or mT5 checkpoint",
        ),
        with(
            |place| {
                place.demo();
                place.remove("demo/tokenizer/spiece.model");
                place.write("demo/tokenizer/tokenizer.json", "{}");
            },
            "+ --model demo",
            2,
            "ERROR demo/tokenizer/tokenizer.json: it is not a tokenizer.json (missing field `model` at line 1 column 2); download it again, or give the tokenizer of a T5 or mT5 checkpoint",
        ),
        changed(
            "scheduler/scheduler_config.json",
            "true",
            "ERROR demo/scheduler/scheduler_config.json: not a scheduler configuration: expected an object with a _class_name",
        ),
        with(
            |place| {
                place.demo();
                place.set("demo/text_encoder/config.json", "vocab_size", json!(100));
            },
            "+ --model demo",
            2,
            "ERROR text_encoder: 1 tensor does not fit: shared.weight: expected [100, 128], file has f16[512, 128] (model.safetensors)",
        ),
        with(
            |place| {
                place.demo();
                place.set(
                    "demo/transformer/config.json",
                    "caption_channels",
                    json!(256),
                );
            },
            "+ --model demo",
            2,
            "ERROR demo/transformer has 256 text channels, demo/text_encoder has 128; the components do not belong together",
        ),
        with(
            |place| {
                place.demo();
                place.set("demo/transformer/config.json", "in_channels", json!(4));
                place.set("demo/transformer/config.json", "out_channels", json!(4));
            },
            "+ --model demo",
            2,
            "ERROR demo/transformer has 4 latent channels, demo/vae has 8; the components do not belong together",
        ),
    ]
}

#[test]
fn checkpoints_that_are_not_whole_are_told_exactly() {
    check(&cases());
}

#[test]
fn a_hub_that_is_no_address_is_told() {
    let place = Place::new();
    let mut command = place.command(&["inspect", "acme/film"]);
    command.env("HF_ENDPOINT", "ftp://mirror");
    let ran = place.ran(command.output().expect("the program runs"));
    assert_eq!(
        (ran.code, ran.stderr.as_str()),
        (
            Some(2),
            "ERROR the hub's address \"ftp://mirror\" (HF_ENDPOINT) does not start with https:// or http://\n"
        )
    );
}
