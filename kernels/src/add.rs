//! `out = a + b`, elementwise: the smallest kernel, and the pattern of a kernel's Rust side.

use crate::chip::Chip;
use crate::plan::{Bench, Operand, Plan};

/// The tiling, one definition for Rust and C++ (`ascendit-kernels/src/add.rs.h`). Fields are numbers, the largest
/// first, and leave no gaps: unsigned 32 or 64 bits, `f32`.
#[cxx::bridge]
mod ffi {
    /// How `add` divides its work.
    #[derive(Clone, Copy, Debug)]
    struct AddTiling {
        /// Elements in all.
        elements: u64,
        /// Elements of a block, but for the last one.
        block: u32,
        /// Elements that are in the unified buffer at a time.
        tile: u32,
    }
}

pub use ffi::AddTiling;

// SAFETY: C layout, numbers only, no gaps.
unsafe impl bytemuck::NoUninit for AddTiling {}

/// Elements of a tile: three buffers, two of each.
const TILE: u32 = 8192;

/// Plans a launch over `elements` 16-bit elements of `dtype` (`f16` or `bf16`).
///
/// # Errors
/// If there is nothing to do.
pub fn plan(elements: u64, dtype: &str, chip: &Chip) -> Result<Plan, String> {
    if elements == 0 {
        return Err("there are no elements".into());
    }
    let tiles = elements.div_ceil(TILE.into());
    let blocks = tiles.min(chip.vector_cores().into()) as u32;
    let block = tiles.div_ceil(blocks.into()) as u32 * TILE;
    let tiling = AddTiling {
        elements,
        block,
        tile: TILE,
    };
    Ok(Plan {
        kernel: format!("add_{dtype}"),
        blocks: elements.div_ceil(block.into()) as u32,
        tiling: bytemuck::bytes_of(&tiling).to_vec(),
        workspace: 0,
        flops: 0,
        bytes: 3 * 2 * elements,
    })
}

/// `--shape ELEMENTS`.
pub const BENCH: Bench = Bench {
    kernel: "add",
    shape: "ELEMENTS",
    dtypes: &["f16", "bf16"],
    plan: |shape, dtype, chip| {
        let plan = plan(shape[0], dtype, chip)?;
        let operand = || Operand::Absent(2 * shape[0]);
        Ok((plan, vec![operand(), operand(), operand()]))
    },
};
