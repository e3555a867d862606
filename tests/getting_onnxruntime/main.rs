//! Finding, getting and completing ONNX Runtime, with libraries and a Python made for the test.

#[cfg(target_os = "linux")]
mod cuda;
mod find;
mod setup;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const LIBRARY: &str = if cfg!(target_os = "macos") {
    "libonnxruntime.1.31.1.dylib"
} else {
    "libonnxruntime.so.1.31.1"
};

/// Compiles C source to a shared library. `cc` is what the engine's own dependencies are built
/// with, so it is there.
fn compile(source: &str, library: &Path) {
    fs::create_dir_all(library.parent().unwrap()).unwrap();
    let c = tempfile::Builder::new().suffix(".c").tempfile().unwrap();
    fs::write(c.path(), source).unwrap();
    let status = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([library, c.path()])
        .status()
        .expect("a C compiler is needed to build the engine");
    assert!(status.success());
}

/// A library that answers like ONNX Runtime of some version, as far as the search asks.
fn fake_onnxruntime(library: &Path, version: &str) {
    compile(
        &format!(
            r#"
            static const void *api(unsigned version) {{ return 0; }}
            static const char *text(void) {{ return "{version}"; }}
            struct base {{ const void *(*api)(unsigned); const char *(*text)(void); }};
            static const struct base base = {{ api, text }};
            const struct base *OrtGetApiBase(void) {{ return &base; }}
            "#
        ),
        library,
    );
}

/// A Python that does what a shell script says.
fn fake_python(dir: &Path, behaviour: &str) -> PathBuf {
    fs::create_dir_all(dir).unwrap();
    fs::write(dir.join("behaviour.sh"), behaviour).unwrap();
    let python = dir.join("python3");
    let _ = fs::remove_file(&python);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/fake-python3");
    std::os::unix::fs::symlink(script, &python).unwrap();
    python
}
