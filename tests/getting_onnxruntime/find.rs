//! Which library is taken, and why the others are not.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use ascendit::Error;
use ascendit::backend::onnx::library::{
    FindError, Found, NotFound, Origin, Provider, SearchEnv, cached_dir, find,
};

use super::{LIBRARY, compile, fake_onnxruntime, fake_python};

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
