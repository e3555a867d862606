//! Compiles the kernels and the twin of the cores with the host's compiler, and lists the kernels in
//! `$OUT_DIR/kernels.rs`. Where there is a toolkit of CANN, compiles the kernels for a device, too.
//!
//! A kernel is a `.cpp` file in a folder beside `src`; `TWIN_KERNEL(name)` in it makes `name` known. So are those in
//! `twin/validation`, with which the timing model is held against measurements. Those in
//! `tests/broken` are listed as well, in `broken.rs`, for that test alone. Structs that kernels and Rust share are
//! `#[cxx::bridge]` modules in `src`, found by that attribute.

#[path = "build/device.rs"]
mod device;

use std::env;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

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
    // Paths of headers begin with the package's name: `ascendit-kernels/src/rope.rs.h`.
    let relative = bridges.iter().map(|path| path.strip_prefix(&root));
    let relative: Vec<_> = relative.map(|path| path.expect("below the root")).collect();
    let mut build = cxx_build::bridges(relative);

    let mut kernels = vec![];
    for folder in folders(&root) {
        let name = folder.file_name().and_then(|name| name.to_str());
        if !matches!(name, Some("build" | "src" | "tests" | "twin" | "target")) {
            sources(&folder, &mut kernels);
        }
    }
    let (mut broken, mut machine) = (vec![], vec![]);
    sources(&root.join("twin/validation"), &mut kernels);
    sources(&root.join("tests/broken"), &mut broken);
    sources(&root.join("twin/machine"), &mut machine);
    // The cores of the twin are fibers of this system's C library.
    let here = |key: &str| env::var(key).unwrap_or_default();
    let runs = here("CARGO_CFG_TARGET_OS") == "linux"
        && matches!(here("CARGO_CFG_TARGET_ARCH").as_str(), "x86_64" | "aarch64");
    if !runs {
        kernels.clear();
        broken.clear();
    } else {
        build
            .std("c++17")
            .opt_level(3)
            .define("ASCENDIT_TWIN", None)
            .include(root.join("twin"))
            // Kernels look at the same bytes as numbers of several types. These analyses of GCC 12 drop loops
            // that read and write a memory by two types all the same.
            .flag_if_supported("-fno-strict-aliasing")
            .flag_if_supported("-fno-ipa-modref")
            .flag_if_supported("-fno-ipa-pure-const")
            // Each instruction rounds by itself, and nobody asks for errno.
            .flag_if_supported("-ffp-contract=off")
            .flag_if_supported("-fno-math-errno");
        let files: Vec<_> = [machine, kernels.clone(), broken.clone()].concat();
        build.objects(objects(&build, &files, &root, &out));
    }
    build.compile("ascendit_kernels_host");
    if let Some(binary) = device::compile(&root, &out, &out.join("cxxbridge/include")) {
        println!(
            "cargo::rustc-env=ASCENDIT_DEVICE_BINARY={}",
            binary.display()
        );
    }
    fs::write(out.join("kernels.rs"), table(&kernels)).expect("a file of the build");
    fs::write(out.join("broken.rs"), table(&broken)).expect("a file of the build");
}

/// Compiles those sources that changed since they were compiled, or that include something that did: whoever works
/// on one kernel waits for one.
fn objects(build: &cc::Build, files: &[PathBuf], root: &Path, out: &Path) -> Vec<PathBuf> {
    fs::create_dir_all(out.join("objects")).expect("a folder of the build");
    let compiler = build.get_compiler();
    let next = AtomicUsize::new(0);
    let refused = Mutex::new(vec![]);
    let work = || {
        while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            let object = object_of(file, root, out);
            let mut command = compiler.to_command();
            command.args(["-MMD", "-c", "-o"]).arg(&object).arg(file);
            let text = format!("{command:?}");
            let record = object.with_extension("command");
            let same = fs::read_to_string(&record).is_ok_and(|before| before == text);
            if same && is_new(&object) {
                continue;
            }
            let _ = fs::remove_file(&record);
            if command.status().expect("a C++ compiler").success() {
                fs::write(&record, text).expect("a file of the build");
            } else {
                refused.lock().expect("nothing panics").push(file);
            }
        }
    };
    let jobs = thread::available_parallelism().map_or(1, |n| n.get());
    thread::scope(|scope| {
        (0..jobs).for_each(|_| {
            scope.spawn(work);
        });
    });
    let refused = refused.into_inner().expect("nothing panics");
    assert!(refused.is_empty(), "these do not compile: {refused:?}");
    let objects = files.iter().map(|file| object_of(file, root, out));
    objects.collect()
}

fn object_of(file: &Path, root: &Path, out: &Path) -> PathBuf {
    let relative = file.strip_prefix(root).expect("below the root");
    let name = relative.display().to_string().replace('/', "-");
    out.join("objects").join(name).with_extension("o")
}

/// Whether an object is newer than all that it was made from, as its `.d` file lists it.
fn is_new(object: &Path) -> bool {
    let changed = |path: &Path| fs::metadata(path).and_then(|data| data.modified()).ok();
    let Ok(list) = fs::read_to_string(object.with_extension("d")) else {
        return false;
    };
    let Some(made) = changed(object) else {
        return false;
    };
    let mut sources = list.split_whitespace().filter(|part| *part != "\\").skip(1);
    sources.all(|source| changed(Path::new(source)).is_some_and(|time| time < made))
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
