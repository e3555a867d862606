/// A residual with a gate.
///
///     out[b, s, :] = x[b, s, :] + gate[b, :] * y[b, s, :],   or x + y without a gate
///
/// `x`, `y`, `out`: [B, S, C] f16 or bf16; `out` may be `x`. `gate`: f32 or the type of `x`, `gate_stride` values from one b to the
/// next. The arithmetic is f32.
///
/// Each vector core takes a range of rows. Rows of more than `piece` columns are worked on piece by piece. A tile of `tile_rows` rows
/// passes through a ring of three buffers: loaded by MTE2, changed in place by V, stored by MTE3.
///
/// Unified buffer, e = tile_rows * pitch values (at most 8192), pitch = piece rounded up to 16:
///
///     ring    3 * (2e + 2e)   x, which becomes out, and y
///     a       4e              x in f32
///     gate    4 pitch         f32
///     narrow  2 pitch         the gate as it comes, if it is 16-bit
///     b       4e              y in f32, 256 bytes further than the others (../../vector/parts.h)
///
/// Memory: 6 bytes for each value. V: casts 5, product and sum 2 cycles for 64 values, where memory needs 26 (48 cores).
#include "ascendit-kernels/src/gated_residual.rs.h"
#include "kernel_operator.h"

#include "../../vector/copy.h"
#include "../../vector/parts.h"
#include "../../vector/ring.h"
#include "../../vector/rows.h"

using AscendC::GlobalTensor;
using AscendC::HardEvent;
using AscendC::LocalTensor;

namespace {

/// How the gate is given: `GatedResidualTiling::gate`.
constexpr uint32_t NO_GATE = 0, NARROW_GATE = 2;

template <typename T> class GatedResidual {
public:
    __aicore__ inline GatedResidual(parts::Buffer &buffer, const GatedResidualTiling &tiling, GM_ADDR x, GM_ADDR y, GM_ADDR gate,
                                    GM_ADDR out)
        : tiling_(tiling), pitch_(rows::round_up(tiling.piece, copy::UNIT)), x_from_(copy::global<uint16_t>(x)),
          y_from_(copy::global<uint16_t>(y)), to_(copy::global<uint16_t>(out)), gate_from_(gate)
    {
        parts::Parts parts(buffer);
        const uint32_t values = tiling.tile_rows * pitch_;
        for (uint32_t i = 0; i < ring::DEPTH; ++i) {
            x_[i] = parts.take<uint16_t>(values);
            y_[i] = parts.take<uint16_t>(values);
        }
        a_ = parts.take<float>(values);
        gate_ = parts.take<float>(pitch_);
        narrow_ = parts.take<uint16_t>(pitch_);
        // b works with a and with the gate.
        parts.shift();
        b_ = parts.take<float>(values);
    }

    /// Rows `[begin, end)`.
    __aicore__ inline void run(uint64_t begin, uint64_t end)
    {
        if (begin == end) return;
        ring::open();
        uint32_t tile = 0;
        for (uint64_t column = 0; column < tiling_.columns; column += tiling_.piece) {
            const uint64_t left = tiling_.columns - column;
            tile = columns(tile, begin, end, column, left < tiling_.piece ? static_cast<uint32_t>(left) : tiling_.piece);
        }
        ring::close();
    }

private:
    const GatedResidualTiling tiling_;
    const uint32_t pitch_;
    GlobalTensor<uint16_t> x_from_, y_from_, to_;
    GM_ADDR gate_from_;
    LocalTensor<uint16_t> x_[ring::DEPTH], y_[ring::DEPTH], narrow_;
    LocalTensor<float> a_, b_, gate_;

    /// `width` columns of the rows; `tile` counts tiles, and the next one is returned.
    __aicore__ inline uint32_t columns(uint32_t tile, uint64_t begin, uint64_t end, uint64_t column, uint32_t width)
    {
        uint64_t batch = ~0ull;
        load(tile, begin, count(begin, end), column, width);
        for (uint64_t row = begin; row < end; ++tile) {
            const uint32_t n = count(row, end);
            // The next tile is asked for before this one is worked on, so that it comes meanwhile.
            if (row + n < end) load(tile + 1, row + n, count(row + n, end), column, width);
            if (tiling_.gate != NO_GATE && row / tiling_.batch_rows != batch) {
                batch = row / tiling_.batch_rows;
                load_gate(batch * tiling_.gate_stride + column, width);
            }
            const uint32_t slot = ring::slot(tile);
            ring::change(tile);
            compute(x_[slot].template ReinterpretCast<T>(), y_[slot].template ReinterpretCast<T>(),
                    {n, width, rows::round_up(width, copy::UNIT)});
            ring::changed(tile);
            ring::store(tile);
            copy::store(to_[row * tiling_.columns + column], x_[slot], n, width, tiling_.columns);
            ring::stored(tile);
            row += n;
        }
        return tile;
    }

    /// Rows of the tile that begins at `row`: of one batch.
    __aicore__ inline uint32_t count(uint64_t row, uint64_t end) const
    {
        uint64_t most = tiling_.batch_rows - row % tiling_.batch_rows;
        if (most > end - row) most = end - row;
        return most < tiling_.tile_rows ? static_cast<uint32_t>(most) : tiling_.tile_rows;
    }

    __aicore__ inline void load(uint32_t tile, uint64_t row, uint32_t n, uint64_t column, uint32_t width)
    {
        const uint64_t at = row * tiling_.columns + column;
        ring::fill(tile);
        copy::load(x_[ring::slot(tile)], x_from_[at], n, width, tiling_.columns);
        copy::load(y_[ring::slot(tile)], y_from_[at], n, width, tiling_.columns);
        ring::filled(tile);
    }

    __aicore__ inline void load_gate(uint64_t at, uint32_t width)
    {
        // Columns between the width and its multiple of 16 are computed with.
        if (width % copy::UNIT) AscendC::Duplicate(gate_, 0.0f, static_cast<int32_t>(pitch_));
        // MTE2 may write over the old gate once V is done with it, and V reads the new one once it is there.
        AscendC::SetFlag<HardEvent::V_MTE2>(EVENT_ID3);
        AscendC::WaitFlag<HardEvent::V_MTE2>(EVENT_ID3);
        if (tiling_.gate == NARROW_GATE) {
            copy::load(narrow_, copy::global<uint16_t>(gate_from_)[at], 1, width, width);
        } else {
            copy::load(gate_, copy::global<float>(gate_from_)[at], 1, width, width);
        }
        AscendC::SetFlag<HardEvent::MTE2_V>(EVENT_ID3);
        AscendC::WaitFlag<HardEvent::MTE2_V>(EVENT_ID3);
        if (tiling_.gate == NARROW_GATE) {
            AscendC::Cast(gate_, narrow_.template ReinterpretCast<T>(), AscendC::RoundMode::CAST_NONE, rows::round_up(width, copy::UNIT));
            rows::barrier();
        }
    }

    __aicore__ inline void compute(const LocalTensor<T> &x, const LocalTensor<T> &y, const rows::Tile &tile)
    {
        const uint32_t n = tile.rows * tile.pitch;
        AscendC::Cast(b_, y, AscendC::RoundMode::CAST_NONE, n);
        AscendC::Cast(a_, x, AscendC::RoundMode::CAST_NONE, n);
        rows::barrier();
        if (tiling_.gate != NO_GATE) rows::with_columns<rows::Binary::Mul>(tile, b_, gate_);
        AscendC::Add(a_, a_, b_, static_cast<int32_t>(n));
        rows::barrier();
        AscendC::Cast(x, a_, AscendC::RoundMode::CAST_RINT, n);
    }
};

template <typename T>
__aicore__ inline void gated_residual(GM_ADDR x, GM_ADDR y, GM_ADDR gate, GM_ADDR out, const GatedResidualTiling &tiling)
{
    AscendC::TPipe pipe;
    parts::Buffer buffer;
    pipe.InitBuffer(buffer, tiling.buffer_bytes);
    GatedResidual<T> kernel(buffer, tiling, x, y, gate, out);
    const uint64_t block = AscendC::GetBlockIdx(), blocks = AscendC::GetBlockNum();
    kernel.run(tiling.rows * block / blocks, tiling.rows * (block + 1) / blocks);
}

} // namespace

extern "C" __global__ __aicore__ void gated_residual_f16(GM_ADDR x, GM_ADDR y, GM_ADDR gate, GM_ADDR out, GatedResidualTiling tiling)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    gated_residual<half>(x, y, gate, out, tiling);
}

extern "C" __global__ __aicore__ void gated_residual_bf16(GM_ADDR x, GM_ADDR y, GM_ADDR gate, GM_ADDR out, GatedResidualTiling tiling)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    gated_residual<bfloat16_t>(x, y, gate, out, tiling);
}

#ifdef ASCENDIT_TWIN
#include "entry.h"
TWIN_KERNEL(gated_residual_f16)
TWIN_KERNEL(gated_residual_bf16)
#endif
