/// Instructions on their pipes in virtual time, as a file that trace viewers (Perfetto, chrome://tracing) open.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "chip.h"
#include "report.h"

namespace twin {

class Core;
struct Site;

class Trace {
public:
    /// Keeps the instructions of the first `cores` AI cores, at most `limit` of them.
    Trace(uint32_t cores, size_t limit) : cores_(cores), limit_(limit) {}
    void instruction(const Core &core, Pipe pipe, const Site &site, double begin, double end);
    /// The trace-event JSON; times in microseconds at `mhz`.
    std::string json(double mhz) const;

private:
    struct Entry {
        uint32_t block, sub;
        bool cube;
        Pipe pipe;
        const char *api;
        Where where;
        double begin, end;
    };
    uint32_t cores_;
    size_t limit_;
    std::vector<Entry> entries_;
};

} // namespace twin
