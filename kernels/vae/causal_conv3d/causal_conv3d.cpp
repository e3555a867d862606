/// Convolution over frames that sees no later frame, channels last, as one matrix product on the cube.
///
///     out[b, t, y, x, o] = bias[o] + residual[b, t, y, x, o]
///                        + sum over kt, ky, kx, c of frame(b, t * st + kt - (KT - 1))[y * sh + ky - top, x * sw + kx - left, c]
///                                                    * weight[o, c, kt, ky, kx]
///     frame(b, i) is x[b, i]; before the first one cache[b, i + KT - 1], or without a cache x[b, 0]. Outside of a frame are zeros.
///
/// `x` [B, T, H, W, C], `cache` [B, KT - 1, H, W, C] or null, `out` and `residual` (or null) [B, To, Ho, Wo, O]: f16 or bf16. `bias`:
/// f32, O rounded up to 16 entries, or null. `weight`: packed by `causal_conv3d::pack` of the Rust side, in the order in which the
/// kernel reads it: output channels in tiles of `tile_channels`, in a tile [KT][C / 16][KH][KW] fractals of L0B, C filled up
/// with zeros to 16; behind all tiles, for the residual, a unit matrix for a whole tile and one for the last tile if that is narrower.
///
/// Work: a task is a tile of `tile_rows` x `tile_columns` output pixels (M, at most 512) by `tile_channels` output channels (N); tasks go
/// to cores in turn, tiles of channels first, so that all cores are about the same place of x and meet it in the L2. A task's K runs over
/// frames of the kernel and, in them, over `tile_depth` input channels at a time: such a chunk of the image (with the rim that the
/// kernel needs) and of the weights is in L1 in two buffers, and goes on to L0 in steps of `step` of K, two buffers again. Load3D
/// makes the matrix out of the image; what lies outside of a frame is its padding. Bias: the table that Mmad starts from.
/// Residual: a last chunk with the unit matrix as weights, whose products are exact; it costs N more of K, which is 3 % of a
/// 3 x 3 x 3 kernel over 128 channels, and saves a pass over the output.
///
/// L1: two chunks of `image_bytes` + `weight_bytes`, and the bias behind them. L0A, L0B: halves of 32 KiB. L0C: M x N of f32, all of it
/// for 256 x 128; the cube and the fixpipe hand it to each other by the unit flag, or by plain flags where rows of tiles share blocks of
/// 16 pixels (`unit` 0). BT: two slots of a bias of a tile.
///
/// Cost of M 256, N 128 per 64 of K, in cycles of the twin's timing model: the cube 522, MTE1 314, MTE2 about 290 with tiles of 16 x 16
/// and a kernel of 3 x 3. So the cube limits, from 128 channels on, and MTE1 or MTE2 does for narrower outputs and kernels of 1 x 1.
#include "ascendit-kernels/src/causal_conv3d.rs.h"
#include "kernel_operator.h"
#ifdef ASCENDIT_TWIN
#include "entry.h"
#endif

namespace causal_conv3d {

using namespace AscendC;

/// LoadData takes the image that SetFmatrix set.
static constexpr IsResetLoad3dConfig KEEP{false, false};

constexpr uint32_t C0 = 16, L0_HALF = 32 * 1024, BT_SLOT = 512;
/// TPipe has M_MTE1 0 to 2 for itself.
constexpr int32_t L0_FREE = 3;

__aicore__ inline uint32_t round16(uint32_t value) { return (value + 15) / 16 * 16; }
__aicore__ inline uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }

/// What of an axis of the input a tile of the output needs, and the zeros before and behind that.
struct Span {
    uint32_t first, count, before, behind;
};

__aicore__ inline Span span(uint32_t first, uint32_t count, uint32_t stride, uint32_t kernel, uint32_t padding, uint32_t size)
{
    const int32_t begin = static_cast<int32_t>(first * stride) - static_cast<int32_t>(padding);
    const int32_t end = begin + static_cast<int32_t>((count - 1) * stride + kernel);
    const int32_t from = begin < 0 ? 0 : begin, to = end > static_cast<int32_t>(size) ? static_cast<int32_t>(size) : end;
    return {static_cast<uint32_t>(from), static_cast<uint32_t>(to - from), static_cast<uint32_t>(from - begin), static_cast<uint32_t>(end - to)};
}

/// A task.
struct Tile {
    uint32_t batch, frame, row, column, rows, columns;  ///< of the output
    uint32_t channel, channels;                         ///< of the output; `channels` as the weights have them, in 16s
    Span y, x;
};

template <typename T> class Kernel {
public:
    __aicore__ inline Kernel(TPipe &pipe, const CausalConv3dTiling &tiling, GM_ADDR x, GM_ADDR cache, GM_ADDR weight, GM_ADDR bias,
                             GM_ADDR residual, GM_ADDR out)
        : t_(tiling), has_bias_(bias != nullptr), has_cache_(cache != nullptr), has_residual_(residual != nullptr)
    {
        x_.SetGlobalBuffer(reinterpret_cast<__gm__ T *>(x));
        cache_.SetGlobalBuffer(reinterpret_cast<__gm__ T *>(cache));
        weight_.SetGlobalBuffer(reinterpret_cast<__gm__ T *>(weight));
        bias_.SetGlobalBuffer(reinterpret_cast<__gm__ float *>(bias));
        residual_.SetGlobalBuffer(reinterpret_cast<__gm__ T *>(residual));
        out_.SetGlobalBuffer(reinterpret_cast<__gm__ T *>(out));
        padded_ = round16(t_.channels);
        taps_ = t_.kernel_rows * t_.kernel_columns;
        depths_ = (padded_ + t_.tile_depth - 1) / t_.tile_depth;
        chunks_ = t_.kernel_frames * depths_;
        const uint32_t slot = t_.image_bytes + t_.weight_bytes, bias_bytes = round16(t_.out_channels) * sizeof(float);
        pipe.InitBuffer(l1_buffer_, 2 * slot + bias_bytes);
        pipe.InitBuffer(l0a_buffer_, 2 * L0_HALF);
        pipe.InitBuffer(l0b_buffer_, 2 * L0_HALF);
        pipe.InitBuffer(l0c_buffer_, t_.tile_pixels * t_.tile_channels * sizeof(float));
        pipe.InitBuffer(bt_buffer_, 2 * BT_SLOT);
        for (uint32_t i = 0; i < 2; ++i) {
            image_[i] = l1_buffer_.GetWithOffset<T>(t_.image_bytes / sizeof(T), i * slot);
            weights_[i] = l1_buffer_.GetWithOffset<T>(t_.weight_bytes / sizeof(T), i * slot + t_.image_bytes);
            left_[i] = l0a_buffer_.GetWithOffset<T>(L0_HALF / sizeof(T), i * L0_HALF);
            right_[i] = l0b_buffer_.GetWithOffset<T>(L0_HALF / sizeof(T), i * L0_HALF);
            table_[i] = bt_buffer_.GetWithOffset<float>(BT_SLOT / sizeof(float), i * BT_SLOT);
        }
        all_bias_ = l1_buffer_.GetWithOffset<float>(bias_bytes / sizeof(float), 2 * slot);
        sums_ = l0c_buffer_.Get<float>();
    }

    __aicore__ inline void run()
    {
        const uint32_t blocks = static_cast<uint32_t>(GetBlockNum());
        uint32_t task = static_cast<uint32_t>(GetBlockIdx());
        if (task >= t_.tasks) return;
        for (int32_t i = 0; i < 2; ++i) {
            SetFlag<HardEvent::MTE1_MTE2>(i);
            SetFlag<HardEvent::M_MTE1>(L0_FREE + i);
        }
        if (!t_.unit) SetFlag<HardEvent::FIX_M>(0);
        SetLoadDataPaddingValue(static_cast<T>(0.0f));
        // The flag of the first chunk tells of it as well.
        if (has_bias_) DataCopy(all_bias_, bias_, round16(t_.out_channels));
        Tile tile = locate(task);
        fetch(tile, 0, 0);
        uint32_t slot = 0;
        const uint32_t all = chunks_ + (has_residual_ ? 1 : 0);
        for (;;) {
            task += blocks;
            const bool more = task < t_.tasks;
            Tile next = tile;
            for (uint32_t chunk = 0; chunk < all; ++chunk) {
                // The chunk after this one is on its way while this one is multiplied.
                if (chunk + 1 < all) {
                    fetch(tile, chunk + 1, slot ^ 1);
                } else if (more) {
                    next = locate(task);
                    fetch(next, 0, slot ^ 1);
                }
                multiply(tile, chunk, slot, chunk + 1 == all);
                slot ^= 1;
            }
            store(tile);
            if (!more) break;
            tile = next;
        }
        for (int32_t i = 0; i < 2; ++i) {
            WaitFlag<HardEvent::MTE1_MTE2>(i);
            WaitFlag<HardEvent::M_MTE1>(L0_FREE + i);
        }
        if (!t_.unit) WaitFlag<HardEvent::FIX_M>(0);
    }

private:
    const CausalConv3dTiling &t_;
    const bool has_bias_, has_cache_, has_residual_;
    GlobalTensor<T> x_, cache_, weight_, residual_, out_;
    GlobalTensor<float> bias_;
    TBuf<TPosition::A1> l1_buffer_;
    TBuf<TPosition::A2> l0a_buffer_;
    TBuf<TPosition::B2> l0b_buffer_;
    TBuf<TPosition::CO1> l0c_buffer_;
    TBuf<TPosition::C2> bt_buffer_;
    LocalTensor<T> image_[2], weights_[2], left_[2], right_[2];
    LocalTensor<float> table_[2], all_bias_, sums_;
    uint32_t padded_, taps_, depths_, chunks_;
    uint32_t l0_ = 0, bt_ = 0;

    __aicore__ inline Tile locate(uint32_t task) const
    {
        Tile tile;
        const uint32_t channel_tiles = (t_.out_channels + t_.tile_channels - 1) / t_.tile_channels;
        tile.channel = task % channel_tiles * t_.tile_channels;
        tile.channels = least(t_.tile_channels, round16(t_.out_channels) - tile.channel);
        task /= channel_tiles;
        const uint32_t across = (t_.out_width + t_.tile_columns - 1) / t_.tile_columns;
        tile.column = task % across * t_.tile_columns;
        tile.columns = least(t_.tile_columns, t_.out_width - tile.column);
        task /= across;
        const uint32_t down = (t_.out_height + t_.tile_rows - 1) / t_.tile_rows;
        tile.row = task % down * t_.tile_rows;
        tile.rows = least(t_.tile_rows, t_.out_height - tile.row);
        task /= down;
        tile.frame = task % t_.out_frames;
        tile.batch = task / t_.out_frames;
        tile.y = span(tile.row, tile.rows, t_.stride_rows, t_.kernel_rows, t_.top, t_.height);
        tile.x = span(tile.column, tile.columns, t_.stride_columns, t_.kernel_columns, t_.left, t_.width);
        return tile;
    }

    /// Channels of a chunk in 16s, and the first of them.
    __aicore__ inline uint32_t depth_of(uint32_t chunk, uint32_t &first) const
    {
        first = chunk % depths_ * t_.tile_depth;
        return least(t_.tile_depth, padded_ - first);
    }

    /// A chunk of a task into L1.
    __aicore__ inline void fetch(const Tile &tile, uint32_t chunk, uint32_t slot)
    {
        WaitFlag<HardEvent::MTE1_MTE2>(slot);
        if (chunk == chunks_) {
            const uint64_t pixel = ((static_cast<uint64_t>(tile.batch) * t_.out_frames + tile.frame) * t_.out_height + tile.row) * t_.out_width + tile.column;
            pixels(image_[slot], residual_[pixel * t_.out_channels + tile.channel], tile.rows, tile.columns, t_.out_width, t_.out_channels,
                   least(tile.channels, t_.out_channels - tile.channel));
            const uint64_t tiles = static_cast<uint64_t>(t_.kernel_frames) * taps_ * padded_ * round16(t_.out_channels);
            const uint64_t unit = tile.channels == t_.tile_channels ? 0 : static_cast<uint64_t>(t_.tile_channels) * t_.tile_channels;
            DataCopy(weights_[slot], weight_[tiles + unit], tile.channels * tile.channels);
        } else {
            uint32_t first;
            const uint32_t depth = depth_of(chunk, first), kt = chunk / depths_;
            const int32_t frame = static_cast<int32_t>(tile.frame * t_.stride_frames + kt) - static_cast<int32_t>(t_.kernel_frames - 1);
            const uint64_t place = (static_cast<uint64_t>(tile.y.first) * t_.width + tile.x.first) * t_.channels + first;
            const uint64_t size = static_cast<uint64_t>(t_.height) * t_.width * t_.channels;
            const bool cached = frame < 0 && has_cache_;
            const uint64_t frames = cached ? tile.batch * (t_.kernel_frames - 1) + static_cast<uint32_t>(frame + static_cast<int32_t>(t_.kernel_frames - 1))
                                           : tile.batch * t_.frames + static_cast<uint32_t>(frame < 0 ? 0 : frame);
            const GlobalTensor<T> &source = cached ? cache_ : x_;
            pixels(image_[slot], source[frames * size + place], tile.y.count, tile.x.count, t_.width, t_.channels,
                   least(depth, t_.channels - first));
            const uint64_t tile_size = static_cast<uint64_t>(t_.kernel_frames) * taps_ * padded_;
            const uint64_t before = (static_cast<uint64_t>(kt) * padded_ + first) * taps_;
            DataCopy(weights_[slot], weight_[tile_size * tile.channel + before * tile.channels], depth * taps_ * tile.channels);
        }
        SetFlag<HardEvent::MTE2_MTE1>(slot);
    }

    /// Rows of pixels, of each some channels, as [C1][rows][columns][C0].
    __aicore__ inline void pixels(const LocalTensor<T> &to, const GlobalTensor<T> &from, uint32_t rows, uint32_t columns, uint32_t width,
                                  uint32_t pitch, uint32_t channels) const
    {
        Nd2NzParams params;
        params.ndNum = 1;
        params.nValue = columns;
        params.dValue = channels;
        params.srcDValue = pitch;
        params.dstNzC0Stride = rows * columns;
        params.dstNzNStride = 1;
        if (columns == width) {
            params.nValue = rows * columns;
            DataCopy(to, from, params);
        } else if (width * pitch <= 65535) {
            params.ndNum = rows;
            params.srcNdMatrixStride = width * pitch;
            params.dstNzMatrixStride = columns * C0;
            DataCopy(to, from, params);
        } else {
            for (uint32_t row = 0; row < rows; ++row)
                DataCopy(to[row * columns * C0], from[static_cast<uint64_t>(row) * width * pitch], params);
        }
    }

    /// Adds the products of a chunk in L1.
    __aicore__ inline void multiply(const Tile &tile, uint32_t chunk, uint32_t slot, bool last_chunk)
    {
        const bool residual = chunk == chunks_;
        uint32_t first;
        const uint32_t depth = residual ? tile.channels : depth_of(chunk, first);
        const uint32_t all = residual ? depth : depth * taps_, m = round16(tile.rows * tile.columns), n = tile.channels;
        LoadData3DParamsV2<T> image;
        image.channelSize = depth;
        image.mExtension = m;
        if (residual) {
            image.l1H = tile.rows;
            image.l1W = tile.columns;
        } else {
            image.l1H = tile.y.count;
            image.l1W = tile.x.count;
            image.padList[0] = static_cast<uint8_t>(tile.x.before);
            image.padList[1] = static_cast<uint8_t>(tile.x.behind);
            image.padList[2] = static_cast<uint8_t>(tile.y.before);
            image.padList[3] = static_cast<uint8_t>(tile.y.behind);
            image.strideW = static_cast<uint8_t>(t_.stride_columns);
            image.strideH = static_cast<uint8_t>(t_.stride_rows);
            image.filterW = static_cast<uint8_t>(t_.kernel_columns);
            image.filterH = static_cast<uint8_t>(t_.kernel_rows);
        }
        SetFmatrix(image.l1H, image.l1W, image.padList, FmatrixMode::FMATRIX_LEFT);
        LoadData2DParams fractals;
        fractals.srcStride = 1;
        MmadParams product;
        product.m = m;
        product.n = n;
        WaitFlag<HardEvent::MTE2_MTE1>(slot);
        for (uint32_t k = 0; k < all; k += t_.step) {
            const uint32_t step = least(t_.step, all - k);
            const bool start = chunk == 0 && k == 0, last = k + step == all;
            WaitFlag<HardEvent::M_MTE1>(L0_FREE + l0_);
            if (start && has_bias_) {
                // The Mmad that read this slot last, two tasks ago, is done: the half of L0 that it had has been free since. The table
                // counts in 64 bytes.
                DataCopy(table_[bt_], all_bias_[tile.channel], DataCopyParams(1, n / 16, 0, 0));
            }
            image.kExtension = step;
            image.kStartPt = k;
            LoadData<T, KEEP>(left_[l0_], image_[slot], image);
            fractals.repeatTimes = step / 16 * (n / 16);
            LoadData(right_[l0_], weights_[slot][k * n], fractals);
            if (last) SetFlag<HardEvent::MTE1_MTE2>(slot);
            SetFlag<HardEvent::MTE1_M>(l0_);
            WaitFlag<HardEvent::MTE1_M>(l0_);
            product.k = step;
            product.cmatrixInitVal = start && !has_bias_;
            product.unitFlag = t_.unit ? (last && last_chunk ? 3 : 2) : 0;
            if (start && !t_.unit) WaitFlag<HardEvent::FIX_M>(0);
            if (start && has_bias_) {
                Mmad(sums_, left_[l0_], right_[l0_], table_[bt_], product);
                bt_ ^= 1;
            } else {
                Mmad(sums_, left_[l0_], right_[l0_], product);
            }
            if ((m / 16) * (n / 16) < 10) PipeBarrier<PIPE_M>();
            SetFlag<HardEvent::M_MTE1>(L0_FREE + l0_);
            l0_ ^= 1;
        }
    }

    /// A finished tile into global memory.
    __aicore__ inline void store(const Tile &tile) const
    {
        FixpipeParamsV220 params;
        params.nSize = least(tile.channels, t_.out_channels - tile.channel);
        params.srcStride = round16(tile.rows * tile.columns);
        params.dstStride = t_.out_channels;
        params.quantPre = sizeof(T) == 2 && is_half() ? QuantMode_t::F322F16 : QuantMode_t::F322BF16;
        params.unitFlag = t_.unit ? 3 : 0;
        const uint64_t pixel = ((static_cast<uint64_t>(tile.batch) * t_.out_frames + tile.frame) * t_.out_height + tile.row) * t_.out_width + tile.column;
        const GlobalTensor<T> out = out_[pixel * t_.out_channels + tile.channel];
        const uint64_t pitch = static_cast<uint64_t>(t_.out_width) * t_.out_channels;
        if (!t_.unit) {
            SetFlag<HardEvent::M_FIX>(0);
            WaitFlag<HardEvent::M_FIX>(0);
        }
        if (tile.columns == t_.out_width) {
            params.mSize = tile.rows * tile.columns;
            Fixpipe(out, sums_, params);
        } else if (tile.columns % 16 == 0 && pitch <= 65535) {
            params.mSize = tile.columns;
            params.ndNum = tile.rows;
            params.srcNdStride = tile.columns / 16;
            params.dstNdStride = static_cast<uint16_t>(pitch);
            Fixpipe(out, sums_, params);
        } else {
            params.mSize = tile.columns;
            for (uint32_t row = 0; row < tile.rows; ++row) Fixpipe(out[row * pitch], sums_[row * tile.columns * 16], params);
        }
        if (!t_.unit) SetFlag<HardEvent::FIX_M>(0);
    }

    static __aicore__ inline constexpr bool is_half() { return std::is_same<T, half>::value; }
};

template <typename T>
__aicore__ inline void run(GM_ADDR x, GM_ADDR cache, GM_ADDR weight, GM_ADDR bias, GM_ADDR residual, GM_ADDR out,
                           const CausalConv3dTiling &tiling)
{
    if ASCEND_IS_AIC {
        TPipe pipe;
        Kernel<T> kernel(pipe, tiling, x, cache, weight, bias, residual, out);
        kernel.run();
    }
}

} // namespace causal_conv3d

extern "C" __global__ __aicore__ void causal_conv3d_f16(GM_ADDR x, GM_ADDR cache, GM_ADDR weight, GM_ADDR bias, GM_ADDR residual,
                                                        GM_ADDR out, CausalConv3dTiling tiling)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIC_ONLY);
    causal_conv3d::run<half>(x, cache, weight, bias, residual, out, tiling);
}

extern "C" __global__ __aicore__ void causal_conv3d_bf16(GM_ADDR x, GM_ADDR cache, GM_ADDR weight, GM_ADDR bias, GM_ADDR residual,
                                                         GM_ADDR out, CausalConv3dTiling tiling)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIC_ONLY);
    causal_conv3d::run<bfloat16_t>(x, cache, weight, bias, residual, out, tiling);
}

#ifdef ASCENDIT_TWIN
TWIN_KERNEL(causal_conv3d_f16)
TWIN_KERNEL(causal_conv3d_bf16)
#endif
