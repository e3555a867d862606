//! Kernels with which the timing model is compared with measured times (`twin/validation/`): operators as stock and
//! published kernels do them. The engine uses none of them.

mod bench;

use crate::chip::Chip;
use crate::plan::{Operand, Plan, Timed};

pub use bench::*;

/// The tilings (`ascendit-kernels/src/validation.rs.h`).
#[cxx::bridge]
mod ffi {
    /// How `matmul_*` divides `[m, k] x [n, k]`.
    #[derive(Clone, Copy, Debug, PartialEq)]
    struct MatmulTiling {
        /// Rows of the result.
        m: u32,
        /// Columns of the result.
        n: u32,
        /// Length of the sums.
        k: u32,
        /// Rows of a tile.
        base_m: u32,
        /// Columns of a tile.
        base_n: u32,
        /// What of k is in L0 at a time.
        base_k: u32,
        /// How many times that is in L1 at a time.
        step_k: u32,
        /// Rows of tiles that run down columns together.
        band: u32,
    }

    /// How elementwise kernels divide their work.
    #[derive(Clone, Copy, Debug, PartialEq)]
    struct StreamTiling {
        /// Elements of the result; bytes for a copy.
        elements: u64,
        /// Elements of a block, but for the last one.
        block: u64,
        /// Elements that are in UB at a time.
        tile: u32,
        /// Elements of a row.
        columns: u32,
        /// 1: the second source is one row for all.
        row: u32,
        /// Nothing.
        reserved: u32,
    }

    /// How norms divide their rows.
    #[derive(Clone, Copy, Debug, PartialEq)]
    struct NormTiling {
        /// Rows in all.
        rows: u32,
        /// Elements of a row.
        columns: u32,
        /// Rows of a block, but for the last one.
        rows_per_block: u32,
        /// Added to the mean of the squares.
        eps: f32,
    }

    /// What `stock_transpose` turns; sides are multiples of 128.
    #[derive(Clone, Copy, Debug, PartialEq)]
    struct TransposeTiling {
        /// Matrices.
        batch: u32,
        /// Rows of the source.
        rows: u32,
        /// Columns of the source.
        columns: u32,
    }

    /// What `flash_attention_*` computes.
    #[derive(Clone, Copy, Debug, PartialEq)]
    struct FlashTiling {
        /// Heads, of all batches.
        heads: u32,
        /// Rows of queries of a head.
        rows: u32,
        /// Keys of a head.
        keys: u32,
        /// Elements of a row: a multiple of 16, at most 128.
        dim: u32,
        /// What scores are multiplied by.
        scale: f32,
    }
}

pub use ffi::{FlashTiling, MatmulTiling, NormTiling, StreamTiling, TransposeTiling};

// SAFETY: C layout, numbers only, no gaps; so are all of these.
unsafe impl bytemuck::NoUninit for MatmulTiling {}
// SAFETY: as above.
unsafe impl bytemuck::NoUninit for StreamTiling {}
// SAFETY: as above.
unsafe impl bytemuck::NoUninit for NormTiling {}
// SAFETY: as above.
unsafe impl bytemuck::NoUninit for TransposeTiling {}
// SAFETY: as above.
unsafe impl bytemuck::NoUninit for FlashTiling {}

fn number(value: u64, what: &str) -> Result<u32, String> {
    match u32::try_from(value) {
        Ok(value) if value > 0 => Ok(value),
        _ => Err(format!("{what} is {value}, and must be in 1..{}", u32::MAX)),
    }
}

/// Bytes of an element of a type; none for types that these kernels do not take.
fn width(dtype: &str) -> Option<u64> {
    match dtype {
        "f16" | "bf16" => Some(2),
        "f32" | "i32" | "hf32" => Some(4),
        "i64" => Some(8),
        _ => None,
    }
}

/// Bytes per cycle that a cube core moves: what tiles are chosen by.
const PORT: f64 = 85.0;

/// The tiling whose slowest core takes least by a rough count: 128 x 256, lying or standing, where that makes at least
/// four tiles for each core, else of any sides that give the cores the same.
fn matmul_tiling(m: u32, n: u32, k: u32, bytes: u32, cores: u32) -> MatmulTiling {
    let mut best: Option<(f64, u32, u32)> = None;
    let sides = || (1..=16u32).map(|i| 16 * i);
    let many = |m_side: u32, n_side: u32| m.div_ceil(m_side) * n.div_ceil(n_side) >= 4 * cores;
    let standard = many(128, 256) || many(256, 128);
    for base_m in sides().filter(|side| *side < m + 16) {
        for base_n in sides().filter(|side| *side < n + 16) {
            // A tile is 128 KiB of L0C, and rows of L0A and L0B hold at least one fractal in a half.
            let usual = (base_m, base_n) == (128, 256) || (base_m, base_n) == (256, 128);
            if base_m * base_n > 128 * 256 || (standard && !usual) {
                continue;
            }
            let tiles = m.div_ceil(base_m) * n.div_ceil(base_n);
            let waves = f64::from(tiles.div_ceil(cores));
            let cube = f64::from(base_m * base_n) / 256.0 * f64::from(bytes) / 32.0;
            let moved = f64::from((base_m + base_n) * bytes) / PORT;
            let loads = f64::from(bytes) * (f64::from(base_m) / 256.0 + f64::from(base_n) / 128.0);
            let per_tile = 1000.0 + f64::from(base_m * base_n) * 2.0 / PORT / 4.0;
            let time = waves * (cube.max(moved).max(loads) * f64::from(k) + per_tile);
            if best.is_none_or(|(least, ..)| time < least) {
                best = Some((time, base_m, base_n));
            }
        }
    }
    let (_, base_m, base_n) = best.unwrap_or((0.0, 16, 16));
    // Halves of L0 are 32 KiB; L1 holds two steps, rows of 512 bytes where there is room.
    let depth = 32 * 1024 / bytes / base_m.max(base_n) / 16 * 16;
    let base_k = [256, 128, 64, 32, 16]
        .into_iter()
        .find(|side| *side <= depth);
    let base_k = base_k.unwrap_or(16).min(k.next_multiple_of(16));
    let room = 240 * 1024 / bytes / (base_m + base_n) / base_k;
    let step_k = room.min(512 / bytes / base_k).max(1);
    // Cores side by side take a square part of the result.
    let band = (f64::from(cores * base_n) / f64::from(base_m))
        .sqrt()
        .round() as u32;
    MatmulTiling {
        m,
        n,
        k,
        base_m,
        base_n,
        base_k,
        step_k,
        band: band.clamp(1, m.div_ceil(base_m)),
    }
}

/// Plans `[m, k] x [n, k]` of `dtype` (`f16`, `bf16`, `hf32`, or `f16_f32` for a result in f32).
///
/// # Errors
/// If a size is 0 or too large.
pub fn matmul(m: u64, k: u64, n: u64, dtype: &str, chip: &Chip) -> Result<Timed, String> {
    let (input, output) = match dtype {
        "hf32" => (4, 4),
        "f16_f32" => (2, 4),
        _ => (2, 2),
    };
    let cores = chip.cube_cores;
    if k > 65535 {
        return Err(format!("K is {k}, and must be in 1..65535"));
    }
    let tiling = matmul_tiling(
        number(m, "M")?,
        number(n, "N")?,
        number(k, "K")?,
        input,
        cores,
    );
    let tiles = m.div_ceil(tiling.base_m.into()) * n.div_ceil(tiling.base_n.into());
    let sizes = [
        m * k * u64::from(input),
        n * k * u64::from(input),
        m * n * output,
    ];
    let plan = Plan {
        kernel: format!("matmul_{dtype}"),
        blocks: tiles.min(cores.into()) as u32,
        tiling: bytemuck::bytes_of(&tiling).to_vec(),
        workspace: 0,
        flops: 2 * m * k * n,
        bytes: sizes.iter().sum(),
    };
    Ok((plan, sizes.map(Operand::Absent).to_vec()))
}

/// A launch of an elementwise kernel with operands of so many bytes.
fn stream(kernel: String, mut tiling: StreamTiling, sizes: Vec<u64>, chip: &Chip) -> Timed {
    let tiles = tiling.elements.div_ceil(tiling.tile.into());
    let cores: u64 = chip.vector_cores().into();
    tiling.block = if tiles >= 4 * cores {
        // Even parts, in whole tiles' alignment.
        let unit = if tiling.row == 1 || kernel.contains("swiglu") {
            u64::from(tiling.columns)
        } else {
            512
        };
        tiling.elements.div_ceil(cores).next_multiple_of(unit)
    } else {
        tiles.div_ceil(cores) * u64::from(tiling.tile)
    };
    let plan = Plan {
        kernel,
        blocks: tiling.elements.div_ceil(tiling.block) as u32,
        tiling: bytemuck::bytes_of(&tiling).to_vec(),
        workspace: 0,
        flops: 0,
        bytes: sizes.iter().sum(),
    };
    (plan, sizes.into_iter().map(Operand::Absent).collect())
}

/// The tile of a stream of `elements`: at most `most`, and less if there would not be one for each core.
fn tile(elements: u64, most: u64, chip: &Chip) -> u32 {
    let even = elements.div_ceil(chip.vector_cores().into());
    even.next_multiple_of(512).min(most) as u32
}

/// Plans `operator` (`add` or `mul`) of `rows` rows of `columns`, with a tensor or one row.
///
/// # Errors
/// If a size is 0 or too large.
pub fn binary(
    operator: &str,
    rows: u64,
    columns: u64,
    one_row: bool,
    dtype: &str,
    chip: &Chip,
) -> Result<Timed, String> {
    let width = width(dtype).ok_or_else(|| format!("no {operator} of {dtype}"))?;
    number(columns, "COLUMNS")?;
    let elements = u64::from(number(rows, "ROWS")?) * columns;
    let most = 24 * 1024 / 3;
    let tile = if one_row {
        let per_core = rows.div_ceil(chip.vector_cores().into());
        (most / columns).min(per_core).max(1) as u32 * number(columns, "COLUMNS")?
    } else {
        tile(elements, most, chip)
    };
    if u64::from(tile) > 2 * most {
        return Err(format!(
            "COLUMNS is {columns}, and must be in 1..{}",
            2 * most
        ));
    }
    let tiling = StreamTiling {
        elements,
        block: 0,
        tile,
        columns: columns as u32,
        row: one_row.into(),
        reserved: 0,
    };
    let second = if one_row { columns } else { elements };
    let sizes = vec![elements * width, second * width, elements * width];
    Ok(stream(
        format!("stock_{operator}_{dtype}"),
        tiling,
        sizes,
        chip,
    ))
}

/// Plans a conversion of `elements`, or a copy where the types are the same.
///
/// # Errors
/// If there is no kernel for the types, or nothing to do.
pub fn cast(elements: u64, from: &str, to: &str, chip: &Chip) -> Result<Timed, String> {
    let none = || format!("no cast from {from} to {to}");
    let (a, b) = (width(from).ok_or_else(none)?, width(to).ok_or_else(none)?);
    if elements == 0 {
        return Err("there are no elements".into());
    }
    let (kernel, count, most) = if from == to {
        ("stock_copy".to_owned(), elements * a, 32 * 1024)
    } else {
        let known = ["f32_bf16", "bf16_f32", "i32_i64", "i64_i32"];
        let name = format!("{from}_{to}");
        if !known.contains(&name.as_str()) {
            return Err(none());
        }
        (
            format!("stock_cast_{name}"),
            elements,
            64 * 1024 / (a + b) / 512 * 512,
        )
    };
    let tiling = StreamTiling {
        elements: count,
        block: 0,
        tile: tile(count, most, chip),
        columns: 0,
        row: 0,
        reserved: 0,
    };
    Ok(stream(
        kernel,
        tiling,
        vec![elements * a, elements * b],
        chip,
    ))
}

/// Plans SwiGLU of `rows` rows of 2 x `columns`.
///
/// # Errors
/// If a size is 0 or too large.
pub fn swiglu(rows: u64, columns: u64, dtype: &str, chip: &Chip) -> Result<Timed, String> {
    let elements = u64::from(number(rows, "ROWS")?) * u64::from(number(columns, "COLUMNS")?);
    let most = 6144;
    if columns > most {
        return Err(format!("COLUMNS is {columns}, and must be in 1..{most}"));
    }
    let per_core = rows.div_ceil(chip.vector_cores().into());
    let tiling = StreamTiling {
        elements,
        block: 0,
        tile: ((most / columns).min(per_core) * columns) as u32,
        columns: columns as u32,
        row: 0,
        reserved: 0,
    };
    Ok(stream(
        format!("stock_swiglu_{dtype}"),
        tiling,
        vec![4 * elements, 2 * elements],
        chip,
    ))
}

/// Plans a norm (`rms_norm`, `add_rms_norm`, `layer_norm`) over rows of `columns`.
///
/// # Errors
/// If a size is 0 or too large.
pub fn norm(
    kind: &str,
    rows: u64,
    columns: u64,
    dtype: &str,
    chip: &Chip,
) -> Result<Timed, String> {
    let width = width(dtype).ok_or_else(|| format!("no {kind} of {dtype}"))?;
    let most = 9216;
    if columns > most {
        return Err(format!("COLUMNS is {columns}, and must be in 1..{most}"));
    }
    let rows = number(rows, "ROWS")?;
    let rows_per_block = rows.div_ceil(chip.vector_cores());
    let tiling = NormTiling {
        rows,
        columns: number(columns, "COLUMNS")?,
        rows_per_block,
        eps: 1e-6,
    };
    let (tensor, row) = (u64::from(rows) * columns * width, columns * width);
    let sizes = match kind {
        "rms_norm" => vec![tensor, row, tensor],
        "add_rms_norm" => vec![tensor, tensor, row, tensor, tensor],
        _ => vec![tensor, row, row, tensor],
    };
    let plan = Plan {
        kernel: format!("stock_{kind}_{dtype}"),
        blocks: rows.div_ceil(rows_per_block),
        tiling: bytemuck::bytes_of(&tiling).to_vec(),
        workspace: 0,
        flops: 0,
        bytes: sizes.iter().sum(),
    };
    Ok((plan, sizes.into_iter().map(Operand::Absent).collect()))
}

/// Plans `[batch, rows, columns]` to `[batch, columns, rows]`, 16 bits.
///
/// # Errors
/// If a side is no multiple of 128.
pub fn transpose(batch: u64, rows: u64, columns: u64, chip: &Chip) -> Result<Timed, String> {
    if !rows.is_multiple_of(128) || !columns.is_multiple_of(128) {
        return Err(format!("{rows} and {columns} must be multiples of 128"));
    }
    let tiling = TransposeTiling {
        batch: number(batch, "BATCH")?,
        rows: number(rows, "ROWS")?,
        columns: number(columns, "COLUMNS")?,
    };
    let bytes = 2 * batch * rows * columns;
    let tiles = batch * (rows / 128) * (columns / 128);
    let plan = Plan {
        kernel: "stock_transpose".into(),
        blocks: tiles.min(chip.vector_cores().into()) as u32,
        tiling: bytemuck::bytes_of(&tiling).to_vec(),
        workspace: 0,
        flops: 0,
        bytes: 2 * bytes,
    };
    Ok((plan, vec![Operand::Absent(bytes); 2]))
}

/// Plans attention of `heads` heads with `rows` queries and `keys` keys of `dim`.
///
/// # Errors
/// If a size is 0 or too large.
pub fn attention(
    heads: u64,
    rows: u64,
    keys: u64,
    dim: u64,
    dtype: &str,
    chip: &Chip,
) -> Result<Timed, String> {
    if dim == 0 || dim > 128 || !dim.is_multiple_of(16) {
        return Err(format!(
            "DIM is {dim}, and must be a multiple of 16 up to 128"
        ));
    }
    let tiling = FlashTiling {
        heads: number(heads, "HEADS")?,
        rows: number(rows, "ROWS")?,
        keys: number(keys, "KEYS")?,
        dim: dim as u32,
        scale: (dim as f32).powf(-0.5),
    };
    let blocks = (heads * rows.div_ceil(128)).min(chip.cube_cores.into());
    let workspace = blocks * 3 * 128 * (512 * 6 + dim * 4);
    let (q, kv) = (2 * heads * rows * dim, 2 * heads * keys * dim);
    let plan = Plan {
        kernel: format!("flash_attention_{dtype}"),
        blocks: blocks as u32,
        tiling: bytemuck::bytes_of(&tiling).to_vec(),
        workspace,
        flops: 4 * heads * rows * keys * dim,
        bytes: 2 * (q + kv),
    };
    let sizes = [q, kv, kv, q, workspace];
    Ok((plan, sizes.map(Operand::Absent).to_vec()))
}
