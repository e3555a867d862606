/// Haar wavelets of video, channels last: blocks of 2 x 2 x 2 pixels and their eight coefficients, or of 2 x 2 pixels of a frame and
/// their four.
///
///     coefficient[k] = scale * sum over taps of sign(k, tap) * pixel[tap]
///     pixel[tap] = scale * sum over k of sign(k, tap) * coefficient[k]
///     sign(k, tap) = (-1)^(number of bits that k and tap share),   tap = 4 dt + 2 dh + dw, or 2 dh + dw (dh + 2 dw if swapped)
///
/// Forward: `x` [B, frames, 2 H, 2 W, C] -> `out` [B, T, H, W, 8 C] (or 4 C), coefficient k of channel c at k * C + c. Inverse: the other
/// way round. f16 or bf16; the arithmetic is f32. With `first`, the frame in front of the video is a copy of its first one in the
/// forward transform of blocks in time, and is left out by the inverse: frames = 2 T - 1, else 2 T.
///
/// Few channels (3 for video) do not fill the 32 bytes that vector instructions step by. So tiles are transposed: E = 8 / gcd(8, C)
/// pixels make whole blocks of 16 values on both sides; a tile of 16 E * n coefficient pixels becomes planes, one for each channel and
/// each of the E pixels, with 16 n values; transforms are sums and differences of planes; and planes are transposed back.
///
/// A core takes a range of row groups: `lines` rows of coefficients or, where a row is long, `columns` of one. Unified buffer,
/// e = pixels * coefficients * C values (pixels: `lines * columns`, rounded up to 16 E):
///
///     in    2 * 2e       twice; forward: a part for each of the taps' rows
///     f, g  4e + 4e      planes, 16-bit or f32; in f32 with up to 192 values between coefficients
///     out   2 * 2e       twice
///
/// Memory: 4 bytes for each value. V: casts 3, transform 3 (2), scale 1 and two transpositions for 64 values, where memory needs 17.
#include "ascendit-kernels/src/haar.rs.h"
#include "kernel_operator.h"

#include "haar.h"

namespace {

template <typename T> __aicore__ inline void haar(GM_ADDR x, GM_ADDR out, const HaarTiling &tiling)
{
    AscendC::TPipe pipe;
    parts::Buffer buffer;
    pipe.InitBuffer(buffer, tiling.buffer_bytes);
    wavelets::Haar<T> kernel(buffer, tiling, x, out);
    kernel.run(AscendC::GetBlockIdx(), AscendC::GetBlockNum());
}

} // namespace

extern "C" __global__ __aicore__ void haar_f16(GM_ADDR x, GM_ADDR out, HaarTiling tiling)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    haar<half>(x, out, tiling);
}

extern "C" __global__ __aicore__ void haar_bf16(GM_ADDR x, GM_ADDR out, HaarTiling tiling)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    haar<bfloat16_t>(x, out, tiling);
}

#ifdef ASCENDIT_TWIN
#include "entry.h"
TWIN_KERNEL(haar_f16)
TWIN_KERNEL(haar_bf16)
#endif
