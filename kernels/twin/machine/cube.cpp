#include "cube.h"

#include <algorithm>
#include <vector>

#include "../api/numbers.h"

namespace twin {

#if defined(__x86_64__)
#define TWIN_WIDE __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define TWIN_WIDE
#endif

namespace {

/// Half a row of a fractal of C: what a register holds.
typedef float Half __attribute__((vector_size(32), aligned(4), may_alias));

/// 16 columns of C: `a` is [m][k], `b` [k][16], `c` [m][16]. Four rows at a time stay in registers.
TWIN_WIDE void columns(uint32_t m, uint32_t k, const float *a, const float *b, float *c)
{
    for (uint32_t i = 0; i < m; i += 4, c += 64) {
        Half *sums = reinterpret_cast<Half *>(c);
        Half l0 = sums[0], r0 = sums[1], l1 = sums[2], r1 = sums[3], l2 = sums[4], r2 = sums[5], l3 = sums[6], r3 = sums[7];
        const float *row = a + static_cast<size_t>(i) * k;
        const Half *right = reinterpret_cast<const Half *>(b);
        for (uint32_t x = 0; x < k; ++x) {
            const float a0 = row[x], a1 = row[k + x], a2 = row[2 * k + x], a3 = row[3 * k + x];
            l0 += a0 * right[2 * x], r0 += a0 * right[2 * x + 1];
            l1 += a1 * right[2 * x], r1 += a1 * right[2 * x + 1];
            l2 += a2 * right[2 * x], r2 += a2 * right[2 * x + 1];
            l3 += a3 * right[2 * x], r3 += a3 * right[2 * x + 1];
        }
        sums[0] = l0, sums[1] = r0, sums[2] = l1, sums[3] = r1, sums[4] = l2, sums[5] = r2, sums[6] = l3, sums[7] = r3;
    }
}

TWIN_WIDE void columns_int(uint32_t m, uint32_t k, const int32_t *a, const int32_t *b, int32_t *c)
{
    for (uint32_t i = 0; i < m; ++i)
        for (uint32_t x = 0; x < k; ++x)
            for (uint32_t y = 0; y < 16; ++y) c[i * 16 + y] += a[static_cast<size_t>(i) * k + x] * b[x * 16 + y];
}

TWIN_WIDE void halves(const uint8_t *from, float *to, uint32_t count)
{
    for (uint32_t i = 0; i < count; ++i) {
        uint16_t bits;
        __builtin_memcpy(&bits, from + i * 2, 2);
        to[i] = half_to_float(bits);
    }
}

TWIN_WIDE void bf16s(const uint8_t *from, float *to, uint32_t count)
{
    for (uint32_t i = 0; i < count; ++i) {
        uint16_t bits;
        __builtin_memcpy(&bits, from + i * 2, 2);
        to[i] = bf16_to_float(bits);
    }
}

/// HF32: 11 bits of fraction, to nearest; ties to even or toward zero.
float hf32(float value, bool toward_zero)
{
    const uint32_t bits = to_bits(value);
    if ((bits & 0x7f800000u) == 0x7f800000u) return value;
    return from_bits((bits + 0x7ffu + (toward_zero ? 0 : bits >> 12 & 1)) & ~0xfffu);
}

/// `count` values as f32 (Int8: as i32).
void widen(Element element, bool toward_zero, const uint8_t *from, float *to, uint32_t count)
{
    switch (element) {
    case Element::Half: return halves(from, to, count);
    case Element::Bf16: return bf16s(from, to, count);
    case Element::Float: std::memcpy(to, from, count * 4); return;
    case Element::Hf32:
        std::memcpy(to, from, count * 4);
        for (uint32_t i = 0; i < count; ++i) to[i] = hf32(to[i], toward_zero);
        return;
    case Element::Int8:
        for (uint32_t i = 0; i < count; ++i) {
            const int32_t value = static_cast<int8_t>(from[i]);
            std::memcpy(to + i, &value, 4);
        }
    }
}

} // namespace

void multiply(const Product &p)
{
    const uint32_t c0 = p.element == Element::Int8 ? 32 : p.element == Element::Float || p.element == Element::Hf32 ? 8 : 16;
    const uint32_t fractal = 16 * c0;
    static thread_local std::vector<float> a, b, values;
    a.resize(static_cast<size_t>(p.m) * p.k);
    b.resize(static_cast<size_t>(p.k) * 16);
    values.resize(std::max(static_cast<size_t>(p.m) * p.k, static_cast<size_t>(p.k) * p.n));

    widen(p.element, p.toward_zero, p.a, values.data(), p.m * p.k);
    const uint32_t steps = p.k / c0;
    for (uint32_t i = 0; i < p.m; ++i)
        for (uint32_t s = 0; s < steps; ++s)
            std::memcpy(&a[static_cast<size_t>(i) * p.k + s * c0],
                        &values[(static_cast<size_t>(i / 16) * steps + s) * fractal + i % 16 * c0], c0 * 4);

    widen(p.element, p.toward_zero, p.b, values.data(), p.k * p.n);
    for (uint32_t j = 0; j < p.n / 16; ++j) {
        // Within a fractal k is contiguous; turn it so that n is.
        for (uint32_t s = 0; s < steps; ++s) {
            const float *from = &values[(static_cast<size_t>(s) * (p.n / 16) + j) * fractal];
            float *to = &b[static_cast<size_t>(s) * c0 * 16];
            for (uint32_t x = 0; x < c0; ++x)
                for (uint32_t y = 0; y < 16; ++y) to[x * 16 + y] = from[y * c0 + x];
        }
        uint8_t *c = p.c + static_cast<size_t>(j) * p.m * 64;
        if (p.bias)
            for (uint32_t i = 0; i < p.m; ++i) std::memcpy(c + i * 64, p.bias + j * 64, 64);
        else if (!p.accumulate)
            std::memset(c, 0, static_cast<size_t>(p.m) * 64);
        if (p.element == Element::Int8)
            columns_int(p.m, p.k, reinterpret_cast<const int32_t *>(a.data()), reinterpret_cast<const int32_t *>(b.data()),
                        reinterpret_cast<int32_t *>(c));
        else
            columns(p.m, p.k, a.data(), b.data(), reinterpret_cast<float *>(c));
    }
}

} // namespace twin
