/// Instructions on their pipes in virtual time, as a file that trace viewers (Perfetto, chrome://tracing) open.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "chip.h"
#include "report.h"

namespace twin {

class Core;

class Trace {
public:
    /// Keeps the instructions of the first `cores` AI cores, at most `limit` of them.
    Trace(uint32_t cores, size_t limit) : cores_(cores), limit_(limit) {}

    /// Is an AI core's trace kept?
    bool keeps(uint32_t block) const { return block < cores_; }
    void instruction(const Core &core, Pipe pipe, const Site &site, double begin, double end);
    /// The trace-event JSON; times in microseconds at `mhz`.
    std::string json(double mhz) const;

private:
    struct Entry {
        uint32_t block;
        uint8_t unit;  ///< 0 the cube core, else one of the vector cores
        Pipe pipe;
        Site site;
        double begin, end;
    };
    uint32_t cores_;
    size_t limit_;
    uint64_t dropped_ = 0;
    std::vector<Entry> entries_;

    std::string names() const;
    std::string counters(double mhz) const;
};

} // namespace twin
