/// Fields of parameters that hardware keeps in few bits.
#pragma once

#include <cstdint>
#include <limits>
#include <type_traits>

#include "../machine/launch.h"

namespace twin {

/// An integer of the type `T` that takes wider ones and refuses those that `T` does not hold; C++ would cut them off silently.
template <typename T> class Field {
public:
    constexpr Field() = default;
    template <typename V, typename = std::enable_if_t<std::is_arithmetic_v<V> || std::is_enum_v<V>>>
    constexpr Field(V value, Where where = Where::here()) : value_(static_cast<T>(value))
    {
        if (static_cast<int64_t>(value_) != static_cast<int64_t>(value)) refuse(static_cast<int64_t>(value), where);
    }
    template <typename Other> constexpr Field(Field<Other> value, Where where = Where::here()) : Field(static_cast<Other>(value), where) {}
    constexpr operator T() const { return value_; }
    template <typename V> Field &operator+=(V value) { return *this = static_cast<int64_t>(value_) + static_cast<int64_t>(value); }
    template <typename V> Field &operator-=(V value) { return *this = static_cast<int64_t>(value_) - static_cast<int64_t>(value); }
    template <typename V> Field &operator*=(V value) { return *this = static_cast<int64_t>(value_) * static_cast<int64_t>(value); }

private:
    T value_ = 0;

    [[noreturn]] static void refuse(int64_t value, Where where)
    {
        core().fault({"a parameter", where},
                     text("%lld does not fit a field that holds %lld..%lld", static_cast<long long>(value),
                          static_cast<long long>(std::numeric_limits<T>::min()), static_cast<long long>(std::numeric_limits<T>::max())));
    }
};

using Field8 = Field<uint8_t>;
using Field16 = Field<uint16_t>;

} // namespace twin
