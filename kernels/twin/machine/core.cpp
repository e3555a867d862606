#include "core.h"

#include <algorithm>

#include "launch.h"

namespace twin {

thread_local Core *running = nullptr;

namespace {
/// Cycles that the scalar unit needs to give one instruction to a pipe.
constexpr double ISSUE = 5;
} // namespace

Core::Core(Launch &launch, Kind kind, uint32_t index, uint32_t block, uint32_t sub)
    : launch(launch), modes(launch.modes), kind(kind), index(index), block(block), sub(sub)
{
    for (int i = 0; i < LOCAL_SPACES; ++i) {
        const auto space = static_cast<Space>(i);
        const bool vector = space == Space::UB;
        if (vector != (kind == Kind::Vector)) continue;
        if (modes.compute) memories_[i].reset(new uint8_t[bytes_of(space)]());
        if (modes.check) shadows_[i] = std::make_unique<Shadow>(bytes_of(space));
    }
    if (modes.check)
        for (PipeState &pipe : pipes) pipe.seen.assign(launch.threads(), 0);
}

std::string Core::name() const
{
    return kind == Kind::Cube ? text("AIC %u", block) : text("AIV %u of core %u", sub, block);
}

void Core::fault(Site site, const std::string &problem) const
{
    throw Fault(text("%s: %s at %s on %s: ", launch.kernel.c_str(), site.api, text(site.where).c_str(), name().c_str()) +
                problem);
}

Signal Core::signal(Pipe from, Site site)
{
    PipeState &state = pipe(from);
    Signal signal{from == Pipe::S ? now : std::max(state.done, state.ready), {}, site};
    if (modes.check) {
        signal.seen = state.seen;
        if (from != Pipe::S && state.joined != waits) join(signal.seen, pipe(Pipe::S).seen);
        signal.seen[base() + static_cast<int>(from)] = state.number;
    }
    return signal;
}

void Core::scalar_waits(const Signal &signal)
{
    now = std::max(now, signal.time);
    ++waits;
    if (modes.check) join(pipe(Pipe::S).seen, signal.seen);
}

void Core::set_flag(Pipe from, Pipe to, int id, Where where)
{
    const Site site{"SetFlag", where};
    if (id < 0 || id >= FLAGS) fault(site, text("flag id %d is not in 0..7", id));
    now += ISSUE;
    Flag &flag = flags_[static_cast<int>(from)][static_cast<int>(to)][id];
    const char *a = twin::name(from), *b = twin::name(to);
    if (flag.set)
        fault(site, text("flag %s_%s %d is set a second time; it was set at %s and nothing has waited for it", a, b, id,
                         text(flag.signal.site.where).c_str()));
    flag.set = true;
    flag.signal = signal(from, site);
}

void Core::wait_flag(Pipe from, Pipe to, int id, Where where)
{
    const Site site{"WaitFlag", where};
    if (id < 0 || id >= FLAGS) fault(site, text("flag id %d is not in 0..7", id));
    now += ISSUE;
    Flag &flag = flags_[static_cast<int>(from)][static_cast<int>(to)][id];
    if (!flag.set)
        fault(site, text("flag %s_%s %d is waited for, but was not set before: the pipe would stand still", twin::name(from),
                         twin::name(to), id));
    flag.set = false;
    if (to == Pipe::S) return scalar_waits(flag.signal);
    PipeState &state = pipe(to);
    state.ready = std::max(state.ready, flag.signal.time);
    if (modes.check) join(state.seen, flag.signal.seen);
}

void Core::barrier(Pipe which, Where)
{
    now += ISSUE;
    PipeState &state = pipe(which);
    state.ready = std::max(state.ready, state.done);
    if (modes.check) state.seen[base() + static_cast<int>(which)] = state.number;
}

void Core::barrier_all(Where where)
{
    now += ISSUE;
    for (int i = 1; i < PIPES; ++i) scalar_waits(signal(static_cast<Pipe>(i), {"PipeBarrier", where}));
}

void Core::wait_cross(int id, Where where)
{
    const Site site{"CrossCoreWaitFlag", where};
    if (id < 0 || id >= CROSS_FLAGS) fault(site, text("flag id %d is not in 0..15", id));
    now += ISSUE;
    launch.wait([&] { return !counts[id].empty(); }, text("cross-core flag %d", id), site);
    const Signal signal = std::move(counts[id].front());
    counts[id].erase(counts[id].begin());
    scalar_waits(signal);
}

void Core::finish()
{
    for (int from = 0; from < PIPES; ++from)
        for (int to = 0; to < PIPES; ++to)
            for (int id = 0; id < FLAGS; ++id) {
                const Flag &flag = flags_[from][to][id];
                if (flag.set)
                    fault(flag.signal.site, text("flag %s_%s %d is never waited for; the next kernel would find it set",
                                                 twin::name(static_cast<Pipe>(from)), twin::name(static_cast<Pipe>(to)), id));
            }
    for (int id = 0; id < CROSS_FLAGS; ++id)
        if (!counts[id].empty())
            fault(counts[id].front().site,
                  text("%zu counts of cross-core flag %d are never waited for on %s", counts[id].size(), id, name().c_str()));
    for (const PipeState &state : pipes) now = std::max(now, state.done);
}

Issue::Issue(Pipe pipe, const char *api, Where where) : core(*running), pipe(pipe), site{api, where}
{
    core.now += ISSUE;
    PipeState &state = core.pipe(pipe);
    number_ = ++state.number;
    if (!checks()) return;
    state.sites.push_back(site);
    if (pipe != Pipe::S && state.joined != core.waits) {
        join(state.seen, core.pipe(Pipe::S).seen);
        state.joined = core.waits;
    }
}

double Issue::start() const
{
    const PipeState &state = core.pipe(pipe);
    const double full = state.starts[number_ % state.starts.size()];
    return std::max({core.now, full, state.next, state.ready});
}

void Issue::take(const Cost &cost)
{
    PipeState &state = core.pipe(pipe);
    // A full queue stops the scalar unit until its oldest instruction has started.
    core.now = std::max(core.now, state.starts[number_ % state.starts.size()]);
    const double begin = std::max({core.now, state.next, state.ready});
    state.starts[number_ % state.starts.size()] = begin;
    state.next = begin + cost.occupancy;
    state.done = std::max(state.done, state.next + cost.latency);
    state.busy += cost.occupancy;
    if (core.launch.trace) core.launch.trace->instruction(core, pipe, site, begin, state.next);
}

void Issue::read(Space space, uint64_t start, uint64_t bytes, bool needs_data)
{
    within(space, start, bytes);
    if (!checks() || bytes == 0) return;
    const PipeState &state = core.pipe(pipe);
    const Conflict found =
        core.shadow(space).read(pipe, core.base(), state.seen, number_, start, bytes, needs_data);
    if (found.kind != Conflict::None) conflict(space, found, false);
}

void Issue::write(Space space, uint64_t start, uint64_t bytes)
{
    within(space, start, bytes);
    if (!checks() || bytes == 0) return;
    const PipeState &state = core.pipe(pipe);
    const Conflict found = core.shadow(space).write(pipe, core.base(), state.seen, number_, start, bytes);
    if (found.kind != Conflict::None) conflict(space, found, true);
}

const uint8_t *Issue::read_gm(uint64_t address, uint64_t bytes)
{
    const uint8_t *host = core.launch.at(*this, address, bytes);
    if (checks() && bytes) {
        const Conflict found = core.launch.global.read(core, pipe, core.pipe(pipe).seen, number_, address, bytes);
        if (found.kind != Conflict::None) conflict(Space::GM, found, false);
    }
    return host;
}

uint8_t *Issue::write_gm(uint64_t address, uint64_t bytes, bool atomic)
{
    uint8_t *host = core.launch.at(*this, address, bytes);
    if (checks() && bytes) {
        const Conflict found = core.launch.global.write(core, pipe, core.pipe(pipe).seen, number_, address, bytes, atomic);
        if (found.kind != Conflict::None) conflict(Space::GM, found, true);
    }
    return host;
}

void Issue::conflict(Space space, const Conflict &conflict, bool writes) const
{
    const std::string place = space == Space::GM ? core.launch.place(conflict.byte)
                                                 : text("byte 0x%llx of %s", static_cast<unsigned long long>(conflict.byte), name(space));
    if (conflict.kind == Conflict::Uninitialised)
        fault(text("reads %s, which nothing has written (or was freed)", place.c_str()));
    const Core &other = core.launch.core(conflict.thread / PIPES);
    const auto other_pipe = static_cast<Pipe>(conflict.thread % PIPES);
    const Site &earlier = other.pipes[conflict.thread % PIPES].sites[conflict.number - 1];
    std::string remedy;
    if (&other != &core)
        remedy = "a cross-core flag that is set after the one and waited for before the other";
    else if (other_pipe == pipe)
        remedy = text("PipeBarrier<PIPE_%s>() between the two", name(pipe));
    else
        remedy = text("SetFlag<HardEvent::%s_%s> after the one and WaitFlag before the other", name(other_pipe), name(pipe));
    fault(text("races for %s: it %s what %s at %s (%s%s%s) %s, and nothing orders the two; missing: %s", place.c_str(),
               writes ? "writes" : "reads", earlier.api, text(earlier.where).c_str(), name(other_pipe),
               &other == &core ? "" : " of ", &other == &core ? "" : other.name().c_str(),
               conflict.kind == Conflict::WriteAfterRead ? "reads" : "writes", remedy.c_str()));
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
    fault(text("touches %s bytes %llu..%llu, and this core has %u", name(space), static_cast<unsigned long long>(start),
               static_cast<unsigned long long>(start + bytes), core.kind == Kind::Vector ? (space == Space::UB ? bytes_of(space) : 0)
                                                                 : (space == Space::UB ? 0 : bytes_of(space))));
}

} // namespace twin
