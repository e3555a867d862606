/// ReduceSum, ReduceMax, ReduceMin: of all elements to one. The library makes them of several instructions, and the scalar unit
/// writes the result after waiting for the vector unit: slow within loops.
#pragma once

#include "progression.h"
#include "reduce.h"

namespace twin {

/// The first pass reads the source; `work` gets `results` elements, which hold nothing afterwards.
template <typename T>
inline Lanes first_pass(Issue &issue, const AscendC::LocalTensor<T> &src, const Choice &choice, int64_t repeat_stride, Operand &from)
{
    static_assert(is_one_of<T, half, float>, "reductions are of half and float on dav-c220; cast bfloat16_t to float first");
    issue.only_on(Kind::Vector);
    issue.limit("srcRepStride", repeat_stride, 0, 255);
    constexpr uint32_t width = lanes_of(sizeof(T));
    const Lanes lanes = twin::lanes(issue, width, choice);
    if (!lanes.repeats) issue.fault("has no elements");
    from = operand(issue, src, 1, static_cast<uint32_t>(repeat_stride), SOURCE);
    issue.within(Space::UB, from.start, from.extent(lanes));
    if (issue.checks())
        each_run(lanes, from.flat(width), true, 32 / sizeof(T), [&](uint32_t repeat, uint32_t lane, uint32_t count) {
            issue.read(Space::UB, from.at(repeat, lane), count * sizeof(T));
        });
    return lanes;
}

template <typename T> inline void scratch(Issue &issue, const AscendC::LocalTensor<T> &work, uint64_t elements)
{
    const Operand to = operand(issue, work, 1, 0, "the work tensor");
    if (work.GetSize() < elements)
        issue.fault(text("the work tensor has %u elements, and needs %llu", work.GetSize(), static_cast<unsigned long long>(elements)));
    issue.write(Space::UB, to.start, elements * sizeof(T));
    if (issue.checks()) issue.core.shadow(Space::UB).forget(to.start, static_cast<uint32_t>(elements * sizeof(T)));
}

/// The scalar unit waits for the vector unit, writes the result, and the units that may read it wait for that.
template <typename T> inline void write_result(const char *api, Where where, const AscendC::LocalTensor<T> &dst, const T *values, uint32_t count)
{
    settle<AscendC::HardEvent::V_S>(api, where);
    for (uint32_t i = 0; i < count; ++i) dst.SetValue(i, values[i], where);
    settle<AscendC::HardEvent::S_V>(api, where);
    settle<AscendC::HardEvent::S_MTE3>(api, where);
}

template <typename T> inline T sum_all(const Issue &issue, const Lanes &lanes, const Operand &from)
{
    Wide<T> sum = 0, values[lanes_of(sizeof(T))];
    for (uint32_t repeat = 0; repeat < lanes.repeats; ++repeat) {
        gather_lanes<T>(issue, lanes, from, repeat, 0, values);
        sum = sum_of<T>(sum, wide(Narrow<T>::of(tree_sum<T>(values, lanes.width))));
    }
    return Narrow<T>::of(sum);
}

/// Elements of the work tensor that a pass over `repeats` repeats and the following ones over their results need, each from a
/// multiple of 32 bytes on.
template <typename T> inline uint64_t extreme_scratch(uint32_t repeats, bool indexed)
{
    constexpr uint64_t BLOCK = 32 / sizeof(T), WIDTH = lanes_of(sizeof(T));
    uint64_t all = 0;
    for (uint64_t results = 2ull * repeats;; results = 2 * ((results + WIDTH - 1) / WIDTH)) {
        all += (results + BLOCK - 1) / BLOCK * BLOCK;
        if (results == 2 || !indexed) return all;
    }
}

template <Extreme which, typename T>
inline void extreme_all(const char *api, Where where, const AscendC::LocalTensor<T> &dst, const AscendC::LocalTensor<T> &src,
                        const AscendC::LocalTensor<T> &work, const Choice &choice, int64_t repeat_stride, bool indexed)
{
    T result[2] = {};
    {
        Issue issue(Pipe::V, api, where);
        Operand from{};
        const Lanes lanes = first_pass(issue, src, choice, repeat_stride, from);
        if (dst.GetSize() < (indexed ? 2u : 1u)) issue.fault(text("the destination has %u elements, too few", dst.GetSize()));
        scratch(issue, work, extreme_scratch<T>(lanes.repeats, indexed));
        Cost cost = cost::vector(cost::Vector::WholeMax, lanes.repeats);
        // The passes over the results of the first one, each after a barrier.
        for (uint32_t left = lanes.repeats; left > 1;) {
            left = (2 * left + lanes.width - 1) / lanes.width;
            const Cost pass = cost::vector(cost::Vector::WholeMax, left);
            cost.occupancy += cost.latency + pass.occupancy;
            cost.latency = pass.latency;
        }
        issue.take(cost);
        if (issue.computes()) {
            Wide<T> best = NEUTRAL<which>, values[lanes_of(sizeof(T))];
            uint32_t index = 0;
            bool any = false;
            for (uint32_t repeat = 0; repeat < lanes.repeats; ++repeat) {
                gather_lanes<T>(issue, lanes, from, repeat, NEUTRAL<which>, values);
                for (uint32_t lane = 0; lane < lanes.width; ++lane)
                    if ((lanes.of(repeat)[lane / 64] >> lane % 64 & 1) && (!any || beats<which>(values[lane], best))) {
                        any = true;
                        best = values[lane];
                        index = repeat * static_cast<uint32_t>(repeat_stride) * 32 / sizeof(T) + lane;
                    }
            }
            result[0] = Narrow<T>::of(best);
            result[1] = index_bits<T>(index);
        }
    }
    write_result(api, where, dst, result, indexed ? 2 : 1);
}

/// ReduceSum by repeats: their sums go to the work tensor and are added there.
template <typename T>
inline void sum_repeats(Where where, const AscendC::LocalTensor<T> &dst, const AscendC::LocalTensor<T> &src, const AscendC::LocalTensor<T> &work,
                        const Choice &choice, int64_t repeat_stride)
{
    T sum{};
    {
        Issue issue(Pipe::V, "ReduceSum", where);
        Operand from{};
        const Lanes lanes = first_pass(issue, src, choice, repeat_stride, from);
        scratch(issue, work, lanes.repeats);
        Cost cost = cost::vector(cost::Vector::WholeSum, lanes.repeats);
        const Cost second = cost::vector(cost::Vector::WholeSum, (lanes.repeats + lanes.width - 1) / lanes.width);
        issue.take({cost.occupancy + cost.latency + second.occupancy, second.latency});
        if (issue.computes()) sum = sum_all<T>(issue, lanes, from);
    }
    write_result("ReduceSum", where, dst, &sum, 1);
}

} // namespace twin

namespace AscendC {

template <typename T, bool isSetMask = true>
inline void ReduceSum(const LocalTensor<T> &dst, const LocalTensor<T> &src, const LocalTensor<T> &, const int64_t count,
                      twin::Where where = twin::Where::here())
{
    T sum{};
    {
        twin::Issue issue(twin::Pipe::V, "ReduceSum", where);
        twin::Operand from{};
        const twin::Lanes lanes = twin::first_pass(issue, src, twin::Choice::count(count), 8, from);
        issue.take(twin::cost::vector(twin::cost::Vector::WholeSum, lanes.repeats));
        if (issue.computes()) sum = twin::sum_all<T>(issue, lanes, from);
    }
    twin::write_result("ReduceSum", where, dst, &sum, 1);
}

template <typename T>
inline void ReduceSum(const LocalTensor<T> &dst, const LocalTensor<T> &src, const LocalTensor<T> &work, const int64_t mask, const int64_t repeats,
                      const int64_t srcRepStride, twin::Where where = twin::Where::here())
{
    twin::sum_repeats(where, dst, src, work, twin::Choice::first(true, static_cast<uint64_t>(mask), repeats), srcRepStride);
}

template <typename T>
inline void ReduceSum(const LocalTensor<T> &dst, const LocalTensor<T> &src, const LocalTensor<T> &work, const uint64_t mask[], const int64_t repeats,
                      const int64_t srcRepStride, twin::Where where = twin::Where::here())
{
    twin::sum_repeats(where, dst, src, work, twin::Choice::bits(true, mask, repeats), srcRepStride);
}

/// The largest or smallest element, and with `calIndex` its index as bits behind it.
#define TWIN_EXTREME(name, which)                                                                                                             \
    template <typename T>                                                                                                                     \
    inline void name(const LocalTensor<T> &dst, const LocalTensor<T> &src, const LocalTensor<T> &work, const int64_t count, bool calIndex = false, \
                     twin::Where where = twin::Where::here())                                                                                 \
    {                                                                                                                                         \
        twin::extreme_all<which>(#name, where, dst, src, work, twin::Choice::count(count), 8, calIndex);                                      \
    }                                                                                                                                         \
    template <typename T>                                                                                                                     \
    inline void name(const LocalTensor<T> &dst, const LocalTensor<T> &src, const LocalTensor<T> &work, const int64_t mask, const int64_t repeats, \
                     const int64_t srcRepStride, bool calIndex = false, twin::Where where = twin::Where::here())                              \
    {                                                                                                                                         \
        twin::extreme_all<which>(#name, where, dst, src, work, twin::Choice::first(true, static_cast<uint64_t>(mask), repeats), srcRepStride, calIndex); \
    }                                                                                                                                         \
    template <typename T>                                                                                                                     \
    inline void name(const LocalTensor<T> &dst, const LocalTensor<T> &src, const LocalTensor<T> &work, const uint64_t mask[], const int64_t repeats, \
                     const int64_t srcRepStride, bool calIndex = false, twin::Where where = twin::Where::here())                              \
    {                                                                                                                                         \
        twin::extreme_all<which>(#name, where, dst, src, work, twin::Choice::bits(true, mask, repeats), srcRepStride, calIndex);              \
    }

TWIN_EXTREME(ReduceMax, twin::Extreme::Max)
TWIN_EXTREME(ReduceMin, twin::Extreme::Min)
#undef TWIN_EXTREME

} // namespace AscendC
