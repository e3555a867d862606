//! `kernel-bench`.

use serde_json::Value;

use super::program::Place;

#[test]
fn a_prediction_is_called_one_and_comes_with_the_models_error() {
    let place = Place::new();
    let ran = place.run("kernel-bench gated_residual --shape 1,4096,512 --soc 910B4");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(
        lines[0],
        "gated_residual_f16 (B,S,C) = (1,4096,512) on 910B4, 40 blocks: a prediction, not a measurement"
    );
    for (line, begin) in [
        (1, "predicted time: "),
        (2, "the model's error for "),
        (3, "operands: 12.6 MB, "),
        (4, "cores read "),
        (5, "bank conflicts: "),
        (6, "core  pipe  busy cycles"),
    ] {
        assert!(lines[line].starts_with(begin), "{}", ran.stdout);
    }
}

#[test]
fn a_prediction_is_no_shorter_than_the_roofline_and_a_trace_is_written_whole() {
    let place = Place::new();
    let command = "kernel-bench rope --shape 1,512,4,64 --dtype bf16 --json --trace trace.json";
    let ran = place.run(command);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let report: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let [predicted, roofline] =
        ["predicted_us", "roofline_us"].map(|key| report[key].as_f64().expect("a number"));
    assert!(predicted >= roofline && roofline > 0.0, "{report}");
    assert_eq!(report["kernel"], "rope_bf16");
    assert!(report["mfu"].is_null());
    let trace: Value = serde_json::from_slice(&place.read("trace.json")).expect("JSON");
    let events = trace["traceEvents"].as_array().expect("events");
    assert!(!events.is_empty());

    let again = place.run(command);
    assert_eq!(again.code, Some(2), "{again:?}");
    assert_eq!(
        again.stderr,
        "ERROR trace.json exists; pass --overwrite to replace it\n"
    );
    let other = place.run(&format!("{command} --overwrite"));
    assert_eq!(other.code, Some(0), "{other:?}");
    assert_eq!(place.files().len(), 1);
}

#[test]
fn what_is_not_there_is_said_with_what_is() {
    let place = Place::new();
    for (args, error) in [
        (
            "gated_residual --shape 1,2",
            "kernel gated_residual: the shape has 2 sizes, expected B,S,C",
        ),
        (
            "gated_residual --shape 1,2,0",
            "kernel gated_residual: C is 0",
        ),
        (
            "gated_residual --shape 1,2,3 --dtype f32",
            "kernel gated_residual does not compute in \"f32\", only in f16, bf16",
        ),
        (
            "gated_residual --shape 1,2,3 --soc 910A",
            "unknown chip \"910A\"; chips are 910B1, 910B2, 910B3, 910B4, 910B4-1",
        ),
        (
            "gated_residual --shape 1,2,3 --trace no/trace.json",
            "cannot write no/trace.json: the folder no does not exist; create it first",
        ),
    ] {
        let ran = place.run(&format!("kernel-bench {args}"));
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert_eq!(ran.stderr, format!("ERROR {error}\n"));
    }
    let unknown = place.run("kernel-bench flash --shape 1").stderr;
    assert!(
        unknown.starts_with("ERROR unknown kernel \"flash\"; kernels, with their shapes, are ")
            && unknown.contains("attention (B,H,S,D or B,H,SQ,SKV,D)"),
        "{unknown}"
    );
    assert!(place.files().is_empty());
}
