//! Flags and what they ask for.

use super::{Case, case, check, with};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case(
            "paint",
            2,
            "error: unrecognized subcommand 'paint'\n\nUsage: ascendit [OPTIONS] <COMMAND>\n\nFor more information, try '--help'.",
        ),
        case(
            "generate seven",
            2,
            "error: the following required arguments were not provided:\n  --output <FILE>\n\nUsage: ascendit generate --output <FILE> <PROMPT>\n\nFor more information, try '--help'.",
        ),
        case(
            "generate -o out.mp4",
            2,
            "error: the following required arguments were not provided:\n  <PROMPT>\n\nUsage: ascendit generate --output <FILE> <PROMPT>\n\nFor more information, try '--help'.",
        ),
        case(
            "+ --stepz 3",
            2,
            "error: unexpected argument '--stepz' found\n\n  tip: a similar argument exists: '--steps'\n\nUsage: ascendit generate --output <FILE> --device <DEVICE> --quiet --steps <N> <PROMPT>\n\nFor more information, try '--help'.",
        ),
        case(
            "+ --steps many",
            2,
            "error: invalid value 'many' for '--steps <N>': invalid digit found in string\n\nFor more information, try '--help'.",
        ),
        case(
            "+ --steps 0",
            2,
            "ERROR EulerAncestralDiscreteScheduler: 0 steps; at least 1 is needed",
        ),
        case(
            "+ --steps 1001",
            2,
            "ERROR EulerAncestralDiscreteScheduler: 1001 steps, but the model was trained with 1000 timesteps; ask for at most 1000",
        ),
        case(
            "+ --size 64",
            2,
            "error: invalid value '64' for '--size <HxW>': expected HEIGHTxWIDTH in pixels, such as 480x832\n\nFor more information, try '--help'.",
        ),
        case(
            "+ --size 0x64",
            2,
            "error: invalid value '0x64' for '--size <HxW>': expected HEIGHTxWIDTH in pixels, such as 480x832\n\nFor more information, try '--help'.",
        ),
        case(
            "+ --size 60x64",
            2,
            "ERROR height 60 cannot be made, only multiples of 16; nearest: 48 and 64",
        ),
        case(
            "+ --size 64x8",
            2,
            "ERROR width 8 cannot be made, only multiples of 16; nearest: 16",
        ),
        case(
            "+ --size 64x40000",
            2,
            "ERROR 17 frames of 64x40000 is out of range; the largest value is 32768",
        ),
        case(
            "+ --frames 0",
            2,
            "ERROR 0 frames cannot be made, only 4 n + 1 (1 is an image); nearest: 1",
        ),
        case(
            "+ --frames 16",
            2,
            "ERROR 16 frames cannot be made, only 4 n + 1 (1 is an image); nearest: 13 and 17",
        ),
        case(
            "+ --frames 40001",
            2,
            "ERROR 40001 frames of 64x64 is out of range; the largest value is 32768",
        ),
        case(
            "+ --frames 18446744073709551615",
            2,
            "ERROR 18446744073709551615 frames of 64x64 is out of range; the largest value is 32768",
        ),
        case(
            "+ --size 18446744073709551615x64",
            2,
            "ERROR 17 frames of 18446744073709551615x64 is out of range; the largest value is 32768",
        ),
        case(
            "+ --threads 2000",
            2,
            "error: invalid value '2000' for '--threads <N>': expected a number from 1 to 1024\n\nFor more information, try '--help'.",
        ),
        case(
            "+ --fps 0",
            2,
            "ERROR frames per second must be from 0.1 to 240, not 0",
        ),
        case(
            "+ --fps 1000",
            2,
            "ERROR frames per second must be from 0.1 to 240, not 1000",
        ),
        case(
            "+ --fps fast",
            2,
            "error: invalid value 'fast' for '--fps <RATE>': invalid float literal\n\nFor more information, try '--help'.",
        ),
        case(
            "+ --guidance-scale=-1",
            2,
            "ERROR guidance scale -1 is out of range; it must be 0 or more",
        ),
        case(
            "+ --guidance-scale nan",
            2,
            "ERROR guidance scale NaN is out of range; it must be 0 or more",
        ),
        case(
            "+ --guidance-rescale 1.5",
            2,
            "ERROR guidance rescale 1.5 is out of range; it must be 0 to 1",
        ),
        case(
            "+ --text-tokens 0",
            2,
            "ERROR 0 text tokens are out of range; it must be 1 to 4096",
        ),
        case(
            "+ --text-tokens 5000",
            2,
            "ERROR 5000 text tokens are out of range; it must be 1 to 4096",
        ),
        case(
            "+ --decode-chunk=-1",
            2,
            "error: invalid value '-1' for '--decode-chunk <N>': invalid digit found in string\n\nFor more information, try '--help'.",
        ),
        case(
            "+ --sampler Magic",
            2,
            "ERROR no sampler is called \"Magic\"; samplers: DDIM, DDPM, PNDM, EulerDiscrete, EulerAncestralDiscrete, DPMSolverMultistep, DPMSolverSinglestep, HeunDiscrete, DEISMultistep, KDPM2AncestralDiscrete, FlowMatchEulerDiscrete",
        ),
        case(
            "+ --eta 2",
            2,
            "ERROR eta 2 is out of range; it must be 0 to 1",
        ),
        case(
            "+ --seed=-5",
            2,
            "error: invalid value '-5' for '--seed <N>': invalid digit found in string\n\nFor more information, try '--help'.",
        ),
        case(
            "+ --samples 0",
            2,
            "error: invalid value '0' for '--samples <N>': 0 is not in 1..=10000\n\nFor more information, try '--help'.",
        ),
        case(
            "+ --threads 0",
            2,
            "error: invalid value '0' for '--threads <N>': expected a number from 1 to 1024\n\nFor more information, try '--help'.",
        ),
        case(
            "+ --dtype f8",
            2,
            "error: invalid value 'f8' for '--dtype <DTYPE>'\n  [possible values: auto, f32, f16, bf16]\n\nFor more information, try '--help'.",
        ),
        case(
            "+ --dtype bf16",
            2,
            "ERROR reference: cannot compute in bf16, only in f32; leave out --dtype or pass one of these",
        ),
        case(
            "generate seven -o out.mp4 --device tpu",
            2,
            "ERROR unknown device \"tpu\"; devices are reference, cpu, cuda:N, cann:N and twin:N (cuda is cuda:0)",
        ),
        case(
            "generate seven -o out.mp4 --device cuda:x",
            2,
            "ERROR unknown device \"cuda:x\"; devices are reference, cpu, cuda:N, cann:N and twin:N (cuda is cuda:0)",
        ),
        case(
            "+ --template maybe",
            2,
            "error: invalid value 'maybe' for '--template [<BOOL>]'\n  [possible values: true, false]\n\nFor more information, try '--help'.",
        ),
        case(
            "+ --verbose",
            2,
            "error: the argument '--quiet' cannot be used with '--verbose...'\n\nUsage: ascendit generate --output <FILE> --device <DEVICE> --quiet <PROMPT>\n\nFor more information, try '--help'.",
        ),
        case(
            "+ --log-format xml",
            2,
            "error: invalid value 'xml' for '--log-format <FORMAT>'\n  [possible values: text, json]\n\nFor more information, try '--help'.",
        ),
        case(
            "generate '' -o out.mp4 --quiet",
            2,
            "ERROR the prompt is empty; say what the video should show",
        ),
        case(
            "+ --prompts-file prompts.txt",
            2,
            "error: the argument '[PROMPT]' cannot be used with '--prompts-file <FILE>'\n\nUsage: ascendit generate --output <FILE> --device <DEVICE> --quiet <PROMPT>\n\nFor more information, try '--help'.",
        ),
        case(
            "generate -o out.mp4 -q --prompts-file prompts.txt",
            2,
            "ERROR cannot read prompts.txt: No such file or directory (os error 2)",
        ),
        with(
            |place| place.write("prompts.txt", "\n  \n"),
            "generate -o out.mp4 -q --prompts-file prompts.txt",
            2,
            "ERROR prompts.txt: has no prompts; write one a line",
        ),
        with(
            |place| place.write("prompts.txt", [b'a', 0xff, b'\n']),
            "generate -o out.mp4 -q --prompts-file prompts.txt",
            2,
            "ERROR cannot read prompts.txt: stream did not contain valid UTF-8",
        ),
        case(
            "generate -o out.mp4 -q --prompts-file .",
            2,
            "ERROR cannot read .: Is a directory (os error 21)",
        ),
        case(
            "generate seven -o out.gif --device reference -q --size 8192x8192 --frames 129",
            200,
            "ERROR 129 frames of 8192x8192 need at least 119.6 GB of memory on reference to denoise, <free> is available; make fewer frames or a smaller size, or use a device with more memory",
        ),
        case(
            "generate seven -o out.y4m --device reference -q --size 32768x32768 --frames 32765",
            200,
            "ERROR out.y4m needs 105.5 TB of disk space in ., <free> is free; free some space, or write to a folder on a larger disk",
        ),
    ]
}

#[test]
fn wrong_flags_are_told_exactly() {
    check(&cases());
}
