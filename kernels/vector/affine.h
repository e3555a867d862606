/// A factor and an offset per channel: weight and bias, scale and shift.
#pragma once

#include "copy.h"
#include "rows.h"

namespace affine {

using AscendC::HardEvent;
using AscendC::LocalTensor;

/// How they are given: not at all, as f32, in the 16-bit type of the data.
enum class Affine : uint32_t { None, F32, Narrow };

/// Loads both for `columns` channels, `at` values behind the given addresses, to f32; between `columns` and its multiple of 16 they
/// are zero. `one_plus`: adds 1 to the factor. `negate`: both are negated, for `rows::silu_of_negative`. `spare` is a part of V's, with
/// room for 16-bit rows of both. The flags are id 3 of V_MTE2 and MTE2_V.
template <typename T>
__aicore__ inline void load(Affine given, const LocalTensor<float> &factor, const LocalTensor<float> &offset,
                            const LocalTensor<float> &spare, GM_ADDR factor_at, GM_ADDR offset_at, uint64_t at, uint32_t columns,
                            bool one_plus, bool negate)
{
    const uint32_t pitch = rows::round_up(columns, copy::UNIT);
    const int32_t n = static_cast<int32_t>(pitch);
    if (columns % copy::UNIT) {
        AscendC::Duplicate(factor, 0.0f, n);
        AscendC::Duplicate(offset, 0.0f, n);
    }
    AscendC::SetFlag<HardEvent::V_MTE2>(EVENT_ID3);
    AscendC::WaitFlag<HardEvent::V_MTE2>(EVENT_ID3);
    const LocalTensor<uint16_t> narrow = spare.template ReinterpretCast<uint16_t>();
    if (given == Affine::F32) {
        copy::load(factor, copy::global<float>(factor_at)[at], 1, columns, columns);
        copy::load(offset, copy::global<float>(offset_at)[at], 1, columns, columns);
    } else {
        copy::load(narrow, copy::global<uint16_t>(factor_at)[at], 1, columns, columns);
        copy::load(narrow[pitch], copy::global<uint16_t>(offset_at)[at], 1, columns, columns);
    }
    AscendC::SetFlag<HardEvent::MTE2_V>(EVENT_ID3);
    AscendC::WaitFlag<HardEvent::MTE2_V>(EVENT_ID3);
    if (given == Affine::Narrow) {
        const LocalTensor<T> typed = narrow.template ReinterpretCast<T>();
        AscendC::Cast(factor, typed, AscendC::RoundMode::CAST_NONE, pitch);
        AscendC::Cast(offset, typed[pitch], AscendC::RoundMode::CAST_NONE, pitch);
        rows::barrier();
    }
    if (one_plus) {
        AscendC::Adds(factor, factor, 1.0f, n);
        rows::barrier();
    }
    if (negate) {
        AscendC::Muls(factor, factor, -1.0f, n);
        AscendC::Muls(offset, offset, -1.0f, n);
        rows::barrier();
    }
}

} // namespace affine
