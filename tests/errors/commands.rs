//! The other commands, and the library of the cpu device.

use std::fs;

use serde_json::json;

use super::{Case, case, check, with};
use crate::program::{Place, repository, safetensors};

fn copy_goldens(place: &Place, name: &str) {
    fs::create_dir(place.path("goldens")).expect("a folder");
    for entry in fs::read_dir(repository("tests/data").join(name)).expect("goldens") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name");
        fs::copy(&path, place.path("goldens").join(name)).expect("a copy");
    }
}

const DIT: &str = "verify goldens --arch dit --device reference -q";

fn verify() -> Vec<Case> {
    vec![
        case("verify goldens", 2, "?"),
        case("verify goldens --arch magic --device reference", 2, "?"),
        case(DIT, 2, "?"),
        with(|place| place.write("goldens/x", ""), DIT, 2, "?"),
        with(
            |place| {
                copy_goldens(place, "dit");
                for case in ["cfg", "forward", "forward-frac-t"] {
                    place.remove(&format!("goldens/case-{case}.safetensors"));
                }
            },
            DIT,
            2,
            "?",
        ),
        with(
            |place| {
                copy_goldens(place, "dit");
                let empty = safetensors(&serde_json::Map::new(), &[]);
                place.write("goldens/case-cfg.safetensors", empty);
            },
            DIT,
            2,
            "?",
        ),
        with(
            |place| {
                copy_goldens(place, "dit");
                place.edit_weights("goldens/case-cfg.safetensors", |header, _| {
                    let sample = header.remove("out.sample").expect("an output");
                    header.insert("out.simple".into(), sample);
                });
            },
            DIT,
            2,
            "?",
        ),
        with(
            |place| copy_goldens(place, "dit"),
            "verify goldens --arch uvit --device reference",
            2,
            "?",
        ),
        case("verify goldens --pipeline demo --max-nmse 1", 2, "?"),
        with(
            |place| {
                place.demo();
                place.write(
                    "goldens/cases.json",
                    json!({"one": {"prompt": "x"}}).to_string(),
                );
            },
            "verify goldens --pipeline demo --device reference",
            2,
            "?",
        ),
    ]
}

fn others() -> Vec<Case> {
    vec![
        case("inspect ./nowhere", 2, "?"),
        with(
            |place| place.write("notes.txt", "hello, world"),
            "inspect notes.txt",
            2,
            "?",
        ),
        case("inspect --graph paint", 2, "?"),
        case("inspect --device tpu", 2, "?"),
        with(Place::demo, "inspect demo/vae --graph", 2, "?"),
        case("bench --runs 0", 2, "?"),
        case("completions tcsh", 2, "?"),
        case("inspect a b", 2, "?"),
    ]
}

const CPU: &str = "generate seven -o out.mp4 -q --device cpu --offline --onnxruntime library.so";

fn library() -> Vec<Case> {
    vec![
        case(CPU, 2, "?"),
        with(|place| place.write("library.so", "hello"), CPU, 2, "?"),
        with(|place| place.write("library.so/x", ""), CPU, 2, "?"),
        with(
            |place| {
                let program = fs::read(env!("CARGO_BIN_EXE_ascendit")).expect("the program");
                place.write("library.so", &program[..1000]);
            },
            CPU,
            2,
            "?",
        ),
    ]
}

pub(super) fn cases() -> Vec<Case> {
    [verify(), others(), library()]
        .into_iter()
        .flatten()
        .collect()
}

#[test]
fn what_cannot_be_verified_is_told_exactly() {
    check(&verify());
}

#[test]
fn mistakes_of_other_commands_are_told_exactly() {
    check(&others());
}

#[test]
fn a_library_that_cannot_be_used_is_told_exactly() {
    check(&library());
}
