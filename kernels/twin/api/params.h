/// Parameters and modes of vector instructions.
///
/// Strides are in blocks of 32 bytes and from start to start: a block stride from one of the eight blocks of a repeat to the
/// next, a repeat stride from repeat to repeat.
#pragma once

#include "field.h"

namespace AscendC {

enum class RoundMode : uint8_t {
    CAST_NONE,   ///< exact, or to nearest where that is not possible
    CAST_RINT,   ///< to nearest, ties to even
    CAST_FLOOR,
    CAST_CEIL,
    CAST_ROUND,  ///< to nearest, ties away from zero
    CAST_TRUNC,  ///< to zero
    CAST_ODD,    ///< to the neighbour with an odd last bit, if inexact
};

enum class CMPMODE : uint8_t { LT, GT, EQ, LE, GE, NE };

enum class SELMODE : uint8_t {
    VSEL_CMPMASK_SPR,         ///< the bits of one repeat serve all
    VSEL_TENSOR_SCALAR_MODE,  ///< bits one after the other, the second source is a scalar
    VSEL_TENSOR_TENSOR_MODE,  ///< bits one after the other
};

enum class ReduceOrder : uint8_t { ORDER_VALUE_INDEX, ORDER_INDEX_VALUE, ORDER_ONLY_VALUE, ORDER_ONLY_INDEX };

enum class MaskMode : uint8_t { NORMAL, COUNTER };

constexpr uint64_t MASK_PLACEHOLDER = 0;
constexpr uint64_t MASK_PLACEHOLDER_LIST[2] = {0, 0};
constexpr int32_t DEFAULT_BLK_NUM = 8;
constexpr uint16_t ONE_BLK_SIZE = 32;
constexpr int32_t DEFAULT_BLOCK_SIZE = 256;
constexpr int32_t DEFAULT_BLK_STRIDE = 1;
constexpr uint8_t DEFAULT_REPEAT_STRIDE = 8;
constexpr int32_t MAX_REPEAT_TIMES = 255;

struct UnaryRepeatParams {
    UnaryRepeatParams() = default;
    UnaryRepeatParams(twin::Field16 dstBlk, twin::Field16 srcBlk, twin::Field8 dstRep, twin::Field8 srcRep)
        : dstBlkStride(dstBlk), srcBlkStride(srcBlk), dstRepStride(dstRep), srcRepStride(srcRep)
    {
    }

    twin::Field16 dstBlkStride = 1;
    twin::Field16 srcBlkStride = 1;
    twin::Field8 dstRepStride = 8;
    twin::Field8 srcRepStride = 8;
};

struct BinaryRepeatParams {
    BinaryRepeatParams() = default;
    BinaryRepeatParams(twin::Field8 dstBlk, twin::Field8 src0Blk, twin::Field8 src1Blk, twin::Field8 dstRep, twin::Field8 src0Rep,
                       twin::Field8 src1Rep)
        : dstBlkStride(dstBlk), src0BlkStride(src0Blk), src1BlkStride(src1Blk), dstRepStride(dstRep), src0RepStride(src0Rep),
          src1RepStride(src1Rep)
    {
    }

    twin::Field8 dstBlkStride = 1;
    twin::Field8 src0BlkStride = 1;
    twin::Field8 src1BlkStride = 1;
    twin::Field8 dstRepStride = 8;
    twin::Field8 src0RepStride = 8;
    twin::Field8 src1RepStride = 8;
};

struct CopyRepeatParams {
    CopyRepeatParams() = default;
    CopyRepeatParams(twin::Field16 dstBlk, twin::Field16 srcBlk, twin::Field16 dstRep, twin::Field16 srcRep)
        : dstStride(dstBlk), srcStride(srcBlk), dstRepeatSize(dstRep), srcRepeatSize(srcRep)
    {
    }

    twin::Field16 dstStride = 0;  ///< from block to block
    twin::Field16 srcStride = 0;
    twin::Field16 dstRepeatSize = 8;  ///< from repeat to repeat
    twin::Field16 srcRepeatSize = 8;
};

struct BrcbRepeatParams {
    BrcbRepeatParams() = default;
    BrcbRepeatParams(twin::Field16 dstBlk, twin::Field16 dstRep) : dstRepStride(dstRep), dstBlkStride(dstBlk) {}

    twin::Field16 dstRepStride = 8;
    twin::Field16 dstBlkStride = 1;
};

struct GatherRepeatParams {
    GatherRepeatParams() = default;
    GatherRepeatParams(twin::Field8 dstBlk, twin::Field8 dstRep) : dstRepStride(dstRep), dstBlkStride(dstBlk) {}

    twin::Field16 dstRepStride = 8;
    twin::Field8 dstBlkStride = 1;
};

struct GatherMaskParams {
    GatherMaskParams() = default;
    GatherMaskParams(twin::Field8 src0Blk, twin::Field16 repeats, twin::Field16 src0Rep, twin::Field8 src1Rep)
        : src0BlockStride(src0Blk), repeatTimes(repeats), src0RepeatStride(src0Rep), src1RepeatStride(src1Rep)
    {
    }

    twin::Field8 src0BlockStride = 1;
    twin::Field16 repeatTimes = 0;
    twin::Field16 src0RepeatStride = 8;
    twin::Field8 src1RepeatStride = 8;
};

struct TransDataTo5HDParams {
    TransDataTo5HDParams() = default;
    TransDataTo5HDParams(bool dstHigh, bool srcHigh, twin::Field8 repeats, twin::Field16 dstRep, twin::Field16 srcRep)
        : dstHighHalf(dstHigh), srcHighHalf(srcHigh), repeatTimes(repeats), dstRepStride(dstRep), srcRepStride(srcRep)
    {
    }

    bool dstHighHalf = false;  ///< of elements of one byte: which half of each destination block
    bool srcHighHalf = false;
    twin::Field8 repeatTimes = 1;
    twin::Field16 dstRepStride = 0;
    twin::Field16 srcRepStride = 0;
};

} // namespace AscendC
