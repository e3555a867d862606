//! Who may know whom: the dependency rule of the modules, read off the sources.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// For each module, the modules of the crate that it may use beside itself. Everything may use
/// `error`, `tensor` and `cancel`, which use nothing but each other.
fn allowed() -> BTreeMap<&'static str, &'static [&'static str]> {
    BTreeMap::from([
        ("error", [].as_slice()),
        ("tensor", &[]),
        ("cancel", &[]),
        ("disk", &[]),
        ("machine", &[]),
        ("weights", &[]),
        ("graph", &[]),
        ("samplers", &[]),
        ("tokenizers", &[]),
        ("media", &[]),
        ("nn", &["graph"]),
        ("models", &["nn", "graph"]),
        ("cann", &["disk"]),
        ("backend", &["graph", "weights", "disk", "machine", "cann"]),
        (
            "checkpoint",
            &["weights", "models", "tokenizers", "samplers", "disk"],
        ),
        (
            "pipeline",
            &[
                "checkpoint",
                "models",
                "samplers",
                "tokenizers",
                "backend",
                "graph",
                "weights",
            ],
        ),
        (
            "verify",
            &[
                "backend",
                "checkpoint",
                "graph",
                "media",
                "models",
                "pipeline",
                "samplers",
                "weights",
            ],
        ),
        (
            "cli",
            &[
                "backend",
                "checkpoint",
                "disk",
                "graph",
                "machine",
                "media",
                "models",
                "pipeline",
                "samplers",
                "tokenizers",
                "verify",
                "weights",
            ],
        ),
    ])
}

const BELOW_EVERYTHING: [&str; 3] = ["error", "tensor", "cancel"];

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a source folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// The modules that a file names as `crate::module`, on lines that are not comments.
fn named(text: &str) -> Vec<String> {
    let code = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let mut modules = vec![];
    for line in code {
        for part in line.split("crate::").skip(1) {
            let name: String = part
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            if name.starts_with(|c: char| c.is_lowercase()) {
                modules.push(name);
            }
        }
    }
    modules
}

#[test]
fn modules_only_use_those_below_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let allowed = allowed();
    let mut files = vec![];
    sources(&root, &mut files);
    let mut broken = vec![];
    for file in files {
        let relative = file.strip_prefix(&root).expect("a source of the crate");
        let first = relative
            .components()
            .next()
            .expect("a path")
            .as_os_str()
            .to_string_lossy();
        let module = first.trim_end_matches(".rs").to_owned();
        if module == "lib" || module == "main" {
            continue;
        }
        let Some(may) = allowed.get(module.as_str()) else {
            broken.push(format!(
                "{}: the module {module} has no rule; add one here",
                relative.display()
            ));
            continue;
        };
        let text = fs::read_to_string(&file).expect("a source file");
        for used in named(&text) {
            let fine = used == module
                || BELOW_EVERYTHING.contains(&used.as_str())
                || may.contains(&used.as_str());
            if !fine {
                broken.push(format!("{}: {module} uses {used}", relative.display()));
            }
        }
    }
    broken.sort();
    broken.dedup();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn models_and_backends_do_not_know_each_other() {
    let allowed = allowed();
    assert!(!allowed["models"].contains(&"backend"));
    assert!(!allowed["backend"].contains(&"models"));
}

/// Functions of operators are bound for plans, the others for the safe layer.
#[test]
fn every_function_of_cann_that_is_bound_is_called() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = vec![];
    sources(&root.join("src/cann"), &mut files);
    let read = |path: &Path| fs::read_to_string(path).expect("a source file");
    let safe: String = files.iter().map(|path| read(path)).collect();
    let plans = read(&root.join("src/backend/cann/call.rs"));
    let table = read(&root.join("cann-sys/src/table.rs"));
    let fields = table.lines().filter_map(|line| {
        let (name, _) = line.trim().strip_prefix("pub ")?.split_once(": ")?;
        Some(name)
    });
    let is_called = |name: &&str| {
        let ends = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric());
        let in_table = safe.split(&format!(".{name}")).skip(1).any(ends);
        // The version is asked for before there is a table.
        in_table || safe.contains(&format!("c\"{name}\""))
    };
    let is_planned = |name: &&str| {
        let operator = name.strip_suffix("GetWorkspaceSize").unwrap_or(name);
        !name.starts_with("aclnn") || plans.contains(&format!("\"{operator}\""))
    };
    let (used, unused): (Vec<_>, Vec<_>) = fields.partition(|f| is_called(f) && is_planned(f));
    assert!(used.len() > 100, "{used:?}");
    assert_eq!(unused, Vec::<&str>::new());
}
