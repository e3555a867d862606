/// Conversions between number formats, in every mode of rounding.
#pragma once

#include <limits>

#include "math.h"
#include "params.h"

namespace twin {

/// `value` to an integer. The modes that round to the nearest or to a neighbour are those of `RoundMode`.
inline double round(double value, AscendC::RoundMode mode)
{
    using Mode = AscendC::RoundMode;
    switch (mode) {
    case Mode::CAST_FLOOR: return std::floor(value);
    case Mode::CAST_CEIL: return std::ceil(value);
    case Mode::CAST_ROUND: return std::round(value);
    case Mode::CAST_TRUNC: return std::trunc(value);
    case Mode::CAST_ODD: {
        const double whole = std::floor(value);
        return whole == value || std::fmod(whole, 2) != 0 ? whole : whole + 1;
    }
    default: return std::nearbyint(value);
    }
}

/// `value` rounded to a format with `digits` binary digits whose smallest exponent is `lowest` (of a value in [0.5, 1)) and whose
/// largest finite value is `largest`.
inline double round(double value, AscendC::RoundMode mode, int digits, int lowest, double largest)
{
    using Mode = AscendC::RoundMode;
    if (value == 0 || value != value || std::isinf(value)) return value;
    int exponent;
    std::frexp(value, &exponent);
    const int unit = std::max(exponent, lowest) - digits;
    // One scaling may leave the range of double.
    const double scaled = std::ldexp(value, -unit);
    const double rounded = std::ldexp(round(scaled, mode), unit);
    if (std::fabs(rounded) <= largest) return rounded;
    const bool to_zero = mode == Mode::CAST_TRUNC || mode == Mode::CAST_ODD || (mode == Mode::CAST_FLOOR && value > 0) ||
                         (mode == Mode::CAST_CEIL && value < 0);
    return std::copysign(to_zero ? largest : INFINITY, value);
}

/// Formats of floating point: digits, lowest exponent, largest value.
template <typename T> struct Format;
template <> struct Format<half> {
    static constexpr int DIGITS = 11, LOWEST = -13;
    static constexpr double LARGEST = 65504;
};
template <> struct Format<bfloat16_t> {
    static constexpr int DIGITS = 8, LOWEST = -125;
    static constexpr double LARGEST = 0x1.fep127;
};
template <> struct Format<float> {
    static constexpr int DIGITS = 24, LOWEST = -125;
    static constexpr double LARGEST = 0x1.fffffep127;
};

template <typename T> constexpr bool is_floating = is_one_of<T, half, bfloat16_t, float>;

/// A conversion as the vector unit makes it: integers saturate, NaN becomes 0 there.
template <typename D, typename S> inline D convert(S value, AscendC::RoundMode mode)
{
    using Mode = AscendC::RoundMode;
    if constexpr (std::is_same_v<D, float> && std::is_same_v<S, float>) {
        return static_cast<float>(value != value ? value : round(static_cast<double>(value), mode));
    } else if constexpr (is_floating<D> && is_floating<S>) {
        const float wide_value = wide(value);
        if (sizeof(D) > sizeof(S) || mode == Mode::CAST_NONE || mode == Mode::CAST_RINT || wide_value != wide_value) return Narrow<D>::of(wide_value);
        return Narrow<D>::of(static_cast<float>(round(wide_value, mode, Format<D>::DIGITS, Format<D>::LOWEST, Format<D>::LARGEST)));
    } else if constexpr (is_floating<D>) {
        if constexpr (sizeof(S) == 8) {
            // More digits than a double has: a sticky bit keeps what is cut off.
            const uint64_t size = value < 0 ? ~static_cast<uint64_t>(value) + 1 : static_cast<uint64_t>(value);
            const uint64_t sticky = size >> 53 ? (size & ~0xfffull) | ((size & 0xfff) != 0 ? 0x1000 : 0) : size;
            const double exact = static_cast<double>(sticky);
            return Narrow<D>::of(static_cast<float>(round(value < 0 ? -exact : exact, mode, Format<D>::DIGITS, Format<D>::LOWEST, Format<D>::LARGEST)));
        } else {
            return Narrow<D>::of(static_cast<float>(
                round(static_cast<double>(value), mode, Format<D>::DIGITS, Format<D>::LOWEST, Format<D>::LARGEST)));
        }
    } else if constexpr (is_floating<S>) {
        const double rounded = round(static_cast<double>(wide(value)), mode);
        if (rounded != rounded) return 0;
        // 2^63 is the first that int64_t does not hold; its largest value is no double.
        if (rounded >= std::ldexp(1.0, std::numeric_limits<D>::digits)) return std::numeric_limits<D>::max();
        if (rounded <= static_cast<double>(std::numeric_limits<D>::min())) return std::numeric_limits<D>::min();
        return static_cast<D>(rounded);
    } else {
        const int64_t whole = value;
        if (whole > static_cast<int64_t>(std::numeric_limits<D>::max())) return std::numeric_limits<D>::max();
        if (whole < static_cast<int64_t>(std::numeric_limits<D>::min())) return std::numeric_limits<D>::min();
        return static_cast<D>(whole);
    }
}

} // namespace twin
