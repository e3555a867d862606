//! The cube's instructions of the twin: programs in `cube/` compare them with index formulas, and their faults with texts.

#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// Compiles a program of `tests/cube` with the host's compiler, and runs it.
fn passes(name: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("cube-{name}"));
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".into());
    let mut compile = Command::new(&compiler);
    compile
        .args([
            "-std=c++17",
            "-O1",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-DASCENDIT_TWIN",
        ])
        .arg("-I")
        .arg(root.join("twin"))
        .arg(root.join("tests/cube").join(format!("{name}.cpp")))
        .arg(Path::new(env!("OUT_DIR")).join("libascendit_kernels_host.a"))
        .arg("-o")
        .arg(&program);
    let compiled = compile
        .output()
        .unwrap_or_else(|e| panic!("{compiler}: {e}"));
    let said = String::from_utf8_lossy(&compiled.stderr);
    assert!(
        compiled.status.success(),
        "{compiler} on {name}.cpp: {said}"
    );
    let ran = Command::new(&program)
        .output()
        .expect("the program was just compiled");
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{name}: {said}");
}

#[test]
fn loads_move_what_their_formulas_say() {
    passes("loads");
}

#[test]
fn products_and_fixpipe_compute_what_their_formulas_say() {
    passes("products");
}

#[test]
fn misuse_is_refused_with_a_text_that_says_what_to_do() {
    passes("faults");
}

#[test]
fn a_matmul_with_double_buffers_has_no_race_and_the_right_result() {
    passes("matmul");
}
