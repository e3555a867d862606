/// Reductions of a repeat: of each of its blocks (BlockReduce), of all of it (WholeReduce), of neighbours (PairReduceSum).
///
/// Mind the order of arguments in CANN 8.1: BlockReduce and PairReduce take the repeats first, WholeReduce the mask.
/// Sums go as a binary tree over neighbours, rounded at each step; of half, a sum beyond 65504 stays there.
#pragma once

#include "elementwise.h"

namespace twin {

template <typename T> inline Wide<T> sum_of(Wide<T> a, Wide<T> b)
{
    if constexpr (std::is_same_v<T, half>) {
        const float sum = half_to_float(float_to_half(a + b));
        return std::isinf(sum) && !std::isinf(a) && !std::isinf(b) ? std::copysign(65504.0f, sum) : sum;
    } else {
        return a + b;
    }
}

/// The sum of `count` values, a power of two; destroys them.
template <typename T> inline Wide<T> tree_sum(Wide<T> *values, uint32_t count)
{
    for (; count > 1; count /= 2)
        for (uint32_t i = 0; i < count / 2; ++i) values[i] = sum_of<T>(values[2 * i], values[2 * i + 1]);
    return values[0];
}

/// The lanes of a repeat as values to compute with; those that are off are `neutral`.
template <typename T>
inline void gather_lanes(const Issue &issue, const Lanes &lanes, const Operand &from, uint32_t repeat, Wide<T> neutral, Wide<T> *values)
{
    const uint32_t first = from.linear() ? lanes.first(repeat) : 0;
    const T *row = at<T>(issue, from, repeat, 0);
    for (uint32_t lane = 0; lane < first; ++lane) values[lane] = wide(row[lane]);
    const uint64_t *bits = lanes.of(repeat);
    for (uint32_t lane = first; lane < lanes.width; ++lane)
        values[lane] = !first && (bits[lane / 64] >> lane % 64 & 1) ? wide(*at<T>(issue, from, repeat, lane)) : neutral;
}

/// What a reduction writes for a repeat: `results` elements, `pitch` elements after those of the repeat before.
struct Results {
    uint32_t results;
    uint64_t pitch;
    uint32_t alignment;
};

/// `reduce(values, to, repeat)` puts the results of one repeat to `to`.
template <typename T, typename F>
inline void reduce(const char *name, Where where, cost::Vector kind, const AscendC::LocalTensor<T> &dst, const AscendC::LocalTensor<T> &src,
                   const Choice &choice, const Results &shape, int64_t block_stride, int64_t repeat_stride, Wide<T> neutral, F reduce)
{
    static_assert(is_one_of<T, half, float>, "reductions are of half and float on dav-c220; cast bfloat16_t to float first");
    Issue issue(Pipe::V, name, where);
    issue.only_on(Kind::Vector);
    issue.limit("srcBlkStride", block_stride, 0, 65535);
    issue.limit("srcRepStride", repeat_stride, 0, 65535);
    constexpr uint32_t width = lanes_of(sizeof(T));
    const Lanes lanes = twin::lanes(issue, width, choice);
    const Operand from = operand(issue, src, static_cast<uint32_t>(block_stride), static_cast<uint32_t>(repeat_stride), SOURCE);
    const Operand to = operand(issue, dst, 1, 0, DESTINATION, shape.alignment);
    if (lanes.repeats) {
        const uint64_t pitch = shape.pitch * sizeof(T), bytes = shape.results * sizeof(T), written = (lanes.repeats - 1) * pitch + bytes;
        const uint32_t extent = from.extent(lanes);
        issue.within(Space::UB, from.start, extent);
        issue.within(Space::UB, to.start, written);
        if (issue.checks()) {
            if (to.start < from.start + extent && from.start < to.start + written)
                for (uint32_t repeat = 0; repeat + 1 < lanes.repeats; ++repeat)
                    if (to.start + repeat * pitch + bytes > from.start + (repeat + 1) * from.repeat && to.start + repeat * pitch < from.start + extent)
                        issue.fault(text("the destination overlaps the source: what repeat %u writes, a later one reads", repeat));
            each_run(lanes, from.flat(width), from.linear(), 32 / sizeof(T), [&](uint32_t repeat, uint32_t lane, uint32_t count) {
                issue.read(Space::UB, from.at(repeat, lane), count * sizeof(T));
            });
            if (pitch == bytes || lanes.repeats == 1) issue.write(Space::UB, to.start, written);
            else
                for (uint32_t repeat = 0; repeat < (pitch ? lanes.repeats : 1); ++repeat) issue.write(Space::UB, to.start + repeat * pitch, bytes);
        }
    }
    issue.take(cost::vector(kind, lanes.repeats));
    if (!issue.computes()) return;
    Wide<T> values[width];
    for (uint32_t repeat = 0; repeat < lanes.repeats; ++repeat) {
        gather_lanes<T>(issue, lanes, from, repeat, neutral, values);
        reduce(values, dst.data() + repeat * shape.pitch);
    }
}

enum class Extreme { Max, Min };

/// The larger or the smaller; `first` if they are equal.
template <Extreme which, typename V> inline bool beats(V second, V first)
{
    return (which == Extreme::Max ? second > first : second < first) || (second != second && first == first);
}

template <Extreme which> constexpr float NEUTRAL = which == Extreme::Max ? -INFINITY : INFINITY;

/// One result for each block of 32 bytes. Of a block whose lanes are all off hardware's result is not documented: none is here.
template <typename T, typename F>
inline void block_reduce(const char *name, Where where, const AscendC::LocalTensor<T> &dst, const AscendC::LocalTensor<T> &src, const Choice &choice,
                         int64_t dst_stride, int64_t block_stride, int64_t repeat_stride, Wide<T> neutral, F of_block)
{
    constexpr uint32_t LANES = 32 / sizeof(T);
    if (dst_stride < 0 || dst_stride > 65535) Issue(Pipe::V, name, where).limit("dstRepStride", dst_stride, 0, 65535);
    const Results shape{8, static_cast<uint64_t>(dst_stride) * 8, 8 * sizeof(T)};
    reduce<T>(name, where, cost::Vector::BlockReduce, dst, src, choice, shape, block_stride, repeat_stride, neutral, [&](Wide<T> *values, T *to) {
        for (uint32_t block = 0; block < 8; ++block) to[block] = Narrow<T>::of(of_block(values + block * LANES));
    });
    Core &core = twin::core();
    if (!core.modes.check || choice.kind == Choice::Count) return;
    // The mask register holds what the call was given.
    const uint64_t *mask = core.registers.mask;
    for (uint32_t block = 0; block < 8 && !core.registers.counting; ++block) {
        const uint32_t lane = block * LANES;
        if (mask[lane / 64] >> lane % 64 & ((1ull << LANES) - 1)) continue;
        for (int64_t repeat = 0; repeat < choice.repeats; ++repeat)
            core.shadow(Space::UB).forget(static_cast<uint32_t>(dst.start() + (repeat * shape.pitch + block) * sizeof(T)), sizeof(T));
    }
}

template <typename T> inline Wide<T> block_sum(Wide<T> *values) { return tree_sum<T>(values, 32 / sizeof(T)); }

template <typename T, Extreme which> inline Wide<T> block_extreme(Wide<T> *values)
{
    Wide<T> best = values[0];
    for (uint32_t i = 1; i < 32 / sizeof(T); ++i) best = which == Extreme::Max ? math::max(best, values[i]) : math::min(best, values[i]);
    return best;
}

template <typename T>
inline void whole_sum(const char *name, Where where, const AscendC::LocalTensor<T> &dst, const AscendC::LocalTensor<T> &src, const Choice &choice,
                      int64_t dst_stride, int64_t block_stride, int64_t repeat_stride)
{
    if (dst_stride < 0 || dst_stride > 65535) Issue(Pipe::V, name, where).limit("dstRepStride", dst_stride, 0, 65535);
    reduce<T>(name, where, cost::Vector::WholeSum, dst, src, choice, {1, static_cast<uint64_t>(dst_stride), sizeof(T)}, block_stride, repeat_stride, 0,
              [](Wide<T> *values, T *to) { to[0] = Narrow<T>::of(tree_sum<T>(values, lanes_of(sizeof(T)))); });
}

/// A lane's number as the bits of an element.
template <typename T> inline T index_bits(uint32_t index)
{
    T value;
    std::memcpy(&value, &index, sizeof(T));
    return value;
}

template <Extreme which, typename T>
inline void whole_extreme(const char *name, Where where, const AscendC::LocalTensor<T> &dst, const AscendC::LocalTensor<T> &src, const Choice &choice,
                          int64_t dst_stride, int64_t block_stride, int64_t repeat_stride, AscendC::ReduceOrder order)
{
    using Order = AscendC::ReduceOrder;
    if (dst_stride < 0 || dst_stride > 65535) Issue(Pipe::V, name, where).limit("dstRepStride", dst_stride, 0, 65535);
    const uint32_t results = order == Order::ORDER_ONLY_VALUE || order == Order::ORDER_ONLY_INDEX ? 1 : 2;
    reduce<T>(name, where, cost::Vector::WholeMax, dst, src, choice, {results, static_cast<uint64_t>(dst_stride) * results, static_cast<uint32_t>(results * sizeof(T))},
              block_stride, repeat_stride, NEUTRAL<which>, [order](Wide<T> *values, T *to) {
                  uint32_t best = 0;
                  for (uint32_t lane = 1; lane < lanes_of(sizeof(T)); ++lane)
                      if (beats<which>(values[lane], values[best])) best = lane;
                  const T value = Narrow<T>::of(values[best]), index = index_bits<T>(best);
                  switch (order) {
                  case Order::ORDER_VALUE_INDEX: to[0] = value, to[1] = index; break;
                  case Order::ORDER_INDEX_VALUE: to[0] = index, to[1] = value; break;
                  case Order::ORDER_ONLY_VALUE: to[0] = value; break;
                  case Order::ORDER_ONLY_INDEX: to[0] = index; break;
                  }
              });
}

/// The sum of lanes 2i and 2i + 1.
template <typename T>
inline void pair_sum(Where where, const AscendC::LocalTensor<T> &dst, const AscendC::LocalTensor<T> &src, const Choice &choice, int64_t dst_stride,
                     int64_t block_stride, int64_t repeat_stride)
{
    constexpr uint32_t RESULTS = lanes_of(sizeof(T)) / 2;
    if (dst_stride < 0 || dst_stride > 65535) Issue(Pipe::V, "PairReduceSum", where).limit("dstRepStride", dst_stride, 0, 65535);
    reduce<T>("PairReduceSum", where, cost::Vector::PairReduce, dst, src, choice, {RESULTS, static_cast<uint64_t>(dst_stride) * RESULTS, 32}, block_stride,
              repeat_stride, 0, [](Wide<T> *values, T *to) {
                  for (uint32_t i = 0; i < RESULTS; ++i) to[i] = Narrow<T>::of(sum_of<T>(values[2 * i], values[2 * i + 1]));
              });
}

} // namespace twin

namespace AscendC {

/// Reductions whose repeats come before their mask, in both forms of the mask.
#define TWIN_REPEATS_FIRST(name, call)                                                                                                        \
    template <typename T, bool isSetMask = true>                                                                                              \
    inline void name(const LocalTensor<T> &dst, const LocalTensor<T> &src, const int64_t repeats, const int64_t mask, const int64_t dstRepStride, \
                     const int64_t srcBlkStride, const int64_t srcRepStride, twin::Where where = twin::Where::here())                         \
    {                                                                                                                                         \
        const twin::Choice choice = twin::Choice::first(isSetMask, static_cast<uint64_t>(mask), repeats);                                     \
        call;                                                                                                                                 \
    }                                                                                                                                         \
    template <typename T, bool isSetMask = true>                                                                                              \
    inline void name(const LocalTensor<T> &dst, const LocalTensor<T> &src, const int64_t repeats, const uint64_t mask[], const int64_t dstRepStride, \
                     const int64_t srcBlkStride, const int64_t srcRepStride, twin::Where where = twin::Where::here())                         \
    {                                                                                                                                         \
        const twin::Choice choice = twin::Choice::bits(isSetMask, mask, repeats);                                                             \
        call;                                                                                                                                 \
    }

TWIN_REPEATS_FIRST(BlockReduceSum, twin::block_reduce("BlockReduceSum", where, dst, src, choice, dstRepStride, srcBlkStride, srcRepStride, 0,
                                                      twin::block_sum<T>))
TWIN_REPEATS_FIRST(BlockReduceMax, twin::block_reduce("BlockReduceMax", where, dst, src, choice, dstRepStride, srcBlkStride, srcRepStride,
                                                      twin::NEUTRAL<twin::Extreme::Max>, twin::block_extreme<T, twin::Extreme::Max>))
TWIN_REPEATS_FIRST(BlockReduceMin, twin::block_reduce("BlockReduceMin", where, dst, src, choice, dstRepStride, srcBlkStride, srcRepStride,
                                                      twin::NEUTRAL<twin::Extreme::Min>, twin::block_extreme<T, twin::Extreme::Min>))
TWIN_REPEATS_FIRST(PairReduceSum, twin::pair_sum(where, dst, src, choice, dstRepStride, srcBlkStride, srcRepStride))
#undef TWIN_REPEATS_FIRST

template <typename T, bool isSetMask = true>
inline void RepeatReduceSum(const LocalTensor<T> &dst, const LocalTensor<T> &src, const int64_t repeats, const int64_t mask, const int64_t,
                            const int64_t srcBlkStride, const int64_t dstRepStride, const int64_t srcRepStride, twin::Where where = twin::Where::here())
{
    twin::whole_sum("RepeatReduceSum", where, dst, src, twin::Choice::first(isSetMask, static_cast<uint64_t>(mask), repeats), dstRepStride, srcBlkStride,
                    srcRepStride);
}

template <typename T, bool isSetMask = true>
inline void WholeReduceSum(const LocalTensor<T> &dst, const LocalTensor<T> &src, const uint64_t mask[], const int64_t repeats, const int64_t dstRepStride,
                           const int64_t srcBlkStride, const int64_t srcRepStride, twin::Where where = twin::Where::here())
{
    twin::whole_sum("WholeReduceSum", where, dst, src, twin::Choice::bits(isSetMask, mask, repeats), dstRepStride, srcBlkStride, srcRepStride);
}

template <typename T, bool isSetMask = true>
inline void WholeReduceSum(const LocalTensor<T> &dst, const LocalTensor<T> &src, const int64_t mask, const int64_t repeats, const int64_t dstRepStride,
                           const int64_t srcBlkStride, const int64_t srcRepStride, twin::Where where = twin::Where::here())
{
    twin::whole_sum("WholeReduceSum", where, dst, src, twin::Choice::first(isSetMask, static_cast<uint64_t>(mask), repeats), dstRepStride, srcBlkStride,
                    srcRepStride);
}

/// The largest or smallest value of each repeat and its lane, the first of equals.
#define TWIN_EXTREME(name, which)                                                                                                             \
    template <typename T, bool isSetMask = true>                                                                                              \
    inline void name(const LocalTensor<T> &dst, const LocalTensor<T> &src, const uint64_t mask[], const int64_t repeats, const int64_t dstRepStride, \
                     const int64_t srcBlkStride, const int64_t srcRepStride, ReduceOrder order = ReduceOrder::ORDER_VALUE_INDEX,               \
                     twin::Where where = twin::Where::here())                                                                                 \
    {                                                                                                                                         \
        twin::whole_extreme<which>(#name, where, dst, src, twin::Choice::bits(isSetMask, mask, repeats), dstRepStride, srcBlkStride, srcRepStride, order); \
    }                                                                                                                                         \
    template <typename T, bool isSetMask = true>                                                                                              \
    inline void name(const LocalTensor<T> &dst, const LocalTensor<T> &src, const int64_t mask, const int64_t repeats, const int64_t dstRepStride, \
                     const int64_t srcBlkStride, const int64_t srcRepStride, ReduceOrder order = ReduceOrder::ORDER_VALUE_INDEX,               \
                     twin::Where where = twin::Where::here())                                                                                 \
    {                                                                                                                                         \
        twin::whole_extreme<which>(#name, where, dst, src, twin::Choice::first(isSetMask, static_cast<uint64_t>(mask), repeats), dstRepStride, \
                                   srcBlkStride, srcRepStride, order);                                                                        \
    }

TWIN_EXTREME(WholeReduceMax, twin::Extreme::Max)
TWIN_EXTREME(WholeReduceMin, twin::Extreme::Min)
#undef TWIN_EXTREME

} // namespace AscendC
