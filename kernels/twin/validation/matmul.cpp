/// `C = A B^T`, as stock and published kernels do it: for comparing the timing model with measured times, not for the engine.
///
/// A is [M, K], B is [N, K], C is [M, N], row-major. Tiles of base_m x base_n of C go to cores in bands of `band` tile rows, in
/// which they run down columns, so that cores that work side by side share rows of A and B in the L2. Of a tile, steps of
/// `step_k` times base_k go to L1 (two buffers) and from there by base_k to L0 (two buffers); the next step is on its way while
/// one is computed, also across tiles. L0C holds one tile, which Fixpipe drains under the unit flag while the next one begins.
///
/// L1: 2 x (base_m + base_n) x step_k base_k. L0A, L0B: two halves. Events: MTE1_MTE2 and MTE2_MTE1 0, 1 by buffer of L1,
/// MTE1_M 0, 1 and M_MTE1 3, 4 by half of L0.
#include "kernel_operator.h"

#include "ascendit-kernels/src/validation.rs.h"
#ifdef ASCENDIT_TWIN
#include "entry.h"
#endif

using namespace AscendC;

namespace {

template <typename T, typename Out> class Matmul {
public:
    __aicore__ inline void Init(GM_ADDR a, GM_ADDR b, GM_ADDR c, const MatmulTiling &tiling, TPipe *pipe)
    {
        t = tiling;
        aGm.SetGlobalBuffer((__gm__ T *)a);
        bGm.SetGlobalBuffer((__gm__ T *)b);
        cGm.SetGlobalBuffer((__gm__ Out *)c);
        pipe->InitBuffer(l1, 2 * (t.base_m + t.base_n) * t.step_k * t.base_k * sizeof(T));
        pipe->InitBuffer(l0a, 64 * 1024);
        pipe->InitBuffer(l0b, 64 * 1024);
        pipe->InitBuffer(l0c, 128 * 1024);
        rows = (t.m + t.base_m - 1) / t.base_m;
        columns = (t.n + t.base_n - 1) / t.base_n;
        deep = t.step_k * t.base_k;
        steps = (t.k + deep - 1) / deep;
    }

    __aicore__ inline void Process()
    {
        SetHF32Mode(sizeof(T) == 4);
        for (int32_t i = 0; i < 2; ++i) {
            SetFlag<HardEvent::MTE1_MTE2>(i);
            SetFlag<HardEvent::M_MTE1>(FREE + i);
        }
        const uint32_t tiles = rows * columns, core = GetBlockIdx(), cores = GetBlockNum();
        const uint32_t mine = core < tiles ? (tiles - core + cores - 1) / cores : 0;
        for (uint32_t i = 0; i < mine * steps; ++i) {
            if (i == 0) Load(core, 0, 0);
            if (i + 1 < mine * steps) Load(core + (i + 1) / steps * cores, (i + 1) % steps, (i + 1) % 2);
            Compute(core + i / steps * cores, i % steps, i % 2);
        }
        for (int32_t i = 0; i < 2; ++i) {
            WaitFlag<HardEvent::MTE1_MTE2>(i);
            WaitFlag<HardEvent::M_MTE1>(FREE + i);
        }
        SetHF32Mode(false);
    }

private:
    static constexpr uint32_t C0 = 32 / sizeof(T);
    /// The first event M_MTE1: TPipe keeps 0 to 2 to itself.
    static constexpr int32_t FREE = 3;

    TBuf<TPosition::A1> l1;
    TBuf<TPosition::A2> l0a;
    TBuf<TPosition::B2> l0b;
    TBuf<TPosition::CO1> l0c;
    GlobalTensor<T> aGm, bGm;
    GlobalTensor<Out> cGm;
    MatmulTiling t;
    uint32_t rows, columns, deep, steps;

    __aicore__ inline uint32_t Up(uint32_t value, uint32_t unit) { return (value + unit - 1) / unit * unit; }
    __aicore__ inline uint32_t Least(uint32_t a, uint32_t b) { return a < b ? a : b; }

    /// The first row and column of a tile, and its size.
    struct Tile {
        uint32_t m0, n0, m, n;
    };
    __aicore__ inline Tile At(uint32_t index)
    {
        const uint32_t band = index / (t.band * columns), in = index % (t.band * columns);
        const uint32_t high = Least(t.band, rows - band * t.band);
        const uint32_t column = in / high;
        // Every second band runs backwards: what it begins with is still in the L2.
        Tile tile;
        tile.m0 = (band * t.band + in % high) * t.base_m;
        tile.n0 = (band % 2 ? columns - 1 - column : column) * t.base_n;
        tile.m = Least(t.base_m, t.m - tile.m0);
        tile.n = Least(t.base_n, t.n - tile.n0);
        return tile;
    }

    __aicore__ inline void Nz(const LocalTensor<T> &to, const GlobalTensor<T> &from, uint32_t count, uint32_t depth)
    {
        Nd2NzParams params;
        params.ndNum = 1;
        params.nValue = count;
        params.dValue = depth;
        params.srcNdMatrixStride = 0;
        params.srcDValue = t.k;
        params.dstNzC0Stride = Up(count, 16);
        params.dstNzNStride = 1;
        params.dstNzMatrixStride = 0;
        DataCopy(to, from, params);
    }

    __aicore__ inline void Load(uint32_t index, uint32_t step, uint32_t buffer)
    {
        const Tile tile = At(index);
        const uint32_t k0 = step * deep, depth = Least(deep, t.k - k0);
        LocalTensor<T> memory = l1.Get<T>()[buffer * (t.base_m + t.base_n) * deep];
        WaitFlag<HardEvent::MTE1_MTE2>(buffer);
        Nz(memory, aGm[static_cast<uint64_t>(tile.m0) * t.k + k0], tile.m, depth);
        Nz(memory[t.base_m * deep], bGm[static_cast<uint64_t>(tile.n0) * t.k + k0], tile.n, depth);
        SetFlag<HardEvent::MTE2_MTE1>(buffer);
    }

    __aicore__ inline void Compute(uint32_t index, uint32_t step, uint32_t buffer)
    {
        const Tile tile = At(index);
        const uint32_t depth = Least(deep, t.k - step * deep), m1 = Up(tile.m, 16) / 16, n1 = Up(tile.n, 16) / 16;
        const LocalTensor<T> left = l1.Get<T>()[buffer * (t.base_m + t.base_n) * deep], right = left[t.base_m * deep];
        WaitFlag<HardEvent::MTE2_MTE1>(buffer);
        for (uint32_t k = 0; k < depth; k += t.base_k) {
            const uint32_t now = Least(t.base_k, depth - k), k1 = Up(now, C0) / C0, half = (k / t.base_k) % 2;
            const bool last = step + 1 == steps && k + now == depth;
            LocalTensor<T> a = l0a.Get<T>()[half * 32 * 1024 / sizeof(T)], b = l0b.Get<T>()[half * 32 * 1024 / sizeof(T)];
            WaitFlag<HardEvent::M_MTE1>(FREE + half);
            LoadData2DParams params;
            params.repeatTimes = k1;
            params.srcStride = m1;
            for (uint32_t i = 0; i < m1; ++i) {
                params.startIndex = k / C0 * m1 + i;
                LoadData(a[i * k1 * 16 * C0], left, params);
            }
            params.startIndex = k / C0 * n1;
            params.repeatTimes = k1 * n1;
            params.srcStride = 1;
            LoadData(b, right, params);
            if (k + now == depth) SetFlag<HardEvent::MTE1_MTE2>(buffer);
            SetFlag<HardEvent::MTE1_M>(half);
            WaitFlag<HardEvent::MTE1_M>(half);
            MmadParams product;
            product.m = tile.m;
            product.n = tile.n;
            product.k = now;
            product.unitFlag = last ? 3 : 2;
            product.cmatrixInitVal = step == 0 && k == 0;
            // One row would be taken for a vector.
            if (product.m == 1) product.m = 16;
            Mmad(l0c.Get<float>(), a, b, product);
            if (m1 * n1 < 10) PipeBarrier<PIPE_M>();
            SetFlag<HardEvent::M_MTE1>(FREE + half);
        }
        if (step + 1 < steps) return;
        FixpipeParamsV220 out;
        out.nSize = tile.n;
        out.mSize = tile.m;
        out.srcStride = Up(tile.m, 16);
        out.dstStride = t.n;
        out.ndNum = 1;
        out.srcNdStride = 0;
        out.dstNdStride = 0;
        out.unitFlag = 3;
        out.quantPre = sizeof(Out) == 4 ? QuantMode_t::NoQuant : Half() ? QuantMode_t::F322F16 : QuantMode_t::F322BF16;
        Fixpipe<Out, float, CFG_ROW_MAJOR>(cGm[static_cast<uint64_t>(tile.m0) * t.n + tile.n0], l0c.Get<float>(), out);
    }

    __aicore__ inline constexpr bool Half() { return std::is_same<Out, half>::value; }
};

template <typename T, typename Out> __aicore__ inline void Run(GM_ADDR a, GM_ADDR b, GM_ADDR c, const MatmulTiling &tiling)
{
    if ASCEND_IS_AIC {
        TPipe pipe;
        Matmul<T, Out> matmul;
        matmul.Init(a, b, c, tiling, &pipe);
        matmul.Process();
    }
}

} // namespace

extern "C" __global__ __aicore__ void matmul_f16(GM_ADDR a, GM_ADDR b, GM_ADDR c, MatmulTiling tiling)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIC_ONLY);
    Run<half, half>(a, b, c, tiling);
}

extern "C" __global__ __aicore__ void matmul_bf16(GM_ADDR a, GM_ADDR b, GM_ADDR c, MatmulTiling tiling)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIC_ONLY);
    Run<bfloat16_t, bfloat16_t>(a, b, c, tiling);
}

/// f16 with a result in f32.
extern "C" __global__ __aicore__ void matmul_f16_f32(GM_ADDR a, GM_ADDR b, GM_ADDR c, MatmulTiling tiling)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIC_ONLY);
    Run<half, float>(a, b, c, tiling);
}

/// f32, multiplied as HF32.
extern "C" __global__ __aicore__ void matmul_hf32(GM_ADDR a, GM_ADDR b, GM_ADDR c, MatmulTiling tiling)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIC_ONLY);
    Run<float, float>(a, b, c, tiling);
}

#ifdef ASCENDIT_TWIN
TWIN_KERNEL(matmul_f16)
TWIN_KERNEL(matmul_bf16)
TWIN_KERNEL(matmul_f16_f32)
TWIN_KERNEL(matmul_hf32)
#endif
