/// Arithmetic of the vector unit on single values. `half` is computed in f32 and rounded once, which for + - * / and square roots is
/// the correctly rounded result; integers wrap.
#pragma once

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "numbers.h"

namespace twin {

template <typename T, typename... Types> constexpr bool is_one_of = (std::is_same_v<T, Types> || ...);

/// The type that a value is computed in.
template <typename T> inline T wide(T value) { return value; }
inline float wide(half value) { return half_to_float(value.bits); }
inline float wide(bfloat16_t value) { return bf16_to_float(value.bits); }
template <typename T> using Wide = decltype(wide(T()));

/// Back to a stored type, to nearest even.
template <typename T> struct Narrow {
    template <typename V> static T of(V value) { return static_cast<T>(value); }
};
template <> struct Narrow<half> {
    static half of(float value)
    {
        half result;
        result.bits = float_to_half(value);
        return result;
    }
};
template <> struct Narrow<bfloat16_t> {
    static bfloat16_t of(float value)
    {
        bfloat16_t result;
        result.bits = float_to_bf16(value);
        return result;
    }
};

namespace math {

template <typename T> inline T add(T a, T b)
{
    if constexpr (std::is_integral_v<T>) return static_cast<T>(static_cast<std::make_unsigned_t<T>>(a) + static_cast<std::make_unsigned_t<T>>(b));
    else return a + b;
}
template <typename T> inline T sub(T a, T b)
{
    if constexpr (std::is_integral_v<T>) return static_cast<T>(static_cast<std::make_unsigned_t<T>>(a) - static_cast<std::make_unsigned_t<T>>(b));
    else return a - b;
}
template <typename T> inline T mul(T a, T b)
{
    if constexpr (std::is_integral_v<T>) return static_cast<T>(static_cast<uint64_t>(static_cast<int64_t>(a)) * static_cast<uint64_t>(static_cast<int64_t>(b)));
    else return a * b;
}
/// NaN if one of them is.
template <typename T> inline T max(T a, T b)
{
    const T result = a > b ? a : b;
    return a != a ? a : result;
}
template <typename T> inline T min(T a, T b)
{
    const T result = a < b ? a : b;
    return a != a ? a : result;
}

/// e^x to within 0.504 units in the last place. Without branches, so that loops become vector code:
/// x = k ln 2 + r with |r| <= ln 2 / 2, a Taylor polynomial of e^r, and k into the exponent.
inline float exp(float x)
{
    constexpr double SHIFT = 0x1.8p52;
    double limited = x < -110.0f ? -110.0f : x;
    limited = x > 90.0f ? 90.0 : limited;
    const double shifted = limited * 1.4426950408889634 + SHIFT;
    const double k = shifted - SHIFT, r = limited - k * 0.6931471805599453;
    double sum = 1.0 / 40320;
    sum = sum * r + 1.0 / 5040;
    sum = sum * r + 1.0 / 720;
    sum = sum * r + 1.0 / 120;
    sum = sum * r + 1.0 / 24;
    sum = sum * r + 1.0 / 6;
    sum = sum * r + 0.5;
    sum = sum * r + 1.0;
    sum = sum * r + 1.0;
    uint64_t bits;
    std::memcpy(&bits, &shifted, 8);
    // The integer k stands in the low bits of `shifted`.
    bits = (bits + 1023) << 52;
    double power;
    std::memcpy(&power, &bits, 8);
    return static_cast<float>(sum * power);
}

/// 1 / x as the instruction estimates it: eight bits. The documentation of the chips' vec_rec and vec_rsqrt gives no bound but
/// that 0.1 % is not met, and samples (1 -> 0.998, 2 -> 0.705, 3 -> 0.576, 128 -> 0.08813 of the inverse root); they
/// are those of the 8-bit estimates that other processors compute so.
inline float reciprocal_estimate(float x)
{
    if (x != x) return x;
    if (x == 0) return std::copysign(INFINITY, x);
    if (std::isinf(x)) return std::copysign(0.0f, x);
    int exponent;
    const float mantissa = std::frexp(std::fabs(x), &exponent);  // in [0.5, 1)
    const int a = static_cast<int>(mantissa * 512) * 2 + 1;      // 9 bits and a half
    const int estimate = ((1 << 19) / a + 1) / 2;                // of 256 / mantissa, in (256, 512)
    return std::copysign(std::ldexp(static_cast<float>(estimate), -8 - exponent), x);
}

inline float inverse_root_estimate(float x)
{
    if (x != x || x < 0) return NAN;
    if (x == 0) return std::copysign(INFINITY, x);
    if (std::isinf(x)) return 0;
    int exponent;
    float mantissa = std::frexp(x, &exponent);
    if (exponent % 2) {  // x = mantissa * 4^k with mantissa in [0.25, 1)
        mantissa /= 2;
        ++exponent;
    }
    int a = static_cast<int>(mantissa * 512);
    a = a < 256 ? a * 2 + 1 : (a / 2 * 2 + 1) * 2;
    // The largest b with a b^2 < 2^28.
    int b = static_cast<int>(std::sqrt(static_cast<double>(1 << 28) / a));
    while (static_cast<int64_t>(a) * (b + 1) * (b + 1) < 1 << 28) ++b;
    while (static_cast<int64_t>(a) * b * b >= 1 << 28) --b;
    return std::ldexp(static_cast<float>((b + 1) / 2), -8 - exponent / 2);
}

} // namespace math
} // namespace twin
