//! The samplers on data that is one Gaussian, where the perfect model is linear in the sample and
//! the result must have the deviation of the data. This covers the settings that no golden case
//! has, and does not depend on any reference code.

use std::sync::LazyLock;

use ascendit::samplers::{Prediction, Sampler, SamplerConfig, SamplerOptions, sampler};
use serde_json::{Value, json};

/// The standard deviation of the data.
const DATA: f64 = 0.5;

/// `log σ` of the timesteps of the default betas.
static LOG_SIGMAS: LazyLock<Vec<f64>> = LazyLock::new(|| {
    let betas = (0..1000).map(|t| 0.0001 + (0.02 - 0.0001) * f64::from(t) / 999.0);
    let alphas_bar = betas.scan(1.0, |product, beta| {
        *product *= 1.0 - beta;
        Some(*product)
    });
    alphas_bar
        .map(|a: f64| 0.5 * ((1.0 - a) / a).ln())
        .collect()
});

/// `α` and `σ` of a sample `α x₀ + σ ε` at a perhaps fractional timestep.
fn alpha_sigma(timestep: f64, flow: bool) -> (f64, f64) {
    if flow {
        return (1.0 - timestep / 1000.0, timestep / 1000.0);
    }
    let low = (timestep as usize).min(998);
    let w = timestep - low as f64;
    let sigma = ((1.0 - w) * LOG_SIGMAS[low] + w * LOG_SIGMAS[low + 1]).exp();
    let alpha = 1.0 / (1.0 + sigma * sigma).sqrt();
    (alpha, sigma * alpha)
}

/// The perfect prediction from what the model sees.
fn predict(kind: Option<Prediction>, input: f32, timestep: f32) -> f32 {
    let (alpha, sigma) = alpha_sigma(f64::from(timestep), kind.is_none());
    let share = f64::from(input) / (alpha * alpha * DATA * DATA + sigma * sigma);
    let (clean, noise) = (alpha * DATA * DATA * share, sigma * share);
    (match kind {
        Some(Prediction::Epsilon) => noise,
        Some(Prediction::Sample) => clean,
        Some(Prediction::Velocity) => alpha * noise - sigma * clean,
        None => noise - clean,
    }) as f32
}

/// The result of one walk, and how often it drew noise; only draw `hit` is not 0.
fn walk(
    mut sampler: Sampler,
    kind: Option<Prediction>,
    start: f32,
    hit: Option<usize>,
) -> (f32, usize) {
    let mut sample = vec![start];
    let mut draws = 0;
    for i in 0..sampler.timesteps().len() {
        let input = sampler.scale_model_input(&sample, i)[0];
        let mut output = vec![predict(kind, input, sampler.timesteps()[i])];
        if sampler.learns_variance() {
            output.push(0.0);
        }
        let step = sampler.step(i, &output, &sample, &mut |_| {
            draws += 1;
            vec![f32::from(u8::from(hit == Some(draws - 1)))]
        });
        sample = step.unwrap().prev_sample;
    }
    (sample[0], draws)
}

/// The deviation of the result. All is linear, so the variances of the initial noise and of each
/// noise that is added on the way sum up.
fn deviation(class: &str, settings: &Value, steps: usize, options: &SamplerOptions) -> f64 {
    let config = SamplerConfig::named(class)
        .and_then(|c| c.with_overrides(settings.as_object().unwrap()))
        .unwrap();
    let new = || sampler(&config, steps, options).unwrap();
    let start = new().init_noise_sigma();
    let (result, draws) = walk(new(), config.prediction(), start, None);
    let added = (0..draws).map(|k| walk(new(), config.prediction(), 0.0, Some(k)).0);
    let squares = std::iter::once(result).chain(added);
    squares.map(|x| f64::from(x).powi(2)).sum::<f64>().sqrt()
}

fn betas() -> Value {
    json!({ "beta_start": 0.0001, "beta_end": 0.02 })
}

fn with(mut settings: Value, more: Value) -> Value {
    let more = more.as_object().unwrap().clone();
    settings.as_object_mut().unwrap().extend(more);
    settings
}

fn dpm(algorithm: &str, order: usize, solver: &str) -> Value {
    json!({
        "algorithm_type": algorithm, "solver_order": order, "solver_type": solver,
        "final_sigmas_type": "sigma_min", "lower_order_final": false,
    })
}

/// All classes, and with the DPM solvers all algorithms; what converges slowly gets more steps.
fn cases() -> Vec<(&'static str, Value, usize)> {
    let (multi, single) = ("DPMSolverMultistep", "DPMSolverSinglestep");
    let no_clip = json!({ "clip_sample": false });
    vec![
        ("DDIM", no_clip.clone(), 200),
        ("DDPM", no_clip.clone(), 1000),
        (
            "DDPM",
            with(no_clip, json!({ "variance_type": "learned_range" })),
            1000,
        ),
        ("PNDM", json!({}), 100),
        ("PNDM", json!({ "skip_prk_steps": true }), 100),
        ("EulerDiscrete", json!({}), 200),
        ("EulerDiscrete", json!({ "use_karras_sigmas": true }), 200),
        ("EulerAncestralDiscrete", json!({}), 400),
        ("HeunDiscrete", betas(), 50),
        ("KDPM2AncestralDiscrete", betas(), 100),
        ("DEISMultistep", json!({ "solver_order": 3 }), 50),
        ("FlowMatchEulerDiscrete", json!({}), 200),
        ("FlowMatchEulerDiscrete", json!({ "shift": 3.0 }), 200),
        (multi, json!({ "use_lu_lambdas": true }), 50),
        (multi, json!({ "variance_type": "learned_range" }), 50),
        (multi, json!({ "thresholding": true }), 50),
        (multi, dpm("dpmsolver", 2, "heun"), 50),
        (multi, dpm("dpmsolver", 3, "midpoint"), 50),
        (
            multi,
            with(
                dpm("dpmsolver", 2, "midpoint"),
                json!({ "prediction_type": "v_prediction" }),
            ),
            100,
        ),
        (
            multi,
            with(
                dpm("dpmsolver", 2, "midpoint"),
                json!({ "prediction_type": "sample", "thresholding": true }),
            ),
            100,
        ),
        (multi, dpm("sde-dpmsolver", 1, "midpoint"), 200),
        (multi, dpm("sde-dpmsolver", 2, "midpoint"), 100),
        (multi, dpm("sde-dpmsolver", 2, "heun"), 100),
        (multi, dpm("sde-dpmsolver++", 1, "midpoint"), 400),
        (multi, dpm("sde-dpmsolver++", 2, "heun"), 400),
        (single, dpm("dpmsolver", 2, "midpoint"), 100),
        (single, dpm("dpmsolver", 2, "heun"), 50),
        (single, dpm("dpmsolver", 3, "midpoint"), 51),
        (single, dpm("dpmsolver", 3, "heun"), 51),
        (single, dpm("dpmsolver++", 2, "heun"), 100),
        (single, dpm("dpmsolver++", 3, "heun"), 51),
        (single, dpm("sde-dpmsolver++", 1, "midpoint"), 400),
        (single, dpm("sde-dpmsolver++", 2, "midpoint"), 800),
        (single, dpm("sde-dpmsolver++", 2, "heun"), 800),
    ]
}

#[test]
fn results_have_the_deviation_of_the_data() {
    let options = SamplerOptions::default();
    let failing: Vec<String> = cases()
        .iter()
        .filter_map(|(class, settings, steps)| {
            let error = deviation(class, settings, *steps, &options) / DATA - 1.0;
            let line = format!("{error:+.4} {class} {settings} {steps} steps");
            (error.is_nan() || error.abs() > 0.02).then_some(line)
        })
        .collect();
    assert!(failing.is_empty(), "{}", failing.join("\n"));
}

#[test]
fn ddim_with_full_eta_keeps_the_deviation() {
    let options = SamplerOptions {
        eta: 1.0,
        ..SamplerOptions::default()
    };
    let settings = json!({ "clip_sample": false });
    let error = deviation("DDIM", &settings, 500, &options) / DATA - 1.0;
    assert!(error.abs() < 0.02, "{error}");
}
