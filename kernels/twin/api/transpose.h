/// Transpose of 16 x 16 elements of 16 bits, and TransDataTo5HD: of 16 blocks of 32 bytes, which may lie anywhere.
#pragma once

#include "elementwise.h"

namespace AscendC {

constexpr int32_t NCHW_CONV_ADDR_LIST_SIZE = 16;

} // namespace AscendC

namespace twin {

/// Of each repeat: 16 bits: block i of the destination gets element i of every source block. 32 bits: element i of the first eight
/// goes to block 2 i, of the others to block 2 i + 1. 8 bits: as 16 bits, of one half of the source blocks to one half of those of
/// the destination.
template <typename T>
inline void to_5hd(Where where, const uint64_t *to, const uint64_t *from, const AscendC::TransDataTo5HDParams &params)
{
    static_assert(is_one_of<T, int8_t, uint8_t, int16_t, uint16_t, half, int32_t, uint32_t, float>,
                  "TransDataTo5HD is of integers of 8, 16 and 32 bits, half and float on dav-c220; use uint16_t for bfloat16_t");
    Issue issue(Pipe::V, "TransDataTo5HD", where);
    issue.only_on(Kind::Vector);
    const uint32_t repeats = params.repeatTimes;
    if (repeats == 1 && (params.dstRepStride || params.srcRepStride)) issue.fault("dstRepStride and srcRepStride must be 0 if there is one repeat");
    constexpr uint32_t SIZE = sizeof(T), HALF = SIZE == 1 ? 16 : 32;
    const uint32_t to_half = SIZE == 1 && params.dstHighHalf ? 16 : 0, from_half = SIZE == 1 && params.srcHighHalf ? 16 : 0;
    for (int i = 0; i < 16; ++i) {
        if (to[i] % 32 || from[i] % 32)
            issue.fault(text("block %d begins at byte %llu of UB in the source and at %llu in the destination, and must begin at multiples of 32", i,
                             static_cast<unsigned long long>(from[i]), static_cast<unsigned long long>(to[i])));
        if (!repeats) continue;
        issue.within(Space::UB, from[i], (repeats - 1) * params.srcRepStride * 32ull + 32);
        issue.within(Space::UB, to[i], (repeats - 1) * params.dstRepStride * 32ull + 32);
    }
    if (issue.checks())
        for (uint32_t repeat = 0; repeat < repeats; ++repeat) {
            for (int i = 0; i < 16; ++i) issue.read(Space::UB, from[i] + repeat * params.srcRepStride * 32 + from_half, HALF);
            for (int i = 0; i < 16; ++i) issue.write(Space::UB, to[i] + repeat * params.dstRepStride * 32 + to_half, HALF);
        }
    issue.core.registers.mask[0] = issue.core.registers.mask[1] = ~0ull;
    issue.take(cost::vector(cost::Vector::Transpose, repeats));
    if (!issue.computes()) return;
    uint8_t *ub = issue.core.memory(Space::UB);
    for (uint32_t repeat = 0; repeat < repeats; ++repeat) {
        constexpr uint32_t COUNT = HALF / SIZE;  // elements of a block that take part
        T values[16][COUNT];
        for (int i = 0; i < 16; ++i) std::memcpy(values[i], ub + from[i] + repeat * params.srcRepStride * 32 + from_half, HALF);
        for (uint32_t e = 0; e < COUNT; ++e)
            for (uint32_t i = 0; i < 16; ++i) {
                const uint32_t block = SIZE == 4 ? 2 * e + i / 8 : e, place = SIZE == 4 ? i % 8 : i;
                std::memcpy(ub + to[block] + repeat * params.dstRepStride * 32 + to_half + place * SIZE, &values[i][e], SIZE);
            }
    }
}

} // namespace twin

namespace AscendC {

/// With addresses in UB, as GetPhyAddr gives them.
template <typename T>
inline void TransDataTo5HD(uint64_t dstList[NCHW_CONV_ADDR_LIST_SIZE], uint64_t srcList[NCHW_CONV_ADDR_LIST_SIZE], const TransDataTo5HDParams &params,
                           twin::Where where = twin::Where::here())
{
    twin::to_5hd<T>(where, dstList, srcList, params);
}

template <typename T>
inline void TransDataTo5HD(const LocalTensor<T> (&dstList)[NCHW_CONV_ADDR_LIST_SIZE], const LocalTensor<T> (&srcList)[NCHW_CONV_ADDR_LIST_SIZE],
                           const TransDataTo5HDParams &params, twin::Where where = twin::Where::here())
{
    uint64_t to[NCHW_CONV_ADDR_LIST_SIZE], from[NCHW_CONV_ADDR_LIST_SIZE];
    for (int i = 0; i < NCHW_CONV_ADDR_LIST_SIZE; ++i) {
        if (dstList[i].space() != twin::Space::UB || srcList[i].space() != twin::Space::UB)
            twin::Issue(twin::Pipe::V, "TransDataTo5HD", where).fault("works in UB alone");
        to[i] = dstList[i].start();
        from[i] = srcList[i].start();
    }
    twin::to_5hd<T>(where, to, from, params);
}

/// 16 x 16 elements of 16 bits.
template <typename T> inline void Transpose(const LocalTensor<T> &dst, const LocalTensor<T> &src, twin::Where where = twin::Where::here())
{
    static_assert(sizeof(T) == 2, "Transpose is of types of 16 bits on dav-c220; TransDataTo5HD has others");
    twin::Issue issue(twin::Pipe::V, "Transpose", where);
    issue.only_on(twin::Kind::Vector);
    const twin::Operand to = twin::operand(issue, dst, 1, 0, twin::DESTINATION), from = twin::operand(issue, src, 1, 0, twin::SOURCE);
    if (to.start < from.start + 512 && from.start < to.start + 512 && to.start != from.start) issue.fault("the destination overlaps the source");
    issue.read(twin::Space::UB, from.start, 512);
    issue.write(twin::Space::UB, to.start, 512);
    issue.take(twin::cost::vector(twin::cost::Vector::Transpose, 1));
    if (!issue.computes()) return;
    T values[256], *d = dst.data();
    std::memcpy(values, src.data(), sizeof(values));
    for (int row = 0; row < 16; ++row)
        for (int column = 0; column < 16; ++column) d[column * 16 + row] = values[row * 16 + column];
}

} // namespace AscendC
