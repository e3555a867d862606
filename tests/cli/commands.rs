//! The other commands.

use std::fs;

use serde_json::{Value, json};

use crate::program::{Place, repository};

fn goldens(name: &str) -> String {
    repository("tests/data").join(name).display().to_string()
}

#[test]
fn verify_ends_with_0_within_the_limits_and_1_beyond() {
    let place = Place::new();
    let verify = format!("verify {} --arch dit --device reference", goldens("dit"));
    let ran = place.run(&verify);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines.len(), 5, "{}", ran.stdout);
    assert!(
        lines[1].starts_with("cfg ") && lines[1].ends_with("  ok"),
        "{}",
        lines[1]
    );
    assert_eq!(
        lines[4],
        "all 3 within limits on reference in f32 (relative 1e-4, nmse 1e-9)"
    );

    let ran = place.run(&format!("{verify} --max-nmse 0 --max-abs 1"));
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(1), ""));
    let last = ran.stdout.lines().last();
    assert_eq!(
        last,
        Some("3 of 3 beyond limits on reference in f32 (relative 1e0, nmse 0e0)")
    );
}

#[test]
fn verify_names_the_worst_place() {
    let place = Place::new();
    for name in ["config.json", "weights.safetensors"] {
        let content = fs::read(repository("tests/data/dit").join(name)).expect("goldens");
        place.write(&format!("goldens/{name}"), content);
    }
    let case = fs::read(repository("tests/data/dit/case-forward.safetensors")).expect("goldens");
    place.write("goldens/case-forward.safetensors", case);
    place.edit_weights("goldens/case-forward.safetensors", |header, data| {
        let output = &header["out.sample"]["data_offsets"][0];
        let at = output.as_u64().expect("an offset") as usize + 4 * 5;
        data[at..at + 4].copy_from_slice(&100f32.to_le_bytes());
    });
    let ran = place.run("verify goldens --arch dit --device reference --json");
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    let report: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(report["ok"], false);
    assert_eq!(report["limits"], json!({"max_abs": 1e-4, "max_nmse": 1e-9}));
    let outcome = &report["outcomes"][0];
    assert_eq!(outcome["worst"][0], 5);
    assert_eq!(outcome["worst"][2], 100.0);
    assert_eq!(outcome["ok"], false);
}

#[test]
fn verify_runs_whole_generations() {
    let place = Place::new();
    place.demo();
    let from = repository("tests/data/open-sora-plan-v1.3-pipeline");
    let cases: Value =
        serde_json::from_slice(&fs::read(from.join("cases.json")).expect("goldens")).expect("JSON");
    place.write(
        "goldens/cases.json",
        json!({"image": cases["image"]}).to_string(),
    );
    let case = fs::read(from.join("case-image.safetensors")).expect("goldens");
    place.write("goldens/case-image.safetensors", case);
    let verify = "verify goldens --pipeline demo --device reference -q";
    let ran = place.run(verify);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    assert_eq!(
        ran.stdout.lines().last(),
        Some(
            "all 1 within limits on reference in f32 (latents 5e-4, frames mean 0.1 and max 4 of 255)"
        )
    );
    let ran = place.run(&format!("{verify} --max-abs 0 --json"));
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(1), ""));
    let report: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(report["outcomes"][0]["case"], "image");
    assert_eq!(report["ok"], false);
}

#[test]
fn bench_times_every_part() {
    let place = Place::new();
    place.demo();
    let ran = place.run("bench --model demo --device reference --frames 1 --runs 2 --json -q");
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    let report: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(report["frames"], 1);
    assert!(
        report["peak_resident_bytes"]
            .as_u64()
            .is_none_or(|bytes| bytes > 1 << 20)
    );
    let timings = report["timings"].as_array().expect("timings");
    let parts: Vec<(&str, &str, u64)> = timings
        .iter()
        .map(|timing| {
            let text = |key: &str| timing[key].as_str().expect("a text");
            (
                text("what"),
                text("stage"),
                timing["runs"].as_u64().expect("a number"),
            )
        })
        .collect();
    assert_eq!(
        parts,
        [
            ("load", "encode", 2),
            ("load", "denoise", 2),
            ("load", "decode", 2),
            ("compile", "encode", 2),
            ("compile", "denoise", 2),
            ("compile", "decode", 2),
            ("run", "encode", 4),
            ("run", "denoise", 4),
            ("run", "decode", 2),
        ]
    );
    for timing in timings {
        let seconds = ["min_s", "quartile_1_s", "median_s", "quartile_3_s", "max_s"]
            .map(|key| timing[key].as_f64().expect("seconds"));
        assert!(seconds.is_sorted() && seconds[0] >= 0.0, "{timing}");
    }
}

#[test]
fn devices_are_listed_with_how_to_get_them() {
    let place = Place::new();
    let ran = place.run("devices --json --onnxruntime nowhere.so");
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    let devices: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(devices[0]["device"], "reference");
    assert_eq!(devices[0]["available"], true);
    assert_eq!(
        devices[1],
        json!({
            "device": "cpu",
            "available": false,
            "description": "<dir>/nowhere.so: no such file (named by --onnxruntime); name the \
                            library of ONNX Runtime 1.24 or newer, or leave --onnxruntime out to \
                            have one looked for",
            "memory_bytes": null,
        })
    );
    assert_eq!(devices[2]["device"], "cuda:0");
}

#[test]
fn setup_without_the_network_says_how_to_do_it_by_hand() {
    let place = Place::new();
    let ran = place.run("setup --offline");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""));
    assert!(
        ran.stderr.starts_with(
            "ERROR --offline forbids getting ONNX Runtime 1.31.1; run `ascendit setup` without it, \
             or get onnxruntime-1.31.1-"
        ) && ran
            .stderr
            .ends_with("into <dir>/cache/onnxruntime-1.31.1\n"),
        "{}",
        ran.stderr
    );
    assert!(place.files().is_empty());
}

#[test]
fn shells_get_completions_of_every_command() {
    let place = Place::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let ran = place.run(&format!("completions {shell}"));
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{shell}");
        for word in [
            "generate",
            "inspect",
            "verify",
            "bench",
            "devices",
            "setup",
            "decode-chunk",
        ] {
            assert!(ran.stdout.contains(word), "{shell}: {word}");
        }
    }
}

#[test]
fn help_of_verify_describes_the_format() {
    let ran = Place::new().run("verify --help");
    assert_eq!(ran.code, Some(0));
    for word in [
        "case-<name>.safetensors",
        "cases.json",
        "out.latents",
        "wfvae-v1.3",
        "Exit code",
    ] {
        assert!(ran.stdout.contains(word), "{word}");
    }
}
