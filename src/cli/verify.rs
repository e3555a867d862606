//! `ascendit verify`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::model::CheckpointArgs;
use super::output::{print, print_json, table};
use super::progress::Progress;
use super::{DeviceArgs, Global};
use crate::Result;
use crate::backend::Backend;
use crate::cancel::Cancel;
use crate::pipeline::TextToVideo;
use crate::tensor::DType;
use crate::verify::{self, Limits, NAMES, Outcome, PipelineLimits, PipelineOutcome};

/// The folder format, below the flags.
fn format_help() -> String {
    format!(
        "Architectures: {}.

Format of DIR with --arch: config.json (the checkpoint's own config), weights.safetensors or one
sub-folder in hub layout (transformer/, vae/, ... with their config and weights), and any number of
case-<name>.safetensors. A case holds the inputs of one call as in.<name> and what the authors' code
gave as out.<name>. For each output, the largest absolute difference and the normalised mean square
error, sum (got - expected)^2 / sum expected^2, are compared with the limits.

Format of DIR with --pipeline: cases.json, which maps a case's name to the arguments of the authors'
pipeline (prompt, negative_prompt, scheduler, scheduler_overrides, seed, num_inference_steps,
guidance_scale, guidance_rescale, num_frames, height, width, max_sequence_length), and for each case
a case-<name>.safetensors with out.latents [1, C, T, H, W] as the last step left them and out.frames
[1, T, H, W, 3] as bytes. Limits: latents within --max-abs; frames within 4 of 255 and 0.1 of 255 on
average in f32 and f16, 16 and 0.8 in bf16.

Exit code: 0 if every output is within its limits, 1 if not.",
        NAMES.join(", ")
    )
}

#[derive(Args)]
#[command(after_long_help = format_help())]
pub(super) struct VerifyArgs {
    /// Folder with a model's config, weights and cases, or with --pipeline a folder of whole
    /// generations.
    dir: PathBuf,
    /// The architecture; --help lists them.
    #[arg(long, value_name = "NAME", required_unless_present = "pipeline")]
    arch: Option<String>,
    /// Run whole generations of this checkpoint: a directory or a hub repository.
    #[arg(long, value_name = "CHECKPOINT", conflicts_with = "arch")]
    pipeline: Option<PathBuf>,
    #[command(flatten)]
    device: DeviceArgs,
    /// Largest difference, in units of max(1, max |expected|). Default: 1e-4 in f32, none in f16 and
    /// bf16; of a pipeline's latents 5e-4.
    #[arg(long, value_name = "X")]
    max_abs: Option<f64>,
    /// Largest normalised mean square error. Default: 1e-9 in f32, 1e-5 in f16, 3e-4 in bf16.
    #[arg(long, value_name = "X", conflicts_with = "pipeline")]
    max_nmse: Option<f64>,
    /// Print JSON in place of a table.
    #[arg(long)]
    json: bool,
}

/// Runs the command and returns the exit code.
pub(super) fn run(args: &VerifyArgs, global: &Global, cancel: &Cancel) -> Result<u8> {
    let ok = match &args.pipeline {
        Some(checkpoint) => {
            let components = CheckpointArgs::only(checkpoint.clone());
            let checkpoint = components.open(global, cancel)?;
            let backend = args.device.open(global, cancel)?;
            let mut pipeline =
                TextToVideo::new(backend, checkpoint, args.device.dtype(), components.strict)?;
            let mut limits = PipelineLimits::of(pipeline.dtype());
            limits.latents = args.max_abs.unwrap_or(limits.latents);
            let progress = Progress::new(global, cancel);
            let outcomes = verify::run_pipeline(&mut pipeline, &args.dir, limits, &progress)?;
            let (backend, dtype) = (pipeline.backend(), pipeline.dtype());
            report_pipeline(args, backend, dtype, limits, &outcomes)?
        }
        None => {
            let architecture = args.arch.as_deref().unwrap_or_default();
            let backend = args.device.open(global, cancel)?;
            let dtype = backend.compute_dtype(args.device.dtype())?;
            let mut limits = Limits::of(dtype);
            limits.max_abs = args.max_abs.or(limits.max_abs);
            limits.max_nmse = args.max_nmse.unwrap_or(limits.max_nmse);
            let outcomes = verify::run(&*backend, architecture, &args.dir, dtype, limits, cancel)?;
            report(args, &*backend, dtype, limits, &outcomes)?
        }
    };
    Ok(if ok { 0 } else { 1 })
}

fn report(
    args: &VerifyArgs,
    backend: &dyn Backend,
    dtype: DType,
    limits: Limits,
    outcomes: &[Outcome],
) -> Result<bool> {
    let ok = outcomes.iter().all(|outcome| outcome.ok);
    if args.json {
        print_json(&json!({
            "architecture": args.arch,
            "device": backend.info().device.to_string(),
            "dtype": dtype.name(),
            "limits": {"max_abs": limits.max_abs, "max_nmse": limits.max_nmse},
            "outcomes": outcomes,
            "ok": ok,
        }))?;
        return Ok(ok);
    }
    let head = [
        "case", "output", "max abs", "relative", "nmse", "worst at", "got", "expected", "",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(outcomes.iter().map(|o| {
        let (index, got, expected) = o.worst;
        vec![
            o.case.clone(),
            o.output.clone(),
            format!("{:.2e}", o.max_abs),
            format!("{:.2e}", o.relative),
            format!("{:.2e}", o.nmse),
            index.to_string(),
            format!("{got:.6}"),
            format!("{expected:.6}"),
            verdict(o.ok),
        ]
    }));
    print(&table(&rows))?;
    let largest = limits
        .max_abs
        .map_or("any".to_owned(), |limit| format!("{limit:e}"));
    conclude(
        backend,
        dtype,
        outcomes.iter().filter(|o| !o.ok).count(),
        outcomes.len(),
        &format!("relative {largest}, nmse {:e}", limits.max_nmse),
    )
}

fn report_pipeline(
    args: &VerifyArgs,
    backend: &dyn Backend,
    dtype: DType,
    limits: PipelineLimits,
    outcomes: &[PipelineOutcome],
) -> Result<bool> {
    let ok = outcomes.iter().all(|outcome| outcome.ok);
    if args.json {
        print_json(&json!({
            "pipeline": args.pipeline,
            "device": backend.info().device.to_string(),
            "dtype": dtype.name(),
            "limits": {
                "latents": limits.latents,
                "frames_mean": limits.frames_mean,
                "frames_max": limits.frames_max,
            },
            "outcomes": outcomes,
            "ok": ok,
        }))?;
        return Ok(ok);
    }
    let head = ["case", "latents", "frames mean", "frames max", ""];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(outcomes.iter().map(|o| {
        vec![
            o.case.clone(),
            format!("{:.2e}", o.latents),
            format!("{:.4}", o.frames_mean),
            o.frames_max.to_string(),
            verdict(o.ok),
        ]
    }));
    print(&table(&rows))?;
    conclude(
        backend,
        dtype,
        outcomes.iter().filter(|o| !o.ok).count(),
        outcomes.len(),
        &format!(
            "latents {:e}, frames mean {} and max {} of 255",
            limits.latents, limits.frames_mean, limits.frames_max
        ),
    )
}

fn verdict(ok: bool) -> String {
    if ok { "ok" } else { "FAILED" }.to_owned()
}

/// The last line, and whether all is well.
fn conclude(
    backend: &dyn Backend,
    dtype: DType,
    failed: usize,
    all: usize,
    limits: &str,
) -> Result<bool> {
    let device = backend.info().device;
    let what = match failed {
        0 => format!("all {all} within limits"),
        n => format!("{n} of {all} beyond limits"),
    };
    print(&format!("{what} on {device} in {dtype} ({limits})"))?;
    Ok(failed == 0)
}
