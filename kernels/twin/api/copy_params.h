/// Parameters of copies between global memory and a core's memories, which vector and cube cores share.
#pragma once

#include "field.h"

namespace AscendC {

/// Blocks of 32-byte units; the strides are gaps from the end of one block to the start of the next.
struct DataCopyParams {
    DataCopyParams() = default;
    DataCopyParams(twin::Field16 count, twin::Field16 len, twin::Field16 srcStrideIn, twin::Field16 dstStrideIn)
        : blockCount(count), blockLen(len), srcStride(srcStrideIn), dstStride(dstStrideIn)
    {
    }

    twin::Field16 blockCount = 1;
    twin::Field16 blockLen = 0;
    twin::Field16 srcStride = 0;
    twin::Field16 dstStride = 0;
};

/// A row-major matrix in global memory that becomes Nz fractals in L1.
struct Nd2NzParams {
    Nd2NzParams() = default;
    Nd2NzParams(twin::Field16 ndNumIn, twin::Field16 nValueIn, twin::Field16 dValueIn, twin::Field16 srcNdMatrixStrideIn,
                twin::Field16 srcDValueIn, twin::Field16 dstNzC0StrideIn, twin::Field16 dstNzNStrideIn,
                twin::Field16 dstNzMatrixStrideIn)
        : ndNum(ndNumIn), nValue(nValueIn), dValue(dValueIn), srcNdMatrixStride(srcNdMatrixStrideIn), srcDValue(srcDValueIn),
          dstNzC0Stride(dstNzC0StrideIn), dstNzNStride(dstNzNStrideIn), dstNzMatrixStride(dstNzMatrixStrideIn)
    {
    }

    twin::Field16 ndNum = 0;              ///< matrices
    twin::Field16 nValue = 0;             ///< rows
    twin::Field16 dValue = 0;             ///< columns
    twin::Field16 srcNdMatrixStride = 0;  ///< from matrix to matrix, in elements
    twin::Field16 srcDValue = 0;          ///< from row to row, in elements
    twin::Field16 dstNzC0Stride = 0;      ///< from one column of fractals to the next, in 32 bytes
    twin::Field16 dstNzNStride = 0;       ///< from row to row, in 32 bytes
    twin::Field16 dstNzMatrixStride = 0;  ///< from matrix to matrix, in elements
};

} // namespace AscendC
