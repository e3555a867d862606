//! What a generation is on an Ascend chip: launches, memory and a predicted time. No device is needed.

use std::collections::{BTreeMap, HashMap};

use ascendit_kernels::Chip;
use serde::Serialize;

use super::super::output::table;
use crate::Result;
use crate::backend::DeviceKind;
use crate::backend::cann::lower::Target;
use crate::backend::cann::plan::Plan;
use crate::backend::cann::predict::{Prediction, predict, workspace_bytes};
use crate::backend::cann::soc::Soc;
use crate::backend::cann::timing;
use crate::cancel::Cancel;
use crate::checkpoint::Checkpoint;
use crate::disk::size_text;
use crate::graph::cost;
use crate::pipeline::{Estimate, Settings, Stage, stage_graphs};
use crate::tensor::DType;

/// Whether plans have kernels of our own, and whether those are timed by the twin's model.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kernels {
    Off,
    Counted,
    Timed,
}

/// The plans of a generation's programs.
#[derive(Serialize)]
pub(super) struct Plans {
    chip: &'static str,
    dtype: &'static str,
    programs: Vec<ProgramPlan>,
    /// Weights, values and workspace that are there at once, at the most.
    peak_bytes: u64,
    memory_bytes: u64,
    predicted: Seconds,
}

/// One program: a graph at one size.
#[derive(Serialize)]
struct ProgramPlan {
    stage: Stage,
    runs: usize,
    launches: usize,
    operators: BTreeMap<String, OperatorPlan>,
    copies: usize,
    copied_bytes: u64,
    /// Copies that CANN makes first of operands that are not in one piece.
    hidden_copies: usize,
    hidden_bytes: u64,
    /// Convolutions whose operands change format inside CANN.
    reformatted: usize,
    moved_bytes: u64,
    weight_bytes: u64,
    arena_bytes: u64,
    /// An estimate: only CANN knows.
    workspace_bytes: u64,
    /// Of one run.
    predicted: Seconds,
}

#[derive(Default, Serialize)]
struct OperatorPlan {
    launches: usize,
    moved_bytes: u64,
}

/// A predicted range.
#[derive(Clone, Copy, Default, Serialize)]
struct Seconds {
    roofline_s: f64,
    calibrated_s: f64,
}

impl Plans {
    pub(super) fn new(
        soc: &Soc,
        kernels: Kernels,
        dtype: DType,
        settings: &Settings,
        checkpoint: &Checkpoint,
        cancel: &Cancel,
    ) -> Result<Self> {
        let chip = Chip::find(soc.name).expect("chips of plans are chips of the twin");
        let target = Target {
            kernels: (kernels != Kernels::Off).then_some(*chip),
            ..Target::CANN
        };
        let graphs = stage_graphs(settings, checkpoint, dtype);
        let programs: Vec<ProgramPlan> = graphs
            .iter()
            .map(|part| -> Result<_> {
                let plan = Plan::new(&part.graph, target);
                let weights = cost::weight_bytes(&part.graph);
                let timed = match kernels {
                    Kernels::Timed => timing::seconds(&plan, chip, cancel)?,
                    _ => HashMap::new(),
                };
                let predicted = predict(&plan, &timed, soc);
                Ok(ProgramPlan::new(
                    part.stage, part.runs, &plan, weights, predicted, soc,
                ))
            })
            .collect::<Result<_>>()?;
        let mut predicted = Seconds::default();
        for program in &programs {
            predicted.roofline_s += program.runs as f64 * program.predicted.roofline_s;
            predicted.calibrated_s += program.runs as f64 * program.predicted.calibrated_s;
        }
        Ok(Self {
            chip: soc.name,
            dtype: dtype.name(),
            peak_bytes: Estimate::on(DeviceKind::Cann, settings, checkpoint, dtype).peak_bytes(),
            memory_bytes: soc.memory_bytes,
            programs,
            predicted,
        })
    }

    pub(super) fn text(&self) -> String {
        let head = [
            "",
            "runs",
            "launches",
            "moved",
            "copies",
            "copied",
            "hidden",
            "weights",
            "arena",
            "workspace",
            "predicted for a run",
        ];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        rows[0][0] = format!("plan for {}, {}", self.chip, self.dtype);
        for program in &self.programs {
            rows.push(vec![
                program.stage.to_string(),
                program.runs.to_string(),
                program.launches.to_string(),
                size_text(program.moved_bytes),
                program.copies.to_string(),
                size_text(program.copied_bytes),
                size_text(program.hidden_bytes),
                size_text(program.weight_bytes),
                size_text(program.arena_bytes),
                size_text(program.workspace_bytes),
                program.predicted.text(),
            ]);
        }
        let fits = match self.peak_bytes <= self.memory_bytes {
            true => "fits",
            false => "does not fit",
        };
        let mut blocks = vec![table(&rows)];
        for program in &self.programs {
            let mut rows = vec![vec![
                format!("{}, one run", program.stage),
                "launches".to_owned(),
                "moved".to_owned(),
            ]];
            rows.extend(program.operators.iter().map(|(name, operator)| {
                let count = operator.launches.to_string();
                vec![name.clone(), count, size_text(operator.moved_bytes)]
            }));
            blocks.push(table(&rows));
        }
        blocks.push(format!(
            "peak memory about {}, which {fits} into the {} of a {}; workspaces are an estimate\n\
             predicted for a generation: {}, counted from operations and bytes (roofline to \
             calibrated); nothing was measured on a chip",
            size_text(self.peak_bytes),
            size_text(self.memory_bytes),
            self.chip,
            self.predicted.text(),
        ));
        blocks.join("\n\n")
    }
}

impl ProgramPlan {
    fn new(
        stage: Stage,
        runs: usize,
        plan: &Plan,
        weight_bytes: u64,
        seconds: Prediction,
        soc: &Soc,
    ) -> Self {
        let mut operators: BTreeMap<String, OperatorPlan> = BTreeMap::new();
        for launch in &plan.launches {
            let operator = operators
                .entry(launch.call.op.name().to_owned())
                .or_default();
            operator.launches += 1;
            operator.moved_bytes += launch.call.bytes();
        }
        let counts = plan.counts();
        Self {
            stage,
            runs,
            launches: counts.launches,
            operators,
            copies: counts.copies,
            copied_bytes: counts.copied_bytes,
            hidden_copies: counts.hidden_copies,
            hidden_bytes: counts.hidden_bytes,
            reformatted: counts.reformatted,
            moved_bytes: plan.moved_bytes(),
            weight_bytes,
            arena_bytes: plan.arena_bytes as u64,
            workspace_bytes: workspace_bytes(plan, soc),
            predicted: Seconds {
                roofline_s: seconds.roofline_s,
                calibrated_s: seconds.calibrated_s,
            },
        }
    }
}

impl Seconds {
    fn text(self) -> String {
        let digits = |s: f64| match s {
            s if s < 0.001 => format!("{:.0} us", s * 1e6),
            s if s < 1.0 => format!("{:.1} ms", s * 1e3),
            s => format!("{s:.2} s"),
        };
        format!(
            "{} to {}",
            digits(self.roofline_s),
            digits(self.calibrated_s)
        )
    }
}
