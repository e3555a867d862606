//! Finding, getting and completing ONNX Runtime, with libraries and a Python made for the test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ascendit::Error;
use ascendit::backend::onnx::cuda::CudaEnv;
use ascendit::backend::onnx::library::{
    FindError, Found, NotFound, Origin, Provider, SearchEnv, cached_dir, find,
};
use ascendit::backend::onnx::setup::{Progress, Setup};
use ascendit::backend::onnx::wheel::Wheel;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

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

fn message(error: FindError) -> String {
    Error::from(error).to_string()
}

fn not_found(error: FindError) -> NotFound {
    match error {
        FindError::NotFound(not_found) => not_found,
        FindError::Named(error) => panic!("{error}"),
    }
}

/// A machine with a place of each kind, all empty.
fn machine(root: &Path) -> SearchEnv {
    let dir = |name: &str| {
        let dir = root.join(name);
        fs::create_dir_all(&dir).unwrap();
        dir
    };
    let python_path = dir("site-packages");
    SearchEnv {
        ort_dylib_path: None,
        exe_dir: Some(dir("bin")),
        cache_dir: Some(dir("cache")),
        system_dirs: vec![dir("lib")],
        python: Some(fake_python(
            &root.join("python"),
            &format!("echo; echo relative; echo '{}'", python_path.display()),
        )),
        python_timeout: Duration::from_secs(20),
    }
}

#[test]
fn places_are_searched_in_their_order() {
    let root = tempfile::tempdir().unwrap();
    let env = machine(root.path());
    let cache = env.cache_dir.clone().unwrap();
    let places = [
        (Origin::Executable, root.path().join("bin"), "1.24.0"),
        (Origin::Cache, cached_dir(&cache, Provider::Cpu), "1.25.0"),
        (Origin::Cache, cached_dir(&cache, Provider::Cuda), "1.26.0"),
        (Origin::System, root.path().join("lib"), "1.27.0"),
        (
            Origin::Python,
            root.path().join("site-packages/onnxruntime/capi"),
            "1.28.3",
        ),
    ];
    for (_, dir, version) in &places {
        fake_onnxruntime(&dir.join(LIBRARY), version);
    }
    for (origin, dir, version) in places {
        let expected = Found {
            path: dir.join(LIBRARY),
            version: version.into(),
            origin,
        };
        assert_eq!(find(None, Provider::Cpu, &env).unwrap(), expected);
        fs::remove_file(dir.join(LIBRARY)).unwrap();
    }
    not_found(find(None, Provider::Cpu, &env).unwrap_err());
}

#[test]
fn every_place_without_a_library_is_listed() {
    let root = tempfile::tempdir().unwrap();
    let env = machine(root.path());
    let at = root.path().display();
    assert_eq!(
        message(find(None, Provider::Cpu, &env).unwrap_err()),
        format!(
            "cpu: ONNX Runtime was not found; tried {at}/bin (no ONNX Runtime library in it), \
             {at}/cache/onnxruntime-1.31.1 (no such directory), \
             {at}/cache/onnxruntime-gpu-1.31.1 (no such directory), \
             {at}/lib (no ONNX Runtime library in it), \
             {at}/python/python3 (has no onnxruntime package); \
             run `ascendit setup` to get it, or give a library with --onnxruntime"
        )
    );
}

#[test]
fn a_library_that_does_not_work_is_passed_over_with_the_reason() {
    let root = tempfile::tempdir().unwrap();
    let env = machine(root.path());
    let old = root.path().join("bin").join(LIBRARY);
    fake_onnxruntime(&old, "1.23.2");
    let alien = root.path().join("lib").join(LIBRARY);
    compile("int nothing;", &alien);
    let good = root
        .path()
        .join("site-packages/onnxruntime/capi")
        .join(LIBRARY);
    fake_onnxruntime(&good, "2.0.0");
    let tried = not_found(find(None, Provider::Cpu, &env).unwrap_err()).tried;
    let reason = |path: &Path| {
        let found = tried.iter().find(|(tried, _)| tried == path);
        found.map(|(_, reason)| reason.as_str())
    };
    assert_eq!(
        reason(&old),
        Some("ONNX Runtime 1.23.2, 1.24 or newer is needed")
    );
    assert_eq!(
        reason(&alien),
        Some("not ONNX Runtime: it has no OrtGetApiBase")
    );
    assert_eq!(
        reason(&good),
        Some("ONNX Runtime 2.0.0, 1.24 or newer is needed")
    );

    fake_onnxruntime(&good, "1.31.1");
    assert_eq!(
        find(None, Provider::Cpu, &env).unwrap(),
        Found {
            path: good,
            version: "1.31.1".into(),
            origin: Origin::Python
        }
    );
}

#[test]
fn a_named_library_that_cannot_be_used_is_an_error_and_nothing_else_is_taken() {
    let root = tempfile::tempdir().unwrap();
    let mut env = machine(root.path());
    fake_onnxruntime(&root.path().join("bin").join(LIBRARY), "1.31.1");
    let named = root.path().join("mine").join(LIBRARY);
    let at = named.display().to_string();
    let flag = "(named by --onnxruntime); name the library of ONNX Runtime 1.24 or newer, or leave \
                --onnxruntime out to have one looked for";
    let say =
        |env: &SearchEnv, path: &Path| message(find(Some(path), Provider::Cpu, env).unwrap_err());

    assert_eq!(say(&env, &named), format!("{at}: no such file {flag}"));

    fake_onnxruntime(&named, "1.20.1");
    let too_old = "ONNX Runtime 1.20.1, 1.24 or newer is needed";
    assert_eq!(say(&env, &named), format!("{at}: {too_old} {flag}"));
    let directory = named.parent().unwrap();
    assert_eq!(say(&env, directory), format!("{at}: {too_old} {flag}"));

    env.ort_dylib_path = Some(named.clone());
    assert_eq!(
        message(find(None, Provider::Cpu, &env).unwrap_err()),
        format!(
            "{at}: {too_old} (named by ORT_DYLIB_PATH); name the library of ONNX Runtime 1.24 or \
             newer, or unset ORT_DYLIB_PATH to have one looked for"
        )
    );

    fs::remove_file(&named).unwrap();
    assert_eq!(
        say(&env, directory),
        format!(
            "{}: has no ONNX Runtime library in it {flag}",
            directory.display()
        )
    );

    fake_onnxruntime(&named, "1.30.0");
    let found = find(Some(directory), Provider::Cpu, &env).unwrap();
    assert_eq!((found.path, found.origin), (named.clone(), Origin::Flag));
    let found = find(None, Provider::Cpu, &env).unwrap();
    assert_eq!(
        (found.path, found.origin),
        (named.clone(), Origin::Variable)
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_library_cut_short_is_called_damaged_and_is_not_opened() {
    let root = tempfile::tempdir().unwrap();
    let env = machine(root.path());
    let named = root.path().join("mine").join(LIBRARY);
    fake_onnxruntime(&named, "1.31.1");
    let whole = fs::read(&named).unwrap();
    fs::remove_file(&named).unwrap();
    fs::write(&named, &whole[..4096]).unwrap();
    let text = message(find(Some(&named), Provider::Cpu, &env).unwrap_err());
    let end = text
        .split("its content ends at ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next())
        .unwrap_or_default();
    assert!(end.parse::<u64>().unwrap() > 4096);
    assert_eq!(
        text,
        format!(
            "{}: damaged: 4096 bytes long, but its content ends at {end} (named by --onnxruntime); \
             name the library of ONNX Runtime 1.24 or newer, or leave --onnxruntime out to have one \
             looked for",
            named.display()
        )
    );
}

#[test]
fn a_python_that_hangs_or_fails_does_not_stop_the_search() {
    let root = tempfile::tempdir().unwrap();
    let mut env = machine(root.path());
    env.python_timeout = Duration::from_millis(300);
    let reason_with = |behaviour: &str| {
        fake_python(&root.path().join("python"), behaviour);
        let start = Instant::now();
        let tried = not_found(find(None, Provider::Cpu, &env).unwrap_err()).tried;
        assert!(start.elapsed() < Duration::from_secs(5));
        tried.last().unwrap().1.clone()
    };
    assert_eq!(reason_with("sleep 60"), "gave no answer in 0.3 s");
    assert_eq!(
        reason_with("echo 'one' >&2; echo 'no site module' >&2; exit 1"),
        "failed (exit status: 1): no site module"
    );
}

#[test]
fn for_cuda_a_build_without_its_provider_will_not_do() {
    let root = tempfile::tempdir().unwrap();
    let env = machine(root.path());
    let library = root.path().join("bin").join(LIBRARY);
    fake_onnxruntime(&library, "1.31.1");
    let tried = not_found(find(None, Provider::Cuda, &env).unwrap_err()).tried;
    assert_eq!(
        tried[0],
        (
            library.clone(),
            "a build without CUDA: no libonnxruntime_providers_cuda.so beside it".into()
        )
    );
    fs::write(
        library.with_file_name("libonnxruntime_providers_cuda.so"),
        "",
    )
    .unwrap();
    assert_eq!(find(None, Provider::Cuda, &env).unwrap().path, library);
}

/// A wheel as the index would serve it, with a library that answers with `version`.
struct FakeIndex {
    root: TempDir,
    setup: Setup,
}

impl FakeIndex {
    fn new(version: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let library = root.path().join("build").join(LIBRARY);
        fake_onnxruntime(&library, version);
        let served = root.path().join("served.whl");
        let mut zip = zip::ZipWriter::new(fs::File::create(&served).unwrap());
        let files = [
            ("onnxruntime/__init__.py", b"raise SystemExit".to_vec()),
            (
                &format!("onnxruntime/capi/{LIBRARY}") as &str,
                fs::read(&library).unwrap(),
            ),
            (
                "onnxruntime/capi/libonnxruntime_providers_shared.so",
                b"shared".to_vec(),
            ),
        ];
        for (name, content) in files {
            let options = zip::write::SimpleFileOptions::default();
            zip.start_file(name, options).unwrap();
            std::io::Write::write_all(&mut zip, &content).unwrap();
        }
        zip.finish().unwrap();
        let bytes = fs::read(&served).unwrap();
        let sha256: String = Sha256::digest(&bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let setup = Setup {
            wheel: Wheel {
                provider: Provider::Cpu,
                platform: "manylinux_2_28_x86_64",
                library: LIBRARY,
                sha256: sha256.leak(),
                size_bytes: bytes.len() as u64,
                unpacked_bytes: 100_000,
            },
            cache_dir: root.path().join("cache"),
            python: root.path().join("python").join("python3"),
            offline: false,
        };
        let index = Self { root, setup };
        index.pip_does("cp \"$served\" \"$dest/$wheel\"");
        index
    }

    /// Has `python3 -m pip download` run a shell script with `$served`, `$dest` and `$wheel` set.
    fn pip_does(&self, script: &str) {
        fake_python(
            &self.root.path().join("python"),
            &format!(
                "echo \"$*\" >> '{root}/calls'
                 served='{root}/served.whl'; wheel='{wheel}'
                 while [ $# -gt 0 ]; do [ \"$1\" = -d ] && dest=$2; shift; done
                 mkdir -p \"$dest\"
                 {script}",
                root = self.root.path().display(),
                wheel = self.setup.wheel.file_name(),
            ),
        );
    }

    fn run(&self) -> Result<PathBuf, Error> {
        self.setup.run(&|_| {}, &AtomicBool::new(false))
    }

    fn calls(&self) -> Vec<String> {
        let text = fs::read_to_string(self.root.path().join("calls")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn cached(&self) -> Vec<String> {
        names(&self.setup.cache_dir)
    }

    fn by_hand(&self) -> String {
        format!(
            "get onnxruntime-1.31.1-cp311-cp311-manylinux_2_28_x86_64.whl (a zip archive, on PyPI) \
             and put {LIBRARY} of its onnxruntime/capi into {}/onnxruntime-1.31.1",
            self.setup.cache_dir.display()
        )
    }
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .map(|entries| {
            entries
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect()
        })
        .unwrap_or_default();
    names.sort();
    names
}

#[test]
fn setup_puts_only_the_libraries_into_the_cache_where_the_search_finds_them() {
    let index = FakeIndex::new("1.31.1");
    let seen = Mutex::new(Vec::new());
    let path = index
        .setup
        .run(
            &|progress| seen.lock().unwrap().push(progress),
            &AtomicBool::new(false),
        )
        .unwrap();
    let dir = index.setup.cache_dir.join("onnxruntime-1.31.1");
    assert_eq!(path, dir.join(LIBRARY));
    assert_eq!(names(&dir), [LIBRARY, "libonnxruntime_providers_shared.so"]);
    assert_eq!(index.cached(), ["onnxruntime-1.31.1"]);
    let seen = seen.into_inner().unwrap();
    assert_eq!(
        seen[0],
        Progress::Downloading {
            done: 0,
            total: index.setup.wheel.size_bytes
        }
    );
    assert_eq!(
        seen[seen.len() - 2..],
        [Progress::Checking, Progress::Unpacking]
    );

    let env = SearchEnv {
        cache_dir: Some(index.setup.cache_dir.clone()),
        ..SearchEnv::default()
    };
    assert_eq!(find(None, Provider::Cpu, &env).unwrap().path, path);
    let calls = index.calls();
    assert_eq!(calls.len(), 1);
    let (options, dest) = calls[0].split_once(" -d ").unwrap();
    assert_eq!(
        options,
        "-m pip download --no-deps --only-binary=:all: --disable-pip-version-check --no-input \
         --progress-bar=off --no-cache-dir --implementation cp --python-version 311 --abi cp311 \
         --platform manylinux_2_28_x86_64"
    );
    assert!(dest.ends_with(" onnxruntime==1.31.1"), "{dest}");

    // What is there and works is kept.
    assert_eq!(index.run().unwrap(), path);
    assert_eq!(index.calls().len(), 1);
}

#[test]
fn a_damaged_library_in_the_cache_is_replaced() {
    let index = FakeIndex::new("1.31.1");
    let path = index.run().unwrap();
    fs::remove_file(&path).unwrap();
    fs::write(&path, "damaged").unwrap();
    assert_eq!(index.run().unwrap(), path);
    assert!(fs::metadata(&path).unwrap().len() > 1000);
    assert_eq!(index.cached(), ["onnxruntime-1.31.1"]);
}

#[test]
fn setups_at_the_same_time_agree() {
    let index = FakeIndex::new("1.31.1");
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..4).map(|_| scope.spawn(|| index.run())).collect();
        for run in runs {
            run.join().unwrap().unwrap();
        }
    });
    assert_eq!(index.cached(), ["onnxruntime-1.31.1"]);
}

#[test]
fn a_wheel_that_is_not_the_pinned_one_is_refused() {
    let index = FakeIndex::new("1.31.1");
    index.pip_does("printf other > \"$dest/$wheel\"");
    let error = index.run().unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "pip downloaded a onnxruntime-1.31.1-cp311-cp311-manylinux_2_28_x86_64.whl that is not \
             the official one: its sha256 is \
             d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa, expected {}; nothing \
             was installed; check the index that pip uses (`{} -m pip config list`), or {}",
            index.setup.wheel.sha256,
            index.setup.python.display(),
            index.by_hand()
        )
    );
    assert!(index.cached().is_empty());
}

#[test]
fn what_pip_gives_as_its_reason_is_passed_on() {
    let index = FakeIndex::new("1.31.1");
    index.pip_does(
        "echo 'WARNING: retrying' >&2
         echo 'ERROR: No matching distribution found for onnxruntime==1.31.1' >&2; exit 1",
    );
    let error = index.run().unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "pip cannot get onnxruntime 1.31.1 (exit status: 1): No matching distribution found for \
             onnxruntime==1.31.1; check the network and the index that pip uses (`{} -m pip config \
             list`), or {}",
            index.setup.python.display(),
            index.by_hand()
        )
    );
    assert_eq!(error.exit_code(), 200);
    assert!(index.cached().is_empty());

    index.pip_does("true");
    assert_eq!(
        index.run().unwrap_err().to_string(),
        format!(
            "pip said that it downloaded onnxruntime-1.31.1-cp311-cp311-manylinux_2_28_x86_64.whl \
             and did not; {}",
            index.by_hand()
        )
    );
}

#[test]
fn without_python_or_pip_the_way_by_hand_is_told() {
    let mut index = FakeIndex::new("1.31.1");
    index.pip_does("echo \"$0: No module named pip\" >&2; exit 1");
    let python = index.setup.python.display().to_string();
    assert_eq!(
        index.run().unwrap_err().to_string(),
        format!(
            "cpu: getting ONNX Runtime 1.31.1 takes pip, and {python} has none; install it (Debian \
             and Ubuntu: `apt install python3-pip`, elsewhere `{python} -m ensurepip`), or {}",
            index.by_hand()
        )
    );
    index.setup.python = index.root.path().join("nowhere/python3");
    assert_eq!(
        index.run().unwrap_err().to_string(),
        format!(
            "cpu: getting ONNX Runtime 1.31.1 takes Python and its pip, and there is no {}; install \
             them (Debian and Ubuntu: `apt install python3-pip`), or {}",
            index.setup.python.display(),
            index.by_hand()
        )
    );
    assert!(index.cached().is_empty());
}

#[test]
fn offline_forbids_it() {
    let mut index = FakeIndex::new("1.31.1");
    index.setup.offline = true;
    assert_eq!(
        index.run().unwrap_err().to_string(),
        format!(
            "--offline forbids getting ONNX Runtime 1.31.1; run `ascendit setup` without it, or {}",
            index.by_hand()
        )
    );
    assert!(index.calls().is_empty());
}

#[test]
fn a_disk_without_room_is_seen_before_anything_is_downloaded() {
    let mut index = FakeIndex::new("1.31.1");
    index.setup.wheel.unpacked_bytes = u64::MAX / 2;
    let error = index.run().unwrap_err();
    assert!(matches!(error, Error::Exhausted { .. }), "{error}");
    let text = error.to_string();
    assert!(
        text.starts_with("onnxruntime 1.31.1 needs 9223372.0 TB of disk space in ")
            && text.ends_with(
                " is free; free some space, or set ASCENDIT_CACHE to a directory on a larger disk"
            ),
        "{text}"
    );
    assert!(index.calls().is_empty());
}

#[test]
fn cancelling_kills_pip_and_leaves_nothing() {
    let index = FakeIndex::new("1.31.1");
    index.pip_does("printf part > \"$dest/part\"; printf part > \"$TMPDIR/part\"; sleep 60");
    let cancel = AtomicBool::new(false);
    let arrived = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let run = scope.spawn(|| {
            let progress = |progress| {
                if matches!(progress, Progress::Downloading { done: 8, .. }) {
                    arrived.store(true, Ordering::Relaxed);
                }
            };
            index.setup.run(&progress, &cancel)
        });
        let start = Instant::now();
        while !arrived.load(Ordering::Relaxed) {
            assert!(start.elapsed() < Duration::from_secs(20));
            std::thread::sleep(Duration::from_millis(10));
        }
        cancel.store(true, Ordering::Relaxed);
        let cancelled = Instant::now();
        let error = run.join().unwrap().unwrap_err();
        assert!(cancelled.elapsed() < Duration::from_secs(1));
        assert!(matches!(error, Error::Cancelled), "{error}");
    });
    assert!(index.cached().is_empty());
}

#[test]
fn an_official_library_that_does_not_work_here_is_not_left_behind() {
    let index = FakeIndex::new("1.2.0");
    assert_eq!(
        index.run().unwrap_err().to_string(),
        "cpu: the official ONNX Runtime 1.31.1 does not work on this machine: ONNX Runtime 1.2.0, \
         1.24 or newer is needed"
    );
    assert!(index.cached().is_empty());
}

/// A machine with a driver that runs at most some version of CUDA, a toolkit's libraries and
/// NVIDIA's Python packages.
#[cfg(target_os = "linux")]
fn nvidia_machine(root: &Path, cuda_version: u32) -> CudaEnv {
    compile(
        &format!("int cuDriverGetVersion(int *v) {{ *v = {cuda_version}; return 0; }}"),
        &root.join("lib/libcuda.so.1"),
    );
    let toolkit = ["libcudart.so.13", "libcublasLt.so.13", "libcublas.so.13"];
    for name in toolkit {
        compile("int nothing;", &root.join("cuda/lib64").join(name));
    }
    for name in ["libnvrtc.so.13", "libcurand.so.10"] {
        compile(
            "int nothing;",
            &root.join("python/nvidia/cu13/lib").join(name),
        );
    }
    let parts = ["", "_graph", "_ops", "_heuristic", "_adv", "_cnn"];
    for part in parts
        .into_iter()
        .chain(["_engines_precompiled", "_engines_runtime_compiled"])
    {
        let name = format!("libcudnn{part}.so.9");
        compile(
            "int nothing;",
            &root.join("python/nvidia/cudnn/lib").join(name),
        );
    }
    CudaEnv {
        library_dirs: vec![root.join("lib"), root.join("cuda/lib64")],
        python_path: vec![root.join("python")],
    }
}

#[cfg(target_os = "linux")]
#[test]
fn cuda_is_complete_from_a_toolkit_and_python_packages() {
    let root = tempfile::tempdir().unwrap();
    let report = nvidia_machine(root.path(), 13_020).look();
    assert_eq!(
        report.to_string(),
        "the driver, CUDA 13 and cuDNN 9 are all there"
    );
    let order = report.preload_order();
    assert_eq!(order.len(), 14);
    assert_eq!(
        order[..6],
        [
            "lib/libcuda.so.1",
            "cuda/lib64/libcudart.so.13",
            "cuda/lib64/libcublasLt.so.13",
            "cuda/lib64/libcublas.so.13",
            "python/nvidia/cu13/lib/libnvrtc.so.13",
            "python/nvidia/cu13/lib/libcurand.so.10",
        ]
        .map(|name| root.path().join(name))
    );
    report.preload().unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn what_cuda_lacks_is_listed_with_how_to_get_it() {
    let root = tempfile::tempdir().unwrap();
    let env = nvidia_machine(root.path(), 12_040);
    fs::remove_file(root.path().join("cuda/lib64/libcublas.so.13")).unwrap();
    // Cut short: as good as missing.
    let curand = root.path().join("python/nvidia/cu13/lib/libcurand.so.10");
    let whole = fs::read(&curand).unwrap();
    fs::write(&curand, &whole[..4096]).unwrap();
    let report = env.look();
    assert_eq!(
        report.to_string(),
        format!(
            "missing for CUDA: CUDA 13.0 in the driver ({}/lib/libcuda.so.1 runs at most CUDA 12.4) \
             (install NVIDIA's driver, R580 or newer); libcublas.so.13 (python3 -m pip install \
             'nvidia-cublas==13.*'); libcurand.so.10 (python3 -m pip install 'nvidia-curand==10.*')",
            root.path().display()
        )
    );
    assert!(report.preload().is_err());
}

/// Really downloads, so it runs only where `ASCENDIT_NET_TESTS=1` says that this is welcome.
#[test]
fn the_official_library_can_be_got() {
    if std::env::var_os("ASCENDIT_NET_TESTS").is_none_or(|value| value != "1") {
        eprintln!("skipped: set ASCENDIT_NET_TESTS=1 to download ONNX Runtime");
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let mut setup = Setup::from_env(Provider::Cpu).unwrap();
    setup.cache_dir = root.path().to_owned();
    let path = setup.run(&|_| {}, &AtomicBool::new(false)).unwrap();
    let env = SearchEnv {
        cache_dir: Some(root.path().to_owned()),
        ..SearchEnv::default()
    };
    let found = find(None, Provider::Cpu, &env).unwrap();
    assert_eq!(
        found,
        Found {
            path,
            version: "1.31.1".into(),
            origin: Origin::Cache
        }
    );
    // Every other pinned wheel that the index has is the file that the pin says.
    for (os, arch) in [
        ("linux", "x86_64"),
        ("linux", "aarch64"),
        ("macos", "aarch64"),
    ] {
        let wheel = Wheel::pinned(Provider::Cpu, os, arch).unwrap();
        let dest = root.path().join(arch).join(os);
        let status = Command::new("python3")
            .args([
                "-m",
                "pip",
                "download",
                "-q",
                "--no-deps",
                "--only-binary=:all:",
            ])
            .args([
                "--python-version",
                "311",
                "--abi",
                "cp311",
                "--implementation",
                "cp",
            ])
            .args(["--platform", wheel.platform, "onnxruntime==1.31.1", "-d"])
            .arg(&dest)
            .status()
            .unwrap();
        assert!(status.success());
        let bytes = fs::read(dest.join(wheel.file_name())).unwrap();
        let sha256: String = Sha256::digest(&bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(
            (sha256.as_str(), bytes.len() as u64),
            (wheel.sha256, wheel.size_bytes)
        );
    }
}
