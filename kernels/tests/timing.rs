//! The timing model against measured times of real devices.
//!
//! `ASCENDIT_NPU_MEASURED` names a folder of CSV files with the columns `soc,op,shapes,dtype,core_count,measured_us` (more
//! may follow): `shapes` is `in0;in1>out0` with `x` between dimensions, or `B1;H1;S0=..;S1=..;D128`. Every row for which
//! there is a kernel in `twin/validation` is launched on the twin, timed only, and compared. Without the variable the
//! comparison says so and does nothing.

#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use ascendit_kernels::twin::{Launch, Memory, Modes, Outcome, kernel};
use ascendit_kernels::{Chip, Operand, validation};

/// Operand and plan of a launch.
type Timed = (ascendit_kernels::Plan, Vec<Operand>);

/// One measured row.
#[derive(Clone, Debug)]
struct Row {
    soc: String,
    op: String,
    shapes: String,
    dtype: String,
    measured: f64,
}

/// A row with what the model says of it.
struct Compared {
    row: Row,
    class: String,
    predicted: f64,
    error: f64,
}

/// Fields of a line of CSV; quotes hold commas together.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            c => fields.last_mut().expect("one from the start").push(c),
        }
    }
    fields
}

fn rows(folder: &Path) -> Vec<Row> {
    let entries = std::fs::read_dir(folder).expect("the folder of measured rows");
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "csv"));
    files.sort();
    let mut rows = vec![];
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let mut lines = text.lines();
        let header = fields(lines.next().unwrap_or_default());
        let place = |name: &str| header.iter().position(|column| column == name);
        let columns = ["soc", "op", "shapes", "dtype", "measured_us"].map(place);
        let [
            Some(soc),
            Some(op),
            Some(shapes),
            Some(dtype),
            Some(measured),
        ] = columns
        else {
            continue;
        };
        for line in lines.filter(|line| !line.is_empty()) {
            let line = fields(line);
            rows.push(Row {
                soc: line[soc].clone(),
                op: line[op].clone(),
                shapes: line[shapes].clone(),
                dtype: line[dtype].clone(),
                measured: line[measured].parse().unwrap(),
            });
        }
    }
    rows
}

/// The chip of a row. A die of an A3 is configured as a 910B1; where a source names only the generation, its cores are
/// those of a 910B2.
fn chip(soc: &str) -> Option<&'static Chip> {
    if soc.starts_with("A3-die") {
        return Chip::find("910B1");
    }
    if soc.contains("A2/A3") {
        return Chip::find("910B2");
    }
    Chip::find(soc)
}

/// FLOP/s of f16 and bytes/s of HBM, nominal: what a roofline is made of.
fn peaks(chip: &Chip) -> (f64, f64) {
    let (mhz, hbm) = match chip.name {
        "910B1" => (1850.0, 1.6e12),
        "910B2" | "910B3" => (1800.0, 1.6e12),
        "910B4" => (1500.0, 0.8e12),
        _ => (1500.0, 1.6e12),
    };
    (f64::from(chip.cube_cores) * 8192.0 * mhz * 1e6, hbm)
}

fn dims(shape: &str) -> Option<Vec<u64>> {
    shape.split('x').map(|dim| dim.parse().ok()).collect()
}

/// The kernel that stands for a row's operator, and the row's class; none where there is no such kernel.
fn plan(row: &Row) -> Option<(String, Timed)> {
    let chip = chip(&row.soc)?;
    if row.op.starts_with("flash_attention") {
        let field = |name: &str| {
            let part = row.shapes.split(';').find_map(|p| p.strip_prefix(name))?;
            part.trim_start_matches('=').parse::<u64>().ok()
        };
        let (batch, heads) = (field("B")?, field("H")?);
        let (queries, keys, dim) = (field("S0")?, field("S1")?, field("D")?);
        let timed =
            validation::attention(batch * heads, queries, keys, dim, &row.dtype, chip).ok()?;
        let class = if row.measured > 300.0 {
            "attention > 300 us"
        } else {
            "attention, shorter"
        };
        return Some((class.into(), timed));
    }
    let (inputs, outputs) = row.shapes.split_once('>')?;
    let inputs: Vec<_> = inputs.split(';').map(dims).collect::<Option<_>>()?;
    let output = dims(outputs.split(';').next()?)?;
    let types: Vec<&str> = row.dtype.split([',', '>']).collect();
    let count = |dims: &[u64]| dims.iter().product::<u64>();
    let last = *output.last()?;
    let first = inputs.first()?;
    let (name, timed) = match row.op.as_str() {
        op if op.starts_with("MatMulV") || op.starts_with("matmul:") => {
            let [m, k] = first[..] else { return None };
            let dtype = match (types[0], *types.last()?) {
                ("f16", "f32") => "f16_f32",
                (same, _) => same,
            };
            let timed = validation::matmul(m, k, last, dtype, chip).ok()?;
            let flop = timed.0.flops as f64;
            let class = if flop > 20e9 {
                "matmul > 20 GFLOP"
            } else if flop > 1e9 {
                "matmul 1-20 GFLOP"
            } else {
                "matmul < 1 GFLOP"
            };
            return Some((class.into(), timed));
        }
        "Add" | "Mul" => {
            let [a, b] = &inputs[..] else { return None };
            let one_row = a != b && count(b) == last;
            if count(a) != count(&output) || (a != b && !one_row) || types[0].starts_with('i') {
                return None;
            }
            let op = row.op.to_lowercase();
            let rows = count(&output) / last;
            (
                "elementwise",
                validation::binary(&op, rows, last, one_row, types[0], chip).ok()?,
            )
        }
        "Cast" | "DtypeCast" => (
            "elementwise",
            validation::cast(count(first), types[0], types[1], chip).ok()?,
        ),
        "TensorMove" => (
            "elementwise",
            validation::cast(count(first), types[0], types[0], chip).ok()?,
        ),
        "SwiGlu" => (
            "elementwise",
            validation::swiglu(count(&output) / last, last, types[0], chip).ok()?,
        ),
        "RmsNorm" | "AddRmsNorm" | "LayerNormV3" => {
            let (name, gamma) = match row.op.as_str() {
                "RmsNorm" => ("rms_norm", 1),
                "AddRmsNorm" => ("add_rms_norm", 2),
                _ => ("layer_norm", 1),
            };
            let columns = count(inputs.get(gamma)?);
            let rows = count(first) / columns;
            (
                "norm",
                validation::norm(name, rows, columns, types[0], chip).ok()?,
            )
        }
        "Transpose" => {
            let ([a, b, c], [d, e, f]) = (&first[..], &output[..]) else {
                return None;
            };
            if (a, b, c) != (d, f, e) {
                return None;
            }
            ("elementwise", validation::transpose(*a, *b, *c, chip).ok()?)
        }
        _ => return None,
    };
    let size = if timed.0.bytes > 20_000_000 { ">" } else { "<" };
    Some((format!("{name} {size} 20 MB"), timed))
}

/// Times a launch; operands have no contents.
fn time((plan, operands): &Timed, chip: &Chip) -> Result<Outcome, String> {
    let kernel = kernel(&plan.kernel).ok_or_else(|| format!("no kernel {}", plan.kernel))?;
    let mut memory = Memory::default();
    let mut launch = Launch::new(chip.name, plan.blocks, Modes::TIMED);
    for operand in operands {
        let buffer = match operand {
            Operand::Absent(bytes) => memory.absent(*bytes),
            Operand::Present(bytes) => memory.present(bytes),
            Operand::Null => {
                launch.null();
                continue;
            }
        };
        launch.buffer(buffer, 0);
    }
    launch.tiling(&plan.tiling);
    launch.run(kernel, &mut memory)
}

/// Microseconds that a launch cannot go below: its FLOPs at the cube's peak, and each operand once through HBM.
fn roofline(plan: &ascendit_kernels::Plan, chip: &Chip) -> f64 {
    let (peak, hbm) = peaks(chip);
    let peak = if plan.kernel == "matmul_hf32" {
        peak / 2.0
    } else {
        peak
    };
    1e6 * (plan.flops as f64 / peak).max(plan.bytes as f64 / hbm)
}

fn quantile(sorted: &[f64], q: f64) -> f64 {
    let at = q * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    low + (high - low) * at.fract()
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

fn report(class: &str, rows: &[&Compared]) -> f64 {
    let absolute = sorted(rows.iter().map(|row| row.error.abs()));
    let signed = sorted(rows.iter().map(|row| row.error));
    println!(
        "{class:20} {:3} rows  median |error| {:5.1} %  p90 {:5.1} %  signed median {:+5.1} %",
        rows.len(),
        100.0 * quantile(&absolute, 0.5),
        100.0 * quantile(&absolute, 0.9),
        100.0 * quantile(&signed, 0.5),
    );
    quantile(&absolute, 0.5)
}

#[test]
fn predictions_agree_with_measured_rows_and_stay_above_the_roofline() {
    let Some(folder) = std::env::var_os("ASCENDIT_NPU_MEASURED") else {
        eprintln!(
            "SKIPPED: ASCENDIT_NPU_MEASURED names no folder of measured rows, nothing is compared"
        );
        return;
    };
    let mut compared: Vec<Compared> = vec![];
    let (mut low, mut faults) = (vec![], vec![]);
    let mut unused = BTreeMap::<String, usize>::new();
    let begin = Instant::now();
    for row in rows(Path::new(&folder)) {
        let Some((class, timed)) = plan(&row) else {
            *unused.entry(row.op.clone()).or_default() += 1;
            continue;
        };
        let chip = chip(&row.soc).expect("planned");
        let outcome = match time(&timed, chip) {
            Ok(outcome) => outcome,
            Err(fault) => {
                faults.push(fault);
                continue;
            }
        };
        let predicted = outcome.microseconds;
        if predicted < roofline(&timed.0, chip) {
            low.push(format!("{} {} {}", row.soc, row.op, row.shapes));
        }
        compared.push(Compared {
            error: predicted / row.measured - 1.0,
            row,
            class,
            predicted,
        });
    }
    let mut classes = BTreeMap::<&str, Vec<&Compared>>::new();
    for row in &compared {
        classes.entry(&row.class).or_default().push(row);
    }
    println!(
        "{} rows in {:.1} s",
        compared.len(),
        begin.elapsed().as_secs_f64()
    );
    let mut medians = BTreeMap::new();
    for (class, rows) in &classes {
        medians.insert(*class, report(class, rows));
    }
    for (class, rows) in &mut classes {
        println!("{class}");
        rows.sort_by(|a, b| b.error.abs().total_cmp(&a.error.abs()));
        for row in rows.iter() {
            println!(
                "  {:+6.1} %  predicted {:9.2} us, measured {:9.2} us: {} {} {} {}",
                100.0 * row.error,
                row.predicted,
                row.row.measured,
                row.row.soc,
                row.row.op,
                row.row.shapes,
                row.row.dtype
            );
        }
    }
    println!("rows of operators or shapes without a kernel: {unused:?}");
    faults.dedup();
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(low.is_empty(), "below the roofline: {low:#?}");
    let bars = [
        ("matmul > 20 GFLOP", 0.10),
        ("elementwise > 20 MB", 0.25),
        ("norm > 20 MB", 0.25),
        ("attention > 300 us", 0.15),
    ];
    for (class, bar) in bars {
        let median = *medians
            .get(class)
            .unwrap_or_else(|| panic!("no rows of class {class}"));
        assert!(
            median <= bar,
            "{class}: median error {median:.3}, the bar is {bar}"
        );
    }
}
