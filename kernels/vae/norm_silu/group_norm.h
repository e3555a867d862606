/// Group norm with channels last, each group split over all cores.
///
/// 1. Each core takes a range of the positions of every batch. It sums d = x - pivot and d * d per channel, where the pivot is the
///    channel's mean over the core's first tile: so nothing cancels, however far the mean is from zero. Sums are kept per place of the
///    tile and added up at the end. It leaves mean and M2 (the sum of squares about the mean) per channel in the workspace.
///    All cores meet.
/// 2. Core k joins the groups k, k + cores, .. of all batches: mean = sum of n_i m_i / n, M2 = sum of M2_i + n_i (m_i - mean)^2 over
///    cores and the group's channels. It leaves mean and 1 / sqrt(M2 / n + eps), once for each channel. All cores meet.
/// 3. Each core reads its positions again and computes y = (x - mean) * (deviation * weight) + bias, and SiLU.
///
/// Workspace, f32, pitch = C rounded up to 16:
///
///     parts   [B, 2, cores, pitch]   mean and M2
///     whole   [B, 2, pitch]          mean and 1 / sqrt(var + eps)
///
/// Unified buffer, e = tile_rows * pitch:
///
///     ring           3 * 2e
///     x, two, one    3 * 4e + 256   the tile and its sums in f32; `two` is spare in step 3. Tables of step 2 lie over all three, which
///                                have room for `tables` values at least
///     mean, deviation, factor, offset   4 * 4 pitch
///     minus_one      512
///
/// Cycles of V for 64 values: step 1 about 6, where its read needs 8; step 3 as layer norm without sums.
#pragma once

#include "../../vector/affine.h"
#include "../../vector/copy.h"
#include "../../vector/parts.h"
#include "../../vector/ring.h"
#include "../../vector/rows.h"

namespace group_norm {

using affine::Affine;
using AscendC::GlobalTensor;
using AscendC::HardEvent;
using AscendC::LocalTensor;
using rows::Binary;
using rows::Tile;

template <typename T> class GroupNorm {
public:
    __aicore__ inline GroupNorm(parts::Buffer &buffer, const NormSiluTiling &tiling, GM_ADDR x, GM_ADDR weight, GM_ADDR bias, GM_ADDR out,
                                GM_ADDR workspace)
        : tiling_(tiling), pitch_(rows::round_up(tiling.channels, copy::UNIT)), cores_(static_cast<uint32_t>(AscendC::GetBlockNum())),
          core_(static_cast<uint32_t>(AscendC::GetBlockIdx())), from_(copy::global<uint16_t>(x)), to_(copy::global<uint16_t>(out)),
          parts_(copy::global<float>(workspace)), weight_at_(weight), bias_at_(bias)
    {
        whole_ = parts_[tiling.batch * 2 * cores_ * pitch_];
        parts::Parts parts(buffer);
        const uint32_t values = tiling.tile_rows * pitch_;
        for (uint32_t i = 0; i < ring::DEPTH; ++i) ring_[i] = parts.take<uint16_t>(values);
        tables_ = parts.take<float>(tiling.tables);
        x_ = tables_;
        two_ = tables_[values];
        // Shifted against x (parts.h) wherever e is a multiple of 128.
        one_ = tables_[2 * values + rows::LANES];
        parts.shift();
        mean_ = parts.take<float>(pitch_);
        deviation_ = parts.take<float>(pitch_);
        factor_ = parts.take<float>(pitch_);
        offset_ = parts.take<float>(pitch_);
        minus_one_ = parts.take<float>(rows::LINE);
    }

    __aicore__ inline void run()
    {
        // The first `more` cores have a position more than the others.
        const uint64_t share = tiling_.positions / cores_;
        const uint32_t more = static_cast<uint32_t>(tiling_.positions % cores_);
        const uint64_t begin = share * core_ + rows::least(core_, more);
        const uint64_t count = share + (core_ < more ? 1 : 0);
        AscendC::Duplicate(minus_one_, -1.0f, static_cast<int32_t>(rows::LINE));
        rows::barrier();
        ring::open();
        for (uint64_t batch = 0; batch < tiling_.batch; ++batch) collect(batch, batch * tiling_.positions + begin, count);
        AscendC::SyncAll();
        for (uint64_t task = core_; task < tiling_.batch * tiling_.groups; task += cores_)
            join(task / tiling_.groups, static_cast<uint32_t>(task % tiling_.groups), share, more);
        AscendC::SyncAll();
        for (uint64_t batch = tiling_.batch; batch-- > 0;) apply(batch, batch * tiling_.positions + begin, count);
        ring::close();
    }

private:
    const NormSiluTiling tiling_;
    const uint32_t pitch_, cores_, core_;
    GlobalTensor<uint16_t> from_, to_;
    GlobalTensor<float> parts_, whole_;
    GM_ADDR weight_at_;
    GM_ADDR bias_at_;
    LocalTensor<uint16_t> ring_[ring::DEPTH];
    LocalTensor<float> tables_, x_, one_, two_, mean_, deviation_, factor_, offset_, minus_one_;
    uint32_t tile_ = 0;  ///< of those that pass through the ring

    /// V's results so far may be stored.
    __aicore__ inline void to_store() const
    {
        AscendC::SetFlag<HardEvent::V_MTE3>(EVENT_ID3);
        AscendC::WaitFlag<HardEvent::V_MTE3>(EVENT_ID3);
    }
    /// What was stored may be changed by V.
    __aicore__ inline void stored() const
    {
        AscendC::SetFlag<HardEvent::MTE3_V>(EVENT_ID3);
        AscendC::WaitFlag<HardEvent::MTE3_V>(EVENT_ID3);
    }
    /// Parts that V is done with may be loaded.
    __aicore__ inline void to_load() const
    {
        AscendC::SetFlag<HardEvent::V_MTE2>(EVENT_ID3);
        AscendC::WaitFlag<HardEvent::V_MTE2>(EVENT_ID3);
    }
    /// What was loaded may be used by V.
    __aicore__ inline void loaded() const
    {
        AscendC::SetFlag<HardEvent::MTE2_V>(EVENT_ID3);
        AscendC::WaitFlag<HardEvent::MTE2_V>(EVENT_ID3);
    }

    __aicore__ inline uint32_t count(uint64_t left) const
    {
        return left < tiling_.tile_rows ? static_cast<uint32_t>(left) : tiling_.tile_rows;
    }

    __aicore__ inline void load(uint32_t tile, uint64_t row, uint32_t n)
    {
        ring::fill(tile);
        copy::load(ring_[ring::slot(tile)], from_[row * tiling_.channels], n, tiling_.channels, tiling_.channels);
        ring::filled(tile);
    }

    /// Rows of the last tile of `left` rows.
    __aicore__ inline uint32_t last(uint64_t left) const
    {
        const uint32_t rest = static_cast<uint32_t>(left % tiling_.tile_rows);
        return rest ? rest : tiling_.tile_rows;
    }

    /// Loads the last tile of `left` rows from `row`.
    __aicore__ inline void load_before(uint32_t tile, uint64_t row, uint64_t left)
    {
        load(tile, row + left - last(left), last(left));
    }

    /// Casts the tile to `x_`.
    __aicore__ inline void widen(const Tile &tile)
    {
        AscendC::Cast(x_, ring_[ring::slot(tile_)].template ReinterpretCast<T>(), AscendC::RoundMode::CAST_NONE, tile.rows * tile.pitch);
        rows::barrier();
    }

    /// Step 1 for `count` rows from `row`.
    __aicore__ inline void collect(uint64_t batch, uint64_t row, uint64_t left)
    {
        const float share = 1.0f / static_cast<float>(left);
        const LocalTensor<float> pivot = mean_;
        const int32_t p = static_cast<int32_t>(pitch_);
        const Tile largest{count(left), tiling_.channels, pitch_};
        bool first = true;
        load(tile_, row, count(left));
        for (; left > 0; ++tile_) {
            const Tile tile{count(left), tiling_.channels, pitch_};
            const int32_t n = static_cast<int32_t>(tile.rows * pitch_);
            row += tile.rows;
            left -= tile.rows;
            if (left > 0) load(tile_ + 1, row, count(left));
            ring::change(tile_);
            widen(tile);
            if (first) {
                first = false;
                AscendC::Adds(one_, x_, 0.0f, n);
                rows::barrier();
                rows::sum_of_rows(tile, one_);
                AscendC::Muls(pivot, one_, 1.0f / static_cast<float>(tile.rows), p);
                rows::barrier();
                AscendC::Duplicate(one_, 0.0f, n);
                AscendC::Duplicate(two_, 0.0f, n);
                rows::barrier();
            }
            rows::with_columns<Binary::Sub>(tile, x_, pivot);
            AscendC::Add(one_, one_, x_, n);
            AscendC::MulAddDst(two_, x_, x_, n);
            rows::barrier();
            // Nothing is stored: the buffer is free when V is done.
            ring::changed(tile_);
            ring::store(tile_);
            ring::stored(tile_);
        }
        rows::sum_of_rows(largest, one_);
        rows::sum_of_rows(largest, two_);
        // mean = pivot + S1 / n, M2 = S2 - S1 * S1 / n.
        AscendC::Muls(x_, one_, share, p);
        rows::barrier();
        AscendC::Mul(one_, one_, x_, p);
        AscendC::Add(mean_, pivot, x_, p);
        rows::barrier();
        AscendC::Sub(two_, two_, one_, p);
        rows::barrier();
        to_store();
        const uint64_t at = (batch * 2 * cores_ + core_) * pitch_;
        copy::store(parts_[at], mean_, 1, pitch_, pitch_);
        copy::store(parts_[at + static_cast<uint64_t>(cores_) * pitch_], two_, 1, pitch_, pitch_);
        stored();
    }

    /// Multiplies the rows of a table, one for each core, by the core's positions and by `factor`.
    __aicore__ inline void weigh(const Tile &table, const LocalTensor<float> &out, const LocalTensor<float> &x, uint64_t share,
                                 uint32_t more, float factor)
    {
        const uint32_t split = more * table.pitch, rest = (table.rows - more) * table.pitch;
        if (more > 0) AscendC::Muls(out, x, static_cast<float>(share + 1) * factor, static_cast<int32_t>(split));
        AscendC::Muls(out[split], x[split], static_cast<float>(share) * factor, static_cast<int32_t>(rest));
        rows::barrier();
    }

    /// Step 2 for a group; `share` and `more` say how many positions cores have.
    __aicore__ inline void join(uint64_t batch, uint32_t group, uint64_t share, uint32_t more)
    {
        const uint32_t width = tiling_.channels / tiling_.groups;
        const Tile table{cores_, width, rows::round_up(width, copy::UNIT)};
        const Tile line{1, cores_, rows::round_up(cores_, rows::BLOCK)};
        const uint32_t values = table.rows * table.pitch;
        const int32_t n = static_cast<int32_t>(values);
        const float factor = 1.0f / (static_cast<float>(tiling_.positions) * static_cast<float>(width));
        // Behind the three tables lie small rows; `join_values` in src/norm_silu.rs counts all of them.
        const LocalTensor<float> means = tables_, squares = tables_[values], work = tables_[2 * values];
        const LocalTensor<float> sums = tables_[3 * values], total = sums[line.pitch], mean = total[rows::BLOCK];
        const LocalTensor<float> deviation = mean[rows::LANES], row = deviation[rows::LANES], scratch = row[2 * table.pitch];

        if (width % copy::UNIT) AscendC::Duplicate(means, 0.0f, 2 * n);
        to_load();
        const GlobalTensor<float> from = parts_[batch * 2 * cores_ * pitch_ + group * width];
        copy::load(means, from, cores_, width, pitch_);
        copy::load(squares, from[static_cast<uint64_t>(cores_) * pitch_], cores_, width, pitch_);
        loaded();

        weigh(table, work, means, share, more, factor);
        rows::sums<false>(table, sums, work, work, scratch);
        rows::sums<false>(line, total, sums, sums, scratch);
        rows::blocks_of(mean, total, 1);

        rows::with_block<Binary::Sub>(work, mean, means, values);
        AscendC::Mul(work, work, work, n);
        AscendC::Muls(squares, squares, factor, n);
        rows::barrier();
        weigh(table, work, work, share, more, factor);
        AscendC::Add(work, work, squares, n);
        rows::barrier();
        rows::sums<false>(table, sums, work, work, scratch);
        rows::sums<false>(line, total, sums, sums, scratch);
        AscendC::Adds(total, total, tiling_.eps, static_cast<int32_t>(rows::BLOCK));
        rows::barrier();
        AscendC::Sqrt(total, total, static_cast<int32_t>(rows::BLOCK));
        rows::barrier();
        AscendC::Div(total, minus_one_, total, static_cast<int32_t>(rows::BLOCK));
        rows::barrier();
        AscendC::Muls(total, total, -1.0f, static_cast<int32_t>(rows::BLOCK));
        rows::barrier();
        rows::blocks_of(deviation, total, 1);

        // Once for each channel.
        const LocalTensor<float> second = row[table.pitch];
        AscendC::Duplicate(row, 0.0f, static_cast<int32_t>(2 * table.pitch));
        rows::barrier();
        rows::with_block<Binary::Add>(row, mean, row, table.pitch);
        rows::with_block<Binary::Add>(second, deviation, second, table.pitch);
        to_store();
        const uint64_t at = batch * 2 * pitch_ + group * width;
        copy::store(whole_[at], row, 1, width, width);
        copy::store(whole_[at + pitch_], second, 1, width, width);
        stored();
    }

    /// Step 3 for `left` rows from `row`.
    __aicore__ inline void apply(uint64_t batch, uint64_t row, uint64_t left)
    {
        const int32_t p = static_cast<int32_t>(pitch_);
        const bool has_affine = tiling_.affine != static_cast<uint32_t>(Affine::None), silu = tiling_.silu != 0;
        if (tiling_.channels % copy::UNIT) {
            AscendC::Duplicate(mean_, 0.0f, p);
            AscendC::Duplicate(deviation_, 0.0f, p);
        }
        to_load();
        const GlobalTensor<float> whole = whole_[batch * 2 * pitch_];
        copy::load(mean_, whole, 1, tiling_.channels, tiling_.channels);
        copy::load(deviation_, whole[pitch_], 1, tiling_.channels, tiling_.channels);
        loaded();
        if (has_affine) {
            affine::load<T>(static_cast<Affine>(tiling_.affine), factor_, offset_, tables_, weight_at_, bias_at_, 0, tiling_.channels,
                            false, silu);
        } else {
            AscendC::Duplicate(factor_, silu ? -1.0f : 1.0f, p);
            rows::barrier();
        }
        AscendC::Mul(factor_, factor_, deviation_, p);
        rows::barrier();

        // From the end, since what was read last may still be in the L2 cache.
        load_before(tile_, row, left);
        for (; left > 0; ++tile_) {
            const Tile tile{last(left), tiling_.channels, pitch_};
            const uint32_t values = tile.rows * pitch_;
            left -= tile.rows;
            const uint64_t at = row + left;
            if (left > 0) load_before(tile_ + 1, row, left);
            ring::change(tile_);
            widen(tile);
            rows::with_columns<Binary::Sub>(tile, x_, mean_);
            if (has_affine) {
                rows::scale_and_shift(tile, x_, factor_, offset_);
            } else {
                rows::with_columns<Binary::Mul>(tile, x_, factor_);
            }
            if (silu) rows::silu_of_negative(x_, two_, minus_one_, values);
            const LocalTensor<uint16_t> &data = ring_[ring::slot(tile_)];
            AscendC::Cast(data.template ReinterpretCast<T>(), x_, AscendC::RoundMode::CAST_RINT, values);
            ring::changed(tile_);
            ring::store(tile_);
            copy::store(to_[at * tiling_.channels], data, tile.rows, tiling_.channels, tiling_.channels);
            ring::stored(tile_);
        }
    }
};

} // namespace group_norm
