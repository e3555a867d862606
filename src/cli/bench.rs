//! `ascendit bench`.

use std::cell::RefCell;
use std::time::Instant;

use clap::Args;
use serde::Serialize;

use super::model::CheckpointArgs;
use super::output::{count_text, print, print_json, table};
use super::settings::SettingsArgs;
use super::{DeviceArgs, Global};
use crate::cancel::Cancel;
use crate::disk::size_text;
use crate::pipeline::{Estimate, Event, Observer, Request, Settings, Stage, TextToVideo};
use crate::{Result, machine};

#[derive(Args)]
pub(super) struct BenchArgs {
    #[command(flatten)]
    checkpoint: CheckpointArgs,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    settings: SettingsArgs,
    /// How often everything is loaded, compiled and timed, 1 to 1000.
    #[arg(long, value_name = "N", default_value = "5", value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,
    /// Print JSON in place of a table.
    #[arg(long)]
    json: bool,
}

/// Denoising steps of a run where --steps does not say; the first one is not counted.
const STEPS: usize = 3;

/// What is timed, in the order of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum What {
    Load,
    Compile,
    Run,
}

/// A stopwatch between a pipeline's events.
struct Stopwatch<'a> {
    cancel: &'a Cancel,
    state: RefCell<State>,
}

struct State {
    last: Instant,
    /// When a decoding began.
    began: Instant,
    times: Vec<(Stage, What, f64)>,
}

impl<'a> Stopwatch<'a> {
    fn new(cancel: &'a Cancel) -> Self {
        let now = Instant::now();
        Self {
            cancel,
            state: RefCell::new(State {
                last: now,
                began: now,
                times: vec![],
            }),
        }
    }

    /// Seconds of one kind. Kinds of chunks of a decoder are loaded and compiled one by one; their
    /// times are one sum. The first run is left out: it warms up.
    fn seconds(&self, stage: Stage, what: What) -> Vec<f64> {
        let state = self.state.borrow();
        let times = state
            .times
            .iter()
            .filter(|(s, w, _)| (*s, *w) == (stage, what))
            .map(|(_, _, seconds)| *seconds);
        match what {
            What::Run => times.skip(1).collect(),
            _ => vec![times.sum()],
        }
    }
}

impl Observer for Stopwatch<'_> {
    fn on(&self, event: Event<'_>) {
        let mut state = self.state.borrow_mut();
        let (now, last) = (Instant::now(), state.last);
        let timed = match event {
            Event::Compile(stage) => Some((stage, What::Load, last)),
            Event::Ready(stage) => Some((stage, What::Compile, last)),
            Event::Prompts(..) => Some((Stage::Encode, What::Run, last)),
            Event::Step(..) => Some((Stage::Denoise, What::Run, last)),
            Event::End(Stage::Decode) => Some((Stage::Decode, What::Run, state.began)),
            Event::Begin(Stage::Decode, _) => {
                state.began = now;
                None
            }
            Event::Segment(..) => return,
            _ => None,
        };
        if let Some((stage, what, since)) = timed {
            let seconds = now.duration_since(since).as_secs_f64();
            state.times.push((stage, what, seconds));
        }
        state.last = now;
    }

    fn cancel(&self) -> &Cancel {
        self.cancel
    }
}

/// Seconds of several runs.
#[derive(Serialize)]
struct Timing {
    stage: Stage,
    what: What,
    runs: usize,
    min_s: f64,
    quartile_1_s: f64,
    median_s: f64,
    quartile_3_s: f64,
    max_s: f64,
    /// Floating point operations of a run.
    flops: Option<u64>,
    /// Of the device's peak, 0 to 1, at the median.
    utilisation: Option<f64>,
}

impl Timing {
    fn new(stage: Stage, what: What, mut seconds: Vec<f64>) -> Option<Self> {
        seconds.sort_by(f64::total_cmp);
        let (first, last) = (*seconds.first()?, *seconds.last()?);
        Some(Self {
            stage,
            what,
            runs: seconds.len(),
            min_s: first,
            quartile_1_s: quantile(&seconds, 0.25),
            median_s: quantile(&seconds, 0.5),
            quartile_3_s: quantile(&seconds, 0.75),
            max_s: last,
            flops: None,
            utilisation: None,
        })
    }
}

/// Of sorted values, linear between neighbours.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let place = q * (sorted.len() - 1) as f64;
    let (below, above) = (place.floor() as usize, place.ceil() as usize);
    sorted[below] + (sorted[above] - sorted[below]) * place.fract()
}

#[derive(Serialize)]
struct Report {
    model: String,
    device: String,
    description: String,
    dtype: &'static str,
    height: usize,
    width: usize,
    frames: usize,
    text_tokens: usize,
    guided: bool,
    peak_flops_per_s: Option<f64>,
    peak_resident_bytes: Option<u64>,
    timings: Vec<Timing>,
}

/// Runs the command and returns the exit code.
pub(super) fn run(args: &BenchArgs, global: &Global, cancel: &Cancel) -> Result<u8> {
    let checkpoint = args.checkpoint.open(global, cancel)?;
    let request = Request {
        steps: Some(args.settings.steps.unwrap_or(STEPS)),
        ..args.settings.sample_request(&checkpoint)?
    };
    let settings = Settings::new(&request, &checkpoint)?;
    let backend = args.device.open(global, cancel)?;
    let dtype = backend.compute_dtype(args.device.dtype())?;
    let estimate = Estimate::on(backend.info().device.kind, &settings, &checkpoint, dtype);
    super::needs::check_memory(&estimate, &settings, backend.info())?;
    tracing::info!("{} on {}, {dtype}", checkpoint.name, backend.info().device);

    let mut seconds: Vec<(Stage, What, Vec<f64>)> = vec![];
    for what in [What::Load, What::Compile, What::Run] {
        for stage in [Stage::Encode, Stage::Denoise, Stage::Decode] {
            seconds.push((stage, what, vec![]));
        }
    }
    for run in 1..=args.runs {
        // A fresh pipeline has nothing loaded and nothing compiled.
        let checkpoint = args.checkpoint.open(global, cancel)?;
        let mut pipeline = TextToVideo::new(
            backend.clone(),
            checkpoint,
            Some(dtype),
            args.checkpoint.strict,
        )?;
        let watch = Stopwatch::new(cancel);
        measure(&mut pipeline, &request, &settings, &watch)?;
        for (stage, what, all) in &mut seconds {
            all.extend(watch.seconds(*stage, *what));
        }
        tracing::info!("run {run} of {}", args.runs);
    }
    let peak = backend.info().peak.map(|peak| peak.flops(dtype));
    let timings = seconds
        .into_iter()
        .filter_map(|(stage, what, seconds)| Timing::new(stage, what, seconds))
        .map(|timing| with_flops(timing, &estimate, peak))
        .collect();
    let report = Report {
        model: checkpoint.name.clone(),
        device: backend.info().device.to_string(),
        description: backend.info().description.clone(),
        dtype: dtype.name(),
        height: settings.height,
        width: settings.width,
        frames: settings.frames,
        text_tokens: settings.text_tokens,
        guided: settings.guided(),
        peak_flops_per_s: peak,
        peak_resident_bytes: machine::peak_resident_bytes(),
        timings,
    };
    if args.json {
        print_json(&report)?;
    } else {
        print(&text(&report))?;
    }
    Ok(0)
}

/// Everything twice at least, so that there is a run after the one that warms up.
fn measure(
    pipeline: &mut TextToVideo,
    request: &Request,
    settings: &Settings,
    watch: &Stopwatch<'_>,
) -> Result<()> {
    // Two new prompts take one loading of the text encoder.
    let prompts = [
        settings.prompt.as_str(),
        settings.negative_prompt.as_str(),
        "another prompt",
    ];
    pipeline.embed(&prompts, settings.text_tokens, watch)?;
    let mut nowhere = |_| Ok(());
    let generated = pipeline.generate(request, watch, &mut nowhere)?;
    pipeline.decode(settings, &generated.latents, watch, &mut nowhere)?;
    Ok(())
}

/// With the operations of one run: a prompt, a step, a whole decoding.
fn with_flops(timing: Timing, estimate: &Estimate, peak: Option<f64>) -> Timing {
    let stage = estimate.stages.iter().find(|s| s.stage == timing.stage);
    let flops = stage
        .filter(|_| timing.what == What::Run)
        .map(|stage| match stage.stage {
            Stage::Decode => stage.flops,
            _ => stage.flops / stage.runs.max(1) as u64,
        });
    let utilisation = flops
        .zip(peak)
        .map(|(flops, peak)| flops as f64 / timing.median_s / peak);
    Timing {
        flops,
        utilisation,
        ..timing
    }
}

fn text(report: &Report) -> String {
    let head = [
        "",
        "runs",
        "median",
        "min",
        "quartile 1",
        "quartile 3",
        "max",
        "FLOP/s",
        "of peak",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for timing in &report.timings {
        let name = match (timing.what, timing.stage) {
            (What::Load, stage) => format!("load for {stage}"),
            (What::Compile, stage) => format!("compile for {stage}"),
            (What::Run, Stage::Encode) => "encode a prompt".to_owned(),
            (What::Run, Stage::Denoise) => "denoising step".to_owned(),
            (What::Run, Stage::Decode) => "decode".to_owned(),
        };
        let seconds = |s: f64| format!("{s:.4} s");
        let rate = timing.flops.map(|flops| flops as f64 / timing.median_s);
        rows.push(vec![
            name,
            timing.runs.to_string(),
            seconds(timing.median_s),
            seconds(timing.min_s),
            seconds(timing.quartile_1_s),
            seconds(timing.quartile_3_s),
            seconds(timing.max_s),
            rate.map(count_text).unwrap_or_default(),
            timing
                .utilisation
                .map(|u| format!("{:.1} %", 100.0 * u))
                .unwrap_or_default(),
        ]);
    }
    let mut lines = vec![
        format!(
            "{} on {} ({}), {}",
            report.model, report.device, report.description, report.dtype
        ),
        format!(
            "{} frames of {}x{}, {} text tokens, {}",
            report.frames,
            report.height,
            report.width,
            report.text_tokens,
            if report.guided { "guided" } else { "unguided" }
        ),
        table(&rows),
    ];
    if let Some(bytes) = report.peak_resident_bytes {
        let text = size_text(bytes);
        lines.push(format!(
            "peak memory of the process: {text}, mapped files included"
        ));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_lie_between_neighbours() {
        let timing = Timing::new(Stage::Decode, What::Run, vec![4.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!(
            [
                timing.min_s,
                timing.quartile_1_s,
                timing.median_s,
                timing.quartile_3_s,
                timing.max_s
            ],
            [1.0, 1.75, 2.5, 3.25, 4.0]
        );
        let one = Timing::new(Stage::Decode, What::Run, vec![7.0]).unwrap();
        assert_eq!([one.min_s, one.median_s, one.max_s], [7.0; 3]);
        assert!(Timing::new(Stage::Decode, What::Run, vec![]).is_none());
    }

    #[test]
    fn the_first_run_is_not_counted_and_loads_add_up() {
        let cancel = Cancel::new();
        let watch = Stopwatch::new(&cancel);
        for _ in 0..2 {
            watch.on(Event::Load(Stage::Decode));
            watch.on(Event::Compile(Stage::Decode));
            watch.on(Event::Ready(Stage::Decode));
        }
        for _ in 0..3 {
            watch.on(Event::Begin(Stage::Decode, 5));
            watch.on(Event::Frames(1, 5));
            watch.on(Event::Frames(5, 5));
            watch.on(Event::End(Stage::Decode));
        }
        assert_eq!(watch.seconds(Stage::Decode, What::Load).len(), 1);
        assert_eq!(watch.seconds(Stage::Decode, What::Compile).len(), 1);
        assert_eq!(watch.seconds(Stage::Decode, What::Run).len(), 2);
        assert!(watch.seconds(Stage::Denoise, What::Run).is_empty());
    }
}
