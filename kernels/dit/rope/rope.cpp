/// Rotary position embedding of q or k, with an RMS norm over the head in front if wanted.
///
///     z = x, or x / sqrt(mean(x * x) + eps) * weight over the head's D channels
///     out[i] = z[i] * cos - z[j] * sin,   out[j] = z[j] * cos + z[i] * sin
///
/// for each pair (i, j), the p-th of D / 2 with column p of the tables. Halves: a head is cut into `sections` of s = D / sections
/// channels, and a section's channel n is paired with its channel n + s / 2. Neighbours: channel 2 p with channel 2 p + 1.
///
/// `x`, `out`: [B, S, H, D] f16 or bf16, a token's heads in one piece, tokens and batches at any distance; `out` may be `x`.
/// `cos`, `sin`: [S, D / 2] f32, or [B, S, D / 2]. `weight`: [D] f32 or the type of `x`, or null. The arithmetic is f32.
///
/// With tables of D channels, c and s (for halves [cos | cos] and [-sin | sin], for neighbours each value twice, -sin before sin),
/// times the weight, all of it is  out = (x * c + turned(x) * s) * factor(head),  where `turned` swaps the two of each pair. For
/// halves that is an offset of the operand; neighbours are swapped as the halves of 32-bit words before they become f32.
///
/// A core takes a range of tokens, `heads` heads at a time, `tokens` tokens a tile. In the unified buffer a head is `head` values long:
/// D, or where half a section is no multiple of 32 bytes, its halves padded to 16 values each. A token is `row` values long.
/// e = tokens * row (at most 8192), t = tokens * head (at most 1024 if there are several tokens):
///
///     ring           3 * (2e + 2 * 2t)   x and its rows of both tables
///     a, b           4e + 4e             f32
///     c, s, index    3 * 4t
///     weight, turned 2 * 4 head
///     for the norm   scratch of the sums, factors of tokens * heads rows, and these spread (rows.h)
///
/// Cycles of V for 64 values: casts 3, two products and a sum 3 to 4; swapping 1.5 and a cast more; norm 4 more. Memory needs 17.
#include "ascendit-kernels/src/rope.rs.h"
#include "kernel_operator.h"

#include "rope.h"

namespace {

template <typename T>
__aicore__ inline void rope(GM_ADDR x, GM_ADDR cos, GM_ADDR sin, GM_ADDR weight, GM_ADDR out, const RopeTiling &tiling)
{
    AscendC::TPipe pipe;
    parts::Buffer buffer;
    pipe.InitBuffer(buffer, tiling.buffer_bytes);
    rope_kernel::Rope<T> kernel(buffer, tiling, x, cos, sin, weight, out);
    const uint64_t block = AscendC::GetBlockIdx(), blocks = AscendC::GetBlockNum(), tokens = tiling.batch * tiling.sequence;
    kernel.run(tokens * block / blocks, tokens * (block + 1) / blocks);
}

} // namespace

extern "C" __global__ __aicore__ void rope_f16(GM_ADDR x, GM_ADDR cos, GM_ADDR sin, GM_ADDR weight, GM_ADDR out, RopeTiling tiling)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    rope<half>(x, cos, sin, weight, out, tiling);
}

extern "C" __global__ __aicore__ void rope_bf16(GM_ADDR x, GM_ADDR cos, GM_ADDR sin, GM_ADDR weight, GM_ADDR out, RopeTiling tiling)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    rope<bfloat16_t>(x, cos, sin, weight, out, tiling);
}

#ifdef ASCENDIT_TWIN
#include "entry.h"
TWIN_KERNEL(rope_f16)
TWIN_KERNEL(rope_bf16)
#endif
