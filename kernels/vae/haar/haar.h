/// The class of the kernel; haar.cpp says what it computes.
#pragma once

#include "../../vector/copy.h"
#include "../../vector/doubled.h"
#include "../../vector/parts.h"
#include "../../vector/rows.h"

namespace wavelets {

using AscendC::GlobalTensor;
using AscendC::LocalTensor;
using AscendC::RoundMode;

/// Blocks that an instruction of transposition takes, and values of each.
constexpr uint32_t SIDE = 16;

template <typename T> class Haar {
public:
    __aicore__ inline Haar(parts::Buffer &buffer, const HaarTiling &tiling, GM_ADDR x, GM_ADDR out)
        : tiling_(tiling), pixels_(rows::round_up(tiling.lines * tiling.columns, SIDE * tiling.together)),
          plane_(pixels_ / tiling.together), part_(pixels_ * tiling.channels), values_(part_ * tiling.coefficients),
          x_(copy::global<uint16_t>(x)), out_(copy::global<uint16_t>(out))
    {
        parts::Parts parts(buffer);
        for (uint32_t i = 0; i < 2; ++i) {
            in_[i] = parts.take<uint16_t>(values_);
            made_[i] = parts.take<uint16_t>(values_);
        }
        f_ = parts.take<float>(tiling.coefficients * room());
        g_ = parts.take<float>(tiling.coefficients * room());
    }

    /// The share of core `block` of `blocks`.
    __aicore__ inline void run(uint64_t block, uint64_t blocks)
    {
        const uint64_t groups = static_cast<uint64_t>(tiling_.across) * tiling_.down;
        const uint64_t all = static_cast<uint64_t>(tiling_.batch) * tiling_.frames * groups;
        const uint64_t begin = all * block / blocks, end = all * (block + 1) / blocks;
        if (begin == end) return;
        // Pixels of a tile that no load fills are computed with.
        for (uint32_t i = 0; i < 2; ++i)
            AscendC::Duplicate(in_[i].template ReinterpretCast<half>(), static_cast<half>(0.0f), static_cast<int32_t>(values_));
        doubled::open();
        load(0, begin);
        for (uint64_t task = begin; task < end; ++task) {
            const uint32_t tile = static_cast<uint32_t>(task - begin), slot = doubled::slot(tile);
            if (task + 1 < end) load(tile + 1, task + 1);
            doubled::in::use(tile);
            gather(in_[slot]);
            doubled::in::used(tile);
            transform();
            doubled::out::make(tile);
            scatter(made_[slot]);
            doubled::out::made(tile);
            doubled::out::store(tile);
            move(task, false, made_[slot]);
            doubled::out::stored(tile);
        }
        doubled::close();
    }

private:
    const HaarTiling tiling_;
    const uint32_t pixels_;  ///< coefficient pixels of a tile, with those that fill it up
    const uint32_t plane_;   ///< values of a plane
    const uint32_t part_;    ///< values of the planes of a coefficient or tap
    const uint32_t values_;
    GlobalTensor<uint16_t> x_, out_;
    LocalTensor<uint16_t> in_[2], made_[2];
    LocalTensor<float> f_, g_;

    __aicore__ inline bool in_time() const { return tiling_.coefficients == 8; }
    /// Pixel rows of a block.
    __aicore__ inline uint32_t taps() const { return tiling_.coefficients / 2; }
    /// From part to part in f32.
    __aicore__ inline uint32_t room() const { return rows::round_up(part_ + rows::LANES, rows::LINE); }
    /// Where a part begins in f32. Parts whose numbers differ in one bit are shifted against each other (parts.h).
    __aicore__ inline uint32_t start(uint32_t number) const
    {
        return number * room() + (number ^ number >> 1 ^ number >> 2) % 2 * rows::LANES;
    }
    /// Where the planes of a tap begin, in planes.
    __aicore__ inline uint32_t planes_of(uint32_t row_tap, uint32_t column_tap) const
    {
        const uint32_t tap = tiling_.swapped ? row_tap + 2 * column_tap : 2 * row_tap + column_tap;
        return tap * tiling_.channels * tiling_.together;
    }

    __aicore__ inline void load(uint32_t tile, uint64_t task)
    {
        doubled::in::load(tile);
        move(task, true, in_[doubled::slot(tile)]);
        doubled::in::loaded(tile);
    }

    /// Copies a tile's pixels or coefficients from (`loads`) or to global memory.
    __aicore__ inline void move(uint64_t task, bool loads, const LocalTensor<uint16_t> &tile) const
    {
        const uint32_t across = static_cast<uint32_t>(task % tiling_.across);
        task /= tiling_.across;
        const uint32_t row = static_cast<uint32_t>(task % tiling_.down) * tiling_.lines;
        const uint64_t frame = task / tiling_.down;
        const uint32_t column = across * tiling_.columns;
        const uint32_t lines = rows::least(tiling_.lines, tiling_.height - row);
        const uint32_t columns = rows::least(tiling_.columns, tiling_.width - column);
        const GlobalTensor<uint16_t> &memory = loads ? x_ : out_;
        if (loads != (tiling_.inverse == 0)) {
            const uint32_t pixel = tiling_.coefficients * tiling_.channels;
            const uint64_t at = ((frame * tiling_.height + row) * tiling_.width + column) * pixel;
            // Several lines have all columns, so they are in one piece.
            copy_lines(loads, memory[at], tile, 1, lines * columns * pixel, 0);
            return;
        }
        const uint64_t batch = frame / tiling_.frames, line = 2ull * tiling_.width * tiling_.channels;
        const uint32_t t = static_cast<uint32_t>(frame % tiling_.frames);
        const uint64_t all_frames = in_time() ? 2 * tiling_.frames - tiling_.first : tiling_.frames;
        for (uint32_t tap = 0; tap < taps(); ++tap) {
            uint32_t pixel_frame = t;
            if (in_time()) {
                pixel_frame = 2 * t + tap / 2;
                if (pixel_frame < tiling_.first && !loads) continue;
                pixel_frame -= rows::least(pixel_frame, tiling_.first);
            }
            const uint64_t at = ((batch * all_frames + pixel_frame) * 2 * tiling_.height + 2 * row + tap % 2) * line;
            copy_lines(loads, memory[at + 2ull * column * tiling_.channels], tile[tap * pixels_ * 2 * tiling_.channels], lines,
                       2 * columns * tiling_.channels, 2 * line);
        }
    }

    __aicore__ inline void copy_lines(bool loads, const GlobalTensor<uint16_t> &memory, const LocalTensor<uint16_t> &tile, uint32_t lines,
                                      uint32_t values, uint64_t stride) const
    {
        if (loads) {
            copy::load(tile, memory, lines, values, stride);
        } else {
            copy::store(memory, tile, lines, values, stride);
        }
    }

    /// Pixels or coefficients of `width` values each, in order, to planes from the `first`, or back.
    __aicore__ inline void transpose(const LocalTensor<uint16_t> &pixels, const LocalTensor<uint16_t> &planes, uint32_t width,
                                     const uint32_t (&starts)[2], bool back) const
    {
        const uint32_t together = tiling_.together, length = together * width, half_width = width / 2;
        const uint8_t repeats = static_cast<uint8_t>(plane_ / SIDE);
        const uint16_t along = repeats == 1 ? 0 : 1, apart = repeats == 1 ? 0 : static_cast<uint16_t>(length);
        uint64_t blocks[SIDE], lanes[SIDE];
        for (uint32_t at = 0; at < length; at += SIDE) {
            for (uint32_t i = 0; i < SIDE; ++i) {
                const uint32_t pixel = (at + i) / width, value = (at + i) % width;
                const uint32_t start = value < half_width ? starts[0] + value * together : starts[1] + (value - half_width) * together;
                blocks[i] = (uint64_t)pixels[i * length + at].GetPhyAddr();
                lanes[i] = (uint64_t)planes[(start + pixel) * plane_].GetPhyAddr();
            }
            if (back) {
                AscendC::TransDataTo5HD<uint16_t>(blocks, lanes, AscendC::TransDataTo5HDParams(false, false, repeats, apart, along));
            } else {
                AscendC::TransDataTo5HD<uint16_t>(lanes, blocks, AscendC::TransDataTo5HDParams(false, false, repeats, along, apart));
            }
        }
    }

    /// All pixels or coefficients of a tile to planes, or back.
    __aicore__ inline void transpose_all(const LocalTensor<uint16_t> &tile, const LocalTensor<uint16_t> &planes, bool coefficients,
                                         bool back) const
    {
        if (coefficients) {
            const uint32_t width = tiling_.coefficients * tiling_.channels;
            const uint32_t starts[2] = {0, width / 2 * tiling_.together};
            transpose(tile, planes, width, starts, back);
        } else {
            for (uint32_t tap = 0; tap < taps(); ++tap) {
                const uint32_t starts[2] = {planes_of(tap, 0), planes_of(tap, 1)};
                transpose(tile[tap * pixels_ * 2 * tiling_.channels], planes, 2 * tiling_.channels, starts, back);
            }
        }
        rows::barrier();
    }

    /// A tile to `f_`, by way of `g_`.
    __aicore__ inline void gather(const LocalTensor<uint16_t> &tile)
    {
        const LocalTensor<uint16_t> planes = g_.template ReinterpretCast<uint16_t>();
        transpose_all(tile, planes, tiling_.inverse != 0, false);
        for (uint32_t i = 0; i < tiling_.coefficients; ++i)
            AscendC::Cast(f_[start(i)], planes[i * part_].template ReinterpretCast<T>(), RoundMode::CAST_NONE, part_);
        rows::barrier();
    }

    /// `f_` to a tile; it was transformed to `g_` where there are three steps, else to itself.
    __aicore__ inline void scatter(const LocalTensor<uint16_t> &tile)
    {
        const LocalTensor<float> &made = in_time() ? g_ : f_, &free = in_time() ? f_ : g_;
        const LocalTensor<uint16_t> planes = free.template ReinterpretCast<uint16_t>();
        for (uint32_t i = 0; i < tiling_.coefficients; ++i)
            AscendC::Cast(planes[i * part_].template ReinterpretCast<T>(), made[start(i)], RoundMode::CAST_RINT, part_);
        rows::barrier();
        transpose_all(tile, planes, tiling_.inverse == 0, true);
    }

    /// Sums and differences of the parts whose numbers differ in one bit, bit by bit: f to g to f (to g); then the scale.
    __aicore__ inline void transform()
    {
        const int32_t n = static_cast<int32_t>(part_);
        bool forth = true;
        for (uint32_t bit = tiling_.coefficients / 2; bit > 0; bit /= 2) {
            const LocalTensor<float> &from = forth ? f_ : g_, &to = forth ? g_ : f_;
            for (uint32_t i = 0; i < tiling_.coefficients; ++i) {
                if (i & bit) continue;
                const uint32_t a = start(i), b = start(i | bit);
                AscendC::Add(to[a], from[a], from[b], n);
                AscendC::Sub(to[b], from[a], from[b], n);
            }
            rows::barrier();
            forth = !forth;
        }
        const LocalTensor<float> &made = forth ? f_ : g_;
        for (uint32_t i = 0; i < tiling_.coefficients; ++i) AscendC::Muls(made[start(i)], made[start(i)], tiling_.scale, n);
        rows::barrier();
    }
};

} // namespace wavelets
