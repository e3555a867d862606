// Cast in every mode of rounding, and reductions, against formulas.
#include <limits>

#include "harness.h"

using namespace harness;

namespace {

constexpr uint32_t A = 0, C = 96 * 1024;
using Mode = RoundMode;

/// To an integer in a mode.
double whole(double x, Mode mode)
{
    const double low = std::floor(x), high = std::ceil(x);
    switch (mode) {
    case Mode::CAST_FLOOR: return low;
    case Mode::CAST_CEIL: return high;
    case Mode::CAST_TRUNC: return x < 0 ? high : low;
    case Mode::CAST_ROUND: return x < 0 ? -std::floor(0.5 - x) : std::floor(0.5 + x);
    case Mode::CAST_ODD: return low == high || std::fmod(low, 2) != 0 ? low : high;
    default:
        if (x - low != high - x || low == high) return x - low < high - x ? low : high;
        return std::fmod(low, 2) == 0 ? low : high;
    }
}

/// To a format of `digits` binary digits with smallest unit 2^`lowest`.
double rounded(double x, Mode mode, int digits, int lowest)
{
    if (x == 0 || std::isinf(x)) return x;
    const int unit = std::max(std::ilogb(x) + 1 - digits, lowest);
    return std::ldexp(whole(std::ldexp(x, -unit), mode), unit);
}

/// Bits of a number of 16 bits of which `value` is one.
uint16_t exact_bits(double value, int fraction_bits, int bias)
{
    const uint16_t sign = std::signbit(value) ? 0x8000 : 0;
    const double size = std::fabs(value);
    const int top = (1 << (15 - fraction_bits)) - 1;
    if (size >= std::ldexp(1.0, top - bias)) return static_cast<uint16_t>(sign | top << fraction_bits);
    const int exponent = size == 0 ? -bias : std::max(std::ilogb(size), -bias);
    if (exponent <= -bias) return static_cast<uint16_t>(sign + std::ldexp(size, bias - 1 + fraction_bits));
    return static_cast<uint16_t>(sign + ((exponent + bias - 1) << fraction_bits) + static_cast<int>(std::ldexp(size, fraction_bits - exponent)));
}

template <class D, class S> D cast_of(S source, Mode mode)
{
    const double x = value_of(source);
    if constexpr (std::is_same_v<D, half> || std::is_same_v<D, bfloat16_t>) {
        const bool is_half = std::is_same_v<D, half>;
        const int digits = is_half ? 11 : 8, lowest = is_half ? -24 : -133;
        const double largest = is_half ? 65504.0 : std::ldexp(255.0, 120);
        double value = rounded(x, mode, digits, lowest);
        // Towards zero, the largest number is the end.
        const bool stays = mode == Mode::CAST_TRUNC || mode == Mode::CAST_ODD || (mode == Mode::CAST_FLOOR && x > 0) || (mode == Mode::CAST_CEIL && x < 0);
        if (std::fabs(value) > largest && !std::isinf(x)) value = std::copysign(stays ? largest : INFINITY, x);
        D result;
        result.bits = exact_bits(value == 0 ? std::copysign(0.0, x) : value, is_half ? 10 : 7, is_half ? 15 : 127);
        return result;
    } else if constexpr (std::is_same_v<D, float>) {
        if (std::is_same_v<S, float>) return static_cast<float>(whole(x, mode));
        if (std::is_same_v<S, half> || std::is_same_v<S, bfloat16_t> || sizeof(S) <= 2) return static_cast<float>(x);
        return static_cast<float>(rounded(x, mode, 24, -149));
    } else {
        const double value = std::is_integral_v<S> ? x : whole(x, mode);
        if (value >= static_cast<double>(std::numeric_limits<D>::max())) return std::numeric_limits<D>::max();
        if (value <= static_cast<double>(std::numeric_limits<D>::min())) return std::numeric_limits<D>::min();
        return static_cast<D>(value);
    }
}

template <class D, class S> void cast(const char *name, std::initializer_list<Mode> modes)
{
    constexpr uint32_t WIDTH = 256 / std::max(sizeof(D), sizeof(S));
    constexpr uint32_t COUNT = 8 * WIDTH;
    // Ordinary numbers, halves, and those near the ends of formats.
    const double special[] = {0, 0.5, -0.5, 1.5, 2.5, -2.5, 0.49999997, 127.5, 128, -128.5, -129, 255.5, 256, 32767.5, -32768.5, 65504, 65519.9, 65520, -65536, 2147483647,
                              -2147483649.0, 3e38, -3.4e38, 1e-8, -6e-8, 2.98e-8, 6.1e-5, 1e-40, 16777217, 33554431};
    for (const Mode mode : modes) {
        Image image;
        std::mt19937 random(5);
        std::uniform_real_distribution<double> between(-1000, 1000);
        for (uint32_t i = 0; i < COUNT; ++i) {
            double x = between(random);
            if (i < std::size(special)) x = special[i];
            else if (i % 3 == 0) x = std::nearbyint(x) + 0.5;
            if constexpr (std::is_integral_v<S>) image.put<S>(A + i * sizeof(S), static_cast<S>(random() * (sizeof(S) == 8 ? 0x100000001ull : 1)));
            else image.put<S>(A + i * sizeof(S), S(static_cast<float>(x)));
        }
        const std::string what = std::string(name) + " mode " + std::to_string(static_cast<int>(mode));
        same(what + ", count", image, [&] { Cast(ub<D>(C), ub<S>(A), mode, COUNT - 3); }, [&](Image &ub) {
            for (uint32_t i = 0; i < COUNT - 3; ++i) ub.put<D>(C + i * sizeof(D), cast_of<D>(ub.get<S>(A + i * sizeof(S)), mode));
        });
        // A repeat is of 256 bytes of the wider type.
        const uint8_t to = WIDTH * sizeof(D) / 32 + 1, from = WIDTH * sizeof(S) / 32;
        const uint64_t mask[2] = {0x5555555555555555ull & (WIDTH >= 64 ? ~0ull : (1ull << WIDTH % 64) - 1), WIDTH > 64 ? 0xf0ull : 0};
        const auto want = [&](Image &ub) {
            for (uint32_t r = 0; r < 8; ++r)
                for (uint32_t i = 0; i < WIDTH; ++i)
                    if (mask[i / 64] >> i % 64 & 1) ub.put<D>(C + r * to * 32 + i * sizeof(D), cast_of<D>(ub.get<S>(A + r * from * 32 + i * sizeof(S)), mode));
        };
        same(what + ", bits", image, [&] { Cast(ub<D>(C), ub<S>(A), mode, mask, 8, {1, 1, to, from}); }, want);
        same(what + ", register", image, [&] {
            SetVectorMask<D>(mask[1], mask[0]);
            Cast<D, S, false>(ub<D>(C), ub<S>(A), mode, MASK_PLACEHOLDER, 8, {1, 1, to, from});
        }, want);
        same(what + ", first lanes", image, [&] { Cast(ub<D>(C), ub<S>(A), mode, 5, 8, {1, 1, to, from}); }, [&](Image &ub) {
            for (uint32_t r = 0; r < 8; ++r)
                for (uint32_t i = 0; i < 5; ++i) ub.put<D>(C + r * to * 32 + i * sizeof(D), cast_of<D>(ub.get<S>(A + r * from * 32 + i * sizeof(S)), mode));
        });
    }
}

void casts()
{
    const std::initializer_list<Mode> integers = {Mode::CAST_RINT, Mode::CAST_FLOOR, Mode::CAST_CEIL, Mode::CAST_ROUND, Mode::CAST_TRUNC};
    const std::initializer_list<Mode> all = {Mode::CAST_NONE, Mode::CAST_RINT, Mode::CAST_FLOOR, Mode::CAST_CEIL, Mode::CAST_ROUND, Mode::CAST_TRUNC};
    const std::initializer_list<Mode> odd = {Mode::CAST_NONE, Mode::CAST_RINT, Mode::CAST_FLOOR, Mode::CAST_CEIL, Mode::CAST_ROUND, Mode::CAST_TRUNC, Mode::CAST_ODD};
    const std::initializer_list<Mode> none = {Mode::CAST_NONE};
    cast<half, float>("float to half", odd);
    cast<bfloat16_t, float>("float to bfloat16_t", integers);
    cast<float, float>("float to float", integers);
    cast<int32_t, float>("float to int32_t", integers);
    cast<int16_t, float>("float to int16_t", integers);
    cast<int64_t, float>("float to int64_t", integers);
    cast<float, half>("half to float", none);
    cast<int32_t, half>("half to int32_t", integers);
    cast<int16_t, half>("half to int16_t", integers);
    cast<int8_t, half>("half to int8_t", all);
    cast<uint8_t, half>("half to uint8_t", all);
    cast<float, bfloat16_t>("bfloat16_t to float", none);
    cast<int32_t, bfloat16_t>("bfloat16_t to int32_t", integers);
    cast<half, int8_t>("int8_t to half", none);
    cast<half, uint8_t>("uint8_t to half", none);
    cast<half, int16_t>("int16_t to half", all);
    cast<float, int16_t>("int16_t to float", none);
    cast<float, int32_t>("int32_t to float", all);
    cast<int16_t, int32_t>("int32_t to int16_t", none);
    cast<int64_t, int32_t>("int32_t to int64_t", none);
    cast<int32_t, int64_t>("int64_t to int32_t", none);
    // In the upper half of the destination: widening in place.
    Image image;
    fill<half>(image, C + 2048, 2048, 4);
    same("widening in place", image, [] { Cast(ub<float>(C), ub<half>(C + 2048), Mode::CAST_NONE, 1024); }, [](Image &ub) {
        const Image before = ub;
        for (uint32_t i = 0; i < 1024; ++i) ub.put<float>(C + 4 * i, static_cast<float>(value_of(before.get<half>(C + 2048 + 2 * i))));
    });
    // More digits than a double has: between two floats, beyond the middle by one.
    image.put<int64_t>(A, (1ll << 60) + (1ll << 36) + 1);
    same("int64_t to float", image, [] { Cast(ub<float>(C), ub<int64_t>(A), Mode::CAST_RINT, 1); }, [](Image &ub) {
        ub.put<float>(C, std::ldexp(1.0f + std::ldexp(1.0f, -23), 60));
    });
}

/// The sum of a row of values as a tree, rounded at each step.
template <class T> double tree(std::vector<double> row)
{
    const auto add = [](double a, double b) {
        const double sum = value_of(nearest<T>(a + b));
        return std::is_same_v<T, half> && std::isinf(sum) ? std::copysign(65504.0, sum) : sum;
    };
    while (row.size() > 1) {
        for (size_t i = 0; i < row.size() / 2; ++i) row[i] = add(row[2 * i], row[2 * i + 1]);
        row.resize(row.size() / 2);
    }
    return row[0];
}

template <class T> uint32_t lane_at(uint32_t repeat, uint32_t lane, uint32_t block, uint32_t stride)
{
    return A + repeat * stride * 32 + lane * sizeof(T) / 32 * block * 32 + lane * sizeof(T) % 32;
}

template <class T> void reductions(const char *type)
{
    constexpr uint32_t WIDTH = 256 / sizeof(T), LANES = 32 / sizeof(T);
    Image image;
    fill<T>(image, A, 64 * 1024, 1);
    fill<T>(image, C, 64 * 1024, 2);
    const LocalTensor<T> d = ub<T>(C), a = ub<T>(A);
    struct Case {
        uint64_t bits[2];
        uint64_t first;
        uint32_t pitch, block, stride;
    };
    const Case cases[] = {
        {{~0ull, WIDTH > 64 ? ~0ull : 0}, WIDTH, 1, 1, 8}, {{0x1fffff, 0}, 21, 2, 2, 17}, {{0xf0f0f0f0f0f0f0f1ull, WIDTH > 64 ? 0x8888888888888888ull : 0}, 0, 1, 1, 8},
    };
    for (const Case &c : cases)
        for (const uint8_t repeats : {1, 5}) {
            const auto on = [&](uint32_t lane) { return c.bits[lane / 64] >> lane % 64 & 1; };
            const auto row = [&](const Image &ub, uint32_t r, double off) {
                std::vector<double> values(WIDTH);
                for (uint32_t i = 0; i < WIDTH; ++i) values[i] = on(i) ? value_of(ub.get<T>(lane_at<T>(r, i, c.block, c.stride))) : off;
                return values;
            };
            const std::string what = std::string(type) + twin::text(", %llu lanes, repeats %u: ", static_cast<unsigned long long>(c.first), repeats);
            const int32_t n = repeats, pitch = c.pitch, block = c.block, stride = c.stride;
            const auto whole_sum = [&](Image &ub) {
                for (uint32_t r = 0; r < repeats; ++r) ub.put<T>(C + r * pitch * sizeof(T), nearest<T>(tree<T>(row(ub, r, 0))));
            };
            if (c.first) {
                same(what + "WholeReduceSum", image, [&] { WholeReduceSum(d, a, int32_t(c.first), n, pitch, block, stride); }, whole_sum);
                same(what + "RepeatReduceSum", image, [&] { RepeatReduceSum(d, a, n, int32_t(c.first), 0, block, pitch, stride); }, whole_sum);
            }
            same(what + "WholeReduceSum by bits", image, [&] { WholeReduceSum(d, a, c.bits, n, pitch, block, stride); }, whole_sum);
            same(what + "WholeReduceSum by register", image, [&] {
                SetVectorMask<T>(c.bits[1], c.bits[0]);
                WholeReduceSum<T, false>(d, a, MASK_PLACEHOLDER, n, pitch, block, stride);
            }, whole_sum);
            same(what + "PairReduceSum", image, [&] { PairReduceSum(d, a, n, c.bits, pitch, block, stride); }, [&](Image &ub) {
                for (uint32_t r = 0; r < repeats; ++r) {
                    const std::vector<double> values = row(ub, r, 0);
                    for (uint32_t i = 0; i < WIDTH / 2; ++i) ub.put<T>(C + r * pitch * 128 + i * sizeof(T), nearest<T>(values[2 * i] + values[2 * i + 1]));
                }
            });
            for (const bool max : {true, false}) {
                const double off = max ? -INFINITY : INFINITY;
                const auto best = [&](const std::vector<double> &values) {
                    uint32_t at = 0;
                    for (uint32_t i = 1; i < values.size(); ++i)
                        if (max ? values[i] > values[at] : values[i] < values[at]) at = i;
                    return at;
                };
                for (const ReduceOrder order : {ReduceOrder::ORDER_VALUE_INDEX, ReduceOrder::ORDER_INDEX_VALUE, ReduceOrder::ORDER_ONLY_VALUE, ReduceOrder::ORDER_ONLY_INDEX})
                    same(what + "WholeReduce", image, [&] {
                        if (max) WholeReduceMax(d, a, c.bits, n, pitch, block, stride, order);
                        else WholeReduceMin(d, a, c.bits, n, pitch, block, stride, order);
                    }, [&](Image &ub) {
                        for (uint32_t r = 0; r < repeats; ++r) {
                            const std::vector<double> values = row(ub, r, off);
                            const uint32_t index = best(values);
                            const bool two = order == ReduceOrder::ORDER_VALUE_INDEX || order == ReduceOrder::ORDER_INDEX_VALUE;
                            const uint32_t at = C + r * pitch * (two ? 2 : 1) * sizeof(T);
                            const uint32_t value_at = order == ReduceOrder::ORDER_INDEX_VALUE ? sizeof(T) : 0, index_at = order == ReduceOrder::ORDER_VALUE_INDEX ? sizeof(T) : 0;
                            if (order != ReduceOrder::ORDER_ONLY_INDEX) ub.put<T>(at + value_at, nearest<T>(values[index]));
                            if (order != ReduceOrder::ORDER_ONLY_VALUE) std::memcpy(&ub.bytes()[at + index_at], &index, sizeof(T));
                        }
                    });
                if (c.first == WIDTH) {
                    same(what + "BlockReduce", image, [&] {
                        if (max) BlockReduceMax(d, a, n, int32_t(WIDTH), pitch, block, stride);
                        else BlockReduceMin(d, a, n, c.bits, pitch, block, stride);
                    }, [&](Image &ub) {
                        for (uint32_t r = 0; r < repeats; ++r) {
                            const std::vector<double> values = row(ub, r, off);
                            for (uint32_t b = 0; b < 8; ++b) {
                                const std::vector<double> part(values.begin() + b * LANES, values.begin() + (b + 1) * LANES);
                                ub.put<T>(C + (r * pitch * 8 + b) * sizeof(T), nearest<T>(part[best(part)]));
                            }
                        }
                    });
                }
            }
            if (c.first == WIDTH)
                same(what + "BlockReduceSum", image, [&] { BlockReduceSum(d, a, n, int32_t(WIDTH), pitch, block, stride); }, [&](Image &ub) {
                    for (uint32_t r = 0; r < repeats; ++r) {
                        const std::vector<double> values = row(ub, r, 0);
                        for (uint32_t b = 0; b < 8; ++b)
                            ub.put<T>(C + (r * pitch * 8 + b) * sizeof(T), nearest<T>(tree<T>({values.begin() + b * LANES, values.begin() + (b + 1) * LANES})));
                    }
                });
        }
}

/// The documentation's example: 60000 + 60000 stays at 65504; -29900 rounds to -29904.
void saturation()
{
    Image image;
    const float values[] = {60000, 60000, -30000, 100};
    for (uint32_t i = 0; i < 128; ++i) image.put<half>(A + 2 * i, half(i < 4 ? values[i] : 0.0f));
    same("a sum beyond 65504", image, [] { WholeReduceSum(ub<half>(C), ub<half>(A), 128, 1, 1, 1, 8); }, [](Image &ub) { ub.put<half>(C, nearest<half>(65504 - 29904)); });
}

/// Ties go to the first lane.
void ties()
{
    Image image;
    for (uint32_t i = 0; i < 64; ++i) image.put<float>(A + 4 * i, i == 9 || i == 40 ? 7.0f : 1.0f);
    same("ties", image, [] { WholeReduceMax(ub<float>(C), ub<float>(A), 64, 1, 1, 1, 8); }, [](Image &ub) {
        ub.put<float>(C, 7);
        ub.put<uint32_t>(C + 4, 9);
    });
}

template <class T> void to_one(const char *type)
{
    constexpr uint32_t WORK = 64 * 1024, RESULT = 80 * 1024, WIDTH = 256 / sizeof(T);
    for (const int32_t count : {1, 50, 200, 5000}) {
        Image image;
        fill<T>(image, A, 32 * 1024, count, -1, 1);
        const std::string what = std::string(type) + ", " + std::to_string(count) + " elements: ";
        // The work tensor has no meaning afterwards.
        const auto run = [&](const char *name, auto call, auto want) {
            same(what + name, image, [&] {
                TPipe pipe;
                const Image before(twin::core().memory(twin::Space::UB));
                call(ub<T>(RESULT), ub<T>(A), ub<T>(WORK));
                std::memcpy(twin::core().memory(twin::Space::UB) + WORK, &before.bytes()[WORK], 16 * 1024);
            }, want);
        };
        run("ReduceSum", [&](auto d, auto a, auto w) { ReduceSum(d, a, w, count); }, [&](Image &ub) {
            double sum = 0;
            for (int32_t r = 0; r < count; r += WIDTH) {
                std::vector<double> row(WIDTH);
                for (uint32_t i = 0; i < WIDTH && r + int32_t(i) < count; ++i) row[i] = value_of(ub.get<T>(A + (r + i) * sizeof(T)));
                sum = value_of(nearest<T>(sum + tree<T>(row)));
            }
            ub.put<T>(RESULT, nearest<T>(sum));
        });
        for (const bool max : {true, false})
            for (const bool indexed : {true, false})
                run(max ? "ReduceMax" : "ReduceMin", [&](auto d, auto a, auto w) { max ? ReduceMax(d, a, w, count, indexed) : ReduceMin(d, a, w, count, indexed); },
                    [&](Image &ub) {
                        uint32_t best = 0;
                        const auto value = [&](uint32_t i) { return value_of(ub.get<T>(A + i * sizeof(T))); };
                        for (int32_t i = 1; i < count; ++i)
                            if (max ? value(i) > value(best) : value(i) < value(best)) best = i;
                        ub.put<T>(RESULT, ub.get<T>(A + best * sizeof(T)));
                        if (indexed) std::memcpy(&ub.bytes()[RESULT + sizeof(T)], &best, sizeof(T));
                    });
        if (count == 200)
            run("ReduceSum by repeats", [&](auto d, auto a, auto w) { ReduceSum(d, a, w, 10, 3, 9); }, [&](Image &ub) {
                double sum = 0;
                for (uint32_t r = 0; r < 3; ++r) {
                    std::vector<double> row(WIDTH);
                    for (uint32_t i = 0; i < 10; ++i) row[i] = value_of(ub.get<T>(A + r * 288 + i * sizeof(T)));
                    sum = value_of(nearest<T>(sum + tree<T>(row)));
                }
                ub.put<T>(RESULT, nearest<T>(sum));
            });
    }
}

} // namespace

int main()
{
    casts();
    reductions<float>("float");
    reductions<half>("half");
    saturation();
    ties();
    to_one<float>("float");
    to_one<half>("half");
    return finish();
}
