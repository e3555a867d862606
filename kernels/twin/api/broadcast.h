/// One value into many places: Duplicate, Brcb, CreateVecIndex.
#pragma once

#include "elementwise.h"

namespace AscendC {

#define TWIN_DUPLICATE_TYPES (twin::is_one_of<T, half, bfloat16_t, int16_t, uint16_t, int32_t, uint32_t, float>)

template <typename T, bool isSetMask = true>
inline void Duplicate(const LocalTensor<T> &dst, const T &scalar, const uint64_t mask, const int64_t repeats, const twin::Field16 dstBlkStride,
                      const twin::Field8 dstRepStride, twin::Where where = twin::Where::here())
{
    static_assert(TWIN_DUPLICATE_TYPES, "Duplicate is of types of 16 and 32 bits on dav-c220");
    twin::fill("Duplicate", where, dst, twin::Choice::first(isSetMask, mask, repeats), dstBlkStride, dstRepStride, scalar);
}

template <typename T, bool isSetMask = true>
inline void Duplicate(const LocalTensor<T> &dst, const T &scalar, const uint64_t mask[], const int64_t repeats, const twin::Field16 dstBlkStride,
                      const twin::Field8 dstRepStride, twin::Where where = twin::Where::here())
{
    static_assert(TWIN_DUPLICATE_TYPES, "Duplicate is of types of 16 and 32 bits on dav-c220");
    twin::fill("Duplicate", where, dst, twin::Choice::bits(isSetMask, mask, repeats), dstBlkStride, dstRepStride, scalar);
}

template <typename T>
inline void Duplicate(const LocalTensor<T> &dst, const T &scalar, const int64_t count, twin::Where where = twin::Where::here())
{
    static_assert(TWIN_DUPLICATE_TYPES, "Duplicate is of types of 16 and 32 bits on dav-c220");
    twin::fill("Duplicate", where, dst, twin::Choice::count(count), 1, 8, scalar);
}

#undef TWIN_DUPLICATE_TYPES

/// Every repeat reads eight elements in a row and fills one block of 32 bytes with each.
template <typename T>
inline void Brcb(const LocalTensor<T> &dst, const LocalTensor<T> &src, const int64_t repeats, const BrcbRepeatParams &params,
                 twin::Where where = twin::Where::here())
{
    static_assert(sizeof(T) == 2 || sizeof(T) == 4, "Brcb is of types of 16 and 32 bits on dav-c220");
    twin::Issue issue(twin::Pipe::V, "Brcb", where);
    issue.only_on(twin::Kind::Vector);
    issue.limit("the number of repeats", repeats, 0, 255);
    const twin::Operand to = twin::operand(issue, dst, params.dstBlkStride, params.dstRepStride, twin::DESTINATION);
    const twin::Operand from = twin::operand(issue, src, 1, 0, twin::SOURCE);
    if (to.block == 0) issue.fault("the block stride of the destination is 0: the blocks of a repeat would be written over each other");
    issue.core.registers.mask[0] = issue.core.registers.mask[1] = ~0ull;
    if (repeats == 0) return;
    const uint32_t read = static_cast<uint32_t>(repeats * 8 * sizeof(T)), written = static_cast<uint32_t>((repeats - 1) * to.repeat + 7 * to.block + 32);
    issue.within(twin::Space::UB, from.start, read);
    issue.within(twin::Space::UB, to.start, written);
    const auto each = [&](auto f) {
        for (int64_t repeat = 0; repeat < repeats; ++repeat)
            for (uint32_t block = 0; block < 8; ++block) f(repeat * 8 + block, static_cast<uint32_t>(to.start + repeat * to.repeat + block * to.block));
    };
    if (issue.checks()) {
        if (from.start < to.start + written && to.start < from.start + read)
            each([&](int64_t, uint32_t start) {
                if (start < from.start + read && from.start < start + 32) issue.fault("the destination overlaps the source");
            });
        issue.read(twin::Space::UB, from.start, read);
        if (to.block == 32 && to.repeat == 256) issue.write(twin::Space::UB, to.start, written);
        else each([&](int64_t, uint32_t start) { issue.write(twin::Space::UB, start, 32); });
    }
    issue.take(twin::cost::vector(twin::cost::Vector::Brcb, static_cast<uint32_t>(repeats)));
    if (!issue.computes()) return;
    const T *values = src.data();
    each([&](int64_t index, uint32_t start) {
        T *block = LocalTensor<T>(dst.position(), start, 32).data();
        const T value = values[index];
        for (uint32_t i = 0; i < 32 / sizeof(T); ++i) block[i] = value;
    });
}

} // namespace AscendC
