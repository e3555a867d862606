/// Runs a piece of kernel on one cube core of the twin, checked and computed, and compares.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <random>

#include "entry.h"
#include "kernel_operator.h"

using namespace AscendC;

namespace harness {

inline int failures = 0;

/// Says what is wrong; the program ends with 1 then.
inline void wrong(const std::string &what)
{
    if (++failures <= 20) std::printf("%s\n", what.c_str());
}

inline int finish()
{
    if (failures) std::printf("%d failures\n", failures);
    return failures != 0;
}

/// Memory of the device at made-up addresses.
class Device {
public:
    template <class T> GM_ADDR add(std::vector<T> &values)
    {
        const uint64_t address = next_;
        ranges_.push_back({address, values.size() * sizeof(T), reinterpret_cast<uint8_t *>(values.data())});
        next_ = (next_ + values.size() * sizeof(T) + 4096) / 512 * 512;
        return reinterpret_cast<GM_ADDR>(address);
    }
    /// The fault's text, or nothing.
    std::string run(const std::function<void()> &body, bool vector = false) const
    {
        std::string fault;
        twin_launch request{};
        request.soc = "910B2";
        request.blocks = 1;
        request.modes = 3;
        request.ranges = ranges_.data();
        request.range_count = ranges_.size();
        request.user = &fault;
        request.tell = [](void *user, uint32_t kind, const char *text, uint64_t bytes) {
            if (kind == 0) static_cast<std::string *>(user)->assign(text, bytes);
        };
        current = &body;
        vectors = vector;
        twin::enter("test", &kernel, &request);
        return fault;
    }

private:
    static inline const std::function<void()> *current = nullptr;
    static inline bool vectors = false;

    static void kernel()
    {
        if (vectors) {
            KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
        } else {
            KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIC_ONLY);
        }
        (*current)();
    }

    std::vector<twin_range> ranges_;
    uint64_t next_ = 0x10000;
};

/// A body that must not fault.
inline void good(const std::string &name, const Device &device, const std::function<void()> &body)
{
    const std::string fault = device.run(body);
    if (!fault.empty()) wrong(name + ": " + fault);
}

template <class T> GlobalTensor<T> global(GM_ADDR address)
{
    GlobalTensor<T> tensor;
    tensor.SetGlobalBuffer(reinterpret_cast<T *>(address));
    return tensor;
}
template <class T> LocalTensor<T> l1(uint32_t start = 0) { return LocalTensor<T>(TPosition::A1, start, 512 * 1024 - start); }
template <class T> LocalTensor<T> l0a(uint32_t start = 0) { return LocalTensor<T>(TPosition::A2, start, 64 * 1024 - start); }
template <class T> LocalTensor<T> l0b(uint32_t start = 0) { return LocalTensor<T>(TPosition::B2, start, 64 * 1024 - start); }
template <class T> LocalTensor<T> l0c(uint32_t start = 0) { return LocalTensor<T>(TPosition::CO1, start, 128 * 1024 - start); }
template <class T> LocalTensor<T> bt(uint32_t start = 0) { return LocalTensor<T>(TPosition::C2, start, 1024 - start); }

template <class T> std::vector<T> values(size_t count, uint32_t seed)
{
    std::mt19937 random(seed);
    std::uniform_real_distribution<float> between(-2, 2);
    std::vector<T> out(count);
    for (T &value : out) {
        if constexpr (std::is_integral_v<T>)
            value = static_cast<T>(random());
        else
            value = T(between(random));
    }
    return out;
}

template <HardEvent event> void after()
{
    SetFlag<event>(0);
    WaitFlag<event>(0);
}

/// Is exactly this written, byte by byte? `expected(byte)` gives -1 for what must not be known.
inline void compare(const std::string &name, twin::Space space, uint32_t start, uint32_t bytes, const std::function<int(uint32_t)> &expected)
{
    for (uint32_t i = 0; i < bytes; ++i) {
        const int want = expected(i);
        const bool known = twin::core().shadow(space).holds(start + i, 1);
        const int have = twin::core().memory(space)[start + i];
        if (known != (want >= 0) || (want >= 0 && have != want))
            return wrong(name + twin::text(": byte %u is %d%s and not %d", i, have, known ? "" : " (unknown)", want));
    }
}

} // namespace harness
