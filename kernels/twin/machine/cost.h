/// What instructions cost, in cycles. Sources: the tables of the documentation named at each figure.
#pragma once

#include <cstdint>

#include "chip.h"

namespace twin {

struct Cost {
    double occupancy = 0;  ///< cycles until the pipe can start the next instruction
    double latency = 0;    ///< cycles after that until the result is there
};

/// Rows of bytes in global memory.
struct Burst {
    uint64_t address;  ///< of the first row
    uint64_t bytes;    ///< of a row
    uint32_t rows;
    uint64_t pitch;    ///< from row to row
};

namespace cost {
/// The scalar unit reads or writes one value of UB.
inline Cost scalar_local() { return {15, 0}; }
/// The scalar unit reads or writes one value of global memory, past its cache.
inline Cost scalar_global() { return {241, 0}; }
} // namespace cost

} // namespace twin
