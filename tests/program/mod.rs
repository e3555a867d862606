//! Runs the program in a directory of its own.

// Each test program uses a part of this.
#![allow(dead_code)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Map, Value};
use tempfile::TempDir;

/// A fresh directory to run the program in. Nothing of the user's environment reaches it.
pub(crate) struct Place(TempDir);

/// What a run left.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A path in the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

impl Place {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.0.path().join(below)
    }

    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.path(path);
        let parent = path.parent().expect("a path below the directory");
        fs::create_dir_all(parent).expect("a folder");
        // The file may be a link to one of the repository.
        let _ = fs::remove_file(&path);
        fs::write(path, content).expect("a file");
    }

    pub(crate) fn read(&self, path: &str) -> Vec<u8> {
        fs::read(self.path(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
    }

    pub(crate) fn remove(&self, path: &str) {
        let path = self.path(path);
        match path.is_dir() {
            true => fs::remove_dir_all(path).expect("a directory"),
            false => fs::remove_file(path).expect("a file"),
        }
    }

    /// Links to every file of the demo checkpoint, in a folder `demo`.
    pub(crate) fn demo(&self) {
        link_tree(&repository("assets/demo"), &self.path("demo"));
    }

    /// Changes keys of a JSON file.
    pub(crate) fn set(&self, path: &str, key: &str, value: Value) {
        let mut json: Value = serde_json::from_slice(&self.read(path)).expect("JSON");
        json[key] = value;
        self.write(path, json.to_string());
    }

    /// Changes the header and the elements of a safetensors file.
    pub(crate) fn edit_weights(&self, path: &str, edit: fn(&mut Map<String, Value>, &mut Vec<u8>)) {
        let bytes = self.read(path);
        let (length, rest) = bytes.split_at(8);
        let length = u64::from_le_bytes(length.try_into().expect("8 bytes")) as usize;
        let mut header = serde_json::from_slice(&rest[..length]).expect("a header");
        let mut data = rest[length..].to_vec();
        edit(&mut header, &mut data);
        self.write(path, safetensors(&header, &data));
    }

    /// The program, ready to run here.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ascendit"));
        command
            .args(args)
            .current_dir(self.0.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path("home"))
            .env("ASCENDIT_CACHE", self.path("cache"))
            // Nobody listens there.
            .env("HF_ENDPOINT", "http://127.0.0.1:9")
            .stdin(Stdio::null());
        command
    }

    /// Runs the program to its end. Arguments are split at spaces; `''` is an empty one.
    pub(crate) fn run(&self, args: &str) -> Ran {
        let args: Vec<&str> = args
            .split_whitespace()
            .map(|arg| if arg == "''" { "" } else { arg })
            .collect();
        let output = self.command(&args).output().expect("the program runs");
        self.ran(output)
    }

    /// Starts the program, with pipes for its output.
    pub(crate) fn start(&self, args: &[&str]) -> Child {
        let mut command = self.command(args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("the program runs")
    }

    pub(crate) fn ran(&self, output: Output) -> Ran {
        Ran {
            code: output.status.code(),
            stdout: self.plain(&output.stdout),
            stderr: self.plain(&output.stderr),
        }
    }

    /// Output without what differs from run to run and from machine to machine.
    fn plain(&self, bytes: &[u8]) -> String {
        let dir = fs::canonicalize(self.0.path()).expect("the directory is there");
        let text = String::from_utf8_lossy(bytes)
            .replace(&dir.display().to_string(), "<dir>")
            .replace(&self.0.path().display().to_string(), "<dir>")
            .replace(env!("CARGO_MANIFEST_DIR"), "<repository>");
        text.lines()
            .map(|line| format!("{}\n", without_measures(line)))
            .collect()
    }

    /// Every file and folder here.
    pub(crate) fn files(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        list(self.0.path(), self.0.path(), &mut found);
        found
    }
}

/// A safetensors file.
pub(crate) fn safetensors(header: &Map<String, Value>, data: &[u8]) -> Vec<u8> {
    let header = serde_json::to_vec(header).expect("JSON");
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header);
    bytes.extend(data);
    bytes
}

/// `decode: 0.25 s` as `decode: <time>`, `8.1 GB is available` as `<free> is available`.
fn without_measures(line: &str) -> String {
    let is_number = |word: &str| word.parse::<f64>().is_ok();
    let words: Vec<&str> = line.split(' ').collect();
    let mut plain: Vec<&str> = vec![];
    let mut i = 0;
    while i < words.len() {
        let next = |n: usize| words.get(i + n).copied().unwrap_or("");
        if is_number(words[i]) && next(1) == "s" {
            plain.push("<time>");
            i += 2;
        } else if is_number(words[i])
            && next(2) == "is"
            && matches!(next(3), "available;" | "free;")
        {
            plain.push("<free>");
            i += 2;
        } else {
            plain.push(words[i]);
            i += 1;
        }
    }
    plain.join(" ")
}

fn list(root: &Path, dir: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(dir).expect("a folder") {
        let path = entry.expect("an entry").path();
        let below = path.strip_prefix(root).expect("below the root");
        found.insert(below.display().to_string());
        if path.is_dir() && !path.is_symlink() {
            list(root, &path, found);
        }
    }
}

fn link_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        match path.is_dir() {
            true => link_tree(&path, &target),
            false => std::os::unix::fs::symlink(&path, &target).expect("a link"),
        }
    }
}
