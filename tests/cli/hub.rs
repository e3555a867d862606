//! Models from a hub that this test plays itself.

use std::fs;

use crate::fake_hub::FakeHub;
use crate::program::{Place, repository};

/// The demo as `acme/film`.
fn hub() -> FakeHub {
    let files = [
        "README.md",
        "model_index.json",
        "generation_config.json",
        "transformer/config.json",
        "transformer/diffusion_pytorch_model.safetensors",
        "vae/config.json",
        "vae/diffusion_pytorch_model.safetensors",
        "text_encoder/config.json",
        "text_encoder/model.safetensors",
        "tokenizer/spiece.model",
        "tokenizer/tokenizer_config.json",
        "scheduler/scheduler_config.json",
        "other/config.json",
    ];
    let content = |path: &str| match path.strip_prefix("other/") {
        Some(_) => b"{}".to_vec(),
        None => fs::read(repository("assets/demo").join(path)).expect("the demo"),
    };
    let files: Vec<_> = files.iter().map(|path| (*path, content(path))).collect();
    FakeHub::start("", &files)
}

#[test]
fn a_repository_is_downloaded_once_and_generates() {
    let place = Place::new();
    let hub = hub();
    let generate = "generate seven -o out.png --model acme/film --device reference --frames 1 \
                    --steps 1 --seed 1 --overwrite";
    let run = |args: &str| {
        let args: Vec<&str> = args.split_whitespace().collect();
        let mut command = place.command(&args);
        command.env("HF_ENDPOINT", &hub.endpoint);
        place.ran(command.output().expect("the program runs"))
    };
    let ran = run(generate);
    let lines: Vec<&str> = ran.stderr.lines().collect();
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (Some(0), "out.png\n"),
        "{}",
        ran.stderr
    );
    assert_eq!(lines[0], " INFO acme/film: downloading 12 files, 27.5 MB");
    assert!(
        lines.contains(&" INFO acme/film: licence apache-2.0"),
        "{lines:?}"
    );
    assert!(
        lines.contains(&" INFO acme/film on reference, f32"),
        "{lines:?}"
    );

    // Without the network it is taken from the cache.
    let before = hub.requests.lock().expect("requests").len();
    let offline = run(&format!("{generate} --offline"));
    assert_eq!(offline.code, Some(0), "{}", offline.stderr);
    assert_eq!(
        offline.stderr.lines().next(),
        Some(" INFO acme/film: licence apache-2.0")
    );
    assert_eq!(hub.requests.lock().expect("requests").len(), before);
}

#[test]
fn a_directory_of_the_same_name_is_taken_instead() {
    let place = Place::new();
    place.demo();
    fs::create_dir(place.path("acme")).expect("a folder");
    fs::rename(place.path("demo"), place.path("acme/film")).expect("a folder");
    let ran = place.run("inspect acme/film");
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    assert_eq!(ran.stdout.lines().next(), Some("acme/film"));
}
