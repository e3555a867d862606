/// DataCopy between global memory and local memory in blocks of 32 bytes: UB of vector cores, L1 of cube cores.
#pragma once

#include "copy_params.h"
#include "tensor.h"

namespace AscendC {

/// Global memory to UB or L1.
template <typename T>
inline void DataCopy(const LocalTensor<T> &dst, const GlobalTensor<T> &src, const DataCopyParams &params,
                     twin::Where where = twin::Where::here())
{
    twin::Issue issue(twin::Pipe::MTE2, "DataCopy", where);
    const twin::Space space = dst.space();
    if (space != twin::Space::UB && space != twin::Space::L1)
        issue.fault(twin::text("copies from global memory to UB or L1, not to %s", twin::name(space)));
    issue.only_on(space == twin::Space::UB ? twin::Kind::Vector : twin::Kind::Cube);
    issue.limit("blockCount", params.blockCount, 1, 4095);
    issue.limit("blockLen", params.blockLen, 1, 65535);
    issue.multiple("the destination's address", dst.start(), 32);
    const uint64_t bytes = params.blockLen * 32ull;
    const uint64_t to_pitch = bytes + params.dstStride * 32ull, from_pitch = bytes + params.srcStride * 32ull;
    issue.within(space, dst.start(), (params.blockCount - 1) * to_pitch + bytes);
    if (issue.checks() || issue.computes())
        for (uint32_t i = 0; i < params.blockCount; ++i) {
            const uint8_t *from = issue.read_gm(src.start() + i * from_pitch, bytes);
            issue.write(space, dst.start() + i * to_pitch, bytes);
            if (from && issue.computes()) std::memcpy(issue.core.memory(space) + dst.start() + i * to_pitch, from, bytes);
        }
    issue.core.launch.reach(issue.start());
    issue.take(issue.core.launch.traffic.move(space == twin::Space::L1, issue.start(),
                                              {src.start(), bytes, params.blockCount, from_pitch}, false, !src.bypasses_l2()));
}

template <typename T>
inline void DataCopy(const LocalTensor<T> &dst, const GlobalTensor<T> &src, const uint32_t count, twin::Where where = twin::Where::here())
{
    const uint64_t bytes = count * sizeof(T);
    if (bytes % 32) twin::Issue(twin::Pipe::MTE2, "DataCopy", where).multiple("the number of bytes", bytes, 32);
    DataCopy(dst, src, DataCopyParams(1, bytes / 32, 0, 0), where);
}

/// L1 to the bias table or to the fixpipe buffer. Blocks are of 64 bytes in the bias table and of 128 in the fixpipe buffer, as are
/// the gaps there; gaps in L1 are of 32.
template <typename D, typename S>
inline void CopyToTable(const LocalTensor<D> &dst, const LocalTensor<S> &src, const DataCopyParams &params, twin::Where where)
{
    const twin::Space space = dst.space();
    twin::Issue issue(space == twin::Space::BT ? twin::Pipe::MTE1 : twin::Pipe::FIX, "DataCopy", where);
    issue.only_on(twin::Kind::Cube);
    if ((space != twin::Space::BT && space != twin::Space::FB) || src.space() != twin::Space::L1)
        issue.fault(twin::text("there is no path from %s to %s", twin::name(src.space()), twin::name(space)));
    if (sizeof(D) != sizeof(S)) issue.fault("changes the type on the way; the table holds what is copied");
    const uint64_t unit = space == twin::Space::BT ? 64 : 128;
    issue.limit("blockCount", params.blockCount, 1, 4095);
    issue.limit("blockLen", params.blockLen, 1, 65535);
    issue.multiple("the destination's address", dst.start(), unit);
    issue.multiple("the source's address", src.start(), 32);
    const uint64_t bytes = params.blockLen * unit;
    const uint64_t to_pitch = bytes + params.dstStride * unit, from_pitch = bytes + params.srcStride * 32ull;
    for (uint32_t i = 0; i < params.blockCount; ++i) {
        issue.read(twin::Space::L1, src.start() + i * from_pitch, bytes);
        issue.write(space, dst.start() + i * to_pitch, bytes);
        if (issue.computes())
            std::memcpy(issue.core.memory(space) + dst.start() + i * to_pitch,
                        issue.core.memory(twin::Space::L1) + src.start() + i * from_pitch, bytes);
    }
    issue.take(twin::cost::load_table(bytes * params.blockCount));
}

template <typename D, typename S>
inline void DataCopy(const LocalTensor<D> &dst, const LocalTensor<S> &src, const DataCopyParams &params,
                     twin::Where where = twin::Where::here())
{
    CopyToTable(dst, src, params, where);
}

} // namespace AscendC
