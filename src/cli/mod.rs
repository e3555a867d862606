//! The command line: what was typed becomes what is meant, results go to stdout, everything else to
//! stderr.
//!
//! Exit codes: 0 done; 1 a check failed, or a mistake of the engine; 2 the request or a file is
//! wrong; 3 some items failed and the rest are written; 130 interrupted; 200 what may pass by itself
//! (disk, memory, network, termination by the system); 201 a device fault.

mod bench;
mod completions;
mod devices;
mod download;
mod generate;
mod inspect;
mod kernel_bench;
mod logging;
mod model;
mod needs;
mod output;
mod progress;
mod question;
mod settings;
mod setup;
mod signals;
mod size;
mod verify;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::backend::{Backend, Device, open};
use crate::cancel::Cancel;
use crate::tensor::DType;
use crate::{Error, Result};

/// Makes video and images with diffusion transformers on Ascend NPUs, NVIDIA GPUs and CPUs.
#[derive(Parser)]
#[command(
    name = "ascendit",
    version,
    propagate_version = true,
    arg_required_else_help = true
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a video or an image from a prompt.
    Generate(generate::GenerateArgs),
    /// Say what a checkpoint or weight file holds, and what a generation with it costs.
    Inspect(inspect::InspectArgs),
    /// Check that a device computes right, against what the authors' own code gave.
    Verify(verify::VerifyArgs),
    /// Time the parts of a generation on a device.
    Bench(bench::BenchArgs),
    /// Predict what a kernel of our own takes on an Ascend chip, without one.
    KernelBench(kernel_bench::KernelBenchArgs),
    /// List devices: what is there, and how to get what is not.
    Devices(devices::DevicesArgs),
    /// Get ONNX Runtime, which runs models on cpu and cuda, with pip.
    Setup(setup::SetupArgs),
    /// Print a script that completes this program's commands and flags in a shell.
    Completions(completions::CompletionsArgs),
}

/// Options that every command takes.
#[derive(Args)]
pub(crate) struct Global {
    /// Say nothing but warnings and errors.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Say more; twice for even more.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// How messages on stderr look.
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text, value_name = "FORMAT")]
    log_format: LogFormat,
    /// Never use the network: no downloads of models or libraries.
    #[arg(long, global = true)]
    offline: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Options of commands that run models.
#[derive(Args)]
pub(crate) struct DeviceArgs {
    /// Where to compute: auto, reference, cpu, cuda:N, cann:N, or twin:N, which checks what cann
    /// would do, on the CPU. auto takes cann:0, then cuda:0, then cpu, then reference.
    #[arg(long, default_value = "auto", value_name = "DEVICE")]
    device: String,
    /// What to compute in. auto is f32 on reference and cpu, bf16 on cuda and cann, f16 on twin.
    #[arg(long, value_enum, default_value_t = DTypeArg::Auto, value_name = "DTYPE")]
    dtype: DTypeArg,
    /// Our own kernels on cann and twin, where they are found; off: CANN's operators only.
    #[arg(long, value_enum, default_value_t = Switch::On, value_name = "on|off")]
    kernels: Switch,
    /// ONNX Runtime's library file (version 1.24 or later), for cpu and cuda. Otherwise looked for
    /// in ORT_DYLIB_PATH,
    /// beside the program, in the cache, in system paths and in Python packages.
    #[arg(long, value_name = "FILE")]
    onnxruntime: Option<PathBuf>,
    /// Threads of the cpu device, 1 to 1024; all cores if absent.
    #[arg(long, value_name = "N", value_parser = threads)]
    threads: Option<NonZeroUsize>,
}

/// A number of threads that no machine is too large for.
fn threads(text: &str) -> Result<NonZeroUsize, String> {
    text.parse()
        .ok()
        .filter(|threads: &NonZeroUsize| threads.get() <= 1024)
        .ok_or_else(|| "expected a number from 1 to 1024".to_owned())
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DTypeArg {
    Auto,
    F32,
    F16,
    Bf16,
}

impl DTypeArg {
    /// The dtype that is wished for.
    fn wish(self) -> Option<DType> {
        match self {
            Self::Auto => None,
            Self::F32 => Some(DType::F32),
            Self::F16 => Some(DType::F16),
            Self::Bf16 => Some(DType::BF16),
        }
    }
}

impl DeviceArgs {
    fn dtype(&self) -> Option<DType> {
        self.dtype.wish()
    }

    /// Opens the device that was asked for, or the best that there is.
    fn open(&self, global: &Global, cancel: &Cancel) -> Result<Arc<dyn Backend>> {
        let wish = match self.device.as_str() {
            "auto" => None,
            name => Some(name.parse::<Device>()?),
        };
        let options = open::Options {
            onnxruntime: self.onnxruntime.clone(),
            threads: self.threads,
            offline: global.offline,
            no_kernels: self.kernels == Switch::Off,
        };
        open::open(wish, &options, cancel)
    }
}

/// Runs the program on the process's arguments.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { 2 } else { 0 };
            // Nothing can be done if help cannot be printed.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    logging::start(&cli.global);
    let cancel = Cancel::new();
    let result = signals::listen(&cancel).and_then(|signals| {
        let result = match &cli.command {
            Command::Generate(args) => generate::run(args, &cli.global, &cancel),
            Command::Inspect(args) => inspect::run(args, &cli.global, &cancel),
            Command::Verify(args) => verify::run(args, &cli.global, &cancel),
            Command::Bench(args) => bench::run(args, &cli.global, &cancel),
            Command::KernelBench(args) => kernel_bench::run(args, &cli.global, &cancel),
            Command::Devices(args) => devices::run(args, &cli.global, &cancel),
            Command::Setup(args) => setup::run(args, &cli.global, &cancel),
            Command::Completions(args) => completions::run(args),
        };
        match result {
            Err(Error::Cancelled) => Ok(signals.exit_code()),
            other => other,
        }
    });
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            logging::report(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn every_command_and_flag_has_help() {
        let command = Cli::command();
        command.clone().debug_assert();
        for command in command.get_subcommands() {
            let name = command.get_name();
            assert!(command.get_about().is_some(), "{name}");
            for arg in command.get_arguments() {
                assert!(arg.get_help().is_some(), "{name} {}", arg.get_id());
            }
        }
    }
}
