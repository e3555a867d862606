#include <cstring>

#include "launch.h"

namespace twin {

namespace {
/// The cross-core flags by which SyncAll works.
constexpr int FIRST_OF_SYNC = 11, LAST_OF_SYNC = 14;
/// Arrivals that make the wait for a meeting, by who meets: vector cores by a flag, all by flags from vector to cube cores, among those
/// and back, and vector cores by polling.
enum { VECTORS, ALL, POLLING };
} // namespace

void Launch::keep_ids_apart(Site site) const
{
    if (met_ && taken_.api)
        twin::core().fault(site, text("SyncAll uses the cross-core flags %d to %d, and %s sets one of them; take lower ids", FIRST_OF_SYNC,
                                      LAST_OF_SYNC, text(taken_.where).c_str()));
}

void Launch::cross(int mode, Pipe pipe, int id, Where where)
{
    Core &from = twin::core();
    const Site site{"CrossCoreSetFlag", where};
    from.now += cost::ISSUE;
    CrossSignal signal = from.cross_signal(pipe, site);
    signal.time += cross_latency_;
    if (static_cast<unsigned>(id) >= CROSS_FLAGS) from.fault(site, text("id %d is not in 0..%d", id, CROSS_FLAGS - 1));
    if (mode < 0 || mode >= CROSS_MODES) from.fault(site, text("mode %d is not 0, 1 or 2", mode));
    const bool cube = from.kind == Kind::Cube;
    if (pipe == Pipe::S) from.fault(site, "the pipe must be one that flags can follow: PIPE_V, M, MTE1, MTE2, MTE3 or FIX");
    if (cube ? pipe == Pipe::V : pipe != Pipe::V && pipe != Pipe::MTE2 && pipe != Pipe::MTE3)
        from.fault(site, text("PIPE_%s is a unit of %s cores", name(pipe), cube ? "vector" : "cube"));
    if (type_ == TaskType::AivOnly || type_ == TaskType::AicOnly)
        from.fault(site, text("kernels of type AI%c_ONLY have no cross-core flags; declare KERNEL_TYPE_MIX_AI%c_1_0", cube ? 'C' : 'V',
                              cube ? 'C' : 'V'));
    if (mode == 1 && cube) from.fault(site, "mode 1 is for the two vector cores of a core");
    if (mode == 2 && !(has_cubes() && has_vectors())) from.fault(site, "mode 2 is for kernels with both kinds of cores");
    if (id >= FIRST_OF_SYNC && id <= LAST_OF_SYNC) {
        taken_ = site;
        keep_ids_apart(site);
    }

    const Group group = mode == 0 ? Group{0, static_cast<uint32_t>(cores_.size())} : groups_[from.block];
    const auto each = [&](auto f) {
        for (uint32_t i = group.first; i < group.first + group.count; ++i) f(*cores_[i]);
    };
    if (from.sets[mode][id].full())
        from.fault(site, text("flag %d is set %u times more than by the core that must set it as well: counters end there", id,
                              Counter::MOST));
    from.sets[mode][id].push(signal);
    bool all = true;
    each([&](const Core &core) { all &= core.kind != from.kind || !core.sets[mode][id].empty(); });
    if (!all) return;
    each([&](Core &core) {
        if (core.kind != from.kind) return;
        const CrossSignal &set = core.sets[mode][id].front();
        signal.time = std::max(signal.time, set.time);
        if (modes.check) join(signal.seen, set.seen);
        core.sets[mode][id].pop();
    });
    each([&](Core &core) {
        if ((core.kind == from.kind) == (mode == 2)) return;
        if (core.counts[id].full())
            from.fault(site, text("raises flag %d of %s above %u, where its counter ends; wait for it more often", id, core.name().c_str(),
                                  Counter::MOST));
        core.counts[id].push(signal);
        if (asleep(core.index, id)) wake(core.index, signal.time);
    });
}

/// The running core and the others of a meeting go on when `members` are there.
void Launch::join_meeting(Meeting &meeting, size_t members, double latency, Site site)
{
    Core &core = twin::core();
    core.barrier_all(site.where);
    const CrossSignal mine = core.cross_signal(Pipe::S, site);
    if (meeting.here.empty()) meeting.all = mine;
    meeting.all.time = std::max(meeting.all.time, mine.time);
    if (modes.check) join(meeting.all.seen, mine.seen);
    if (meeting.here.size() + 1 < members) {
        meeting.here.push_back(core.index);
        sleep({"the others at SyncAll", -1, site});
        return;
    }
    meeting.all.time += latency;
    for (const uint32_t other : meeting.here) {
        cores_[other]->scalar_waits(meeting.all);
        wake(other, meeting.all.time);
    }
    core.scalar_waits(meeting.all);
    meeting.here.clear();
}

void Launch::meet(bool vector_only, Where where)
{
    Core &core = twin::core();
    const Site site{"SyncAll", where};
    if (!declared_) core.fault(site, "");
    if (type_ == TaskType::AivOnly || type_ == TaskType::AicOnly)
        core.fault(site, text("hangs in a kernel of type AI%c_ONLY; declare KERNEL_TYPE_MIX_AI%c_1_0", core.kind == Kind::Cube ? 'C' : 'V',
                              core.kind == Kind::Cube ? 'C' : 'V'));
    if (vector_only && core.kind == Kind::Cube) core.fault(site, "SyncAll<true> is for vector cores; with cube cores call SyncAll<false>()");
    if (!vector_only && !(has_cubes() && has_vectors()))
        core.fault(site, "SyncAll<false> hangs in a kernel with one kind of cores; call SyncAll<true>()");
    met_ = true;
    keep_ids_apart(site);
    const size_t vectors = has_cubes() ? cores_.size() - blocks : cores_.size();
    join_meeting(meetings_[vector_only ? VECTORS : ALL], vector_only ? vectors : cores_.size(), (vector_only ? 1 : 3) * cross_latency_,
                 site);
}

void Launch::meet_by_polling(bool vector_only, uint64_t workspace, uint64_t ub, uint32_t used, Where where)
{
    Core &core = twin::core();
    if (core.kind == Kind::Cube) return;
    Issue issue(Pipe::MTE2, "SyncAll", where);
    const bool shared = type_ == TaskType::MixAic12;
    if (vector_only && shared)
        issue.fault("both vector cores of a block have the same number here and share 32 bytes of the workspace; call SyncAll<false>");
    const uint32_t vectors = shared ? 2 * blocks : blocks;
    const uint32_t members = used ? used : vectors;
    issue.limit("usedCores", members, 1, vectors);
    const uint32_t mine = block_index(core);
    issue.limit("the number of this core", mine, 0, members - 1);
    issue.multiple("the address of the workspace", workspace, 32);
    issue.multiple("the address in UB", ub, 32);
    at(issue, workspace, members * 32ull);
    issue.write(Space::UB, ub, members * 32ull);
    if (uint8_t *round = at(issue, workspace + mine * 32ull, 32)) {
        int32_t count;
        std::memcpy(&count, round, 4);
        if (count != static_cast<int32_t>(core.polls))
            issue.fault(text("the workspace holds %d for this core, and must be filled with 0 before the launch", count));
        ++count;
        std::memcpy(round, &count, 4);
    }
    ++core.polls;
    // Reads its place, writes it, and reads all at least once.
    issue.take({3 * cost::scalar_global().occupancy, 0});
    join_meeting(meetings_[POLLING], members, cost::scalar_global().occupancy, issue.site);
}

} // namespace twin
