/// Something that cores share and that moves so many bytes per cycle.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace twin {

/// Who asks gets what is left of the rate from then on. Requests need not come in the order of their times, since a program
/// issues a store that starts late before a load that starts early: what was moved is kept for slices of time, so that the load
/// finds what was idle then.
class Server {
public:
    explicit Server(double rate) : rate_(rate), moved_(SLICES) {}

    /// When `bytes` bytes asked for at `start` are moved; times in cycles.
    double take(double start, double bytes)
    {
        auto slice = static_cast<uint64_t>(start / WIDTH);
        if (slice + SLICES <= newest_) {
            // Too long ago to know.
            slice = newest_ - SLICES + 1;
            start = slice * WIDTH;
        }
        for (;; start = ++slice * WIDTH) {
            // Slices that nobody has reached yet.
            for (; newest_ < slice; moved_[newest_ % SLICES] = 0) {
                if (slice - newest_ > SLICES) newest_ = slice - SLICES;
                ++newest_;
            }
            double &moved = moved_[slice % SLICES];
            const double begin = slice * WIDTH, left = std::min(WIDTH * rate_ - moved, (begin + WIDTH - start) * rate_);
            if (bytes <= left) {
                const double end = std::max(start, begin + moved / rate_) + bytes / rate_;
                moved += bytes;
                return end;
            }
            if (left <= 0) continue;
            moved += left;
            bytes -= left;
        }
    }

private:
    static constexpr double WIDTH = 256;
    static constexpr uint64_t SLICES = 1 << 12;

    double rate_;
    uint64_t newest_ = 0;         ///< the latest slice that was asked for
    std::vector<double> moved_;  ///< bytes, of the last `SLICES` slices
};

} // namespace twin
