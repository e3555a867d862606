//! What plans of vector kernels share: the unified buffer and how rows lie in it.

use crate::chip::Chip;

/// Bytes of the unified buffer that a kernel may use; a few instructions of AscendC want the last 8 KiB.
pub const UNIFIED_BUFFER: u32 = 184 * 1024;

/// Rows in the unified buffer lie a multiple of so many values apart (`vector/copy.h`).
pub const UNIT: u32 = 16;

/// Rows of a tile at most (`vector/rows.h`).
pub const MAX_ROWS: u32 = 248;

/// How a kernel is given values per channel: factors, offsets, gates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PerChannel {
    /// Not at all; the pointers are null.
    None,
    /// As f32.
    F32,
    /// In the type of the other operands.
    Narrow,
}

impl PerChannel {
    pub(crate) fn code(self) -> u32 {
        self as u32
    }

    /// Bytes of a value.
    pub(crate) fn size(self) -> u64 {
        [0, 4, 2][self as usize]
    }
}

/// Refuses what no kernel has: an axis without entries, or a type that is not one of two.
pub(crate) fn check(sizes: &[(&str, u64)], dtype: &str) -> Result<(), String> {
    if let Some((name, _)) = sizes.iter().find(|(_, size)| *size == 0) {
        return Err(format!("{name} is 0"));
    }
    match dtype {
        "f16" | "bf16" => Ok(()),
        _ => Err(format!("the type is {dtype}; f16 and bf16 are supported")),
    }
}

/// A size in a tiling's 32 bits.
pub(crate) fn narrow(name: &str, size: u64) -> Result<u32, String> {
    u32::try_from(size).map_err(|_| format!("{name} is {size}; at most {} is supported", u32::MAX))
}

/// Vector cores for so many pieces of work.
pub(crate) fn blocks(chip: &Chip, pieces: u64) -> u32 {
    pieces.min(chip.vector_cores().into()) as u32
}

/// Rows of a tile: at most `most`, and as many as make the fewest tiles of a core equally large.
pub(crate) fn even_share(rows: u64, blocks: u32, most: u32) -> u32 {
    let share = rows.div_ceil(blocks.into());
    share.div_ceil(share.div_ceil(most.into())) as u32
}

/// Bytes of the scratch of `rows::sums` (`sums_scratch` in `vector/rows.h`).
pub(crate) fn sums_scratch(rows: u32, columns: u32) -> u32 {
    let blocks = match columns > 256 {
        true => rows * (columns.next_multiple_of(64) / 8 + columns.next_multiple_of(512) / 64),
        false => 0,
    };
    4 * (rows.next_multiple_of(8) * 8 + blocks)
}

/// Bytes of a part of the unified buffer (`vector/parts.h`).
pub(crate) fn part(bytes: u64) -> u64 {
    bytes.next_multiple_of(512)
}

/// What shifting the parts behind takes.
pub(crate) const SHIFT: u64 = 256;

/// Bytes of values of rows (`row_values_size` in `vector/rows.h`).
pub(crate) fn row_values(rows: u32, pitch: u32) -> u64 {
    match pitch >= 256 {
        true => 512 * u64::from(rows),
        false => 32 * u64::from(rows.next_multiple_of(8)),
    }
}

/// Bytes of the unified buffer for layer norm of rows (`vector/norm_rows.h`).
pub(crate) fn norm_rows_bytes(rows: u32, columns: u32) -> u64 {
    let pitch = columns.next_multiple_of(UNIT);
    let values = u64::from(rows) * u64::from(pitch);
    let per_row = part(4 * u64::from(rows.next_multiple_of(8)));
    let tile = 3 * part(2 * values) + 2 * part(4 * values);
    let scratch = part(sums_scratch(rows, columns).into());
    tile + scratch
        + 3 * per_row
        + SHIFT
        + part(row_values(rows, pitch))
        + 2 * part(4 * u64::from(pitch))
        + 512
}

/// The most rows of a tile for layer norm.
pub(crate) fn norm_rows(columns: u64) -> Result<u32, String> {
    let fits = |rows: u32| {
        columns <= UNIFIED_BUFFER.into()
            && norm_rows_bytes(rows, columns as u32) <= UNIFIED_BUFFER.into()
    };
    (1..=MAX_ROWS)
        .rev()
        .find(|rows| fits(*rows))
        .ok_or_else(|| {
            let most = (1..=UNIFIED_BUFFER / 14)
                .rev()
                .find(|c| norm_rows_bytes(1, *c) <= UNIFIED_BUFFER.into());
            format!(
                "a row has {columns} values; at most {} fit the unified buffer",
                most.unwrap_or(0)
            )
        })
}
