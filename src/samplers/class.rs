//! The scheduler classes that the samplers implement: their names and the keys of their
//! `scheduler_config.json`.

/// A scheduler class of diffusers 0.30.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SamplerClass {
    /// Denoising diffusion implicit models (Song et al. 2020, arXiv:2010.02502).
    Ddim,
    /// Denoising diffusion probabilistic models (Ho et al. 2020, arXiv:2006.11239).
    Ddpm,
    /// Pseudo numerical methods (Liu et al. 2022, arXiv:2202.09778).
    Pndm,
    /// Euler steps of the probability flow ODE (Karras et al. 2022, arXiv:2206.00364).
    Euler,
    /// Euler steps with fresh noise after each of them.
    EulerAncestral,
    /// DPM-Solver and DPM-Solver++, multistep (Lu et al. 2022, arXiv:2211.01095).
    DpmMultistep,
    /// DPM-Solver and DPM-Solver++, singlestep (Lu et al. 2022, arXiv:2206.00927).
    DpmSinglestep,
    /// Heun's second order steps (Karras et al. 2022, Algorithm 1).
    Heun,
    /// Diffusion exponential integrator (Zhang and Chen 2022, arXiv:2204.13902).
    DeisMultistep,
    /// Second order midpoint steps with fresh noise after each of them.
    Kdpm2Ancestral,
    /// Euler steps of a rectified flow (Esser et al. 2024, arXiv:2403.03206).
    FlowMatchEuler,
}

impl SamplerClass {
    /// Every class.
    pub const ALL: [Self; 11] = [
        Self::Ddim,
        Self::Ddpm,
        Self::Pndm,
        Self::Euler,
        Self::EulerAncestral,
        Self::DpmMultistep,
        Self::DpmSinglestep,
        Self::Heun,
        Self::DeisMultistep,
        Self::Kdpm2Ancestral,
        Self::FlowMatchEuler,
    ];

    /// The name of the diffusers class, as `_class_name` has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ddim => "DDIMScheduler",
            Self::Ddpm => "DDPMScheduler",
            Self::Pndm => "PNDMScheduler",
            Self::Euler => "EulerDiscreteScheduler",
            Self::EulerAncestral => "EulerAncestralDiscreteScheduler",
            Self::DpmMultistep => "DPMSolverMultistepScheduler",
            Self::DpmSinglestep => "DPMSolverSinglestepScheduler",
            Self::Heun => "HeunDiscreteScheduler",
            Self::DeisMultistep => "DEISMultistepScheduler",
            Self::Kdpm2Ancestral => "KDPM2AncestralDiscreteScheduler",
            Self::FlowMatchEuler => "FlowMatchEulerDiscreteScheduler",
        }
    }

    /// The class with this name, upper or lower case, with or without `Scheduler` at its end.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| {
            let full = class.name();
            let short = full.trim_end_matches("Scheduler");
            name.eq_ignore_ascii_case(full) || name.eq_ignore_ascii_case(short)
        })
    }

    /// The keys of the class's configuration that have an effect here.
    pub(super) fn keys(self) -> Vec<&'static str> {
        let own: &[&str] = match self {
            Self::Ddim => &[
                "clip_sample",
                "clip_sample_range",
                "set_alpha_to_one",
                "rescale_betas_zero_snr",
            ],
            Self::Ddpm => &[
                "clip_sample",
                "clip_sample_range",
                "variance_type",
                "rescale_betas_zero_snr",
            ],
            Self::Pndm => &["skip_prk_steps", "set_alpha_to_one"],
            Self::Euler => &[
                "interpolation_type",
                "use_karras_sigmas",
                "sigma_min",
                "sigma_max",
                "timestep_type",
                "rescale_betas_zero_snr",
                "final_sigmas_type",
            ],
            Self::EulerAncestral => &["rescale_betas_zero_snr"],
            Self::DpmMultistep => &[
                "euler_at_final",
                "use_lu_lambdas",
                "final_sigmas_type",
                "lambda_min_clipped",
                "variance_type",
                "rescale_betas_zero_snr",
            ],
            Self::DpmSinglestep => &["final_sigmas_type", "lambda_min_clipped", "variance_type"],
            Self::Heun => &["use_karras_sigmas", "clip_sample", "clip_sample_range"],
            Self::DeisMultistep => &[],
            Self::Kdpm2Ancestral => &["use_karras_sigmas"],
            Self::FlowMatchEuler => {
                return vec!["num_train_timesteps", "shift", "use_dynamic_shifting"];
            }
        };
        let mut keys = vec![
            "num_train_timesteps",
            "beta_start",
            "beta_end",
            "beta_schedule",
            "trained_betas",
            "prediction_type",
        ];
        if self != Self::DpmSinglestep {
            keys.extend(["timestep_spacing", "steps_offset"]);
        }
        if self.is_exponential_integrator() {
            keys.extend([
                "solver_order",
                "algorithm_type",
                "solver_type",
                "lower_order_final",
                "use_karras_sigmas",
            ]);
        }
        if self.is_exponential_integrator() || matches!(self, Self::Ddim | Self::Ddpm) {
            keys.extend([
                "thresholding",
                "dynamic_thresholding_ratio",
                "sample_max_value",
            ]);
        }
        keys.extend(own);
        keys
    }

    /// Whether this is one of the DPM and DEIS solvers, which share many keys.
    pub(super) fn is_exponential_integrator(self) -> bool {
        matches!(
            self,
            Self::DpmMultistep | Self::DpmSinglestep | Self::DeisMultistep
        )
    }
}

/// Keys that newer diffusers versions know, with the values that leave a schedule as it is here.
/// Any other value asks for something that the samplers do not do.
pub(super) const NOT_SUPPORTED: [(&str, &[&str]); 8] = [
    ("use_exponential_sigmas", &["false"]),
    ("use_beta_sigmas", &["false"]),
    ("use_flow_sigmas", &["false"]),
    ("invert_sigmas", &["false"]),
    ("stochastic_sampling", &["false"]),
    ("shift_terminal", &[]),
    ("time_shift_type", &["\"exponential\""]),
    ("snr_shift_scale", &["1", "1.0"]),
];
