#include "core.h"

#include <cstring>
#include <string_view>

#include "launch.h"

namespace twin {

thread_local Core *running = nullptr;

Core::Core(Launch &launch, Modes modes, Kind kind, uint32_t index, uint32_t block, uint32_t sub)
    : launch(launch), trace(launch.trace && launch.trace->keeps(block) ? launch.trace : nullptr), modes(modes), kind(kind),
      index(index), block(block), sub(sub)
{
    for (int i = 0; i < LOCAL_SPACES; ++i) {
        const auto space = static_cast<Space>(i);
        const bool vector = space == Space::UB;
        if (vector != (kind == Kind::Vector)) continue;
        if (modes.compute) memories_[i].reset(new uint8_t[bytes_of(space)]());
        if (modes.check) shadows_[i] = std::make_unique<Shadow>();
    }
    if (modes.check)
        for (PipeState &pipe : pipes) pipe.seen = Clock(base());
}

std::string Core::name() const
{
    return kind == Kind::Cube ? text("AIC %u", block) : text("AIV %u of core %u", sub, block);
}

void Core::fault(Site site, const std::string &problem) const
{
    if (!launch.declared())
        throw Fault(launch.kernel + ": " + text(site) + " comes before KERNEL_TASK_TYPE_DEFAULT, which must be the kernel's first "
                                                        "statement: it says which cores run it");
    throw Fault(launch.kernel + ": " + text(site) + " on " + name() + ": " + problem);
}

void Core::note(Signal &signal, Pipe from)
{
    if (!launch.declared()) fault(signal.site, "");
    PipeState &state = pipe(from);
    signal.seen = state.seen;
    if (from != Pipe::S && state.joined != waits) signal.seen.join(pipe(Pipe::S).seen);
    signal.seen.done(from, state.number);
}

CrossSignal Core::cross_signal(Pipe from, Site site)
{
    Signal near;
    mark(near, from, site);
    return {near.time, site, modes.check ? near.seen.numbers(launch.threads()) : Numbers()};
}

void Core::scalar_settles()
{
    PipeState &state = pipe(Pipe::S);
    ++waits;
    if (modes.check) state.seen.done(Pipe::S, state.number);
}

void Core::barrier(Pipe which, Where where)
{
    const Site site{"PipeBarrier", where};
    now += cost::ISSUE;
    if (which == Pipe::S) fault(site, "PIPE_S needs no barrier, and one is an error of hardware");
    if (kind == Kind::Cube && which == Pipe::V) return;
    if (kind == Kind::Vector && which != Pipe::V && which != Pipe::MTE2 && which != Pipe::MTE3)
        fault(site, text("PIPE_%s is a unit of cube cores", twin::name(which)));
    PipeState &state = pipe(which);
    state.ready = std::max(state.ready, state.done);
    if (modes.check) state.seen.done(which, state.number);
}

void Core::barrier_all(Where where)
{
    now += cost::ISSUE;
    Signal done;
    for (int i = 1; i < PIPES; ++i) {
        mark(done, static_cast<Pipe>(i), {"PipeBarrier", where});
        scalar_waits(done);
    }
    scalar_settles();
}

void Core::wait_cross(int id, Where where)
{
    const Site site{"CrossCoreWaitFlag", where};
    now += cost::ISSUE;
    if (static_cast<unsigned>(id) >= CROSS_FLAGS) bad_id(site, id, CROSS_FLAGS);
    Counter &count = counts[id];
    if (count.empty()) launch.sleep({"cross-core flag", id, site});
    scalar_waits(count.front());
    count.pop();
}

void Core::finish()
{
    for (int from = 0; from < PIPES; ++from)
        for (int to = 0; to < PIPES; ++to)
            for (int id = 0; id < FLAGS; ++id) {
                const Flag &flag = flags_[from][to][id];
                const char *a = twin::name(static_cast<Pipe>(from)), *b = twin::name(static_cast<Pipe>(to));
                if (flag.set)
                    fault(flag.signal.site,
                          text("flag %d of %s_%s is still set when the kernel ends, and the next kernel would find it so; add "
                               "WaitFlag<HardEvent::%s_%s>(%d)",
                               id, a, b, a, b, id));
            }
    if (registers.atomic)
        fault(last("SetAtomic"), "stores still combine when the kernel ends; call SetAtomicNone() after the last that should");
    if (registers.counting)
        fault(last("SetMaskCount"), "the mask still is a number of elements when the kernel ends; call SetMaskNorm() and ResetMask()");
    if (const Site *store = launch.caches.dirty(index))
        fault(*store, "stays in the scalar unit's cache when the kernel ends; call DataCacheCleanAndInvalid after it");
    for (const PipeState &state : pipes) now = std::max(now, state.done);
}

/// The last call of the scalar unit whose name begins so.
Site Core::last(const char *api) const
{
    const std::vector<uint32_t> &given = pipes[static_cast<int>(Pipe::S)].sites;
    for (size_t i = given.size(); i-- > 0;)
        if (std::string_view(launch.sites[given[i]].api).substr(0, std::strlen(api)) == api) return launch.sites[given[i]];
    return {api, {"a line that only checking mode knows", 0}};
}

void Core::bad_id(Site site, int id, int ids) const { fault(site, text("id %d is not in 0..%d", id, ids - 1)); }

void Core::set_again(Pipe from, Pipe to, int id, Site site) const
{
    const Flag &flag = flags_[static_cast<int>(from)][static_cast<int>(to)][id];
    const char *a = twin::name(from), *b = twin::name(to);
    fault(site, text("flag %d of %s_%s is set already, at %s, and a flag does not count; wait for it in between or use another id", id,
                     a, b, text(flag.signal.site.where).c_str()));
}

void Core::not_set(Pipe from, Pipe to, int id, Site site) const
{
    const char *a = twin::name(from), *b = twin::name(to);
    fault(site, text("flag %d of %s_%s was not set before, so PIPE_%s would wait forever; add SetFlag<HardEvent::%s_%s>(%d) before it",
                     id, a, b, b, a, b, id));
}

void Core::no_event(Pipe from, Pipe to, Site site) const
{
    const char *a = twin::name(from), *b = twin::name(to);
    // Cube cores take every event but those that join the vector unit with one of theirs.
    if (from == Pipe::V || to == Pipe::V) fault(site, text("%s_%s is no event of this chip: no core has both units", a, b));
    fault(site, text("%s_%s is no event of vector cores; put it under ASCEND_IS_AIC", a, b));
}

} // namespace twin
