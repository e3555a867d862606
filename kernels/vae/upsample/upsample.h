/// The class of the kernel; upsample.cpp says what it computes.
#pragma once

#include "../../vector/copy.h"
#include "../../vector/doubled.h"
#include "../../vector/parts.h"
#include "../../vector/rows.h"

namespace upsampling {

using AscendC::GlobalTensor;
using AscendC::LocalTensor;
using AscendC::RoundMode;
using rows::LANES;

/// `UpsampleTiling::time` and `UpsampleTiling::space`.
constexpr uint32_t KEPT = 0, NEAREST = 1, LINEAR = 2;

template <typename T> class Upsample {
public:
    __aicore__ inline Upsample(parts::Buffer &buffer, const UpsampleTiling &tiling, GM_ADDR x, GM_ADDR before, GM_ADDR out)
        : tiling_(tiling), linear_(tiling.space == LINEAR), factor_(tiling.space == KEPT ? 1 : 2),
          halo_(linear_ ? 1 : 0), x_(copy::global<uint16_t>(x)),
          before_(copy::global<uint16_t>(before)), out_(copy::global<uint16_t>(out))
    {
        parts::Parts parts(buffer);
        const uint32_t pitch = rows::round_up(tiling.piece_channels, copy::UNIT), values = (tiling.piece_columns + 2 * halo_) * pitch;
        for (uint32_t i = 0; i < 2; ++i) {
            a_[i] = parts.take<uint16_t>(values);
            b_[i] = parts.take<uint16_t>(values);
            made_[i] = parts.take<uint16_t>(factor_ * tiling.piece_columns * pitch);
        }
        for (uint32_t i = 0; i < (linear_ ? 3 : 1); ++i) mixed_[i] = parts.take<float>(values);
        for (uint32_t i = 0; i < (linear_ ? 3 : 1); ++i) work_[i] = parts.take<float>(values);
        if (!linear_) return;
        // The summands of output columns.
        parts.shift();
        work_[3] = parts.take<float>(values);
    }

    /// The share of core `block` of `blocks`.
    __aicore__ inline void run(uint64_t block, uint64_t blocks)
    {
        const uint64_t pieces = static_cast<uint64_t>(tiling_.across) * tiling_.deep;
        const uint64_t all = static_cast<uint64_t>(tiling_.batch) * tiling_.out_frames * pieces * tiling_.height;
        const uint64_t end = all * (block + 1) / blocks;
        doubled::open();
        for (uint64_t task = all * block / blocks; task < end;) {
            const uint64_t piece = task / tiling_.height;
            const uint32_t from = static_cast<uint32_t>(task % tiling_.height);
            const uint64_t left = end - task;
            const uint32_t to = left < tiling_.height - from ? from + static_cast<uint32_t>(left) : tiling_.height;
            set_piece(piece / pieces, static_cast<uint32_t>(piece % pieces));
            go_down(from, to);
            task += to - from;
        }
        doubled::close();
    }

private:
    const UpsampleTiling tiling_;
    const bool linear_;
    const uint32_t factor_, halo_;
    GlobalTensor<uint16_t> x_, before_, out_;
    LocalTensor<uint16_t> a_[2], b_[2], made_[2];
    LocalTensor<float> mixed_[3], work_[4];
    uint32_t loads_ = 0, stores_ = 0;

    // The piece that is worked on.
    GlobalTensor<uint16_t> frame_a_, frame_b_, frame_out_;
    float share_b_ = 0;  ///< of frame b; 0 if there is none
    uint32_t column_ = 0, columns_ = 0, channel_ = 0, channels_ = 0;
    uint32_t pitch_ = 0;  ///< from column to column in the unified buffer

    /// Values of an input frame.
    __aicore__ inline uint64_t frame() const { return static_cast<uint64_t>(tiling_.height) * tiling_.width * tiling_.channels; }

    /// Frame `k` of those behind the single one, the frame before the chunk being the first of them where there is one.
    __aicore__ inline GlobalTensor<uint16_t> behind(uint64_t batch, uint32_t k) const
    {
        if (!tiling_.first && k == 0) return before_[batch * frame()];
        return x_[(batch * tiling_.frames + (tiling_.first ? k + 1 : k - 1)) * frame()];
    }

    /// Piece `part` of output frame `index`, counted through all batches.
    __aicore__ inline void set_piece(uint64_t index, uint32_t part)
    {
        const uint64_t batch = index / tiling_.out_frames;
        const uint32_t frame_index = static_cast<uint32_t>(index % tiling_.out_frames);
        frame_out_ = out_[index * frame() * factor_ * factor_];
        column_ = part % tiling_.across * tiling_.piece_columns;
        columns_ = rows::least(tiling_.piece_columns, tiling_.width - column_);
        channel_ = part / tiling_.across * tiling_.piece_channels;
        channels_ = rows::least(tiling_.piece_channels, tiling_.channels - channel_);
        pitch_ = rows::round_up(channels_, copy::UNIT);
        share_b_ = 0;
        if (tiling_.time != LINEAR) {
            uint32_t from = frame_index;
            if (tiling_.time == NEAREST) from = tiling_.first ? (frame_index + 1) / 2 : frame_index / 2;
            frame_a_ = x_[(batch * tiling_.frames + from) * frame()];
            return;
        }
        // Frames of a first chunk: the single one, the one behind it; then pairs; and at last the last one again.
        const uint32_t held = tiling_.first ? 2 : 0, pairs = tiling_.first ? tiling_.frames - 2 : tiling_.frames;
        if (frame_index < held) {
            frame_a_ = x_[(batch * tiling_.frames + frame_index) * frame()];
        } else if (frame_index - held >= 2 * pairs) {
            frame_a_ = x_[(batch * tiling_.frames + tiling_.frames - 1) * frame()];
        } else {
            const uint32_t pair = (frame_index - held) / 2;
            frame_a_ = behind(batch, pair);
            frame_b_ = behind(batch, pair + 1);
            share_b_ = (frame_index - held) % 2 ? 0.75f : 0.25f;
        }
    }

    /// Input rows `[from, to)` of the piece.
    __aicore__ inline void go_down(uint32_t from, uint32_t to)
    {
        const uint32_t last = tiling_.height - 1;
        const uint32_t begin = linear_ && from > 0 ? from - 1 : from, end = linear_ && to <= last ? to + 1 : to;
        load(begin);
        for (uint32_t row = begin; row < end; ++row) {
            if (row + 1 < end) load(row + 1, loads_ + 1);
            mix(mixed_[linear_ ? row % 3 : 0]);
            if (!linear_) {
                copy_row(row);
            } else {
                if (row > from) between(row - 1);
                if (row == last && to > last) between(row);
            }
        }
    }

    __aicore__ inline void load(uint32_t row) { load(row, loads_); }

    /// Loads a row of the frames with the columns beside the piece, those at the edges twice.
    __aicore__ inline void load(uint32_t row, uint32_t number)
    {
        doubled::in::load(number);
        load(a_[doubled::slot(number)], frame_a_, row);
        if (share_b_ != 0) load(b_[doubled::slot(number)], frame_b_, row);
        doubled::in::loaded(number);
    }

    __aicore__ inline void load(const LocalTensor<uint16_t> &to, const GlobalTensor<uint16_t> &from, uint32_t row) const
    {
        const uint64_t start = static_cast<uint64_t>(row) * tiling_.width * tiling_.channels + channel_;
        const uint32_t end = column_ + columns_;
        const uint32_t left = column_ >= halo_ ? column_ - halo_ : 0, right = rows::least(end + halo_, tiling_.width);
        const uint32_t missing = halo_ - (column_ - left);
        copy::load(to[missing * pitch_], from[start + static_cast<uint64_t>(left) * tiling_.channels], right - left, channels_,
                   tiling_.channels);
        if (missing) copy::load(to, from[start], 1, channels_, tiling_.channels);
        if (right - end < halo_)
            copy::load(to[(columns_ + 1) * pitch_], from[start + static_cast<uint64_t>(end - 1) * tiling_.channels], 1, channels_,
                       tiling_.channels);
    }

    /// The row that was loaded, in f32, mixed in time.
    __aicore__ inline void mix(const LocalTensor<float> &row)
    {
        const uint32_t values = (columns_ + 2 * halo_) * pitch_;
        const int32_t n = static_cast<int32_t>(values);
        const uint32_t slot = doubled::slot(loads_);
        doubled::in::use(loads_);
        AscendC::Cast(row, a_[slot].template ReinterpretCast<T>(), RoundMode::CAST_NONE, values);
        if (share_b_ != 0) AscendC::Cast(work_[0], b_[slot].template ReinterpretCast<T>(), RoundMode::CAST_NONE, values);
        doubled::in::used(loads_);
        ++loads_;
        rows::barrier();
        if (share_b_ == 0) return;
        AscendC::Muls(row, row, 1.0f - share_b_, n);
        rows::barrier();
        AscendC::Axpy(row, work_[0], share_b_, n);
        rows::barrier();
    }

    /// Output of an input row where space is kept or nearest.
    __aicore__ inline void copy_row(uint32_t row)
    {
        const LocalTensor<uint16_t> &made = made_[doubled::slot(stores_)];
        doubled::out::make(stores_);
        for (uint32_t i = 0; i < factor_; ++i) cast_columns(made, mixed_[0], i);
        doubled::out::made(stores_);
        doubled::out::store(stores_);
        for (uint32_t i = 0; i < factor_; ++i) store(factor_ * row + i, made);
        doubled::out::stored(stores_);
        ++stores_;
    }

    /// The two output rows of an input row, where space is linear.
    __aicore__ inline void between(uint32_t row)
    {
        const LocalTensor<float> &middle = mixed_[row % 3];
        output_row(2 * row, middle, mixed_[(row > 0 ? row - 1 : 0) % 3]);
        output_row(2 * row + 1, middle, mixed_[rows::least(row + 1, tiling_.height - 1) % 3]);
    }

    /// An output row: 3/4 of one input row and 1/4 of the other, and so for the columns.
    __aicore__ inline void output_row(uint32_t row, const LocalTensor<float> &near, const LocalTensor<float> &far)
    {
        const int32_t n = static_cast<int32_t>((columns_ + 2) * pitch_), inner = static_cast<int32_t>(columns_ * pitch_);
        const LocalTensor<float> &mixed = work_[0], &quarter = work_[1], &odd = work_[2], &rest = work_[3];
        AscendC::Muls(mixed, near, 0.75f, n);
        rows::barrier();
        AscendC::Axpy(mixed, far, 0.25f, n);
        rows::barrier();
        AscendC::Muls(quarter, mixed, 0.25f, n);
        AscendC::Muls(rest, mixed, 0.75f, n);
        rows::barrier();
        const LocalTensor<float> &even = mixed;
        AscendC::Add(even, quarter, rest[pitch_], inner);
        AscendC::Add(odd, rest[pitch_], quarter[2 * pitch_], inner);
        rows::barrier();
        const LocalTensor<uint16_t> &made = made_[doubled::slot(stores_)];
        doubled::out::make(stores_);
        cast_columns(made, even, 0);
        cast_columns(made, odd, 1);
        doubled::out::made(stores_);
        doubled::out::store(stores_);
        store(row, made);
        doubled::out::stored(stores_);
        ++stores_;
    }

    /// Casts columns to every `factor_`-th place from `first`.
    __aicore__ inline void cast_columns(const LocalTensor<uint16_t> &to, const LocalTensor<float> &from, uint32_t first) const
    {
        const LocalTensor<T> typed = to[first * pitch_].template ReinterpretCast<T>();
        if (factor_ == 1) {
            AscendC::Cast(typed, from, RoundMode::CAST_RINT, columns_ * pitch_);
            return;
        }
        const AscendC::UnaryRepeatParams strides(1, 1, static_cast<uint8_t>(2 * pitch_ / copy::UNIT),
                                                 static_cast<uint8_t>(pitch_ / rows::BLOCK));
        for (uint32_t at = 0; at < pitch_; at += LANES) {
            const uint64_t lanes = rows::least(LANES, pitch_ - at);
            for (uint32_t column = 0; column < columns_; column += rows::REPEATS) {
                const uint32_t some = rows::least(rows::REPEATS, columns_ - column);
                AscendC::Cast(typed[2 * column * pitch_ + at], from[column * pitch_ + at], RoundMode::CAST_RINT, lanes,
                              static_cast<uint8_t>(some), strides);
            }
        }
    }

    __aicore__ inline void store(uint32_t row, const LocalTensor<uint16_t> &made) const
    {
        const uint64_t pixel = static_cast<uint64_t>(row) * factor_ * tiling_.width + factor_ * column_;
        copy::store(frame_out_[pixel * tiling_.channels + channel_], made, factor_ * columns_, channels_, tiling_.channels);
    }
};

} // namespace upsampling
