//! A noise level of the variance-preserving process in the terms of the exponential integrators
//! (Lu et al. 2022, arXiv:2206.00927, section 2), and the memory of a multistep solver.

/// `α`, `σ` and `λ = ln(α / σ)` of a sample `α x₀ + σ ε` with `α² + σ² = 1`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Level {
    pub(super) alpha: f32,
    pub(super) sigma: f32,
    pub(super) lambda: f32,
}

impl Level {
    /// The level whose ratio of noise to signal is `ratio`; 0 is a clean sample with `λ = ∞`.
    pub(super) fn new(ratio: f32) -> Self {
        let alpha = 1.0 / (ratio * ratio + 1.0).sqrt();
        let sigma = ratio * alpha;
        Self {
            alpha,
            sigma,
            lambda: alpha.ln() - sigma.ln(),
        }
    }

    /// `α x₀ + σ ε`.
    pub(super) fn add_noise(self, clean: &[f32], noise: &[f32]) -> Vec<f32> {
        super::combine([(self.alpha, clean), (self.sigma, noise)])
    }
}

/// The last model outputs, newest first, as many as the solver's order.
pub(super) struct History {
    outputs: Vec<Vec<f32>>,
    order: usize,
}

impl History {
    pub(super) fn new(order: usize) -> Self {
        Self {
            outputs: Vec::new(),
            order,
        }
    }

    pub(super) fn push(&mut self, output: Vec<f32>) {
        self.outputs.insert(0, output);
        self.outputs.truncate(self.order);
    }

    pub(super) fn outputs(&self) -> &[Vec<f32>] {
        &self.outputs
    }
}
