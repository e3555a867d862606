/// A value for every byte of an address space, kept once for each run of bytes that have equal values.
#pragma once

#include <cstdint>
#include <iterator>
#include <map>
#include <memory_resource>

namespace twin {

template <class Value> class Runs {
public:
    Runs() : runs_(&memory_) { last_ = runs_.emplace(0, Value()).first; }
    Runs(const Runs &) = delete;
    Runs &operator=(const Runs &) = delete;

    /// `f(value, first byte)` for each run of `[start, start + bytes)`, which has some; `f` may change the value. Ends early if `f`
    /// returns false.
    template <class F> void each(uint64_t start, uint64_t bytes, F f)
    {
        const uint64_t end = start + bytes;
        auto run = find(start);
        if (run->first < start) run = cut(run, start);
        for (;;) {
            auto next = std::next(run);
            if (next == runs_.end() || end < next->first) next = cut(run, end);
            const bool more = f(run->second, run->first);
            if (run != runs_.begin() && std::prev(run)->second == run->second) runs_.erase(run);
            last_ = std::prev(next);
            if (next->first == end) {
                if (last_->second == next->second) runs_.erase(next);
                return;
            }
            if (!more) return;
            run = next;
        }
    }

private:
    using Map = std::pmr::map<uint64_t, Value>;  ///< by the first byte; a run ends where the next begins
    std::pmr::unsynchronized_pool_resource memory_;
    Map runs_;
    typename Map::iterator last_;  ///< where the last look ended: the next one is often there or just behind

    typename Map::iterator find(uint64_t at)
    {
        if (last_->first <= at) {
            const auto next = std::next(last_);
            if (next == runs_.end() || at < next->first) return last_;
            const auto after = std::next(next);
            if (after == runs_.end() || at < after->first) return next;
        }
        return std::prev(runs_.upper_bound(at));
    }
    /// The part of a run that begins at `at`, as a run of its own.
    typename Map::iterator cut(typename Map::iterator run, uint64_t at)
    {
        return runs_.emplace_hint(std::next(run), at, run->second);
    }
};

} // namespace twin
