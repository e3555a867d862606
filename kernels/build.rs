//! Compiles the kernels and the twin of the cores with the host's compiler, and lists the kernels in
//! `$OUT_DIR/kernels.rs`.
//!
//! A kernel is a `.cpp` file in a folder beside `src`; `TWIN_KERNEL(name)` in it makes `name` known. Those in
//! `tests/broken` are listed as well, in `broken.rs`, for that test alone. Structs that kernels and Rust share are
//! `#[cxx::bridge]` modules in `src`, found by that attribute.

use std::env;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("set by Cargo"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("set by Cargo"));
    for watched in fs::read_dir(&root).expect("the package's folder") {
        println!(
            "cargo::rerun-if-changed={}",
            watched.expect("an entry").path().display()
        );
    }
    let bridges = bridges(&root.join("src"));
    // Paths of headers begin with the package's name: `ascendit-kernels/src/add.rs.h`.
    let relative = bridges.iter().map(|path| path.strip_prefix(&root));
    let relative: Vec<_> = relative.map(|path| path.expect("below the root")).collect();
    let mut build = cxx_build::bridges(relative);

    let mut kernels = vec![];
    for folder in folders(&root) {
        let name = folder.file_name().and_then(|name| name.to_str());
        if !matches!(name, Some("src" | "tests" | "twin" | "target")) {
            sources(&folder, &mut kernels);
        }
    }
    let (mut broken, mut machine) = (vec![], vec![]);
    sources(&root.join("tests/broken"), &mut broken);
    sources(&root.join("twin/machine"), &mut machine);
    // The twin's cores are fibers of the host and its alternative threads of GNU C: Linux on these two alone.
    println!("cargo::rustc-check-cfg=cfg(host_kernels)");
    let here = |key: &str| env::var(key).unwrap_or_default();
    let runs = here("CARGO_CFG_TARGET_OS") == "linux"
        && matches!(here("CARGO_CFG_TARGET_ARCH").as_str(), "x86_64" | "aarch64");
    if !runs {
        kernels.clear();
        broken.clear();
    } else {
        println!("cargo::rustc-cfg=host_kernels");
        build.files(machine.iter().chain(&kernels).chain(&broken));
    }
    build
        .std("c++17")
        .opt_level(2)
        .define("ASCENDIT_TWIN", None)
        .include(root.join("twin"))
        // Addresses of device memory are numbers to a kernel, and loops over them end before they wrap.
        .flag_if_supported("-fno-strict-aliasing")
        .flag_if_supported("-Wno-unknown-pragmas")
        .compile("ascendit_kernels_host");
    fs::write(out.join("kernels.rs"), table(&kernels)).expect("a file of the build");
    fs::write(out.join("broken.rs"), table(&broken)).expect("a file of the build");
}

fn folders(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut found: Vec<_> = entries.map(|entry| entry.path()).collect();
    found.retain(|path| path.is_dir());
    found.sort();
    found
}

/// The `.cpp` files below a folder.
fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut files: Vec<_> = entries.map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "cpp"));
    files.sort();
    found.extend(files);
    folders(dir).iter().for_each(|dir| sources(dir, found));
}

fn bridges(src: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(src).expect("the source folder").flatten();
    let mut found: Vec<_> = entries.map(|entry| entry.path()).collect();
    found.retain(|path| {
        path.extension().is_some_and(|e| e == "rs")
            && fs::read_to_string(path).is_ok_and(|text| text.contains("\n#[cxx::bridge"))
    });
    found.sort();
    found
}

/// Rust source: the entries of the kernels that the files define, as one slice of `Kernel`.
fn table(files: &[PathBuf]) -> String {
    let mut names = vec![];
    for file in files {
        let text = fs::read_to_string(file).expect("a source that was listed");
        let calls = text.lines().filter(|line| !line.contains("#define"));
        for line in calls {
            for part in line.split("TWIN_KERNEL(").skip(1) {
                names.extend(part.split_once(')').map(|(name, _)| name.trim().to_owned()));
            }
        }
    }
    names.sort();
    let mut text = String::from("&{\nunsafe extern \"C\" {\n");
    for name in &names {
        let _ = writeln!(
            text,
            "    fn twin_entry_{name}(request: *const LaunchRequest) -> i32;"
        );
    }
    text.push_str("}\n[\n");
    for name in &names {
        let _ = writeln!(
            text,
            "    Kernel {{ name: {name:?}, entry: twin_entry_{name} }},"
        );
    }
    text + "]\n}\n"
}
