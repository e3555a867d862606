/// Elementwise operators as stock kernels do them: for comparing the timing model with measured times, not for the engine.
///
/// Rows of `columns` elements are divided evenly among vector cores, and go through UB in tiles of `tile` elements with two
/// buffers each for what comes in and goes out. f16 and bf16 are computed in f32. The second source of add and mul is a tensor of
/// the same size or (`row`) one row for all rows; then a tile is a number of whole rows and the row stays in UB.
#include "kernel_operator.h"

#include "ascendit-kernels/src/validation.rs.h"
#ifdef ASCENDIT_TWIN
#include "entry.h"
#endif

using namespace AscendC;

namespace {

/// What a core does: elements `[begin, end)`.
struct Part {
    uint64_t begin, end;
};

__aicore__ inline Part part_of(const StreamTiling &tiling)
{
    Part part;
    part.begin = static_cast<uint64_t>(GetBlockIdx()) * tiling.block;
    part.end = part.begin + tiling.block < tiling.elements ? part.begin + tiling.block : tiling.elements;
    return part;
}

__aicore__ inline DataCopyExtParams bytes_of(uint32_t bytes)
{
    DataCopyExtParams params;
    params.blockCount = 1;
    params.blockLen = bytes;
    params.srcStride = 0;
    params.dstStride = 0;
    params.rsv = 0;
    return params;
}

template <typename T> __aicore__ inline void load(const LocalTensor<T> &to, const GlobalTensor<T> &from, uint32_t count)
{
    DataCopyPad(to, from, bytes_of(count * sizeof(T)), DataCopyPadExtParams<T>());
}

template <typename T> __aicore__ inline void store(const GlobalTensor<T> &to, const LocalTensor<T> &from, uint32_t count)
{
    DataCopyPad(to, from, bytes_of(count * sizeof(T)));
}

enum class Operator { Add, Mul };

/// `out = a + b` or `a * b`.
template <typename T, Operator OP> class Binary {
public:
    __aicore__ inline void Run(GM_ADDR a, GM_ADDR b, GM_ADDR out, const StreamTiling &tiling)
    {
        TPipe pipe;
        TQue<TPosition::VECIN, 2> first, second;
        TQue<TPosition::VECOUT, 2> result;
        TBuf<TPosition::VECCALC> left, right;
        GlobalTensor<T> aGm, bGm, outGm;
        aGm.SetGlobalBuffer((__gm__ T *)a);
        bGm.SetGlobalBuffer((__gm__ T *)b);
        outGm.SetGlobalBuffer((__gm__ T *)out);
        const bool row = tiling.row != 0;
        pipe.InitBuffer(first, 2, tiling.tile * sizeof(T));
        pipe.InitBuffer(second, row ? 1 : 2, (row ? tiling.columns : tiling.tile) * sizeof(T));
        pipe.InitBuffer(result, 2, tiling.tile * sizeof(T));
        if (sizeof(T) == 2) pipe.InitBuffer(left, tiling.tile * 4);
        if (sizeof(T) == 2) pipe.InitBuffer(right, (row ? tiling.columns : tiling.tile) * 4);
        const Part part = part_of(tiling);
        LocalTensor<T> fixed;
        if (row) {
            fixed = second.template AllocTensor<T>();
            load(fixed, bGm, tiling.columns);
            second.EnQue(fixed);
            fixed = second.template DeQue<T>();
            if constexpr (sizeof(T) == 2) {
                Cast(right.template Get<float>(), fixed, RoundMode::CAST_NONE, tiling.columns);
                PipeBarrier<PIPE_V>();
            }
        }
        for (uint64_t at = part.begin; at < part.end; at += tiling.tile) {
            const uint32_t count = part.end - at < tiling.tile ? part.end - at : tiling.tile;
            LocalTensor<T> x = first.template AllocTensor<T>();
            load(x, aGm[at], count);
            first.EnQue(x);
            LocalTensor<T> y = fixed;
            if (!row) {
                y = second.template AllocTensor<T>();
                load(y, bGm[at], count);
                second.EnQue(y);
            }
            x = first.template DeQue<T>();
            if (!row) y = second.template DeQue<T>();
            LocalTensor<T> z = result.template AllocTensor<T>();
            if constexpr (sizeof(T) == 2) {
                LocalTensor<float> wide = left.template Get<float>(), other = right.template Get<float>();
                Cast(wide, x, RoundMode::CAST_NONE, count);
                if (!row) Cast(other, y, RoundMode::CAST_NONE, count);
                PipeBarrier<PIPE_V>();
                Rows(wide, wide, other, count, row ? tiling.columns : count);
                PipeBarrier<PIPE_V>();
                Cast(z, wide, RoundMode::CAST_RINT, count);
            } else {
                Rows(z, x, y, count, row ? tiling.columns : count);
            }
            first.FreeTensor(x);
            if (!row) second.FreeTensor(y);
            result.EnQue(z);
            z = result.template DeQue<T>();
            store(outGm[at], z, count);
            result.FreeTensor(z);
        }
        if (row) second.FreeTensor(fixed);
    }

private:
    template <typename W>
    __aicore__ inline void Rows(const LocalTensor<W> &z, const LocalTensor<W> &x, const LocalTensor<W> &y, uint32_t count, uint32_t columns)
    {
        for (uint32_t at = 0; at < count; at += columns) {
            if (OP == Operator::Add)
                Add(z[at], x[at], y, columns);
            else
                Mul(z[at], x[at], y, columns);
        }
    }
};

/// Conversions; a copy where the types are the same.
template <typename From, typename To> __aicore__ inline void run_cast(GM_ADDR x, GM_ADDR out, const StreamTiling &tiling)
{
    TPipe pipe;
    TQue<TPosition::VECIN, 2> in;
    TQue<TPosition::VECOUT, 2> result;
    GlobalTensor<From> xGm;
    GlobalTensor<To> outGm;
    xGm.SetGlobalBuffer((__gm__ From *)x);
    outGm.SetGlobalBuffer((__gm__ To *)out);
    pipe.InitBuffer(in, 2, tiling.tile * sizeof(From));
    pipe.InitBuffer(result, 2, tiling.tile * sizeof(To));
    const Part part = part_of(tiling);
    for (uint64_t at = part.begin; at < part.end; at += tiling.tile) {
        const uint32_t count = part.end - at < tiling.tile ? part.end - at : tiling.tile;
        LocalTensor<From> a = in.AllocTensor<From>();
        load(a, xGm[at], count);
        in.EnQue(a);
        a = in.DeQue<From>();
        LocalTensor<To> z = result.AllocTensor<To>();
        Cast(z, a, std::is_same<To, bfloat16_t>::value ? RoundMode::CAST_RINT : RoundMode::CAST_NONE, count);
        in.FreeTensor(a);
        result.EnQue(z);
        z = result.DeQue<To>();
        store(outGm[at], z, count);
        result.FreeTensor(z);
    }
}

/// Copies bytes through UB without computing.
__aicore__ inline void run_copy(GM_ADDR x, GM_ADDR out, const StreamTiling &tiling)
{
    TPipe pipe;
    TQueBind<TPosition::VECIN, TPosition::VECOUT, 2> through;
    GlobalTensor<uint8_t> xGm, outGm;
    xGm.SetGlobalBuffer((__gm__ uint8_t *)x);
    outGm.SetGlobalBuffer((__gm__ uint8_t *)out);
    pipe.InitBuffer(through, 2, tiling.tile);
    const Part part = part_of(tiling);
    for (uint64_t at = part.begin; at < part.end; at += tiling.tile) {
        const uint32_t count = part.end - at < tiling.tile ? part.end - at : tiling.tile;
        LocalTensor<uint8_t> tile = through.AllocTensor<uint8_t>();
        load(tile, xGm[at], count);
        through.EnQue(tile);
        tile = through.DeQue<uint8_t>();
        store(outGm[at], tile, count);
        through.FreeTensor(tile);
    }
}

/// `out = silu(a) * b`, where a row of x is a and then b, `columns` elements each; out has `elements`.
template <typename T> __aicore__ inline void run_swiglu(GM_ADDR x, GM_ADDR out, const StreamTiling &tiling)
{
    TPipe pipe;
    TQue<TPosition::VECIN, 2> in;
    TQue<TPosition::VECOUT, 2> result;
    TBuf<TPosition::VECCALC> wide;
    GlobalTensor<T> xGm, outGm;
    xGm.SetGlobalBuffer((__gm__ T *)x);
    outGm.SetGlobalBuffer((__gm__ T *)out);
    const uint32_t columns = tiling.columns, tile = tiling.tile;
    pipe.InitBuffer(in, 2, 2 * tile * sizeof(T));
    pipe.InitBuffer(result, 2, tile * sizeof(T));
    pipe.InitBuffer(wide, 3 * tile * sizeof(float));
    const LocalTensor<float> a = wide.Get<float>(), b = a[tile], e = b[tile];
    const Part part = part_of(tiling);
    for (uint64_t at = part.begin; at < part.end; at += tile) {
        const uint32_t count = part.end - at < tile ? part.end - at : tile, rows = count / columns;
        LocalTensor<T> both = in.AllocTensor<T>();
        DataCopyExtParams params;
        params.blockCount = rows;
        params.blockLen = columns * sizeof(T);
        params.srcStride = columns * sizeof(T);
        params.dstStride = 0;
        params.rsv = 0;
        DataCopyPad(both, xGm[2 * at], params, DataCopyPadExtParams<T>());
        DataCopyPad(both[tile], xGm[2 * at + columns], params, DataCopyPadExtParams<T>());
        in.EnQue(both);
        both = in.DeQue<T>();
        LocalTensor<T> z = result.AllocTensor<T>();
        Cast(a, both, RoundMode::CAST_NONE, count);
        Cast(b, both[tile], RoundMode::CAST_NONE, count);
        PipeBarrier<PIPE_V>();
        in.FreeTensor(both);
        Muls(e, a, -1.0f, count);
        PipeBarrier<PIPE_V>();
        Exp(e, e, count);
        PipeBarrier<PIPE_V>();
        Adds(e, e, 1.0f, count);
        PipeBarrier<PIPE_V>();
        Div(a, a, e, count);
        PipeBarrier<PIPE_V>();
        Mul(a, a, b, count);
        PipeBarrier<PIPE_V>();
        Cast(z, a, RoundMode::CAST_RINT, count);
        result.EnQue(z);
        z = result.DeQue<T>();
        store(outGm[at], z, count);
        result.FreeTensor(z);
    }
}

} // namespace

extern "C" __global__ __aicore__ void stock_add_f16(GM_ADDR a, GM_ADDR b, GM_ADDR out, StreamTiling tiling)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    Binary<half, Operator::Add>().Run(a, b, out, tiling);
}

extern "C" __global__ __aicore__ void stock_add_bf16(GM_ADDR a, GM_ADDR b, GM_ADDR out, StreamTiling tiling)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    Binary<bfloat16_t, Operator::Add>().Run(a, b, out, tiling);
}

extern "C" __global__ __aicore__ void stock_add_f32(GM_ADDR a, GM_ADDR b, GM_ADDR out, StreamTiling tiling)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    Binary<float, Operator::Add>().Run(a, b, out, tiling);
}

extern "C" __global__ __aicore__ void stock_mul_f16(GM_ADDR a, GM_ADDR b, GM_ADDR out, StreamTiling tiling)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    Binary<half, Operator::Mul>().Run(a, b, out, tiling);
}

extern "C" __global__ __aicore__ void stock_mul_bf16(GM_ADDR a, GM_ADDR b, GM_ADDR out, StreamTiling tiling)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    Binary<bfloat16_t, Operator::Mul>().Run(a, b, out, tiling);
}

extern "C" __global__ __aicore__ void stock_mul_f32(GM_ADDR a, GM_ADDR b, GM_ADDR out, StreamTiling tiling)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    Binary<float, Operator::Mul>().Run(a, b, out, tiling);
}

extern "C" __global__ __aicore__ void stock_cast_f32_bf16(GM_ADDR x, GM_ADDR out, StreamTiling tiling)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    run_cast<float, bfloat16_t>(x, out, tiling);
}

extern "C" __global__ __aicore__ void stock_cast_bf16_f32(GM_ADDR x, GM_ADDR out, StreamTiling tiling)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    run_cast<bfloat16_t, float>(x, out, tiling);
}

extern "C" __global__ __aicore__ void stock_cast_i32_i64(GM_ADDR x, GM_ADDR out, StreamTiling tiling)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    run_cast<int32_t, int64_t>(x, out, tiling);
}

extern "C" __global__ __aicore__ void stock_cast_i64_i32(GM_ADDR x, GM_ADDR out, StreamTiling tiling)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    run_cast<int64_t, int32_t>(x, out, tiling);
}

extern "C" __global__ __aicore__ void stock_copy(GM_ADDR x, GM_ADDR out, StreamTiling tiling)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    run_copy(x, out, tiling);
}

extern "C" __global__ __aicore__ void stock_swiglu_f16(GM_ADDR x, GM_ADDR out, StreamTiling tiling)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    run_swiglu<half>(x, out, tiling);
}

extern "C" __global__ __aicore__ void stock_swiglu_bf16(GM_ADDR x, GM_ADDR out, StreamTiling tiling)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    run_swiglu<bfloat16_t>(x, out, tiling);
}

#ifdef ASCENDIT_TWIN
TWIN_KERNEL(stock_add_f16)
TWIN_KERNEL(stock_add_bf16)
TWIN_KERNEL(stock_add_f32)
TWIN_KERNEL(stock_mul_f16)
TWIN_KERNEL(stock_mul_bf16)
TWIN_KERNEL(stock_mul_f32)
TWIN_KERNEL(stock_cast_f32_bf16)
TWIN_KERNEL(stock_cast_bf16_f32)
TWIN_KERNEL(stock_cast_i32_i64)
TWIN_KERNEL(stock_cast_i64_i32)
TWIN_KERNEL(stock_copy)
TWIN_KERNEL(stock_swiglu_f16)
TWIN_KERNEL(stock_swiglu_bf16)
#endif
