/// What cores share: HBM and the L2 cache.
#pragma once

#include <cstdint>
#include <vector>

#include "chip.h"
#include "cost.h"

namespace twin {

class Traffic {
public:
    struct Totals {
        uint64_t read = 0, written = 0;           ///< bytes that instructions moved
        uint64_t hbm_read = 0, hbm_written = 0;   ///< of them, what went past the L2
    };

    Traffic(const Chip &chip, uint32_t cube_cores, uint32_t vector_cores);

    /// A burst by `pipe` of a core of a kind, started at `start` (cycles): what it costs that pipe.
    Cost move(bool cube, Pipe pipe, double start, const Burst &burst, bool writes);

    const Totals &totals() const { return totals_; }

private:
    const Chip *chip_;
    uint32_t cube_cores_, vector_cores_;
    Totals totals_;
};

} // namespace twin
