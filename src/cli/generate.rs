//! `ascendit generate`.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::progress::Progress;
use super::size::Size;
use super::{DeviceArgs, Global};
use crate::cancel::Cancel;
use crate::checkpoint::{Checkpoint, Overrides};
use crate::media::{
    ContactSheet, VideoOptions, VideoWriter, check_output, to_rgb8, write_image, write_json_atomic,
};
use crate::pipeline::{Frame, Request, Settings, TextToVideo};
use crate::samplers::SamplerConfig;
use crate::weights::OpenOptions;
use crate::{Error, Result};

#[derive(Args)]
pub(super) struct GenerateArgs {
    /// What the video should show.
    #[arg(required_unless_present = "prompts_file")]
    prompt: Option<String>,
    /// File to write: .mp4, .gif, .apng, .y4m, a folder of PNGs (a name that ends in /), or .png,
    /// .jpg, .webp for one frame. With several videos, a number goes before the ending.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    checkpoint: CheckpointArgs,
    #[command(flatten)]
    device: DeviceArgs,
    /// What the video should not show. Default: the checkpoint's.
    #[arg(long, value_name = "TEXT")]
    negative_prompt: Option<String>,
    /// A file with one prompt a line, each its own video. A failed one does not stop the rest.
    #[arg(long, value_name = "FILE", conflicts_with = "prompt")]
    prompts_file: Option<PathBuf>,
    /// Height and width in pixels, such as 480x832. Default: the checkpoint's.
    #[arg(long, value_name = "HxW")]
    size: Option<Size>,
    /// Frames, 4n+1; 1 makes an image. Default: the checkpoint's.
    #[arg(long, value_name = "N")]
    frames: Option<usize>,
    /// Frames per second of the file, 0.1 to 240. Default: the checkpoint's.
    #[arg(long, value_name = "RATE")]
    fps: Option<f64>,
    /// Steps of the sampler. Default: the checkpoint's.
    #[arg(long, value_name = "N")]
    steps: Option<usize>,
    /// How strongly the prompt guides; 1 and less turn guidance off. Default: the checkpoint's.
    #[arg(long, value_name = "S")]
    guidance_scale: Option<f32>,
    /// Rescale guided predictions to the spread of unguided ones, 0 (not) to 1 (wholly).
    #[arg(long, value_name = "PHI", default_value_t = 0.0)]
    guidance_rescale: f32,
    /// Noise of DDIM's steps, 0 (none) to 1 (as much as DDPM); other samplers ignore it.
    #[arg(long, value_name = "ETA", default_value_t = 0.0)]
    eta: f32,
    /// Seed of the noise; the same seed and settings give the same video. Random if absent.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Videos per prompt, with seeds seed, seed+1, ...
    #[arg(long, value_name = "N", default_value = "1")]
    samples: std::num::NonZeroUsize,
    /// The sampler, by diffusers' names: DDIM, DDPM, PNDM, EulerDiscrete, EulerAncestralDiscrete,
    /// DPMSolverMultistep, DPMSolverSinglestep, HeunDiscrete, DEISMultistep,
    /// KDPM2AncestralDiscrete, FlowMatchEulerDiscrete. Default: the checkpoint's.
    #[arg(long, value_name = "NAME")]
    sampler: Option<String>,
    /// Use the model's own text around prompts (true or false). Default: the checkpoint's.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    template: Option<bool>,
    /// Text tokens the model sees, 1 to 4096. Default: the checkpoint's.
    #[arg(long, value_name = "N")]
    text_tokens: Option<usize>,
    /// Latent frames decoded at once; more is faster up to a point and needs more memory. 0: all.
    #[arg(long, value_name = "N")]
    decode_chunk: Option<usize>,
    /// Replace files that exist.
    #[arg(long)]
    overwrite: bool,
    /// Also write prompt, seed and settings to a JSON file beside the video.
    #[arg(long)]
    json: bool,
    /// Also write a contact sheet: evenly spaced frames side by side, as PNG.
    #[arg(long, value_name = "FILE")]
    contact_sheet: Option<PathBuf>,
}

/// Which checkpoint.
#[derive(Args)]
pub(super) struct CheckpointArgs {
    /// Directory of a checkpoint. Default: the demo, in assets/demo or beside the program.
    #[arg(short, long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Directory of another transformer.
    #[arg(long, value_name = "DIR")]
    transformer: Option<PathBuf>,
    /// Directory of another VAE.
    #[arg(long, value_name = "DIR")]
    vae: Option<PathBuf>,
    /// Directory of another text encoder.
    #[arg(long, value_name = "DIR")]
    text_encoder: Option<PathBuf>,
    /// Directory or file of another tokenizer (spiece.model or tokenizer.json).
    #[arg(long, value_name = "PATH")]
    tokenizer: Option<PathBuf>,
    /// Another scheduler_config.json, or its directory.
    #[arg(long, value_name = "PATH")]
    scheduler: Option<PathBuf>,
    /// Which state dict of a PyTorch file: auto (averaged weights where there are any), ema, plain,
    /// or a key.
    #[arg(long, value_name = "KEY", default_value = "auto")]
    state_dict: String,
    /// Tensors that the model does not use are errors, not warnings.
    #[arg(long)]
    strict: bool,
}

impl CheckpointArgs {
    pub(super) fn open(&self) -> Result<Checkpoint> {
        let overrides = Overrides {
            transformer: self.transformer.clone(),
            vae: self.vae.clone(),
            text_encoder: self.text_encoder.clone(),
            tokenizer: self.tokenizer.clone(),
            scheduler: self.scheduler.clone(),
            weights: OpenOptions {
                state_dict: self.state_dict.as_str().into(),
            },
        };
        let complete = overrides.transformer.is_some()
            && overrides.vae.is_some()
            && overrides.text_encoder.is_some();
        let model = match &self.model {
            Some(dir) => Some(dir.clone()),
            None if complete => None,
            None => Some(demo()?),
        };
        Checkpoint::open(model.as_deref(), &overrides)
    }
}

/// The demo checkpoint: in the working directory of a clone, or beside the executable.
fn demo() -> Result<PathBuf> {
    let mut places = vec![PathBuf::from("assets/demo")];
    if let Ok(program) = std::env::current_exe() {
        // target/release/ascendit lies three levels below the clone's assets.
        let above = program.ancestors().skip(1).take(3);
        places.extend(above.flat_map(|dir| [dir.join("assets/demo"), dir.join("demo")]));
    }
    places
        .into_iter()
        .find(|dir| dir.join("model_index.json").is_file())
        .ok_or_else(|| {
            Error::request(
                "no checkpoint was given and the demo is not here; pass a directory with --model",
            )
        })
}

/// One video to make.
struct Item {
    prompt: String,
    seed: u64,
    output: PathBuf,
}

/// Runs the command and returns the exit code.
pub(super) fn run(args: &GenerateArgs, global: &Global, cancel: &Cancel) -> Result<u8> {
    let items = items(args)?;
    for item in &items {
        check_output(&item.output, args.overwrite)?;
    }
    if let Some(sheet) = &args.contact_sheet {
        check_output(sheet, args.overwrite)?;
    }
    let checkpoint = args.checkpoint.open()?;
    let sampler = args
        .sampler
        .as_deref()
        .map(|name| checkpoint.scheduler.with_class(name))
        .transpose()?;
    let fps = args.fps.unwrap_or(checkpoint.defaults.fps);
    // What is wrong with a request shows before a device is opened.
    for item in &items {
        Settings::new(&request(args, item, sampler.clone()), &checkpoint)?;
    }
    let backend = args.device.open(global, cancel)?;
    let mut pipeline = TextToVideo::new(
        backend,
        checkpoint,
        args.device.dtype(),
        args.checkpoint.strict,
    )?;
    tracing::info!(
        "{} on {}, {}",
        pipeline.checkpoint().name,
        pipeline.backend().info().device,
        pipeline.dtype()
    );

    let mut failed = 0;
    for item in &items {
        let request = request(args, item, sampler.clone());
        match generate(&mut pipeline, args, item, &request, fps, global, cancel) {
            Ok(()) => {}
            Err(error) if items.len() == 1 || matches!(error, Error::Cancelled) => {
                return Err(error);
            }
            Err(error) => {
                failed += 1;
                super::logging::report(&error);
            }
        }
    }
    match failed {
        0 => Ok(0),
        _ => {
            tracing::error!(
                "{failed} of {} videos failed; the others are written",
                items.len()
            );
            Ok(3)
        }
    }
}

fn generate(
    pipeline: &mut TextToVideo,
    args: &GenerateArgs,
    item: &Item,
    request: &Request,
    fps: f64,
    global: &Global,
    cancel: &Cancel,
) -> Result<()> {
    let settings = Settings::new(request, pipeline.checkpoint())?;
    let metadata = metadata(pipeline, item, &settings, fps);
    let options = VideoOptions {
        width: settings.width,
        height: settings.height,
        fps,
        frames: Some(settings.frames),
        overwrite: args.overwrite,
        metadata: metadata.clone(),
    };
    let mut writer = VideoWriter::create(&item.output, &options)?;
    let mut sheet = args.contact_sheet.as_ref().map(|_| {
        ContactSheet::new(
            settings.width,
            settings.height,
            settings.frames,
            settings.frames.min(8),
            settings.frames.min(8),
        )
    });
    tracing::info!("prompt {:?}, seed {}", item.prompt, item.seed);
    let observer = Progress::new(global, cancel);
    let mut on_frame = |frame: Frame| {
        let pixels = to_rgb8(&frame.pixels);
        if let Some(sheet) = &mut sheet {
            sheet.push(&pixels);
        }
        writer.push(&pixels)
    };
    pipeline.generate(request, &observer, &mut on_frame)?;
    cancel.check()?;
    let written = writer.finish()?;
    if let (Some(path), Some(image)) = (&args.contact_sheet, sheet.and_then(ContactSheet::finish)) {
        write_image(path, &image, &metadata, args.overwrite)?;
    }
    if args.json {
        write_json_atomic(&beside(&item.output, "json"), &metadata, args.overwrite)?;
    }
    // The result: on stdout, for scripts.
    println!("{}", written.display());
    Ok(())
}

fn request(args: &GenerateArgs, item: &Item, sampler: Option<SamplerConfig>) -> Request {
    Request {
        prompt: item.prompt.clone(),
        negative_prompt: args.negative_prompt.clone(),
        height: args.size.map(|size| size.height),
        width: args.size.map(|size| size.width),
        frames: args.frames,
        steps: args.steps,
        guidance_scale: args.guidance_scale,
        guidance_rescale: args.guidance_rescale,
        eta: args.eta,
        seed: item.seed,
        sampler,
        text_tokens: args.text_tokens,
        template: args.template,
        decode_chunk: args.decode_chunk,
    }
}

fn metadata(pipeline: &TextToVideo, item: &Item, settings: &Settings, fps: f64) -> Value {
    json!({
        "prompt": item.prompt,
        "negative_prompt": settings.negative_prompt,
        "seed": item.seed,
        "model": pipeline.checkpoint().name,
        "height": settings.height,
        "width": settings.width,
        "frames": settings.frames,
        "fps": fps,
        "steps": settings.steps,
        "guidance_scale": settings.guidance_scale,
        "guidance_rescale": settings.guidance_rescale,
        "eta": settings.eta,
        "sampler": settings.sampler.class_name(),
        "device": pipeline.backend().info().device.to_string(),
        "dtype": pipeline.dtype().name(),
        "generator": concat!("ascendit ", env!("CARGO_PKG_VERSION")),
    })
}

/// All videos that were asked for, with their files.
fn items(args: &GenerateArgs) -> Result<Vec<Item>> {
    let prompts = match (&args.prompt, &args.prompts_file) {
        (Some(prompt), _) => vec![prompt.clone()],
        (None, Some(path)) => read_prompts(path)?,
        (None, None) => vec![],
    };
    let first = args.seed.unwrap_or_else(random_seed);
    let samples = args.samples.get();
    let count = prompts.len() * samples;
    let item = |i: usize| Item {
        prompt: prompts[i / samples].clone(),
        seed: first.wrapping_add((i % samples) as u64),
        output: if count == 1 {
            args.output.clone()
        } else {
            numbered(&args.output, i, count)
        },
    };
    Ok((0..count).map(item).collect())
}

fn read_prompts(path: &Path) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(path).map_err(Error::io("read", path))?;
    let prompts: Vec<String> = text
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty())
        .map(str::to_owned)
        .collect();
    if prompts.is_empty() {
        return Err(Error::file(path, "has no prompts; write one a line"));
    }
    Ok(prompts)
}

/// `seven.mp4` as `seven-01.mp4`.
fn numbered(path: &Path, i: usize, count: usize) -> PathBuf {
    let digits = count.to_string().len();
    let number = format!("{:0digits$}", i + 1);
    let text = path.to_string_lossy();
    if let Some(folder) = text.strip_suffix('/') {
        return PathBuf::from(format!("{folder}-{number}/"));
    }
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let name = match path.extension() {
        Some(extension) => format!("{stem}-{number}.{}", extension.to_string_lossy()),
        None => format!("{stem}-{number}"),
    };
    path.with_file_name(name)
}

/// The file with another ending; for a folder, a file beside it.
fn beside(path: &Path, extension: &str) -> PathBuf {
    let text = path.to_string_lossy();
    Path::new(text.trim_end_matches('/')).with_extension(extension)
}

/// A seed that is short to write down.
fn random_seed() -> u64 {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    (now.as_nanos() as u64 ^ u64::from(std::process::id()) << 16) & 0xffff_ffff
}
