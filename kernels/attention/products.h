/// The cube core's part: scores = q kᵀ and products = probabilities · [v 1].
///
/// Each slot does one tile of keys of the scores of job i and one tile of the products of job i - AHEAD, and loads what the next slot
/// needs. A column panel of ones behind the values gives the sum of the probabilities as one more column of the product.
///
/// L1: queries (a ring of blocks), keys and values (a ring of tiles each, shared by the group's blocks), probabilities (two tiles).
/// L0A, L0B: first half for the scores, second half in two parts for the products. The ones stay in L0B.
/// L0C: products of a block, then a ring of parts of scores.
///
/// Events: MTE2_MTE1, MTE1_MTE2 0 and 1 by slot. MTE1_M 0 scores, 1 and 2 products; M_MTE1 3, 4 and 5 for the same, since 0 to 2 are
/// TPipe's. M_FIX, FIX_M 0 to 3 parts of scores, 4 products.
#pragma once

#include "jobs.h"

namespace attention {

using namespace AscendC;

/// `T` is the type of all operands, `S` that of scores on their way to the vector cores.
template <typename T, typename S> class Products {
public:
    __aicore__ inline Products(const AttentionTiling &tiling, TPipe *pipe, GM_ADDR q, GM_ADDR k, GM_ADDR v, GM_ADDR lengths,
                               GM_ADDR workspace)
        : t(tiling), depth(Up(t.head_dim, BLOCK)), width(depth + BLOCK), tiles(t.stack > TILE ? t.stack / TILE : 2),
          blocks(t.group > 1 ? t.group : 2), scores(t, lengths, GetBlockIdx(), GetBlockNum()),
          values(t, lengths, GetBlockIdx(), GetBlockNum())
    {
        const Workspace place(t, GetBlockIdx());
        q_gm.SetGlobalBuffer(reinterpret_cast<__gm__ T *>(q));
        k_gm.SetGlobalBuffer(reinterpret_cast<__gm__ T *>(k));
        v_gm.SetGlobalBuffer(reinterpret_cast<__gm__ T *>(v));
        s_gm.SetGlobalBuffer(reinterpret_cast<__gm__ S *>(workspace + place.scores));
        p_gm.SetGlobalBuffer(reinterpret_cast<__gm__ T *>(workspace + place.probabilities));
        o_gm.SetGlobalBuffer(reinterpret_cast<__gm__ float *>(workspace + place.products));
        const uint32_t q_size = t.block * depth, tile = TILE * depth, p_size = t.block * TILE;
        pipe->InitBuffer(l1, (blocks * q_size + 2 * tiles * tile + 2 * p_size) * sizeof(T));
        pipe->InitBuffer(l0a, L0);
        pipe->InitBuffer(l0b, L0);
        pipe->InitBuffer(l0c, 2 * L0);
        q_l1 = l1.Get<T>();
        k_l1 = q_l1[blocks * q_size];
        v_l1 = k_l1[tiles * tile];
        p_l1 = v_l1[tiles * tile];
        left = l0a.Get<T>();
        right = l0b.Get<T>();
        products = l0c.Get<float>();
        parts = products[t.block * width];
    }

    __aicore__ inline void Run()
    {
        Open();
        bool more = Enter();
        if (more) Load(0);
        while (more) {
            const uint32_t count = scoring && (!valuing || scores.job.tiles > values.job.tiles) ? scores.job.tiles : values.job.tiles;
            for (uint32_t tile = 0; tile < count; ++tile) {
                Compute(tile);
                ++slot;
                if (tile + 1 < count) Load(tile + 1);
            }
            if (scoring) scores.Next();
            if (valuing) values.Next();
            more = Enter();
            if (more) Load(0);
        }
        Close();
    }

private:
    static constexpr uint32_t BLOCK = 16, FRACTAL = BLOCK * BLOCK, L0 = 64 * 1024;
    static constexpr uint32_t HALF = L0 / 2 / sizeof(T), QUARTER = HALF / 2;
    static constexpr int32_t SCORE_LOADED = 0, PRODUCT_LOADED = 1, SCORE_FREE = 3, PRODUCT_FREE = 4, PRODUCTS_DONE = 4;

    const AttentionTiling &t;
    const uint32_t depth;   ///< head dimension in whole blocks
    const uint32_t width;   ///< with the panel of ones
    const uint32_t tiles;   ///< of keys and of values in L1
    const uint32_t blocks;  ///< of queries in L1
    Jobs scores, values;
    GlobalTensor<T> q_gm, k_gm, v_gm, p_gm;
    GlobalTensor<S> s_gm;
    GlobalTensor<float> o_gm;
    TBuf<TPosition::A1> l1;
    TBuf<TPosition::A2> l0a;
    TBuf<TPosition::B2> l0b;
    TBuf<TPosition::CO1> l0c;
    LocalTensor<T> q_l1, k_l1, v_l1, p_l1, left, right;
    LocalTensor<float> products, parts;

    /// The tiles of a stack in a ring: the first, and how many are there.
    struct Ring {
        uint32_t first = 0, loaded = 0;
    };
    Ring k_ring, v_ring;
    uint32_t q_first = 0, q_blocks = 0;  ///< of the group in the ring of queries
    uint32_t slot = 0, iteration = 0, part = 0, quarter = 0;
    bool scoring = false, valuing = false;

    __aicore__ inline void Open()
    {
        // As bits: 16-bit types have no arithmetic in the scalar unit.
        constexpr uint16_t one = std::is_same<T, half>::value ? 0x3c00 : 0x3f80;
        InitConstValue(right[HALF].template ReinterpretCast<uint16_t>(),
                       InitConstValueParams<uint16_t>(1, static_cast<uint16_t>(HALF / FRACTAL), 0, one));
        PipeBarrier<PIPE_MTE1>();
        for (int32_t i = 0; i < 2; ++i) {
            SetFlag<HardEvent::MTE1_MTE2>(i);
            SetFlag<HardEvent::M_MTE1>(PRODUCT_FREE + i);
        }
        SetFlag<HardEvent::M_MTE1>(SCORE_FREE);
        for (uint32_t i = 0; i < t.score_slots; ++i) SetFlag<HardEvent::FIX_M>(i);
        SetFlag<HardEvent::FIX_M>(PRODUCTS_DONE);
    }

    __aicore__ inline void Close()
    {
        for (int32_t i = 0; i < 2; ++i) {
            WaitFlag<HardEvent::MTE1_MTE2>(i);
            WaitFlag<HardEvent::M_MTE1>(PRODUCT_FREE + i);
        }
        WaitFlag<HardEvent::M_MTE1>(SCORE_FREE);
        for (uint32_t i = 0; i < t.score_slots; ++i) WaitFlag<HardEvent::FIX_M>(i);
        WaitFlag<HardEvent::FIX_M>(PRODUCTS_DONE);
    }

    /// Begins the next jobs; false: there are none.
    __aicore__ inline bool Enter()
    {
        scoring = scores.valid;
        valuing = iteration >= AHEAD && values.valid;
        ++iteration;
        if (scoring) {
            if (scores.job.opens) Turn(k_ring);
            if (scores.job.first && scores.job.block == 0) {
                q_first = (q_first + q_blocks) % blocks;
                q_blocks = scores.group.blocks;
            }
        }
        if (valuing) {
            if (values.job.opens) Turn(v_ring);
            CrossCoreWaitFlag(PROBABILITIES);
        }
        return scoring || values.valid;
    }

    __aicore__ inline void Turn(Ring &ring)
    {
        ring.first = (ring.first + ring.loaded) % tiles;
        ring.loaded = 0;
    }

    /// Loads what a tile of the current jobs needs into L1.
    __aicore__ inline void Load(uint32_t tile)
    {
        WaitFlag<HardEvent::MTE1_MTE2>(slot % 2);
        if (scoring && tile < scores.job.tiles) {
            const Job &job = scores.job;
            if (job.first && tile == 0) {
                const Place place = PlaceOf(t.q, scores.group.outer, scores.group.inner, scores.group.head);
                Nz(q_l1[Query(job) * t.block * depth], q_gm[place.start + job.row * place.token], job.rows, t.head_dim, place.token,
                   t.block);
            }
            LoadTile(k_ring, k_l1, k_gm, t.k, scores, tile);
        }
        if (valuing && tile < values.job.tiles) {
            const Job &job = values.job;
            const uint64_t stack = static_cast<uint64_t>(job.index % STACKS) * t.block * t.stack;
            Nz(p_l1[slot % 2 * t.block * TILE], p_gm[stack + tile * TILE], job.rows, Up(Keys(job, tile), BLOCK), t.stack, t.block);
            const uint32_t at = LoadTile(v_ring, v_l1, v_gm, t.v, values, tile);
            // The cube multiplies whole blocks of keys. What is behind the last key has probability zero, and must be a number.
            const uint32_t count = Least(TILE, values.group.keys - job.key - tile * TILE), rest = Up(count, BLOCK) - count;
            if (at != NOT_LOADED && rest > 0) {
                InitConstValue(v_l1[at + count * BLOCK].template ReinterpretCast<uint16_t>(),
                               InitConstValueParams<uint16_t>(static_cast<uint16_t>(depth / BLOCK), static_cast<uint16_t>(rest),
                                                              static_cast<uint16_t>(TILE - rest), 0));
            }
        }
        SetFlag<HardEvent::MTE2_MTE1>(slot % 2);
    }

    static constexpr uint32_t NOT_LOADED = ~0u;

    /// A tile of keys or values, unless another job of the group has loaded it. Its place in L1.
    __aicore__ inline uint32_t LoadTile(Ring &ring, const LocalTensor<T> &to, const GlobalTensor<T> &from, const AttentionStrides &strides,
                                        const Jobs &jobs, uint32_t tile)
    {
        if (tile < ring.loaded) return NOT_LOADED;
        ring.loaded = tile + 1;
        const Place place = PlaceOf(strides, jobs.group.outer, jobs.group.inner, jobs.group.head);
        const uint32_t key = jobs.job.key + tile * TILE, at = InRing(ring, tile);
        Nz(to[at], from[place.start + key * place.token], Least(TILE, jobs.group.keys - key), t.head_dim, place.token, TILE);
        return at;
    }

    __aicore__ inline uint32_t InRing(const Ring &ring, uint32_t tile) const { return (ring.first + tile) % tiles * TILE * depth; }
    __aicore__ inline uint32_t Query(const Job &job) const { return (q_first + job.block) % blocks; }
    __aicore__ inline uint32_t Keys(const Job &job, uint32_t tile) const { return Least(TILE, job.width - tile * TILE); }

    /// `rows` rows of `columns` values, `pitch` values apart → NZ with column panels of `height` rows.
    __aicore__ inline void Nz(const LocalTensor<T> &to, const GlobalTensor<T> &from, uint32_t rows, uint32_t columns, uint64_t pitch,
                               uint32_t height)
    {
        Nd2NzParams params;
        params.ndNum = 1;
        params.dValue = columns;
        params.srcNdMatrixStride = 0;
        params.dstNzC0Stride = height;
        params.dstNzNStride = 1;
        params.dstNzMatrixStride = 0;
        if (pitch <= MAX_PITCH) {
            params.nValue = rows;
            params.srcDValue = pitch;
            DataCopy(to, from, params);
            return;
        }
        params.nValue = 1;
        params.srcDValue = columns;
        for (uint32_t row = 0; row < rows; ++row) DataCopy(to[row * BLOCK], from[row * pitch], params);
    }

    static constexpr uint64_t MAX_PITCH = 65535;

    /// Parts of scores and parts of products take turns, so that scores leave L0C while products are computed. Scores are one part ahead,
    /// so that the next tile's keys are loaded meanwhile.
    __aicore__ inline void Compute(uint32_t tile)
    {
        WaitFlag<HardEvent::MTE2_MTE1>(slot % 2);
        const uint32_t rows = scoring && tile < scores.job.tiles ? scores.job.rows : 0;
        const uint32_t keys = valuing && tile < values.job.tiles ? Up(Keys(values.job, tile), BLOCK) : 0;
        if (rows > 0) Score(tile, 0);
        for (uint32_t row = t.score_rows, key = 0; row < rows || key < keys; row += t.score_rows, key += t.value_part) {
            if (row < rows) Score(tile, row);
            if (key < keys) Value(tile, key, Least(t.value_part, keys - key));
        }
        SetFlag<HardEvent::MTE1_MTE2>(slot % 2);
        if (rows > 0 && tile + 1 == scores.job.tiles) CrossCoreSetFlag<2, PIPE_FIX>(SCORES);
        if (keys > 0 && tile + 1 == values.job.tiles) Leave();
    }

    /// Rows of an Mmad: one row would be taken for a vector.
    __aicore__ inline uint32_t Rows(uint32_t rows) const { return rows == 1 ? BLOCK : rows; }

    /// Blocks of A in L1, in column panels of `height` rows → L0A, from a panel on.
    __aicore__ inline void LoadLeft(const LocalTensor<T> &to, const LocalTensor<T> &from, uint32_t height, uint32_t rows, uint32_t panel,
                                     uint32_t panels)
    {
        LoadData2DParams params;
        params.repeatTimes = (rows + BLOCK - 1) / BLOCK;
        params.srcStride = 1;
        params.dstGap = panels - 1;
        for (uint32_t i = 0; i < panels; ++i) {
            params.startIndex = (panel + i) * (height / BLOCK);
            LoadData(to[i * FRACTAL], from, params);
        }
    }

    /// A tile's scores for `score_rows` rows. If keys do not fit into L0B together, these are all rows.
    __aicore__ inline void Score(uint32_t tile, uint32_t row)
    {
        const Job &job = scores.job;
        const uint32_t keys = Keys(job, tile), rows = Least(t.score_rows, job.rows - row);
        const bool whole = keys <= t.key_part;
        const LocalTensor<T> k = k_l1[InRing(k_ring, tile)];
        const LocalTensor<float> result = parts[part * t.score_rows * TILE];
        WaitFlag<HardEvent::FIX_M>(part);
        for (uint32_t key = 0; key < keys; key += t.key_part) {
            const uint32_t count = Least(t.key_part, keys - key);
            if (!whole || row == 0) {
                WaitFlag<HardEvent::M_MTE1>(SCORE_FREE);
                if (tile == 0 && key == 0) LoadLeft(left, q_l1[Query(job) * t.block * depth], t.block, job.rows, 0, depth / BLOCK);
                LoadKeys(k, key, count);
                SetFlag<HardEvent::MTE1_M>(SCORE_LOADED);
                WaitFlag<HardEvent::MTE1_M>(SCORE_LOADED);
            }
            MmadParams product;
            product.m = Rows(rows);
            product.n = count;
            product.k = t.head_dim;
            Mmad(result[key * Up(rows, BLOCK)], left[row * depth], right, product);
            if (!whole || row + rows == job.rows) SetFlag<HardEvent::M_MTE1>(SCORE_FREE);
        }
        SetFlag<HardEvent::M_FIX>(part);
        WaitFlag<HardEvent::M_FIX>(part);
        FixpipeParamsV220 out;
        out.nSize = keys;
        out.mSize = rows;
        out.srcStride = Up(rows, BLOCK);
        out.dstStride = t.stack;
        out.quantPre = sizeof(S) == 4 ? QuantMode_t::NoQuant : QuantMode_t::F322F16;
        const uint64_t to = (static_cast<uint64_t>(job.index % SCORE_STACKS) * t.block + row) * t.stack + tile * TILE;
        Fixpipe<S, float, CFG_ROW_MAJOR>(s_gm[to], result, out);
        SetFlag<HardEvent::FIX_M>(part);
        part = part + 1 == t.score_slots ? 0 : part + 1;
    }

    /// `count` keys of a tile from `key` on, as the columns of B.
    __aicore__ inline void LoadKeys(const LocalTensor<T> &k, uint32_t key, uint32_t count)
    {
        const uint32_t panels = depth / BLOCK, blocks_of = (count + BLOCK - 1) / BLOCK;
        LoadData2DParams params;
        params.srcStride = 1;
        if (blocks_of == TILE / BLOCK) {
            params.repeatTimes = panels * blocks_of;
            LoadData(right, k, params);
            return;
        }
        params.repeatTimes = blocks_of;
        for (uint32_t i = 0; i < panels; ++i) {
            params.startIndex = i * (TILE / BLOCK) + key / BLOCK;
            LoadData(right[i * blocks_of * FRACTAL], k, params);
        }
    }

    /// The share of `count` keys of a tile in the products.
    __aicore__ inline void Value(uint32_t tile, uint32_t key, uint32_t count)
    {
        const Job &job = values.job;
        const uint32_t n = width / BLOCK, panels = count / BLOCK;
        const LocalTensor<T> p = p_l1[slot % 2 * t.block * TILE], v = v_l1[InRing(v_ring, tile)];
        const LocalTensor<T> a = left[HALF + quarter * QUARTER], b = right[HALF + quarter * QUARTER];
        WaitFlag<HardEvent::M_MTE1>(PRODUCT_FREE + quarter);
        LoadLeft(a, p, t.block, job.rows, key / BLOCK, panels);
        LoadData2DParams params;
        params.repeatTimes = depth / BLOCK;
        params.srcStride = TILE / BLOCK;
        params.ifTranspose = true;
        for (uint32_t i = 0; i < panels; ++i) {
            params.startIndex = key / BLOCK + i;
            LoadData(b[i * n * FRACTAL], v, params);
        }
        SetFlag<HardEvent::MTE1_M>(PRODUCT_LOADED + quarter);
        WaitFlag<HardEvent::MTE1_M>(PRODUCT_LOADED + quarter);
        const bool first = tile == 0 && key == 0;
        if (first) WaitFlag<HardEvent::FIX_M>(PRODUCTS_DONE);
        MmadParams product;
        product.m = Rows(job.rows);
        product.n = width;
        product.k = count;
        product.cmatrixInitVal = first;
        Mmad(products, a, b, product);
        if ((product.m + BLOCK - 1) / BLOCK * n < 10) PipeBarrier<PIPE_M>();
        SetFlag<HardEvent::M_MTE1>(PRODUCT_FREE + quarter);
        quarter ^= 1;
    }

    /// Products leave L0C.
    __aicore__ inline void Leave()
    {
        const Job &job = values.job;
        SetFlag<HardEvent::M_FIX>(PRODUCTS_DONE);
        WaitFlag<HardEvent::M_FIX>(PRODUCTS_DONE);
        FixpipeParamsV220 out;
        out.nSize = width;
        out.mSize = job.rows;
        out.srcStride = Up(job.rows, BLOCK);
        out.dstStride = width;
        Fixpipe<float, float, CFG_ROW_MAJOR>(o_gm[static_cast<uint64_t>(job.index % STACKS) * t.block * width], products, out);
        SetFlag<HardEvent::FIX_M>(PRODUCTS_DONE);
        CrossCoreSetFlag<2, PIPE_FIX>(PRODUCTS);
    }
};

} // namespace attention
