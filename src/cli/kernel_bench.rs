//! `ascendit kernel-bench`: what a kernel would take on a chip, by the twin's timing model. No data and no device.

use std::path::PathBuf;

use ascendit_kernels::twin::{Core, Outcome};
use ascendit_kernels::{BENCHES, Bench, Chip, ModelError, Plan};
use clap::Args;
use serde::Serialize;

use super::Global;
use super::output::{count_text, print, print_json, table};
use crate::backend::cann::soc::Soc;
use crate::backend::cann::timing::time;
use crate::cancel::Cancel;
use crate::disk::size_text;
use crate::media::{check_file, write_atomic};
use crate::{Error, Result};

#[derive(Args)]
pub(super) struct KernelBenchArgs {
    /// The kernel: see the list that a wrong name gives.
    #[arg(value_name = "KERNEL")]
    kernel: String,
    /// The Ascend chip: 910B1, 910B2, 910B3, 910B4, 910B4-1.
    #[arg(long, value_name = "CHIP", default_value = "910B2")]
    soc: String,
    /// Sizes, separated by commas; what they are depends on the kernel, and a wrong number of them tells.
    #[arg(long, value_name = "N,N,..", value_delimiter = ',', required = true)]
    shape: Vec<u64>,
    /// The type of the operands; the kernel's first one if absent.
    #[arg(long, value_name = "DTYPE")]
    dtype: Option<String>,
    /// Write the instructions of the first cores to a file that Perfetto (ui.perfetto.dev) opens.
    #[arg(long, value_name = "FILE.json")]
    trace: Option<PathBuf>,
    /// Replace the file of --trace if it exists.
    #[arg(long, requires = "trace")]
    overwrite: bool,
    /// Print JSON in place of text.
    #[arg(long)]
    json: bool,
}

/// Runs the command and returns the exit code.
pub(super) fn run(args: &KernelBenchArgs, _global: &Global, cancel: &Cancel) -> Result<u8> {
    let bench = find(&args.kernel)?;
    let soc = Soc::named(&args.soc)?;
    let chip = Chip::find(soc.name).expect("chips of plans are chips of the twin");
    let dtype = dtype(bench, args.dtype.as_deref())?;
    let names = bench.names(args.shape.len()).ok_or_else(|| {
        Error::request(format!(
            "kernel {}: the shape has {} sizes, expected {}",
            bench.kernel,
            args.shape.len(),
            bench.shape
        ))
    })?;
    if let Some(path) = &args.trace {
        check_file(path, args.overwrite)?;
    }
    let wrong = |why| Error::request(format!("kernel {}: {why}", bench.kernel));
    let (plan, operands) = (bench.plan)(&args.shape, dtype, chip).map_err(wrong)?;
    let outcome = time(&plan, operands, chip, args.trace.is_some(), cancel)?;
    if let (Some(path), Some(trace)) = (&args.trace, &outcome.trace) {
        write_atomic(path, trace, args.overwrite)?;
        tracing::info!("wrote {}", path.display());
    }
    let report = Report::new(bench, (names, &args.shape), dtype, soc, &plan, &outcome);
    match args.json {
        true => print_json(&report)?,
        false => print(&report.text())?,
    }
    Ok(0)
}

fn find(name: &str) -> Result<&'static Bench> {
    BENCHES
        .iter()
        .find(|bench| bench.kernel == name)
        .ok_or_else(|| {
            let known = |bench: &Bench| format!("{} ({})", bench.kernel, bench.shape);
            let known: Vec<_> = BENCHES.iter().map(known).collect();
            Error::request(format!(
                "unknown kernel {name:?}; kernels, with their shapes, are {}",
                known.join(", ")
            ))
        })
}

fn dtype(bench: &Bench, wish: Option<&str>) -> Result<&'static str> {
    let Some(wish) = wish else {
        return Ok(bench.dtypes[0]);
    };
    let found = bench.dtypes.iter().find(|dtype| **dtype == wish);
    found.copied().ok_or_else(|| {
        Error::request(format!(
            "kernel {} does not compute in {wish:?}, only in {}",
            bench.kernel,
            bench.dtypes.join(", ")
        ))
    })
}

/// A pipe of the cores of one kind.
#[derive(Serialize)]
struct PipeReport {
    /// `AIC` or `AIV`.
    core: &'static str,
    pipe: &'static str,
    /// Cycles in which it was busy: mean and largest over cores.
    mean_cycles: f64,
    largest_cycles: f64,
    /// Mean, of all cycles of the launch.
    utilisation: f64,
    instructions: u64,
}

/// What the timing model says. Nothing of it was measured.
#[derive(Serialize)]
struct Report {
    kernel: String,
    shape: Vec<u64>,
    shape_names: &'static str,
    soc: &'static str,
    blocks: u32,
    predicted_us: f64,
    predicted_cycles: f64,
    /// No launch can take less: operations at the peak, bytes at the memory's rate.
    roofline_us: f64,
    flops: u64,
    /// Of the cube's peak, 0 to 1; absent for kernels without products.
    mfu: Option<f64>,
    /// Each operand once.
    bytes: u64,
    effective_bytes_per_s: f64,
    read_bytes: u64,
    written_bytes: u64,
    hbm_read_bytes: u64,
    hbm_written_bytes: u64,
    bank_conflict_cycles: f64,
    pipes: Vec<PipeReport>,
    model_error: Option<ErrorReport>,
}

#[derive(Serialize)]
struct ErrorReport {
    what: &'static str,
    rows: usize,
    median: f64,
    largest: f64,
}

type Pipe = (&'static str, fn(&Core) -> (f64, u64));

const PIPES: [Pipe; 7] = [
    ("M", |core| core.M),
    ("V", |core| core.V),
    ("MTE1", |core| core.MTE1),
    ("MTE2", |core| core.MTE2),
    ("MTE3", |core| core.MTE3),
    ("FIX", |core| core.FIX),
    ("S", |core| core.S),
];

impl Report {
    fn new(
        bench: &Bench,
        (names, shape): (&'static str, &[u64]),
        dtype: &str,
        soc: &'static Soc,
        plan: &Plan,
        outcome: &Outcome,
    ) -> Self {
        let seconds = outcome.microseconds * 1e-6;
        let peak = soc.peak();
        let flops_per_s = match dtype {
            "f32" => peak.f32_flops,
            _ => peak.half_flops,
        };
        let roofline = (plan.flops as f64 / flops_per_s).max(plan.bytes as f64 / peak.bytes_per_s);
        let error = ModelError::of(bench.kernel).map(|error| ErrorReport {
            what: error.what,
            rows: error.rows,
            median: error.median,
            largest: error.largest,
        });
        Self {
            kernel: plan.kernel.clone(),
            shape: shape.to_vec(),
            shape_names: names,
            soc: soc.name,
            blocks: plan.blocks,
            predicted_us: outcome.microseconds,
            predicted_cycles: outcome.cycles,
            roofline_us: roofline * 1e6,
            flops: plan.flops,
            mfu: (plan.flops > 0).then(|| plan.flops as f64 / seconds / flops_per_s),
            bytes: plan.bytes,
            effective_bytes_per_s: plan.bytes as f64 / seconds,
            read_bytes: outcome.read,
            written_bytes: outcome.written,
            hbm_read_bytes: outcome.hbm_read,
            hbm_written_bytes: outcome.hbm_written,
            bank_conflict_cycles: outcome.cores.iter().map(|c| c.bank_conflicts).sum(),
            pipes: pipes(outcome),
            model_error: error,
        }
    }

    fn text(&self) -> String {
        let sizes: Vec<String> = self.shape.iter().map(u64::to_string).collect();
        let percent = |share: f64| format!("{:.1} %", 100.0 * share);
        let mut lines = vec![
            format!(
                "{} ({}) = ({}) on {}, {} blocks: a prediction, not a measurement",
                self.kernel,
                self.shape_names,
                sizes.join(","),
                self.soc,
                self.blocks
            ),
            format!(
                "predicted time: {:.2} us, {:.0} cycles; no less than {:.2} us by the roofline",
                self.predicted_us, self.predicted_cycles, self.roofline_us
            ),
            match &self.model_error {
                Some(error) => format!(
                    "the model's error for {}: median {}, at most {}, over {} measured times",
                    error.what,
                    percent(error.median),
                    percent(error.largest),
                    error.rows
                ),
                None => "the model's error for this kind of kernel was not measured".to_owned(),
            },
        ];
        if let Some(mfu) = self.mfu {
            lines.push(format!(
                "products: {}FLOP, {} of the cube's peak (MFU)",
                count_text(self.flops as f64),
                percent(mfu)
            ));
        }
        lines.push(format!(
            "operands: {}, {}B/s effective",
            size_text(self.bytes),
            count_text(self.effective_bytes_per_s)
        ));
        lines.push(format!(
            "cores read {} ({} of it from HBM) and write {} ({} of it to HBM)",
            size_text(self.read_bytes),
            size_text(self.hbm_read_bytes),
            size_text(self.written_bytes),
            size_text(self.hbm_written_bytes)
        ));
        lines.push(format!(
            "bank conflicts: {:.0} cycles, all cores together",
            self.bank_conflict_cycles
        ));
        let head = [
            "core",
            "pipe",
            "busy cycles",
            "most",
            "of time",
            "instructions",
        ];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        rows.extend(self.pipes.iter().map(|pipe| {
            vec![
                pipe.core.to_owned(),
                pipe.pipe.to_owned(),
                format!("{:.0}", pipe.mean_cycles),
                format!("{:.0}", pipe.largest_cycles),
                percent(pipe.utilisation),
                pipe.instructions.to_string(),
            ]
        }));
        lines.push(table(&rows));
        lines.join("\n")
    }
}

/// The pipes that did something.
fn pipes(outcome: &Outcome) -> Vec<PipeReport> {
    let mut reports = vec![];
    for (name, cube) in [("AIC", true), ("AIV", false)] {
        let cores: Vec<_> = outcome.cores.iter().filter(|c| c.cube == cube).collect();
        for (pipe, of) in PIPES {
            let instructions = cores.iter().map(|core| of(core).1).sum();
            if instructions == 0 {
                continue;
            }
            let busy = cores.iter().map(|core| of(core).0);
            let mean = busy.clone().sum::<f64>() / cores.len() as f64;
            reports.push(PipeReport {
                core: name,
                pipe,
                mean_cycles: mean,
                largest_cycles: busy.fold(0.0, f64::max),
                utilisation: mean / outcome.cycles,
                instructions,
            });
        }
    }
    reports
}
