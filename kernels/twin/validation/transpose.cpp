/// Matrices of 16 bits from [batch, rows, columns] to [batch, columns, rows], as a stock kernel does it: for comparing the timing
/// model with measured times, not for the engine.
///
/// Tiles of 128 x 128 go to vector cores in turn. In UB a tile is turned by blocks of 16 x 16. Sizes are multiples of 128.
#include "kernel_operator.h"

#include "ascendit-kernels/src/validation.rs.h"
#ifdef ASCENDIT_TWIN
#include "entry.h"
#endif

using namespace AscendC;

extern "C" __global__ __aicore__ void stock_transpose(GM_ADDR x, GM_ADDR out, TransposeTiling tiling)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    constexpr uint32_t SIDE = 128, BLOCKS = SIDE / 16;
    TPipe pipe;
    TQue<TPosition::VECIN, 2> in;
    TQue<TPosition::VECOUT, 2> result;
    GlobalTensor<half> xGm, outGm;
    xGm.SetGlobalBuffer((__gm__ half *)x);
    outGm.SetGlobalBuffer((__gm__ half *)out);
    pipe.InitBuffer(in, 2, SIDE * SIDE * sizeof(half));
    pipe.InitBuffer(result, 2, SIDE * SIDE * sizeof(half));
    const uint32_t down = tiling.rows / SIDE, across = tiling.columns / SIDE;
    for (uint32_t tile = GetBlockIdx(); tile < tiling.batch * down * across; tile += GetBlockNum()) {
        const uint64_t matrix = static_cast<uint64_t>(tile / (down * across)) * tiling.rows * tiling.columns;
        const uint64_t row = tile / across % down * SIDE, column = tile % across * SIDE;
        DataCopyParams params;
        params.blockCount = SIDE;
        params.blockLen = BLOCKS;
        params.srcStride = (tiling.columns - SIDE) / 16;
        params.dstStride = 0;
        LocalTensor<half> a = in.AllocTensor<half>();
        DataCopy(a, xGm[matrix + row * tiling.columns + column], params);
        in.EnQue(a);
        a = in.DeQue<half>();
        LocalTensor<half> z = result.AllocTensor<half>();
        for (uint32_t strip = 0; strip < BLOCKS; ++strip) {
            uint64_t from[16], to[16];
            for (uint32_t i = 0; i < 16; ++i) {
                from[i] = (uint64_t)a[i * SIDE + strip * 16].GetPhyAddr();
                to[i] = (uint64_t)z[(strip * 16 + i) * SIDE].GetPhyAddr();
            }
            TransDataTo5HDParams turn;
            turn.repeatTimes = BLOCKS;
            turn.dstRepStride = 1;
            turn.srcRepStride = 16 * BLOCKS;
            TransDataTo5HD<half>(to, from, turn);
        }
        in.FreeTensor(a);
        result.EnQue(z);
        z = result.DeQue<half>();
        params.srcStride = 0;
        params.dstStride = (tiling.rows - SIDE) / 16;
        DataCopy(outGm[matrix + column * tiling.rows + row], z, params);
        result.FreeTensor(z);
    }
}

#ifdef ASCENDIT_TWIN
TWIN_KERNEL(stock_transpose)
#endif
