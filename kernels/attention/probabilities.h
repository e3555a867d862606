/// Probabilities of a few rows of scores in the unified buffer.
///
/// Per row, with m the largest score so far: p = exp(scale (s - m)). With a bias the scores are scaled and biased first. Scores come
/// as f32, or as f16: then maxima are kept as f32 all the same, and for f16 probabilities all else stays in f16.
///
/// Columns of scores are worked on in slabs of as many values as one repeat takes (64 of f32, 128 of f16), rows being the repeats;
/// where no slab differs from the next, in one go.
///
/// Unified buffer, in bytes, for `vector_rows` rows (r) and a stack of n keys:
///
///     spread   512 r         first maxima of blocks of 32 bytes: of f32 two groups of 64 for a row, of f16 eight for each slab;
///                            then a row's maximum over two slabs, so that one of them lies in other banks than a slab of scores
///     tops     32 r          a row's eight maxima
///     top      4 r           a row's maximum; of f16: twice
///     narrow   2 n           the bias as f16
///     wide     4 n r         exponents as f32, for bf16 of f16
#pragma once

#include "jobs.h"

namespace attention {

using namespace AscendC;

__aicore__ inline void Done() { PipeBarrier<PIPE_V>(); }

/// Hands out the unified buffer front to back.
struct Parts {
    LocalTensor<float> memory;
    uint32_t at = 0;

    template <typename E> __aicore__ inline LocalTensor<E> Take(uint32_t count)
    {
        const LocalTensor<E> part = memory[at].template ReinterpretCast<E>();
        at += Up(count * sizeof(E), 32) / sizeof(float);
        return part;
    }

    /// Values of f32 whose banks are the other half of those of parts that begin at a multiple of 512 bytes.
    __aicore__ inline LocalTensor<float> TakeBeside(uint32_t count)
    {
        at = Up(at, 128) + 64;
        return Take<float>(count);
    }
};

/// Rows of a job's scores, and what belongs to them.
template <typename S> struct Rows {
    LocalTensor<S> scores;
    LocalTensor<float> bias;           ///< one value per key
    LocalTensor<float> before, after;  ///< maxima before the job and with it
    uint32_t rows, width;              ///< `width` keys count
    uint32_t seen;                     ///< with `causal`: keys that the first row sees, each row one more; else 0
    bool first;                        ///< nothing is before
};

template <typename T, typename S> class Probabilities {
public:
    __aicore__ inline Probabilities(const AttentionTiling &tiling, bool biased, Parts &parts)
        : t(tiling), biased(biased), pitch(t.stack * sizeof(S) / 32), spread(parts.Take<S>(t.vector_rows * 2 * LANES)),
          tops(parts.Take<float>(t.vector_rows * EIGHT)), top(parts.Take<float>(t.vector_rows)),
          top_narrow(parts.Take<S>(t.vector_rows))
    {
        if (sizeof(S) == 2 && sizeof(T) == 2) {
            if (!std::is_same<T, half>::value) wide = parts.Take<float>(t.vector_rows * t.stack);
            if (biased) narrow = parts.Take<S>(t.stack);
        }
    }

    /// What scores are multiplied by after the maximum is subtracted.
    __aicore__ inline float Scale() const { return biased ? 1.0f : t.scale; }

    /// The lowest score that there is.
    static __aicore__ inline constexpr float Lowest() { return sizeof(S) == 4 ? -3.0e38f : -65504.0f; }

    __aicore__ inline void Open()
    {
        Duplicate(spread, static_cast<S>(Lowest()), t.vector_rows * 2 * LANES);
        Duplicate(tops, Lowest(), t.vector_rows * EIGHT);
        Duplicate(top, Lowest(), t.vector_rows);
        Duplicate(top_narrow, static_cast<S>(Lowest()), t.vector_rows);
    }

    /// Scores become exp(scale (s - m)), for `Store`.
    __aicore__ inline void Compute(const Rows<S> &r)
    {
        const LocalTensor<S> s = r.scores;
        const uint32_t count = r.rows * t.stack, slabs = (r.width + LANES - 1) / LANES, eights = (r.rows + EIGHT - 1) / EIGHT;
        Hide(r, slabs);
        if (biased) Bias(r, slabs);
        if (r.first) Duplicate(r.before, Lowest(), r.rows);
        Tops(r, slabs);
        BlockReduceMax(top, tops, eights, 64, 1, 1, EIGHT);
        Done();
        Max(r.after, r.before, top, r.rows);
        Done();
        LocalTensor<S> maximum = top_narrow;
        if constexpr (sizeof(S) == 4) {
            maximum = r.after;
        } else {
            Cast(top_narrow, r.after, RoundMode::CAST_NONE, r.rows);
            Done();
        }
        for (uint32_t i = 0; i < 2 * EIGHT; ++i) Brcb(spread[i * BLOCK], maximum, eights, BrcbRepeatParams(2 * EIGHT, 2 * EIGHT * EIGHT));
        Done();
        for (uint32_t i = 0; i < slabs; ++i)
            Sub(s[i * LANES], s[i * LANES], spread[(i + 1) % 2 * LANES], LANES, r.rows,
                BinaryRepeatParams(1, 1, 1, pitch, pitch, 2 * EIGHT));
        Done();
        if (!biased) {
            Muls(s, s, static_cast<S>(t.scale), count);
            Done();
        }
    }

    /// Their exponentials as `T`. The last instruction is not waited for.
    __aicore__ inline void Store(const LocalTensor<T> &to, const LocalTensor<S> &s, uint32_t rows)
    {
        const uint32_t count = rows * t.stack;
        if constexpr (std::is_same<T, S>::value) {
            Exp(to, s, count);
        } else if constexpr (sizeof(S) == 4) {
            Exp(s, s, count);
            Done();
            Cast(to, s, RoundMode::CAST_RINT, count);
        } else {
            Cast(wide, s, RoundMode::CAST_NONE, count);
            Done();
            Exp(wide, wide, count);
            Done();
            Cast(to, wide, RoundMode::CAST_RINT, count);
        }
    }

private:
    static constexpr uint32_t EIGHT = 8, LANES = 256 / sizeof(S), BLOCK = 32 / sizeof(S);

    const AttentionTiling &t;
    const bool biased;
    const uint32_t pitch;  ///< from row to row, in blocks of 32 bytes
    LocalTensor<S> spread;
    LocalTensor<float> tops, top;
    LocalTensor<S> top_narrow, narrow;
    LocalTensor<float> wide;

    /// Lanes of a slab from one on.
    struct Mask {
        uint64_t bits[2];
    };
    static __aicore__ inline Mask From(uint32_t lane)
    {
        return lane < 64 ? Mask{{~0ull << lane, ~0ull}} : Mask{{0, ~0ull << (lane - 64)}};
    }

    /// Scores that do not count become very low: behind the last key, and with `causal` behind the query's own key.
    __aicore__ inline void Hide(const Rows<S> &r, uint32_t slabs)
    {
        const S low = static_cast<S>(Lowest());
        bool hidden = false;
        if (r.width % LANES) {
            Mask mask = From(r.width % LANES);
            if (sizeof(S) == 4) mask.bits[1] = 0;
            Duplicate(r.scores[(slabs - 1) * LANES], low, mask.bits, static_cast<uint8_t>(r.rows), 1, static_cast<uint8_t>(pitch));
            hidden = true;
        }
        if (t.causal && r.seen < r.width) {
            if (hidden) Done();
            for (uint32_t i = 0; i < r.rows; ++i) {
                const uint32_t seen = Least(r.seen + i, r.width), slab = seen / LANES;
                if (slab == slabs) continue;
                Mask mask = From(seen % LANES);
                if (sizeof(S) == 4) mask.bits[1] = 0;
                Duplicate(r.scores[i * t.stack + slab * LANES], low, mask.bits, 1, 1, EIGHT);
                if (slab + 1 < slabs) Duplicate(r.scores[i * t.stack + (slab + 1) * LANES], low, (slabs - slab - 1) * LANES);
            }
            hidden = true;
        }
        if (hidden) Done();
    }

    __aicore__ inline void Bias(const Rows<S> &r, uint32_t slabs)
    {
        Muls(r.scores, r.scores, static_cast<S>(t.scale), r.rows * t.stack);
        if constexpr (sizeof(S) == 2) Cast(narrow, r.bias, RoundMode::CAST_RINT, t.stack);
        Done();
        LocalTensor<S> bias = narrow;
        if constexpr (sizeof(S) == 4) bias = r.bias;
        for (uint32_t i = 0; i < slabs; ++i)
            Add(r.scores[i * LANES], r.scores[i * LANES], bias[i * LANES], LANES, r.rows, BinaryRepeatParams(1, 1, 1, pitch, pitch, 0));
        Done();
    }

    /// Eight maxima of each row.
    __aicore__ inline void Tops(const Rows<S> &r, uint32_t slabs)
    {
        if constexpr (sizeof(S) == 4) {
            // A slab gives eight maxima; eight slabs make 64 of a row, in `spread`; what is left of these is low.
            const uint32_t rest = slabs % EIGHT, half_of = t.vector_rows * 64;
            const LocalTensor<S> more = spread[half_of];
            if (rest > 0) {
                uint64_t mask[2] = {~0ull << rest * EIGHT, 0};
                Duplicate(slabs < EIGHT ? spread : more, Lowest(), mask, static_cast<uint8_t>(r.rows), 1, EIGHT);
            }
            for (uint32_t i = 0; i < slabs; ++i)
                BlockReduceMax(spread[i / EIGHT * half_of + i % EIGHT * EIGHT], r.scores[i * LANES], r.rows, LANES, EIGHT, 1, pitch);
            Done();
            if (slabs > EIGHT) {
                Max(spread, spread, more, r.rows * 64);
                Done();
            }
            BlockReduceMax(tops, spread, r.rows, 64, 1, 1, EIGHT);
        } else {
            const uint32_t size = t.vector_rows * EIGHT;
            for (uint32_t i = 0; i < slabs; ++i) BlockReduceMax(spread[i * size], r.scores[i * LANES], r.rows, LANES, 1, 1, pitch);
            Done();
            for (uint32_t left = slabs; left > 1;) {
                const uint32_t pairs = left / 2;
                Max(spread, spread, spread[(left - pairs) * size], pairs * size);
                Done();
                left -= pairs;
            }
            Cast(tops, spread, RoundMode::CAST_NONE, r.rows * EIGHT);
        }
        Done();
    }
};

} // namespace attention
