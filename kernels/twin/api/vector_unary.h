/// Instructions with one source: Relu, Exp, Ln, Abs, Reciprocal, Rsqrt, Sqrt, Not.
#pragma once

#include "elementwise.h"

namespace AscendC {

/// The three calling forms, as of instructions with two sources.
#define TWIN_UNARY(name, kind, element, allowed, message)                                                                                \
    template <typename T, bool isSetMask = true>                                                                                         \
    inline void name(const LocalTensor<T> &dst, const LocalTensor<T> &src, const uint64_t mask[], const int64_t repeats,                  \
                     const UnaryRepeatParams &params, twin::Where where = twin::Where::here())                                           \
    {                                                                                                                                    \
        static_assert(allowed, message);                                                                                                 \
        twin::unary<false>(#name, where, kind, dst, src, twin::Choice::bits(isSetMask, mask, repeats), params, element);                 \
    }                                                                                                                                    \
    template <typename T, bool isSetMask = true>                                                                                         \
    inline void name(const LocalTensor<T> &dst, const LocalTensor<T> &src, const uint64_t mask, const int64_t repeats,                    \
                     const UnaryRepeatParams &params, twin::Where where = twin::Where::here())                                           \
    {                                                                                                                                    \
        static_assert(allowed, message);                                                                                                 \
        twin::unary<false>(#name, where, kind, dst, src, twin::Choice::first(isSetMask, mask, repeats), params, element);                \
    }                                                                                                                                    \
    template <typename T>                                                                                                                \
    inline void name(const LocalTensor<T> &dst, const LocalTensor<T> &src, const int64_t count, twin::Where where = twin::Where::here())  \
    {                                                                                                                                    \
        static_assert(allowed, message);                                                                                                 \
        twin::unary<false>(#name, where, kind, dst, src, twin::Choice::count(count), twin::unary_row<T, T>(), element);                  \
    }

#define TWIN_FLOATS (twin::is_one_of<T, half, float>)

TWIN_UNARY(Relu, twin::cost::Vector::Simple, [](auto a) { return twin::math::max(a, decltype(a)(0)); }, (twin::is_one_of<T, half, float, int32_t>),
           "Relu is of half, float and int32_t on dav-c220; cast bfloat16_t to float first")
TWIN_UNARY(Exp, (sizeof(T) == 2 ? twin::cost::Vector::ExpHalf : twin::cost::Vector::Exp), twin::math::exp, TWIN_FLOATS,
           "Exp is of half and float on dav-c220; cast bfloat16_t to float first")
TWIN_UNARY(Ln, twin::cost::Vector::Ln, [](float a) { return static_cast<float>(std::log(static_cast<double>(a))); }, TWIN_FLOATS,
           "Ln is of half and float on dav-c220; cast bfloat16_t to float first")
TWIN_UNARY(Abs, twin::cost::Vector::Simple, [](float a) { return std::fabs(a); }, TWIN_FLOATS,
           "Abs is of half and float on dav-c220; cast bfloat16_t to float first")
/// An estimate of eight bits: Div is exact.
TWIN_UNARY(Reciprocal, twin::cost::Vector::Reciprocal, twin::math::reciprocal_estimate, TWIN_FLOATS,
           "Reciprocal is of half and float on dav-c220; cast bfloat16_t to float first")
/// An estimate of eight bits: Sqrt and Div are exact.
TWIN_UNARY(Rsqrt, twin::cost::Vector::Reciprocal, twin::math::inverse_root_estimate, TWIN_FLOATS,
           "Rsqrt is of half and float on dav-c220; cast bfloat16_t to float first")
TWIN_UNARY(Sqrt, twin::cost::Vector::Sqrt, [](float a) { return std::sqrt(a); }, TWIN_FLOATS,
           "Sqrt is of half and float on dav-c220; cast bfloat16_t to float first")
TWIN_UNARY(Not, twin::cost::Vector::Simple, [](auto a) { return static_cast<decltype(a)>(~a); }, (twin::is_one_of<T, int16_t, uint16_t>),
           "Not is of int16_t and uint16_t on dav-c220; use ReinterpretCast")

#undef TWIN_UNARY
#undef TWIN_FLOATS

} // namespace AscendC
