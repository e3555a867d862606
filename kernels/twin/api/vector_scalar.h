/// Instructions with a tensor and a scalar: Adds, Muls, Maxs, Mins, LeakyRelu, shifts, Axpy.
#pragma once

#include "elementwise.h"

namespace AscendC {

/// The three calling forms. `element` is a function of the source's element; `s` is the scalar.
#define TWIN_SCALAR(name, element, allowed, message)                                                                                     \
    template <typename T, bool isSetMask = true>                                                                                         \
    inline void name(const LocalTensor<T> &dst, const LocalTensor<T> &src, const T &scalar, const uint64_t mask[], const int64_t repeats, \
                     const UnaryRepeatParams &params, twin::Where where = twin::Where::here())                                           \
    {                                                                                                                                    \
        static_assert(allowed, message);                                                                                                 \
        const auto s = twin::wide(scalar);                                                                                               \
        twin::unary<false>(#name, where, twin::cost::Vector::Simple, dst, src, twin::Choice::bits(isSetMask, mask, repeats), params, element); \
    }                                                                                                                                    \
    template <typename T, bool isSetMask = true>                                                                                         \
    inline void name(const LocalTensor<T> &dst, const LocalTensor<T> &src, const T &scalar, const uint64_t mask, const int64_t repeats,   \
                     const UnaryRepeatParams &params, twin::Where where = twin::Where::here())                                           \
    {                                                                                                                                    \
        static_assert(allowed, message);                                                                                                 \
        const auto s = twin::wide(scalar);                                                                                               \
        twin::unary<false>(#name, where, twin::cost::Vector::Simple, dst, src, twin::Choice::first(isSetMask, mask, repeats), params, element); \
    }                                                                                                                                    \
    template <typename T, bool isSetMask = true>                                                                                         \
    inline void name(const LocalTensor<T> &dst, const LocalTensor<T> &src, const T &scalar, const int64_t count,                          \
                     twin::Where where = twin::Where::here())                                                                            \
    {                                                                                                                                    \
        static_assert(allowed, message);                                                                                                 \
        const auto s = twin::wide(scalar);                                                                                               \
        twin::unary<false>(#name, where, twin::cost::Vector::Simple, dst, src, twin::Choice::count(count), twin::unary_row<T, T>(), element); \
    }

#define TWIN_NUMBERS (twin::is_one_of<T, half, float, int16_t, int32_t>)

TWIN_SCALAR(Adds, [s](auto a) { return twin::math::add(a, s); }, TWIN_NUMBERS,
            "Adds is of half, float, int16_t and int32_t on dav-c220; cast bfloat16_t to float first")
TWIN_SCALAR(Muls, [s](auto a) { return twin::math::mul(a, s); }, TWIN_NUMBERS,
            "Muls is of half, float, int16_t and int32_t on dav-c220; cast bfloat16_t to float first")
TWIN_SCALAR(Maxs, [s](auto a) { return twin::math::max(a, s); }, TWIN_NUMBERS,
            "Maxs is of half, float, int16_t and int32_t on dav-c220; cast bfloat16_t to float first")
TWIN_SCALAR(Mins, [s](auto a) { return twin::math::min(a, s); }, TWIN_NUMBERS,
            "Mins is of half, float, int16_t and int32_t on dav-c220; cast bfloat16_t to float first")
TWIN_SCALAR(LeakyRelu, [s](float a) { return a >= 0 ? a : a * s; }, (twin::is_one_of<T, half, float>),
            "LeakyRelu is of half and float on dav-c220; cast bfloat16_t to float first")
/// The bits move, whatever the sign; a shift by all bits leaves 0.
TWIN_SCALAR(ShiftLeft, [s](auto a) { return static_cast<decltype(a)>(static_cast<uint64_t>(s) < sizeof(a) * 8 ? static_cast<uint64_t>(a) << s : 0); },
            (twin::is_one_of<T, int16_t, uint16_t, int32_t, uint32_t>), "ShiftLeft is of integers of 16 and 32 bits on dav-c220")

#undef TWIN_SCALAR
#undef TWIN_NUMBERS

/// Signed numbers keep their sign. `roundEn`: to nearest, halves up; of signed numbers alone.
template <typename T> inline auto shift_right(T scalar, bool roundEn)
{
    static_assert(twin::is_one_of<T, int16_t, uint16_t, int32_t, uint32_t>, "ShiftRight is of integers of 16 and 32 bits on dav-c220");
    const int64_t s = scalar;
    return [s, roundEn](T a) {
        const int64_t shift = s < 63 ? s : 63;
        const int64_t round = roundEn && s > 0 ? int64_t(1) << (shift - 1) : 0;
        return static_cast<T>((static_cast<int64_t>(a) + round) >> shift);
    };
}

template <typename T, bool isSetMask = true>
inline void ShiftRight(const LocalTensor<T> &dst, const LocalTensor<T> &src, const T &scalar, const uint64_t mask[], const int64_t repeats,
                       const UnaryRepeatParams &params, bool roundEn = false, twin::Where where = twin::Where::here())
{
    twin::unary<false>("ShiftRight", where, twin::cost::Vector::Simple, dst, src, twin::Choice::bits(isSetMask, mask, repeats), params,
                       shift_right(scalar, roundEn && std::is_signed_v<T>));
}

template <typename T, bool isSetMask = true>
inline void ShiftRight(const LocalTensor<T> &dst, const LocalTensor<T> &src, const T &scalar, const uint64_t mask, const int64_t repeats,
                       const UnaryRepeatParams &params, bool roundEn = false, twin::Where where = twin::Where::here())
{
    twin::unary<false>("ShiftRight", where, twin::cost::Vector::Simple, dst, src, twin::Choice::first(isSetMask, mask, repeats), params,
                       shift_right(scalar, roundEn && std::is_signed_v<T>));
}

template <typename T, bool isSetMask = true>
inline void ShiftRight(const LocalTensor<T> &dst, const LocalTensor<T> &src, const T &scalar, const int64_t count,
                       twin::Where where = twin::Where::here())
{
    twin::unary<false>("ShiftRight", where, twin::cost::Vector::Simple, dst, src, twin::Choice::count(count), twin::unary_row<T, T>(),
                       shift_right(scalar, false));
}

/// dst += scalar * src. The destination may be of float where the source is of half.
template <typename T, typename U> inline auto axpy(U scalar)
{
    static_assert((std::is_same_v<T, U> && twin::is_one_of<T, half, float>) || (std::is_same_v<T, float> && std::is_same_v<U, half>),
                  "Axpy is of half, of float, or of float with a source of half on dav-c220");
    const double s = twin::wide(scalar);
    return [s](float d, float a) { return static_cast<float>(s * a + d); };
}

template <typename T, typename U, bool isSetMask = true>
inline void Axpy(const LocalTensor<T> &dst, const LocalTensor<U> &src, const U &scalar, const uint64_t mask, const int64_t repeats,
                 const UnaryRepeatParams &params, twin::Where where = twin::Where::here())
{
    twin::unary<true>("Axpy", where, twin::cost::Vector::MulAdd, dst, src, twin::Choice::first(isSetMask, mask, repeats), params,
                      axpy<T, U>(scalar));
}

template <typename T, typename U, bool isSetMask = true>
inline void Axpy(const LocalTensor<T> &dst, const LocalTensor<U> &src, const U &scalar, const uint64_t mask[], const int64_t repeats,
                 const UnaryRepeatParams &params, twin::Where where = twin::Where::here())
{
    twin::unary<true>("Axpy", where, twin::cost::Vector::MulAdd, dst, src, twin::Choice::bits(isSetMask, mask, repeats), params,
                      axpy<T, U>(scalar));
}

template <typename T, typename U>
inline void Axpy(const LocalTensor<T> &dst, const LocalTensor<U> &src, const U &scalar, const int64_t count,
                 twin::Where where = twin::Where::here())
{
    twin::unary<true>("Axpy", where, twin::cost::Vector::MulAdd, dst, src, twin::Choice::count(count), twin::unary_row<T, U>(),
                      axpy<T, U>(scalar));
}

} // namespace AscendC
