//! From noise to a latent: the denoising loop.

use super::encode::Conditioning;
use super::observer::{in_stage, watched};
use super::{Event, Observer, Settings, Stage, TextToVideo, remedy};
use crate::backend::DeviceTensor;
use crate::models::DenoiserShape;
use crate::samplers::{Generator, SamplerOptions, sampler};
use crate::tensor::{HostTensor, numel};
use crate::{Error, Result};

impl TextToVideo {
    /// Samples a latent `[1, C, T, H, W]`. The generator draws the initial latent and then the noise
    /// of every stochastic step, as the Python pipelines do with a CPU generator.
    pub(super) fn denoise(
        &mut self,
        settings: &Settings,
        conditioning: &Conditioning,
        observer: &dyn Observer,
    ) -> Result<HostTensor> {
        let span = tracing::info_span!("denoise", steps = settings.steps);
        let _entered = span.enter();
        let mut sampler = sampler(
            &settings.sampler,
            settings.steps,
            &SamplerOptions {
                eta: settings.eta,
                ..SamplerOptions::default()
            },
        )?;
        let [t, h, w] = settings.latent;
        let shape = [
            1,
            self.checkpoint.transformer.model.latent_channels(),
            t,
            h,
            w,
        ];
        self.prepare_denoiser(
            DenoiserShape {
                batch: conditioning.branches,
                latent: settings.latent,
                text: settings.text_tokens,
            },
            observer,
        )?;
        let fixed: Vec<(&str, DeviceTensor)> = conditioning
            .tensors
            .iter()
            .map(|(name, tensor)| Ok((*name, self.backend.upload(tensor)?)))
            .collect::<Result<_>>()?;

        let mut generator = Generator::new(settings.seed);
        let mut latents = generator.randn(numel(&shape));
        latents
            .iter_mut()
            .for_each(|v| *v *= sampler.init_noise_sigma());
        let timesteps = sampler.timesteps().to_vec();
        observer.on(Event::Begin(Stage::Denoise, timesteps.len()));
        for (i, &timestep) in timesteps.iter().enumerate() {
            observer.cancel().check()?;
            let input = sampler.scale_model_input(&latents, i);
            let rows = self.predict(
                &input,
                timestep,
                shape,
                &fixed,
                conditioning.branches,
                observer,
            )?;
            check_finite(&rows, "prediction", i, timesteps.len(), self.dtype)?;
            let prediction = guide(settings, &rows);
            latents = sampler
                .step(i, &prediction, &latents, &mut |n| generator.randn(n))?
                .prev_sample;
            check_finite(&latents, "latent", i, timesteps.len(), self.dtype)?;
            observer.on(Event::Step(i + 1, timesteps.len(), &latents));
        }
        observer.on(Event::End(Stage::Denoise));
        Ok(HostTensor::f32(shape, latents))
    }

    /// The model's output for every branch, `[branches, C, T, H, W]`.
    fn predict(
        &mut self,
        latents: &[f32],
        timestep: f32,
        shape: [usize; 5],
        fixed: &[(&str, DeviceTensor)],
        branches: usize,
        observer: &dyn Observer,
    ) -> Result<Vec<f32>> {
        let batch = [branches, shape[1], shape[2], shape[3], shape[4]];
        let latents = self
            .backend
            .upload(&HostTensor::f32(batch, latents.repeat(branches)))?;
        let timesteps = self
            .backend
            .upload(&HostTensor::f32([branches], vec![timestep; branches]))?;
        let (_, program) = self.denoiser.as_mut().expect("the denoiser was prepared");
        // The graph's inputs: latents, timesteps, and then the conditioning in its own order.
        let inputs = [latents, timesteps]
            .into_iter()
            .chain(fixed.iter().map(|(_, tensor)| tensor.clone()))
            .collect();
        let outputs = watched(observer, Stage::Denoise, |watch| program.run(inputs, watch))?;
        Ok(self.backend.download(&outputs[0])?.as_f32().to_vec())
    }

    fn prepare_denoiser(&mut self, shape: DenoiserShape, observer: &dyn Observer) -> Result<()> {
        if self
            .denoiser
            .as_ref()
            .is_some_and(|(known, _)| *known == shape)
        {
            return Ok(());
        }
        observer.on(Event::Load(Stage::Denoise));
        self.denoiser = None;
        let transformer = &self.checkpoint.transformer;
        let graph = transformer.model.graph(&shape, self.dtype);
        if self.transformer.is_none() {
            let weights = Self::open_weights(transformer, &graph, &[], self.strict)?;
            self.transformer = Some(self.backend.load(weights)?);
        }
        let weights = self.transformer.as_ref().expect("the weights were loaded");
        observer.on(Event::Compile(Stage::Denoise));
        let program = in_stage(Stage::Denoise, self.backend.compile(&graph, weights))?;
        self.denoiser = Some((shape, program));
        observer.on(Event::Ready(Stage::Denoise));
        Ok(())
    }
}

/// Classifier-free guidance (Ho and Salimans 2022, arXiv 2207.12598): `u + s (c - u)`; and, if asked
/// for, rescaling of the result to the spread of `c` (Lin et al. 2023, arXiv 2305.08891, section
/// 3.4).
fn guide(settings: &Settings, rows: &[f32]) -> Vec<f32> {
    if !settings.guided() {
        return rows.to_vec();
    }
    let (unconditional, conditional) = rows.split_at(rows.len() / 2);
    let scale = settings.guidance_scale;
    let mut guided: Vec<f32> = unconditional
        .iter()
        .zip(conditional)
        .map(|(u, c)| u + scale * (c - u))
        .collect();
    if settings.guidance_rescale > 0.0 {
        let factor = standard_deviation(conditional) / standard_deviation(&guided);
        let phi = settings.guidance_rescale;
        guided
            .iter_mut()
            .for_each(|v| *v = phi * (*v * factor) + (1.0 - phi) * *v);
    }
    guided
}

/// With Bessel's correction.
fn standard_deviation(values: &[f32]) -> f32 {
    let n = values.len() as f64;
    let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
    let squares = values
        .iter()
        .map(|&v| (f64::from(v) - mean).powi(2))
        .sum::<f64>();
    (squares / (n - 1.0)).sqrt() as f32
}

fn check_finite(
    values: &[f32],
    what: &str,
    step: usize,
    steps: usize,
    dtype: crate::tensor::DType,
) -> Result<()> {
    if values.iter().all(|v| v.is_finite()) {
        return Ok(());
    }
    let what = format!(
        "the {what} is not finite after step {} of {steps}, computed in {dtype}; use a lower guidance \
         scale or another sampler, or {}",
        step + 1,
        remedy(dtype)
    );
    Err(Error::NonFinite { what })
}
