/// Cast: between number formats.
#pragma once

#include "elementwise.h"
#include "round.h"

namespace twin {

/// The modes of rounding of a conversion that dav-c220 has, as bits by `RoundMode`; 0: there is no such conversion.
template <typename D, typename S> constexpr uint32_t cast_modes()
{
    constexpr uint32_t NONE = 1, RINT = 2, FLOOR = 4, CEIL = 8, ROUND = 16, TRUNC = 32, ODD = 64, WHOLE = RINT | FLOOR | CEIL | ROUND | TRUNC;
    if (std::is_same_v<D, S> && !std::is_same_v<S, float>) return 0;
    if (std::is_same_v<S, half>) {
        if (std::is_same_v<D, float>) return NONE;
        if (std::is_same_v<D, int32_t> || std::is_same_v<D, int16_t>) return WHOLE;
        return is_one_of<D, int8_t, uint8_t> ? NONE | WHOLE : 0;
    }
    if (std::is_same_v<S, float>) {
        if (std::is_same_v<D, half>) return NONE | WHOLE | ODD;
        return is_one_of<D, float, bfloat16_t, int64_t, int32_t, int16_t> ? WHOLE : 0;
    }
    if (std::is_same_v<S, bfloat16_t>) return std::is_same_v<D, float> ? NONE : std::is_same_v<D, int32_t> ? WHOLE : 0;
    if (std::is_same_v<S, int8_t> || std::is_same_v<S, uint8_t>) return std::is_same_v<D, half> ? NONE : 0;
    if (std::is_same_v<S, int16_t>) return std::is_same_v<D, half> ? NONE | WHOLE : std::is_same_v<D, float> ? NONE : 0;
    if (std::is_same_v<S, int32_t>)
        return std::is_same_v<D, float> ? NONE | WHOLE : is_one_of<D, int64_t, int16_t> ? NONE : 0;
    if (std::is_same_v<S, int64_t>) return std::is_same_v<D, float> ? WHOLE : std::is_same_v<D, int32_t> ? NONE : 0;
    return 0;
}

template <typename D, typename S>
inline void cast(Where where, const AscendC::LocalTensor<D> &dst, const AscendC::LocalTensor<S> &src, AscendC::RoundMode mode, const Choice &choice,
                 const Strides &strides)
{
    static_assert(cast_modes<D, S>() != 0, "Cast between these two types does not exist on dav-c220; a cast to float or half between them may");
    static constexpr const char *NAMES[] = {"NONE", "RINT", "FLOOR", "CEIL", "ROUND", "TRUNC", "ODD"};
    if (!(cast_modes<D, S>() >> static_cast<int>(mode) & 1)) {
        std::string modes;
        for (int i = 0; i < 7; ++i)
            if (cast_modes<D, S>() >> i & 1) modes += std::string(modes.empty() ? "CAST_" : ", CAST_") + NAMES[i];
        Issue(Pipe::V, "Cast", where).fault(text("there is no rounding by CAST_%s between these two types, but %s", NAMES[static_cast<int>(mode)], modes.c_str()));
    }
    constexpr auto KIND = sizeof(D) > sizeof(S) ? cost::Vector::Widen : cost::Vector::Cast;
    // The usual ones as loops without branches.
    constexpr bool plain = is_floating<D> && is_floating<S> && !std::is_same_v<D, S>;
    if (plain && (mode == AscendC::RoundMode::CAST_NONE || mode == AscendC::RoundMode::CAST_RINT)) {
        if constexpr (plain) unary<false>("Cast", where, KIND, dst, src, choice, strides, [](float value) { return value; });
        return;
    }
    unary_stored<false>("Cast", where, KIND, dst, src, choice, strides, [mode](S value) { return convert<D>(value, mode); });
}

} // namespace twin

namespace AscendC {

template <typename T1, typename T2, bool isSetMask = true>
inline void Cast(const LocalTensor<T1> &dst, const LocalTensor<T2> &src, const RoundMode &mode, const uint64_t mask[], const int64_t repeats,
                 const UnaryRepeatParams &params, twin::Where where = twin::Where::here())
{
    twin::cast(where, dst, src, mode, twin::Choice::bits(isSetMask, mask, repeats), params);
}

template <typename T1, typename T2, bool isSetMask = true>
inline void Cast(const LocalTensor<T1> &dst, const LocalTensor<T2> &src, const RoundMode &mode, const uint64_t mask, const int64_t repeats,
                 const UnaryRepeatParams &params, twin::Where where = twin::Where::here())
{
    twin::cast(where, dst, src, mode, twin::Choice::first(isSetMask, mask, repeats), params);
}

template <typename T1, typename T2>
inline void Cast(const LocalTensor<T1> &dst, const LocalTensor<T2> &src, const RoundMode &mode, const int64_t count,
                 twin::Where where = twin::Where::here())
{
    twin::cast(where, dst, src, mode, twin::Choice::count(count), twin::unary_row<T1, T2>());
}

} // namespace AscendC
