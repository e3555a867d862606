/// How instructions that work element by element run: one, two or no sources, in every calling form.
#pragma once

#include "../machine/lanes.h"
#include "math.h"
#include "params.h"
#include "tensor.h"

namespace twin {

/// For the texts of faults.
inline const char *const DESTINATION = "the destination", *const SOURCE = "the source", *const SOURCE0 = "the first source",
                         *const SOURCE1 = "the second source";

/// Lanes of an instruction whose widest operand has elements of `size` bytes.
constexpr uint32_t lanes_of(size_t size) { return static_cast<uint32_t>(256 / size); }

/// An operand of a vector instruction, checked: it lies in UB at a multiple of `alignment`.
template <typename T>
inline Operand operand(const Issue &issue, const AscendC::LocalTensor<T> &tensor, uint32_t block, uint32_t repeat, const char *name,
                       uint32_t alignment = 32)
{
    if (tensor.space() != Space::UB) issue.fault(text("works in UB, and %s is in %s", name, twin::name(tensor.space())));
    if (tensor.start() % alignment)
        issue.fault(text("%s begins at byte %u of UB, and must be a multiple of %u", name, tensor.start(), alignment));
    return {tensor.start(), static_cast<uint32_t>(sizeof(T)), block * 32, repeat * 32, name};
}

template <typename D, typename S> constexpr uint32_t WIDTH = lanes_of(sizeof(D) > sizeof(S) ? sizeof(D) : sizeof(S));

/// Strides of a destination and a source, in blocks of 32 bytes.
struct Strides {
    uint32_t to_block, from_block, to_repeat, from_repeat;

    Strides(uint32_t to_block, uint32_t from_block, uint32_t to_repeat, uint32_t from_repeat)
        : to_block(to_block), from_block(from_block), to_repeat(to_repeat), from_repeat(from_repeat)
    {
    }
    Strides(const AscendC::UnaryRepeatParams &p) : Strides(p.dstBlkStride, p.srcBlkStride, p.dstRepStride, p.srcRepStride) {}
    Strides(const AscendC::CopyRepeatParams &p) : Strides(p.dstStride, p.srcStride, p.dstRepeatSize, p.srcRepeatSize) {}
};

/// Strides of operands that lie in a row, as the count form has them.
template <typename D, typename S> inline Strides unary_row()
{
    return Strides(1, 1, WIDTH<D, S> * sizeof(D) / 32, WIDTH<D, S> * sizeof(S) / 32);
}
template <typename D, typename S> inline AscendC::BinaryRepeatParams binary_row()
{
    return {1, 1, 1, WIDTH<D, S> * sizeof(D) / 32, WIDTH<D, S> * sizeof(S) / 32, WIDTH<D, S> * sizeof(S) / 32};
}

/// A lane's place on the host. The compiler must take the places of operands for unrelated: GCC 12 derives one from another that
/// has elements of another width, loses sight of the memory behind it, and drops the loop that writes it.
template <typename T> inline T *at(const Issue &issue, const Operand &operand, uint32_t repeat, uint32_t lane)
{
    T *place = reinterpret_cast<T *>(issue.core.memory(Space::UB) + operand.at(repeat, lane));
    asm("" : "+r"(place));
    return place;
}

inline cost::Operand cost_of(const Operand &operand) { return {operand.start, operand.block / 32}; }

/// dst = f(src), or f(old dst, src) with `UPDATES`; of stored types.
template <bool UPDATES, typename D, typename S, typename F>
inline void unary_stored(const char *name, Where where, cost::Vector kind, const AscendC::LocalTensor<D> &dst,
                         const AscendC::LocalTensor<S> &src, const Choice &choice, const Strides &strides, F f)
{
    Issue issue(Pipe::V, name, where);
    issue.only_on(Kind::Vector);
    constexpr uint32_t width = WIDTH<D, S>;
    const Lanes lanes = twin::lanes(issue, width, choice);
    const Operand to = operand(issue, dst, strides.to_block, strides.to_repeat, DESTINATION);
    const Operand from = operand(issue, src, strides.from_block, strides.from_repeat, SOURCE);
    touch(issue, lanes, to, &from, 1, UPDATES, false);
    issue.take(cost::vector(kind, lanes.repeats, cost_of(to), cost_of(from)));
    if (!issue.computes()) return;
    each_run(lanes, to.flat(width) && from.flat(width), to.linear() && from.linear(), width / 8,
             [&](uint32_t repeat, uint32_t lane, uint32_t count) {
                 D *d = at<D>(issue, to, repeat, lane);
                 const S *s = at<S>(issue, from, repeat, lane);
#pragma GCC ivdep
                 for (uint32_t i = 0; i < count; ++i) {
                     if constexpr (UPDATES) d[i] = f(d[i], s[i]);
                     else d[i] = f(s[i]);
                 }
             });
}

/// The same of the types that values are computed in, rounded at the end.
template <bool UPDATES, typename D, typename S, typename F>
inline void unary(const char *name, Where where, cost::Vector kind, const AscendC::LocalTensor<D> &dst, const AscendC::LocalTensor<S> &src,
                  const Choice &choice, const Strides &strides, F f)
{
    if constexpr (UPDATES)
        unary_stored<true>(name, where, kind, dst, src, choice, strides, [&](D d, S s) { return Narrow<D>::of(f(wide(d), wide(s))); });
    else
        unary_stored<false>(name, where, kind, dst, src, choice, strides, [&](S s) { return Narrow<D>::of(f(wide(s))); });
}

/// dst = f(src0, src1), or f(old dst, src0, src1) with `UPDATES`. `ACCUMULATES`: a source may be the destination in a repeat that
/// stays in place.
template <bool UPDATES, bool ACCUMULATES, typename D, typename S, typename F>
inline void binary(const char *name, Where where, cost::Vector kind, const AscendC::LocalTensor<D> &dst, const AscendC::LocalTensor<S> &src0,
                   const AscendC::LocalTensor<S> &src1, const Choice &choice, const AscendC::BinaryRepeatParams &params, F f)
{
    Issue issue(Pipe::V, name, where);
    issue.only_on(Kind::Vector);
    constexpr uint32_t width = WIDTH<D, S>;
    const Lanes lanes = twin::lanes(issue, width, choice);
    const Operand to = operand(issue, dst, params.dstBlkStride, params.dstRepStride, DESTINATION);
    const Operand from[2] = {operand(issue, src0, params.src0BlkStride, params.src0RepStride, SOURCE0),
                             operand(issue, src1, params.src1BlkStride, params.src1RepStride, SOURCE1)};
    touch(issue, lanes, to, from, 2, UPDATES, ACCUMULATES);
    issue.take(cost::vector(kind, lanes.repeats, cost_of(to), cost_of(from[0]), cost_of(from[1])));
    if (!issue.computes()) return;
    each_run(lanes, to.flat(width) && from[0].flat(width) && from[1].flat(width), to.linear() && from[0].linear() && from[1].linear(),
             width / 8, [&](uint32_t repeat, uint32_t lane, uint32_t count) {
                 D *d = at<D>(issue, to, repeat, lane);
                 const S *a = at<S>(issue, from[0], repeat, lane), *b = at<S>(issue, from[1], repeat, lane);
#pragma GCC ivdep
                 for (uint32_t i = 0; i < count; ++i) {
                     if constexpr (UPDATES) d[i] = Narrow<D>::of(f(wide(d[i]), wide(a[i]), wide(b[i])));
                     else d[i] = Narrow<D>::of(f(wide(a[i]), wide(b[i])));
                 }
             });
}

/// dst = a value, made by `value()`.
template <typename T, typename V>
inline void fill(const char *name, Where where, const AscendC::LocalTensor<T> &dst, const Choice &choice, uint32_t block, uint32_t repeat,
                 V value)
{
    Issue issue(Pipe::V, name, where);
    issue.only_on(Kind::Vector);
    constexpr uint32_t width = lanes_of(sizeof(T));
    const Lanes lanes = twin::lanes(issue, width, choice);
    const Operand to = operand(issue, dst, block, repeat, DESTINATION);
    touch(issue, lanes, to, nullptr, 0, false, false);
    issue.take(cost::vector(cost::Vector::Duplicate, lanes.repeats));
    if (!issue.computes()) return;
    each_run(lanes, to.flat(width), to.linear(), width / 8, [&](uint32_t repeat_index, uint32_t lane, uint32_t count) {
        T *d = at<T>(issue, to, repeat_index, lane);
        for (uint32_t i = 0; i < count; ++i) d[i] = value;
    });
}

} // namespace twin
