//! Checkpoints that are not there or not whole.

use serde_json::json;

use super::{Case, case, check, with};
use crate::program::Place;

/// The demo without one of its files or folders.
macro_rules! without {
    ($path:literal) => {
        |place: &Place| {
            place.demo();
            place.remove(concat!("demo/", $path));
        }
    };
}

/// The demo with another file.
macro_rules! changed {
    ($path:literal, $content:expr) => {
        |place: &Place| {
            place.demo();
            place.write(concat!("demo/", $path), $content);
        }
    };
}

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("+ --model ./nowhere", 2, "?"),
        case("+ --model acme/film --offline", 2, "?"),
        case("+ --model acme/film", 200, "?"),
        case("+ --transformer ./nowhere", 2, "?"),
        with(|place| place.write("x.txt", ""), "+ --model x.txt", 2, "?"),
        with(
            |place| place.write("empty/x.txt", ""),
            "+ --model empty",
            2,
            "?",
        ),
        with(without!("transformer"), "+ --model demo", 2, "?"),
        with(
            without!("transformer/config.json"),
            "+ --model demo",
            2,
            "?",
        ),
        with(without!("vae/config.json"), "+ --model demo", 2, "?"),
        with(without!("tokenizer"), "+ --model demo", 2, "?"),
        with(without!("tokenizer/spiece.model"), "+ --model demo", 2, "?"),
        with(
            without!("scheduler/scheduler_config.json"),
            "+ --model demo",
            2,
            "?",
        ),
        with(
            changed!("transformer/config.json", "{"),
            "+ --model demo",
            2,
            "?",
        ),
        with(changed!("vae/config.json", "[]"), "+ --model demo", 2, "?"),
        with(
            changed!("tokenizer/spiece.model", "junk"),
            "+ --model demo",
            2,
            "?",
        ),
        with(
            |place| {
                place.demo();
                place.remove("demo/tokenizer/spiece.model");
                place.write("demo/tokenizer/tokenizer.json", "{}");
            },
            "+ --model demo",
            2,
            "?",
        ),
        with(
            changed!("scheduler/scheduler_config.json", "true"),
            "+ --model demo",
            2,
            "?",
        ),
        with(
            |place| {
                place.demo();
                place.set("demo/text_encoder/config.json", "vocab_size", json!(100));
            },
            "+ --model demo",
            2,
            "?",
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
            "?",
        ),
        with(
            |place| {
                place.demo();
                place.set("demo/transformer/config.json", "in_channels", json!(4));
                place.set("demo/transformer/config.json", "out_channels", json!(4));
            },
            "+ --model demo",
            2,
            "?",
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
