//! Virtual time does not depend on what else a launch does, and traces show it. The kernels are those of `broken`,
//! repaired.

#![cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]

use std::collections::{BTreeMap, BTreeSet};

use ascendit_kernels::twin::{Kernel, Launch, Memory, Modes, Outcome, broken_kernels};
use ascendit_kernels::{BENCHES, Chip, Operand};
use serde_json::Value;

const BYTES: usize = 64 * 1024;

fn kernel(name: &str) -> Kernel {
    let mut kernels = broken_kernels().iter();
    *kernels.find(|kernel| kernel.name() == name).unwrap()
}

fn launch(kernel: Kernel, modes: Modes) -> Outcome {
    let mut memory = Memory::default();
    let mut launch = Launch::new("910B2", 1, modes);
    for _ in 0..3 {
        let buffer = if modes.compute {
            memory.present(&[0; BYTES])
        } else {
            memory.absent(BYTES as u64)
        };
        launch.buffer(buffer, 0);
    }
    launch.value(&1u32).run(kernel, &mut memory).unwrap()
}

#[test]
fn a_launch_takes_as_long_with_checks_and_data_as_without() {
    for &kernel in broken_kernels() {
        let checked = launch(kernel, Modes::CHECKED);
        assert_eq!(checked, launch(kernel, Modes::TIMED), "{}", kernel.name());
        assert_eq!(checked, launch(kernel, Modes::CHECKED), "{}", kernel.name());
    }
}

#[test]
fn instructions_of_a_pipe_follow_each_other_in_a_trace() {
    let traced = Modes {
        trace: true,
        ..Modes::TIMED
    };
    let outcome = launch(kernel("no_flag_between_cores"), traced);
    let trace: Value = serde_json::from_str(&outcome.trace.unwrap()).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let of = |kind: &'static str| events.iter().filter(move |event| event["ph"] == kind);

    let mut rows = BTreeMap::new();
    for event in of("M").filter(|event| event["name"] == "thread_name") {
        let name = event["args"]["name"].as_str().unwrap();
        rows.insert((event["pid"].as_u64(), event["tid"].as_u64()), name);
    }
    let mut ends: BTreeMap<&str, f64> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for event in of("X") {
        let row = rows[&(event["pid"].as_u64(), event["tid"].as_u64())];
        let begin = event["ts"].as_f64().unwrap();
        let end = ends.entry(row).or_default();
        // Times have four digits behind the point.
        assert!(begin > *end - 2e-4, "{event} begins before {end}");
        *end = begin + event["dur"].as_f64().unwrap();
        seen.insert((row, event["name"].as_str().unwrap()));
    }
    let expected = [
        ("AIC MTE2", "DataCopy"),
        ("AIV 0 MTE3", "DataCopy"),
        ("AIV 0 V", "Duplicate"),
        ("AIV 1 MTE3", "DataCopy"),
        ("AIV 1 V", "Duplicate"),
    ];
    assert_eq!(seen, BTreeSet::from(expected));
    let last = ends.values().fold(0.0, |a: f64, b| a.max(*b));
    assert!(last <= outcome.microseconds, "{last} is behind the end");

    assert!(of("C").count() > 0);
    for event in of("C") {
        let percent = event["args"]["percent"].as_f64().unwrap();
        assert!((0.0..=100.1).contains(&percent), "{event}");
    }
}

/// Cycles that a launch loses to banks, and cycles that its vector units are busy, over all cores.
fn conflicts(name: &str, shape: &[u64]) -> (f64, f64) {
    let bench = BENCHES.iter().find(|bench| bench.kernel == name).unwrap();
    let chip = Chip::find("910B2").unwrap();
    let (plan, operands) = (bench.plan)(shape, "f16", chip).unwrap();
    let mut memory = Memory::default();
    let mut launch = Launch::new(chip.name, plan.blocks, Modes::TIMED);
    for operand in operands {
        match operand {
            Operand::Absent(bytes) => launch.buffer(memory.absent(bytes), 0),
            Operand::Present(bytes) => launch.buffer(memory.present(&bytes), 0),
            Operand::Null => launch.null(),
        };
    }
    launch.tiling(&plan.tiling);
    let kernel = ascendit_kernels::twin::kernel(&plan.kernel).unwrap();
    let outcome = launch.run(kernel, &mut memory).unwrap();
    let cores = outcome.cores.iter();
    cores.fold((0.0, 0.0), |(lost, busy), core| {
        (lost + core.bank_conflicts, busy + core.V.0)
    })
}

#[test]
fn operands_in_one_bank_are_counted() {
    // A stock kernel adds two operands whose buffers begin at the same bank: each repeat takes two cycles for one.
    let (lost, busy) = conflicts("stock_add", &[256, 4096]);
    assert!(lost > 0.0 && lost <= busy / 2.0, "{lost} of {busy}");
    // Buffers of this kernel lie half a round of banks apart.
    let (lost, busy) = conflicts("gated_residual", &[1, 256, 4096]);
    assert!(lost == 0.0 && busy > 0.0, "{lost} of {busy}");
}
