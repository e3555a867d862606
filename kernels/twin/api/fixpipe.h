/// Fixpipe: results out of L0C, with conversion, to global memory or to L1.
#pragma once

#include "atomic.h"
#include "field.h"
#include "fractal.h"

namespace AscendC {

enum class CO2Layout : uint8_t { NZ, ROW_MAJOR, COLUMN_MAJOR };
struct FixpipeConfig {
    CO2Layout format;
};
constexpr FixpipeConfig CFG_NZ = {CO2Layout::NZ};
constexpr FixpipeConfig CFG_ROW_MAJOR = {CO2Layout::ROW_MAJOR};

} // namespace AscendC

/// How results are converted. Modes that scale (int8, int32) are not for kernels that the twin runs.
enum QuantMode_t { NoQuant = 0, F322F16 = 1, F322BF16 = 16 };

namespace AscendC {

struct FixpipeParamsV220 {
    FixpipeParamsV220() = default;
    FixpipeParamsV220(twin::Field16 nSizeIn, twin::Field16 mSizeIn, twin::Field16 srcStrideIn, uint32_t dstStrideIn, bool reluEnIn)
        : nSize(nSizeIn), mSize(mSizeIn), srcStride(srcStrideIn), dstStride(dstStrideIn), reluEn(reluEnIn)
    {
    }
    FixpipeParamsV220(twin::Field16 nSizeIn, twin::Field16 mSizeIn, twin::Field16 srcStrideIn, uint32_t dstStrideIn, bool reluEnIn,
                      QuantMode_t quantPreIn, int64_t deqScalarIn, twin::Field16 ndNumIn, twin::Field16 srcNdStrideIn,
                      twin::Field16 dstNdStrideIn, twin::Field8 unitFlagIn, bool isChannelSplitIn = false)
        : nSize(nSizeIn), mSize(mSizeIn), srcStride(srcStrideIn), dstStride(dstStrideIn), quantPre(quantPreIn), deqScalar(deqScalarIn),
          ndNum(ndNumIn), srcNdStride(srcNdStrideIn), dstNdStride(dstNdStrideIn), reluEn(reluEnIn), unitFlag(unitFlagIn),
          isChannelSplit(isChannelSplitIn)
    {
    }

    twin::Field16 nSize = 0, mSize = 0;
    twin::Field16 srcStride = 0;  ///< from column of blocks to column of blocks, in rows of 16 values
    uint32_t dstStride = 0;       ///< rows: elements from row to row; NZ: 32-byte units from column to column of blocks
    QuantMode_t quantPre = QuantMode_t::NoQuant;
    uint64_t deqScalar = 0;
    twin::Field16 ndNum = 1;        ///< matrices
    twin::Field16 srcNdStride = 0;  ///< from matrix to matrix, in blocks of 16 x 16
    twin::Field16 dstNdStride = 0;  ///< from matrix to matrix, in elements
    bool reluEn = false;
    twin::Field8 unitFlag = 0;
    bool isChannelSplit = false;  ///< NZ of float in blocks of 8 columns
};

} // namespace AscendC

namespace twin {

/// A Fixpipe after its types are known.
struct FixpipeCall {
    enum Output : uint8_t { Word, Half, Bf16 } output;
    bool rows;          ///< row-major, else NZ
    uint32_t m, n, source, source_stride;
    uint64_t target, target_stride;  ///< bytes
    Space to;
    uint32_t matrices;
    uint64_t source_matrix, target_matrix;  ///< bytes
    bool relu, integers, split;
    Atomic atomic;
    bool keep;  ///< in the L2
    uint8_t unit_flag;
};
void fixpipe(Issue &issue, const FixpipeCall &call);

} // namespace twin

namespace AscendC {

template <typename D, typename S, CO2Layout format>
inline twin::FixpipeCall FixpipeCheck(twin::Issue &issue, const LocalTensor<S> &src, const FixpipeParamsV220 &params)
{
    using namespace twin;
    static_assert(format != CO2Layout::COLUMN_MAJOR, "Fixpipe: dav-c220 writes rows or NZ");
    static_assert(std::is_same_v<S, float> ? std::is_same_v<D, float> || std::is_same_v<D, half> || std::is_same_v<D, bfloat16_t>
                                           : std::is_same_v<S, int32_t> && std::is_same_v<D, int32_t>,
                  "Fixpipe: float to float, half or bfloat16_t, int32_t to int32_t");
    issue.only_on(Kind::Cube);
    if (src.space() != Space::L0C) issue.fault(text("reads L0C, not %s", name(src.space())));
    constexpr QuantMode_t mode = std::is_same_v<D, half> ? F322F16 : std::is_same_v<D, bfloat16_t> ? F322BF16 : NoQuant;
    if (params.quantPre != mode)
        issue.fault(text("quantPre does not fit the types: %s is needed", mode == F322F16 ? "F322F16" : mode == F322BF16 ? "F322BF16" : "NoQuant"));
    constexpr bool rows = format == CO2Layout::ROW_MAJOR;
    issue.multiple("the source's address", src.start(), 64);
    issue.limit("nSize", params.nSize, 1, 4095);
    if (!rows) issue.multiple("nSize (NZ)", params.nSize, params.isChannelSplit ? 8 : 16);
    issue.limit("mSize", params.mSize, 1, rows ? 8192 : 65535);
    issue.multiple("srcStride", params.srcStride, 16);
    issue.limit("dstStride", params.dstStride, 1, 0xffffffffll);
    if (params.ndNum > 1) {
        issue.limit("srcNdStride", params.srcNdStride, 1, 512);
        issue.limit("dstNdStride", params.dstNdStride, 1, 65535);
        if (!rows) issue.fault("ndNum above 1 is for rows (CFG_ROW_MAJOR)");
    }
    if (params.isChannelSplit && (rows || !std::is_same_v<D, float>)) issue.fault("isChannelSplit is for float in NZ");
    if (params.unitFlag == 1 || params.unitFlag > 3) issue.fault(text("unitFlag is %u, and must be 0, 2 or 3", +params.unitFlag));
    FixpipeCall call{};
    call.output = std::is_same_v<D, half> ? FixpipeCall::Half : std::is_same_v<D, bfloat16_t> ? FixpipeCall::Bf16 : FixpipeCall::Word;
    call.rows = rows;
    call.m = params.mSize;
    call.n = params.nSize;
    call.source = src.start();
    call.source_stride = params.srcStride;
    call.target_stride = static_cast<uint64_t>(params.dstStride) * (rows ? sizeof(D) : 32);
    call.matrices = params.ndNum;
    call.source_matrix = params.srcNdStride * 1024ull;
    call.target_matrix = params.dstNdStride * sizeof(D);
    call.relu = params.reluEn;
    call.integers = std::is_same_v<S, int32_t>;
    call.split = params.isChannelSplit;
    call.unit_flag = params.unitFlag;
    return call;
}

/// L0C to global memory. Atomics that are set apply.
template <typename D, typename S, const FixpipeConfig &config = CFG_ROW_MAJOR>
inline void Fixpipe(const GlobalTensor<D> &dst, const LocalTensor<S> &src, const FixpipeParamsV220 &params,
                    twin::Where where = twin::Where::here())
{
    twin::Issue issue(twin::Pipe::FIX, "Fixpipe", where);
    twin::FixpipeCall call = FixpipeCheck<D, S, config.format>(issue, src, params);
    call.target = dst.start();
    call.to = twin::Space::GM;
    call.keep = !dst.bypasses_l2();
    if (twin::combines<D>(issue)) call.atomic = static_cast<twin::Atomic>(issue.core.registers.atomic);
    twin::fixpipe(issue, call);
}

/// L0C to L1, in NZ and as 16 bits.
template <typename D, typename S, const FixpipeConfig &config = CFG_ROW_MAJOR>
inline void Fixpipe(const LocalTensor<D> &dst, const LocalTensor<S> &src, const FixpipeParamsV220 &params,
                    twin::Where where = twin::Where::here())
{
    twin::Issue issue(twin::Pipe::FIX, "Fixpipe", where);
    twin::FixpipeCall call = FixpipeCheck<D, S, config.format>(issue, src, params);
    if (dst.space() != twin::Space::L1) issue.fault(twin::text("writes global memory or L1, not %s", twin::name(dst.space())));
    if (call.rows || call.output == twin::FixpipeCall::Word) issue.fault("writes L1 in NZ (CFG_NZ) and as half or bfloat16_t only");
    issue.multiple("the destination's address", dst.start(), 32);
    call.target = dst.start();
    call.to = twin::Space::L1;
    twin::fixpipe(issue, call);
}

} // namespace AscendC
