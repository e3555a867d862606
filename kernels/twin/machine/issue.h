/// One instruction that a kernel gives to a pipe.
#pragma once

#include "core.h"

namespace twin {

/// The order of use: construct, check limits, `read` and `write` what it touches, `take` its time.
class Issue {
public:
    Issue(Pipe pipe, const char *api, Where where) : core(*running), pipe(pipe), site{api, where}
    {
        core.now += cost::ISSUE;
        number_ = ++core.pipe(pipe).number;
        if (checks()) keep();
    }

    Core &core;
    const Pipe pipe;
    const Site site;

    bool checks() const { return core.modes.check; }
    bool computes() const { return core.modes.compute; }
    /// Its number on its pipe, from 1.
    uint32_t number() const { return number_; }

    [[noreturn]] void fault(const std::string &problem) const { core.fault(site, problem); }
    /// `what` must lie in `[low, high]`.
    void limit(const char *what, int64_t value, int64_t low, int64_t high) const
    {
        if (value < low || value > high) out_of(what, value, low, high);
    }
    /// `what` must be a multiple of `unit`.
    void multiple(const char *what, uint64_t value, uint64_t unit) const
    {
        if (value % unit) not_multiple(what, value, unit);
    }
    /// The instruction exists on cores of this kind only.
    void only_on(Kind kind) const
    {
        if (core.kind != kind) wrong_core(kind);
    }

    /// Bytes of a core's memory that the instruction reads; faults outside of it. `needs_data`: that nobody wrote them is a
    /// fault, not just without meaning.
    void read(Space space, uint64_t start, uint64_t bytes, bool needs_data = true)
    {
        within(space, start, bytes);
        if (checks() && bytes) looks_read(space, start, bytes, needs_data);
    }
    void write(Space space, uint64_t start, uint64_t bytes)
    {
        within(space, start, bytes);
        if (checks() && bytes) looks_written(space, start, bytes);
    }
    /// Only the bounds. In timing mode this is all that is done, so give whole extents.
    void within(Space space, uint64_t start, uint64_t bytes) const
    {
        const bool has = (space == Space::UB) == (core.kind == Kind::Vector);
        if (!has || start + bytes > bytes_of(space)) outside(space, start, bytes);
    }
    /// Global memory. They give the host's place of the bytes, null where data is not computed.
    const uint8_t *read_gm(uint64_t address, uint64_t bytes);
    uint8_t *write_gm(uint64_t address, uint64_t bytes, bool atomic = false);

    /// When the instruction starts if it is taken now.
    double start() const
    {
        const PipeState &state = core.pipe(pipe);
        if (pipe == Pipe::S) return core.now;
        return std::max({core.now, state.starts[number_ % state.starts.size()], state.next, state.ready});
    }
    /// Takes a place in the pipe. `cost.occupancy` keeps the pipe busy; the result is there `cost.latency` later.
    void take(const Cost &cost)
    {
        PipeState &state = core.pipe(pipe);
        const double begin = start();
        state.busy += cost.occupancy;
        core.conflicts += cost.conflicts;
        if (pipe == Pipe::S) {
            // The program goes on when it has its value.
            core.now = begin + cost.occupancy + cost.latency;
        } else {
            // A full queue stops the scalar unit until its oldest instruction has started.
            double &oldest = state.starts[number_ % state.starts.size()];
            core.now = std::max(core.now, oldest);
            oldest = begin;
            state.next = begin + cost.occupancy;
            state.done = std::max(state.done, state.next + cost.latency);
        }
        if (core.trace) traced(begin, begin + cost.occupancy);
    }

private:
    uint32_t number_;

    void keep();
    void looks_read(Space space, uint64_t start, uint64_t bytes, bool needs_data);
    void looks_written(Space space, uint64_t start, uint64_t bytes);
    void traced(double begin, double end) const;
    Toucher toucher() const
    {
        return {core.base() + static_cast<uint32_t>(pipe), number_, core.pipe(pipe).seen};
    }
    [[noreturn]] void out_of(const char *what, int64_t value, int64_t low, int64_t high) const;
    [[noreturn]] void not_multiple(const char *what, uint64_t value, uint64_t unit) const;
    [[noreturn]] void wrong_core(Kind kind) const;
    [[noreturn]] void outside(Space space, uint64_t start, uint64_t bytes) const;
    [[noreturn]] void conflict(Space space, const Conflict &conflict) const;
};

} // namespace twin
