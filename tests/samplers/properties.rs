//! What holds for every configuration that is accepted.

use std::path::Path;

use ascendit::samplers::{Generator, SamplerClass, SamplerConfig, SamplerOptions, sampler};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

/// A key and a value for it that at least one class takes, or now and then one that none does.
fn setting() -> impl Strategy<Value = (String, Value)> {
    let all = json!({
        "num_train_timesteps": [1, 2, 10, 999, 1000, 4000],
        "beta_start": [0.0001, 0.00085, 0.01, 1e-7],
        "beta_end": [0.012, 0.02, 0.5, 1.0],
        "beta_schedule": ["linear", "scaled_linear", "squaredcos_cap_v2", "exp", "sigmoid"],
        "trained_betas": [[0.1], [0.1, 0.5], null],
        "rescale_betas_zero_snr": [true, false],
        "prediction_type": ["epsilon", "sample", "v_prediction"],
        "timestep_spacing": ["leading", "linspace", "trailing"],
        "steps_offset": [0, 1, 5],
        "clip_sample": [true, false],
        "clip_sample_range": [1.0, 3.0],
        "thresholding": [true, false],
        "dynamic_thresholding_ratio": [0.5, 0.995, 1.0],
        "sample_max_value": [0.5, 1.0, 2.0],
        "set_alpha_to_one": [true, false],
        "variance_type": ["fixed_small", "fixed_small_log", "fixed_large", "learned",
                          "learned_range"],
        "skip_prk_steps": [true, false],
        "use_karras_sigmas": [true, false, null],
        "use_lu_lambdas": [true, false],
        "timestep_type": ["discrete", "continuous"],
        "sigma_min": [0.002, 0.5, null],
        "sigma_max": [80.0, 700.0, null],
        "final_sigmas_type": ["zero", "sigma_min"],
        "solver_order": [1, 2, 3],
        "algorithm_type": ["dpmsolver", "dpmsolver++", "sde-dpmsolver", "sde-dpmsolver++"],
        "solver_type": ["midpoint", "heun"],
        "lower_order_final": [true, false],
        "euler_at_final": [true, false],
        "lambda_min_clipped": ["-Infinity", -5.1, -3.0, 50.0],
        "shift": [0.5, 1.0, 3.0],
        "use_dynamic_shifting": [true, false],
    });
    let all: Vec<(String, Vec<Value>)> = all
        .as_object()
        .unwrap()
        .iter()
        .map(|(key, values)| (key.clone(), values.as_array().unwrap().clone()))
        .collect();
    let junk = [json!(-1), json!(1e300), json!("no"), json!({}), json!([[]])];
    (select(all), 0..1000usize, 0..200usize).prop_map(move |((key, values), pick, odd)| {
        let value = match junk.get(odd) {
            Some(junk) => junk.clone(),
            None => values[pick % values.len()].clone(),
        };
        (key, value)
    })
}

fn class() -> impl Strategy<Value = SamplerClass> {
    select(SamplerClass::ALL.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_is_accepted_runs_and_stays_finite(
        class in class(),
        settings in prop::collection::vec(setting(), 0..6),
        few in any::<bool>(),
        steps in 1..=1000usize,
        seed in any::<u64>(),
    ) {
        let steps = if few { steps % 20 + 1 } else { steps };
        let mut json: Map<String, Value> = settings.into_iter().collect();
        json.insert("_class_name".into(), class.name().into());
        let config = SamplerConfig::from_json(&Value::Object(json.clone()), Path::new("x.json"));
        let Ok(config) = config else { return Ok(()) };
        let options = SamplerOptions {
            batch: 2,
            mu: (json.get("use_dynamic_shifting") == Some(&json!(true))
                && class == SamplerClass::FlowMatchEuler).then_some(0.7),
            ..SamplerOptions::default()
        };
        let Ok(mut sampler) = sampler(&config, steps, &options) else { return Ok(()) };

        let mut generator = Generator::new(seed);
        let calls = sampler.timesteps().len();
        prop_assert!((1..=2 * steps + 6).contains(&calls));
        prop_assert!(sampler.sigmas().iter().all(|s| s.is_finite()));
        let start = sampler.init_noise_sigma();
        let mut sample: Vec<f32> = generator.randn(6).iter().map(|x| x * start).collect();
        let outputs = if sampler.learns_variance() { 12 } else { 6 };
        for i in 0..calls {
            let t = sampler.timesteps()[i];
            prop_assert!((0.0..=100_000.0).contains(&t.abs()), "timestep {t}");
            let input = sampler.scale_model_input(&sample, i);
            prop_assert_eq!(input.len(), 6);
            let output: Vec<f32> = generator.randn(outputs);
            let step = sampler.step(i, &output, &sample, &mut |n| generator.randn(n)).unwrap();
            sample = step.prev_sample;
            prop_assert_eq!(sample.len(), 6);
            let finite = sample.iter().all(|x| x.is_finite());
            prop_assert!(finite, "step {} of {}: {:?}", i, calls, sample);
            let noised = sampler.add_noise(&input, &output[..6], i).unwrap();
            prop_assert_eq!(noised.len(), 6);
        }
    }

    #[test]
    fn steps_in_any_order_do_not_panic(
        class in class(),
        steps in 4..20usize,
        order in prop::collection::vec(0..45usize, 1..30),
    ) {
        let config = SamplerConfig::named(class.name()).unwrap();
        let mut sampler = match sampler(&config, steps, &SamplerOptions::default()) {
            Ok(sampler) => sampler,
            Err(e) => return Err(TestCaseError::fail(e.to_string())),
        };
        for i in order {
            let calls = sampler.timesteps().len();
            let step = sampler.step(i, &[0.5; 3], &[1.0; 3], &mut |n| vec![0.0; n]);
            prop_assert_eq!(step.is_ok(), i < calls);
        }
    }

    #[test]
    fn any_text_is_a_configuration_or_an_error(text in "[ -~]{0,80}", name in "[ -~]{0,20}") {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("scheduler_config.json");
        std::fs::write(&path, &text).unwrap();
        prop_assert!(SamplerConfig::from_file(&path).is_err());
        let known = SamplerClass::from_name(&name).is_some();
        prop_assert_eq!(SamplerConfig::named(&name).is_ok(), known);
    }
}

#[test]
fn given_sigmas_give_the_schedule_that_they_come_from() {
    for name in ["EulerDiscrete", "FlowMatchEulerDiscrete"] {
        let config = SamplerConfig::named(name).unwrap();
        let even = sampler(&config, 12, &SamplerOptions::default()).unwrap();
        let mut sigmas: Vec<f64> = even.sigmas().iter().map(|&s| f64::from(s)).collect();
        if name.starts_with("Flow") {
            sigmas.pop();
        }
        let options = SamplerOptions {
            sigmas: Some(sigmas),
            ..SamplerOptions::default()
        };
        let given = sampler(&config, 12, &options).unwrap();
        assert_eq!(given.sigmas(), even.sigmas());
        for (a, b) in given.timesteps().iter().zip(even.timesteps()) {
            assert!((a - b).abs() < 0.5, "{name}: {a} instead of {b}");
        }
    }
}
