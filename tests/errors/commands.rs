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
        case(
            "verify goldens",
            2,
            "error: the following required arguments were not provided:\n  --arch <NAME>\n\nUsage: ascendit verify --arch <NAME> <DIR>\n\nFor more information, try '--help'.",
        ),
        case(
            "verify goldens --arch magic --device reference",
            2,
            "ERROR unknown architecture \"magic\"; architectures are open-sora-plan-v1.3-t2v, open-sora-plan-v1.3-i2v, dit, dit-diffusers, uvit, uvit-uncond, uvit-t2i, wfvae-v1.3, t5-encoder, mt5-encoder",
        ),
        case(
            DIT,
            2,
            "ERROR cannot list goldens: No such file or directory (os error 2)",
        ),
        with(
            |place| place.write("goldens/x", ""),
            DIT,
            2,
            "ERROR goldens: has no config.json, nor a sub-folder with one",
        ),
        with(
            |place| {
                copy_goldens(place, "dit");
                for case in ["cfg", "forward", "forward-frac-t"] {
                    place.remove(&format!("goldens/case-{case}.safetensors"));
                }
            },
            DIT,
            2,
            "ERROR goldens: has no case-*.safetensors",
        ),
        with(
            |place| {
                copy_goldens(place, "dit");
                let empty = safetensors(&serde_json::Map::new(), &[]);
                place.write("goldens/case-cfg.safetensors", empty);
            },
            DIT,
            2,
            "ERROR goldens/case-cfg.safetensors: has no in.x",
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
            "ERROR goldens/case-cfg.safetensors: out.simple is not an output of the model",
        ),
        with(
            |place| copy_goldens(place, "dit"),
            "verify goldens --arch uvit --device reference",
            2,
            "ERROR goldens/config.json: wrong config: missing field `img_size`",
        ),
        case(
            "verify goldens --pipeline demo --max-nmse 1",
            2,
            "error: the argument '--pipeline <CHECKPOINT>' cannot be used with '--max-nmse <X>'\n\nUsage: ascendit verify --pipeline <CHECKPOINT> <DIR>\n\nFor more information, try '--help'.",
        ),
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
            "ERROR goldens/cases.json: does not describe generations: one: missing field `scheduler`",
        ),
    ]
}

fn others() -> Vec<Case> {
    vec![
        case(
            "inspect ./nowhere",
            2,
            "ERROR ./nowhere: no such file or directory, and not a hub repository (owner/name or owner/name@revision) either",
        ),
        with(
            |place| place.write("notes.txt", "hello, world"),
            "inspect notes.txt",
            2,
            "ERROR notes.txt: is neither a safetensors file nor a PyTorch zip checkpoint",
        ),
        case(
            "inspect --graph paint",
            2,
            "error: invalid value 'paint' for '--graph [<STAGE>]'\n  [possible values: encode, denoise, decode, all]\n\nFor more information, try '--help'.",
        ),
        with(
            Place::demo,
            "inspect demo --device cann --soc 910C",
            2,
            "ERROR unknown chip \"910C\"; chips are 910B1, 910B2, 910B3, 910B4, 910B4-1",
        ),
        case(
            "inspect --device tpu",
            2,
            "ERROR unknown device \"tpu\"; devices are reference, cpu, cuda:N, cann:N and twin:N (cuda is cuda:0)",
        ),
        with(
            Place::demo,
            "inspect demo/vae --graph",
            2,
            "ERROR demo/vae: is not a whole checkpoint, whose graphs can be shown; add the other components, or leave out --graph",
        ),
        case(
            "bench --runs 0",
            2,
            "error: invalid value '0' for '--runs <N>': 0 is not in 1..=1000\n\nFor more information, try '--help'.",
        ),
        case(
            "completions tcsh",
            2,
            "error: invalid value 'tcsh' for '<SHELL>'\n  [possible values: bash, elvish, fish, powershell, zsh]\n\n  tip: a similar value exists: 'zsh'\n\nFor more information, try '--help'.",
        ),
        case(
            "inspect a b",
            2,
            "error: unexpected argument 'b' found\n\nUsage: ascendit inspect [OPTIONS] [MODEL]\n\nFor more information, try '--help'.",
        ),
    ]
}

const CPU: &str = "generate seven -o out.mp4 -q --device cpu --offline --onnxruntime library.so";

fn library() -> Vec<Case> {
    vec![
        case(
            CPU,
            2,
            "ERROR <dir>/library.so: no such file (named by --onnxruntime); name the library of ONNX Runtime 1.24 or newer, or leave --onnxruntime out to have one looked for",
        ),
        with(
            |place| place.write("library.so", "hello"),
            CPU,
            2,
            "ERROR <dir>/library.so: not a shared library, only 5 bytes long (named by --onnxruntime); name the library of ONNX Runtime 1.24 or newer, or leave --onnxruntime out to have one looked for",
        ),
        with(
            |place| place.write("library.so/x", ""),
            CPU,
            2,
            "ERROR <dir>/library.so: has no ONNX Runtime library in it (named by --onnxruntime); name the library of ONNX Runtime 1.24 or newer, or leave --onnxruntime out to have one looked for",
        ),
        with(
            |place| {
                let program = fs::read(env!("CARGO_BIN_EXE_ascendit")).expect("the program");
                place.write("library.so", &program[..100]);
            },
            CPU,
            2,
            "ERROR <dir>/library.so: damaged: it ends after 100 bytes, within its own header (named by --onnxruntime); name the library of ONNX Runtime 1.24 or newer, or leave --onnxruntime out to have one looked for",
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
