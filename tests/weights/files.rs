//! What a path means, and shard indexes.

use std::fs;
use std::path::Path;

use ascendit::weights::{OpenOptions, Weights};
use tempfile::TempDir;

use super::{message, open, safetensors_file};

fn one(name: &str, value: u8) -> Vec<u8> {
    let header = format!(r#"{{"{name}":{{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}}}"#);
    safetensors_file(&header, &[value])
}

fn directory(files: &[(&str, &[u8])]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        fs::write(directory.path().join(name), bytes).unwrap();
    }
    directory
}

fn error(path: &Path) -> String {
    message(Weights::open(path, &OpenOptions::default()))
}

#[test]
fn a_directory_is_searched_in_a_fixed_order() {
    let index = br#"{"weight_map":{"shard":"shard.safetensors"}}"#;
    let in_order: [(&str, &[u8], &str); 6] = [
        ("diffusion_pytorch_model.safetensors", &one("a", 0), "a"),
        (
            "diffusion_pytorch_model.safetensors.index.json",
            index,
            "shard",
        ),
        ("model.safetensors", &one("b", 0), "b"),
        ("diffusion_pytorch_model.bin", &one("c", 0), "c"),
        ("pytorch_model.bin", &one("d", 0), "d"),
        ("any.fp16.safetensors.index.json", index, "shard"),
    ];
    for first in 0..in_order.len() {
        let directory = directory(&[("shard.safetensors", &one("shard", 0))]);
        for (name, bytes, _) in &in_order[first..] {
            fs::write(directory.path().join(name), bytes).unwrap();
        }
        let weights = open(directory.path());
        assert_eq!(weights.names().collect::<Vec<_>>(), [in_order[first].2]);
    }
}

#[test]
fn a_single_weight_file_of_any_name_is_found() {
    for name in ["x.safetensors", "EMA.pt", "x.pth", "x.ckpt", "x.bin"] {
        let directory = directory(&[(name, &one("w", 3)), ("config.json", b"{}")]);
        assert_eq!(open(directory.path()).read("w").unwrap().as_bytes(), [3]);
    }
}

#[test]
fn several_weight_files_of_other_names_are_ambiguous() {
    let directory = directory(&[("b.pt", &one("w", 0)), ("a.ckpt", &one("w", 0))]);
    assert_eq!(
        error(directory.path()),
        format!(
            "{}: has several weight files and none of the usual names: a.ckpt, b.pt; name one of \
             them",
            directory.path().display()
        )
    );
}

#[test]
fn a_directory_without_weights_says_what_was_looked_for_and_what_is_there() {
    let looked_for = "has no weight file; looked for diffusion_pytorch_model.safetensors, \
                      diffusion_pytorch_model.safetensors.index.json, model.safetensors, \
                      model.safetensors.index.json, diffusion_pytorch_model.bin, \
                      diffusion_pytorch_model.bin.index.json, pytorch_model.bin, \
                      pytorch_model.bin.index.json, and for a single *.safetensors, *.bin, *.pt, \
                      *.pth or *.ckpt";
    let empty = directory(&[]);
    assert_eq!(
        error(empty.path()),
        format!(
            "{}: {looked_for}; the directory is empty",
            empty.path().display()
        )
    );
    let other = directory(&[("config.json", b"{}"), ("README.md", b"")]);
    assert_eq!(
        error(other.path()),
        format!(
            "{}: {looked_for}; the directory has README.md, config.json",
            other.path().display()
        )
    );
}

#[test]
fn a_path_that_is_not_there_is_named() {
    let directory = directory(&[]);
    let path = directory.path().join("missing");
    assert_eq!(error(&path), format!("cannot open {}", path.display()));
}

#[test]
fn files_that_are_no_weights_say_what_they_are() {
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n";
    let cases: [(&[u8], &str); 4] = [
        (b"", "is empty; download it again"),
        (
            pointer,
            "is a Git LFS pointer, not the weights; get them with `git lfs pull`, or download the \
             file itself",
        ),
        (
            b"<!DOCTYPE html><html>",
            "is neither a safetensors file nor a PyTorch zip checkpoint",
        ),
        (
            b"abc",
            "is only 3 bytes long, so it is no safetensors file; download it again",
        ),
    ];
    for (bytes, expected) in cases {
        let directory = directory(&[("model.safetensors", bytes)]);
        let path = directory.path().join("model.safetensors");
        assert_eq!(error(&path), format!("{}: {expected}", path.display()));
    }
}

#[cfg(unix)]
#[test]
fn a_pipe_is_refused_without_waiting_for_it() {
    let directory = directory(&[]);
    let path = directory.path().join("pipe.safetensors");
    let made = std::process::Command::new("mkfifo").arg(&path).status();
    assert!(made.unwrap().success());
    assert_eq!(
        error(&path),
        format!("{}: is not a regular file", path.display())
    );
}

#[test]
fn shards_are_one_set_of_tensors() {
    let index = br#"{"metadata":{"total_size":2},
                     "weight_map":{"a":"x-1.safetensors","b":"deep/x-2.safetensors"}}"#;
    let directory = directory(&[
        ("model.safetensors.index.json", index),
        ("x-1.safetensors", &one("a", 1)),
    ]);
    fs::create_dir(directory.path().join("deep")).unwrap();
    fs::write(directory.path().join("deep/x-2.safetensors"), one("b", 2)).unwrap();
    let weights = open(directory.path());
    assert_eq!(weights.names().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(weights.read("a").unwrap().as_bytes(), [1]);
    assert_eq!(weights.read("b").unwrap().as_bytes(), [2]);
    let entry = weights.get("b").unwrap();
    assert!(
        weights
            .file_path(entry.file)
            .ends_with("deep/x-2.safetensors")
    );
}

#[cfg(unix)]
#[test]
fn a_shard_that_is_a_link_is_known_by_its_target() {
    let directory = directory(&[("blob", &one("w", 1))]);
    let link = directory.path().join("model.safetensors");
    std::os::unix::fs::symlink("blob", &link).unwrap();
    let blob = directory.path().join("blob").canonicalize().unwrap();
    assert_eq!(open(&link).file_path(0), blob);
}

#[test]
fn missing_shards_and_tensors_are_listed_at_once() {
    let index = br#"{"weight_map":{"a":"1.safetensors","b":"2.safetensors","c":"3.safetensors"}}"#;
    let directory = directory(&[
        ("model.safetensors.index.json", index),
        ("2.safetensors", &one("b", 2)),
    ]);
    let path = directory.path().join("model.safetensors.index.json");
    assert_eq!(
        error(directory.path()),
        format!(
            "{}: 2 of 3 shards are missing: 1.safetensors, 3.safetensors; download them again",
            path.display()
        )
    );
    fs::write(directory.path().join("1.safetensors"), one("x", 2)).unwrap();
    fs::write(directory.path().join("3.safetensors"), one("y", 2)).unwrap();
    assert_eq!(
        error(directory.path()),
        format!(
            "{}: 2 of the tensors it lists are not in their shards: a (1.safetensors), c \
             (3.safetensors); the shards are of another checkpoint",
            path.display()
        )
    );
}

#[test]
fn damaged_indexes_say_what_is_wrong() {
    let outside = |shard: &str| {
        (
            format!(r#"{{"weight_map":{{"a":{shard:?}}}}}"#),
            format!("a: its shard {shard:?} is not a file below the index"),
        )
    };
    let mut cases = vec![
        (
            r#"{"weight_map":{"a":"x","a":"y"}}"#.to_owned(),
            "the shard index is damaged: a is there twice at line 1 column 31".to_owned(),
        ),
        (
            r#"{"weight_map":{"a":3}}"#.into(),
            "the shard index is damaged: a: invalid type: integer `3`, expected a string at line \
             1 column 20"
                .into(),
        ),
        (
            "{}".into(),
            "the shard index is damaged: missing field `weight_map` at line 1 column 2".into(),
        ),
        (
            r#"{"weight_map":{}}"#.into(),
            "the shard index lists no tensors".into(),
        ),
        (
            "[".repeat(10_000),
            "the shard index is damaged: invalid type: sequence, expected an object at line 1 \
             column 1"
                .into(),
        ),
    ];
    cases.extend(
        [
            "../x.safetensors",
            "/etc/passwd",
            "a/../../x",
            "",
            ".",
            "..\\x",
        ]
        .map(outside),
    );
    for (json, expected) in cases {
        let directory = directory(&[("model.safetensors.index.json", json.as_bytes())]);
        let path = directory.path().join("model.safetensors.index.json");
        assert_eq!(error(&path), format!("{}: {expected}", path.display()));
    }
}
