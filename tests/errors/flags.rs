//! Flags and what they ask for.

use super::{Case, case, check, with};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("paint", 2, "?"),
        case("generate seven", 2, "?"),
        case("generate -o out.mp4", 2, "?"),
        case("+ --stepz 3", 2, "?"),
        case("+ --steps many", 2, "?"),
        case("+ --steps 0", 2, "?"),
        case("+ --steps 1001", 2, "?"),
        case("+ --size 64", 2, "?"),
        case("+ --size 0x64", 2, "?"),
        case("+ --size 60x64", 2, "?"),
        case("+ --size 64x8", 2, "?"),
        case("+ --size 64x40000", 2, "?"),
        case("+ --frames 0", 2, "?"),
        case("+ --frames 16", 2, "?"),
        case("+ --frames 40001", 2, "?"),
        case("+ --fps 0", 2, "?"),
        case("+ --fps 1000", 2, "?"),
        case("+ --fps fast", 2, "?"),
        case("+ --guidance-scale=-1", 2, "?"),
        case("+ --guidance-scale nan", 2, "?"),
        case("+ --guidance-rescale 1.5", 2, "?"),
        case("+ --text-tokens 0", 2, "?"),
        case("+ --text-tokens 5000", 2, "?"),
        case("+ --text-tokens 1", 2, "?"),
        case("+ --decode-chunk=-1", 2, "?"),
        case("+ --sampler Magic", 2, "?"),
        case("+ --sampler FlowMatchEulerDiscrete", 2, "?"),
        case("+ --seed=-5", 2, "?"),
        case("+ --samples 0", 2, "?"),
        case("+ --threads 0", 2, "?"),
        case("+ --dtype f8", 2, "?"),
        case("+ --dtype bf16", 2, "?"),
        case("generate seven -o out.mp4 --device tpu", 2, "?"),
        case("generate seven -o out.mp4 --device cuda:x", 2, "?"),
        case("+ --template maybe", 2, "?"),
        case("+ --verbose", 2, "?"),
        case("+ --log-format xml", 2, "?"),
        case("generate '' -o out.mp4 --quiet", 2, "?"),
        case("+ --prompts-file prompts.txt", 2, "?"),
        case("generate -o out.mp4 -q --prompts-file prompts.txt", 2, "?"),
        with(
            |place| place.write("prompts.txt", "\n  \n"),
            "generate -o out.mp4 -q --prompts-file prompts.txt",
            2,
            "?",
        ),
        with(
            |place| place.write("prompts.txt", [b'a', 0xff, b'\n']),
            "generate -o out.mp4 -q --prompts-file prompts.txt",
            2,
            "?",
        ),
        case("generate -o out.mp4 -q --prompts-file .", 2, "?"),
        case("+ --size 8192x8192 --frames 129", 200, "?"),
        case("+ --size 8192x8192 --frames 129 -o x.y4m", 200, "?"),
    ]
}

#[test]
fn wrong_flags_are_told_exactly() {
    check(&cases());
}
