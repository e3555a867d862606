/// `half` and `bfloat16_t`: storage of 16 bits, with conversions as IEEE 754 and the chip round them.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace twin {

inline float from_bits(uint32_t bits)
{
    float value;
    std::memcpy(&value, &bits, 4);
    return value;
}

inline uint32_t to_bits(float value)
{
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    return bits;
}

/// Without branches, so that loops over it become vector code.
inline float half_to_float(uint16_t half)
{
    const uint32_t sign = (half & 0x8000u) << 16, rest = half & 0x7fffu;
    // The exponent moves by 112 in f32; a product does it for subnormals as well, and infinities need the top exponent.
    const float value = from_bits(rest << 13) * 0x1p112f;
    const uint32_t special = rest >= 0x7c00u ? 0x7f800000u | (rest & 0x3ffu) << 13 : to_bits(value);
    return from_bits(sign | special);
}

/// To nearest, ties to even; beyond 65519 infinite.
inline uint16_t float_to_half(float value)
{
    const uint32_t bits = to_bits(value), sign = bits >> 16 & 0x8000u, rest = bits & 0x7fffffffu;
    // Subnormal halves: adding 0.5 puts their last bit at the end of the fraction, rounded by the machine.
    const uint32_t small = to_bits(from_bits(rest) + 0.5f) - to_bits(0.5f);
    const uint32_t normal = (rest - 0x38000000u + 0xfffu + (rest >> 13 & 1)) >> 13;
    uint32_t half = rest < 0x38800000u ? small : normal;
    half = rest >= 0x477ff000u ? 0x7c00u : half;
    half = rest > 0x7f800000u ? 0x7e00u : half;
    return static_cast<uint16_t>(sign | half);
}

inline float bf16_to_float(uint16_t value) { return from_bits(static_cast<uint32_t>(value) << 16); }

/// To nearest, ties to even.
inline uint16_t float_to_bf16(float value)
{
    const uint32_t bits = to_bits(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>(bits >> 16 | 0x40);
    return static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}

} // namespace twin

struct half {
    uint16_t bits;
    half() = default;
    half(float value) : bits(twin::float_to_half(value)) {}
    template <typename V, typename = std::enable_if_t<std::is_arithmetic_v<V>>> half(V value) : half(static_cast<float>(value)) {}
    operator float() const { return twin::half_to_float(bits); }
};

struct bfloat16_t {
    uint16_t bits;
    bfloat16_t() = default;
    explicit bfloat16_t(float value) : bits(twin::float_to_bf16(value)) {}
    explicit operator float() const { return twin::bf16_to_float(bits); }
};

static_assert(sizeof(half) == 2 && sizeof(bfloat16_t) == 2, "");

namespace AscendC {

inline float ToFloat(const bfloat16_t &value) { return static_cast<float>(value); }
inline bfloat16_t ToBfloat16(const float &value) { return bfloat16_t(value); }

} // namespace AscendC
