/// Layer norm of rows with what follows it, shared by dit/ada_layer_norm and vae/norm_silu: one read and one write of each row.
///
///     y = (x - mean) / sqrt(var + eps) * factor + offset,   then y * sigmoid(y) if wanted
///
/// in f32, mean and variance in two passes over the unified buffer. `factor` and `offset` belong to a batch of rows and are loaded
/// when it begins. A core takes a range of rows, tile by tile; the tiles pass through a ring of three buffers.
///
/// Unified buffer, e = tile_rows * pitch values, r = tile_rows rounded up to 8, pitch = columns rounded up to 16:
///
///     ring       3 * 2e      the tile as it is in memory, in place
///     x, spare   4e + 4e     f32
///     scratch    see rows::sums_scratch
///     mean, deviation, root  3 * 4r
///     spread     see rows::row_values_size: a row's mean or factor
///     factor, offset         2 * 4 pitch
///     minus_one  512
///
/// Cycles of V for 64 values: casts 3, mean 1, differences 1 to 2, squares 2, their sum 0.5 to 1, factor 1, factor of the row and
/// offset 2, SiLU 7; and about 20 barriers of 20 cycles for each tile.
#pragma once

#include "affine.h"
#include "copy.h"
#include "parts.h"
#include "ring.h"
#include "rows.h"

namespace norm_rows {

using AscendC::GlobalTensor;
using AscendC::LocalTensor;

using affine::Affine;

struct Work {
    uint64_t rows;           ///< in all
    uint64_t batch_rows;     ///< rows of a batch
    uint64_t affine_stride;  ///< values from a batch's factor (and offset) to the next one's
    uint32_t columns;
    uint32_t tile_rows;
    Affine affine;
    bool one_plus;  ///< the factor is 1 more than what is given
    bool silu;
    float eps;
};

template <typename T> class NormRows {
public:
    __aicore__ inline NormRows(parts::Buffer &buffer, const Work &work, GM_ADDR x, GM_ADDR factor,
                               GM_ADDR offset, GM_ADDR out)
        : work_(work), pitch_(rows::round_up(work.columns, copy::UNIT)), from_(copy::global<uint16_t>(x)),
          to_(copy::global<uint16_t>(out)), factor_at_(factor), offset_at_(offset)
    {
        parts::Parts parts(buffer);
        const uint32_t values = work.tile_rows * pitch_, rounded = rows::round_up(work.tile_rows, rows::BLOCK);
        for (uint32_t i = 0; i < ring::DEPTH; ++i) ring_[i] = parts.take<uint16_t>(values);
        x_ = parts.take<float>(values);
        spare_ = parts.take<float>(values);
        const rows::Tile tile{work.tile_rows, work.columns, pitch_};
        scratch_ = parts.take<float>(rows::sums_scratch(tile));
        mean_ = parts.take<float>(rounded);
        deviation_ = parts.take<float>(rounded);
        root_ = parts.take<float>(rounded);
        parts.shift();
        spread_ = parts.take<float>(rows::row_values_size(tile));
        factor_ = parts.take<float>(pitch_);
        offset_ = parts.take<float>(pitch_);
        minus_one_ = parts.take<float>(rows::LINE);
    }

    /// Rows `[begin, end)`.
    __aicore__ inline void run(uint64_t begin, uint64_t end)
    {
        const int32_t rounded = static_cast<int32_t>(rows::round_up(work_.tile_rows, rows::BLOCK));
        AscendC::Duplicate(root_, static_cast<float>(work_.columns), rounded);
        AscendC::Duplicate(minus_one_, -1.0f, static_cast<int32_t>(rows::LINE));
        rows::barrier();
        AscendC::Sqrt(root_, root_, rounded);
        rows::barrier();
        ring::open();
        uint64_t batch = ~0ull;
        if (begin < end) load(0, begin, count(begin, end));
        for (uint32_t tile = 0; begin < end; ++tile) {
            const uint32_t n = count(begin, end);
            if (begin + n < end) load(tile + 1, begin + n, count(begin + n, end));
            if (work_.affine != Affine::None && begin / work_.batch_rows != batch) {
                batch = begin / work_.batch_rows;
                affine::load<T>(work_.affine, factor_, offset_, spare_, factor_at_, offset_at_, batch * work_.affine_stride, work_.columns,
                                work_.one_plus, work_.silu);
            }
            ring::change(tile);
            compute(ring_[ring::slot(tile)], {n, work_.columns, pitch_});
            ring::changed(tile);
            ring::store(tile);
            copy::store(to_[begin * work_.columns], ring_[ring::slot(tile)], n, work_.columns, work_.columns);
            ring::stored(tile);
            begin += n;
        }
        ring::close();
    }

private:
    const Work work_;
    const uint32_t pitch_;
    GlobalTensor<uint16_t> from_, to_;
    GM_ADDR factor_at_;
    GM_ADDR offset_at_;
    LocalTensor<uint16_t> ring_[ring::DEPTH];
    LocalTensor<float> x_, spare_, scratch_, mean_, deviation_, root_, spread_, factor_, offset_, minus_one_;

    /// Rows of the tile that begins at `row`: of one batch.
    __aicore__ inline uint32_t count(uint64_t row, uint64_t end) const
    {
        uint64_t most = work_.batch_rows - row % work_.batch_rows;
        if (most > end - row) most = end - row;
        return most < work_.tile_rows ? static_cast<uint32_t>(most) : work_.tile_rows;
    }

    __aicore__ inline void load(uint32_t tile, uint64_t row, uint32_t n)
    {
        ring::fill(tile);
        copy::load(ring_[ring::slot(tile)], from_[row * work_.columns], n, work_.columns, work_.columns);
        ring::filled(tile);
    }

    __aicore__ inline void compute(const LocalTensor<uint16_t> &bits, const rows::Tile &tile)
    {
        const LocalTensor<T> data = bits.template ReinterpretCast<T>();
        const uint32_t values = tile.rows * tile.pitch;
        const int32_t n = static_cast<int32_t>(values), r = static_cast<int32_t>(rows::round_up(tile.rows, rows::BLOCK));
        const float share = 1.0f / static_cast<float>(tile.columns);
        AscendC::Cast(x_, data, AscendC::RoundMode::CAST_NONE, values);
        rows::barrier();

        rows::sums<true>(tile, mean_, x_, spare_, scratch_);
        AscendC::Muls(mean_, mean_, share, r);
        rows::barrier();
        rows::row_values(tile, spread_, mean_, scratch_);
        rows::with_rows<rows::Binary::Sub>(tile, x_, spread_);

        rows::sums<false>(rows::squares(tile, spare_, x_), deviation_, spare_, spare_, scratch_);
        // 1 / sqrt(sum / C + eps) = sqrt(C) / sqrt(sum + C eps).
        AscendC::Adds(deviation_, deviation_, work_.eps * static_cast<float>(tile.columns), r);
        rows::barrier();
        AscendC::Sqrt(deviation_, deviation_, r);
        rows::barrier();
        AscendC::Div(deviation_, root_, deviation_, r);
        rows::barrier();
        if (work_.affine == Affine::None) {
            rows::row_values(tile, spread_, deviation_, scratch_);
            rows::with_rows<rows::Binary::Mul>(tile, x_, spread_);
        } else {
            rows::with_columns<rows::Binary::Mul>(tile, x_, factor_);
            rows::blocks_of(scratch_, deviation_, tile.rows);
            rows::with_rows_and_columns(tile, x_, scratch_, offset_);
        }
        if (work_.silu) {
            if (work_.affine == Affine::None) {
                AscendC::Muls(x_, x_, -1.0f, n);
                rows::barrier();
            }
            rows::silu_of_negative(x_, spare_, minus_one_, values);
        }
        AscendC::Cast(data, x_, AscendC::RoundMode::CAST_RINT, values);
    }
};

} // namespace norm_rows
