//! What `kernel-bench` times of these kernels, by a shape.

use super::{attention, binary, cast, matmul, norm, swiglu, transpose};
use crate::plan::Bench;

/// `--shape M,K,N`.
pub const MATMUL: Bench = Bench {
    kernel: "matmul",
    shape: "M,K,N",
    dtypes: &["f16", "bf16", "f16_f32", "hf32"],
    plan: |shape, dtype, chip| matmul(shape[0], shape[1], shape[2], dtype, chip),
};

/// `--shape ROWS,COLUMNS`.
pub const ADD: Bench = Bench {
    kernel: "stock_add",
    shape: "ROWS,COLUMNS",
    dtypes: &["f16", "bf16", "f32"],
    plan: |shape, dtype, chip| binary("add", shape[0], shape[1], false, dtype, chip),
};

/// `--shape ROWS,COLUMNS`.
pub const MUL: Bench = Bench {
    kernel: "stock_mul",
    shape: "ROWS,COLUMNS",
    dtypes: &["f16", "bf16", "f32"],
    plan: |shape, dtype, chip| binary("mul", shape[0], shape[1], false, dtype, chip),
};

/// `--shape ROWS,COLUMNS` of the result.
pub const SWIGLU: Bench = Bench {
    kernel: "stock_swiglu",
    shape: "ROWS,COLUMNS",
    dtypes: &["f16", "bf16"],
    plan: |shape, dtype, chip| swiglu(shape[0], shape[1], dtype, chip),
};

/// `--shape ELEMENTS`; the type is what it is cast from, f32 to bf16 and bf16 to f32.
pub const CAST: Bench = Bench {
    kernel: "stock_cast",
    shape: "ELEMENTS",
    dtypes: &["f32", "bf16"],
    plan: |shape, dtype, chip| {
        let to = if dtype == "f32" { "bf16" } else { "f32" };
        cast(shape[0], dtype, to, chip)
    },
};

/// `--shape ELEMENTS`.
pub const COPY: Bench = Bench {
    kernel: "stock_copy",
    shape: "ELEMENTS",
    dtypes: &["f16", "bf16", "f32"],
    plan: |shape, dtype, chip| cast(shape[0], dtype, dtype, chip),
};

/// `--shape ROWS,COLUMNS`.
pub const RMS_NORM: Bench = Bench {
    kernel: "stock_rms_norm",
    shape: "ROWS,COLUMNS",
    dtypes: &["f16", "bf16"],
    plan: |shape, dtype, chip| norm("rms_norm", shape[0], shape[1], dtype, chip),
};

/// `--shape ROWS,COLUMNS`.
pub const ADD_RMS_NORM: Bench = Bench {
    kernel: "stock_add_rms_norm",
    shape: "ROWS,COLUMNS",
    dtypes: &["f16", "bf16"],
    plan: |shape, dtype, chip| norm("add_rms_norm", shape[0], shape[1], dtype, chip),
};

/// `--shape ROWS,COLUMNS`.
pub const LAYER_NORM: Bench = Bench {
    kernel: "stock_layer_norm",
    shape: "ROWS,COLUMNS",
    dtypes: &["f16", "bf16", "f32"],
    plan: |shape, dtype, chip| norm("layer_norm", shape[0], shape[1], dtype, chip),
};

/// `--shape BATCH,ROWS,COLUMNS`.
pub const TRANSPOSE: Bench = Bench {
    kernel: "stock_transpose",
    shape: "BATCH,ROWS,COLUMNS",
    dtypes: &["f16", "bf16"],
    plan: |shape, _, chip| transpose(shape[0], shape[1], shape[2], chip),
};

/// `--shape HEADS,ROWS,KEYS,DIM`.
pub const ATTENTION: Bench = Bench {
    kernel: "flash_attention",
    shape: "HEADS,ROWS,KEYS,DIM",
    dtypes: &["f16", "bf16"],
    plan: |shape, dtype, chip| attention(shape[0], shape[1], shape[2], shape[3], dtype, chip),
};
