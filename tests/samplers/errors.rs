//! The messages of the samplers, whole.

use std::path::Path;

use ascendit::samplers::{Churn, SamplerClass, SamplerConfig, SamplerOptions, sampler};
use serde_json::{Value, json};

fn read(json: Value) -> Result<SamplerConfig, String> {
    SamplerConfig::from_json(&json, Path::new("scheduler_config.json")).map_err(|e| e.to_string())
}

fn named(name: &str, overrides: Value) -> Result<SamplerConfig, String> {
    SamplerConfig::named(name)
        .and_then(|config| config.with_overrides(overrides.as_object().unwrap()))
        .map_err(|e| e.to_string())
}

/// The message of a sampler that cannot be made.
fn refused(name: &str, overrides: Value, steps: usize, options: &SamplerOptions) -> String {
    let config = named(name, overrides).unwrap();
    match sampler(&config, steps, options) {
        Ok(_) => panic!("{name} with {steps} steps is accepted"),
        Err(e) => e.to_string(),
    }
}

fn refused_steps(name: &str, overrides: Value, steps: usize) -> String {
    refused(name, overrides, steps, &SamplerOptions::default())
}

#[test]
fn names_may_leave_out_the_scheduler() {
    for class in SamplerClass::ALL {
        let short = class.name().trim_end_matches("Scheduler");
        for name in [class.name(), short, &short.to_lowercase()] {
            assert_eq!(SamplerConfig::named(name).unwrap().class(), class);
        }
    }
}

#[test]
fn an_unknown_class_is_answered_with_the_known_ones() {
    assert_eq!(
        read(json!({ "_class_name": "LMSDiscreteScheduler" })).unwrap_err(),
        "scheduler_config.json: scheduler class \"LMSDiscreteScheduler\" is not supported; \
         supported: DDIMScheduler, DDPMScheduler, PNDMScheduler, EulerDiscreteScheduler, \
         EulerAncestralDiscreteScheduler, DPMSolverMultistepScheduler, \
         DPMSolverSinglestepScheduler, HeunDiscreteScheduler, DEISMultistepScheduler, \
         KDPM2AncestralDiscreteScheduler, FlowMatchEulerDiscreteScheduler"
    );
    assert_eq!(
        SamplerConfig::named("LMSDiscrete").unwrap_err().to_string(),
        "no sampler is called \"LMSDiscrete\"; samplers: DDIM, DDPM, PNDM, EulerDiscrete, \
         EulerAncestralDiscrete, DPMSolverMultistep, DPMSolverSinglestep, HeunDiscrete, \
         DEISMultistep, KDPM2AncestralDiscrete, FlowMatchEulerDiscrete"
    );
    assert_eq!(
        read(json!([])).unwrap_err(),
        "scheduler_config.json: not a scheduler configuration: expected an object with a \
         _class_name"
    );
}

#[test]
fn all_values_that_are_not_supported_are_named_with_what_is() {
    let config = json!({
        "_class_name": "DDIMScheduler",
        "num_train_timesteps": 0,
        "beta_start": -1,
        "beta_schedule": "sigmoid",
        "trained_betas": [0.5, 2],
        "timestep_spacing": "x".repeat(100),
        "clip_sample": "yes",
        "use_flow_sigmas": true,
        "algorithm_type": "unknown keys of the class are ignored",
    });
    assert_eq!(
        read(config).unwrap_err(),
        format!(
            "scheduler_config.json: num_train_timesteps is 0; must be an integer from 1 to \
             100000; beta_start is -1; must be a number above 0 and at most 1; beta_schedule is \
             \"sigmoid\"; allowed: linear, scaled_linear, squaredcos_cap_v2; trained_betas is \
             [0.5,2]; must be a list of numbers above 0 and at most 1; timestep_spacing is \
             \"{}...; allowed: linspace, leading, trailing; clip_sample is \"yes\"; allowed: \
             true, false; use_flow_sigmas is true; not supported",
            "x".repeat(59)
        )
    );
}

#[test]
fn values_that_contradict_each_other_are_named() {
    let cases = [
        (
            "DPMSolverMultistep",
            json!({ "algorithm_type": "dpmsolver" }),
            "DPMSolverMultistepScheduler: algorithm_type dpmsolver and sde-dpmsolver need \
             final_sigmas_type sigma_min, not zero",
        ),
        (
            "DPMSolverSinglestep",
            json!({ "algorithm_type": "sde-dpmsolver++", "solver_order": 3 }),
            "DPMSolverSinglestepScheduler: solver_order is 3; allowed with algorithm_type \
             sde-dpmsolver and sde-dpmsolver++: 1, 2",
        ),
        (
            "DDIM",
            json!({ "trained_betas": [0.1, 0.2] }),
            "DDIMScheduler: trained_betas has 2 values; num_train_timesteps is 1000",
        ),
        (
            "EulerDiscrete",
            json!({ "sigma_min": 2, "sigma_max": 1.5 }),
            "EulerDiscreteScheduler: sigma_min is 2; must be below sigma_max 1.5",
        ),
    ];
    for (name, overrides, expected) in cases {
        assert_eq!(named(name, overrides).unwrap_err(), expected);
    }
}

#[test]
fn an_override_must_be_a_key_of_the_class() {
    assert_eq!(
        named(
            "FlowMatchEulerDiscrete",
            json!({ "shfit": 3, "beta_end": 1 })
        )
        .unwrap_err(),
        "FlowMatchEulerDiscreteScheduler: no key beta_end, shfit; keys: num_train_timesteps, \
         shift, use_dynamic_shifting"
    );
}

#[test]
fn a_number_of_steps_that_does_not_fit_is_explained() {
    let cases = [
        (
            "DDIM",
            json!({}),
            0,
            "DDIMScheduler: 0 steps; at least 1 is needed",
        ),
        (
            "FlowMatchEulerDiscrete",
            json!({}),
            1001,
            "FlowMatchEulerDiscreteScheduler: 1001 steps, but the model was trained with 1000 \
             timesteps; ask for at most 1000",
        ),
        (
            "PNDM",
            json!({}),
            3,
            "PNDMScheduler: 3 steps; at least 4 are needed unless skip_prk_steps is true",
        ),
        (
            "DDPM",
            json!({ "steps_offset": 1 }),
            1000,
            "DDPMScheduler: 1000 steps with steps_offset 1 start at timestep 1000, beyond the \
             last trained timestep 999; ask for fewer steps or a smaller steps_offset",
        ),
        (
            "DPMSolverMultistep",
            json!({}),
            1000,
            "DPMSolverMultistepScheduler: 1000 steps are too many for this schedule: the noise \
             level does not fall between steps 500 and 501; ask for fewer steps",
        ),
        (
            "DPMSolverSinglestep",
            json!({ "solver_order": 3 }),
            8,
            "DPMSolverSinglestepScheduler: 8 steps of solver_order 3 end with a second order \
             step to noise level 0, which has no finite result; ask for 7 or 9 steps",
        ),
        (
            "DPMSolverMultistep",
            json!({ "lambda_min_clipped": 50 }),
            8,
            "DPMSolverMultistepScheduler: lambda_min_clipped is 50; no timestep is left above it",
        ),
    ];
    for (name, overrides, steps, expected) in cases {
        assert_eq!(refused_steps(name, overrides, steps), expected);
    }
}

#[test]
fn a_schedule_that_does_not_work_is_explained() {
    let cases = [
        (
            "DDIM",
            json!({ "rescale_betas_zero_snr": true, "timestep_spacing": "trailing" }),
            "DDIMScheduler: prediction_type epsilon cannot start at timestep 999, where no signal \
             is left (rescale_betas_zero_snr); allowed there: sample, v_prediction",
        ),
        (
            "DDIM",
            json!({ "beta_start": 0.5, "beta_end": 0.9 }),
            "DDIMScheduler: the betas do not make a noise schedule over 1000 timesteps: the share \
             of signal must fall at every timestep and end at 0 or above 1e-30; check \
             beta_start, beta_end, beta_schedule and trained_betas",
        ),
        (
            "HeunDiscrete",
            json!({ "num_train_timesteps": 2, "trained_betas": [0.5, 1] }),
            "HeunDiscreteScheduler: the betas leave less than 1e-18 of the signal, so the noise \
             level grows beyond all bounds; smaller betas are needed",
        ),
        (
            "EulerDiscrete",
            json!({ "use_karras_sigmas": true, "sigma_min": 1000 }),
            "EulerDiscreteScheduler: the smallest noise level 1000 is above the largest \
             157.4073; check sigma_min and sigma_max",
        ),
    ];
    for (name, overrides, expected) in cases {
        assert_eq!(refused_steps(name, overrides, 2), expected);
    }
}

#[test]
fn options_of_other_classes_are_refused() {
    let default = SamplerOptions::default;
    let churn = Churn {
        amount: 1.0,
        ..Churn::default()
    };
    let sigmas = |sigmas: &[f64]| SamplerOptions {
        sigmas: Some(sigmas.to_vec()),
        ..default()
    };
    let cases = [
        (
            "DDPM",
            SamplerOptions {
                batch: 0,
                ..default()
            },
            "batch must be at least 1",
        ),
        (
            "DDIM",
            SamplerOptions {
                eta: 1.5,
                ..default()
            },
            "eta must be from 0 to 1",
        ),
        (
            "DDPM",
            SamplerOptions {
                eta: 0.5,
                ..default()
            },
            "eta and use_clipped_model_output are for DDIMScheduler only",
        ),
        (
            "HeunDiscrete",
            SamplerOptions { churn, ..default() },
            "churn is for EulerDiscreteScheduler only",
        ),
        (
            "FlowMatchEulerDiscrete",
            SamplerOptions {
                mu: Some(1.0),
                ..default()
            },
            "mu is for use_dynamic_shifting only",
        ),
        (
            "DDIM",
            sigmas(&[1.0]),
            "sigmas are for EulerDiscreteScheduler and FlowMatchEulerDiscreteScheduler only",
        ),
        (
            "EulerDiscrete",
            sigmas(&[1.0]),
            "1 sigmas for 1 steps; expected 2",
        ),
        (
            "FlowMatchEulerDiscrete",
            sigmas(&[2.0]),
            "sigmas must fall from at most 1 to at least 0.000001, or 0 after the last step",
        ),
    ];
    for (name, options, expected) in cases {
        let expected = format!("{name}Scheduler: {expected}");
        assert_eq!(refused(name, json!({}), 1, &options), expected);
    }
    assert_eq!(
        refused_steps(
            "FlowMatchEulerDiscrete",
            json!({ "use_dynamic_shifting": true }),
            4
        ),
        "FlowMatchEulerDiscreteScheduler: use_dynamic_shifting needs mu"
    );
}

#[test]
fn a_step_with_wrong_lengths_is_refused() {
    let config = named("DDPM", json!({ "variance_type": "learned_range" })).unwrap();
    let options = SamplerOptions {
        batch: 2,
        ..SamplerOptions::default()
    };
    let mut sampler = sampler(&config, 5, &options).unwrap();
    let mut step = |i, output: usize, sample: usize, noise: usize| {
        let (output, sample) = (vec![0.0; output], vec![0.0; sample]);
        let step = sampler.step(i, &output, &sample, &mut |_| vec![0.0; noise]);
        step.map(|_| ()).map_err(|e| e.to_string())
    };
    assert_eq!(step(0, 8, 4, 4), Ok(()));
    let cases = [
        ((5, 8, 4, 4), "DDPMScheduler: step 5 of a schedule with 5"),
        (
            (0, 6, 3, 3),
            "DDPMScheduler: a sample of 3 values does not divide into 2 items",
        ),
        (
            (0, 4, 4, 4),
            "DDPMScheduler: the model gave 4 values; expected 8 for a sample of 4",
        ),
        ((0, 8, 4, 3), "DDPMScheduler: 3 values of noise; expected 4"),
    ];
    for ((i, output, sample, noise), expected) in cases {
        assert_eq!(step(i, output, sample, noise), Err(expected.to_owned()));
    }
    let message = |result: ascendit::Result<Vec<f32>>| result.unwrap_err().to_string();
    assert_eq!(
        message(sampler.add_noise(&[0.0; 4], &[0.0; 4], 9)),
        "DDPMScheduler: step 9 of a schedule with 5"
    );
    assert_eq!(
        message(sampler.add_noise(&[0.0; 4], &[0.0; 2], 0)),
        "DDPMScheduler: 2 values of noise; expected 4"
    );
}

#[test]
fn a_file_as_python_writes_it_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("scheduler_config.json");
    let text = r#"{ "_class_name": "DPMSolverMultistepScheduler",
        "lambda_min_clipped": -Infinity, "note": "Infinity and \"NaN\"", "unknown": NaN }"#;
    std::fs::write(&path, text).unwrap();
    let config = SamplerConfig::from_file(&path).unwrap();
    assert_eq!(config.class(), SamplerClass::DpmMultistep);

    std::fs::write(&path, "{").unwrap();
    assert_eq!(
        SamplerConfig::from_file(&path).unwrap_err().to_string(),
        format!(
            "{}: not valid JSON: EOF while parsing an object at line 1 column 1",
            path.display()
        )
    );
    let missing = dir.path().join("missing.json");
    assert_eq!(
        SamplerConfig::from_file(&missing).unwrap_err().to_string(),
        format!("cannot read {}", missing.display())
    );
}

#[test]
fn another_class_keeps_the_training_schedule() {
    let config = read(json!({
        "_class_name": "EulerAncestralDiscreteScheduler",
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "timestep_spacing": "trailing",
        "prediction_type": "v_prediction",
    }))
    .unwrap();
    let other = config.with_class("DDIM").unwrap();
    assert_eq!(other.class(), SamplerClass::Ddim);
    assert_eq!(other.prediction(), config.prediction());
    let options = SamplerOptions::default();
    let timesteps = |config| sampler(config, 4, &options).unwrap().timesteps().to_vec();
    assert_eq!(timesteps(&other), [999.0, 749.0, 499.0, 249.0]);
    assert_eq!(timesteps(&other), timesteps(&config));
}
