//! `ascendit setup`.

use clap::Args;

use super::Global;
use super::download::Bytes;
use super::output::print;
use crate::Result;
use crate::backend::onnx::cuda::CudaEnv;
use crate::backend::onnx::library::{Provider, VERSION};
use crate::backend::onnx::setup::{Progress, Setup};
use crate::cancel::Cancel;

/// Where libraries are looked for, below the flags.
const PLACES: &str = "ONNX Runtime is looked for in this order: --onnxruntime or ORT_DYLIB_PATH; \
beside this program; in the cache (ASCENDIT_CACHE, else ascendit in XDG_CACHE_HOME or ~/.cache), where \
setup puts it; in the system's library directories (LD_LIBRARY_PATH first); in the onnxruntime package \
of the python3 on PATH.

pip does the download, so that mirrors, proxies and certificates that are configured for it are used; \
nothing is installed into Python. The version and its SHA-256 are fixed.";

#[derive(Args)]
#[command(after_long_help = PLACES)]
pub(super) struct SetupArgs {
    /// Get the build for NVIDIA GPUs, and look for the driver, CUDA 13 and cuDNN 9, which it needs.
    /// Exit code 1 if something of these is missing; how to get it is said.
    #[arg(long)]
    cuda: bool,
}

/// Runs the command and returns the exit code. The library's path goes to stdout.
pub(super) fn run(args: &SetupArgs, global: &Global, cancel: &Cancel) -> Result<u8> {
    let provider = match args.cuda {
        true => Provider::Cuda,
        false => Provider::Cpu,
    };
    let setup = Setup {
        offline: global.offline,
        ..Setup::from_env(provider)?
    };
    let bytes = Bytes::new(format!("ONNX Runtime {VERSION}"), global);
    let progress = |progress| match progress {
        Progress::Downloading { done, total } => bytes.set(done, total),
        Progress::Checking => tracing::debug!("checking the wheel"),
        Progress::Unpacking => tracing::debug!("unpacking the library"),
    };
    let path = setup.run(&progress, cancel);
    bytes.finish();
    let path = path?;
    tracing::info!("ONNX Runtime {VERSION} is ready");
    print(&path.display().to_string())?;
    if !args.cuda {
        return Ok(0);
    }
    let report = CudaEnv::from_env().look();
    if report.is_complete() {
        tracing::info!("{report}");
        Ok(0)
    } else {
        tracing::error!("{report}");
        Ok(1)
    }
}
