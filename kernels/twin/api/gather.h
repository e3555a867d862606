/// Elements and blocks from anywhere: Gather, Gatherb, GatherMask.
#pragma once

#include "elementwise.h"

namespace twin {

/// `f(start, bytes)` for runs of reads that follow each other.
class ReadRuns {
public:
    explicit ReadRuns(Issue &issue) : issue_(issue) {}
    ~ReadRuns() noexcept(false)
    {
        if (std::uncaught_exceptions() == 0) flush();
    }
    void add(uint64_t start, uint64_t bytes)
    {
        if (start == start_ + bytes_) {
            bytes_ += bytes;
            return;
        }
        flush();
        start_ = start;
        bytes_ = bytes;
    }

private:
    Issue &issue_;
    uint64_t start_ = 0, bytes_ = 0;

    void flush()
    {
        if (bytes_) issue_.read(Space::UB, start_, bytes_);
        bytes_ = 0;
    }
};

/// dst[i] is the element at byte `base + offsets[i]` of the source.
template <typename T>
inline void gather(Where where, const AscendC::LocalTensor<T> &dst, const AscendC::LocalTensor<T> &src, const AscendC::LocalTensor<uint32_t> &offsets,
                   int64_t base, const Choice &choice, int64_t repeat_stride)
{
    static_assert(sizeof(T) == 2 || sizeof(T) == 4, "Gather is of types of 16 and 32 bits on dav-c220");
    Issue issue(Pipe::V, "Gather", where);
    issue.only_on(Kind::Vector);
    issue.limit("dstRepStride", repeat_stride, 0, 65535);
    constexpr uint32_t width = lanes_of(sizeof(T));
    const Lanes lanes = twin::lanes(issue, width, choice);
    const Operand to = operand(issue, dst, 1, static_cast<uint32_t>(repeat_stride), DESTINATION);
    const Operand from = operand(issue, src, 1, 0, SOURCE);
    const Operand list = operand(issue, offsets, 1, width * 4 / 32, "the tensor of offsets");
    if (dst.start() == src.start()) issue.fault("the destination is the source");
    touch(issue, lanes, to, &list, 1, false, false);
    issue.take(cost::vector(cost::Vector::Gather, lanes.repeats));
    if (!issue.computes()) return;
    const uint8_t *ub = issue.core.memory(Space::UB);
    ReadRuns reads(issue);
    each_run(lanes, to.flat(width), true, 32 / sizeof(T), [&](uint32_t repeat, uint32_t lane, uint32_t count) {
        T *d = at<T>(issue, to, repeat, lane);
        const uint32_t *o = at<uint32_t>(issue, list, repeat, lane);
        for (uint32_t i = 0; i < count; ++i) {
            const uint64_t start = from.start + static_cast<uint64_t>(base) + o[i];
            if (start % sizeof(T) || start + sizeof(T) > bytes_of(Space::UB))
                issue.fault(text("offset %u of element %u leads to byte %llu of UB: offsets count bytes, and must be multiples of %zu within UB", o[i],
                                 repeat * width + lane + i, static_cast<unsigned long long>(start), sizeof(T)));
            if (issue.checks()) reads.add(start, sizeof(T));
            std::memcpy(d + i, ub + start, sizeof(T));
        }
    });
}

/// The elements that a pattern selects, one after the other. Patterns by number: 1 the even ones, 2 the odd ones, 3 to 6 those of
/// index 0 to 3 modulo 4, 7 all; by tensor: those whose bits are set.
template <typename T, typename Selects>
inline uint64_t gather_mask(Issue &issue, const AscendC::LocalTensor<T> &dst, const AscendC::LocalTensor<T> &src, bool counts, uint32_t mask,
                            const AscendC::GatherMaskParams &params, const Selects &selects)
{
    static_assert(sizeof(T) == 2 || sizeof(T) == 4, "GatherMask is of types of 16 and 32 bits on dav-c220");
    constexpr uint32_t width = lanes_of(sizeof(T));
    const uint32_t elements = counts ? mask : width, repeats = params.repeatTimes;
    issue.limit("repeatTimes", repeats, 0, 255);
    issue.limit("the mask", mask, counts ? 1 : 0, bytes_of(Space::UB) / sizeof(T));
    const Operand to = operand(issue, dst, 1, 0, DESTINATION);
    const Operand from = operand(issue, src, params.src0BlockStride, params.src0RepeatStride, SOURCE);
    uint64_t selected = 0;
    ReadRuns reads(issue);
    for (uint32_t repeat = 0; repeat < repeats; ++repeat)
        for (uint32_t element = 0; element < elements; ++element) {
            if (issue.checks()) reads.add(from.at(repeat, element), sizeof(T));
            if (!selects(repeat, element)) continue;
            if (issue.computes()) std::memcpy(dst.data() + selected, at<T>(issue, from, repeat, element), sizeof(T));
            ++selected;
        }
    if (repeats) issue.within(Space::UB, from.start, from.at(repeats - 1, elements - 1) + sizeof(T) - from.start);
    issue.write(Space::UB, to.start, selected * sizeof(T));
    issue.take(cost::vector(cost::Vector::GatherMask, static_cast<uint32_t>((uint64_t(repeats) * elements + width - 1) / width)));
    // What the library leaves in the register.
    issue.core.registers.mask[0] = mask;
    issue.core.registers.mask[1] = 0;
    issue.core.registers.counting = false;
    // The count is read by the scalar unit.
    issue.core.now = std::max(issue.core.now, issue.core.pipe(Pipe::V).done);
    return selected;
}

} // namespace twin

namespace AscendC {

enum class GatherMaskMode : uint8_t { VERSION_V1, VERSION_V2 };
constexpr GatherMaskMode defaultGatherMaskMode = GatherMaskMode::VERSION_V2;
constexpr GatherMaskMode defaultGahterMaskMode = GatherMaskMode::VERSION_V2;

template <typename T>
inline void Gather(const LocalTensor<T> &dst, const LocalTensor<T> &src, const LocalTensor<uint32_t> &offsets, const uint32_t base, const uint64_t mask,
                   const int64_t repeats, const int64_t dstRepStride, twin::Where where = twin::Where::here())
{
    twin::gather(where, dst, src, offsets, base, twin::Choice::first(true, mask, repeats), dstRepStride);
}

template <typename T>
inline void Gather(const LocalTensor<T> &dst, const LocalTensor<T> &src, const LocalTensor<uint32_t> &offsets, const uint32_t base,
                   const uint64_t mask[], const int64_t repeats, const int64_t dstRepStride, twin::Where where = twin::Where::here())
{
    twin::gather(where, dst, src, offsets, base, twin::Choice::bits(true, mask, repeats), dstRepStride);
}

template <typename T>
inline void Gather(const LocalTensor<T> &dst, const LocalTensor<T> &src, const LocalTensor<uint32_t> &offsets, const uint32_t base, const int64_t count,
                   twin::Where where = twin::Where::here())
{
    twin::gather(where, dst, src, offsets, base, twin::Choice::count(count), 8);
}

/// Every repeat takes eight blocks of 32 bytes, each from the byte of the source that its offset says.
template <typename T>
inline void Gatherb(const LocalTensor<T> &dst, const LocalTensor<T> &src, const LocalTensor<uint32_t> &offsets, const int64_t repeats,
                    const GatherRepeatParams &params, twin::Where where = twin::Where::here())
{
    static_assert(twin::is_one_of<T, uint16_t, uint32_t>, "Gatherb is of uint16_t and uint32_t on dav-c220; use ReinterpretCast");
    twin::Issue issue(twin::Pipe::V, "Gatherb", where);
    issue.only_on(twin::Kind::Vector);
    issue.limit("the number of repeats", repeats, 0, 255);
    const twin::Operand to = twin::operand(issue, dst, params.dstBlkStride, params.dstRepStride, twin::DESTINATION);
    const twin::Operand from = twin::operand(issue, src, 1, 0, twin::SOURCE);
    const twin::Operand list = twin::operand(issue, offsets, 1, 1, "the tensor of offsets");
    if (to.block == 0) issue.fault("the block stride of the destination is 0: the blocks of a repeat would be written over each other");
    issue.core.registers.mask[0] = issue.core.registers.mask[1] = ~0ull;
    issue.read(twin::Space::UB, list.start, static_cast<uint64_t>(repeats) * 32);
    issue.take(twin::cost::vector(twin::cost::Vector::GatherBlock, static_cast<uint32_t>(repeats)));
    const uint32_t *values = issue.computes() ? offsets.data() : nullptr;
    for (int64_t repeat = 0; repeat < repeats; ++repeat)
        for (uint32_t block = 0; block < 8; ++block) {
            const uint64_t start = to.start + static_cast<uint64_t>(repeat) * to.repeat + block * to.block;
            issue.write(twin::Space::UB, start, 32);
            if (!values) continue;
            const uint32_t offset = values[repeat * 8 + block];
            if (offset % 32) issue.fault(twin::text("offset %u of block %lld is not a multiple of 32", offset, static_cast<long long>(repeat * 8 + block)));
            issue.read(twin::Space::UB, static_cast<uint64_t>(from.start) + offset, 32);
            std::memcpy(issue.core.memory(twin::Space::UB) + start, issue.core.memory(twin::Space::UB) + from.start + offset, 32);
        }
}

/// With a pattern by number. `reduceMode`: a repeat has `mask` elements, else the 256 bytes of a repeat.
template <typename T, GatherMaskMode mode = defaultGatherMaskMode>
inline void GatherMask(const LocalTensor<T> &dst, const LocalTensor<T> &src, const uint8_t pattern, const bool reduceMode, const uint32_t mask,
                       const GatherMaskParams &params, uint64_t &rsvdCnt, twin::Where where = twin::Where::here())
{
    twin::Issue issue(twin::Pipe::V, "GatherMask", where);
    issue.only_on(twin::Kind::Vector);
    issue.limit("the pattern", pattern, 1, 7);
    rsvdCnt = twin::gather_mask(issue, dst, src, reduceMode, mask, params, [pattern](uint32_t, uint32_t element) {
        return pattern == 7 || (pattern <= 2 ? element % 2 == pattern - 1u : element % 4 == pattern - 3u);
    });
}

/// With a pattern by bits. Where data is not computed all elements count as selected.
template <typename T, typename U, GatherMaskMode mode = defaultGatherMaskMode>
inline void GatherMask(const LocalTensor<T> &dst, const LocalTensor<T> &src, const LocalTensor<U> &pattern, const bool reduceMode, const uint32_t mask,
                       const GatherMaskParams &params, uint64_t &rsvdCnt, twin::Where where = twin::Where::here())
{
    static_assert(sizeof(U) == sizeof(T) && twin::is_one_of<U, uint16_t, uint32_t>, "the pattern is of uint16_t or uint32_t, as wide as the elements");
    twin::Issue issue(twin::Pipe::V, "GatherMask", where);
    issue.only_on(twin::Kind::Vector);
    const twin::Operand bits = twin::operand(issue, pattern, 1, params.src1RepeatStride, "the pattern");
    const uint32_t elements = reduceMode ? mask : twin::lanes_of(sizeof(T));
    for (uint32_t repeat = 0; repeat < params.repeatTimes; ++repeat) issue.read(twin::Space::UB, bits.start + repeat * bits.repeat, (elements + 7) / 8);
    const uint8_t *ub = issue.computes() ? issue.core.memory(twin::Space::UB) : nullptr;
    rsvdCnt = twin::gather_mask(issue, dst, src, reduceMode, mask, params, [&](uint32_t repeat, uint32_t element) {
        return !ub || (ub[bits.start + repeat * bits.repeat + element / 8] >> element % 8 & 1);
    });
}

} // namespace AscendC
