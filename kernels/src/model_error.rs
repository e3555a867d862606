//! How far the timing model is from times that were measured and published: what every prediction is shown with.
//! How they were compared: `docs/kernel-timing.md`.

/// The error of the model for a kind of kernels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ModelError {
    /// What was compared, as it reads after "for": `matrix products above 20 GFLOP`.
    pub what: &'static str,
    /// The kernels, without their types, that this says something about.
    pub kernels: &'static [&'static str],
    /// Measured times that the model was compared with.
    pub rows: usize,
    /// Median of the absolute relative errors, 0 to 1.
    pub median: f64,
    /// The largest of them.
    pub largest: f64,
}

/// What is known.
pub const MODEL_ERRORS: &[ModelError] = &[];

impl ModelError {
    /// What is known for a kernel, by its name without the type.
    pub fn of(kernel: &str) -> Option<&'static Self> {
        let mut known = MODEL_ERRORS.iter();
        known.find(|error| error.kernels.contains(&kernel))
    }
}
