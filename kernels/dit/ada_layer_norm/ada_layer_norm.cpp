/// Layer norm over the last axis, with scale and shift.
///
///     y[b, s, :] = (x[b, s, :] - mean) / sqrt(var + eps) * (1 + scale[b, :]) + shift[b, :]
///
/// or with a weight and bias in their place, or with neither. `x`, `out`: [B, S, C] f16 or bf16. `scale`, `shift`: f32 or the type
/// of `x`, `affine_stride` values from one b to the next (0 for a weight and bias). Statistics and arithmetic are f32.
///
/// Each vector core takes a range of rows; see ../../vector/norm_rows.h for the tiles, the unified buffer and the cycles. Memory: one
/// read and one write, 4 bytes for each value; at C = 2304 V is busy for about 11 cycles where memory needs 17 (64 values, 48 cores).
#include "ascendit-kernels/src/ada_layer_norm.rs.h"
#include "kernel_operator.h"

#include "../../vector/norm_rows.h"

template <typename T>
__aicore__ inline void ada_layer_norm(GM_ADDR x, GM_ADDR shift, GM_ADDR scale, GM_ADDR out, const AdaLayerNormTiling &tiling)
{
    AscendC::TPipe pipe;
    parts::Buffer buffer;
    pipe.InitBuffer(buffer, tiling.buffer_bytes);
    const norm_rows::Work work{tiling.rows,
                               tiling.batch_rows,
                               tiling.affine_stride,
                               tiling.columns,
                               tiling.tile_rows,
                               static_cast<norm_rows::Affine>(tiling.affine),
                               tiling.one_plus != 0,
                               false,
                               tiling.eps};
    norm_rows::NormRows<T> norm(buffer, work, x, scale, shift, out);
    const uint64_t block = AscendC::GetBlockIdx(), blocks = AscendC::GetBlockNum();
    norm.run(tiling.rows * block / blocks, tiling.rows * (block + 1) / blocks);
}

extern "C" __global__ __aicore__ void ada_layer_norm_f16(GM_ADDR x, GM_ADDR shift, GM_ADDR scale, GM_ADDR out, AdaLayerNormTiling tiling)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    ada_layer_norm<half>(x, shift, scale, out, tiling);
}

extern "C" __global__ __aicore__ void ada_layer_norm_bf16(GM_ADDR x, GM_ADDR shift, GM_ADDR scale, GM_ADDR out, AdaLayerNormTiling tiling)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    ada_layer_norm<bfloat16_t>(x, shift, scale, out, tiling);
}

#ifdef ASCENDIT_TWIN
#include "entry.h"
TWIN_KERNEL(ada_layer_norm_f16)
TWIN_KERNEL(ada_layer_norm_bf16)
#endif
