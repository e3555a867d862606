//! `ascendit generate`.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::model::CheckpointArgs;
use super::needs::{check_disk, check_memory};
use super::output::print;
use super::progress::Progress;
use super::question::{Output, may_write};
use super::settings::SettingsArgs;
use super::{DeviceArgs, Global};
use crate::cancel::Cancel;
use crate::checkpoint::Checkpoint;
use crate::media::{
    ContactSheet, VideoOptions, VideoWriter, to_rgb8, write_image, write_json_atomic,
};
use crate::pipeline::{Estimate, Frame, Request, Settings, TextToVideo};
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
    #[command(flatten)]
    settings: SettingsArgs,
    /// What the video should not show. Default: the checkpoint's.
    #[arg(long, value_name = "TEXT")]
    negative_prompt: Option<String>,
    /// A file with one prompt a line, each its own video. A failed one does not stop the rest.
    #[arg(long, value_name = "FILE", conflicts_with = "prompt")]
    prompts_file: Option<PathBuf>,
    /// Frames per second of the file, 0.1 to 240. Default: the checkpoint's.
    #[arg(long, value_name = "RATE")]
    fps: Option<f64>,
    /// Rescale guided predictions to the spread of unguided ones, 0 (not) to 1 (wholly).
    #[arg(long, value_name = "PHI", default_value_t = 0.0)]
    guidance_rescale: f32,
    /// Noise of DDIM's steps, 0 (none) to 1 (as much as DDPM); other samplers ignore it.
    #[arg(long, value_name = "ETA", default_value_t = 0.0)]
    eta: f32,
    /// Seed of the noise; the same seed and settings give the same video. Random if absent.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Videos per prompt, 1 to 10000, with seeds seed, seed+1, ...
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    samples: u32,
    /// Use the model's own text around prompts (true or false). Default: the checkpoint's.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    template: Option<bool>,
    /// Replace files that exist, without a question.
    #[arg(long)]
    overwrite: bool,
    /// Also write prompt, seed and settings to a JSON file beside the video.
    #[arg(long)]
    json: bool,
    /// Also write a contact sheet: evenly spaced frames side by side, as PNG.
    #[arg(long, value_name = "FILE")]
    contact_sheet: Option<PathBuf>,
}

/// One video to make.
struct Item {
    prompt: String,
    seed: u64,
    output: PathBuf,
    json: Option<PathBuf>,
    sheet: Option<PathBuf>,
}

impl Item {
    fn request(&self, base: &Request) -> Request {
        Request {
            prompt: self.prompt.clone(),
            seed: self.seed,
            ..base.clone()
        }
    }
}

/// Runs the command and returns the exit code.
pub(super) fn run(args: &GenerateArgs, global: &Global, cancel: &Cancel) -> Result<u8> {
    let items = items(args)?;
    let overwrite = may_write(&outputs(&items), args.overwrite)?;
    let checkpoint = args.checkpoint.open(global, cancel)?;
    let base = Request {
        negative_prompt: args.negative_prompt.clone(),
        guidance_rescale: args.guidance_rescale,
        eta: args.eta,
        template: args.template,
        ..args.settings.request(&checkpoint)?
    };
    let fps = args.fps.unwrap_or(checkpoint.defaults.fps);
    // What is wrong with a request shows before a device is opened.
    let settings: Vec<Settings> = items
        .iter()
        .map(|item| Settings::new(&item.request(&base), &checkpoint))
        .collect::<Result<_>>()?;
    let Some(first) = settings.first() else {
        return Ok(0);
    };
    for (item, settings) in items.iter().zip(&settings) {
        let options = video_options(settings, fps, overwrite, Value::Null);
        VideoWriter::create(&item.output, &options).map(drop)?;
    }
    check_disk(&args.output, first, items.len())?;

    let backend = args.device.open(global, cancel)?;
    let dtype = backend.compute_dtype(args.device.dtype())?;
    check_memory(
        &Estimate::on(backend.info().device.kind, first, &checkpoint, dtype),
        first,
        backend.info(),
    )?;
    let mut pipeline = TextToVideo::new(backend, checkpoint, Some(dtype), args.checkpoint.strict)?;
    tracing::info!(
        "{} on {}, {}",
        pipeline.checkpoint().name,
        pipeline.backend().info().device,
        pipeline.dtype()
    );
    let run = Run {
        global,
        cancel,
        base,
        fps,
        overwrite,
        one: items.len() == 1,
    };
    let mut failed = 0;
    let group = prompts_at_once(first, pipeline.checkpoint());
    for (items, settings) in items.chunks(group).zip(settings.chunks(group)) {
        run.embed(&mut pipeline, settings)?;
        failed += run.items(&mut pipeline, items)?;
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

/// Every file that the command writes.
fn outputs(items: &[Item]) -> Vec<Output<'_>> {
    let mut outputs = vec![];
    for item in items {
        outputs.push(Output::Video(&item.output));
        outputs.extend(item.json.as_deref().map(Output::Json));
        outputs.extend(item.sheet.as_deref().map(Output::Image));
    }
    outputs
}

/// Prompts that are embedded with one loading of the text encoder: as many as half a gigabyte of
/// embeddings holds.
fn prompts_at_once(settings: &Settings, checkpoint: &Checkpoint) -> usize {
    let bytes = 4 * settings.text_tokens * checkpoint.text_encoder.model.width();
    ((512 << 20) / bytes.max(1)).max(1)
}

/// What all videos of a command have in common.
struct Run<'a> {
    global: &'a Global,
    cancel: &'a Cancel,
    base: Request,
    fps: f64,
    overwrite: bool,
    /// Whether there is one video only, whose error is the command's.
    one: bool,
}

impl Run<'_> {
    /// Embeds the prompts of several videos ahead, so that the text encoder is loaded once.
    fn embed(&self, pipeline: &mut TextToVideo, settings: &[Settings]) -> Result<()> {
        pipeline.forget_prompts();
        if self.one {
            return Ok(());
        }
        let mut prompts = vec![];
        for settings in settings {
            prompts.push(settings.prompt.as_str());
            if settings.guided() {
                prompts.push(&settings.negative_prompt);
            }
        }
        let tokens = settings.first().map_or(1, |settings| settings.text_tokens);
        let progress = Progress::new(self.global, self.cancel);
        match pipeline.embed(&prompts, tokens, &progress) {
            // One prompt's fault: the video that it belongs to says so.
            Err(Error::Request { .. } | Error::NonFinite { .. }) => Ok(()),
            other => other,
        }
    }

    /// Makes videos and returns how many failed.
    fn items(&self, pipeline: &mut TextToVideo, items: &[Item]) -> Result<usize> {
        let mut failed = 0;
        for item in items {
            match self.generate(pipeline, item) {
                Ok(()) => {}
                Err(error) if self.one || matches!(error, Error::Cancelled) => return Err(error),
                Err(error) => {
                    failed += 1;
                    super::logging::report(&error);
                }
            }
        }
        Ok(failed)
    }

    fn generate(&self, pipeline: &mut TextToVideo, item: &Item) -> Result<()> {
        let request = item.request(&self.base);
        let settings = Settings::new(&request, pipeline.checkpoint())?;
        let metadata = metadata(pipeline, item, &settings, self.fps);
        let options = video_options(&settings, self.fps, self.overwrite, metadata.clone());
        let mut writer = VideoWriter::create(&item.output, &options)?;
        let mut sheet = item.sheet.as_ref().map(|_| {
            ContactSheet::new(
                settings.width,
                settings.height,
                settings.frames,
                settings.frames.min(8),
                settings.frames.min(8),
            )
        });
        tracing::info!("prompt {:?}, seed {}", item.prompt, item.seed);
        let observer = Progress::new(self.global, self.cancel);
        let mut on_frame = |frame: Frame| {
            let pixels = to_rgb8(&frame.pixels);
            if let Some(sheet) = &mut sheet {
                sheet.push(&pixels);
            }
            writer.push(&pixels)
        };
        pipeline.generate(&request, &observer, &mut on_frame)?;
        self.cancel.check()?;
        let written = writer.finish()?;
        if let (Some(path), Some(image)) = (&item.sheet, sheet.and_then(ContactSheet::finish)) {
            write_image(path, &image, &metadata, self.overwrite)?;
        }
        if let Some(path) = &item.json {
            write_json_atomic(path, &metadata, self.overwrite)?;
        }
        // The result: on stdout, for scripts.
        print(&written.display().to_string())
    }
}

fn video_options(settings: &Settings, fps: f64, overwrite: bool, metadata: Value) -> VideoOptions {
    VideoOptions {
        width: settings.width,
        height: settings.height,
        fps,
        frames: Some(settings.frames),
        overwrite,
        metadata,
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
    let samples = args.samples as usize;
    let count = prompts.len() * samples;
    let place = |path: &Path, i: usize| match count {
        1 => path.to_owned(),
        _ => numbered(path, i, count),
    };
    let item = |i: usize| {
        let output = place(&args.output, i);
        Item {
            prompt: prompts[i / samples].clone(),
            seed: first.wrapping_add((i % samples) as u64),
            json: args.json.then(|| beside(&output, "json")),
            sheet: args.contact_sheet.as_ref().map(|path| place(path, i)),
            output,
        }
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
