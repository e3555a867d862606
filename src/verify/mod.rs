//! Checking that a device computes right: folders of inputs and outputs that the authors' own code
//! gave.
//!
//! # Format
//!
//! A folder holds `config.json` (the checkpoint's own config), `weights.safetensors` or a sub-folder
//! in hub layout (`transformer/`, `vae/`, ... with their config and weights), and any number of
//! `case-<name>.safetensors`. A case holds the inputs of one call as `in.<name>` and its outputs as
//! `out.<name>`. For each output, [`run`] reports the largest absolute difference and the normalised
//! mean square error `Σ (got - expected)² / Σ expected²`.

mod architectures;
mod pipeline;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

pub use architectures::{NAMES, Prepared, prepare};
pub use pipeline::{PipelineLimits, PipelineOutcome, run_pipeline};

use crate::backend::{Backend, DeviceWeights, check_weights, run_once};
use crate::models::config;
use crate::tensor::{DType, HostTensor};
use crate::weights::{OpenOptions, Weights};
use crate::{Error, Result};

/// What an output may differ by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Largest absolute difference, in units of `max(1, max |expected|)`.
    pub max_abs: Option<f64>,
    /// Normalised mean square error.
    pub max_nmse: f64,
}

impl Limits {
    /// The limits for a compute dtype: in f32, what separates a right model from one with the wrong
    /// variant of a function; in 16 bits, what rounding in the authors' own code comes to.
    pub fn of(dtype: DType) -> Self {
        match dtype {
            DType::F16 => Self {
                max_abs: None,
                max_nmse: 1e-5,
            },
            DType::BF16 => Self {
                max_abs: None,
                max_nmse: 3e-4,
            },
            _ => Self {
                max_abs: Some(1e-4),
                max_nmse: 1e-9,
            },
        }
    }
}

/// How one output of one case came out.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The case: `forward` of `case-forward.safetensors`.
    pub case: String,
    /// The output's name without `out.`.
    pub output: String,
    /// Largest absolute difference.
    pub max_abs: f64,
    /// The same in units of `max(1, max |expected|)`, which limits are stated in.
    pub relative: f64,
    /// Normalised mean square error.
    pub nmse: f64,
    /// Index of the largest difference in row-major order, with what was computed and expected there.
    pub worst: (usize, f64, f64),
    /// Whether the limits hold.
    pub ok: bool,
}

/// Runs every case of a folder.
///
/// # Errors
/// If the folder is not of the format, its files do not fit the architecture, or the device fails.
pub fn run(
    backend: &dyn Backend,
    architecture: &str,
    dir: &Path,
    dtype: DType,
    limits: Limits,
) -> Result<Vec<Outcome>> {
    let known = || {
        format!(
            "unknown architecture {architecture:?}; architectures are {}",
            NAMES.join(", ")
        )
    };
    if !NAMES.contains(&architecture) {
        return Err(Error::request(known()));
    }
    let component = component_dir(dir)?;
    let config_path = component.join("config.json");
    let config = config::read_json(&config_path)?;
    let golden = component.join("weights.safetensors");
    let place = if golden.is_file() {
        &golden
    } else {
        &component
    };
    let weights = Arc::new(Weights::open(place, &OpenOptions::default())?);
    let loaded = backend.load(weights.clone())?;
    let mut outcomes = vec![];
    for case in cases(dir)? {
        let tensors = read_case(&case)?;
        for part in prepare(architecture, &config_path, &config, &case, &tensors, dtype)? {
            check_weights(architecture, &part.graph, &weights, &["*"], false)?;
            outcomes.extend(run_part(backend, &loaded, &case, &part, &tensors, limits)?);
        }
    }
    Ok(outcomes)
}

fn run_part(
    backend: &dyn Backend,
    weights: &DeviceWeights,
    case: &Path,
    part: &Prepared,
    tensors: &BTreeMap<String, HostTensor>,
    limits: Limits,
) -> Result<Vec<Outcome>> {
    let outputs = run_once(backend, &part.graph, weights, &part.inputs)?;
    let mut outcomes = vec![];
    for (port, got) in part.graph.outputs.iter().zip(&outputs) {
        let Some(expected) = tensors.get(&format!("out.{}", port.name)) else {
            continue;
        };
        let case_name = case_name(case);
        if got.shape() != expected.shape() {
            let what = format!(
                "out.{} is {:?}, the model gives {:?}",
                port.name,
                expected.shape(),
                got.shape()
            );
            return Err(Error::file(case, what));
        }
        outcomes.push(compare(case_name, port.name.clone(), got, expected, limits));
    }
    Ok(outcomes)
}

/// Compares one output with what was expected.
pub fn compare(
    case: String,
    output: String,
    got: &HostTensor,
    expected: &HostTensor,
    limits: Limits,
) -> Outcome {
    let (got, expected) = (got.cast(DType::F32), expected.cast(DType::F32));
    let (mut worst, mut largest) = ((0, 0.0, 0.0), -1.0);
    let (mut error, mut power, mut scale) = (0.0, 0.0, 1.0f64);
    for (i, (&g, &e)) in got.as_f32().iter().zip(expected.as_f32()).enumerate() {
        let (g, e) = (f64::from(g), f64::from(e));
        let difference = if g.is_finite() {
            (g - e).abs()
        } else {
            f64::INFINITY
        };
        if difference > largest {
            (largest, worst) = (difference, (i, g, e));
        }
        error += difference * difference;
        power += e * e;
        scale = scale.max(e.abs());
    }
    let max_abs = largest.max(0.0);
    let nmse = if error == 0.0 { 0.0 } else { error / power };
    let relative = max_abs / scale;
    let ok = nmse <= limits.max_nmse && limits.max_abs.is_none_or(|limit| relative <= limit);
    Outcome {
        case,
        output,
        max_abs,
        relative,
        nmse,
        worst,
        ok,
    }
}

/// The folder with `config.json`: `dir` itself or its only sub-folder that has one.
fn component_dir(dir: &Path) -> Result<PathBuf> {
    if dir.join("config.json").is_file() {
        return Ok(dir.to_owned());
    }
    let entries = std::fs::read_dir(dir).map_err(Error::io("list", dir))?;
    let found: Vec<PathBuf> = entries
        .flatten()
        .map(|e| e.path())
        .filter(|p| p.join("config.json").is_file())
        .collect();
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(Error::file(
            dir,
            "has no config.json, nor a sub-folder with one",
        )),
        _ => Err(Error::file(
            dir,
            "has several sub-folders with a config.json; pass one of them",
        )),
    }
}

/// The case files of a folder, in order of their names.
fn cases(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(dir).map_err(Error::io("list", dir))?;
    let is_case = |path: &PathBuf| {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        name.starts_with("case-") && name.ends_with(".safetensors")
    };
    let mut cases: Vec<PathBuf> = entries
        .flatten()
        .map(|e| e.path())
        .filter(is_case)
        .collect();
    cases.sort();
    if cases.is_empty() {
        return Err(Error::file(dir, "has no case-*.safetensors"));
    }
    Ok(cases)
}

/// All tensors of a case file.
pub(crate) fn read_case(path: &Path) -> Result<BTreeMap<String, HostTensor>> {
    let file = Weights::open(path, &OpenOptions::default())?;
    file.names()
        .map(|name| Ok((name.to_owned(), file.read(name)?)))
        .collect()
}

fn case_name(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    stem.strip_prefix("case-").unwrap_or(&stem).to_owned()
}
