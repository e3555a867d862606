//! `Setup` with a Python that plays pip, and once with the real one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ascendit::Error;
use ascendit::backend::onnx::library::{Found, Origin, Provider, SearchEnv, find};
use ascendit::backend::onnx::setup::{Progress, Setup};
use ascendit::backend::onnx::wheel::Wheel;
use ascendit::cancel::Cancel;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::{LIBRARY, fake_onnxruntime, fake_python};

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
        self.setup.run(&|_| {}, &Cancel::new())
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
            &Cancel::new(),
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
    let cancel = Cancel::new();
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
        cancel.cancel();
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
    let path = setup.run(&|_| {}, &Cancel::new()).unwrap();
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
