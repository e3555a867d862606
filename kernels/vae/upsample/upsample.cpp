/// Enlargement of video by two, channels last.
///
///     space  kept; nearest: each pixel four times; or linear: between neighbours 3/4 and 1/4, edges held
///     time   kept; nearest: each frame twice; or linear: between neighbours a, b the frames 3/4 a + 1/4 b and 1/4 a + 3/4 b.
///            Both leave the video's first frame single, and linear holds the frame behind it and the last one.
///
/// `x`: [B, T, H, W, C] f16 or bf16, a chunk of a video; `before`: [B, 1, H, W, C], the last frame of the chunk before it, for linear
/// time where the chunk is not the first, else null. `out`: [B, frames, 2 H, 2 W, C] ([.., H, W, C] where space is kept); which
/// frames a chunk gives is in src/upsample.rs. The last frame of `x` is the state for the next chunk: no kernel copies it. The
/// arithmetic is f32.
///
/// The output's frames are cut into pieces of `columns` input columns and `channels` channels. A core takes a range of input rows of
/// these pieces and goes down the rows of a piece: a row of both frames is loaded with a column on either side and mixed in time; it
/// and the row above or below are mixed to each output row, and that row's columns to its even and its odd pixels, which become
/// neighbours when they are cast. Stores are `2 columns` runs of `channels`.
///
/// Unified buffer, e = (columns + 2) * channels values in f32 for linear space, else columns * channels:
///
///     frames       2 * 2 * 2e   rows of a and b as they are in memory, twice
///     mixed        3 * 4e       the row and its neighbours (1 where space is not linear)
///     one to four  4 * 4e       (1 where space is not linear)
///     out          2 * 4e       an output row, twice
///
/// Memory: 2 bytes for each output value and 2/8 for its inputs, read up to four times, from L2. V: about 6 cycles for 64 output values
/// with all linear, 2 for nearest; memory needs 9.
#include "ascendit-kernels/src/upsample.rs.h"
#include "kernel_operator.h"

#include "upsample.h"

namespace {

template <typename T>
__aicore__ inline void upsample(GM_ADDR x, GM_ADDR before, GM_ADDR out, const UpsampleTiling &tiling)
{
    AscendC::TPipe pipe;
    parts::Buffer buffer;
    pipe.InitBuffer(buffer, tiling.buffer_bytes);
    upsampling::Upsample<T> kernel(buffer, tiling, x, before, out);
    kernel.run(AscendC::GetBlockIdx(), AscendC::GetBlockNum());
}

} // namespace

extern "C" __global__ __aicore__ void upsample_f16(GM_ADDR x, GM_ADDR before, GM_ADDR out, UpsampleTiling tiling)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    upsample<half>(x, before, out, tiling);
}

extern "C" __global__ __aicore__ void upsample_bf16(GM_ADDR x, GM_ADDR before, GM_ADDR out, UpsampleTiling tiling)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    upsample<bfloat16_t>(x, before, out, tiling);
}

#ifdef ASCENDIT_TWIN
#include "entry.h"
TWIN_KERNEL(upsample_f16)
TWIN_KERNEL(upsample_bf16)
#endif
