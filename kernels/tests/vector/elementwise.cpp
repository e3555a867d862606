// Instructions that work element by element: every calling form against loops over lanes.
#include "harness.h"

using namespace harness;

namespace {

constexpr uint32_t A = 0, B = 48 * 1024, C = 96 * 1024, SPAN = 48 * 1024;

/// A lane mask as a call gives it.
struct Mask {
    uint64_t bits[2];
    uint64_t first = 0;  ///< not 0: as a number of lanes
    bool lane(uint32_t i) const { return bits[i / 64] >> i % 64 & 1; }
};

Mask first(uint64_t count)
{
    Mask mask{};
    mask.first = count;
    for (uint64_t i = 0; i < count; ++i) mask.bits[i / 64] |= 1ull << i % 64;
    return mask;
}

/// Byte of a lane: eight blocks of 32 bytes in a repeat.
uint32_t place(uint32_t start, uint32_t repeat, uint32_t lane, uint32_t size, uint32_t block_stride, uint32_t repeat_stride)
{
    const uint32_t byte = lane * size;
    return start + repeat * repeat_stride * 32 + byte / 32 * block_stride * 32 + byte % 32;
}

struct Strides {
    uint8_t block[3], repeat[3];  ///< destination, first and second source
};

constexpr Strides STRIDES[] = {
    {{1, 1, 1}, {8, 8, 8}}, {{1, 1, 0}, {8, 8, 1}}, {{2, 1, 3}, {16, 8, 24}}, {{1, 2, 1}, {9, 20, 8}}, {{1, 1, 1}, {8, 0, 8}}, {{1, 0, 1}, {8, 1, 0}},
};

std::vector<Mask> masks(uint32_t width)
{
    std::vector<Mask> all = {first(width), first(1), first(width - 3), first(17)};
    all.push_back({{0x8000000000000001ull, width > 64 ? 0xf0f0ull : 0}});
    all.push_back({{0xff00ff00aaaa5555ull, width > 64 ? ~0ull : 0}});
    return all;
}

/// A binary instruction in all forms; `formula(old, a, b)` is of values.
template <class T, class Ops, class F> void binary(const std::string &name, Ops call, F formula, double low = -4, double high = 4)
{
    constexpr uint32_t WIDTH = 256 / sizeof(T);
    Image image;
    fill<T>(image, A, SPAN, 1, low, high);
    fill<T>(image, B, SPAN, 2, low, high);
    fill<T>(image, C, SPAN, 3, low, high);
    const LocalTensor<T> d = ub<T>(C), a = ub<T>(A), b = ub<T>(B);
    for (const int32_t count : {1, 7, int(WIDTH), int(WIDTH) + 1, 1000})
        same(name + ", count " + std::to_string(count), image, [&] { call.count(d, a, b, count); },
             [&](Image &ub) {
                 for (int32_t i = 0; i < count; ++i) {
                     const uint32_t at = i * sizeof(T);
                     ub.put<T>(C + at, formula(ub.get<T>(C + at), ub.get<T>(A + at), ub.get<T>(B + at)));
                 }
             });
    for (const Strides &s : STRIDES)
        for (const Mask &mask : masks(WIDTH))
            for (const uint8_t repeats : {0, 1, 3}) {
                const auto want = [&](Image &ub) {
                    for (uint32_t r = 0; r < repeats; ++r)
                        for (uint32_t i = 0; i < WIDTH; ++i) {
                            if (!mask.lane(i)) continue;
                            const uint32_t to = place(C, r, i, sizeof(T), s.block[0], s.repeat[0]);
                            ub.put<T>(to, formula(ub.get<T>(to), ub.get<T>(place(A, r, i, sizeof(T), s.block[1], s.repeat[1])),
                                                  ub.get<T>(place(B, r, i, sizeof(T), s.block[2], s.repeat[2]))));
                        }
                };
                const std::string what = name + twin::text(", strides %u %u %u, mask %llx, repeats %u", s.block[0], s.block[1], s.block[2],
                                                           static_cast<unsigned long long>(mask.bits[0]), repeats);
                same(what, image, [&] { call.repeats(d, a, b, mask, repeats, s); }, want);
                same(what + ", register", image, [&] {
                    SetMaskNorm();
                    SetVectorMask<T, MaskMode::NORMAL>(mask.bits[1], mask.bits[0]);
                    call.registers(d, a, b, repeats, s);
                }, want);
            }
    // A register that counts: as many repeats as the elements need.
    same(name + ", counting", image, [&] {
        SetMaskCount();
        SetVectorMask<T, MaskMode::COUNTER>(0, 2 * WIDTH + 5);
        call.registers(d, a, b, 1, STRIDES[0]);
        SetMaskNorm();
        ResetMask();
    }, [&](Image &ub) {
        for (uint32_t i = 0; i < 2 * WIDTH + 5; ++i) {
            const uint32_t at = i * sizeof(T);
            ub.put<T>(C + at, formula(ub.get<T>(C + at), ub.get<T>(A + at), ub.get<T>(B + at)));
        }
    });
}

#define BINARY(T, name, formula, ...)                                                                                             \
    do {                                                                                                                          \
        struct Call {                                                                                                             \
            static BinaryRepeatParams params(const Strides &s)                                                                    \
            {                                                                                                                     \
                return {s.block[0], s.block[1], s.block[2], s.repeat[0], s.repeat[1], s.repeat[2]};                               \
            }                                                                                                                     \
            void count(LocalTensor<T> d, LocalTensor<T> a, LocalTensor<T> b, int32_t n) const { name(d, a, b, n); }               \
            void repeats(LocalTensor<T> d, LocalTensor<T> a, LocalTensor<T> b, Mask m, uint8_t r, const Strides &s) const         \
            {                                                                                                                     \
                if (m.first) name(d, a, b, m.first, r, params(s));                                                                \
                else name(d, a, b, m.bits, r, params(s));                                                                         \
            }                                                                                                                     \
            void registers(LocalTensor<T> d, LocalTensor<T> a, LocalTensor<T> b, uint8_t r, const Strides &s) const               \
            {                                                                                                                     \
                REGISTER_FORM(T, name)(d, a, b, MASK_PLACEHOLDER, r, params(s));                                                  \
            }                                                                                                                     \
        };                                                                                                                        \
        binary<T>(#name " of " #T, Call(), formula, ##__VA_ARGS__);                                                               \
    } while (0)
#define REGISTER_FORM(T, name) name<T, false>

template <class T> T wrap(int64_t value) { return static_cast<T>(static_cast<uint64_t>(value)); }

template <class T> void numbers()
{
    if constexpr (std::is_integral_v<T>) {
        BINARY(T, Add, [](T, T a, T b) { return wrap<T>(int64_t(a) + b); });
        BINARY(T, Sub, [](T, T a, T b) { return wrap<T>(int64_t(a) - b); });
        BINARY(T, Mul, [](T, T a, T b) { return wrap<T>(int64_t(a) * b); });
        BINARY(T, Max, [](T, T a, T b) { return a > b ? a : b; });
        BINARY(T, Min, [](T, T a, T b) { return a < b ? a : b; });
    } else {
        BINARY(T, Add, [](T, T a, T b) { return nearest<T>(value_of(a) + value_of(b)); });
        BINARY(T, Sub, [](T, T a, T b) { return nearest<T>(value_of(a) - value_of(b)); });
        BINARY(T, Mul, [](T, T a, T b) { return nearest<T>(value_of(a) * value_of(b)); });
        BINARY(T, Div, [](T, T a, T b) { return nearest<T>(value_of(a) / value_of(b)); });
        BINARY(T, Max, [](T, T a, T b) { return value_of(a) > value_of(b) ? a : b; });
        BINARY(T, Min, [](T, T a, T b) { return value_of(a) < value_of(b) ? a : b; });
        BINARY(T, FusedMulAdd, [](T d, T a, T b) { return nearest<T>(value_of(a) * value_of(d) + value_of(b)); });
        BINARY(T, FusedMulAddRelu, [](T d, T a, T b) { return nearest<T>(std::max(value_of(a) * value_of(d) + value_of(b), 0.0)); });
        BINARY(T, AddRelu, [](T, T a, T b) { return nearest<T>(std::max(value_of(nearest<T>(value_of(a) + value_of(b))), 0.0)); });
        BINARY(T, SubRelu, [](T, T a, T b) { return nearest<T>(std::max(value_of(nearest<T>(value_of(a) - value_of(b))), 0.0)); });
    }
}

template <class T> void bits()
{
    BINARY(T, And, [](T, T a, T b) { return T(a & b); });
    BINARY(T, Or, [](T, T a, T b) { return T(a | b); });
}

#undef REGISTER_FORM
#define REGISTER_FORM(T, name) name<T, T, false>

template <class T> void multiply_and_add()
{
    BINARY(T, MulAddDst, [](T d, T a, T b) { return nearest<T>(value_of(a) * value_of(b) + value_of(d)); });
}

/// A destination of float and sources of half: eight blocks of float, four of half in a repeat.
void mixed_widths()
{
    Image image;
    fill<half>(image, A, SPAN, 1);
    fill<half>(image, B, SPAN, 2);
    fill<float>(image, C, SPAN, 3);
    const LocalTensor<float> d = ub<float>(C);
    const LocalTensor<half> a = ub<half>(A), b = ub<half>(B);
    const auto multiply = [](Image &ub, uint32_t r, uint32_t i) {
        const uint32_t to = place(C, r, i, 4, 1, 8), at = place(0, r, i, 2, 1, 4);
        ub.put<float>(to, nearest<float>(value_of(ub.get<half>(A + at)) * value_of(ub.get<half>(B + at)) + ub.get<float>(to)));
    };
    same("MulAddDst of float and half, repeats", image, [&] { MulAddDst(d, a, b, 50, 3, {1, 1, 1, 8, 4, 4}); }, [&](Image &ub) {
        for (uint32_t r = 0; r < 3; ++r)
            for (uint32_t i = 0; i < 50; ++i) multiply(ub, r, i);
    });
    same("MulAddDst of float and half, count", image, [&] { MulAddDst(d, a, b, 135); }, [&](Image &ub) {
        for (uint32_t i = 0; i < 135; ++i) multiply(ub, i / 64, i % 64);
    });
    same("Axpy of float and half", image, [&] { Axpy(d, a, half(0.5f), 135); }, [&](Image &ub) {
        for (uint32_t i = 0; i < 135; ++i) ub.put<float>(C + 4 * i, nearest<float>(value_of(ub.get<half>(A + 2 * i)) * 0.5 + ub.get<float>(C + 4 * i)));
    });
    const uint64_t mask[2] = {0xf0f0f0f0f0f0f0f0ull, 0};
    same("Axpy of float and half, bits", image, [&] { Axpy(d, a, half(-3), mask, 2, {1, 1, 8, 4}); }, [&](Image &ub) {
        for (uint32_t r = 0; r < 2; ++r)
            for (uint32_t i = 0; i < 64; ++i)
                if (i % 8 >= 4) ub.put<float>(place(C, r, i, 4, 1, 8), nearest<float>(value_of(ub.get<half>(place(A, r, i, 2, 1, 4))) * -3 + ub.get<float>(place(C, r, i, 4, 1, 8))));
    });
}

/// A unary call in all forms.
template <class T, class Count, class First, class Bits, class Register, class F>
void unary(const std::string &name, double low, double high, Count count_form, First first_form, Bits bits_form, Register register_form, F formula)
{
    constexpr uint32_t WIDTH = 256 / sizeof(T);
    Image image;
    fill<T>(image, A, SPAN, 1, low, high);
    fill<T>(image, C, SPAN, 3, low, high);
    const LocalTensor<T> d = ub<T>(C), a = ub<T>(A);
    for (const int32_t count : {1, int(WIDTH) + 5, 900})
        same(name + ", count " + std::to_string(count), image, [&] { count_form(d, a, count); }, [&](Image &ub) {
            for (int32_t i = 0; i < count; ++i) ub.put<T>(C + i * sizeof(T), formula(ub.get<T>(A + i * sizeof(T))));
        });
    same(name + ", in place", image, [&] { count_form(a, a, 333); }, [&](Image &ub) {
        for (int32_t i = 0; i < 333; ++i) ub.put<T>(A + i * sizeof(T), formula(ub.get<T>(A + i * sizeof(T))));
    });
    for (const Strides &s : STRIDES)
        for (const Mask &mask : masks(WIDTH)) {
            const auto want = [&](Image &ub) {
                for (uint32_t r = 0; r < 3; ++r)
                    for (uint32_t i = 0; i < WIDTH; ++i)
                        if (mask.lane(i)) ub.put<T>(place(C, r, i, sizeof(T), s.block[0], s.repeat[0]), formula(ub.get<T>(place(A, r, i, sizeof(T), s.block[1], s.repeat[1]))));
            };
            const UnaryRepeatParams params(s.block[0], s.block[1], s.repeat[0], s.repeat[1]);
            if (mask.first) same(name + ", first lanes", image, [&] { first_form(d, a, mask.first, 3, params); }, want);
            same(name + ", bits", image, [&] { bits_form(d, a, mask.bits, 3, params); }, want);
            same(name + ", register", image, [&] {
                SetVectorMask<T>(mask.bits[1], mask.bits[0]);
                register_form(d, a, 3, params);
            }, want);
        }
}

#define UNARY(T, low, high, formula, name, ...)                                                                                             \
    unary<T>(#name " of " #T, low, high, [](auto d, auto s, int32_t n) { name(d, s, ##__VA_ARGS__, n); },                                    \
             [](auto d, auto s, uint64_t m, uint8_t r, const UnaryRepeatParams &p) { name(d, s, ##__VA_ARGS__, m, r, p); },                  \
             [](auto d, auto s, const uint64_t *m, uint8_t r, const UnaryRepeatParams &p) { name(d, s, ##__VA_ARGS__, m, r, p); },           \
             [](auto d, auto s, uint8_t r, const UnaryRepeatParams &p) { name<T, false>(d, s, ##__VA_ARGS__, MASK_PLACEHOLDER, r, p); }, formula)

/// The nearest number to an exact result, or the next one where a double does not decide.
template <class T> void floats()
{
    UNARY(T, -4, 4, [](T a) { return value_of(a) > 0 ? a : T(0.0f); }, Relu);
    UNARY(T, -4, 4, [](T a) { return nearest<T>(std::fabs(value_of(a))); }, Abs);
    UNARY(T, 0, 4, [](T a) { return nearest<T>(std::sqrt(value_of(a))); }, Sqrt);
    UNARY(T, 0.1, 9, [](T a) { return nearest<T>(std::log(value_of(a))); }, Ln);
    UNARY(T, -4, 4, [](T a) { return nearest<T>(value_of(a) + value_of(T(1.5f))); }, Adds, T(1.5f));
    UNARY(T, -4, 4, [](T a) { return nearest<T>(value_of(a) * value_of(T(0.3f))); }, Muls, T(0.3f));
    UNARY(T, -4, 4, [](T a) { return value_of(a) > 0.5 ? a : T(0.5f); }, Maxs, T(0.5f));
    UNARY(T, -4, 4, [](T a) { return value_of(a) < 0.5 ? a : T(0.5f); }, Mins, T(0.5f));
    UNARY(T, -4, 4, [](T a) { return value_of(a) >= 0 ? a : nearest<T>(value_of(a) * value_of(T(0.1f))); }, LeakyRelu, T(0.1f));
}

template <class T> void integers()
{
    UNARY(T, 0, 0, [](T a) { return wrap<T>(int64_t(a) + 77); }, Adds, T(77));
    UNARY(T, 0, 0, [](T a) { return wrap<T>(int64_t(a) * -3); }, Muls, T(-3));
    UNARY(T, 0, 0, [](T a) { return a > 5 ? a : T(5); }, Maxs, T(5));
    UNARY(T, 0, 0, [](T a) { return a < 5 ? a : T(5); }, Mins, T(5));
}

template <class T> void shifts()
{
    UNARY(T, 0, 0, [](T a) { return wrap<T>(int64_t(uint64_t(a) << 3)); }, ShiftLeft, T(3));
    UNARY(T, 0, 0, [](T a) { return T(a >> 3); }, ShiftRight, T(3));
    Image image;
    fill<T>(image, A, SPAN, 1);
    same("ShiftRight with rounding", image, [] { ShiftRight(ub<T>(C), ub<T>(A), T(2), 64, 1, UnaryRepeatParams(), true); }, [](Image &ub) {
        for (uint32_t i = 0; i < 64; ++i) {
            const T a = ub.get<T>(A + i * sizeof(T));
            ub.put<T>(C + i * sizeof(T), std::is_signed_v<T> ? T((int64_t(a) + 2) >> 2) : T(a >> 2));
        }
    });
}

/// Exp is near to the exact value; the estimates are within eight bits, and as the documentation's samples.
template <class T> void inexact()
{
    Image image;
    fill<T>(image, A, 4096, 1, -9, 9);
    fill<T>(image, B, 4096, 2, 0.001, 300);
    const uint32_t count = 4096 / sizeof(T);
    Image result = image;
    same("inexact", image, [&] {
        Exp(ub<T>(C), ub<T>(A), count);
        Reciprocal(ub<T>(C + 8192), ub<T>(B), count);
        Rsqrt(ub<T>(C + 16384), ub<T>(B), count);
        result = Image(twin::core().memory(twin::Space::UB));
    }, [&](Image &want) { want = result; });
    double exp_off = 0, reciprocal_off = 0, root_off = 0;
    for (uint32_t at = 0; at < 4096; at += sizeof(T)) {
        const double e = std::exp(value_of(image.get<T>(A + at))), b = value_of(image.get<T>(B + at));
        exp_off = std::max(exp_off, std::fabs(value_of(result.get<T>(C + at)) - e) / std::ldexp(1.0, std::ilogb(e) - (sizeof(T) == 2 ? 10 : 23)));
        reciprocal_off = std::max(reciprocal_off, std::fabs(value_of(result.get<T>(C + 8192 + at)) * b - 1));
        root_off = std::max(root_off, std::fabs(value_of(result.get<T>(C + 16384 + at)) * std::sqrt(b) - 1));
    }
    if (exp_off > 0.504) wrong(twin::text("Exp is %g units off", exp_off));
    if (reciprocal_off > 1 / 256.0 || reciprocal_off < 1 / 2048.0) wrong(twin::text("Reciprocal is %g off", reciprocal_off));
    if (root_off > 1 / 256.0 || root_off < 1 / 2048.0) wrong(twin::text("Rsqrt is %g off", root_off));
}

void samples()
{
    const float of[] = {1, 2, 3, 4, 128}, roots[] = {0.998, 0.705, 0.576, 0.499, 0.08813};
    for (int i = 0; i < 5; ++i)
        if (std::fabs(twin::math::inverse_root_estimate(of[i]) - roots[i]) > 6e-4 * roots[i]) wrong("Rsqrt is not as the documentation's sample");
    const float inf = INFINITY;
    if (twin::math::exp(inf) != inf || twin::math::exp(-inf) != 0 || twin::math::exp(0) != 1 || twin::math::exp(89) != inf) wrong("limits of Exp");
    if (twin::math::exp(NAN) == twin::math::exp(NAN)) wrong("Exp of NaN");
    if (twin::math::reciprocal_estimate(0.0f) != inf || twin::math::reciprocal_estimate(-inf) != 0) wrong("limits of Reciprocal");
}

/// A destination that stays in place adds the repeats up.
void accumulation()
{
    Image image;
    fill<float>(image, A, SPAN, 1);
    fill<float>(image, C, SPAN, 3);
    same("Add into a repeat that stays", image, [] { Add(ub<float>(C), ub<float>(A), ub<float>(C), 64, 9, {1, 1, 1, 0, 8, 0}); }, [](Image &ub) {
        for (uint32_t r = 0; r < 9; ++r)
            for (uint32_t i = 0; i < 64; ++i) ub.put<float>(C + 4 * i, ub.get<float>(A + r * 256 + 4 * i) + ub.get<float>(C + 4 * i));
    });
}

/// Most repeats that there are.
void all_repeats()
{
    Image image;
    fill<half>(image, A, 2 * SPAN, 1);
    same("255 repeats", image, [] { Adds(ub<half>(C), ub<half>(A), half(1), 128, 255, {1, 1, 8, 8}); }, [](Image &ub) {
        for (uint32_t i = 0; i < 255 * 128; ++i) ub.put<half>(C + 2 * i, nearest<half>(value_of(ub.get<half>(A + 2 * i)) + 1));
    });
}

/// To the byte: lanes that are off are neither read nor written.
void exact_bytes()
{
    const uint64_t bits[2] = {0x00f000000000ff01ull, 0};
    const UnaryRepeatParams strided(2, 3, 20, 30);
    const auto on = [&](uint32_t lane) { return bits[0] >> lane & 1; };
    const std::string fault = Device().run([&] {
        // Only what is read holds something.
        Duplicate(ub<float>(A), 1.0f, bits, 3, 3, 30);
        PipeBarrier<PIPE_V>();
        Adds(ub<float>(C), ub<float>(A), 1.0f, bits, 3, strided);
        PipeBarrier<PIPE_V>();
        for (uint32_t r = 0; r < 3; ++r)
            for (uint32_t lane = 0; lane < 64; ++lane)
                if (twin::core().shadow(twin::Space::UB).holds(place(C, r, lane, 4, 2, 20), 4) != on(lane)) return wrong(twin::text("lane %u of repeat %u", lane, r));
        // One broadcast block, of which three lanes count.
        Duplicate(ub<float>(B), 1.0f, 3, 2, 1, 1);
        Duplicate(ub<float>(4096), 1.0f, 3, 2, 1, 8);
        PipeBarrier<PIPE_V>();
        Add(ub<float>(8192), ub<float>(4096), ub<float>(B), 3, 2, {1, 1, 0, 8, 8, 1});
        if (twin::core().shadow(twin::Space::UB).holds(8192 + 12, 4)) wrong("a lane that is off counts as written");
    }, true);
    if (!fault.empty()) wrong(fault);
    refused("Adds on AIV 0 of core 0: reads byte 32 of UB, which was freed and not written since", [] {
        twin::core().shadow(twin::Space::UB).forget(32, 4);
        Adds(ub<float>(C), ub<float>(A), 1.0f, 9, 1, UnaryRepeatParams());
    });
}

/// What calls leave in the mask register.
void register_leaks()
{
    Image image;
    fill<float>(image, A, SPAN, 1);
    const auto want = [](uint32_t lanes) {
        return [lanes](Image &ub) {
            for (uint32_t i = 0; i < 3; ++i) ub.put<float>(C + 4 * i, ub.get<float>(A + 4 * i) + 1);
            for (uint32_t i = 0; i < lanes; ++i) ub.put<float>(C + 4096 + 4 * i, ub.get<float>(A + 4 * i) * 2);
        };
    };
    same("a count form leaves a full mask", image, [] {
        SetVectorMask<float>(0, 1);
        Adds(ub<float>(C), ub<float>(A), 1.0f, 3);
        Muls<float, false>(ub<float>(C + 4096), ub<float>(A), 2.0f, MASK_PLACEHOLDER, 1, UnaryRepeatParams());
    }, want(64));
    same("a mask stays", image, [] {
        Adds(ub<float>(C), ub<float>(A), 1.0f, 3, 1, UnaryRepeatParams());
        Muls<float, false>(ub<float>(C + 4096), ub<float>(A), 2.0f, MASK_PLACEHOLDER, 1, UnaryRepeatParams());
    }, want(3));
}

} // namespace

int main()
{
    numbers<float>();
    numbers<half>();
    numbers<int16_t>();
    numbers<int32_t>();
    bits<int16_t>();
    bits<uint16_t>();
    multiply_and_add<float>();
    multiply_and_add<half>();
    mixed_widths();
    floats<float>();
    floats<half>();
    integers<int16_t>();
    integers<int32_t>();
    shifts<int16_t>();
    shifts<uint16_t>();
    shifts<int32_t>();
    shifts<uint32_t>();
    UNARY(int16_t, 0, 0, [](int16_t a) { return int16_t(~a); }, Not);
    UNARY(int32_t, 0, 0, [](int32_t a) { return a > 0 ? a : 0; }, Relu);
    inexact<float>();
    inexact<half>();
    samples();
    accumulation();
    all_repeats();
    exact_bytes();
    register_leaks();
    return finish();
}
