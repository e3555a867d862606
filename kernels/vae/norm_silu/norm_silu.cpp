/// Layer norm over channels, or group norm, with SiLU behind it if wanted; channels last.
///
///     layer norm   y[b, p, :] = (x[b, p, :] - mean[b, p]) / sqrt(var[b, p] + eps) * weight + bias
///     group norm   y[b, p, c] = (x[b, p, c] - mean[b, g]) / sqrt(var[b, g] + eps) * weight[c] + bias[c],   g = c / (C / G),
///                  mean and variance over all p and the channels of g
///     SiLU         out = y * sigmoid(y)
///
/// `x`, `out`: [B, P, C] f16 or bf16, P = T * H * W. `weight`, `bias`: [C] f32 or the type of `x`, or null. Statistics and arithmetic
/// are f32.
///
/// Layer norm: one read and one write, ../../vector/norm_rows.h.
/// Group norm: two reads and one write, one group over all cores: group_norm.h.
#include "ascendit-kernels/src/norm_silu.rs.h"
#include "kernel_operator.h"

#include "../../vector/norm_rows.h"
#include "group_norm.h"

namespace {

template <typename T>
__aicore__ inline void norm_silu(GM_ADDR x, GM_ADDR weight, GM_ADDR bias, GM_ADDR out, GM_ADDR workspace, const NormSiluTiling &tiling)
{
    AscendC::TPipe pipe;
    parts::Buffer buffer;
    pipe.InitBuffer(buffer, tiling.buffer_bytes);
    const uint64_t block = AscendC::GetBlockIdx(), blocks = AscendC::GetBlockNum();
    if (tiling.groups == 0) {
        const uint64_t rows = tiling.batch * tiling.positions;
        const norm_rows::Work work{rows,
                                   rows,
                                   0,
                                   tiling.channels,
                                   tiling.tile_rows,
                                   static_cast<norm_rows::Affine>(tiling.affine),
                                   false,
                                   tiling.silu != 0,
                                   tiling.eps};
        norm_rows::NormRows<T> norm(buffer, work, x, weight, bias, out);
        norm.run(rows * block / blocks, rows * (block + 1) / blocks);
    } else {
        group_norm::GroupNorm<T> norm(buffer, tiling, x, weight, bias, out, workspace);
        norm.run();
    }
}

} // namespace

extern "C" __global__ __aicore__ void norm_silu_f16(GM_ADDR x, GM_ADDR weight, GM_ADDR bias, GM_ADDR out, GM_ADDR workspace,
                                                    NormSiluTiling tiling)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_MIX_AIV_1_0);
    norm_silu<half>(x, weight, bias, out, workspace, tiling);
}

extern "C" __global__ __aicore__ void norm_silu_bf16(GM_ADDR x, GM_ADDR weight, GM_ADDR bias, GM_ADDR out, GM_ADDR workspace,
                                                     NormSiluTiling tiling)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_MIX_AIV_1_0);
    norm_silu<bfloat16_t>(x, weight, bias, out, workspace, tiling);
}

#ifdef ASCENDIT_TWIN
#include "entry.h"
TWIN_KERNEL(norm_silu_f16)
TWIN_KERNEL(norm_silu_bf16)
#endif
