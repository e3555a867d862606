/// The vector cores' part: probabilities of scores, and the output from products.
///
/// Each of the two vector cores of a core has half of a block's rows. Its work is a list of items: the scores of job i in pieces of
/// `vector_rows` rows, then the products of job i - AHEAD in pieces of `update_rows`. The next item is loaded while one is computed.
///
/// A product's row has the sum of its probabilities behind its channels, in eight copies. acc = acc exp(scale (m_before - m)) + product;
/// at the end out = acc / its sum.
///
/// Unified buffer, in bytes:
///
///     in       2 x in_bytes   scores or products
///     out      in_bytes / 2 (f32 scores) or in_bytes (f16)   probabilities or output
///     ...      what `Probabilities` needs
///     acc      group x block / 2 x (channels in whole blocks of 16 + 8) x 4, in other banks than `in`
///     maxima   group x 2 x 64 x 4   before and after the current job
///     factors  STACKS x 64 x 4
///     spread   64 x 32    a row's factor, eight times
///     bias     2 x stack x 4, if there is one
///
/// Events: MTE2_V and V_MTE2 0, 1 by buffer of `in`; V_MTE3 and MTE3_V 0.
#pragma once

#include "probabilities.h"

namespace attention {

template <typename T, typename S> class Softmax {
public:
    __aicore__ inline Softmax(const AttentionTiling &tiling, TPipe *pipe, GM_ADDR lengths, GM_ADDR bias, GM_ADDR out, GM_ADDR workspace)
        : t(tiling), depth(Up(t.head_dim, BLOCK)), width(depth + EIGHT), biased(bias != nullptr), core(GetBlockIdx() / 2),
          sub(GetBlockIdx() % 2), lengths(lengths), scores(t, lengths, core, GetBlockNum()), values(t, lengths, core, GetBlockNum()),
          parts{Take(pipe)}, in{parts.Take<S>(t.in_bytes / sizeof(S)), parts.Take<S>(t.in_bytes / sizeof(S))},
          out_rows(parts.Take<T>(t.in_bytes / sizeof(S))), probabilities(t, biased, parts),
          acc(parts.TakeBeside(t.group * (t.block / 2) * width)), maxima(parts.Take<float>(t.group * 2 * ROWS)),
          factors(parts.Take<float>(STACKS * ROWS)), spread(parts.Take<float>(ROWS * EIGHT))
    {
        const Workspace place(t, core);
        s_gm.SetGlobalBuffer(reinterpret_cast<__gm__ S *>(workspace + place.scores));
        p_gm.SetGlobalBuffer(reinterpret_cast<__gm__ T *>(workspace + place.probabilities));
        o_gm.SetGlobalBuffer(reinterpret_cast<__gm__ float *>(workspace + place.products));
        out_gm.SetGlobalBuffer(reinterpret_cast<__gm__ T *>(out));
        if (biased) {
            bias_gm.SetGlobalBuffer(reinterpret_cast<__gm__ float *>(bias));
            bias_row = parts.Take<float>(2 * t.stack);
        }
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
    static constexpr uint32_t BLOCK = 16, EIGHT = 8, LANES = 64, ROWS = 64;
    static constexpr int32_t OUT = 0;

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
    Parts parts;
    LocalTensor<S> in[2];
    LocalTensor<T> out_rows;
    Probabilities<T, S> probabilities;
    LocalTensor<float> acc, maxima, factors, spread, bias_row;

    __aicore__ inline LocalTensor<float> Take(TPipe *pipe)
    {
        pipe->InitBuffer(memory, t.vector_bytes);
        return memory.Get<float>();
    }

    /// A piece of a job's rows: of its scores, or of its products.
    struct Item {
        Job job;
        Group group;
        bool product;
        bool waits, ends;    ///< first, last piece of the job
        uint32_t row, rows;  ///< within this core's part of the block
        uint32_t first;      ///< row of the block that this core's part begins with
        uint32_t buffer;
    };
    uint32_t iteration = 0, piece = 0, buffer = 0;
    bool product = false;

    __aicore__ inline void Open()
    {
        for (uint32_t i = 0; i < 2; ++i) Duplicate(in[i], static_cast<S>(0.0f), t.in_bytes / sizeof(S));
        Duplicate(maxima, 0.0f, t.group * 2 * ROWS);
        Duplicate(factors, 0.0f, STACKS * ROWS);
        if (biased) Duplicate(bias_row, 0.0f, 2 * t.stack);
        probabilities.Open();
        for (int32_t i = 0; i < 2; ++i) SetFlag<HardEvent::V_MTE2>(i);
        SetFlag<HardEvent::MTE3_V>(OUT);
        Done();
        if (lengths != nullptr) Clear();
    }

    __aicore__ inline void Close()
    {
        for (int32_t i = 0; i < 2; ++i) WaitFlag<HardEvent::V_MTE2>(i);
        WaitFlag<HardEvent::MTE3_V>(OUT);
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
                    WaitFlag<HardEvent::MTE3_V>(OUT);
                    Duplicate(out_rows.template ReinterpretCast<uint16_t>(), static_cast<uint16_t>(0), rows * depth);
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
                item.first = part.first;
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

    __aicore__ inline LocalTensor<float> Products(const Item &item) const { return in[item.buffer].template ReinterpretCast<float>(); }
    __aicore__ inline LocalTensor<float> Bias(const Item &item) const { return bias_row[item.job.index % 2 * t.stack]; }

    __aicore__ inline void Load(const Item &item)
    {
        if (item.waits) CrossCoreWaitFlag(item.product ? PRODUCTS : SCORES);
        if (item.rows == 0) return;
        const uint32_t row = item.first + item.row;
        WaitFlag<HardEvent::V_MTE2>(item.buffer);
        if (item.product) {
            // Of the panel of sums, eight columns are enough.
            const uint64_t from = (static_cast<uint64_t>(item.job.index % STACKS) * t.block + row) * (depth + BLOCK);
            DataCopy(Products(item), o_gm[from], DataCopyParams(item.rows, width / EIGHT, (BLOCK - EIGHT) / EIGHT, 0));
        } else {
            const uint64_t from = (static_cast<uint64_t>(item.job.index % SCORE_STACKS) * t.block + row) * t.stack;
            constexpr uint32_t unit = 32 / sizeof(S);
            const uint32_t blocks = (item.job.width + unit - 1) / unit, gap = t.stack / unit - blocks;
            if (gap == 0) DataCopy(in[item.buffer], s_gm[from], item.rows * t.stack);
            else DataCopy(in[item.buffer], s_gm[from], DataCopyParams(item.rows, blocks, gap, gap));
            if (biased && item.row == 0) {
                const uint64_t at = static_cast<uint64_t>(item.group.batch) * t.keys + item.job.key;
                DataCopyPad(Bias(item), bias_gm[at], DataCopyExtParams(1, item.job.width * sizeof(float), 0, 0, 0),
                            DataCopyPadExtParams<float>(false, 0, 0, 0.0f));
            }
        }
        SetFlag<HardEvent::MTE2_V>(item.buffer);
    }

    __aicore__ inline void Compute(const Item &item)
    {
        if (item.rows > 0) {
            WaitFlag<HardEvent::MTE2_V>(item.buffer);
            if (item.product) Update(item);
            else Scores(item);
        }
        if (!item.product && item.ends) CrossCoreSetFlag<2, PIPE_MTE3>(PROBABILITIES);
    }

    /// Maxima of a block's rows, before (0) or after (1) a job.
    __aicore__ inline LocalTensor<float> Maxima(const Item &item, uint32_t after) const
    {
        return maxima[(item.job.block * 2 + (item.job.stack + after) % 2) * ROWS];
    }

    __aicore__ inline void Scores(const Item &item)
    {
        const uint32_t row = item.first + item.row, count = item.rows * t.stack, own = item.job.row + row + 1;
        Rows<S> rows;
        rows.scores = in[item.buffer];
        rows.before = Maxima(item, 0)[item.row];
        rows.after = Maxima(item, 1)[item.row];
        rows.rows = item.rows;
        rows.width = item.job.width;
        rows.seen = own > item.job.key ? own - item.job.key : 0;
        rows.first = item.job.first;
        if (biased) rows.bias = Bias(item);
        probabilities.Compute(rows);
        WaitFlag<HardEvent::MTE3_V>(OUT);
        probabilities.Store(out_rows, rows.scores, item.rows);
        SetFlag<HardEvent::V_MTE2>(item.buffer);
        SetFlag<HardEvent::V_MTE3>(OUT);
        WaitFlag<HardEvent::V_MTE3>(OUT);
        DataCopy(p_gm[(static_cast<uint64_t>(item.job.index % STACKS) * t.block + row) * t.stack], out_rows, count);
        SetFlag<HardEvent::MTE3_V>(OUT);
        if (item.ends && !item.job.first) Factors(item);
        else Done();
    }

    /// What the sums so far are to be multiplied by, for all rows of a job.
    __aicore__ inline void Factors(const Item &item)
    {
        const uint32_t rows = item.row + item.rows;
        const LocalTensor<float> factor = factors[item.job.index % STACKS * ROWS];
        Sub(factor, Maxima(item, 0), Maxima(item, 1), rows);
        Done();
        if (!biased) {
            Muls(factor, factor, probabilities.Scale(), rows);
            Done();
        }
        Exp(factor, factor, rows);
        Done();
    }

    __aicore__ inline void Update(const Item &item)
    {
        const uint32_t rows = item.rows, count = rows * width, pitch = width / EIGHT;
        const LocalTensor<float> fresh = Products(item), sum = acc[(item.job.block * (t.block / 2) + item.row) * width];
        if (item.job.first) {
            DataCopy(sum, fresh, count);
        } else {
            Brcb(spread, factors[item.job.index % STACKS * ROWS + item.row], (rows + EIGHT - 1) / EIGHT, BrcbRepeatParams(1, EIGHT));
            Done();
            for (uint32_t i = 0; i < width; i += LANES)
                Mul(sum[i], sum[i], spread, Least(LANES, width - i), rows, BinaryRepeatParams(1, 1, 0, pitch, pitch, 1));
            Done();
            Add(sum, sum, fresh, count);
        }
        Done();
        if (item.job.last) Finish(item, sum, fresh);
        SetFlag<HardEvent::V_MTE2>(item.buffer);
    }

    /// The output of rows whose sums are complete, by way of `spare`.
    __aicore__ inline void Finish(const Item &item, const LocalTensor<float> &sum, const LocalTensor<float> &spare)
    {
        const uint32_t rows = item.rows, pitch = width / EIGHT;
        // Where a bias has hidden all keys, the sum of probabilities is zero.
        const LocalTensor<float> total = sum[depth];
        Maxs(total, total, 1.0e-30f, EIGHT, rows, UnaryRepeatParams(1, 1, pitch, pitch));
        Done();
        for (uint32_t i = 0; i < depth; i += LANES)
            Div(spare[i], sum[i], total, Least(LANES, depth - i), rows,
                BinaryRepeatParams(1, 1, 0, depth / EIGHT, pitch, pitch));
        WaitFlag<HardEvent::MTE3_V>(OUT);
        Done();
        Cast(out_rows, spare, RoundMode::CAST_RINT, rows * depth);
        Done();
        StoreRows(item.group, item.job.row + item.first + item.row, rows);
    }

    /// Rows of `depth` values in the current output buffer → output from `row` on.
    __aicore__ inline void StoreRows(const Group &group, uint32_t row, uint32_t rows)
    {
        SetFlag<HardEvent::V_MTE3>(OUT);
        WaitFlag<HardEvent::V_MTE3>(OUT);
        const Place place = PlaceOf(t.out, group.outer, group.inner, group.head);
        const uint32_t bytes = t.head_dim * sizeof(T), gap = depth * sizeof(T) / 32 - (bytes + 31) / 32;
        const uint64_t pitch = place.token * sizeof(T);
        const LocalTensor<T> from = out_rows;
        if (pitch - bytes <= MAX_GAP) {
            const DataCopyExtParams blocks(rows, bytes, gap, static_cast<uint32_t>(pitch - bytes), 0);
            DataCopyPad(out_gm[place.start + row * place.token], from, blocks);
        } else {
            for (uint32_t i = 0; i < rows; ++i)
                DataCopyPad(out_gm[place.start + (row + i) * place.token], from[i * depth], DataCopyExtParams(1, bytes, 0, 0, 0));
        }
        SetFlag<HardEvent::MTE3_V>(OUT);
    }

    static constexpr uint64_t MAX_GAP = 0xffffffff;
};

} // namespace attention
