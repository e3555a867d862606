/// What cores share: HBM and the L2 cache.
///
/// Three things limit a transfer: the core's own port, the rate of the L2 for all cores, and the rate of HBM for all cores.
/// The L2 and HBM serve transfers one after another at their full rate, which for many cores is the same as sharing. What is in the L2 is known by lines of 512 bytes: a line is there if fewer lines than fit came in
/// since its last use. Reads of other lines come from HBM. A line that becomes dirty counts as a write to HBM at that time,
/// since its own write-back, or one that it displaces, has to be paid some time.
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "chip.h"
#include "cost.h"
#include "server.h"

namespace twin {

class Traffic {
public:
    struct Totals {
        uint64_t read = 0, written = 0;           ///< bytes that instructions moved
        uint64_t hbm_read = 0, hbm_written = 0;   ///< of them, what went past the L2
    };

    explicit Traffic(const Chip &chip);

    /// A burst of a cube core or a vector core, started at `start` (cycles): what it costs its pipe. `keep`: lines stay in the L2.
    Cost move(bool cube, double start, const Burst &burst, bool writes, bool keep = true);

    const Totals &totals() const { return totals_; }

private:
    static constexpr uint64_t LINE = 512, PAGE_LINES = 1 << 15;
    /// Per line: how many lines had come in at its last use, times two; the low bit is set while it is dirty.
    struct Page {
        uint32_t lines[PAGE_LINES] = {};
    };

    Server l2_read_, l2_write_, hbm_;
    uint32_t capacity_;                ///< lines of the L2
    uint32_t arrived_;                 ///< lines that came in so far; starts beyond the capacity so that 0 is not there
    double hbm_port_cube_, hbm_port_vector_;  ///< bytes per cycle of one core
    Totals totals_;
    std::unordered_map<uint64_t, std::unique_ptr<Page>> pages_;
    struct Recent {
        uint64_t number = ~0ull;
        Page *page = nullptr;
    } recent_[64];

    Page &page(uint64_t number);
    /// What a burst did to lines.
    struct Lines {
        uint64_t touched = 0;
        uint64_t past = 0;  ///< HBM reads them or, for writes, they became dirty
    };
    template <bool WRITES, bool KEEP> bool use(uint32_t &line);
    template <bool WRITES, bool KEEP> Lines use(const Burst &burst);
};

} // namespace twin
