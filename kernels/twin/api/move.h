/// What vector cores move: UB to global memory, both ways in bytes (DataCopyPad), and within UB.
#pragma once

#include "atomic.h"
#include "copy.h"
#include "elementwise.h"

namespace AscendC {

/// Blocks of bytes. Strides are gaps from the end of one block to the start of the next: in bytes in global memory, in blocks of 32
/// bytes in UB.
struct DataCopyExtParams {
    DataCopyExtParams() = default;
    DataCopyExtParams(twin::Field16 count, twin::Field<uint32_t> len, twin::Field<uint32_t> srcGap, twin::Field<uint32_t> dstGap,
                      twin::Field<uint32_t> reserved)
        : blockCount(count), blockLen(len), srcStride(srcGap), dstStride(dstGap), rsv(reserved)
    {
    }

    twin::Field16 blockCount = 1;
    twin::Field<uint32_t> blockLen = 0;
    twin::Field<uint32_t> srcStride = 0;
    twin::Field<uint32_t> dstStride = 0;
    twin::Field<uint32_t> rsv = 0;
};

/// What a block in UB gets around its data: so many elements before and behind.
template <typename T> struct DataCopyPadExtParams {
    DataCopyPadExtParams() = default;
    DataCopyPadExtParams(bool pads, twin::Field8 left, twin::Field8 right, T value)
        : isPad(pads), leftPadding(left), rightPadding(right), paddingValue(value)
    {
    }

    bool isPad = false;
    twin::Field8 leftPadding = 0;
    twin::Field8 rightPadding = 0;
    T paddingValue = T{};
};

struct DataCopyPadParams {
    DataCopyPadParams() = default;
    DataCopyPadParams(bool pads, twin::Field8 left, twin::Field8 right, uint64_t value)
        : isPad(pads), leftPadding(left), rightPadding(right), paddingValue(value)
    {
    }

    bool isPad = false;
    twin::Field8 leftPadding = 0;
    twin::Field8 rightPadding = 0;
    uint64_t paddingValue = 0;
};

} // namespace AscendC

namespace twin {

/// Blocks of bytes on their way between UB and global memory.
struct Blocks {
    uint32_t count;
    uint64_t bytes;         ///< of a block, in global memory
    uint64_t global_pitch;  ///< from block to block
    uint64_t local_pitch;
};

/// `f(first, blocks, bytes)` for the blocks that lie in a row; `pitch` is from block to block.
template <class F> inline void each_row(uint32_t count, uint64_t bytes, uint64_t pitch, F f)
{
    if (bytes == pitch) return f(uint64_t(0), count * bytes);
    for (uint32_t i = 0; i < count; ++i) f(i * pitch, bytes);
}

/// UB to global memory.
template <typename T> inline void store_blocks(Issue &issue, uint64_t address, uint32_t local, const Blocks &blocks, bool keep)
{
    const bool atomic = combines<T>(issue);
    issue.within(Space::UB, local, (blocks.count - 1) * blocks.local_pitch + blocks.bytes);
    issue.core.launch.reach(issue.start());
    if (issue.checks() || issue.computes()) {
        each_row(blocks.count, blocks.bytes, blocks.local_pitch, [&](uint64_t at, uint64_t bytes) { issue.read(Space::UB, local + at, bytes); });
        if (issue.checks())
            each_row(blocks.count, blocks.bytes, blocks.global_pitch, [&](uint64_t at, uint64_t bytes) { issue.write_gm(address + at, bytes, atomic); });
        if (issue.computes())
            for (uint32_t i = 0; i < blocks.count; ++i)
                if (uint8_t *to = issue.core.launch.at(issue, address + i * blocks.global_pitch, blocks.bytes))
                    store<T>(issue, to, issue.core.memory(Space::UB) + local + i * blocks.local_pitch, blocks.bytes);
    } else {
        issue.write_gm(address, blocks.bytes, atomic);
        issue.write_gm(address + (blocks.count - 1) * blocks.global_pitch, blocks.bytes, atomic);
    }
    issue.take(issue.core.launch.traffic.move(false, issue.start(), {address, blocks.bytes, blocks.count, blocks.global_pitch}, true, keep));
}

/// How a block is padded in UB.
template <typename T> struct Padding {
    bool pads;
    uint32_t left, right;  ///< elements
    T value;
};

/// Global memory to UB, each block from a multiple of 32 bytes on.
template <typename T>
inline void load_blocks(Issue &issue, uint32_t local, uint64_t address, const Blocks &blocks, const Padding<T> &padding, bool keep)
{
    const uint64_t left = padding.left * sizeof(T), right = padding.right * sizeof(T), data = left + blocks.bytes + right;
    const uint64_t whole = (data + 31) / 32 * 32;
    // Without padding the rest of the last 32 bytes is filled; with padding, what lies beyond it has no meaning.
    const uint64_t written = padding.pads ? data : whole;
    issue.within(Space::UB, local, (blocks.count - 1) * blocks.local_pitch + whole);
    issue.core.launch.reach(issue.start());
    if (issue.checks() || issue.computes()) {
        if (issue.checks()) {
            each_row(blocks.count, blocks.bytes, blocks.global_pitch, [&](uint64_t at, uint64_t bytes) { issue.read_gm(address + at, bytes); });
            each_row(blocks.count, whole, blocks.local_pitch, [&](uint64_t at, uint64_t bytes) { issue.write(Space::UB, local + at, bytes); });
            if (written < whole)
                for (uint32_t i = 0; i < blocks.count; ++i)
                    issue.core.shadow(Space::UB).forget(static_cast<uint32_t>(local + i * blocks.local_pitch + written), static_cast<uint32_t>(whole - written));
        }
        if (issue.computes())
            for (uint32_t i = 0; i < blocks.count; ++i) {
                const uint8_t *from = issue.core.launch.at(issue, address + i * blocks.global_pitch, blocks.bytes);
                if (!from) continue;
                uint8_t *to = issue.core.memory(Space::UB) + local + i * blocks.local_pitch;
                T fill = padding.value;
                if (!padding.pads) std::memcpy(&fill, from, sizeof(T));
                for (uint64_t at = 0; at < left; at += sizeof(T)) std::memcpy(to + at, &fill, sizeof(T));
                std::memcpy(to + left, from, blocks.bytes);
                for (uint64_t at = left + blocks.bytes; at < whole; at += sizeof(T)) std::memcpy(to + at, &fill, sizeof(T));
            }
    } else {
        issue.read_gm(address, blocks.bytes);
        issue.read_gm(address + (blocks.count - 1) * blocks.global_pitch, blocks.bytes);
    }
    issue.take(issue.core.launch.traffic.move(false, issue.start(), {address, blocks.bytes, blocks.count, blocks.global_pitch}, false, keep));
}

template <typename T> inline void only_ub(const Issue &issue, const AscendC::LocalTensor<T> &tensor, const char *name)
{
    if (tensor.space() != Space::UB) issue.fault(text("moves between UB and global memory, and %s is in %s", name, twin::name(tensor.space())));
    issue.only_on(Kind::Vector);
    if (tensor.start() % 32) issue.fault(text("%s begins at byte %u of UB, and must be a multiple of 32", name, tensor.start()));
}

} // namespace twin

namespace AscendC {

/// UB to global memory in blocks of 32 bytes.
template <typename T>
inline void DataCopy(const GlobalTensor<T> &dst, const LocalTensor<T> &src, const DataCopyParams &params, twin::Where where = twin::Where::here())
{
    twin::Issue issue(twin::Pipe::MTE3, "DataCopy", where);
    twin::only_ub(issue, src, twin::SOURCE);
    issue.limit("blockCount", params.blockCount, 1, 4095);
    issue.limit("blockLen", params.blockLen, 1, 65535);
    const uint64_t bytes = params.blockLen * 32ull;
    twin::store_blocks<T>(issue, dst.start(), src.start(), {params.blockCount, bytes, bytes + params.dstStride * 32ull, bytes + params.srcStride * 32ull},
                          !dst.bypasses_l2());
}

template <typename T>
inline void DataCopy(const GlobalTensor<T> &dst, const LocalTensor<T> &src, const int64_t count, twin::Where where = twin::Where::here())
{
    twin::Issue issue(twin::Pipe::MTE3, "DataCopy", where);
    twin::only_ub(issue, src, twin::SOURCE);
    issue.limit("the number of elements", count, 1, twin::bytes_of(twin::Space::UB));
    const uint64_t bytes = static_cast<uint64_t>(count) * sizeof(T);
    issue.multiple("the number of bytes", bytes, 32);
    twin::store_blocks<T>(issue, dst.start(), src.start(), {1, bytes, bytes, bytes}, !dst.bypasses_l2());
}

/// Within UB in blocks of 32 bytes; on cube cores L1 to the tables.
template <typename T>
inline void DataCopy(const LocalTensor<T> &dst, const LocalTensor<T> &src, const DataCopyParams &params, twin::Where where = twin::Where::here())
{
    if (dst.space() != twin::Space::UB || src.space() != twin::Space::UB) return CopyToTable(dst, src, params, where);
    twin::Issue issue(twin::Pipe::V, "DataCopy", where);
    issue.only_on(twin::Kind::Vector);
    issue.limit("blockCount", params.blockCount, 1, 4095);
    issue.limit("blockLen", params.blockLen, 1, 65535);
    issue.multiple("the destination's address", dst.start(), 32);
    issue.multiple("the source's address", src.start(), 32);
    const uint64_t bytes = params.blockLen * 32ull, to_pitch = bytes + params.dstStride * 32ull, from_pitch = bytes + params.srcStride * 32ull;
    const uint64_t to_all = (params.blockCount - 1) * to_pitch + bytes, from_all = (params.blockCount - 1) * from_pitch + bytes;
    issue.within(twin::Space::UB, dst.start(), to_all);
    issue.within(twin::Space::UB, src.start(), from_all);
    if (dst.start() < src.start() + from_all && src.start() < dst.start() + to_all) issue.fault("the destination overlaps the source");
    if (issue.checks()) {
        twin::each_row(params.blockCount, bytes, from_pitch, [&](uint64_t at, uint64_t n) { issue.read(twin::Space::UB, src.start() + at, n); });
        twin::each_row(params.blockCount, bytes, to_pitch, [&](uint64_t at, uint64_t n) { issue.write(twin::Space::UB, dst.start() + at, n); });
    }
    issue.take(twin::cost::vector(twin::cost::Vector::Copy, static_cast<uint32_t>((bytes * params.blockCount + 255) / 256)));
    if (!issue.computes()) return;
    uint8_t *ub = issue.core.memory(twin::Space::UB);
    for (uint32_t i = 0; i < params.blockCount; ++i) std::memcpy(ub + dst.start() + i * to_pitch, ub + src.start() + i * from_pitch, bytes);
}

template <typename T>
inline void DataCopy(const LocalTensor<T> &dst, const LocalTensor<T> &src, const int64_t count, twin::Where where = twin::Where::here())
{
    const int64_t bytes = count * static_cast<int64_t>(sizeof(T));
    if (bytes <= 0 || bytes % 32) twin::Issue(twin::Pipe::V, "DataCopy", where).fault(twin::text("the number of bytes is %lld, and must be a multiple of 32 above 0", static_cast<long long>(bytes)));
    DataCopy(dst, src, DataCopyParams(1, bytes / 32, 0, 0), where);
}

/// Within UB by repeats: block strides and repeat strides may differ, so that rows interleave or repeat.
template <typename T, bool isSetMask = true>
inline void Copy(const LocalTensor<T> &dst, const LocalTensor<T> &src, const uint64_t mask[], const int64_t repeats, const CopyRepeatParams &params,
                 twin::Where where = twin::Where::here())
{
    static_assert(sizeof(T) == 2 || sizeof(T) == 4, "Copy is of types of 16 and 32 bits on dav-c220");
    twin::unary_stored<false>("Copy", where, twin::cost::Vector::Copy, dst, src, twin::Choice::bits(isSetMask, mask, repeats), params,
                              [](T value) { return value; });
}

template <typename T, bool isSetMask = true>
inline void Copy(const LocalTensor<T> &dst, const LocalTensor<T> &src, const uint64_t mask, const int64_t repeats, const CopyRepeatParams &params,
                 twin::Where where = twin::Where::here())
{
    static_assert(sizeof(T) == 2 || sizeof(T) == 4, "Copy is of types of 16 and 32 bits on dav-c220");
    twin::unary_stored<false>("Copy", where, twin::cost::Vector::Copy, dst, src, twin::Choice::first(isSetMask, mask, repeats), params,
                              [](T value) { return value; });
}

/// Global memory to UB by bytes, with padding to blocks of 32 bytes. Without padding the rest of a block gets its first element.
template <typename T>
inline void DataCopyPad(const LocalTensor<T> &dst, const GlobalTensor<T> &src, const DataCopyExtParams &params, const DataCopyPadExtParams<T> &padding,
                        twin::Where where = twin::Where::here())
{
    twin::Issue issue(twin::Pipe::MTE2, "DataCopyPad", where);
    twin::only_ub(issue, dst, twin::DESTINATION);
    issue.limit("blockCount", params.blockCount, 1, 4095);
    issue.limit("blockLen", params.blockLen, 1, 2097151);
    issue.multiple("blockLen", params.blockLen, sizeof(T));
    issue.limit("the bytes of leftPadding", padding.leftPadding * static_cast<int64_t>(sizeof(T)), 0, 32);
    issue.limit("the bytes of rightPadding", padding.rightPadding * static_cast<int64_t>(sizeof(T)), 0, 32);
    if (!padding.isPad && (padding.leftPadding || padding.rightPadding))
        issue.fault("leftPadding and rightPadding have no meaning without isPad");
    const uint64_t bytes = params.blockLen;
    const uint64_t whole = (bytes + (padding.leftPadding + padding.rightPadding) * sizeof(T) + 31) / 32 * 32;
    twin::load_blocks<T>(issue, dst.start(), src.start(), {params.blockCount, bytes, bytes + params.srcStride, whole + params.dstStride * 32ull},
                         {padding.isPad, padding.leftPadding, padding.rightPadding, padding.paddingValue}, !src.bypasses_l2());
}

template <typename T>
inline void DataCopyPad(const LocalTensor<T> &dst, const GlobalTensor<T> &src, const DataCopyParams &params, const DataCopyPadParams &padding,
                        twin::Where where = twin::Where::here())
{
    T value;
    std::memcpy(&value, &padding.paddingValue, sizeof(T));
    DataCopyPad(dst, src, DataCopyExtParams(params.blockCount, params.blockLen, params.srcStride, params.dstStride, 0),
                DataCopyPadExtParams<T>(padding.isPad, padding.leftPadding, padding.rightPadding, value), where);
}

/// UB to global memory by bytes; a block begins at a multiple of 32 bytes in UB.
template <typename T>
inline void DataCopyPad(const GlobalTensor<T> &dst, const LocalTensor<T> &src, const DataCopyExtParams &params, twin::Where where = twin::Where::here())
{
    twin::Issue issue(twin::Pipe::MTE3, "DataCopyPad", where);
    twin::only_ub(issue, src, twin::SOURCE);
    issue.limit("blockCount", params.blockCount, 1, 4095);
    issue.limit("blockLen", params.blockLen, 1, 2097151);
    issue.multiple("blockLen", params.blockLen, sizeof(T));
    const uint64_t bytes = params.blockLen;
    twin::store_blocks<T>(issue, dst.start(), src.start(), {params.blockCount, bytes, bytes + params.dstStride, (bytes + 31) / 32 * 32 + params.srcStride * 32ull},
                          !dst.bypasses_l2());
}

template <typename T>
inline void DataCopyPad(const GlobalTensor<T> &dst, const LocalTensor<T> &src, const DataCopyParams &params, twin::Where where = twin::Where::here())
{
    DataCopyPad(dst, src, DataCopyExtParams(params.blockCount, params.blockLen, params.srcStride, params.dstStride, 0), where);
}

} // namespace AscendC
