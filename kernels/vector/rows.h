/// Rows of f32 in the unified buffer: arithmetic with an operand per row or per column, and sums of rows.
///
/// A tile has `rows` rows (at most MAX_ROWS) of `columns` values, `pitch` values apart; what lies between is defined, and is
/// computed with but for sums. The vector unit takes 64 values at a time: rows that are long against their number get an
/// instruction each, others an instruction per 64 columns that repeats over rows.
///
/// Every function leaves a barrier behind its last instruction, so that the next may use the result.
#pragma once

#include "kernel_operator.h"

namespace rows {

using AscendC::BinaryRepeatParams;
using AscendC::LocalTensor;

constexpr uint32_t LANES = 64;     ///< f32 values of a repeat
constexpr uint32_t BLOCK = 8;      ///< f32 values of 32 bytes
constexpr uint32_t REPEATS = 255;  ///< of an instruction
constexpr uint32_t MAX_ROWS = 248;

struct Tile {
    uint32_t rows, columns, pitch;
};

__aicore__ inline uint32_t round_up(uint32_t value, uint32_t unit) { return (value + unit - 1) / unit * unit; }
__aicore__ inline uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }
__aicore__ inline void barrier() { AscendC::PipeBarrier<PIPE_V>(); }

enum class Binary { Add, Sub, Mul };

/// One instruction over 64-lane repeats.
template <Binary op>
__aicore__ inline void issue(const LocalTensor<float> &out, const LocalTensor<float> &a, const LocalTensor<float> &b, uint32_t lanes,
                             uint32_t repeats, const BinaryRepeatParams &strides)
{
    if constexpr (op == Binary::Add) {
        AscendC::Add(out, a, b, static_cast<uint64_t>(lanes), static_cast<uint8_t>(repeats), strides);
    } else if constexpr (op == Binary::Sub) {
        AscendC::Sub(out, a, b, static_cast<uint64_t>(lanes), static_cast<uint8_t>(repeats), strides);
    } else {
        AscendC::Mul(out, a, b, static_cast<uint64_t>(lanes), static_cast<uint8_t>(repeats), strides);
    }
}

/// Values of rows are given as blocks of eight, or in long rows as lines: two repeats full of the value, which lie shifted against the
/// rows (parts.h), the first for rows' repeats with even numbers, the second for odd ones.
constexpr uint32_t LONG = 256, LINE = 2 * LANES;

/// f32 values that `row_values` makes.
__aicore__ inline uint32_t row_values_size(const Tile &tile)
{
    return tile.pitch >= LONG ? tile.rows * LINE : round_up(tile.rows, BLOCK) * BLOCK;
}

/// `out`: for each row a block full of `values[row]`, rows rounded up to 8.
__aicore__ inline void blocks_of(const LocalTensor<float> &out, const LocalTensor<float> &values, uint32_t rows)
{
    AscendC::Brcb(out, values, static_cast<uint8_t>(round_up(rows, BLOCK) / BLOCK), AscendC::BrcbRepeatParams(1, 8));
    barrier();
}

/// `values[row]` as `with_rows` takes it. `scratch` has room for a block per row.
__aicore__ inline void row_values(const Tile &tile, const LocalTensor<float> &out, const LocalTensor<float> &values,
                                  const LocalTensor<float> &scratch)
{
    const bool lines = tile.pitch >= LONG;
    blocks_of(lines ? scratch : out, values, tile.rows);
    if (!lines) return;
    const AscendC::CopyRepeatParams strides(1, 0, LINE / BLOCK, 1);
    AscendC::Copy(out, scratch, static_cast<uint64_t>(LANES), static_cast<uint8_t>(tile.rows), strides);
    AscendC::Copy(out[LANES], scratch, static_cast<uint64_t>(LANES), static_cast<uint8_t>(tile.rows), strides);
    barrier();
}

/// `out = a op line` (`first`: `line op a`) for `values` values in a row, at most 255 lines of them.
template <Binary op, bool first>
__aicore__ inline void with_line(const LocalTensor<float> &out, const LocalTensor<float> &a, const LocalTensor<float> &line, uint32_t values)
{
    constexpr uint8_t step = LINE / BLOCK;
    const BinaryRepeatParams strides(1, 1, 1, step, first ? 0 : step, first ? step : 0);
    const uint32_t whole = values / LANES, rest = values % LANES;
    for (uint32_t odd = 0; odd < 2; ++odd) {
        const uint32_t repeats = (whole + 1 - odd) / 2, at = odd * LANES;
        if (repeats) issue<op>(out[at], first ? line[at] : a[at], first ? a[at] : line[at], LANES, repeats, strides);
    }
    if (rest) {
        const uint32_t at = whole * LANES, half = whole % 2 * LANES;
        issue<op>(out[at], first ? line[half] : a[at], first ? a[at] : line[half], rest, 1, strides);
    }
}

/// Whether instructions repeat over rows.
__aicore__ inline bool over_rows(const Tile &tile)
{
    return tile.pitch / BLOCK <= REPEATS && tile.rows > (tile.pitch + LANES - 1) / LANES;
}

/// `x = x op values`, over whole pitches, with what `row_values` made.
template <Binary op> __aicore__ inline void with_rows(const Tile &tile, const LocalTensor<float> &x, const LocalTensor<float> &values)
{
    const bool lines = tile.pitch >= LONG;
    const uint8_t pitch = static_cast<uint8_t>(tile.pitch / BLOCK);
    if (over_rows(tile)) {
        const BinaryRepeatParams strides(1, 1, lines ? 1 : 0, pitch, pitch, lines ? LINE / BLOCK : 1);
        for (uint32_t at = 0; at < tile.pitch; at += LANES)
            issue<op>(x[at], x[at], lines ? values[at % LINE] : values, least(LANES, tile.pitch - at), tile.rows, strides);
    } else if (lines) {
        for (uint32_t row = 0; row < tile.rows; ++row)
            with_line<op, false>(x[row * tile.pitch], x[row * tile.pitch], values[row * LINE], tile.pitch);
    } else {
        const BinaryRepeatParams strides(1, 1, 0, 8, 8, 0);
        for (uint32_t row = 0; row < tile.rows; ++row) {
            const uint32_t start = row * tile.pitch, whole = tile.pitch / LANES, rest = tile.pitch % LANES;
            if (whole) issue<op>(x[start], x[start], values[row * BLOCK], LANES, whole, strides);
            if (rest) issue<op>(x[start + whole * LANES], x[start + whole * LANES], values[row * BLOCK], rest, 1, strides);
        }
    }
    barrier();
}

/// `x = x op columns`, over whole pitches, with a value for each column.
template <Binary op> __aicore__ inline void with_columns(const Tile &tile, const LocalTensor<float> &x, const LocalTensor<float> &columns)
{
    const uint8_t pitch = static_cast<uint8_t>(tile.pitch / BLOCK);
    if (over_rows(tile)) {
        for (uint32_t at = 0; at < tile.pitch; at += LANES)
            issue<op>(x[at], x[at], columns[at], least(LANES, tile.pitch - at), tile.rows, BinaryRepeatParams(1, 1, 1, pitch, pitch, 0));
    } else {
        const BinaryRepeatParams strides(1, 1, 1, 8, 8, 8);
        const uint32_t whole = tile.pitch / LANES, rest = tile.pitch % LANES, last = whole * LANES;
        for (uint32_t row = 0; row < tile.rows; ++row) {
            const uint32_t start = row * tile.pitch;
            if (whole) issue<op>(x[start], x[start], columns, LANES, whole, strides);
            if (rest) issue<op>(x[start + last], x[start + last], columns[last], rest, 1, strides);
        }
    }
    barrier();
}

/// `x = x * rows + offset`, over whole pitches, with a block of eight for each row and a value for each column of the offset.
__aicore__ inline void with_rows_and_columns(const Tile &tile, const LocalTensor<float> &x, const LocalTensor<float> &blocks,
                                             const LocalTensor<float> &offset)
{
    const uint8_t pitch = static_cast<uint8_t>(tile.pitch / BLOCK);
    if (over_rows(tile)) {
        const BinaryRepeatParams strides(1, 0, 1, pitch, 1, 0);
        for (uint32_t at = 0; at < tile.pitch; at += LANES)
            AscendC::FusedMulAdd(x[at], blocks, offset[at], static_cast<uint64_t>(least(LANES, tile.pitch - at)),
                                 static_cast<uint8_t>(tile.rows), strides);
    } else {
        const BinaryRepeatParams strides(1, 0, 1, 8, 0, 8);
        const uint32_t whole = tile.pitch / LANES, rest = tile.pitch % LANES, last = whole * LANES;
        for (uint32_t row = 0; row < tile.rows; ++row) {
            const LocalTensor<float> line = x[row * tile.pitch], block = blocks[row * BLOCK];
            if (whole)
                AscendC::FusedMulAdd(line, block, offset, static_cast<uint64_t>(LANES), static_cast<uint8_t>(whole), strides);
            if (rest)
                AscendC::FusedMulAdd(line[last], block, offset[last], static_cast<uint64_t>(rest), static_cast<uint8_t>(1), strides);
        }
    }
    barrier();
}

/// `x = x * factor + offset`, over whole pitches, with values for each column.
__aicore__ inline void scale_and_shift(const Tile &tile, const LocalTensor<float> &x, const LocalTensor<float> &factor,
                                       const LocalTensor<float> &offset)
{
    const uint8_t pitch = static_cast<uint8_t>(tile.pitch / BLOCK);
    if (over_rows(tile)) {
        for (uint32_t at = 0; at < tile.pitch; at += LANES)
            AscendC::FusedMulAdd(x[at], factor[at], offset[at], static_cast<uint64_t>(least(LANES, tile.pitch - at)),
                                 static_cast<uint8_t>(tile.rows), BinaryRepeatParams(1, 1, 1, pitch, 0, 0));
    } else {
        for (uint32_t row = 0; row < tile.rows; ++row)
            AscendC::FusedMulAdd(x[row * tile.pitch], factor, offset, static_cast<int32_t>(tile.pitch));
    }
    barrier();
}

/// Sums of blocks of eight, row by row: `columns` values become `ceil(columns / 8)`, rows a multiple of 8 apart.
__aicore__ inline Tile block_sums(const Tile &tile, const LocalTensor<float> &out, const LocalTensor<float> &x)
{
    const uint32_t columns = (tile.columns + BLOCK - 1) / BLOCK;
    const Tile sums{tile.rows, columns, round_up(columns, BLOCK)};
    const bool dense = tile.columns == tile.pitch && tile.columns % LANES == 0;
    const uint32_t lines = dense ? 1 : tile.rows, length = dense ? tile.rows * tile.columns : tile.columns;
    for (uint32_t line = 0; line < lines; ++line) {
        for (uint32_t at = 0; at < length;) {
            const uint32_t whole = least((length - at) / LANES, REPEATS);
            const uint32_t lanes = whole ? LANES : length - at;
            AscendC::BlockReduceSum(out[line * sums.pitch + at / BLOCK], x[line * tile.pitch + at], whole ? whole : 1, lanes, 1, 1, 8);
            at += whole ? whole * LANES : lanes;
        }
    }
    barrier();
    return sums;
}

/// Adds the columns of each row pairwise, `columns` a multiple of 128, or else those from `half` on to the first ones.
__aicore__ inline void fold(const Tile &tile, const LocalTensor<float> &out, const LocalTensor<float> &x, uint32_t half)
{
    const bool pairs = tile.columns % LINE == 0;
    const uint32_t lanes = tile.columns - half;
    const uint8_t pitch = static_cast<uint8_t>(tile.pitch / BLOCK);
    const BinaryRepeatParams strides(1, 1, 1, pitch, pitch, pitch);
    for (uint32_t at = 0; at < lanes; at += LANES) {
        const uint32_t from = pairs ? 2 * at : at;
        issue<Binary::Add>(out[at], x[from], x[pairs ? from + LANES : from + half], least(LANES, lanes - at), tile.rows, strides);
    }
    barrier();
}

/// Beyond this many columns, sums of blocks come before folding.
constexpr uint32_t FOLDED = 256;

/// f32 values of scratch that `sums` needs.
__aicore__ inline uint32_t sums_scratch(const Tile &tile)
{
    const uint32_t rows = round_up(tile.rows, BLOCK);
    return rows * BLOCK + (tile.columns > FOLDED ? tile.rows * (round_up(tile.columns, LANES) / 8 + round_up(tile.columns, 512) / 64) : 0);
}

/// `out[row]` = sum of the row, for rows rounded up to 8, zero where there is none. Where `x` must be kept, `folded` has room for
/// the tile; else it is `x`.
template <bool keep>
__aicore__ inline void sums(Tile tile, const LocalTensor<float> &out, LocalTensor<float> x, const LocalTensor<float> &folded,
                            LocalTensor<float> scratch)
{
    const uint32_t rows = round_up(tile.rows, BLOCK);
    const LocalTensor<float> blocks = scratch;
    scratch = scratch[rows * BLOCK];
    bool mine = !keep;  // `x` may be overwritten
    while (tile.columns > FOLDED) {
        const Tile next = block_sums(tile, scratch, x);
        x = scratch;
        scratch = scratch[next.rows * next.pitch];
        tile = next;
        mine = true;
    }
    while (tile.columns > LANES) {
        const uint32_t half = round_up((tile.columns + 1) / 2, BLOCK);
        const LocalTensor<float> to = mine ? x : folded;
        if (!mine && 2 * half != tile.columns) {
            AscendC::Adds(folded, x, 0.0f, static_cast<int32_t>(tile.rows * tile.pitch));
            barrier();
            x = folded;
        }
        fold(tile, to, x, half);
        x = to;
        tile.columns = half;
        mine = true;
    }
    // A block of eight per row, of which as many hold something as the row has blocks; zero for rows that are not there.
    if (rows > tile.rows) {
        AscendC::Duplicate(blocks[tile.rows * BLOCK], 0.0f, static_cast<int32_t>((rows - tile.rows) * BLOCK));
        barrier();
    }
    AscendC::BlockReduceSum(blocks, x, tile.rows, tile.columns, 1, 1, tile.pitch / BLOCK);
    barrier();
    const uint64_t held = (1u << (tile.columns + BLOCK - 1) / BLOCK) - 1;
    const uint64_t mask[2] = {held * 0x0101010101010101, 0};
    AscendC::BlockReduceSum(out, blocks, rows / BLOCK, mask, 1, 1, 8);
    barrier();
}

/// `out` = squares of `x`, or where rows are short and whole, sums of the squares of their halves; the tile of them.
__aicore__ inline Tile squares(Tile tile, const LocalTensor<float> &out, const LocalTensor<float> &x)
{
    if (tile.columns > FOLDED || tile.columns % LINE != 0 || !over_rows(tile)) {
        AscendC::Mul(out, x, x, static_cast<int32_t>(tile.rows * tile.pitch));
        barrier();
        return tile;
    }
    tile.columns /= 2;
    const uint8_t pitch = static_cast<uint8_t>(tile.pitch / BLOCK), lines = static_cast<uint8_t>(tile.rows);
    const BinaryRepeatParams strides(1, 1, 1, pitch, pitch, pitch);
    for (uint32_t at = 0; at < tile.columns; at += LANES) issue<Binary::Mul>(out[at], x[at], x[at], LANES, lines, strides);
    barrier();
    for (uint32_t at = 0; at < tile.columns; at += LANES) {
        const LocalTensor<float> other = x[tile.columns + at];
        AscendC::MulAddDst(out[at], other, other, static_cast<uint64_t>(LANES), lines, strides);
    }
    barrier();
    return tile;
}

/// `x[0..pitch]` = sum of all rows; the others are lost.
__aicore__ inline void sum_of_rows(const Tile &tile, const LocalTensor<float> &x)
{
    for (uint32_t left = tile.rows; left > 1;) {
        const uint32_t half = (left + 1) / 2;
        AscendC::Add(x, x, x[half * tile.pitch], static_cast<int32_t>((left - half) * tile.pitch));
        barrier();
        left = half;
    }
}

/// `out = block op b`, where every value of the block of eight is the same.
template <Binary op>
__aicore__ inline void with_block(const LocalTensor<float> &out, const LocalTensor<float> &block, const LocalTensor<float> &b,
                                  uint32_t values)
{
    for (uint32_t at = 0; at < values;) {
        const uint32_t whole = least((values - at) / LANES, REPEATS);
        const uint32_t lanes = whole ? LANES : values - at;
        issue<op>(out[at], block, b[at], lanes, whole ? whole : 1, BinaryRepeatParams(1, 0, 1, 8, 0, 8));
        at += whole ? whole * LANES : lanes;
    }
    barrier();
}

/// `x` holds -y and becomes y * sigmoid(y) = -y / (-1 - exp(-y)). `minus_one` is a line (with_line) full of -1.
__aicore__ inline void silu_of_negative(const LocalTensor<float> &x, const LocalTensor<float> &spare, const LocalTensor<float> &minus_one,
                                        uint32_t values)
{
    AscendC::Exp(spare, x, static_cast<int32_t>(values));
    barrier();
    with_line<Binary::Sub, true>(spare, spare, minus_one, values);
    barrier();
    AscendC::Div(x, x, spare, static_cast<int32_t>(values));
    barrier();
}

} // namespace rows
