//! Test programs in C++ against the twin's headers.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Compiles `tests/<folder>/<name>.cpp` with the host's compiler, and runs it: it ends with 0, or says what is wrong.
pub(crate) fn passes(folder: &str, name: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{folder}-{name}"));
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".into());
    let mut compile = Command::new(&compiler);
    compile
        .args(["-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror"])
        .args(["-fno-strict-aliasing", "-DASCENDIT_TWIN"])
        .arg("-I")
        .arg(root.join("twin"))
        .arg(root.join("tests").join(folder).join(format!("{name}.cpp")))
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
