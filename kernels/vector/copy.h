/// Copies of rows between global memory and the unified buffer, where each row begins at a multiple of 32 bytes. 16-bit data is
/// copied as bits: `uint16_t`.
#pragma once

#include "kernel_operator.h"

namespace copy {

using AscendC::DataCopyExtParams;
using AscendC::GlobalTensor;
using AscendC::LocalTensor;

/// Rows in the unified buffer are a multiple of this apart, whatever the type: 32 bytes of 16-bit values.
constexpr uint32_t UNIT = 16;

template <typename E> __aicore__ inline GlobalTensor<E> global(GM_ADDR address)
{
    GlobalTensor<E> tensor;
    tensor.SetGlobalBuffer(reinterpret_cast<__gm__ E *>(address));
    return tensor;
}

/// `rows` rows of `columns` values that lie `stride` values apart → rows that lie `columns` rounded up to UNIT apart, the rest zero.
template <typename E>
__aicore__ inline void load(const LocalTensor<E> &to, const GlobalTensor<E> &from, uint32_t rows, uint32_t columns, uint64_t stride)
{
    const uint32_t padding = (UNIT - columns % UNIT) % UNIT;
    if (padding == 0 && (rows == 1 || stride == columns)) {
        AscendC::DataCopy(to, from, rows * columns);
        return;
    }
    // One instruction pads to 32 bytes, which for f32 may be less than UNIT.
    constexpr uint32_t block = 32 / sizeof(E);
    const uint32_t near = padding % block, far = padding / block;
    const DataCopyExtParams blocks(static_cast<uint16_t>(rows), columns * sizeof(E), static_cast<uint32_t>((stride - columns) * sizeof(E)),
                                   far, 0);
    AscendC::DataCopyPad(to, from, blocks, AscendC::DataCopyPadExtParams<E>(near != 0, 0, static_cast<uint8_t>(near), 0));
}

/// The inverse of `load`.
template <typename E>
__aicore__ inline void store(const GlobalTensor<E> &to, const LocalTensor<E> &from, uint32_t rows, uint32_t columns, uint64_t stride)
{
    const uint32_t padding = (UNIT - columns % UNIT) % UNIT;
    if (padding == 0 && (rows == 1 || stride == columns)) {
        AscendC::DataCopy(to, from, rows * columns);
        return;
    }
    constexpr uint32_t block = 32 / sizeof(E);
    const DataCopyExtParams blocks(static_cast<uint16_t>(rows), columns * sizeof(E), padding / block,
                                   static_cast<uint32_t>((stride - columns) * sizeof(E)), 0);
    AscendC::DataCopyPad(to, from, blocks);
}

} // namespace copy
