/// From global memory and L1 into L1 and L0: Nd2Nz copies, LoadData by fractals, fills.
#pragma once

#include "copy.h"
#include "fractal.h"

namespace AscendC {

/// Matrices of rows in global memory become Nz in L1. Columns are filled up with zeros to 32 bytes; rows are not filled up.
template <typename T>
inline void DataCopy(const LocalTensor<T> &dst, const GlobalTensor<T> &src, const Nd2NzParams &params,
                     twin::Where where = twin::Where::here())
{
    using namespace twin;
    Issue issue(Pipe::MTE2, "DataCopy (ND to NZ)", where);
    issue.only_on(Kind::Cube);
    if (dst.space() != Space::L1) issue.fault(text("goes to L1, not to %s", name(dst.space())));
    issue.limit("ndNum", params.ndNum, 0, 4095);
    issue.limit("nValue", params.nValue, 0, 16384);
    issue.limit("srcDValue", params.srcDValue, 1, 65535);
    issue.limit("dstNzC0Stride", params.dstNzC0Stride, 1, 16384);
    issue.limit("dstNzNStride", params.dstNzNStride, 1, 16384);
    issue.multiple("the destination's address", dst.start(), 32);
    const uint32_t matrices = params.ndNum, rows = params.nValue, columns = params.dValue;
    if (!matrices || !rows || !columns) return;
    const uint32_t blocks = (columns * sizeof(T) + 31) / 32;
    const uint64_t row_bytes = columns * sizeof(T), pitch = params.srcDValue * sizeof(T);
    const uint64_t block_pitch = params.dstNzC0Stride * 32ull, row_pitch = params.dstNzNStride * 32ull;
    const uint64_t to_matrix = params.dstNzMatrixStride * sizeof(T), from_matrix = params.srcNdMatrixStride * sizeof(T);
    if (matrices > 1) issue.multiple("dstNzMatrixStride in bytes", to_matrix, 32);
    issue.within(Space::L1, dst.start(), (matrices - 1) * to_matrix + (blocks - 1) * block_pitch + (rows - 1) * row_pitch + 32);
    issue.core.launch.reach(issue.start());
    for (uint32_t matrix = 0; matrix < matrices; ++matrix) {
        const uint64_t from = src.start() + matrix * from_matrix, to = dst.start() + matrix * to_matrix;
        if (issue.checks()) {
            for (uint32_t r = 0; r < rows; ++r) issue.read_gm(from + r * pitch, row_bytes);
            for (uint32_t block = 0; block < blocks; ++block) {
                if (row_pitch == 32)
                    issue.write(Space::L1, to + block * block_pitch, rows * 32);
                else
                    for (uint32_t r = 0; r < rows; ++r) issue.write(Space::L1, to + block * block_pitch + r * row_pitch, 32);
            }
        }
        if (issue.computes()) {
            const uint8_t *host = issue.core.launch.at(issue, from, (rows - 1) * pitch + row_bytes);
            uint8_t *memory = issue.core.memory(Space::L1) + to;
            for (uint32_t r = 0; r < rows; ++r)
                for (uint32_t block = 0; block < blocks; ++block) {
                    const uint32_t part = row_bytes - block * 32 < 32 ? row_bytes - block * 32 : 32;
                    uint8_t *place = memory + block * block_pitch + r * row_pitch;
                    std::memcpy(place, host + r * pitch + block * 32, part);
                    std::memset(place + part, 0, 32 - part);
                }
        } else if (!issue.checks()) {
            issue.core.launch.at(issue, from, (rows - 1) * pitch + row_bytes);
        }
    }
    Cost cost;
    for (uint32_t matrix = 0; matrix < matrices; ++matrix) {
        const Cost one = issue.core.launch.traffic.move(true, issue.start() + cost.occupancy,
                                                        {src.start() + matrix * from_matrix, row_bytes, rows, pitch}, false, !src.bypasses_l2());
        cost.occupancy += one.occupancy;
        cost.latency = one.latency;
    }
    issue.take(cost);
}

struct LoadData2DParams {
    LoadData2DParams() = default;
    LoadData2DParams(twin::Field16 startIndexIn, twin::Field8 repeatTimesIn, twin::Field16 srcStrideIn, twin::Field8 sidIn,
                     twin::Field16 dstGapIn, bool ifTransposeIn, twin::Field8 addrModeIn)
        : startIndex(startIndexIn), dstGap(dstGapIn), srcStride(srcStrideIn), ifTranspose(ifTransposeIn), repeatTimes(repeatTimesIn),
          sid(sidIn), addrMode(addrModeIn)
    {
    }

    twin::Field16 startIndex = 0;  ///< first fractal of the source
    twin::Field16 dstGap = 0;      ///< fractals from the end of one to the start of the next
    twin::Field16 srcStride = 0;   ///< fractals from start to start
    bool ifTranspose = false;      ///< rows become columns within the fractal; 16-bit types
    twin::Field8 repeatTimes = 0;  ///< fractals
    twin::Field8 sid = 0;
    twin::Field8 addrMode = 0;     ///< 0: fractals go up, 1: down
};
using LoadData2dParams = LoadData2DParams;

/// Fractals from L1 to L0A or L0B.
template <typename T>
inline void LoadData(const LocalTensor<T> &dst, const LocalTensor<T> &src, const LoadData2DParams &params,
                     twin::Where where = twin::Where::here())
{
    using namespace twin;
    Issue issue(Pipe::MTE1, "LoadData (2D)", where);
    issue.only_on(Kind::Cube);
    const Space to = dst.space();
    if (src.space() != Space::L1 || (to != Space::L0A && to != Space::L0B))
        issue.fault(text("goes from L1 to L0A or L0B, not from %s to %s", name(src.space()), name(to)));
    issue.multiple("the destination's address", dst.start(), FRACTAL);
    issue.multiple("the source's address", src.start(), 32);
    issue.limit("addrMode", params.addrMode, 0, 1);
    if (params.ifTranspose && sizeof(T) != 2) issue.fault("ifTranspose is for 16-bit types; use LoadDataWithTranspose");
    const uint32_t repeats = params.repeatTimes;
    if (!repeats) return;
    const uint64_t first = src.start() + params.startIndex * static_cast<uint64_t>(FRACTAL);
    const uint64_t stride = params.srcStride * static_cast<uint64_t>(FRACTAL), pitch = (params.dstGap + 1ull) * FRACTAL;
    const bool down = params.addrMode != 0;
    if (down && (repeats - 1) * stride > first) issue.fault("addrMode 1 goes below the start of L1");
    issue.within(Space::L1, down ? first - (repeats - 1) * stride : first, (repeats - 1) * stride + FRACTAL);
    issue.within(to, dst.start(), (repeats - 1) * pitch + FRACTAL);
    const uint64_t base = down ? first - (repeats - 1) * stride : first;
    if (issue.checks()) {
        const bool whole = stride == FRACTAL && pitch == FRACTAL && !params.ifTranspose && !down;
        const uint32_t count = whole ? 1 : repeats, bytes = whole ? repeats * FRACTAL : FRACTAL;
        for (uint32_t i = 0; i < count; ++i) {
            const uint64_t from = down ? base + (repeats - 1 - i) * stride : base + i * stride, place = dst.start() + i * pitch;
            issue.read(Space::L1, from, bytes, false);
            issue.write(to, place, bytes);
            if (params.ifTranspose)
                carry_turned(issue.core, Space::L1, from, to, place, 16, 2);
            else
                carry(issue.core, Space::L1, from, to, place, bytes);
        }
    }
    if (issue.computes()) {
        const uint8_t *l1 = issue.core.memory(Space::L1);
        uint8_t *l0 = issue.core.memory(to) + dst.start();
        for (uint32_t i = 0; i < repeats; ++i) {
            const uint8_t *from = l1 + (down ? first - i * stride : first + i * stride);
            if (params.ifTranspose)
                turn16(l0 + i * pitch, from);
            else
                std::memcpy(l0 + i * pitch, from, FRACTAL);
        }
    }
    issue.take(cost::load_fractals(to, repeats));
}

/// Fractals from global memory to L1, L0A or L0B: for data that lies there in fractals already.
template <typename T>
inline void LoadData(const LocalTensor<T> &dst, const GlobalTensor<T> &src, const LoadData2DParams &params,
                     twin::Where where = twin::Where::here())
{
    using namespace twin;
    Issue issue(Pipe::MTE2, "LoadData (2D)", where);
    issue.only_on(Kind::Cube);
    const Space to = dst.space();
    if (to != Space::L1 && to != Space::L0A && to != Space::L0B)
        issue.fault(text("goes from global memory to L1, L0A or L0B, not to %s", name(to)));
    issue.multiple("the destination's address", dst.start(), to == Space::L1 ? 32 : FRACTAL);
    if (params.ifTranspose) issue.fault("ifTranspose needs a source in L1");
    issue.limit("addrMode", params.addrMode, 0, 0);
    const uint32_t repeats = params.repeatTimes;
    if (!repeats) return;
    const uint64_t first = src.start() + params.startIndex * static_cast<uint64_t>(FRACTAL);
    const uint64_t stride = params.srcStride * static_cast<uint64_t>(FRACTAL), pitch = (params.dstGap + 1ull) * FRACTAL;
    issue.within(to, dst.start(), (repeats - 1) * pitch + FRACTAL);
    issue.core.launch.reach(issue.start());
    if (issue.checks() || issue.computes())
        for (uint32_t i = 0; i < repeats; ++i) {
            const uint8_t *host = issue.read_gm(first + i * stride, FRACTAL);
            issue.write(to, dst.start() + i * pitch, FRACTAL);
            if (host && issue.computes()) std::memcpy(issue.core.memory(to) + dst.start() + i * pitch, host, FRACTAL);
        }
    else
        issue.core.launch.at(issue, first, (repeats - 1) * stride + FRACTAL);
    const bool whole = stride == FRACTAL;
    issue.take(issue.core.launch.traffic.move(
        true, issue.start(),
        {first, whole ? repeats * static_cast<uint64_t>(FRACTAL) : FRACTAL, whole ? 1 : repeats, stride}, false,
        !src.bypasses_l2()));
}

struct LoadData2dTransposeParams {
    LoadData2dTransposeParams() = default;
    LoadData2dTransposeParams(twin::Field16 startIndexIn, twin::Field8 repeatTimesIn, twin::Field16 srcStrideIn, twin::Field16 dstGapIn,
                              twin::Field16 dstFracGapIn, twin::Field8 addrModeIn = 0)
        : startIndex(startIndexIn), repeatTimes(repeatTimesIn), srcStride(srcStrideIn), dstGap(dstGapIn), dstFracGap(dstFracGapIn),
          addrMode(addrModeIn)
    {
    }

    twin::Field16 startIndex = 0;  ///< first square of the source
    twin::Field8 repeatTimes = 0;  ///< squares
    twin::Field16 srcStride = 0;   ///< squares from start to start
    twin::Field16 dstGap = 0;      ///< fractals from the end of a square's first fractal to the start of the next square's
    twin::Field16 dstFracGap = 0;  ///< fractals from the end of one fractal of a square to the start of the next
    twin::Field8 addrMode = 0;
};

/// Squares from L1 to L0A or L0B, rows become columns. A square is 16 x 16 of 16 bits (a fractal), 16 x 16 of 32 bits (two) or
/// 32 x 32 of 8 bits (two); its fractals lie one after the other in L1.
template <typename T>
inline void LoadDataWithTranspose(const LocalTensor<T> &dst, const LocalTensor<T> &src, const LoadData2dTransposeParams &params,
                                  twin::Where where = twin::Where::here())
{
    using namespace twin;
    Issue issue(Pipe::MTE1, "LoadDataWithTranspose", where);
    issue.only_on(Kind::Cube);
    const Space to = dst.space();
    if (src.space() != Space::L1 || (to != Space::L0A && to != Space::L0B))
        issue.fault(text("goes from L1 to L0A or L0B, not from %s to %s", name(src.space()), name(to)));
    issue.multiple("the destination's address", dst.start(), FRACTAL);
    issue.multiple("the source's address", src.start(), 32);
    issue.limit("addrMode", params.addrMode, 0, 0);
    const uint32_t repeats = params.repeatTimes;
    if (!repeats) return;
    constexpr uint32_t SIZE = sizeof(T), PARTS = SIZE == 2 ? 1 : 2, SIDE = SIZE == 1 ? 32 : 16, COLUMNS = 32 / SIZE;
    constexpr uint32_t SQUARE = PARTS * FRACTAL;
    const uint64_t pitch = (params.dstGap + 1ull) * FRACTAL, part_pitch = (params.dstFracGap + 1ull) * FRACTAL;
    const uint64_t first = src.start() + params.startIndex * static_cast<uint64_t>(SQUARE), stride = params.srcStride * static_cast<uint64_t>(SQUARE);
    issue.within(Space::L1, first, (repeats - 1) * stride + SQUARE);
    issue.within(to, dst.start(), (repeats - 1) * pitch + (PARTS - 1) * part_pitch + FRACTAL);
    // Where element (r, c) of a square lies, in fractals of 16 rows by 32 bytes: b32 has two side by side, b8 two on top of each other.
    const auto place = [](uint32_t r, uint32_t c, uint64_t part) { return (r / 16 + c / COLUMNS) * part + r % 16 * 32 + c % COLUMNS * SIZE; };
    for (uint32_t i = 0; i < repeats && (issue.checks() || issue.computes()); ++i) {
        const uint64_t from = first + i * stride, at = dst.start() + i * pitch;
        if (issue.checks()) {
            issue.read(Space::L1, from, SQUARE);
            for (uint32_t part = 0; part < PARTS; ++part) issue.write(to, at + part * part_pitch, FRACTAL);
        }
        if (issue.computes())
            for (uint32_t r = 0; r < SIDE; ++r)
                for (uint32_t c = 0; c < SIDE; ++c)
                    std::memcpy(issue.core.memory(to) + at + place(c, r, part_pitch), issue.core.memory(Space::L1) + from + place(r, c, FRACTAL), SIZE);
    }
    issue.take(cost::load_fractals(to, repeats * PARTS));
}

template <typename T> struct InitConstValueParams {
    InitConstValueParams() = default;
    InitConstValueParams(twin::Field16 repeatTimesIn, twin::Field16 blockNumIn, twin::Field16 dstGapIn, T initValueIn)
        : repeatTimes(repeatTimesIn), blockNum(blockNumIn), dstGap(dstGapIn), initValue(initValueIn)
    {
    }
    InitConstValueParams(twin::Field16 repeatTimesIn, T initValueIn) : repeatTimes(repeatTimesIn), initValue(initValueIn) {}

    twin::Field16 repeatTimes = 0;
    twin::Field16 blockNum = 0;  ///< of a repeat: 32 bytes each in L1, 512 in L0
    twin::Field16 dstGap = 0;    ///< blocks from the end of a repeat to the start of the next
    T initValue{};
};

/// Fills L1, L0A or L0B.
template <typename T>
inline void InitConstValue(const LocalTensor<T> &dst, const InitConstValueParams<T> &params, twin::Where where = twin::Where::here())
{
    using namespace twin;
    const Space to = dst.space();
    Issue issue(to == Space::L1 ? Pipe::MTE2 : Pipe::MTE1, "InitConstValue", where);
    issue.only_on(Kind::Cube);
    if (to != Space::L1 && to != Space::L0A && to != Space::L0B) issue.fault(text("fills L1, L0A or L0B, not %s", name(to)));
    static_assert(sizeof(T) == 2 || sizeof(T) == 4, "InitConstValue is for types of 16 and 32 bits");
    const uint32_t unit = to == Space::L1 ? 32 : FRACTAL;
    issue.multiple("the destination's address", dst.start(), unit);
    issue.limit("repeatTimes", params.repeatTimes, 0, 32767);
    issue.limit("blockNum", params.blockNum, 0, 32767);
    issue.limit("dstGap", params.dstGap, 0, 32767);
    if (!params.repeatTimes || !params.blockNum) return;
    const uint64_t bytes = static_cast<uint64_t>(params.blockNum) * unit, pitch = bytes + static_cast<uint64_t>(params.dstGap) * unit;
    issue.within(to, dst.start(), (params.repeatTimes - 1) * pitch + bytes);
    if (issue.checks())
        for (uint32_t i = 0; i < params.repeatTimes; ++i) issue.write(to, dst.start() + i * pitch, bytes);
    if (issue.computes())
        for (uint32_t i = 0; i < params.repeatTimes; ++i)
            for (uint64_t x = 0; x < bytes; x += sizeof(T))
                std::memcpy(issue.core.memory(to) + dst.start() + i * pitch + x, &params.initValue, sizeof(T));
    issue.take(cost::fill(to, bytes * params.repeatTimes));
}

} // namespace AscendC
