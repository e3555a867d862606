/// Compare, CompareScalar, Select: bits from elements, and elements by bits.
#pragma once

#include "elementwise.h"

namespace twin {

template <typename V> inline bool holds(AscendC::CMPMODE mode, V a, V b)
{
    using Mode = AscendC::CMPMODE;
    switch (mode) {
    case Mode::LT: return a < b;
    case Mode::GT: return a > b;
    case Mode::EQ: return a == b;
    case Mode::LE: return a <= b;
    case Mode::GE: return a >= b;
    default: return a != b;
    }
}

/// Bits of whole repeats, one after the other: the instruction takes no notice of a mask.
template <typename T, typename U, typename Second>
inline void compare(Issue &issue, const AscendC::LocalTensor<U> &dst, AscendC::CMPMODE mode, int64_t repeats, const Operand *from, int count,
                    Second second)
{
    static_assert(is_one_of<T, half, float, int32_t>, "comparisons are of half and float, and for equality of int32_t on dav-c220");
    static_assert(is_one_of<U, uint8_t, int8_t, uint16_t, uint32_t, uint64_t>, "the bits of a comparison go to integers");
    if (std::is_same_v<T, int32_t> && mode != AscendC::CMPMODE::EQ) issue.fault("compares int32_t for equality (CMPMODE::EQ) only");
    constexpr uint32_t width = lanes_of(sizeof(T)), bytes = width / 8;
    Lanes lanes;
    lanes.width = lanes.prefix = lanes.tail = width;
    lanes.repeats = static_cast<uint32_t>(repeats);
    lanes.bits[0] = lanes.last[0] = ~0ull;
    lanes.bits[1] = lanes.last[1] = width > 64 ? ~0ull : 0;
    const Operand to = operand(issue, dst, 1, 0, DESTINATION);
    for (int i = 0; i < count; ++i) {
        issue.within(Space::UB, from[i].start, from[i].extent(lanes));
        if (issue.checks())
            each_run(lanes, from[i].flat(width), from[i].linear(), width / 8,
                     [&](uint32_t repeat, uint32_t lane, uint32_t n) { issue.read(Space::UB, from[i].at(repeat, lane), n * sizeof(T)); });
    }
    if (repeats) issue.write(Space::UB, to.start, lanes.repeats * bytes);
    issue.take(cost::vector(cost::Vector::Compare, lanes.repeats));
    if (!issue.computes()) return;
    uint8_t *out = issue.core.memory(Space::UB) + to.start;
    for (uint32_t repeat = 0; repeat < lanes.repeats; ++repeat) {
        uint8_t bits[bytes] = {};
        for (uint32_t lane = 0; lane < width; ++lane)
            bits[lane / 8] |= holds(mode, wide(*at<T>(issue, from[0], repeat, lane)), second(repeat, lane)) << lane % 8;
        std::memcpy(out + repeat * bytes, bits, bytes);
    }
}

template <typename T> inline void whole_mask(const Issue &issue, bool sets, uint64_t low, uint64_t high, bool bits)
{
    constexpr uint32_t width = lanes_of(sizeof(T));
    const bool none = !sets || (low == 0 && high == 0);
    const bool whole = bits ? low == ~0ull && high == (width > 64 ? ~0ull : 0) : low == width;
    if (!none && !whole) issue.fault(text("takes no notice of a mask: it compares all %u lanes of a repeat", width));
}

/// The number of repeats of a count form.
template <typename T> inline int64_t whole_repeats(const Issue &issue, int64_t count)
{
    issue.limit("the number of elements", count, 0, bytes_of(Space::UB));
    issue.multiple("the number of bytes", static_cast<uint64_t>(count) * sizeof(T), 256);
    return count * static_cast<int64_t>(sizeof(T)) / 256;
}

template <typename T, typename U>
inline void compare_tensors(Issue &issue, const AscendC::LocalTensor<U> &dst, const AscendC::LocalTensor<T> &src0, const AscendC::LocalTensor<T> &src1,
                            AscendC::CMPMODE mode, int64_t repeats, const AscendC::BinaryRepeatParams &params)
{
    issue.only_on(Kind::Vector);
    const Operand from[2] = {operand(issue, src0, params.src0BlkStride, params.src0RepStride, SOURCE0),
                             operand(issue, src1, params.src1BlkStride, params.src1RepStride, SOURCE1)};
    compare<T>(issue, dst, mode, repeats, from, 2,
               [&](uint32_t repeat, uint32_t lane) { return wide(*at<T>(issue, from[1], repeat, lane)); });
}

template <typename T, typename U>
inline void compare_scalar(Issue &issue, const AscendC::LocalTensor<U> &dst, const AscendC::LocalTensor<T> &src, T scalar, AscendC::CMPMODE mode,
                           int64_t repeats, const AscendC::UnaryRepeatParams &params)
{
    issue.only_on(Kind::Vector);
    const Operand from = operand(issue, src, params.srcBlkStride, params.srcRepStride, SOURCE);
    compare<T>(issue, dst, mode, repeats, &from, 1, [&](uint32_t, uint32_t) { return wide(scalar); });
}

/// The library keeps the scalar, or where the bits lie, in a part of UB of its own.
constexpr uint32_t SELECT_SCRATCH = 184 * 1024;

/// dst = bit ? first : second. `reuses`: each repeat takes the bits of the first one.
template <typename T, typename U, typename Second>
inline void select(Issue &issue, const AscendC::LocalTensor<T> &dst, const AscendC::LocalTensor<U> &bits, bool reuses, const Choice &choice,
                   const AscendC::BinaryRepeatParams &params, const Operand *from, int count, Second second)
{
    static_assert(is_one_of<T, half, float>, "Select is of half and float on dav-c220");
    static_assert(is_one_of<U, uint8_t, uint16_t, uint32_t, uint64_t>, "the bits of Select come from unsigned integers");
    constexpr uint32_t width = lanes_of(sizeof(T));
    const Lanes lanes = twin::lanes(issue, width, choice);
    const Operand to = operand(issue, dst, params.dstBlkStride, params.dstRepStride, DESTINATION);
    const Operand list = operand(issue, bits, 1, 0, "the tensor of bits");
    if (!reuses && issue.checks()) {
        issue.write(Space::UB, SELECT_SCRATCH, 32 * sizeof(uint32_t));
        issue.core.shadow(Space::UB).forget(SELECT_SCRATCH, 32 * sizeof(uint32_t));
    }
    if (lanes.repeats) issue.read(Space::UB, list.start, reuses ? width / 8 : (lanes.repeats - 1) * uint64_t(width / 8) + (lanes.top() + 7) / 8);
    touch(issue, lanes, to, from, count, false, false);
    issue.take(cost::vector(cost::Vector::Select, lanes.repeats));
    if (!issue.computes()) return;
    const uint8_t *on = issue.core.memory(Space::UB) + list.start;
    each_run(lanes, false, false, width / 8, [&](uint32_t repeat, uint32_t lane, uint32_t n) {
        for (uint32_t i = lane; i < lane + n; ++i) {
            const uint32_t bit = reuses ? i : repeat * width + i;
            *at<T>(issue, to, repeat, i) = on[bit / 8] >> bit % 8 & 1 ? *at<T>(issue, from[0], repeat, i) : second(repeat, i);
        }
    });
}

template <typename T, typename U>
inline void select_tensors(Where where, const AscendC::LocalTensor<T> &dst, const AscendC::LocalTensor<U> &bits, const AscendC::LocalTensor<T> &src0,
                           const AscendC::LocalTensor<T> &src1, AscendC::SELMODE mode, const Choice &choice, const AscendC::BinaryRepeatParams &params)
{
    Issue issue(Pipe::V, "Select", where);
    issue.only_on(Kind::Vector);
    if (mode == AscendC::SELMODE::VSEL_TENSOR_SCALAR_MODE) issue.fault("is given two tensors in the mode of a tensor and a scalar");
    const Operand from[2] = {operand(issue, src0, params.src0BlkStride, params.src0RepStride, SOURCE0),
                             operand(issue, src1, params.src1BlkStride, params.src1RepStride, SOURCE1)};
    select(issue, dst, bits, mode == AscendC::SELMODE::VSEL_CMPMASK_SPR, choice, params, from, 2,
           [&](uint32_t repeat, uint32_t lane) { return *at<T>(issue, from[1], repeat, lane); });
}

template <typename T, typename U>
inline void select_scalar(Where where, const AscendC::LocalTensor<T> &dst, const AscendC::LocalTensor<U> &bits, const AscendC::LocalTensor<T> &src, T scalar,
                          AscendC::SELMODE mode, const Choice &choice, const AscendC::BinaryRepeatParams &params)
{
    Issue issue(Pipe::V, "Select", where);
    issue.only_on(Kind::Vector);
    if (mode != AscendC::SELMODE::VSEL_TENSOR_SCALAR_MODE) issue.fault("is given a tensor and a scalar in a mode of two tensors");
    const Operand from = operand(issue, src, params.src0BlkStride, params.src0RepStride, SOURCE0);
    select(issue, dst, bits, false, choice, params, &from, 1, [&](uint32_t, uint32_t) { return scalar; });
}

} // namespace twin

namespace AscendC {

template <typename T, typename U, bool isSetMask = true>
inline void Compare(const LocalTensor<U> &dst, const LocalTensor<T> &src0, const LocalTensor<T> &src1, CMPMODE mode, const uint64_t mask[],
                    const int64_t repeats, const BinaryRepeatParams &params, twin::Where where = twin::Where::here())
{
    twin::Issue issue(twin::Pipe::V, "Compare", where);
    twin::whole_mask<T>(issue, isSetMask, mask[0], mask[1], true);
    issue.limit("the number of repeats", repeats, 0, 255);
    twin::compare_tensors(issue, dst, src0, src1, mode, repeats, params);
}

template <typename T, typename U, bool isSetMask = true>
inline void Compare(const LocalTensor<U> &dst, const LocalTensor<T> &src0, const LocalTensor<T> &src1, CMPMODE mode, const uint64_t mask,
                    const int64_t repeats, const BinaryRepeatParams &params, twin::Where where = twin::Where::here())
{
    twin::Issue issue(twin::Pipe::V, "Compare", where);
    twin::whole_mask<T>(issue, isSetMask, mask, 0, false);
    issue.limit("the number of repeats", repeats, 0, 255);
    twin::compare_tensors(issue, dst, src0, src1, mode, repeats, params);
}

template <typename T, typename U>
inline void Compare(const LocalTensor<U> &dst, const LocalTensor<T> &src0, const LocalTensor<T> &src1, CMPMODE mode, const int64_t count,
                    twin::Where where = twin::Where::here())
{
    twin::Issue issue(twin::Pipe::V, "Compare", where);
    twin::compare_tensors(issue, dst, src0, src1, mode, twin::whole_repeats<T>(issue, count), BinaryRepeatParams());
}

template <typename T, typename U, bool isSetMask = true>
inline void CompareScalar(const LocalTensor<U> &dst, const LocalTensor<T> &src, const T scalar, CMPMODE mode, const uint64_t mask[], const int64_t repeats,
                          const UnaryRepeatParams &params, twin::Where where = twin::Where::here())
{
    twin::Issue issue(twin::Pipe::V, "CompareScalar", where);
    twin::whole_mask<T>(issue, isSetMask, mask[0], mask[1], true);
    issue.limit("the number of repeats", repeats, 0, 255);
    twin::compare_scalar(issue, dst, src, scalar, mode, repeats, params);
}

template <typename T, typename U, bool isSetMask = true>
inline void CompareScalar(const LocalTensor<U> &dst, const LocalTensor<T> &src, const T scalar, CMPMODE mode, const uint64_t mask, const int64_t repeats,
                          const UnaryRepeatParams &params, twin::Where where = twin::Where::here())
{
    twin::Issue issue(twin::Pipe::V, "CompareScalar", where);
    twin::whole_mask<T>(issue, isSetMask, mask, 0, false);
    issue.limit("the number of repeats", repeats, 0, 255);
    twin::compare_scalar(issue, dst, src, scalar, mode, repeats, params);
}

template <typename T, typename U>
inline void CompareScalar(const LocalTensor<U> &dst, const LocalTensor<T> &src, const T scalar, CMPMODE mode, const int64_t count,
                          twin::Where where = twin::Where::here())
{
    twin::Issue issue(twin::Pipe::V, "CompareScalar", where);
    twin::compare_scalar(issue, dst, src, scalar, mode, twin::whole_repeats<T>(issue, count), UnaryRepeatParams());
}

/// Select sets the mask register in CANN 8.1 whatever isSetMask says, so false has no use.
template <typename T, typename U, bool isSetMask = true>
inline void Select(const LocalTensor<T> &dst, const LocalTensor<U> &bits, const LocalTensor<T> &src0, const LocalTensor<T> &src1, SELMODE mode,
                   const uint64_t mask[], const int64_t repeats, const BinaryRepeatParams &params, twin::Where where = twin::Where::here())
{
    static_assert(isSetMask, "Select sets the mask register whatever isSetMask says: give the mask");
    twin::select_tensors(where, dst, bits, src0, src1, mode, twin::Choice::bits(true, mask, repeats), params);
}

template <typename T, typename U, bool isSetMask = true>
inline void Select(const LocalTensor<T> &dst, const LocalTensor<U> &bits, const LocalTensor<T> &src0, const LocalTensor<T> &src1, SELMODE mode,
                   const uint64_t mask, const int64_t repeats, const BinaryRepeatParams &params, twin::Where where = twin::Where::here())
{
    static_assert(isSetMask, "Select sets the mask register whatever isSetMask says: give the mask");
    twin::select_tensors(where, dst, bits, src0, src1, mode, twin::Choice::first(true, mask, repeats), params);
}

template <typename T, typename U>
inline void Select(const LocalTensor<T> &dst, const LocalTensor<U> &bits, const LocalTensor<T> &src0, const LocalTensor<T> &src1, SELMODE mode,
                   const int64_t count, twin::Where where = twin::Where::here())
{
    twin::select_tensors(where, dst, bits, src0, src1, mode, twin::Choice::count(count), BinaryRepeatParams());
}

template <typename T, typename U, bool isSetMask = true>
inline void Select(const LocalTensor<T> &dst, const LocalTensor<U> &bits, const LocalTensor<T> &src, T scalar, SELMODE mode, const uint64_t mask[],
                   const int64_t repeats, const BinaryRepeatParams &params, twin::Where where = twin::Where::here())
{
    static_assert(isSetMask, "Select sets the mask register whatever isSetMask says: give the mask");
    twin::select_scalar(where, dst, bits, src, scalar, mode, twin::Choice::bits(true, mask, repeats), params);
}

template <typename T, typename U, bool isSetMask = true>
inline void Select(const LocalTensor<T> &dst, const LocalTensor<U> &bits, const LocalTensor<T> &src, T scalar, SELMODE mode, const uint64_t mask,
                   const int64_t repeats, const BinaryRepeatParams &params, twin::Where where = twin::Where::here())
{
    static_assert(isSetMask, "Select sets the mask register whatever isSetMask says: give the mask");
    twin::select_scalar(where, dst, bits, src, scalar, mode, twin::Choice::first(true, mask, repeats), params);
}

template <typename T, typename U>
inline void Select(const LocalTensor<T> &dst, const LocalTensor<U> &bits, const LocalTensor<T> &src, T scalar, SELMODE mode, const int64_t count,
                   twin::Where where = twin::Where::here())
{
    twin::select_scalar(where, dst, bits, src, scalar, mode, twin::Choice::count(count), BinaryRepeatParams());
}

} // namespace AscendC
