/// The vector cores' part: probabilities of scores, and the output from products.
///
/// Each of the two vector cores of a core has half of a block's rows. Its work is a list of items: the scores of job i in pieces of
/// `vector_rows` rows, then the products of job i - AHEAD in pieces of `update_rows`. The next item is loaded while one is computed.
///
/// Per row, with m the largest score so far: p = exp(scale (s - m)), and for products of p, whose last column is the sum of p,
/// acc = acc exp(scale (m_before - m)) + product. At the end out = acc / its last column.
///
/// Unified buffer, in bytes:
///
///     in       2 x 32768  scores or products
///     out      2 x 16384  probabilities or output
///     acc      group x block / 2 x width x 4
///     tops     64 x vector_rows x 4, then rows of 8
///     maxima   group x 2 x 64 x 4: before and after the current job
///     factors  STACKS x 64 x 4
///     spread   64 x 32    a row's value, eight times
///     bias     2 x stack x 4, if there is one
///
/// Events: MTE2_V and V_MTE2 0, 1 by buffer of `in`, V_MTE3 and MTE3_V 0, 1 by buffer of `out`.
#pragma once

#include "jobs.h"

namespace attention {

using namespace AscendC;

__aicore__ inline void Wait() { PipeBarrier<PIPE_V>(); }

template <typename T, typename S> class Softmax {
public:
    __aicore__ inline Softmax(const AttentionTiling &tiling, TPipe *pipe, GM_ADDR lengths, GM_ADDR bias, GM_ADDR out, GM_ADDR workspace)
        : t(tiling), depth(Up(t.head_dim, BLOCK)), width(depth + BLOCK), biased(bias != nullptr), core(GetBlockIdx() / 2),
          sub(GetBlockIdx() % 2), lengths(lengths), scores(t, lengths, core, GetBlockNum()), values(t, lengths, core, GetBlockNum())
    {
        const Workspace place(t, core);
        s_gm.SetGlobalBuffer(reinterpret_cast<__gm__ S *>(workspace + place.scores));
        p_gm.SetGlobalBuffer(reinterpret_cast<__gm__ T *>(workspace + place.probabilities));
        o_gm.SetGlobalBuffer(reinterpret_cast<__gm__ float *>(workspace + place.products));
        out_gm.SetGlobalBuffer(reinterpret_cast<__gm__ T *>(out));
        if (biased) bias_gm.SetGlobalBuffer(reinterpret_cast<__gm__ float *>(bias));
        const uint32_t acc_size = t.group * t.block / 2 * width, tops = t.vector_rows * (LANES + 2 * EIGHT);
        const uint32_t small = tops + t.group * 2 * ROWS + STACKS * ROWS + ROWS * EIGHT + (biased ? 2 * t.stack : 0);
        pipe->InitBuffer(memory, 2 * IN + 2 * OUT + (acc_size + small) * sizeof(float));
        in = memory.Get<float>();
        out_bits = in[2 * IN / sizeof(float)].template ReinterpretCast<T>();
        acc = in[(2 * IN + 2 * OUT) / sizeof(float)];
        top_blocks = acc[acc_size];
        top_rows = top_blocks[t.vector_rows * LANES];
        top = top_rows[t.vector_rows * EIGHT];
        maxima = top_blocks[tops];
        factors = maxima[t.group * 2 * ROWS];
        spread = factors[STACKS * ROWS];
        bias_row = spread[ROWS * EIGHT];
    }

    __aicore__ inline void Run()
    {
        Open();
        Item item, next;
        bool more = Next(item);
        if (more) Load(item);
        while (more) {
            more = Next(next);
            // An item that waits for the cube core must not keep the one before from being computed.
            if (more && !next.waits) Load(next);
            Compute(item);
            if (more && next.waits) Load(next);
            item = next;
        }
        Close();
    }

private:
    static constexpr uint32_t BLOCK = 16, EIGHT = 8, LANES = 64, ROWS = 64, IN = 32768, OUT = 16384;
    static constexpr float LOWEST = -3.0e38f;

    const AttentionTiling &t;
    const uint32_t depth, width;
    const bool biased;
    const uint32_t core, sub;
    GM_ADDR lengths;
    Jobs scores, values;
    GlobalTensor<S> s_gm;
    GlobalTensor<T> p_gm, out_gm;
    GlobalTensor<float> o_gm, bias_gm;
    TBuf<TPosition::VECCALC> memory;
    LocalTensor<float> in, acc, top_blocks, top_rows, top, maxima, factors, spread, bias_row;
    LocalTensor<T> out_bits;

    /// A piece of a job's rows: of its scores, or of its products.
    struct Item {
        Job job;
        Group group;
        bool product;
        bool waits, ends;    ///< first, last piece of the job
        uint32_t row, rows;  ///< within this core's part of the block
        uint32_t buffer;
    };
    uint32_t iteration = 0, piece = 0, buffer = 0, out_buffer = 0;
    bool product = false;

    __aicore__ inline void Open()
    {
        Duplicate(in, 0.0f, 2 * IN / sizeof(float));
        Duplicate(top_blocks, LOWEST, t.vector_rows * (LANES + 2 * EIGHT));
        Duplicate(maxima, 0.0f, t.group * 2 * ROWS);
        Duplicate(factors, 0.0f, STACKS * ROWS);
        if (biased) Duplicate(bias_row, 0.0f, 2 * t.stack);
        for (int32_t i = 0; i < 2; ++i) {
            SetFlag<HardEvent::V_MTE2>(i);
            SetFlag<HardEvent::MTE3_V>(i);
        }
        Wait();
        if (lengths != nullptr) Clear();
    }

    __aicore__ inline void Close()
    {
        for (int32_t i = 0; i < 2; ++i) {
            WaitFlag<HardEvent::V_MTE2>(i);
            WaitFlag<HardEvent::MTE3_V>(i);
        }
    }

    /// Rows of a block that this core has, and the first of them.
    struct Part {
        uint32_t first, rows;
    };
    __aicore__ inline Part PartOf(uint32_t rows) const
    {
        const uint32_t half_of = Least(rows, Up((rows + 1) / 2, BLOCK));
        return sub == 0 ? Part{0, half_of} : Part{half_of, rows - half_of};
    }

    /// The output of queries that see no keys is zero.
    __aicore__ inline void Clear()
    {
        Groups groups(t, lengths, core, GetBlockNum());
        Group group;
        while (groups.Next(group)) {
            if (group.keys > 0) continue;
            for (uint32_t block = 0; block < group.blocks; ++block) {
                const uint32_t row = group.row + block * t.block;
                const Part part = PartOf(Least(t.block, t.queries - row));
                for (uint32_t at = 0; at < part.rows; at += t.update_rows) {
                    const uint32_t rows = Least(t.update_rows, part.rows - at);
                    WaitFlag<HardEvent::MTE3_V>(out_buffer);
                    Duplicate(Out().template ReinterpretCast<uint16_t>(), static_cast<uint16_t>(0), rows * width);
                    StoreRows(group, row + part.first + at, rows);
                }
            }
        }
    }

    /// The next piece of work; false: there is none.
    __aicore__ inline bool Next(Item &item)
    {
        for (;;) {
            const bool scoring = scores.valid, valuing = iteration >= AHEAD && values.valid;
            if (!scoring && !values.valid) return false;
            Jobs &jobs = product ? values : scores;
            if (product ? valuing : scoring) {
                const Part part = PartOf(jobs.job.rows);
                const uint32_t step = product ? t.update_rows : t.vector_rows;
                item.job = jobs.job;
                item.group = jobs.group;
                item.product = product;
                item.row = piece * step;
                item.rows = part.rows > item.row ? Least(step, part.rows - item.row) : 0;
                item.waits = piece == 0;
                item.ends = item.row + step >= part.rows;
                item.buffer = buffer;
                if (item.rows > 0) buffer ^= 1;
                ++piece;
                if (!item.ends) return true;
                piece = 0;
                jobs.Next();
                Turn();
                return true;
            }
            Turn();
        }
    }

    __aicore__ inline void Turn()
    {
        if (product) ++iteration;
        product = !product;
    }

    __aicore__ inline LocalTensor<float> In(const Item &item) const { return in[item.buffer * (IN / sizeof(float))]; }
    __aicore__ inline LocalTensor<T> Out() const { return out_bits[out_buffer * (OUT / sizeof(T))]; }

    __aicore__ inline void Load(const Item &item)
    {
        if (item.waits) CrossCoreWaitFlag(item.product ? PRODUCTS : SCORES);
        if (item.rows == 0) return;
        const uint32_t row = PartOf(item.job.rows).first + item.row;
        WaitFlag<HardEvent::V_MTE2>(item.buffer);
        if (item.product) {
            const uint64_t from = (static_cast<uint64_t>(item.job.index % STACKS) * t.block + row) * width;
            DataCopy(In(item), o_gm[from], item.rows * width);
        } else {
            const uint64_t from = (static_cast<uint64_t>(item.job.index % SCORE_STACKS) * t.block + row) * t.stack;
            constexpr uint32_t unit = 32 / sizeof(S);
            const uint32_t blocks = (item.job.width + unit - 1) / unit, all = t.stack / unit;
            const uint16_t gap = static_cast<uint16_t>(all - blocks);
            DataCopy(In(item).template ReinterpretCast<S>(), s_gm[from], DataCopyParams(item.rows, blocks, gap, gap));
            if (biased && item.row == 0) {
                const uint64_t at = static_cast<uint64_t>(item.group.batch) * t.keys + item.job.key;
                DataCopyPad(Bias(item), bias_gm[at], DataCopyExtParams(1, item.job.width * sizeof(float), 0, 0, 0),
                            DataCopyPadExtParams<float>(false, 0, 0, 0.0f));
            }
        }
        SetFlag<HardEvent::MTE2_V>(item.buffer);
    }

    __aicore__ inline LocalTensor<float> Bias(const Item &item) const { return bias_row[item.job.index % 2 * t.stack]; }

    __aicore__ inline void Compute(const Item &item)
    {
        if (item.rows > 0) {
            WaitFlag<HardEvent::MTE2_V>(item.buffer);
            if (item.product) Update(item);
            else Probabilities(item);
        }
        if (!item.product && item.ends) CrossCoreSetFlag<2, PIPE_MTE3>(PROBABILITIES);
    }

    /// Maxima of a block's rows, before (0) or after (1) a job.
    __aicore__ inline LocalTensor<float> Maxima(const Item &item, uint32_t after) const
    {
        const uint32_t which = (item.job.key / t.stack + after) % 2;
        return maxima[(item.job.block * 2 + which) * ROWS + item.row];
    }

    __aicore__ inline void Probabilities(const Item &item)
    {
        const LocalTensor<float> s = In(item), before = Maxima(item, 0), after = Maxima(item, 1);
        const uint32_t rows = item.rows, count = rows * t.stack, pitch = t.stack / EIGHT;
        const uint32_t slabs = (item.job.width + LANES - 1) / LANES;
        Hide(item, s);
        float scale = t.scale;
        if (biased) {
            Muls(s, s, scale, count);
            Wait();
            for (uint32_t i = 0; i < slabs; ++i)
                Add(s[i * LANES], s[i * LANES], Bias(item)[i * LANES], LANES, rows, BinaryRepeatParams(1, 1, 1, pitch, pitch, 0));
            Wait();
            scale = 1.0f;
        }
        if (item.job.first) Duplicate(before, LOWEST, rows);
        // A row has `slabs` blocks of 64 values; each gives 8 maxima, and the row is filled up to 64.
        if (slabs < EIGHT) {
            uint64_t mask[2] = {~0ull << slabs * EIGHT, 0};
            Duplicate(top_blocks, LOWEST, mask, static_cast<uint8_t>(rows), 1, EIGHT);
        }
        for (uint32_t i = 0; i < slabs; ++i) BlockReduceMax(top_blocks[i * EIGHT], s[i * LANES], rows, LANES, EIGHT, 1, pitch);
        Wait();
        BlockReduceMax(top_rows, top_blocks, rows, LANES, 1, 1, EIGHT);
        Wait();
        BlockReduceMax(top, top_rows, (rows + EIGHT - 1) / EIGHT, LANES, 1, 1, EIGHT);
        Wait();
        Max(after, before, top, rows);
        Wait();
        Brcb(spread, after, (rows + EIGHT - 1) / EIGHT, BrcbRepeatParams(1, EIGHT));
        Wait();
        for (uint32_t i = 0; i < slabs; ++i)
            Sub(s[i * LANES], s[i * LANES], spread, LANES, rows, BinaryRepeatParams(1, 1, 0, pitch, pitch, 1));
        Wait();
        if (!biased) {
            Muls(s, s, scale, count);
            Wait();
        }
        Exp(s, s, count);
        WaitFlag<HardEvent::MTE3_V>(out_buffer);
        Wait();
        Cast(Out(), s, RoundMode::CAST_RINT, count);
        SetFlag<HardEvent::V_MTE2>(item.buffer);
        SetFlag<HardEvent::V_MTE3>(out_buffer);
        WaitFlag<HardEvent::V_MTE3>(out_buffer);
        const uint32_t row = PartOf(item.job.rows).first + item.row;
        DataCopy(p_gm[(static_cast<uint64_t>(item.job.index % STACKS) * t.block + row) * t.stack], Out(), count);
        SetFlag<HardEvent::MTE3_V>(out_buffer);
        out_buffer ^= 1;
        if (item.ends) Factors(item, scale);
    }

    /// Scores that do not count become very low: behind the last key, and with `causal` behind the query's own key.
    __aicore__ inline void Hide(const Item &item, const LocalTensor<float> &s)
    {
        const uint32_t width_of = item.job.width, slabs = (width_of + LANES - 1) / LANES;
        bool hidden = false;
        if (width_of % LANES) {
            uint64_t mask[2] = {~0ull << width_of % LANES, 0};
            Duplicate(s[(slabs - 1) * LANES], LOWEST, mask, static_cast<uint8_t>(item.rows), 1, t.stack / EIGHT);
            hidden = true;
        }
        const uint32_t row = item.job.row + PartOf(item.job.rows).first + item.row;
        if (t.causal && item.job.key + width_of > row + 1) {
            if (hidden) Wait();
            for (uint32_t i = 0; i < item.rows; ++i) {
                const uint32_t own = row + i + 1, seen = own > item.job.key ? Least(own - item.job.key, width_of) : 0;
                const uint32_t slab = seen / LANES;
                if (slab == slabs) continue;
                uint64_t mask[2] = {~0ull << seen % LANES, 0};
                Duplicate(s[i * t.stack + slab * LANES], LOWEST, mask, 1, 1, EIGHT);
                if (slab + 1 < slabs) Duplicate(s[i * t.stack + (slab + 1) * LANES], LOWEST, (slabs - slab - 1) * LANES);
            }
            hidden = true;
        }
        if (hidden) Wait();
    }

    /// What the sums so far are to be multiplied by, for all rows of a job.
    __aicore__ inline void Factors(const Item &item, float scale)
    {
        const uint32_t rows = item.row + item.rows;
        const LocalTensor<float> factor = factors[item.job.index % STACKS * ROWS];
        Item all = item;
        all.row = 0;
        Wait();
        Sub(factor, Maxima(all, 0), Maxima(all, 1), rows);
        Wait();
        if (scale != 1.0f) {
            Muls(factor, factor, scale, rows);
            Wait();
        }
        Exp(factor, factor, rows);
        Wait();
    }

    __aicore__ inline void Update(const Item &item)
    {
        const uint32_t rows = item.rows, count = rows * width, pitch = width / EIGHT;
        const LocalTensor<float> fresh = In(item), sum = acc[(item.job.block * (t.block / 2) + item.row) * width];
        if (item.job.first) {
            DataCopy(sum, fresh, count);
        } else {
            Brcb(spread, factors[item.job.index % STACKS * ROWS + item.row], (rows + EIGHT - 1) / EIGHT, BrcbRepeatParams(1, EIGHT));
            Wait();
            for (uint32_t i = 0; i < width; i += LANES)
                Mul(sum[i], sum[i], spread, Least(LANES, width - i), rows, BinaryRepeatParams(1, 1, 0, pitch, pitch, 1));
            Wait();
            Add(sum, sum, fresh, count);
        }
        Wait();
        if (item.job.last) {
            // Where a bias has hidden all keys, the sum is zero.
            const LocalTensor<float> total = sum[depth];
            Maxs(total, total, 1.0e-30f, EIGHT, rows, UnaryRepeatParams(1, 1, pitch, pitch));
            Wait();
            for (uint32_t i = 0; i < depth; i += LANES)
                Div(fresh[i], sum[i], total, Least(LANES, depth - i), rows, BinaryRepeatParams(1, 1, 0, pitch, pitch, pitch));
            WaitFlag<HardEvent::MTE3_V>(out_buffer);
            Wait();
            Cast(Out(), fresh, RoundMode::CAST_RINT, count);
            Wait();
            const uint32_t row = item.job.row + PartOf(item.job.rows).first + item.row;
            StoreRows(item.group, row, rows);
        }
        SetFlag<HardEvent::V_MTE2>(item.buffer);
    }

    /// Rows of `width` values in the current output buffer → output from `row` on.
    __aicore__ inline void StoreRows(const Group &group, uint32_t row, uint32_t rows)
    {
        SetFlag<HardEvent::V_MTE3>(out_buffer);
        WaitFlag<HardEvent::V_MTE3>(out_buffer);
        const Place place = PlaceOf(t.out, group.outer, group.inner, group.head);
        const uint32_t bytes = t.head_dim * sizeof(T), gap = width * sizeof(T) / 32 - (bytes + 31) / 32;
        const uint64_t pitch = place.token * sizeof(T);
        if (pitch - bytes <= MAX_GAP) {
            DataCopyPad(out_gm[place.start + row * place.token], Out(), DataCopyExtParams(rows, bytes, gap, static_cast<uint32_t>(pitch - bytes), 0));
        } else {
            for (uint32_t i = 0; i < rows; ++i)
                DataCopyPad(out_gm[place.start + (row + i) * place.token], Out()[i * width], DataCopyExtParams(1, bytes, 0, 0, 0));
        }
        SetFlag<HardEvent::MTE3_V>(out_buffer);
        out_buffer ^= 1;
    }

    static constexpr uint64_t MAX_GAP = 0xffffffff;
};

} // namespace attention
