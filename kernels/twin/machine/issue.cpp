#include "issue.h"

#include "launch.h"

namespace twin {

void Issue::keep()
{
    if (!core.launch.declared()) fault("");
    PipeState &state = core.pipe(pipe);
    state.sites.push_back(core.launch.sites.number(site));
    if (pipe != Pipe::S && state.joined != core.waits) {
        state.seen.join(core.pipe(Pipe::S).seen);
        state.joined = core.waits;
    }
}

void Issue::traced(double begin, double end) const { core.trace->instruction(core, pipe, site, begin, end); }

void Issue::looks_read(Space space, uint64_t start, uint64_t bytes, bool needs_data)
{
    const Conflict found = core.shadow(space).read(toucher(), start, bytes, needs_data);
    if (found.kind != Conflict::None) conflict(space, found);
}

void Issue::looks_written(Space space, uint64_t start, uint64_t bytes)
{
    const Conflict found = core.shadow(space).write(toucher(), start, bytes);
    if (found.kind != Conflict::None) conflict(space, found);
}

const uint8_t *Issue::read_gm(uint64_t address, uint64_t bytes)
{
    const uint8_t *host = core.launch.at(*this, address, bytes);
    if (checks() && bytes) {
        const Conflict found = core.launch.global.read(toucher(), address, bytes);
        if (found.kind != Conflict::None) conflict(Space::GM, found);
        ScalarCaches &caches = core.launch.caches;
        if (pipe == Pipe::S || !caches.empty()) {
            const std::string wrong = pipe == Pipe::S ? caches.load(toucher(), site, address, bytes) : caches.read_past(address, bytes);
            if (!wrong.empty()) fault(wrong);
        }
    }
    if (pipe == Pipe::S) core.launch.reach(core.now);
    return host;
}

uint8_t *Issue::write_gm(uint64_t address, uint64_t bytes, bool atomic)
{
    uint8_t *host = core.launch.at(*this, address, bytes);
    if (checks() && bytes) {
        ScalarCaches &caches = core.launch.caches;
        if (pipe == Pipe::S || !caches.empty()) {
            const std::string wrong =
                pipe == Pipe::S ? caches.store(toucher(), site, address, bytes) : caches.write_past(toucher(), site, address, bytes);
            if (!wrong.empty()) fault(wrong);
        }
        const Conflict found = core.launch.global.write(toucher(), address, bytes, atomic);
        if (found.kind != Conflict::None) conflict(Space::GM, found);
    }
    return host;
}

void Issue::conflict(Space space, const Conflict &conflict) const
{
    const std::string place =
        space == Space::GM ? core.launch.place(conflict.byte)
                           : text("byte %llu of %s", static_cast<unsigned long long>(conflict.byte), name(space));
    if (conflict.kind == Conflict::NeverWritten) fault("reads " + place + ", which nothing has written");
    if (conflict.kind == Conflict::Freed) fault("reads " + place + ", which was freed and not written since");

    const Core &other = core.launch.core(conflict.thread / PIPES);
    const auto other_pipe = static_cast<Pipe>(conflict.thread % PIPES);
    const std::string earlier = text(core.launch.sites[other.pipes[conflict.thread % PIPES].sites[conflict.number - 1]]);
    const bool near = &other == &core;
    std::string remedy;
    if (near && other_pipe == pipe) {
        remedy = text("put PipeBarrier<PIPE_%s>() between the two", name(pipe));
    } else if (near) {
        const std::string event = text("<HardEvent::%s_%s>", name(other_pipe), name(pipe));
        remedy = "put SetFlag" + event + " after that and WaitFlag" + event + " before this";
    } else if (other.block == core.block && core.launch.has_cubes()) {
        remedy = text("put CrossCoreSetFlag<%d, its pipe> after the one that must come first and CrossCoreWaitFlag before the other",
                      other.kind == core.kind ? 1 : 2);
    } else if (conflict.kind == Conflict::WriteAfterWrite) {
        remedy = "divide the work so that they do not meet, put SyncAll between the two, or SetAtomicAdd before both if they are sums";
    } else {
        remedy = "put SyncAll between the two";
    }
    const char *what = conflict.kind == Conflict::ReadAfterWrite    ? "reads %s, which %s (%s%s) writes"
                       : conflict.kind == Conflict::WriteAfterWrite ? "writes %s, which %s (%s%s) writes as well"
                                                                    : "writes %s, which %s (%s%s) reads";
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    fault(text(what, place.c_str(), earlier.c_str(), name(other_pipe), near ? "" : (" of " + other.name()).c_str()) +
          ", and nothing orders the two; " + remedy);
#pragma GCC diagnostic pop
}

void Issue::out_of(const char *what, int64_t value, int64_t low, int64_t high) const
{
    fault(text("%s is %lld, and must be in %lld..%lld", what, static_cast<long long>(value), static_cast<long long>(low),
               static_cast<long long>(high)));
}

void Issue::not_multiple(const char *what, uint64_t value, uint64_t unit) const
{
    fault(text("%s is %llu, and must be a multiple of %llu", what, static_cast<unsigned long long>(value),
               static_cast<unsigned long long>(unit)));
}

void Issue::wrong_core(Kind kind) const
{
    fault(text("is an instruction of %s cores", kind == Kind::Cube ? "cube (AIC)" : "vector (AIV)"));
}

void Issue::outside(Space space, uint64_t start, uint64_t bytes) const
{
    if ((space == Space::UB) != (core.kind == Kind::Vector))
        fault(text("touches %s, which %s cores do not have", name(space), core.kind == Kind::Cube ? "cube" : "vector"));
    fault(text("touches %s bytes %llu..%llu, and this core has %u", name(space), static_cast<unsigned long long>(start),
               static_cast<unsigned long long>(start + bytes), bytes_of(space)));
}

} // namespace twin
