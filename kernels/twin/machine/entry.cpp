#include "../entry.h"

namespace twin {

namespace {
/// The outcome as JSON.
std::string json(const Outcome &outcome, const Chip &chip)
{
    std::string out = text("{\"cycles\":%.1f,\"microseconds\":%.4f,\"read\":%llu,\"written\":%llu,\"hbm_read\":%llu,\"hbm_written\":%llu,"
                           "\"cores\":[",
                           outcome.cycles, outcome.cycles / chip.mhz, static_cast<unsigned long long>(outcome.traffic.read),
                           static_cast<unsigned long long>(outcome.traffic.written),
                           static_cast<unsigned long long>(outcome.traffic.hbm_read),
                           static_cast<unsigned long long>(outcome.traffic.hbm_written));
    const char *comma = "";
    for (const Outcome::Busy &core : outcome.cores) {
        out += text("%s{\"cube\":%s,\"block\":%u,\"sub\":%u,\"end\":%.1f,\"bank_conflicts\":%.1f", comma,
                    core.kind == Kind::Cube ? "true" : "false", core.block, core.sub, core.end, core.conflicts);
        for (int i = 0; i < PIPES; ++i)
            out += text(",\"%s\":[%.1f,%llu]", name(static_cast<Pipe>(i)), core.busy[i],
                        static_cast<unsigned long long>(core.instructions[i]));
        out += "}";
        comma = ",";
    }
    return out + "]}";
}
} // namespace

int32_t launch(const char *name, const twin_launch &request, std::vector<uint64_t> pointers, const std::function<void()> &program)
{
    const auto tell = [&](uint32_t kind, const std::string &text) { request.tell(request.user, kind, text.data(), text.size()); };
    try {
        const Chip *known = chip(request.soc);
        if (!known) throw Fault(text("%s: no chip %s is known", name, request.soc));
        std::vector<Range> ranges;
        for (uint64_t i = 0; i < request.range_count; ++i)
            ranges.push_back({request.ranges[i].address, request.ranges[i].bytes, request.ranges[i].host});
        const Modes modes{(request.modes & 1) != 0, (request.modes & 2) != 0};
        const bool traced = request.modes & 4;
        Trace trace(2, 1 << 20);
        Launch run(name, *known, request.blocks, modes, std::move(ranges), std::move(pointers), traced ? &trace : nullptr);
        tell(1, json(run.run(program), *known));
        if (traced) tell(2, trace.json(known->mhz));
        return 0;
    } catch (const std::exception &failure) {
        tell(0, failure.what());
        return 1;
    }
}

} // namespace twin
