/// SetAtomicAdd, SetAtomicMax, SetAtomicMin, SetAtomicNone: stores to global memory combine with what is there.
#pragma once

#include "math.h"
#include "tensor.h"

namespace twin {

enum class Atomic : int { None, Add, Max, Min };

/// Types that stores can combine, by number.
template <typename T> constexpr int atomic_type()
{
    return std::is_same_v<T, float> ? 1 : std::is_same_v<T, half> ? 2 : std::is_same_v<T, int16_t> ? 3 : std::is_same_v<T, int32_t> ? 4
           : std::is_same_v<T, int8_t>                            ? 5 : std::is_same_v<T, bfloat16_t> ? 6 : 0;
}

/// Does the store combine? Faults if it is of another type than was set.
template <typename T> inline bool combines(const Issue &issue)
{
    static constexpr const char *NAMES[] = {"another type", "float", "half", "int16_t", "int32_t", "int8_t", "bfloat16_t"};
    const auto &registers = issue.core.registers;
    if (registers.atomic == static_cast<int>(Atomic::None)) return false;
    if (registers.atomic_type != atomic_type<T>())
        issue.fault(text("stores %s while stores combine as %s; SetAtomicNone() is missing, or the type is another", NAMES[atomic_type<T>()],
                         NAMES[registers.atomic_type]));
    return true;
}

/// A store of `bytes` bytes to global memory, which combines if that is set.
template <typename T> inline void store(const Issue &issue, uint8_t *to, const uint8_t *from, uint64_t bytes)
{
    const auto atomic = static_cast<Atomic>(issue.core.registers.atomic);
    if (atomic == Atomic::None) {
        std::memcpy(to, from, bytes);
        return;
    }
    if constexpr (atomic_type<T>() != 0) {
        for (uint64_t i = 0; i < bytes / sizeof(T); ++i) {
            T a, b;
            std::memcpy(&a, to + i * sizeof(T), sizeof(T));
            std::memcpy(&b, from + i * sizeof(T), sizeof(T));
            const auto x = wide(a), y = wide(b);
            a = Narrow<T>::of(atomic == Atomic::Add ? math::add(x, y) : atomic == Atomic::Max ? math::max(x, y) : math::min(x, y));
            std::memcpy(to + i * sizeof(T), &a, sizeof(T));
        }
    }
}

template <typename T> inline void set_atomic(const char *api, Where where, Atomic atomic)
{
    Issue issue(Pipe::S, api, where);
    issue.core.registers.atomic = static_cast<int>(atomic);
    issue.core.registers.atomic_type = atomic_type<T>();
    issue.take({0, 0});
}

} // namespace twin

namespace AscendC {

template <typename T> inline void SetAtomicAdd(twin::Where where = twin::Where::here())
{
    static_assert(twin::atomic_type<T>() != 0, "SetAtomicAdd is of float, half, bfloat16_t, int8_t, int16_t and int32_t on dav-c220");
    twin::set_atomic<T>("SetAtomicAdd", where, twin::Atomic::Add);
}

template <typename T> inline void SetAtomicMax(twin::Where where = twin::Where::here())
{
    static_assert(twin::atomic_type<T>() != 0, "SetAtomicMax is of float, half, bfloat16_t, int8_t, int16_t and int32_t on dav-c220");
    twin::set_atomic<T>("SetAtomicMax", where, twin::Atomic::Max);
}

template <typename T> inline void SetAtomicMin(twin::Where where = twin::Where::here())
{
    static_assert(twin::atomic_type<T>() != 0, "SetAtomicMin is of float, half, bfloat16_t, int8_t, int16_t and int32_t on dav-c220");
    twin::set_atomic<T>("SetAtomicMin", where, twin::Atomic::Min);
}

inline void SetAtomicNone(twin::Where where = twin::Where::here()) { twin::set_atomic<float>("SetAtomicNone", where, twin::Atomic::None); }

} // namespace AscendC
