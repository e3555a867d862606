/// Fractals: matrices in blocks of 16 rows by 32 bytes, 512 bytes each.
///
/// Nz (L1, L0C): columns of blocks one after the other, in a block row by row: element (r, c) of a matrix of R rows (a multiple of 16) is
/// at (c / C0) R C0 + r C0 + c % C0, where C0 is 32 bytes of elements. Zz (L0A): rows of blocks, in a block row by row. Zn (L0B): rows
/// of blocks, in a block column by column. L0C has blocks of 16 x 16 values of 32 bits.
#pragma once

#include "tensor.h"

namespace twin {

constexpr uint32_t FRACTAL = 512;

/// Elements of 32 bytes.
template <typename T> constexpr uint32_t c0() { return 32 / sizeof(T); }

constexpr uint32_t round_up(uint32_t value, uint32_t unit) { return (value + unit - 1) / unit * unit; }

/// What nobody wrote stays so when it is moved: rows of padding may travel to L0C, as long as nobody reads them there.
inline void carry(Core &core, Space from, uint64_t source, Space to, uint64_t destination, uint32_t bytes)
{
    if (core.shadow(from).holds(source, bytes)) return;
    for (uint32_t i = 0; i < bytes; i += 32) {
        const uint32_t part = bytes - i < 32 ? bytes - i : 32;
        if (!core.shadow(from).holds(source + i, part)) core.shadow(to).forget(destination + i, part);
    }
}

/// The same for a square block of 32 rows / size by 32 bytes whose rows become columns.
inline void carry_turned(Core &core, Space from, uint64_t source, Space to, uint64_t destination, uint32_t rows, uint32_t size)
{
    if (core.shadow(from).holds(source, rows * 32)) return;
    for (uint32_t r = 0; r < rows; ++r)
        if (!core.shadow(from).holds(source + r * 32, 32))
            for (uint32_t c = 0; c < 32 / size; ++c) core.shadow(to).forget(destination + c * 32 + r * size, size);
}

/// A 16 x 16 block of 16-bit values, turned.
inline void turn16(uint8_t *to, const uint8_t *from)
{
    for (uint32_t r = 0; r < 16; ++r)
        for (uint32_t c = 0; c < 16; ++c) std::memcpy(to + c * 32 + r * 2, from + r * 32 + c * 2, 2);
}

} // namespace twin
