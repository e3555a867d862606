/// Attention as public kernels do it (softmax(Q K^T scale) V, f32 scores through the L2): for comparing the timing model with
/// measured times. The engine's kernel is another.
///
/// Q, K, V and out are [heads, rows or keys, dim], contiguous. A task is 128 rows of a head; tasks go to cores in turn. Keys come
/// in stacks of 512. The cube core computes the scores of a stack in four products of 128 x 128 and stores them as f32 in the
/// workspace; two vector cores, 64 rows each, do the online softmax and store P in 16 bits; the cube core multiplies P with V and
/// stores the partial result as f32; the vector cores scale what they have and add it. `AHEAD` stacks of scores are on their way
/// before the first P is used; a task drains before the next one begins.
///
/// Workspace of a core: STAGES times {scores 128 x 512 f32, P 128 x 512, partial result 128 x dim f32}.
/// L1: Q, K two buffers, P, V two buffers. L0A, L0B: two halves. L0C: two halves, products take turns, unit flag.
/// Cross-core flags: 0 scores, 1 P, 2 partial results.
/// UB: scores two buffers of 16 rows, P two buffers, partial result, result, statistics.
#include "kernel_operator.h"

#include "ascendit-kernels/src/validation.rs.h"
#ifdef ASCENDIT_TWIN
#include "entry.h"
#endif

using namespace AscendC;

namespace {

constexpr uint32_t ROWS = 128, STACK = 512, BLOCK = 128, AHEAD = 2, STAGES = AHEAD + 1;
constexpr uint16_t SCORES = 0, SOFTMAX = 1, PARTIAL = 2;

__aicore__ inline uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }

template <typename T> struct Places {
    GlobalTensor<T> q, k, v, out;
    GlobalTensor<float> scores, partial;  ///< of this core
    GlobalTensor<T> p;
    FlashTiling t;
    uint32_t blocks, tasks;

    __aicore__ inline void Init(GM_ADDR qAt, GM_ADDR kAt, GM_ADDR vAt, GM_ADDR outAt, GM_ADDR workspace, const FlashTiling &tiling, uint32_t core)
    {
        t = tiling;
        blocks = (t.rows + ROWS - 1) / ROWS;
        tasks = t.heads * blocks;
        q.SetGlobalBuffer((__gm__ T *)qAt);
        k.SetGlobalBuffer((__gm__ T *)kAt);
        v.SetGlobalBuffer((__gm__ T *)vAt);
        out.SetGlobalBuffer((__gm__ T *)outAt);
        const uint64_t bytes = STAGES * ROWS * (STACK * 6ull + t.dim * 4ull);
        GM_ADDR mine = workspace + core * bytes;
        scores.SetGlobalBuffer((__gm__ float *)mine);
        p.SetGlobalBuffer((__gm__ T *)(mine + STAGES * ROWS * STACK * 4));
        partial.SetGlobalBuffer((__gm__ float *)(mine + STAGES * ROWS * STACK * 6));
    }
};

template <typename T> class Cube {
public:
    __aicore__ inline void Run(const Places<T> &places)
    {
        at = places;
        const uint32_t dim = at.t.dim;
        TPipe pipe;
        pipe.InitBuffer(l1q, ROWS * dim * sizeof(T));
        pipe.InitBuffer(l1k, 2 * BLOCK * dim * sizeof(T));
        pipe.InitBuffer(l1v, 2 * BLOCK * dim * sizeof(T));
        pipe.InitBuffer(l1p, ROWS * STACK * sizeof(T));
        pipe.InitBuffer(l0a, 64 * 1024);
        pipe.InitBuffer(l0b, 64 * 1024);
        pipe.InitBuffer(l0c, 128 * 1024);
        SetFlag<HardEvent::MTE1_MTE2>(EVENT_ID0);
        SetFlag<HardEvent::MTE1_MTE2>(EVENT_ID1);
        SetFlag<HardEvent::MTE1_MTE2>(EVENT_ID2);
        SetFlag<HardEvent::MTE1_MTE2>(EVENT_ID3);
        SetFlag<HardEvent::MTE1_MTE2>(EVENT_ID4);
        SetFlag<HardEvent::MTE1_MTE2>(EVENT_ID5);
        SetFlag<HardEvent::M_MTE1>(FREE);
        SetFlag<HardEvent::M_MTE1>(FREE + 1);
        const uint32_t stacks = (at.t.keys + STACK - 1) / STACK;
        for (uint32_t task = GetBlockIdx(); task < at.tasks; task += GetBlockNum()) {
            head = task / at.blocks;
            row = task % at.blocks * ROWS;
            count = least(ROWS, at.t.rows - row);
            for (uint32_t i = 0; i < stacks + AHEAD; ++i) {
                if (i < stacks) Scores(i, i + 1 == stacks);
                if (i >= AHEAD) Values(i - AHEAD);
            }
        }
        WaitFlag<HardEvent::MTE1_MTE2>(EVENT_ID0);
        WaitFlag<HardEvent::MTE1_MTE2>(EVENT_ID1);
        WaitFlag<HardEvent::MTE1_MTE2>(EVENT_ID2);
        WaitFlag<HardEvent::MTE1_MTE2>(EVENT_ID3);
        WaitFlag<HardEvent::MTE1_MTE2>(EVENT_ID4);
        WaitFlag<HardEvent::MTE1_MTE2>(EVENT_ID5);
        WaitFlag<HardEvent::M_MTE1>(FREE);
        WaitFlag<HardEvent::M_MTE1>(FREE + 1);
    }

private:
    /// The first event M_MTE1: TPipe keeps 0 to 2 to itself.
    static constexpr int32_t FREE = 3;

    Places<T> at;
    TBuf<TPosition::A1> l1q, l1k, l1v, l1p;
    TBuf<TPosition::A2> l0a;
    TBuf<TPosition::B2> l0b;
    TBuf<TPosition::CO1> l0c;
    uint32_t head, row, count;
    uint32_t products = 0;  ///< halves of L0C take turns
    uint32_t loads = 0;     ///< halves of L0A and L0B take turns

    __aicore__ inline uint32_t Up(uint32_t value) { return (value + 15) / 16 * 16; }

    __aicore__ inline void Nz(const LocalTensor<T> &to, const GlobalTensor<T> &from, uint32_t rows, uint32_t columns, uint32_t pitch)
    {
        Nd2NzParams params;
        params.ndNum = 1;
        params.nValue = rows;
        params.dValue = columns;
        params.srcNdMatrixStride = 0;
        params.srcDValue = pitch;
        params.dstNzC0Stride = Up(rows);
        params.dstNzNStride = 1;
        params.dstNzMatrixStride = 0;
        DataCopy(to, from, params);
    }

    __aicore__ inline void Product(const LocalTensor<T> &left, uint32_t leftBlock, const LocalTensor<T> &right, bool turned, uint32_t m, uint32_t n,
                                   uint32_t k, bool first, bool last, bool leftDone, int32_t leftEvent, int32_t rightEvent)
    {
        const uint32_t half = loads++ % 2, m1 = Up(m) / 16, n1 = Up(n) / 16, k1 = Up(k) / 16;
        LocalTensor<T> a = l0a.Get<T>()[half * 16384], b = l0b.Get<T>()[half * 16384];
        WaitFlag<HardEvent::M_MTE1>(FREE + half);
        LoadData2DParams params;
        params.repeatTimes = k1;
        params.srcStride = m1;
        for (uint32_t i = 0; i < m1; ++i) {
            params.startIndex = leftBlock * m1 + i;
            LoadData(a[i * k1 * 256], left, params);
        }
        if (leftDone) SetFlag<HardEvent::MTE1_MTE2>(leftEvent);
        if (turned) {
            // V is [keys, dim]: rows of fractals of K become rows of L0B, each fractal turned.
            params.ifTranspose = true;
            params.repeatTimes = n1;
            params.srcStride = k1;
            for (uint32_t i = 0; i < k1; ++i) {
                params.startIndex = i;
                LoadData(b[i * n1 * 256], right, params);
            }
        } else {
            params.startIndex = 0;
            params.repeatTimes = n1 * k1;
            params.srcStride = 1;
            LoadData(b, right, params);
        }
        SetFlag<HardEvent::MTE1_MTE2>(rightEvent);
        SetFlag<HardEvent::MTE1_M>(half);
        WaitFlag<HardEvent::MTE1_M>(half);
        MmadParams product;
        product.m = m;
        product.n = n;
        product.k = k;
        product.unitFlag = last ? 3 : 2;
        product.cmatrixInitVal = first;
        Mmad(l0c.Get<float>()[products % 2 * 16384], a, b, product);
        SetFlag<HardEvent::M_MTE1>(FREE + half);
    }

    __aicore__ inline void Store(const GlobalTensor<float> &to, uint32_t m, uint32_t n, uint32_t pitch)
    {
        FixpipeParamsV220 out;
        out.nSize = n;
        out.mSize = m;
        out.srcStride = Up(m);
        out.dstStride = pitch;
        out.ndNum = 1;
        out.srcNdStride = 0;
        out.dstNdStride = 0;
        out.unitFlag = 3;
        out.quantPre = QuantMode_t::NoQuant;
        Fixpipe<float, float, CFG_ROW_MAJOR>(to, l0c.Get<float>()[products++ % 2 * 16384], out);
    }

    __aicore__ inline void Scores(uint32_t stack, bool final)
    {
        const uint32_t dim = at.t.dim, keys = least(STACK, at.t.keys - stack * STACK);
        if (stack == 0) {
            WaitFlag<HardEvent::MTE1_MTE2>(EVENT_ID0);
            Nz(l1q.Get<T>(), at.q[(static_cast<uint64_t>(head) * at.t.rows + row) * dim], count, dim, dim);
        }
        for (uint32_t first = 0; first < keys; first += BLOCK) {
            const uint32_t n = least(BLOCK, keys - first), buffer = first / BLOCK % 2;
            LocalTensor<T> k = l1k.Get<T>()[buffer * BLOCK * dim];
            WaitFlag<HardEvent::MTE1_MTE2>(1 + buffer);
            Nz(k, at.k[(static_cast<uint64_t>(head) * at.t.keys + stack * STACK + first) * dim], n, dim, dim);
            SetFlag<HardEvent::MTE2_MTE1>(buffer);
            WaitFlag<HardEvent::MTE2_MTE1>(buffer);
            Product(l1q.Get<T>(), 0, k, false, count, n, dim, true, true, final && first + BLOCK >= keys, 0, 1 + buffer);
            Store(at.scores[stack % STAGES * ROWS * STACK + first], count, n, STACK);
        }
        CrossCoreSetFlag<2, PIPE_FIX>(SCORES);
    }

    __aicore__ inline void Values(uint32_t stack)
    {
        const uint32_t dim = at.t.dim, keys = least(STACK, at.t.keys - stack * STACK);
        CrossCoreWaitFlag(SOFTMAX);
        for (uint32_t first = 0; first < keys; first += BLOCK) {
            const uint32_t n = least(BLOCK, keys - first), buffer = first / BLOCK % 2;
            LocalTensor<T> v = l1v.Get<T>()[buffer * BLOCK * dim];
            WaitFlag<HardEvent::MTE1_MTE2>(3 + buffer);
            Nz(v, at.v[(static_cast<uint64_t>(head) * at.t.keys + stack * STACK + first) * dim], n, dim, dim);
            if (first == 0) {
                WaitFlag<HardEvent::MTE1_MTE2>(EVENT_ID5);
                Nz(l1p.Get<T>(), at.p[stack % STAGES * ROWS * STACK], count, keys, STACK);
            }
            SetFlag<HardEvent::MTE2_MTE1>(2 + buffer);
            WaitFlag<HardEvent::MTE2_MTE1>(2 + buffer);
            Product(l1p.Get<T>(), first / 16, v, true, count, dim, n, first == 0, first + BLOCK >= keys, first + BLOCK >= keys, 5, 3 + buffer);
        }
        Store(at.partial[stack % STAGES * ROWS * dim], count, dim, dim);
        CrossCoreSetFlag<2, PIPE_FIX>(PARTIAL);
    }
};

template <typename T> class Softmax {
public:
    __aicore__ inline void Run(const Places<T> &places)
    {
        at = places;
        const uint32_t dim = at.t.dim;
        TPipe pipe;
        pipe.InitBuffer(scores, 2 * CHUNK * STACK * 4);
        pipe.InitBuffer(p, 2 * CHUNK * STACK * sizeof(T));
        pipe.InitBuffer(partial, HALF * dim * 4);
        pipe.InitBuffer(result, HALF * dim * 4);
        pipe.InitBuffer(small, 16 * 1024);
        SetFlag<HardEvent::V_MTE2>(EVENT_ID0);
        SetFlag<HardEvent::V_MTE2>(EVENT_ID1);
        SetFlag<HardEvent::V_MTE2>(EVENT_ID2);
        SetFlag<HardEvent::MTE3_V>(EVENT_ID0);
        SetFlag<HardEvent::MTE3_V>(EVENT_ID1);
        SetFlag<HardEvent::MTE3_V>(EVENT_ID2);
        const uint32_t stacks = (at.t.keys + STACK - 1) / STACK, core = GetBlockIdx() / 2;
        for (uint32_t task = core; task < at.tasks; task += GetBlockNum()) {
            head = task / at.blocks;
            const uint32_t block = task % at.blocks * ROWS, all = least(ROWS, at.t.rows - block);
            first = GetSubBlockIdx() * HALF;
            row = block + first;
            count = all > first ? least(HALF, all - first) : 0;
            for (uint32_t i = 0; i < stacks + AHEAD; ++i) {
                if (i < stacks) Stack(i);
                if (i >= AHEAD) Gather(i - AHEAD, i - AHEAD + 1 == stacks);
            }
        }
        WaitFlag<HardEvent::V_MTE2>(EVENT_ID0);
        WaitFlag<HardEvent::V_MTE2>(EVENT_ID1);
        WaitFlag<HardEvent::V_MTE2>(EVENT_ID2);
        WaitFlag<HardEvent::MTE3_V>(EVENT_ID0);
        WaitFlag<HardEvent::MTE3_V>(EVENT_ID1);
        WaitFlag<HardEvent::MTE3_V>(EVENT_ID2);
    }

private:
    /// Rows of a vector core, and of a chunk.
    static constexpr uint32_t HALF = 64, CHUNK = 16, LANES = 64;

    Places<T> at;
    TBuf<TPosition::VECCALC> scores, p, partial, result, small;
    uint32_t head, row, first, count;

    /// Statistics, f32: by row of the core the maximum and the sum; by stage the factor of a stack; work.
    __aicore__ inline LocalTensor<float> Most() { return small.Get<float>(); }
    __aicore__ inline LocalTensor<float> Total() { return small.Get<float>()[64]; }
    __aicore__ inline LocalTensor<float> Factor(uint32_t stack) { return small.Get<float>()[128 + stack % STAGES * 64]; }
    __aicore__ inline LocalTensor<float> Work() { return small.Get<float>()[384]; }
    __aicore__ inline LocalTensor<float> Spread() { return small.Get<float>()[2048]; }

    /// The largest value or the sum of each of `CHUNK` rows of `STACK`.
    template <bool SUM> __aicore__ inline LocalTensor<float> Reduce(const LocalTensor<float> &from)
    {
        LocalTensor<float> one = Work(), two = one[1024], three = two[128];
        Step<SUM>(one, from, CHUNK * STACK / LANES);
        Step<SUM>(two, one, CHUNK * STACK / LANES / 8);
        Step<SUM>(three, two, CHUNK * STACK / LANES / 64);
        return three;
    }
    template <bool SUM> __aicore__ inline void Step(const LocalTensor<float> &to, const LocalTensor<float> &from, uint32_t repeats)
    {
        if (SUM)
            BlockReduceSum(to, from, repeats, LANES, 1, 1, 8);
        else
            BlockReduceMax(to, from, repeats, LANES, 1, 1, 8);
        PipeBarrier<PIPE_V>();
    }

    __aicore__ inline void Stack(uint32_t stack)
    {
        const uint32_t keys = least(STACK, at.t.keys - stack * STACK);
        CrossCoreWaitFlag(SCORES);
        const uint64_t place = stack % STAGES * ROWS * STACK + first * STACK;
        const uint32_t chunks = (count + CHUNK - 1) / CHUNK;
        if (chunks) Load(place, 0);
        for (uint32_t i = 0; i < chunks; ++i) {
            if (i + 1 < chunks) Load(place, i + 1);
            Chunk(stack, place, i, keys);
        }
        CrossCoreSetFlag<2, PIPE_MTE3>(SOFTMAX);
    }

    __aicore__ inline void Load(uint64_t place, uint32_t chunk)
    {
        WaitFlag<HardEvent::V_MTE2>(chunk % 2);
        DataCopy(scores.Get<float>()[chunk % 2 * CHUNK * STACK], at.scores[place + chunk * CHUNK * STACK], CHUNK * STACK);
        SetFlag<HardEvent::MTE2_V>(chunk % 2);
    }

    __aicore__ inline void Chunk(uint32_t stack, uint64_t place, uint32_t chunk, uint32_t keys)
    {
        const int32_t buffer = chunk % 2;
        LocalTensor<float> s = scores.Get<float>()[buffer * CHUNK * STACK];
        LocalTensor<T> narrow = p.Get<T>()[buffer * CHUNK * STACK];
        LocalTensor<float> most = Most()[chunk * CHUNK], total = Total()[chunk * CHUNK], factor = Factor(stack)[chunk * CHUNK];
        WaitFlag<HardEvent::MTE2_V>(buffer);
        Muls(s, s, at.t.scale, CHUNK * STACK);
        PipeBarrier<PIPE_V>();
        if (keys < STACK) {
            // Keys past the end.
            for (uint32_t i = 0; i < CHUNK; ++i) Hide(s[i * STACK], keys);
            PipeBarrier<PIPE_V>();
        }
        LocalTensor<float> largest = Reduce<false>(s);
        if (stack != 0) {
            Max(largest, largest, most, CHUNK);
            PipeBarrier<PIPE_V>();
            Sub(factor, most, largest, CHUNK);
            PipeBarrier<PIPE_V>();
            Exp(factor, factor, CHUNK);
        }
        Adds(most, largest, 0.0f, CHUNK);
        Brcb(Spread(), largest, CHUNK / 8, BrcbRepeatParams(1, 8));
        PipeBarrier<PIPE_V>();
        for (uint32_t column = 0; column < STACK; column += LANES)
            Sub(s[column], s[column], Spread(), LANES, CHUNK, BinaryRepeatParams(1, 1, 0, STACK / 8, STACK / 8, 1));
        PipeBarrier<PIPE_V>();
        Exp(s, s, CHUNK * STACK);
        PipeBarrier<PIPE_V>();
        WaitFlag<HardEvent::MTE3_V>(buffer);
        Cast(narrow, s, RoundMode::CAST_RINT, CHUNK * STACK);
        SetFlag<HardEvent::V_MTE3>(buffer);
        WaitFlag<HardEvent::V_MTE3>(buffer);
        DataCopy(at.p[place + chunk * CHUNK * STACK], narrow, CHUNK * STACK);
        SetFlag<HardEvent::MTE3_V>(buffer);
        LocalTensor<float> sum = Reduce<true>(s);
        SetFlag<HardEvent::V_MTE2>(buffer);
        if (stack != 0) {
            Mul(total, total, factor, CHUNK);
            PipeBarrier<PIPE_V>();
            Add(total, total, sum, CHUNK);
        } else {
            Adds(total, sum, 0.0f, CHUNK);
        }
        PipeBarrier<PIPE_V>();
    }

    /// Columns from `keys` on of a row become very small.
    __aicore__ inline void Hide(const LocalTensor<float> &s, uint32_t keys)
    {
        const uint32_t whole = (keys + LANES - 1) / LANES * LANES;
        if (keys % LANES) {
            uint64_t mask[2] = {~0ull << keys % LANES, 0};
            Duplicate(s[whole - LANES], -1e30f, mask, 1, 1, 8);
        }
        if (whole < STACK) Duplicate(s[whole], -1e30f, STACK - whole);
    }

    /// `to *= by`, one value for each row of `dim`.
    template <bool DIVIDE> __aicore__ inline void Scale(const LocalTensor<float> &to, const LocalTensor<float> &by)
    {
        const uint32_t dim = at.t.dim;
        Brcb(Spread(), by, (count + 7) / 8, BrcbRepeatParams(1, 8));
        PipeBarrier<PIPE_V>();
        for (uint32_t column = 0; column < dim; column += LANES) {
            const BinaryRepeatParams params(1, 1, 0, dim / 8, dim / 8, 1);
            if (DIVIDE)
                Div(to[column], to[column], Spread(), least(LANES, dim - column), count, params);
            else
                Mul(to[column], to[column], Spread(), least(LANES, dim - column), count, params);
        }
        PipeBarrier<PIPE_V>();
    }

    __aicore__ inline void Gather(uint32_t stack, bool last)
    {
        const uint32_t dim = at.t.dim;
        CrossCoreWaitFlag(PARTIAL);
        if (count == 0) return;
        const LocalTensor<float> part = partial.Get<float>(), all = result.Get<float>();
        WaitFlag<HardEvent::V_MTE2>(EVENT_ID2);
        DataCopy(part, at.partial[stack % STAGES * ROWS * dim + first * dim], count * dim);
        SetFlag<HardEvent::MTE2_V>(EVENT_ID2);
        WaitFlag<HardEvent::MTE2_V>(EVENT_ID2);
        if (stack == 0) {
            WaitFlag<HardEvent::MTE3_V>(EVENT_ID2);
            Adds(all, part, 0.0f, count * dim);
        } else {
            Scale<false>(all, Factor(stack));
            Add(all, all, part, count * dim);
        }
        PipeBarrier<PIPE_V>();
        SetFlag<HardEvent::V_MTE2>(EVENT_ID2);
        if (!last) return;
        Scale<true>(all, Total());
        const LocalTensor<T> narrow = result.Get<T>();
        Cast(narrow, all, RoundMode::CAST_RINT, count * dim);
        SetFlag<HardEvent::V_MTE3>(EVENT_ID2);
        WaitFlag<HardEvent::V_MTE3>(EVENT_ID2);
        DataCopy(at.out[(static_cast<uint64_t>(head) * at.t.rows + row) * dim], narrow, count * dim);
        SetFlag<HardEvent::MTE3_V>(EVENT_ID2);
    }
};

template <typename T>
__aicore__ inline void Run(GM_ADDR q, GM_ADDR k, GM_ADDR v, GM_ADDR out, GM_ADDR workspace, const FlashTiling &tiling)
{
    Places<T> places;
    if ASCEND_IS_AIC {
        places.Init(q, k, v, out, workspace, tiling, GetBlockIdx());
        Cube<T>().Run(places);
    }
    if ASCEND_IS_AIV {
        places.Init(q, k, v, out, workspace, tiling, GetBlockIdx() / 2);
        Softmax<T>().Run(places);
    }
}

} // namespace

extern "C" __global__ __aicore__ void flash_attention_f16(GM_ADDR q, GM_ADDR k, GM_ADDR v, GM_ADDR out, GM_ADDR workspace, FlashTiling tiling)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_MIX_AIC_1_2);
    Run<half>(q, k, v, out, workspace, tiling);
}

extern "C" __global__ __aicore__ void flash_attention_bf16(GM_ADDR q, GM_ADDR k, GM_ADDR v, GM_ADDR out, GM_ADDR workspace, FlashTiling tiling)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_MIX_AIC_1_2);
    Run<bfloat16_t>(q, k, v, out, workspace, tiling);
}

#ifdef ASCENDIT_TWIN
TWIN_KERNEL(flash_attention_f16)
TWIN_KERNEL(flash_attention_bf16)
#endif
