//! Compiles the kernels for a device, where CANN's toolkit and CMake are.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The binary, if there is a toolkit that makes one. `bridge` is the folder with the headers of tiling structs.
pub(crate) fn compile(root: &Path, out: &Path, bridge: &Path) -> Option<PathBuf> {
    let toolkit = toolkit()?;
    let (build, log) = (out.join("device"), out.join("device.log"));
    let made = try_compile(root, &build, bridge, &toolkit, &log);
    let binary = build.join("fatbin/ascendit_kernels/ascendit_kernels.o");
    match made {
        Ok(()) if binary.is_file() => {
            println!(
                "cargo::warning=kernels for Ascend 910B were compiled with {}",
                toolkit.display()
            );
            Some(binary)
        }
        other => {
            let why = other.err().unwrap_or_else(|| "no binary was made".into());
            println!(
                "cargo::warning=kernels for Ascend 910B were not compiled with {}: {why}; see {}",
                toolkit.display(),
                log.display()
            );
            None
        }
    }
}

/// The toolkit that the environment names, if it has a compiler for devices.
fn toolkit() -> Option<PathBuf> {
    let names = ["ASCEND_HOME_PATH", "ASCEND_TOOLKIT_HOME"];
    for name in names {
        println!("cargo::rerun-if-env-changed={name}");
    }
    let named = names.iter().filter_map(env::var_os);
    let mut folders = named.map(PathBuf::from);
    folders.find(|folder| {
        let compilers = ["compiler", "tools", "ascendc_devkit"];
        let mut files = compilers
            .map(|part| folder.join(part).join("ccec_compiler/bin/bisheng"))
            .into_iter();
        files.any(|file| file.is_file()) || folder.join("bin/bisheng").is_file()
    })
}

fn try_compile(
    root: &Path,
    build: &Path,
    bridge: &Path,
    toolkit: &Path,
    log: &Path,
) -> Result<(), String> {
    let failed = |what: &str, why: std::io::Error| format!("{what}: {why}");
    fs::create_dir_all(build).map_err(|e| failed("its folder", e))?;
    let log = File::create(log).map_err(|e| failed("its log", e))?;
    let define = |name: &str, path: &Path| format!("-D{name}={}", path.display());
    let mut configure = Command::new("cmake");
    configure.arg(root).args([
        define("ASCEND_CANN_PACKAGE_PATH", toolkit),
        define("BRIDGE", bridge),
        define("CMAKE_INSTALL_PREFIX", build),
    ]);
    let mut make = Command::new("cmake");
    make.args(["--build", "."]);
    for mut command in [configure, make] {
        let handle = || log.try_clone().map_err(|e| failed("its log", e));
        command
            .current_dir(build)
            .stdout(handle()?)
            .stderr(handle()?);
        let status = command.status().map_err(|e| failed("cmake", e))?;
        if !status.success() {
            return Err(format!("cmake ended with {status}"));
        }
    }
    Ok(())
}
