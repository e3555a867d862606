//! `ascendit inspect`: reads configs and the headers of weight files, never weights, and opens no
//! device.

mod component;
mod cost;
mod plan;

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::model::{CheckpointArgs, local};
use super::output::{print, print_json, table};
use super::settings::SettingsArgs;
use super::{DTypeArg, Global, Switch};
use crate::backend::cann::soc::Soc;
use crate::backend::{Device, DeviceKind};
use crate::cancel::Cancel;
use crate::checkpoint::hub::is_engine_file;
use crate::checkpoint::{Checkpoint, Defaults, Overrides, is_checkpoint_file};
use crate::pipeline::{Settings, Stage, stage_graphs};
use crate::tensor::DType;
use crate::{Error, Result};
use component::Component;
use cost::DeviceCost;
use plan::{Kernels, Plans};

#[derive(Args)]
pub(super) struct InspectArgs {
    /// What to look at: a checkpoint, a component's directory, a weight file (.safetensors, .pt,
    /// ...), or a hub repository. Default: the model of --model, or the demo.
    #[arg(value_name = "MODEL", conflicts_with = "model")]
    path: Option<PathBuf>,
    #[command(flatten)]
    checkpoint: CheckpointArgs,
    #[command(flatten)]
    settings: SettingsArgs,
    /// The device whose costs are shown: reference, cpu, cuda:N, cann:N, twin:N. Default: cpu and
    /// cuda. For cann and twin, the plan of launches is shown as well.
    #[arg(long, value_name = "DEVICE")]
    device: Option<String>,
    /// The Ascend chip that plans are made for: 910B1, 910B2, 910B3, 910B4, 910B4-1.
    #[arg(long, value_name = "CHIP", default_value = "910B2")]
    soc: String,
    /// Our own kernels in the plans; off: CANN's operators only.
    #[arg(long, value_enum, default_value_t = Switch::On, value_name = "on|off")]
    kernels: Switch,
    /// Predict our own kernels with the twin's timing model, which takes minutes for large models.
    #[arg(long)]
    time_kernels: bool,
    /// What is computed in. auto is f32 on reference and cpu, bf16 on cuda and cann, f16 on twin.
    #[arg(long, value_enum, default_value_t = DTypeArg::Auto, value_name = "DTYPE")]
    dtype: DTypeArg,
    /// Print the graph of a stage, or of all, in place of the rest.
    #[arg(long, value_enum, value_name = "STAGE", num_args = 0..=1, default_missing_value = "all")]
    graph: Option<GraphOf>,
    /// List every tensor.
    #[arg(long, conflicts_with = "graph")]
    tensors: bool,
    /// Print JSON in place of tables.
    #[arg(long, conflicts_with = "graph")]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum GraphOf {
    Encode,
    Denoise,
    Decode,
    All,
}

impl GraphOf {
    fn includes(self, stage: Stage) -> bool {
        match self {
            Self::All => true,
            Self::Encode => stage == Stage::Encode,
            Self::Denoise => stage == Stage::Denoise,
            Self::Decode => stage == Stage::Decode,
        }
    }
}

/// What is said about a checkpoint.
#[derive(Serialize)]
struct Report {
    model: String,
    components: Vec<Component>,
    tokenizer: PathBuf,
    scheduler: &'static str,
    defaults: DefaultsReport,
    /// What the costs are for.
    request: RequestReport,
    costs: Vec<DeviceCost>,
    /// For devices that run plans of launches.
    plans: Vec<Plans>,
}

#[derive(Serialize)]
struct DefaultsReport {
    height: usize,
    width: usize,
    frames: usize,
    steps: usize,
    guidance_scale: f32,
    fps: f64,
    text_tokens: usize,
    prompt_template: bool,
}

#[derive(Serialize)]
struct RequestReport {
    height: usize,
    width: usize,
    frames: usize,
    steps: usize,
    text_tokens: usize,
    guided: bool,
    decode_chunk: Option<usize>,
}

/// Runs the command and returns the exit code.
pub(super) fn run(args: &InspectArgs, global: &Global, cancel: &Cancel) -> Result<u8> {
    let model = args.path.as_deref().or(args.checkpoint.model.as_deref());
    if let Some(path) = model.filter(|_| !args.checkpoint.has_overrides()) {
        let overrides = Overrides::default();
        let wanted = |path: &str| is_engine_file(path) && is_checkpoint_file(path, &overrides);
        let path = local(path, &wanted, global, cancel)?;
        if is_component(&path) {
            inspect_component(args, &path)?;
            return Ok(0);
        }
    }
    let checkpoint = args.checkpoint.open_at(model, global, cancel)?;
    let request = args.settings.sample_request(&checkpoint)?;
    let settings = Settings::new(&request, &checkpoint)?;
    if let Some(wanted) = args.graph {
        print_graphs(args, wanted, &settings, &checkpoint)?;
        return Ok(0);
    }
    let targets = targets(args)?;
    let soc = Soc::named(&args.soc)?;
    let costs = targets
        .iter()
        .map(|&(device, dtype)| DeviceCost::new(device, dtype, &settings, &checkpoint))
        .collect();
    let kernels = match (args.kernels, args.time_kernels) {
        (Switch::Off, _) => Kernels::Off,
        (Switch::On, false) => Kernels::Counted,
        (Switch::On, true) => Kernels::Timed,
    };
    let plans = targets
        .iter()
        .filter(|(device, _)| matches!(device.kind, DeviceKind::Cann | DeviceKind::Twin))
        .map(|&(_, dtype)| Plans::new(soc, kernels, dtype, &settings, &checkpoint, cancel))
        .collect::<Result<_>>()?;
    let report = report(args, &checkpoint, &settings, costs, plans)?;
    if args.json {
        print_json(&report)?;
    } else {
        print(&text(&report))?;
    }
    Ok(0)
}

/// A weight file or a component's directory, not a whole checkpoint.
fn is_component(path: &Path) -> bool {
    path.is_file() || (path.join("config.json").is_file() && !path.join("transformer").is_dir())
}

fn inspect_component(args: &InspectArgs, path: &Path) -> Result<()> {
    if args.graph.is_some() {
        return Err(Error::file(
            path,
            "is not a whole checkpoint, whose graphs can be shown; add the other components, or \
             leave out --graph",
        ));
    }
    let component = Component::at(None, path, &args.checkpoint.weights(), args.tensors)?;
    if args.json {
        print_json(&component)
    } else {
        print(&component.text())
    }
}

/// The devices and dtypes whose costs are shown.
fn targets(args: &InspectArgs) -> Result<Vec<(Device, DType)>> {
    let cuda: Device = "cuda".parse().expect("cuda is a device");
    let devices = match args.device.as_deref() {
        None | Some("auto") => vec![Device::CPU, cuda],
        Some(name) => vec![name.parse()?],
    };
    let dtype = |device: Device| args.dtype.wish().unwrap_or(device.kind.default_dtype());
    Ok(devices.into_iter().map(|d| (d, dtype(d))).collect())
}

fn print_graphs(
    args: &InspectArgs,
    wanted: GraphOf,
    settings: &Settings,
    checkpoint: &Checkpoint,
) -> Result<()> {
    let (_, dtype) = targets(args)?[0];
    let graphs = stage_graphs(settings, checkpoint, dtype);
    for part in graphs.iter().filter(|part| wanted.includes(part.stage)) {
        let times = if part.runs == 1 { "time" } else { "times" };
        let graph = part.graph.to_string();
        print(&format!(
            "# {}, {} {times}
{}",
            part.stage,
            part.runs,
            graph.trim_end()
        ))?;
    }
    Ok(())
}

fn report(
    args: &InspectArgs,
    checkpoint: &Checkpoint,
    settings: &Settings,
    costs: Vec<DeviceCost>,
    plans: Vec<Plans>,
) -> Result<Report> {
    let (transformer, vae, text) = (
        &checkpoint.transformer,
        &checkpoint.vae,
        &checkpoint.text_encoder,
    );
    let parts = [
        (transformer.role, &transformer.dir, &transformer.options),
        (vae.role, &vae.dir, &vae.options),
        (text.role, &text.dir, &text.options),
    ];
    let components = parts
        .into_iter()
        .map(|(role, dir, options)| Component::at(Some(role), dir, options, args.tensors))
        .collect::<Result<_>>()?;
    Ok(Report {
        model: checkpoint.name.clone(),
        components,
        tokenizer: checkpoint.tokenizer.clone(),
        scheduler: checkpoint.scheduler.class_name(),
        defaults: DefaultsReport::new(&checkpoint.defaults),
        request: RequestReport {
            height: settings.height,
            width: settings.width,
            frames: settings.frames,
            steps: settings.steps,
            text_tokens: settings.text_tokens,
            guided: settings.guided(),
            decode_chunk: settings.decode_chunk,
        },
        costs,
        plans,
    })
}

impl DefaultsReport {
    fn new(defaults: &Defaults) -> Self {
        Self {
            height: defaults.height,
            width: defaults.width,
            frames: defaults.frames,
            steps: defaults.steps,
            guidance_scale: defaults.guidance_scale,
            fps: defaults.fps,
            text_tokens: defaults.text_tokens,
            prompt_template: defaults.template.is_some(),
        }
    }
}

fn text(report: &Report) -> String {
    let mut rows = vec![component::row_head()];
    rows.extend(report.components.iter().map(Component::row));
    let d = &report.defaults;
    let r = &report.request;
    let mut blocks = vec![
        report.model.clone(),
        table(&rows),
        format!(
            "tokenizer {}\nscheduler {}\ndefaults {} frames of {}x{} at {} per second, {} steps, \
             guidance {}, {} text tokens, {} prompt template",
            report.tokenizer.display(),
            report.scheduler,
            d.frames,
            d.height,
            d.width,
            d.fps,
            d.steps,
            d.guidance_scale,
            d.text_tokens,
            if d.prompt_template { "with" } else { "no" },
        ),
    ];
    let lists: Vec<String> = report
        .components
        .iter()
        .filter_map(|component| Some(format!("{}\n{}", component.name(), component.list()?)))
        .collect();
    blocks.extend(lists);
    blocks.push(format!(
        "a generation: {} frames of {}x{}, {} steps, {}, {} text tokens, {}",
        r.frames,
        r.height,
        r.width,
        r.steps,
        if r.guided { "guided" } else { "unguided" },
        r.text_tokens,
        match r.decode_chunk {
            Some(chunk) => format!("{chunk} latent frames decoded at once"),
            None => "decoded at once".to_owned(),
        }
    ));
    blocks.extend(report.costs.iter().map(DeviceCost::text));
    blocks.extend(report.plans.iter().map(Plans::text));
    blocks.join("\n\n")
}
