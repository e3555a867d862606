//! The samplers and the noise generator against diffusers and PyTorch: `tests/data/schedulers`
//! and `tests/data/torch-rng`, whose READMEs say how the numbers were made.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use ascendit::samplers::{
    Churn, Generator, Sampler, SamplerClass, SamplerConfig, SamplerOptions, sampler,
};
use safetensors::{Dtype, SafeTensors};
use serde_json::{Map, Value};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

/// The values of a tensor, whatever its type, or nothing if the file lacks it.
fn values(file: &SafeTensors, name: &str) -> Option<Vec<f32>> {
    let tensor = file.tensor(name).ok()?;
    let bytes = tensor.data();
    Some(match tensor.dtype() {
        Dtype::F32 => bytes
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
            .collect(),
        Dtype::I64 => bytes
            .chunks_exact(8)
            .map(|b| i64::from_le_bytes(b.try_into().unwrap()) as f32)
            .collect(),
        Dtype::BOOL => bytes.iter().map(|&b| f32::from(b)).collect(),
        other => panic!("{name} is {other:?}"),
    })
}

/// Says where `got` is furthest from `expected`, if it is too far.
fn difference(what: &str, got: &[f32], expected: &[f32]) -> Option<String> {
    if got.len() != expected.len() {
        return Some(format!("{what}: {} of {}", got.len(), expected.len()));
    }
    let largest = expected.iter().fold(1.0f32, |max, x| max.max(x.abs()));
    let distance = |i: &usize| {
        let d = (got[*i] - expected[*i]).abs();
        if d.is_nan() { f32::INFINITY } else { d }
    };
    let worst = (0..got.len()).max_by(|a, b| distance(a).total_cmp(&distance(b)))?;
    (distance(&worst) > 1e-5 * largest).then(|| {
        format!(
            "{what}[{worst}] is {} instead of {} (largest {largest})",
            got[worst], expected[worst]
        )
    })
}

#[test]
fn normals_are_those_of_pytorch() {
    let cases: Value =
        serde_json::from_slice(&std::fs::read(data("torch-rng/cases.json")).unwrap()).unwrap();
    let bytes = std::fs::read(data("torch-rng/normals.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let cases = cases.as_array().unwrap();
    assert_eq!(cases.len(), 7);
    for case in cases {
        let mut generator = Generator::new(case["seed"].as_u64().unwrap());
        for part in ["first", "second"] {
            let name = format!("{}.{part}", case["index"]);
            let expected = values(&file, &name).unwrap();
            let got = generator.randn(expected.len());
            for (i, (a, b)) in got.iter().zip(&expected).enumerate() {
                assert!((a - b).abs() <= 2e-6, "{name}[{i}]: {a} instead of {b}");
            }
        }
    }
}

/// The sampler that a golden case asks for.
fn golden_sampler(case: &Value) -> Sampler {
    let mut json = case["config"].clone();
    json["_class_name"] = case["scheduler"].clone();
    let config = SamplerConfig::from_json(&json, Path::new("cases.json")).unwrap();
    let (schedule, step) = (&case["set_timesteps_kwargs"], &case["step_kwargs"]);
    let sigmas = schedule["sigmas"].as_array();
    let number = |key: &str, default| step[key].as_f64().unwrap_or(default) as f32;
    let options = SamplerOptions {
        batch: 2,
        sigmas: sigmas.map(|s| s.iter().map(|s| s.as_f64().unwrap()).collect()),
        mu: schedule["mu"].as_f64(),
        eta: number("eta", 0.0),
        use_clipped_model_output: step["use_clipped_model_output"] == true,
        churn: Churn {
            amount: number("s_churn", 0.0),
            sigma_min: number("s_tmin", 0.0),
            sigma_max: number("s_tmax", f64::INFINITY),
            noise: number("s_noise", 1.0),
        },
    };
    let steps = case["num_inference_steps"].as_u64();
    let steps = steps.unwrap_or_else(|| sigmas.unwrap().len() as u64) as usize;
    sampler(&config, steps, &options).unwrap()
}

/// Everything in which a case differs from the reference.
fn golden_differences(case: &Value, file: &SafeTensors) -> Vec<String> {
    let mut sampler = golden_sampler(case);
    let get = |name: &str| values(file, name).unwrap();
    let timesteps = get("out.timesteps");
    let mut problems = vec![
        difference("timesteps", sampler.timesteps(), &timesteps),
        difference(
            "init_noise_sigma",
            &[sampler.init_noise_sigma()],
            &get("out.init_noise_sigma"),
        ),
    ];
    if let Some(sigmas) = values(file, "out.sigmas") {
        problems.push(difference("sigmas", sampler.sigmas(), &sigmas));
    } else {
        assert!(sampler.sigmas().is_empty());
    }
    if let Some(expected) = values(file, "out.add_noise") {
        let clean = get("in.add_noise_clean");
        let noise = get("in.add_noise_noise");
        let n = clean.len() / 3;
        for (k, t) in get("in.add_noise_timesteps").iter().enumerate() {
            // Where a timestep comes twice the reference takes the second one.
            let mut found = (0..timesteps.len()).filter(|&i| timesteps[i] == *t);
            let first = found.next().unwrap();
            let i = found.next().unwrap_or(first);
            let part = k * n..(k + 1) * n;
            let got = sampler
                .add_noise(&clean[part.clone()], &noise[part.clone()], i)
                .unwrap();
            problems.push(difference(
                &format!("add_noise at {t}"),
                &got,
                &expected[part],
            ));
        }
    }

    let calls = timesteps.len();
    let at = |all: &[f32], i: usize| {
        let n = all.len() / calls;
        all[i * n..(i + 1) * n].to_vec()
    };
    let (outputs, scaled) = (get("in.model_outputs"), get("out.scaled_inputs"));
    let (samples, originals) = (get("out.samples"), values(file, "out.pred_original"));
    let noises = values(file, "in.noise");
    let noise_used = values(file, "in.noise_used");
    let mut sample = get("in.sample");
    for i in 0..calls {
        let input = sampler.scale_model_input(&sample, i);
        problems.push(difference(&format!("input {i}"), &input, &at(&scaled, i)));
        let drawn = Cell::new(false);
        let step = sampler
            .step(i, &at(&outputs, i), &sample, &mut |n| {
                assert!(!drawn.replace(true), "noise is drawn once");
                let noise = at(noises.as_ref().unwrap(), i);
                assert_eq!(noise.len(), n);
                noise
            })
            .unwrap();
        let expected_draw = noise_used.as_ref().is_some_and(|used| used[i] == 1.0);
        if drawn.get() != expected_draw {
            problems.push(Some(format!("noise drawn at {i}: {}", drawn.get())));
        }
        if let Some(originals) = &originals {
            problems.push(difference(
                &format!("pred_original {i}"),
                &step.pred_original.unwrap(),
                &at(originals, i),
            ));
        }
        sample = step.prev_sample;
        problems.push(difference(
            &format!("sample {i}"),
            &sample,
            &at(&samples, i),
        ));
    }
    problems.into_iter().flatten().collect()
}

fn golden_cases() -> Map<String, Value> {
    // Python writes an infinity that JSON lacks.
    let text = std::fs::read_to_string(data("schedulers/cases.json")).unwrap();
    serde_json::from_str(&text.replace("-Infinity", "\"-Infinity\"")).unwrap()
}

#[test]
fn every_scheduler_does_what_diffusers_does() {
    let cases = golden_cases();
    assert_eq!(cases.len(), 60);
    let mut failing = Vec::new();
    for (name, case) in &cases {
        let path = data(&format!("schedulers/case-{name}.safetensors"));
        let bytes = std::fs::read(path).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let problems = golden_differences(case, &file);
        if !problems.is_empty() {
            let first = problems[..problems.len().min(3)].join("\n    ");
            failing.push(format!("{name}: {} problems\n    {first}", problems.len()));
        }
    }
    assert!(
        failing.is_empty(),
        "{} of {} cases fail:\n{}",
        failing.len(),
        cases.len(),
        failing.join("\n")
    );
}

#[test]
fn every_class_has_a_golden_case() {
    let cases = golden_cases();
    for class in SamplerClass::ALL {
        assert!(
            cases.values().any(|case| case["scheduler"] == class.name()),
            "{}",
            class.name()
        );
    }
}
