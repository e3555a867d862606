#include "../api/mmad.h"

namespace twin {

namespace {

/// Rows of an operand (of the right one: columns) that hold nothing, by number. An operand is `lines` / 16 by `steps` fractals;
/// `along` and `across` are their distances.
struct Unknown {
    bool any = false;
    std::vector<bool> lines;
};

/// Looks at what an operand holds. A line that nobody wrote is padding, which may be multiplied but not read afterwards; a line that was
/// written must be written and finite up to the padded K, since the cube adds products of the padding as well.
Unknown look(Issue &issue, const MmadCall &call, Space space, uint32_t start, uint32_t lines, uint32_t real, uint32_t k, uint64_t along,
             uint64_t across)
{
    Unknown unknown;
    Shadow &shadow = issue.core.shadow(space);
    const uint32_t steps = k * call.size / 32, padded = round_up(lines, 16);
    if (!shadow.holds(start, padded / 16 * steps * FRACTAL)) {
        unknown.lines.assign(padded, false);
        for (uint32_t line = 0; line < padded; ++line) {
            uint32_t held = 0;
            for (uint32_t s = 0; s < steps; ++s)
                held += shadow.holds(start + line / 16 * along + s * across + line % 16 * 32, 32);
            if (held == steps) continue;
            if (held && line < real)
                issue.fault(text("reads %s %u of %s, of which nothing has written all of K up to its padding (%u of %u blocks of 32 bytes)",
                                 space == Space::L0A ? "row" : "column", line, name(space), held, steps));
            unknown.lines[line] = unknown.any = true;
        }
    }
    if (issue.computes() && call.element != Element::Int8 && call.k < k) {
        const uint8_t *memory = issue.core.memory(space) + start;
        for (uint32_t line = 0; line < real; ++line) {
            if (unknown.any && unknown.lines[line]) continue;
            for (uint32_t x = call.k; x < k; ++x) {
                const uint8_t *at = memory + line / 16 * along + x * call.size / 32 * across + line % 16 * 32 + x * call.size % 32;
                uint32_t bits = 0;
                std::memcpy(&bits, at, call.size);
                const uint32_t exponent = call.element == Element::Half ? 0x7c00u : call.element == Element::Bf16 ? 0x7f80u : 0x7f800000u;
                if ((bits & exponent) == exponent)
                    issue.fault(text("finds infinity or NaN in the padding of K (element %u of %s %u of %s): 0 times it is NaN", x,
                                     space == Space::L0A ? "row" : "column", line, name(space)));
            }
        }
    }
    return unknown;
}

} // namespace

void mmad(Issue &issue, const MmadCall &call)
{
    if (!call.m || !call.n || !call.k) return;
    Core &core = issue.core;
    CubeState &state = core.cube;
    const uint32_t m = round_up(call.m, 16), n = round_up(call.n, 16), k = round_up(call.k, 32 / call.size);
    const uint32_t a_bytes = m * k * call.size, b_bytes = n * k * call.size, c_bytes = m * n * 4;
    issue.within(Space::L0A, call.a, a_bytes);
    issue.within(Space::L0B, call.b, b_bytes);
    issue.within(Space::L0C, call.c, c_bytes);
    PipeState &pipe = core.pipe(Pipe::M);

    double empty = 0;  ///< when the fixpipe is through with what is written here
    if (call.unit_flag) {
        Fractals touched;
        touched.set(call.c / 1024, c_bytes / 1024);
        for (uint32_t i = 0; i < state.unit.fulls; ++i)
            if (state.unit.full[i].what.meets(touched))
                issue.fault("writes L0C that a Mmad with unitFlag 3 has handed over and no Fixpipe with unitFlag has emptied: the cube "
                            "would wait forever");
        UnitFlag::take(state.unit.drained, state.unit.draineds, touched, [&](const UnitFlag::Handed &fix) {
            pipe.ready = std::max(pipe.ready, fix.early);
            empty = std::max(empty, fix.done);
            if (issue.checks()) pipe.seen.join(fix.seen);
        });
    }
    if (issue.checks()) {
        if (call.start == MmadCall::Held && (m / 16) * (n / 16) < 10 && state.last_number > pipe.seen[core.base() + static_cast<int>(Pipe::M)] &&
            state.last_start < call.c + c_bytes && call.c < state.last_end)
            issue.fault(text("adds to what the Mmad before it wrote, and with %u x %u blocks it can start before that is there: "
                             "PipeBarrier<PIPE_M>() between two that accumulate is needed below 10 blocks",
                             m / 16, n / 16));
        issue.read(Space::L0A, call.a, a_bytes, false);
        issue.read(Space::L0B, call.b, b_bytes, false);
        const uint64_t along = static_cast<uint64_t>(k) * call.size / 32 * FRACTAL, b_across = n / 16 * static_cast<uint64_t>(FRACTAL);
        const Unknown rows = look(issue, call, Space::L0A, call.a, call.m, call.m, k, along, FRACTAL);
        const Unknown columns = look(issue, call, Space::L0B, call.b, call.n, call.n, k, FRACTAL, b_across);
        if (call.start == MmadCall::Bias) issue.read(Space::BT, call.bias, n * 4, false);
        Shadow &shadow = core.shadow(Space::L0C);
        // What C held stays unknown where it was.
        std::vector<uint32_t> holes;
        if (call.start == MmadCall::Held) {
            issue.read(Space::L0C, call.c, c_bytes, false);
            if (!shadow.holds(call.c, c_bytes))
                for (uint32_t at = 0; at < c_bytes; at += 4)
                    if (!shadow.holds(call.c + at, 4)) holes.push_back(at);
        }
        issue.write(Space::L0C, call.c, c_bytes);
        for (const uint32_t at : holes) shadow.forget(call.c + at, 4);
        for (uint32_t r = 0; r < m; ++r)
            if (r >= call.m || (rows.any && rows.lines[r]))
                for (uint32_t j = 0; j < n / 16; ++j) shadow.forget(call.c + (j * m + r) * 64, 64);
        for (uint32_t c = 0; c < n; ++c)
            if (c >= call.n || (columns.any && columns.lines[c]) ||
                (call.start == MmadCall::Bias && !core.shadow(Space::BT).holds(call.bias + c * 4, 4)))
                for (uint32_t r = 0; r < m; ++r) shadow.forget(call.c + (c / 16 * m + r) * 64 + c % 16 * 4, 4);
        state.last_number = issue.number();
        state.last_start = call.c;
        state.last_end = call.c + c_bytes;
    }
    if (issue.computes())
        multiply({call.element, m, n, k, core.memory(Space::L0A) + call.a, core.memory(Space::L0B) + call.b,
                  core.memory(Space::L0C) + call.c, call.start == MmadCall::Bias ? core.memory(Space::BT) + call.bias : nullptr,
                  call.start == MmadCall::Held, state.hf32_toward_zero});
    const double begin = issue.start();
    Cost cost = cost::mmad(call.m, call.n, call.k, call.size, call.element == Element::Hf32);
    // It follows the fixpipe by blocks, and writes the last one after it is through.
    if (empty > begin + cost.occupancy) cost.occupancy = empty - begin;
    issue.take(cost);
    if (call.unit_flag == 3) {
        UnitFlag::Handed handed;
        handed.what.set(call.c / 1024, c_bytes / 1024);
        if (issue.checks()) {
            handed.seen = pipe.seen;
            handed.seen.done(Pipe::M, issue.number());
        }
        // The fixpipe follows the cube by blocks; it may begin when the first quarter is there.
        handed.early = begin + cost.occupancy / 4;
        handed.done = begin + cost.occupancy + cost.latency;
        UnitFlag::add(state.unit.full, state.unit.fulls, handed);
    }
}

} // namespace twin
