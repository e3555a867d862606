#include "trace.h"

#include <algorithm>
#include <map>

#include "core.h"

namespace twin {

namespace {
const char *const UNITS[] = {"AIC", "AIV 0", "AIV 1"};

/// A row of the trace: a pipe of a core.
uint32_t row(uint8_t unit, Pipe pipe) { return unit * PIPES + static_cast<uint32_t>(pipe); }
} // namespace

void Trace::instruction(const Core &core, Pipe pipe, const Site &site, double begin, double end)
{
    if (entries_.size() >= limit_) {
        ++dropped_;
        return;
    }
    const auto unit = static_cast<uint8_t>(core.kind == Kind::Cube ? 0 : 1 + core.sub);
    entries_.push_back({core.block, unit, pipe, site, begin, end});
}

/// Names and order of the rows: a process is an AI core, a thread is a pipe of its cube core or of one of its vector cores.
std::string Trace::names() const
{
    std::map<std::pair<uint32_t, uint32_t>, const Entry *> rows;
    for (const Entry &entry : entries_) rows.emplace(std::make_pair(entry.block, row(entry.unit, entry.pipe)), &entry);
    std::string out;
    uint32_t last = ~0u;
    for (const auto &[key, entry] : rows) {
        const auto &[block, thread] = key;
        if (block != last)
            out += text("{\"ph\":\"M\",\"name\":\"process_name\",\"pid\":%u,\"args\":{\"name\":\"core %u\"}},\n", block, block);
        last = block;
        out += text("{\"ph\":\"M\",\"name\":\"thread_name\",\"pid\":%u,\"tid\":%u,\"args\":{\"name\":\"%s %s\"}},\n", block, thread,
                    UNITS[entry->unit], name(entry->pipe));
        out += text("{\"ph\":\"M\",\"name\":\"thread_sort_index\",\"pid\":%u,\"tid\":%u,\"args\":{\"sort_index\":%u}},\n", block, thread,
                    thread);
    }
    return out;
}

/// How busy each pipe is, in percent, over a hundred equal parts of the time.
std::string Trace::counters(double mhz) const
{
    constexpr int PARTS = 100;
    double end = 0;
    for (const Entry &entry : entries_) end = std::max(end, entry.end);
    const double part = end / PARTS;
    std::map<std::tuple<uint32_t, uint8_t, Pipe>, std::array<double, PARTS>> busy;
    for (const Entry &entry : entries_) {
        if (entry.pipe == Pipe::S) continue;
        auto &parts = busy[{entry.block, entry.unit, entry.pipe}];
        for (int i = static_cast<int>(entry.begin / part); i < PARTS && i * part < entry.end; ++i)
            parts[i] += std::min(entry.end, (i + 1) * part) - std::max(entry.begin, i * part);
    }
    std::string out;
    for (const auto &[key, parts] : busy) {
        const auto &[block, unit, pipe] = key;
        for (int i = 0; i < PARTS; ++i)
            out += text("{\"ph\":\"C\",\"name\":\"%s %s busy\",\"pid\":%u,\"ts\":%.4f,\"args\":{\"percent\":%.1f}},\n", UNITS[unit],
                        name(pipe), block, i * part / mhz, 100 * parts[i] / part);
    }
    return out;
}

std::string Trace::json(double mhz) const
{
    std::string out = "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n" + names() + counters(mhz);
    for (const Entry &entry : entries_)
        out += text("{\"ph\":\"X\",\"name\":\"%s\",\"pid\":%u,\"tid\":%u,\"ts\":%.4f,\"dur\":%.4f,\"args\":{\"line\":\"%s\"}},\n",
                    entry.site.api, entry.block, row(entry.unit, entry.pipe), entry.begin / mhz, (entry.end - entry.begin) / mhz,
                    text(entry.site.where).c_str());
    // JSON has no comma before the end of a list: the last event is one that is always there.
    return out + text("{\"ph\":\"M\",\"name\":\"trace\",\"pid\":0,\"args\":{\"dropped\":%llu}}\n]}\n",
                      static_cast<unsigned long long>(dropped_));
}

} // namespace twin
