//! The kernels compile unchanged against AscendC's own headers, where a toolkit of CANN 8.1 or later is there.
//! The host's compiler checks them in the mode that CANN has for debugging on a CPU.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The headers of the tiling structs, which the build of this package makes.
const BRIDGE: &str = concat!(env!("OUT_DIR"), "/cxxbridge/include");

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(dir).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        match path.is_dir() {
            true => sources(&path, found),
            false if path.extension().is_some_and(|e| e == "cpp") => found.push(path),
            false => (),
        }
    }
}

/// The folders of the toolkit's headers, or what is missing.
fn headers() -> Result<Vec<PathBuf>, String> {
    let home = std::env::var_os("ASCEND_HOME_PATH").ok_or("ASCEND_HOME_PATH is not set")?;
    let home = PathBuf::from(home);
    let arches = ["aarch64-linux", "x86_64-linux"].map(|arch| home.join(arch));
    let with = |part: &str| {
        arches
            .iter()
            .map(|arch| arch.join(part))
            .find(|path| path.is_dir())
    };
    let ascendc = with("ascendc/include")
        .ok_or_else(|| format!("{} has no headers of AscendC", home.display()))?;
    let basic = ascendc.join("basic_api");
    let folders = [
        Some(basic.clone()),
        Some(basic.join("interface")),
        Some(basic.join("impl")),
        Some(ascendc.join("highlevel_api")),
        with("include"),
        Some(home.join("tools/tikicpulib/lib/include")),
    ];
    Ok(folders.into_iter().flatten().collect())
}

#[test]
fn kernels_compile_against_the_headers_of_ascendc() {
    let folders = match headers() {
        Ok(folders) => folders,
        Err(why) => return eprintln!("skipped: kernels against the headers of AscendC ({why})"),
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut kernels = vec![];
    for family in ["attention", "dit", "vae"] {
        sources(&root.join(family), &mut kernels);
    }
    assert!(kernels.len() >= 7, "{kernels:?}");
    let mut refused = vec![];
    for kernel in &kernels {
        for core in ["__DAV_C220_VEC__", "__DAV_C220_CUBE__"] {
            let mut compiler = Command::new("g++");
            compiler.args(["-std=c++17", "-fsyntax-only", "-w", "-DASCENDC_CPU_DEBUG=1"]);
            compiler.args(["-D__CCE_KT_TEST__=1", "-D__CCE_AICORE__=220"]);
            compiler.arg(format!("-D{core}")).arg("-I").arg(BRIDGE);
            for folder in &folders {
                compiler.arg("-I").arg(folder);
            }
            let output = compiler.arg(kernel).output().expect("g++");
            if !output.status.success() {
                let text = String::from_utf8_lossy(&output.stderr);
                let first: Vec<_> = text
                    .lines()
                    .filter(|l| l.contains("error"))
                    .take(3)
                    .collect();
                refused.push(format!("{} {core}: {}", kernel.display(), first.join("\n")));
            }
        }
    }
    println!("{} kernels against {}", kernels.len(), folders[0].display());
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}
