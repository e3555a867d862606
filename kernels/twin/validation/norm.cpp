/// Norms as stock kernels do them, a row at a time with its sum read by the scalar unit: for comparing the timing model with
/// measured times, not for the engine.
///
/// rms: y = x / sqrt(mean(x^2) + eps) * gamma. add_rms: the same of x1 + x2, which is stored too. layer: (x - mean) /
/// sqrt(variance + eps) * gamma + beta. The statistics, which stock kernels store as well, are left out: a few bytes for each row.
/// Rows are divided evenly among vector cores. One row is in UB at a time, and one more is on its way.
#include "kernel_operator.h"

#include "ascendit-kernels/src/validation.rs.h"
#ifdef ASCENDIT_TWIN
#include "entry.h"
#endif

using namespace AscendC;

namespace {

enum class Norm { Rms, AddRms, Layer };

template <typename T, Norm NORM> class RowNorm {
public:
    __aicore__ inline void Run(GM_ADDR first, GM_ADDR second, GM_ADDR gamma, GM_ADDR beta, GM_ADDR out, GM_ADDR sum, const NormTiling &tiling)
    {
        columns = tiling.columns;
        padded = (columns + 63) / 64 * 64;
        xGm.SetGlobalBuffer((__gm__ T *)first);
        x2Gm.SetGlobalBuffer((__gm__ T *)second);
        gammaGm.SetGlobalBuffer((__gm__ T *)gamma);
        betaGm.SetGlobalBuffer((__gm__ T *)beta);
        outGm.SetGlobalBuffer((__gm__ T *)out);
        sumGm.SetGlobalBuffer((__gm__ T *)sum);
        TPipe pipe;
        pipe.InitBuffer(in, 1, padded * sizeof(T));
        pipe.InitBuffer(result, 1, padded * sizeof(T));
        pipe.InitBuffer(weights, (NORM == Norm::Layer ? 2 : 1) * padded * sizeof(T));
        pipe.InitBuffer(wide, 2 * padded * sizeof(float));
        pipe.InitBuffer(small, 1024);
        const uint32_t begin = GetBlockIdx() * tiling.rows_per_block;
        const uint32_t end = begin + tiling.rows_per_block < tiling.rows ? begin + tiling.rows_per_block : tiling.rows;
        LocalTensor<T> g = weights.Get<T>();
        Copy(g, gammaGm, columns);
        if (NORM == Norm::Layer) Copy(g[padded], betaGm, columns);
        SetFlag<HardEvent::MTE2_V>(EVENT_ID7);
        WaitFlag<HardEvent::MTE2_V>(EVENT_ID7);
        for (uint32_t row = begin; row < end; ++row) Row(static_cast<uint64_t>(row) * columns, tiling);
    }

private:
    uint32_t columns, padded;
    GlobalTensor<T> xGm, x2Gm, gammaGm, betaGm, outGm, sumGm;
    TQue<TPosition::VECIN, 1> in;
    TQue<TPosition::VECOUT, 1> result;
    TBuf<TPosition::VECCALC> weights, wide, small;

    __aicore__ inline DataCopyExtParams Bytes()
    {
        DataCopyExtParams params;
        params.blockCount = 1;
        params.blockLen = columns * sizeof(T);
        params.srcStride = 0;
        params.dstStride = 0;
        params.rsv = 0;
        return params;
    }
    __aicore__ inline void Copy(const LocalTensor<T> &to, const GlobalTensor<T> &from, uint32_t)
    {
        DataCopyPad(to, from, Bytes(), DataCopyPadExtParams<T>());
    }

    __aicore__ inline void Widen(const LocalTensor<float> &to, const LocalTensor<T> &from)
    {
        if constexpr (sizeof(T) == 4)
            Adds(to, from, 0.0f, columns);
        else
            Cast(to, from, RoundMode::CAST_NONE, columns);
        PipeBarrier<PIPE_V>();
    }
    __aicore__ inline void Narrow(const LocalTensor<T> &to, const LocalTensor<float> &from)
    {
        if constexpr (sizeof(T) == 4)
            Adds(to, from, 0.0f, columns);
        else
            Cast(to, from, RoundMode::CAST_RINT, columns);
        PipeBarrier<PIPE_V>();
    }

    /// The sum of a row, in the first element of the result: 64 lanes add up, then their sum.
    __aicore__ inline LocalTensor<float> Sum(const LocalTensor<float> &from)
    {
        LocalTensor<float> lanes = small.Get<float>(), sum = lanes[64];
        const uint32_t whole = columns / 64, rest = columns % 64;
        Duplicate(lanes, 0.0f, 64);
        PipeBarrier<PIPE_V>();
        if (whole) Add(lanes, from, lanes, 64, whole, BinaryRepeatParams(1, 1, 1, 0, 8, 0));
        PipeBarrier<PIPE_V>();
        if (rest) Add(lanes, from[whole * 64], lanes, rest, 1, BinaryRepeatParams(1, 1, 1, 8, 8, 8));
        if (rest) PipeBarrier<PIPE_V>();
        WholeReduceSum(sum, lanes, 64, 1, 1, 1, 8);
        PipeBarrier<PIPE_V>();
        return sum;
    }

    /// A value on the scalar unit.
    __aicore__ inline float Read(const LocalTensor<float> &from)
    {
        SetFlag<HardEvent::V_S>(EVENT_ID0);
        WaitFlag<HardEvent::V_S>(EVENT_ID0);
        const float value = from.GetValue(0);
        SetFlag<HardEvent::S_V>(EVENT_ID0);
        WaitFlag<HardEvent::S_V>(EVENT_ID0);
        return value;
    }

    /// 1 / sqrt(sum / columns + eps), by the vector unit.
    __aicore__ inline float Root(const LocalTensor<float> &sum, float eps)
    {
        LocalTensor<float> one = sum[64];
        Muls(sum, sum, 1.0f / columns, 1);
        PipeBarrier<PIPE_V>();
        Adds(sum, sum, eps, 1);
        PipeBarrier<PIPE_V>();
        Sqrt(sum, sum, 1);
        Duplicate(one, 1.0f, 1);
        PipeBarrier<PIPE_V>();
        Div(sum, one, sum, 1);
        PipeBarrier<PIPE_V>();
        return Read(sum);
    }

    __aicore__ inline LocalTensor<T> Read(const GlobalTensor<T> &from)
    {
        LocalTensor<T> row = in.template AllocTensor<T>();
        Copy(row, from, columns);
        in.EnQue(row);
        return in.template DeQue<T>();
    }
    __aicore__ inline void Write(const GlobalTensor<T> &to, const LocalTensor<float> &from)
    {
        LocalTensor<T> row = result.template AllocTensor<T>();
        Narrow(row, from);
        result.EnQue(row);
        row = result.template DeQue<T>();
        DataCopyPad(to, row, Bytes());
        result.FreeTensor(row);
    }

    __aicore__ inline void Row(uint64_t at, const NormTiling &tiling)
    {
        LocalTensor<float> x = wide.Get<float>(), work = x[padded];
        LocalTensor<T> row = Read(xGm[at]);
        Widen(x, row);
        in.FreeTensor(row);
        if (NORM == Norm::AddRms) {
            row = Read(x2Gm[at]);
            Widen(work, row);
            in.FreeTensor(row);
            Add(x, x, work, columns);
            PipeBarrier<PIPE_V>();
            Write(sumGm[at], x);
        }
        if (NORM == Norm::Layer) {
            const float mean = Read(Sum(x)) / columns;
            Adds(x, x, -mean, columns);
            PipeBarrier<PIPE_V>();
        }
        Mul(work, x, x, columns);
        PipeBarrier<PIPE_V>();
        const float root = Root(Sum(work), tiling.eps);
        Muls(x, x, root, columns);
        PipeBarrier<PIPE_V>();
        Widen(work, weights.Get<T>());
        Mul(x, x, work, columns);
        PipeBarrier<PIPE_V>();
        if (NORM == Norm::Layer) {
            Widen(work, weights.Get<T>()[padded]);
            Add(x, x, work, columns);
            PipeBarrier<PIPE_V>();
        }
        Write(outGm[at], x);
    }
};

} // namespace

extern "C" __global__ __aicore__ void stock_rms_norm_bf16(GM_ADDR x, GM_ADDR gamma, GM_ADDR out, NormTiling tiling)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    RowNorm<bfloat16_t, Norm::Rms>().Run(x, x, gamma, gamma, out, out, tiling);
}

extern "C" __global__ __aicore__ void stock_rms_norm_f16(GM_ADDR x, GM_ADDR gamma, GM_ADDR out, NormTiling tiling)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    RowNorm<half, Norm::Rms>().Run(x, x, gamma, gamma, out, out, tiling);
}

extern "C" __global__ __aicore__ void stock_add_rms_norm_bf16(GM_ADDR x1, GM_ADDR x2, GM_ADDR gamma, GM_ADDR out, GM_ADDR sum, NormTiling tiling)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    RowNorm<bfloat16_t, Norm::AddRms>().Run(x1, x2, gamma, gamma, out, sum, tiling);
}

extern "C" __global__ __aicore__ void stock_add_rms_norm_f16(GM_ADDR x1, GM_ADDR x2, GM_ADDR gamma, GM_ADDR out, GM_ADDR sum, NormTiling tiling)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    RowNorm<half, Norm::AddRms>().Run(x1, x2, gamma, gamma, out, sum, tiling);
}

extern "C" __global__ __aicore__ void stock_layer_norm_bf16(GM_ADDR x, GM_ADDR gamma, GM_ADDR beta, GM_ADDR out, NormTiling tiling)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    RowNorm<bfloat16_t, Norm::Layer>().Run(x, x, gamma, beta, out, out, tiling);
}

extern "C" __global__ __aicore__ void stock_layer_norm_f16(GM_ADDR x, GM_ADDR gamma, GM_ADDR beta, GM_ADDR out, NormTiling tiling)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    RowNorm<half, Norm::Layer>().Run(x, x, gamma, beta, out, out, tiling);
}

extern "C" __global__ __aicore__ void stock_layer_norm_f32(GM_ADDR x, GM_ADDR gamma, GM_ADDR beta, GM_ADDR out, NormTiling tiling)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    RowNorm<float, Norm::Layer>().Run(x, x, gamma, beta, out, out, tiling);
}

#ifdef ASCENDIT_TWIN
TWIN_KERNEL(stock_rms_norm_bf16)
TWIN_KERNEL(stock_rms_norm_f16)
TWIN_KERNEL(stock_add_rms_norm_bf16)
TWIN_KERNEL(stock_add_rms_norm_f16)
TWIN_KERNEL(stock_layer_norm_bf16)
TWIN_KERNEL(stock_layer_norm_f16)
TWIN_KERNEL(stock_layer_norm_f32)
#endif
