/// The class of the kernel; rope.cpp says what it computes.
#pragma once

#include "../../vector/copy.h"
#include "../../vector/parts.h"
#include "../../vector/ring.h"
#include "../../vector/rows.h"

namespace rope_kernel {

using AscendC::BinaryRepeatParams;
using AscendC::GlobalTensor;
using AscendC::HardEvent;
using AscendC::LocalTensor;
using AscendC::RoundMode;
using AscendC::UnaryRepeatParams;
using rows::Binary;
using rows::BLOCK;
using rows::LANES;
using rows::Tile;

/// How the weight is given: `RopeTiling::weight`.
constexpr uint32_t NARROW_WEIGHT = 2;
/// The even lanes of a repeat.
constexpr uint64_t EVEN = 0x5555555555555555;

template <typename T> class Rope {
public:
    __aicore__ inline Rope(parts::Buffer &buffer, const RopeTiling &tiling, GM_ADDR x, GM_ADDR cos, GM_ADDR sin, GM_ADDR weight,
                           GM_ADDR out)
        : tiling_(tiling), half_(tiling.neighbours ? 0 : tiling.head / 2 / tiling.sections), from_(copy::global<uint16_t>(x)),
          to_(copy::global<uint16_t>(out)), cos_from_(copy::global<float>(cos)), sin_from_(copy::global<float>(sin)), weight_from_(weight)
    {
        parts::Parts parts(buffer);
        const uint32_t values = tiling.tokens * tiling.row, table = rows::round_up(tiling.tokens * tiling.head, 2 * copy::UNIT);
        for (uint32_t i = 0; i < ring::DEPTH; ++i) {
            x_[i] = parts.take<uint16_t>(values);
            cos_[i] = parts.take<float>(table / 2);
            sin_[i] = parts.take<float>(table / 2);
        }
        a_ = parts.take<float>(values);
        // What works with a.
        parts.shift();
        b_ = parts.take<float>(values);
        c_ = parts.take<float>(table);
        s_ = parts.take<float>(table);
        index_ = parts.take<int32_t>(table);
        weight_ = parts.take<float>(tiling.head);
        turned_ = parts.take<float>(tiling.head);
        if (tiling.norm) {
            const uint32_t lines = tiling.tokens * tiling.heads, rounded = rows::round_up(lines, BLOCK);
            factors_ = parts.take<float>(rounded);
            ones_ = parts.take<float>(rounded);
            spread_ = parts.take<float>(rows::row_values_size({lines, tiling.head, tiling.head}));
            scratch_ = parts.take<float>(rows::sums_scratch({lines, tiling.head, tiling.head}));
        }
    }

    /// Tokens `[begin, end)` of all batches.
    __aicore__ inline void run(uint64_t begin, uint64_t end)
    {
        if (begin == end) return;
        if (tiling_.neighbours) make_index();
        if (tiling_.norm) {
            AscendC::Duplicate(ones_, 1.0f, static_cast<int32_t>(rows::round_up(tiling_.tokens * tiling_.heads, BLOCK)));
            rows::barrier();
        }
        if (tiling_.weight) load_weight();
        if (padded()) clear_tables();
        ring::open();
        uint32_t tile = 0;
        for (uint32_t head = 0; head < tiling_.all_heads; head += tiling_.heads)
            tile = heads(tile, begin, end, head, rows::least(tiling_.heads, tiling_.all_heads - head));
        ring::close();
    }

private:
    const RopeTiling tiling_;
    const uint32_t half_;  ///< values from one of a pair to the other, for halves
    GlobalTensor<uint16_t> from_, to_;
    GlobalTensor<float> cos_from_, sin_from_;
    GM_ADDR weight_from_;
    LocalTensor<uint16_t> x_[ring::DEPTH];
    LocalTensor<float> cos_[ring::DEPTH], sin_[ring::DEPTH];
    LocalTensor<float> a_, b_, c_, s_, weight_, turned_, factors_, ones_, spread_, scratch_;
    LocalTensor<int32_t> index_;

    /// Whether the halves of sections are padded.
    __aicore__ inline bool padded() const { return tiling_.head != tiling_.size; }
    /// Channels of half a section.
    __aicore__ inline uint32_t part() const { return tiling_.size / 2 / tiling_.sections; }

    /// Some heads of the tokens; `tile` counts tiles, and the next one is returned.
    __aicore__ inline uint32_t heads(uint32_t tile, uint64_t begin, uint64_t end, uint32_t head, uint32_t count)
    {
        load(tile, begin, tokens(begin, end), head, count);
        for (uint64_t token = begin; token < end; ++tile) {
            const uint32_t n = tokens(token, end);
            if (token + n < end) load(tile + 1, token + n, tokens(token + n, end), head, count);
            ring::change(tile);
            const uint32_t slot = ring::slot(tile);
            make_tables(slot, n);
            turn(x_[slot], n, count);
            ring::changed(tile);
            ring::store(tile);
            store(slot, token, n, head, count);
            ring::stored(tile);
            token += n;
        }
        return tile;
    }

    /// Tokens of the tile that begins at `token`: of one batch.
    __aicore__ inline uint32_t tokens(uint64_t token, uint64_t end) const
    {
        uint64_t most = tiling_.sequence - token % tiling_.sequence;
        if (most > end - token) most = end - token;
        return most < tiling_.tokens ? static_cast<uint32_t>(most) : tiling_.tokens;
    }

    /// Values of a token's `count` heads in the unified buffer.
    __aicore__ inline uint32_t row(uint32_t count) const { return rows::round_up(count * tiling_.head, copy::UNIT); }

    __aicore__ inline void load(uint32_t tile, uint64_t token, uint32_t n, uint32_t head, uint32_t count)
    {
        const uint64_t batch = token / tiling_.sequence, position = token % tiling_.sequence;
        const uint32_t slot = ring::slot(tile), pairs = tiling_.size / 2;
        const GlobalTensor<uint16_t> from = from_[batch * tiling_.x_batch + position * tiling_.x_token + head * tiling_.size];
        const uint64_t at = batch * tiling_.table_batch + position * pairs;
        ring::fill(tile);
        if (padded()) {
            for (uint32_t i = 0; i < n; ++i)
                copy::load(x_[slot][i * row(count)], from[i * tiling_.x_token], count * 2 * tiling_.sections, part(), part());
            copy::load(cos_[slot], cos_from_[at], n * tiling_.sections, part(), part());
            copy::load(sin_[slot], sin_from_[at], n * tiling_.sections, part(), part());
        } else {
            copy::load(x_[slot], from, n, count * tiling_.size, tiling_.x_token);
            copy::load(cos_[slot], cos_from_[at], 1, n * pairs, n * pairs);
            copy::load(sin_[slot], sin_from_[at], 1, n * pairs, n * pairs);
        }
        ring::filled(tile);
    }

    __aicore__ inline void store(uint32_t slot, uint64_t token, uint32_t n, uint32_t head, uint32_t count)
    {
        const uint64_t batch = token / tiling_.sequence, position = token % tiling_.sequence;
        const GlobalTensor<uint16_t> to = to_[batch * tiling_.out_batch + position * tiling_.out_token + head * tiling_.size];
        if (padded()) {
            for (uint32_t i = 0; i < n; ++i)
                copy::store(to[i * tiling_.out_token], x_[slot][i * row(count)], count * 2 * tiling_.sections, part(), part());
        } else {
            copy::store(to, x_[slot], n, count * tiling_.size, tiling_.out_token);
        }
    }

    /// Zeros where loads of padded tables put nothing.
    __aicore__ inline void clear_tables()
    {
        const int32_t values = static_cast<int32_t>(tiling_.tokens * tiling_.head / 2);
        for (uint32_t i = 0; i < ring::DEPTH; ++i) {
            AscendC::Duplicate(cos_[i], 0.0f, values);
            AscendC::Duplicate(sin_[i], 0.0f, values);
        }
        AscendC::SetFlag<HardEvent::V_MTE2>(EVENT_ID3);
        AscendC::WaitFlag<HardEvent::V_MTE2>(EVENT_ID3);
    }

    /// Byte offsets that give each of n values twice, for `Gather`.
    __aicore__ inline void make_index()
    {
        const int32_t n = static_cast<int32_t>(tiling_.tokens * tiling_.head);
        AscendC::CreateVecIndex(index_, static_cast<int32_t>(0), static_cast<uint32_t>(n));
        rows::barrier();
        AscendC::ShiftRight(index_, index_, static_cast<int32_t>(1), n);
        rows::barrier();
        AscendC::ShiftLeft(index_, index_, static_cast<int32_t>(2), n);
        rows::barrier();
    }

    /// `weight_`, and `turned_`: the same with the two of each pair swapped.
    __aicore__ inline void load_weight()
    {
        const uint32_t lines = padded() ? 2 * tiling_.sections : 1, columns = tiling_.size / lines;
        const int32_t head = static_cast<int32_t>(tiling_.head);
        const LocalTensor<uint16_t> narrow = a_.template ReinterpretCast<uint16_t>();
        AscendC::Duplicate(weight_, 0.0f, head);
        AscendC::SetFlag<HardEvent::V_MTE2>(EVENT_ID3);
        AscendC::WaitFlag<HardEvent::V_MTE2>(EVENT_ID3);
        if (tiling_.weight == NARROW_WEIGHT) {
            copy::load(narrow, copy::global<uint16_t>(weight_from_), lines, columns, columns);
        } else {
            copy::load(weight_, copy::global<float>(weight_from_), lines, columns, columns);
        }
        AscendC::SetFlag<HardEvent::MTE2_V>(EVENT_ID3);
        AscendC::WaitFlag<HardEvent::MTE2_V>(EVENT_ID3);
        if (tiling_.weight == NARROW_WEIGHT) {
            AscendC::Cast(weight_, narrow.template ReinterpretCast<T>(), RoundMode::CAST_NONE, tiling_.head);
            rows::barrier();
        }
        if (tiling_.neighbours) {
            // Offsets of i ^ 1 = i + 1 - 2 (i mod 2), and i mod 2 = i - (i >> 1 << 1).
            const LocalTensor<int32_t> index = b_.template ReinterpretCast<int32_t>(), odd = a_.template ReinterpretCast<int32_t>();
            AscendC::CreateVecIndex(index, static_cast<int32_t>(0), tiling_.head);
            rows::barrier();
            AscendC::ShiftRight(odd, index, static_cast<int32_t>(1), head);
            rows::barrier();
            AscendC::ShiftLeft(odd, odd, static_cast<int32_t>(1), head);
            rows::barrier();
            AscendC::Sub(odd, index, odd, head);
            rows::barrier();
            AscendC::ShiftLeft(odd, odd, static_cast<int32_t>(1), head);
            AscendC::Adds(index, index, static_cast<int32_t>(1), head);
            rows::barrier();
            AscendC::Sub(index, index, odd, head);
            rows::barrier();
            AscendC::ShiftLeft(index, index, static_cast<int32_t>(2), head);
            rows::barrier();
            AscendC::Gather(turned_, weight_, index.template ReinterpretCast<uint32_t>(), 0u, tiling_.head);
        } else {
            for (uint32_t at = 0; at < tiling_.head; at += 2 * half_) {
                AscendC::Adds(turned_[at], weight_[at + half_], 0.0f, static_cast<int32_t>(half_));
                AscendC::Adds(turned_[at + half_], weight_[at], 0.0f, static_cast<int32_t>(half_));
            }
        }
        rows::barrier();
    }

    /// `c_` and `s_` for `n` tokens, from the tables in a slot.
    __aicore__ inline void make_tables(uint32_t slot, uint32_t n)
    {
        if (tiling_.neighbours) {
            const uint32_t values = n * tiling_.head;
            const LocalTensor<uint32_t> index = index_.template ReinterpretCast<uint32_t>();
            AscendC::Gather(c_, cos_[slot], index, 0u, values);
            AscendC::Gather(s_, sin_[slot], index, 0u, values);
            rows::barrier();
            uint64_t even[2] = {EVEN, 0};
            const UnaryRepeatParams strides(1, 1, 8, 8);
            const uint32_t whole = values / LANES, rest = values % LANES;
            if (whole) AscendC::Muls(s_, s_, -1.0f, even, static_cast<uint8_t>(whole), strides);
            if (rest) {
                even[0] &= (1ull << rest) - 1;
                AscendC::Muls(s_[whole * LANES], s_[whole * LANES], -1.0f, even, static_cast<uint8_t>(1), strides);
            }
        } else {
            const uint8_t wide = static_cast<uint8_t>(2 * half_ / BLOCK), narrow = static_cast<uint8_t>(half_ / BLOCK);
            const UnaryRepeatParams strides(1, 1, wide, narrow);
            const uint8_t sections = static_cast<uint8_t>(n * tiling_.sections);
            for (uint32_t at = 0; at < half_; at += LANES) {
                const uint64_t lanes = rows::least(LANES, half_ - at);
                AscendC::Muls(c_[at], cos_[slot][at], 1.0f, lanes, sections, strides);
                AscendC::Muls(c_[half_ + at], cos_[slot][at], 1.0f, lanes, sections, strides);
                AscendC::Muls(s_[at], sin_[slot][at], -1.0f, lanes, sections, strides);
                AscendC::Muls(s_[half_ + at], sin_[slot][at], 1.0f, lanes, sections, strides);
            }
        }
        rows::barrier();
        if (tiling_.weight) {
            const Tile table{n, tiling_.head, tiling_.head};
            rows::with_columns<Binary::Mul>(table, c_, weight_);
            rows::with_columns<Binary::Mul>(table, s_, turned_);
        }
    }

    /// `out = a op b` for `lanes` values of each head of `n` tokens, where `b` is a table with rows for tokens.
    template <Binary op>
    __aicore__ inline void with_table(const LocalTensor<float> &out, const LocalTensor<float> &a, const LocalTensor<float> &b,
                                      uint32_t lanes, uint32_t n, uint32_t count) const
    {
        const uint32_t length = row(count);
        const uint8_t head = static_cast<uint8_t>(tiling_.head / BLOCK);
        const bool over_tokens = n > count && length / BLOCK <= rows::REPEATS;
        for (uint32_t at = 0; at < lanes; at += LANES) {
            const uint32_t some = rows::least(LANES, lanes - at);
            if (over_tokens) {
                const uint8_t token = static_cast<uint8_t>(length / BLOCK);
                for (uint32_t i = 0; i < count; ++i) {
                    const uint32_t place = i * tiling_.head + at;
                    rows::issue<op>(out[place], a[place], b[at], some, n, BinaryRepeatParams(1, 1, 1, token, token, head));
                }
            } else {
                for (uint32_t i = 0; i < n; ++i) {
                    const uint32_t place = i * length + at;
                    rows::issue<op>(out[place], a[place], b[i * tiling_.head + at], some, count,
                                    BinaryRepeatParams(1, 1, 1, head, head, 0));
                }
            }
        }
    }

    /// `out += a` for half a section of each head; the heads of all tokens follow one another but for the padding of tokens.
    __aicore__ inline void add_half(const LocalTensor<float> &out, const LocalTensor<float> &a, uint32_t n, uint32_t count) const
    {
        const uint8_t head = static_cast<uint8_t>(tiling_.head / BLOCK);
        for (uint32_t at = 0; at < half_; at += LANES)
            for (uint32_t i = 0; i < n; ++i) {
                const uint32_t place = i * row(count) + at;
                rows::issue<Binary::Add>(out[place], out[place], a[place], rows::least(LANES, half_ - at), count,
                                         BinaryRepeatParams(1, 1, 1, head, head, head));
            }
    }

    /// Turns `n` tokens with `count` heads in place.
    __aicore__ inline void turn(const LocalTensor<uint16_t> &bits, uint32_t n, uint32_t count)
    {
        const LocalTensor<T> data = bits.template ReinterpretCast<T>();
        const uint32_t values = n * row(count);
        const int32_t signed_values = static_cast<int32_t>(values);
        if (tiling_.norm) {
            AscendC::Cast(a_, data, RoundMode::CAST_NONE, values);
            rows::barrier();
            head_factors(n, count);
        }
        if (tiling_.neighbours) {
            // The swapped pairs are made where `a_` will be.
            const LocalTensor<uint32_t> words = bits.template ReinterpretCast<uint32_t>();
            const LocalTensor<uint32_t> low = a_.template ReinterpretCast<uint32_t>(), high = low[values / 2];
            AscendC::ShiftLeft(low, words, static_cast<uint32_t>(16), signed_values / 2);
            AscendC::ShiftRight(high, words, static_cast<uint32_t>(16), signed_values / 2);
            rows::barrier();
            const LocalTensor<uint16_t> swapped = low.template ReinterpretCast<uint16_t>();
            AscendC::Or(swapped, swapped, high.template ReinterpretCast<uint16_t>(), signed_values);
            rows::barrier();
            AscendC::Cast(b_, swapped.template ReinterpretCast<T>(), RoundMode::CAST_NONE, values);
            rows::barrier();
            AscendC::Cast(a_, data, RoundMode::CAST_NONE, values);
            rows::barrier();
            with_table<Binary::Mul>(b_, b_, s_, tiling_.head, n, count);
            with_table<Binary::Mul>(a_, a_, c_, tiling_.head, n, count);
            rows::barrier();
            AscendC::Add(b_, b_, a_, signed_values);
        } else {
            if (!tiling_.norm) AscendC::Cast(a_, data, RoundMode::CAST_NONE, values);
            rows::barrier();
            if (values > n * count * tiling_.head) {
                AscendC::Duplicate(b_, 0.0f, signed_values);
                rows::barrier();
            }
            with_table<Binary::Mul>(b_, a_, c_, tiling_.head, n, count);
            for (uint32_t at = 0; at < tiling_.head; at += 2 * half_) {
                with_table<Binary::Mul>(a_[at], a_[at], s_[at + half_], half_, n, count);
                with_table<Binary::Mul>(a_[at + half_], a_[at + half_], s_[at], half_, n, count);
            }
            rows::barrier();
            for (uint32_t at = 0; at < tiling_.head; at += 2 * half_) {
                add_half(b_[at], a_[at + half_], n, count);
                add_half(b_[at + half_], a_[at], n, count);
            }
        }
        rows::barrier();
        if (tiling_.norm) {
            const Tile lines{n * count, tiling_.head, tiling_.head};
            rows::with_rows<Binary::Mul>(lines, b_, spread_);
        }
        AscendC::Cast(data, b_, RoundMode::CAST_RINT, values);
    }

    /// `spread_`: 1 / sqrt(mean of squares + eps) of each head in `a_`. Padding is zero and adds nothing.
    __aicore__ inline void head_factors(uint32_t n, uint32_t count)
    {
        const Tile lines{n * count, tiling_.head, tiling_.head};
        const int32_t r = static_cast<int32_t>(rows::round_up(lines.rows, BLOCK));
        AscendC::Mul(b_, a_, a_, static_cast<int32_t>(lines.rows * lines.pitch));
        rows::barrier();
        rows::sums<false>(lines, factors_, b_, b_, scratch_);
        AscendC::Muls(factors_, factors_, 1.0f / static_cast<float>(tiling_.size), r);
        rows::barrier();
        AscendC::Adds(factors_, factors_, tiling_.eps, r);
        rows::barrier();
        AscendC::Sqrt(factors_, factors_, r);
        rows::barrier();
        AscendC::Div(factors_, ones_, factors_, r);
        rows::barrier();
        rows::row_values(lines, spread_, factors_, scratch_);
    }
};

} // namespace rope_kernel
