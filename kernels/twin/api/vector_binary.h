/// Instructions with two sources: Add, Sub, Mul, Div, Max, Min, And, Or, MulAddDst, FusedMulAdd and those that go on with Relu.
#pragma once

#include "elementwise.h"

namespace AscendC {

/// The three calling forms of an instruction: with the bits of a mask, with the number of its first lanes, with a number of
/// elements. `element` is a function of the sources (with `updates` of the old destination first).
#define TWIN_BINARY(name, kind, updates, accumulates, element, allowed, message)                                                              \
    template <typename T, bool isSetMask = true>                                                                                              \
    inline void name(const LocalTensor<T> &dst, const LocalTensor<T> &src0, const LocalTensor<T> &src1, const uint64_t mask[],                 \
                     const int64_t repeats, const BinaryRepeatParams &params, twin::Where where = twin::Where::here())                        \
    {                                                                                                                                         \
        static_assert(allowed, message);                                                                                                      \
        twin::binary<updates, accumulates>(#name, where, kind, dst, src0, src1, twin::Choice::bits(isSetMask, mask, repeats), params, element); \
    }                                                                                                                                         \
    template <typename T, bool isSetMask = true>                                                                                              \
    inline void name(const LocalTensor<T> &dst, const LocalTensor<T> &src0, const LocalTensor<T> &src1, const uint64_t mask,                   \
                     const int64_t repeats, const BinaryRepeatParams &params, twin::Where where = twin::Where::here())                        \
    {                                                                                                                                         \
        static_assert(allowed, message);                                                                                                      \
        twin::binary<updates, accumulates>(#name, where, kind, dst, src0, src1, twin::Choice::first(isSetMask, mask, repeats), params, element); \
    }                                                                                                                                         \
    template <typename T>                                                                                                                     \
    inline void name(const LocalTensor<T> &dst, const LocalTensor<T> &src0, const LocalTensor<T> &src1, const int64_t count,                   \
                     twin::Where where = twin::Where::here())                                                                                 \
    {                                                                                                                                         \
        static_assert(allowed, message);                                                                                                      \
        twin::binary<updates, accumulates>(#name, where, kind, dst, src0, src1, twin::Choice::count(count), twin::binary_row<T, T>(), element);                \
    }

#define TWIN_SIMPLE twin::cost::Vector::Simple
#define TWIN_NUMBERS (twin::is_one_of<T, half, float, int16_t, int32_t>)
#define TWIN_FLOATS (twin::is_one_of<T, half, float>)

TWIN_BINARY(Add, TWIN_SIMPLE, false, true, [](auto a, auto b) { return twin::math::add(a, b); }, TWIN_NUMBERS,
            "Add is of half, float, int16_t and int32_t on dav-c220; cast bfloat16_t to float first")
TWIN_BINARY(Sub, TWIN_SIMPLE, false, true, [](auto a, auto b) { return twin::math::sub(a, b); }, TWIN_NUMBERS,
            "Sub is of half, float, int16_t and int32_t on dav-c220; cast bfloat16_t to float first")
TWIN_BINARY(Mul, TWIN_SIMPLE, false, true, [](auto a, auto b) { return twin::math::mul(a, b); }, TWIN_NUMBERS,
            "Mul is of half, float, int16_t and int32_t on dav-c220; cast bfloat16_t to float first")
TWIN_BINARY(Max, TWIN_SIMPLE, false, true, [](auto a, auto b) { return twin::math::max(a, b); }, TWIN_NUMBERS,
            "Max is of half, float, int16_t and int32_t on dav-c220; cast bfloat16_t to float first")
TWIN_BINARY(Min, TWIN_SIMPLE, false, true, [](auto a, auto b) { return twin::math::min(a, b); }, TWIN_NUMBERS,
            "Min is of half, float, int16_t and int32_t on dav-c220; cast bfloat16_t to float first")
TWIN_BINARY(Div, (sizeof(T) == 2 ? twin::cost::Vector::DivHalf : twin::cost::Vector::Div), false, false, [](auto a, auto b) { return a / b; },
            TWIN_FLOATS, "Div is of half and float on dav-c220; cast bfloat16_t to float first")
TWIN_BINARY(And, TWIN_SIMPLE, false, false, [](auto a, auto b) { return static_cast<decltype(a)>(a & b); },
            (twin::is_one_of<T, int16_t, uint16_t>), "And is of int16_t and uint16_t on dav-c220; use ReinterpretCast")
TWIN_BINARY(Or, TWIN_SIMPLE, false, false, [](auto a, auto b) { return static_cast<decltype(a)>(a | b); },
            (twin::is_one_of<T, int16_t, uint16_t>), "Or is of int16_t and uint16_t on dav-c220; use ReinterpretCast")
TWIN_BINARY(AddRelu, TWIN_SIMPLE, false, false, [](auto a, auto b) { return twin::math::max(twin::math::add(a, b), decltype(a)(0)); },
            (twin::is_one_of<T, half, float, int16_t>), "AddRelu is of half, float and int16_t on dav-c220")
TWIN_BINARY(SubRelu, TWIN_SIMPLE, false, false, [](auto a, auto b) { return twin::math::max(twin::math::sub(a, b), decltype(a)(0)); },
            (twin::is_one_of<T, half, float, int16_t>), "SubRelu is of half, float and int16_t on dav-c220")
/// dst = src0 * dst + src1, rounded once.
TWIN_BINARY(FusedMulAdd, twin::cost::Vector::MulAdd, true, false,
            [](float d, float a, float b) { return static_cast<float>(static_cast<double>(a) * d + b); }, TWIN_FLOATS,
            "FusedMulAdd is of half and float on dav-c220")
TWIN_BINARY(FusedMulAddRelu, twin::cost::Vector::MulAdd, true, false,
            [](float d, float a, float b) { return twin::math::max(static_cast<float>(static_cast<double>(a) * d + b), 0.0f); }, TWIN_FLOATS,
            "FusedMulAddRelu is of half and float on dav-c220")

#undef TWIN_BINARY
#undef TWIN_SIMPLE
#undef TWIN_NUMBERS
#undef TWIN_FLOATS

/// dst += src0 * src1. The destination may be of float where the sources are of half.
template <typename T, typename U> constexpr bool MUL_ADD_TYPES =
    (std::is_same_v<T, U> && twin::is_one_of<T, half, float>) || (std::is_same_v<T, float> && std::is_same_v<U, half>);

inline constexpr auto MUL_ADD = [](float d, float a, float b) { return static_cast<float>(static_cast<double>(a) * b + d); };

template <typename T, typename U, bool isSetMask = true>
inline void MulAddDst(const LocalTensor<T> &dst, const LocalTensor<U> &src0, const LocalTensor<U> &src1, const uint64_t mask[],
                      const int64_t repeats, const BinaryRepeatParams &params, twin::Where where = twin::Where::here())
{
    static_assert(MUL_ADD_TYPES<T, U>, "MulAddDst is of half, of float, or of float with sources of half on dav-c220");
    twin::binary<true, false>("MulAddDst", where, twin::cost::Vector::MulAdd, dst, src0, src1, twin::Choice::bits(isSetMask, mask, repeats),
                              params, MUL_ADD);
}

template <typename T, typename U, bool isSetMask = true>
inline void MulAddDst(const LocalTensor<T> &dst, const LocalTensor<U> &src0, const LocalTensor<U> &src1, const uint64_t mask,
                      const int64_t repeats, const BinaryRepeatParams &params, twin::Where where = twin::Where::here())
{
    static_assert(MUL_ADD_TYPES<T, U>, "MulAddDst is of half, of float, or of float with sources of half on dav-c220");
    twin::binary<true, false>("MulAddDst", where, twin::cost::Vector::MulAdd, dst, src0, src1, twin::Choice::first(isSetMask, mask, repeats),
                              params, MUL_ADD);
}

template <typename T, typename U>
inline void MulAddDst(const LocalTensor<T> &dst, const LocalTensor<U> &src0, const LocalTensor<U> &src1, const int64_t count,
                      twin::Where where = twin::Where::here())
{
    static_assert(MUL_ADD_TYPES<T, U>, "MulAddDst is of half, of float, or of float with sources of half on dav-c220");
    twin::binary<true, false>("MulAddDst", where, twin::cost::Vector::MulAdd, dst, src0, src1, twin::Choice::count(count),
                              twin::binary_row<T, U>(), MUL_ADD);
}

} // namespace AscendC
