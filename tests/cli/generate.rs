//! `generate`.

use serde_json::Value;

use crate::program::{Place, Ran};

/// A generation that takes a moment, with the demo in `demo`.
fn generate(place: &Place, args: &str) -> Ran {
    place.run(&format!(
        "generate --model demo --device reference --frames 1 --steps 2 {args}"
    ))
}

fn demo() -> Place {
    let place = Place::new();
    place.demo();
    place
}

#[track_caller]
fn assert_ran(ran: &Ran, code: i32, stdout: &str, stderr: &str) {
    assert_eq!(ran.stderr, stderr, "stdout: {}", ran.stdout);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(code), stdout));
}

#[test]
fn a_prompt_becomes_a_file_whose_name_goes_to_stdout() {
    let place = demo();
    let ran = generate(&place, "seven -o out.png --seed 7");
    assert_ran(
        &ran,
        0,
        "out.png\n",
        " INFO demo on reference, f32\n \
         INFO prompt \"seven\", seed 7\n \
         INFO encode{prompts=2}: encode: <time>\n \
         INFO denoise{steps=2}: denoise: <time>\n \
         INFO decode{frames=1}: decode: <time>\n",
    );
    assert!(place.read("out.png").starts_with(b"\x89PNG"));
}

#[test]
fn the_same_seed_gives_the_same_file() {
    let place = demo();
    for name in ["a.png", "b.png"] {
        let ran = generate(&place, &format!("seven -o {name} --seed 7 -q"));
        assert_ran(&ran, 0, &format!("{name}\n"), "");
    }
    let ran = generate(&place, "seven -o c.png --seed 8 -q");
    assert_ran(&ran, 0, "c.png\n", "");
    assert_eq!(place.read("a.png"), place.read("b.png"));
    assert_ne!(place.read("a.png"), place.read("c.png"));
}

#[test]
fn a_random_seed_is_said_and_kept() {
    let place = demo();
    let ran = generate(&place, "seven -o out.mp4 --json");
    let line = ran.stderr.lines().find(|line| line.contains("seed"));
    let said: u64 = line
        .and_then(|line| line.rsplit(' ').next()?.parse().ok())
        .unwrap_or_else(|| panic!("no seed in {}", ran.stderr));
    let settings: Value = serde_json::from_slice(&place.read("out.json")).expect("JSON");
    assert_eq!(settings["seed"], said);
    assert_eq!(settings["prompt"], "seven");
    let video = place.read("out.mp4");
    let seed = format!("\"seed\":{said}");
    assert!(video.windows(seed.len()).any(|w| w == seed.as_bytes()));
}

#[test]
fn a_video_gets_its_settings_and_a_contact_sheet() {
    let place = demo();
    let ran = place.run(
        "generate seven --model demo --device reference --frames 5 --steps 1 --seed 3 --fps 12 -q \
         --size 32x48 -o clips.gif --json --contact-sheet sheet.png",
    );
    assert_ran(&ran, 0, "clips.gif\n", "");
    assert!(place.read("clips.gif").starts_with(b"GIF89a"));
    let size = |at: usize| {
        let png = place.read("sheet.png");
        u32::from_be_bytes(png[at..at + 4].try_into().expect("four bytes"))
    };
    assert_eq!((size(16), size(20)), (5 * 50 - 2, 32));
    let settings: Value = serde_json::from_slice(&place.read("clips.json")).expect("JSON");
    let expected = serde_json::json!({
        "prompt": "seven",
        "negative_prompt": "",
        "seed": 3,
        "model": "demo",
        "height": 32,
        "width": 48,
        "frames": 5,
        "fps": 12.0,
        "steps": 1,
        "guidance_scale": 3.0,
        "guidance_rescale": 0.0,
        "eta": 0.0,
        "sampler": "EulerAncestralDiscreteScheduler",
        "device": "reference",
        "dtype": "f32",
        "generator": concat!("ascendit ", env!("CARGO_PKG_VERSION")),
    });
    assert_eq!(settings, expected);
}

#[test]
fn prompts_of_a_file_share_one_loading_of_the_text_encoder() {
    let place = demo();
    place.write("prompts.txt", "a red one\n\n  a blue two  \n");
    let ran = generate(
        &place,
        "--prompts-file prompts.txt -o out.png --seed 5 --samples 2",
    );
    let stages = " INFO denoise{steps=2}: denoise: <time>\n \
                   INFO decode{frames=1}: decode: <time>\n";
    let item = |prompt: &str, seed: u64| format!(" INFO prompt {prompt:?}, seed {seed}\n{stages}");
    let expected = [
        " INFO demo on reference, f32\n INFO encode{prompts=3}: encode: <time>\n".to_owned(),
        item("a red one", 5),
        item("a red one", 6),
        item("a blue two", 5),
        item("a blue two", 6),
    ];
    let names = "out-1.png\nout-2.png\nout-3.png\nout-4.png\n";
    assert_ran(&ran, 0, names, &expected.concat());
    assert_ne!(place.read("out-1.png"), place.read("out-2.png"));
}

#[test]
fn a_failed_video_does_not_stop_the_others() {
    let place = demo();
    // What is said about a video in a JPEG has a limit.
    place.write("prompts.txt", format!("one\n{}\ntwo\n", "x".repeat(70_000)));
    let ran = generate(&place, "--prompts-file prompts.txt -o out.jpg -q --seed 1");
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (Some(3), "out-1.jpg\nout-3.jpg\n")
    );
    let errors: Vec<&str> = ran
        .stderr
        .lines()
        .filter(|line| line.starts_with("ERROR"))
        .collect();
    let (failure, summary) = (errors[0], errors[1]);
    assert!(
        failure.starts_with("ERROR out-2.jpg: ")
            && failure.ends_with(
                " bytes of metadata do not fit a JPEG, which holds 65527; write to .png"
            ),
        "{failure}"
    );
    assert_eq!(
        summary,
        "ERROR 1 of 3 videos failed; the others are written"
    );
    let files = place.files();
    let there = ["out-1.jpg", "out-2.jpg", "out-3.jpg"].map(|name| files.contains(name));
    assert_eq!(there, [true, false, true]);
}

#[test]
fn an_existing_file_is_replaced_when_asked_to() {
    let place = demo();
    place.write("out.png", "mine");
    let ran = generate(&place, "seven -o out.png -q --seed 7");
    assert_ran(
        &ran,
        2,
        "",
        "ERROR out.png exists; pass --overwrite to replace it\n",
    );
    assert_eq!(place.read("out.png"), b"mine");
    let ran = generate(&place, "seven -o out.png -q --seed 7 --overwrite");
    assert_ran(&ran, 0, "out.png\n", "");
    assert!(place.read("out.png").starts_with(b"\x89PNG"));
}

#[test]
fn a_chunk_larger_than_the_video_is_the_whole_video() {
    let place = demo();
    for (name, chunk) in [("a.png", "0"), ("b.png", "18446744073709551615")] {
        let ran = generate(
            &place,
            &format!("seven -o {name} --seed 7 -q --decode-chunk {chunk}"),
        );
        assert_ran(&ran, 0, &format!("{name}\n"), "");
    }
    assert_eq!(place.read("a.png"), place.read("b.png"));
}

#[test]
fn messages_can_be_json() {
    let place = demo();
    let ran = generate(&place, "seven -o out.png --seed 7 --log-format json");
    assert_eq!(ran.stdout, "out.png\n");
    let lines: Vec<Value> = ran
        .stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}")))
        .collect();
    assert_eq!(lines[0]["level"], "INFO");
    assert_eq!(lines[0]["fields"]["message"], "demo on reference, f32");
}

#[test]
fn components_can_be_given_one_by_one() {
    let place = demo();
    let ran = place.run(
        "generate seven -o out.png --device reference --frames 1 --steps 1 --size 64x64 -q --seed 1 \
         --guidance-scale 1 --text-tokens 32 --transformer demo/transformer --vae demo/vae \
         --text-encoder demo/text_encoder --tokenizer demo/tokenizer --scheduler demo/scheduler \
         --template=false",
    );
    assert_ran(&ran, 0, "out.png\n", "");
}
