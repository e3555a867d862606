/// Runs a piece of kernel on one vector core and compares all of UB with what formulas say.
#pragma once

#include <cmath>
#include <cstring>
#include <regex>

#include "../cube/harness.h"

namespace harness {

constexpr uint32_t UB_BYTES = 192 * 1024;

/// The bytes of UB, and elements of them.
class Image {
public:
    Image() : bytes_(UB_BYTES) {}
    explicit Image(const uint8_t *bytes) : bytes_(bytes, bytes + UB_BYTES) {}
    template <class T> T get(uint32_t start) const
    {
        T value;
        std::memcpy(&value, &bytes_.at(start + sizeof(T) - 1) - (sizeof(T) - 1), sizeof(T));
        return value;
    }
    template <class T> void put(uint32_t start, T value) { std::memcpy(&bytes_.at(start + sizeof(T) - 1) - (sizeof(T) - 1), &value, sizeof(T)); }
    std::vector<uint8_t> &bytes() { return bytes_; }
    const std::vector<uint8_t> &bytes() const { return bytes_; }

private:
    std::vector<uint8_t> bytes_;
};

template <class T> LocalTensor<T> ub(uint32_t start = 0) { return LocalTensor<T>(TPosition::VECCALC, start, UB_BYTES - start); }

/// Brings `fill` to UB, runs `body`, and compares all bytes of UB with what `expected` makes of them. `near`: how far elements of
/// `T` in `[from, to)` may be off, as units in the last place; elsewhere bytes are equal.
inline void same(const std::string &name, const Image &fill, const std::function<void()> &body, const std::function<void(Image &)> &expected)
{
    Image memory = fill;
    Device device;
    GM_ADDR address = device.add(memory.bytes());
    const std::string fault = device.run(
        [&] {
            DataCopy(ub<uint8_t>(), global<uint8_t>(address), UB_BYTES);
            PipeBarrier<PIPE_ALL>();
            body();
            Image want = fill;
            expected(want);
            const uint8_t *have = twin::core().memory(twin::Space::UB);
            for (uint32_t i = 0; i < UB_BYTES; ++i)
                if (have[i] != want.bytes()[i]) {
                    const uint32_t word = i / 4 * 4;
                    return wrong(name + twin::text(": byte 0x%x: 0x%08x and not 0x%08x", word, Image(have).get<uint32_t>(word), want.get<uint32_t>(word)));
                }
        },
        true);
    if (!fault.empty()) wrong(name + ": " + fault);
}

/// The text of the fault of a body, without the place.
inline void refused(const std::string &want, const std::function<void()> &body)
{
    Image memory;
    Device device;
    GM_ADDR address = device.add(memory.bytes());
    std::string have = device.run(
        [&] {
            DataCopy(ub<uint8_t>(), global<uint8_t>(address), UB_BYTES);
            PipeBarrier<PIPE_ALL>();
            body();
        },
        true);
    // Where the call stands goes; other lines stay as LINE.
    have = std::regex_replace(have, std::regex("^(test: .*?) at [a-z]+\\.(cpp|h):[0-9]+( on AIV)"), "$1$3");
    have = std::regex_replace(have, std::regex("(\\.cpp|\\.h):[0-9]+"), "$1:LINE");
    const std::string prefix = "test: ";
    if (have != prefix + want) wrong("have " + have + "\nwant " + prefix + want);
}

/// Values of half and bfloat16_t by the definition of the format, apart from the twin's own conversions.
inline double value_of(half number)
{
    const int exponent = number.bits >> 10 & 31, fraction = number.bits & 1023;
    const double size = exponent == 31 ? (fraction ? NAN : INFINITY) : exponent ? std::ldexp(1024 + fraction, exponent - 25) : std::ldexp(fraction, -24);
    return number.bits >> 15 ? -size : size;
}
inline double value_of(bfloat16_t number)
{
    float value;
    const uint32_t bits = static_cast<uint32_t>(number.bits) << 16;
    std::memcpy(&value, &bits, 4);
    return value;
}
template <class T> double value_of(T number) { return static_cast<double>(number); }

/// The number of a format that is nearest to `value`, ties to even. Exact for what two operands of 16 bits give.
template <class T> T nearest(double value) { return static_cast<T>(value); }
template <> inline half nearest<half>(double value)
{
    half result;
    const uint16_t sign = std::signbit(value) ? 0x8000 : 0;
    const double size = std::fabs(value);
    if (value != value) {
        result.bits = 0x7e00;
        return result;
    }
    int exponent = 0;
    std::frexp(size, &exponent);
    const int unit = std::max(exponent - 11, -24);
    const double whole = std::nearbyint(std::ldexp(size, -unit));  // ties to even
    const double rounded = std::ldexp(whole, unit);
    if (rounded >= 65520) {
        result.bits = sign | 0x7c00;
        return result;
    }
    const int field = rounded < std::ldexp(1.0, -14) ? 0 : std::ilogb(rounded) + 15;
    const int fraction = field ? static_cast<int>(std::ldexp(rounded, 10 - (field - 15))) - 1024 : static_cast<int>(std::ldexp(rounded, 24));
    result.bits = static_cast<uint16_t>(sign | field << 10 | fraction);
    return result;
}

/// Random numbers of a type over a part of UB.
template <class T> void fill(Image &image, uint32_t start, uint32_t bytes, uint32_t seed, double low = -4, double high = 4)
{
    std::mt19937 random(seed);
    std::uniform_real_distribution<double> between(low, high);
    for (uint32_t at = start; at < start + bytes; at += sizeof(T)) {
        if constexpr (std::is_integral_v<T>) image.put<T>(at, static_cast<T>(random()));
        else image.put<T>(at, T(static_cast<float>(between(random))));
    }
}

} // namespace harness
