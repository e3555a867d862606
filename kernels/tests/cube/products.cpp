// Mmad and Fixpipe against plain loops, with operands put into L0 and results read out of L0C by index formulas.
#include "harness.h"

using namespace harness;

/// Puts a matrix into L0 behind the instructions' back: `lines` of `k` values, 16 lines by 32 bytes a fractal.
template <class T, class F> void place(twin::Space space, uint32_t start, uint32_t lines, uint32_t k, bool steps_first, F value)
{
    constexpr uint32_t C0 = 32 / sizeof(T);
    const uint32_t blocks = (lines + 15) / 16, steps = (k + C0 - 1) / C0;
    // Written by MTE1, as loads do.
    twin::Issue issue(twin::Pipe::MTE1, "place", twin::Where::here());
    issue.write(space, start, blocks * steps * 512);
    for (uint32_t i = 0; i < blocks * 16; ++i)
        for (uint32_t x = 0; x < steps * C0; ++x) {
            const uint32_t fractal = steps_first ? i / 16 * steps + x / C0 : x / C0 * blocks + i / 16;
            const T v = value(i, x);
            std::memcpy(twin::core().memory(space) + start + fractal * 512 + i % 16 * 32 + x % C0 * sizeof(T), &v, sizeof(T));
        }
    issue.take({1, 0});
}

double number(half x) { return static_cast<float>(x); }
double number(bfloat16_t x) { return static_cast<float>(x); }
double number(float x) { return x; }
double number(int8_t x) { return x; }

template <class T, class D> void mmad(uint32_t m, uint32_t n, uint32_t k, bool hf32)
{
    const auto a = values<T>(m * k, m), b = values<T>(n * k, n + 7), more = values<T>(m * k, k);
    const auto bias = values<float>((n + 15) / 16 * 16, 9);
    const std::string name = twin::text("mmad of %zu bytes, %u x %u x %u", sizeof(T), m, n, k);
    // HF32 keeps 11 bits of fraction: ties do not occur in what is tested.
    const auto narrow = [&](T value) {
        double x = number(value);
        if (!hf32 || x == 0) return x;
        int exponent;
        const double fraction = std::frexp(x, &exponent);
        return std::ldexp(std::nearbyint(std::ldexp(fraction, 12)), exponent - 12);
    };
    Device device;
    auto stored = bias;
    const auto address = device.add(stored);
    good(name, device, [&] {
        SetHF32Mode(hf32);
        DataCopy(l1<float>(), global<float>(address), stored.size());
        after<HardEvent::MTE2_MTE1>();
        if constexpr (std::is_same_v<D, float>) DataCopy(bt<float>(), l1<float>(), DataCopyParams(1, stored.size() / 16, 0, 0));
        const auto left = [&](const std::vector<T> &from) {
            return [&, from](uint32_t i, uint32_t x) { return i < m && x < k ? from[i * k + x] : T(0); };
        };
        place<T>(twin::Space::L0A, 0, m, k, true, left(a));
        place<T>(twin::Space::L0A, 32768, m, k, true, left(more));
        place<T>(twin::Space::L0B, 1024, n, k, false, [&](uint32_t i, uint32_t x) { return i < n && x < k ? b[i * k + x] : T(0); });
        after<HardEvent::MTE1_M>();
        const bool with_bias = std::is_same_v<D, float>;
        if constexpr (with_bias)
            Mmad(l0c<D>(2048), l0a<T>(0), l0b<T>(1024), bt<float>(), MmadParams(m, n, k, 0, true, false));
        else
            Mmad(l0c<D>(2048), l0a<T>(0), l0b<T>(1024), MmadParams(m, n, k, 0, false, true));
        PipeBarrier<PIPE_M>();
        Mmad(l0c<D>(2048), l0a<T>(32768), l0b<T>(1024), MmadParams(m, n, k, 0, false, false));
        const uint32_t rows = (m + 15) / 16 * 16, columns = (n + 15) / 16 * 16;
        for (uint32_t r = 0; r < rows; ++r)
            for (uint32_t c = 0; c < columns; ++c) {
                const uint32_t at = 2048 + ((c / 16 * rows + r) * 16 + c % 16) * 4;
                const bool known = twin::core().shadow(twin::Space::L0C).holds(at, 4);
                if (known != (r < m && c < n)) return wrong(name + twin::text(": element %u, %u is %sknown", r, c, known ? "" : "not "));
                if (!known) continue;
                double want = with_bias ? bias[c] : 0, size = std::fabs(want);
                for (uint32_t x = 0; x < k; ++x) {
                    const double one = narrow(a[r * k + x]) * narrow(b[c * k + x]), two = narrow(more[r * k + x]) * narrow(b[c * k + x]);
                    want += one + two;
                    size += std::fabs(one) + std::fabs(two);
                }
                D have;
                std::memcpy(&have, twin::core().memory(twin::Space::L0C) + at, 4);
                // Roundings of an f32 accumulation, and none of the operands.
                const double bound = std::is_same_v<D, float> ? size * (k + 2) * 6e-8 : 0;
                if (std::fabs(have - want) > bound)
                    return wrong(name + twin::text(": element %u, %u is %.9g and not %.9g", r, c, static_cast<double>(have), want));
            }
    });
}

/// Halfway between 1 + 2^-11 and 1 + 2^-10, in HF32.
void ties()
{
    for (const bool toward_zero : {false, true})
        good("ties of HF32", Device(), [&] {
            SetHF32Mode(true);
            SetHF32TransMode(toward_zero);
            place<float>(twin::Space::L0A, 0, 16, 8, true, [](uint32_t, uint32_t x) { return x ? 0.0f : 1 + 0x3p-12f; });
            place<float>(twin::Space::L0B, 0, 16, 8, false, [](uint32_t, uint32_t x) { return x ? 0.0f : 1.0f; });
            after<HardEvent::MTE1_M>();
            Mmad(l0c<float>(), l0a<float>(), l0b<float>(), MmadParams(16, 16, 8, 0, false, true));
            float have;
            std::memcpy(&have, twin::core().memory(twin::Space::L0C), 4);
            const float want = toward_zero ? 1 + 0x1p-11f : 1 + 0x1p-10f;
            if (have != want) wrong(twin::text("ties of HF32: %.9g and not %.9g", have, want));
        });
}

/// What fixpipe makes of L0C, by the formulas of its two forms.
template <class D, CO2Layout LAYOUT> void fixpipe(bool atomic, bool relu, bool split, bool to_l1)
{
    static constexpr FixpipeConfig CONFIG{LAYOUT};
    constexpr bool ROWS = LAYOUT == CO2Layout::ROW_MAJOR;
    struct Case {
        uint32_t m, n, rows, matrices, pitch;
    };
    constexpr QuantMode_t MODE = std::is_same_v<D, half> ? QuantMode_t::F322F16 : std::is_same_v<D, bfloat16_t> ? QuantMode_t::F322BF16 : QuantMode_t::NoQuant;
    for (const Case &c : {Case{16, 16, 16, 1, 0}, Case{33, 48, 48, 1, 5}, Case{7, 64, 64, 1, 2}, Case{20, 29, 32, 1, 11}, Case{16, 16, 32, 3, 1}}) {
        if (!ROWS && (c.n % 16 || c.matrices > 1)) continue;
        const std::string name = twin::text("fixpipe to %zu bytes, %u x %u%s%s%s", sizeof(D), c.m, c.n, ROWS ? "" : " NZ", atomic ? " added" : "", relu ? " relu" : "");
        auto source = values<float>(32768, c.m), out = values<float>(65536, 3);
        std::vector<D> target(out.size());
        for (size_t i = 0; i < out.size(); ++i) target[i] = static_cast<D>(out[i]);
        const auto before = target;
        const uint32_t width = split ? 8 : 16;
        const uint32_t stride = ROWS ? c.n + c.pitch : c.m * width * sizeof(D) / 32 + c.pitch;
        Device device;
        const auto address = device.add(target);
        std::vector<D> arrived(out.size());
        good(name, device, [&] {
            {
                twin::Issue issue(twin::Pipe::M, "place", twin::Where::here());
                issue.write(twin::Space::L0C, 0, source.size() * 4);
                std::memcpy(twin::core().memory(twin::Space::L0C), source.data(), source.size() * 4);
                issue.take({1, 0});
            }
            after<HardEvent::M_FIX>();
            if (atomic) SetAtomicAdd<D>();
            FixpipeParamsV220 params(c.n, c.m, c.rows, stride, relu, MODE, 0, c.matrices, c.matrices > 1 ? 5 : 0, c.matrices > 1 ? 3000 : 0, 0, split);
            if constexpr (!ROWS && sizeof(D) == 2) {
                if (to_l1) {
                    Fixpipe<D, float, CONFIG>(l1<D>(), l0c<float>(), params);
                    std::memcpy(arrived.data(), twin::core().memory(twin::Space::L1), arrived.size() * sizeof(D));
                    return;
                }
            }
            Fixpipe<D, float, CONFIG>(global<D>(address)[8], l0c<float>(), params);
            if (atomic) SetAtomicNone();
        });
        if (to_l1) target = arrived;
        std::vector<D> want = before;
        if (to_l1) want.assign(want.size(), D(0.0f));
        const size_t start = to_l1 ? 0 : 8;
        for (uint32_t x = 0; x < c.matrices; ++x)
            for (uint32_t r = 0; r < c.m; ++r)
                for (uint32_t n = 0; n < c.n; ++n) {
                    float value = source[x * 5 * 256 + (n / 16 * c.rows + r) * 16 + n % 16];
                    if (relu) value = value < 0 ? 0 : value;
                    const size_t to = start + x * 3000 + (ROWS ? r * stride + n : n / width * stride * 32 / sizeof(D) + r * width + n % width);
                    const D rounded = static_cast<D>(value);
                    want[to] = atomic ? static_cast<D>(static_cast<float>(rounded) + static_cast<float>(before[to])) : rounded;
                }
        for (size_t i = 0; i < want.size(); ++i)
            if (std::memcmp(&want[i], &target[i], sizeof(D))) {
                wrong(name + twin::text(": element %zu is %g and not %g", i, number(target[i]), number(want[i])));
                break;
            }
    }
}

int main()
{
    for (const auto &[m, n, k] : {std::array<uint32_t, 3>{16, 16, 16}, {64, 48, 80}, {33, 17, 21}, {7, 100, 1}, {128, 64, 64}, {100, 31, 48}}) {
        mmad<half, float>(m, n, k, false);
        mmad<bfloat16_t, float>(m, n, k, false);
        mmad<float, float>(m, n, k, false);
        mmad<float, float>(m, n, k, true);
        mmad<int8_t, int32_t>(m, n, k, false);
    }
    ties();
    constexpr auto ROWS = CO2Layout::ROW_MAJOR, NZ = CO2Layout::NZ;
    for (const bool atomic : {false, true})
        for (const bool relu : {false, true}) {
            fixpipe<half, ROWS>(atomic, relu, false, false);
            fixpipe<bfloat16_t, ROWS>(atomic, relu, false, false);
            fixpipe<float, ROWS>(atomic, relu, false, false);
            fixpipe<half, NZ>(atomic, relu, false, false);
            fixpipe<float, NZ>(atomic, relu, false, false);
        }
    fixpipe<float, NZ>(false, false, true, false);
    fixpipe<half, NZ>(false, false, false, true);
    fixpipe<bfloat16_t, NZ>(false, true, false, true);
    return finish();
}
