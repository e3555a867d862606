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
pub const MODEL_ERRORS: &[ModelError] = &[
    ModelError {
        what: "matrix products above 20 GFLOP",
        kernels: &["matmul"],
        rows: 24,
        median: 0.046,
        largest: 0.432,
    },
    ModelError {
        what: "elementwise operators above 20 MB",
        kernels: &[
            "gated_residual",
            "haar",
            "rope",
            "stock_add",
            "stock_cast",
            "stock_copy",
            "stock_mul",
            "stock_swiglu",
            "stock_transpose",
            "upsample",
        ],
        rows: 16,
        median: 0.092,
        largest: 1.046,
    },
    ModelError {
        what: "norms above 20 MB",
        kernels: &[
            "ada_layer_norm",
            "norm_silu",
            "stock_add_rms_norm",
            "stock_layer_norm",
            "stock_rms_norm",
        ],
        rows: 7,
        median: 0.168,
        largest: 0.719,
    },
    ModelError {
        what: "attention above 300 us",
        kernels: &["attention", "attention_half_scores", "flash_attention"],
        rows: 10,
        median: 0.091,
        largest: 0.366,
    },
];

impl ModelError {
    /// What is known for a kernel, by its name without the type.
    pub fn of(kernel: &str) -> Option<&'static Self> {
        let mut known = MODEL_ERRORS.iter();
        known.find(|error| error.kernels.contains(&kernel))
    }
}
