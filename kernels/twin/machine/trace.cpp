#include "trace.h"

#include "core.h"

namespace twin {

void Trace::instruction(const Core &core, Pipe pipe, const Site &site, double begin, double end)
{
    if (core.block >= cores_ || entries_.size() >= limit_) return;
    entries_.push_back({core.block, core.sub, core.kind == Kind::Cube, pipe, site.api, site.where, begin, end});
}

std::string Trace::json(double mhz) const
{
    std::string out = "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[";
    const char *comma = "\n";
    std::vector<uint32_t> named;
    for (const Entry &entry : entries_) {
        // A process is an AI core, a thread is a pipe of its cube or of one of its vector cores.
        const uint32_t unit = (entry.cube ? 0 : 1 + entry.sub) * PIPES + static_cast<uint32_t>(entry.pipe);
        const uint32_t key = entry.block * 100 + unit;
        bool known = false;
        for (uint32_t other : named) known |= other == key;
        if (!known) {
            named.push_back(key);
            out += text("%s{\"ph\":\"M\",\"name\":\"process_name\",\"pid\":%u,\"args\":{\"name\":\"core %u\"}}", comma,
                        entry.block, entry.block);
            comma = ",\n";
            out += text("%s{\"ph\":\"M\",\"name\":\"thread_name\",\"pid\":%u,\"tid\":%u,\"args\":{\"name\":\"%s %s\"}}", comma,
                        entry.block, unit, entry.cube ? "AIC" : entry.sub ? "AIV 1" : "AIV 0", name(entry.pipe));
        }
        out += text("%s{\"ph\":\"X\",\"name\":\"%s\",\"pid\":%u,\"tid\":%u,\"ts\":%.4f,\"dur\":%.4f,\"args\":{\"line\":\"%s\"}}",
                    comma, entry.api, entry.block, unit, entry.begin / mhz, (entry.end - entry.begin) / mhz,
                    text(entry.where).c_str());
    }
    return out + "\n]}\n";
}

} // namespace twin
