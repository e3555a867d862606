#include "scalar_cache.h"

#include <algorithm>

namespace twin {

namespace {
constexpr uint32_t NO_CORE = ~0u;

std::string stale(Site loaded, Site overwritten)
{
    return text("the scalar unit's cache still holds these bytes as they were at %s, before %s wrote them; call DataCacheCleanAndInvalid "
                "for them first",
                text(loaded).c_str(), text(overwritten).c_str());
}

std::string unseen(const char *what, Site store)
{
    return text("%s what %s left in the scalar unit's cache; call DataCacheCleanAndInvalid after it", what, text(store).c_str());
}
} // namespace

uint64_t ScalarCaches::bits(uint64_t line, uint64_t address, uint64_t bytes)
{
    const uint64_t begin = std::max(address, line * LINE) - line * LINE;
    const uint64_t end = std::min(address + bytes, (line + 1) * LINE) - line * LINE;
    return (end - begin == LINE ? ~0ull : (1ull << (end - begin)) - 1) << begin;
}

ScalarCaches::Copy *ScalarCaches::copy(Line &line, uint32_t core)
{
    for (Copy &copy : line.copies)
        if (copy.core == core) return &copy;
    return nullptr;
}

void ScalarCaches::outdate(Line &line, uint32_t but, Site site)
{
    for (Copy &copy : line.copies)
        if (copy.core != but && !copy.stale) {
            copy.stale = true;
            copy.overwritten = site;
        }
}

/// A store of another core to the line that is not known to be done, and in memory.
std::string ScalarCaches::shared(const Line &line, const Toucher &by)
{
    if (!line.number || line.owner == by.thread / PIPES) return {};
    if (!line.dirty && line.number <= by.clock[line.owner * PIPES]) return {};
    return text("another core writes the same 64 bytes at %s, and its scalar unit's cache writes all 64 back; give each core lines of 64 "
                "bytes of its own, or call DataCacheCleanAndInvalid there and put a cross-core flag between the two",
                text(line.store.where).c_str());
}

std::string ScalarCaches::load(const Toucher &by, Site site, uint64_t address, uint64_t bytes)
{
    const uint32_t core = by.thread / PIPES;
    for (uint64_t at = address / LINE; at * LINE < address + bytes; ++at) {
        Line &line = lines_[at];
        if ((line.dirty & bits(at, address, bytes)) && line.owner != core) return unseen("reads", line.store);
        const Copy *held = copy(line, core);
        if (held && held->stale) return stale(held->loaded, held->overwritten);
        if (!held) line.copies.push_back({core, site});
    }
    return {};
}

std::string ScalarCaches::store(const Toucher &by, Site site, uint64_t address, uint64_t bytes)
{
    const uint32_t core = by.thread / PIPES;
    for (uint64_t at = address / LINE; at * LINE < address + bytes; ++at) {
        Line &line = lines_[at];
        const std::string others = shared(line, by);
        if (!others.empty()) return others;
        const Copy *held = copy(line, core);
        if (held && held->stale) return stale(held->loaded, held->overwritten);
        if (!held) line.copies.push_back({core, site});
        outdate(line, core, site);
        line.dirty |= bits(at, address, bytes);
        line.owner = core;
        line.number = by.number;
        line.store = site;
    }
    return {};
}

std::string ScalarCaches::read_past(uint64_t address, uint64_t bytes) const
{
    for (auto line = lines_.lower_bound(address / LINE); line != lines_.end() && line->first * LINE < address + bytes; ++line)
        if (line->second.dirty & bits(line->first, address, bytes)) return unseen("reads past", line->second.store);
    return {};
}

std::string ScalarCaches::write_past(const Toucher &by, Site site, uint64_t address, uint64_t bytes)
{
    for (auto line = lines_.lower_bound(address / LINE); line != lines_.end() && line->first * LINE < address + bytes; ++line) {
        const std::string others = shared(line->second, by);
        if (!others.empty()) return others;
        if (line->second.dirty)
            return text("writes into 64 bytes of which the scalar unit's cache holds changes, from %s, and it will write all 64 back; call "
                        "DataCacheCleanAndInvalid after it",
                        text(line->second.store).c_str());
        outdate(line->second, NO_CORE, site);
    }
    return {};
}

void ScalarCaches::drop(std::map<uint64_t, Line>::iterator &line, uint32_t core)
{
    Line &held = line->second;
    if (held.owner == core) held.dirty = 0;
    held.copies.erase(std::remove_if(held.copies.begin(), held.copies.end(), [&](const Copy &copy) { return copy.core == core; }),
                      held.copies.end());
    line = !held.number && held.copies.empty() ? lines_.erase(line) : std::next(line);
}

void ScalarCaches::clean(uint32_t core, uint64_t address)
{
    auto line = lines_.find(address / LINE);
    if (line != lines_.end()) drop(line, core);
}

void ScalarCaches::clean_all(uint32_t core)
{
    for (auto line = lines_.begin(); line != lines_.end();) drop(line, core);
}

const Site *ScalarCaches::dirty(uint32_t core) const
{
    for (const auto &line : lines_)
        if (line.second.dirty && line.second.owner == core) return &line.second.store;
    return nullptr;
}

} // namespace twin
