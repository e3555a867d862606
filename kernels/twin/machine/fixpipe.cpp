#include "../api/fixpipe.h"

namespace twin {

namespace {

/// One value as it is stored, combined with what is there if an atomic is set.
void store(const FixpipeCall &call, uint8_t *to, const uint8_t *from)
{
    const Atomic atomic = call.atomic;
    if (call.integers) {
        int32_t value, held;
        std::memcpy(&value, from, 4);
        std::memcpy(&held, to, 4);
        if (call.relu && value < 0) value = 0;
        if (atomic == Atomic::Add) value = static_cast<int32_t>(static_cast<uint32_t>(held) + static_cast<uint32_t>(value));
        if (atomic == Atomic::Max) value = std::max(held, value);
        if (atomic == Atomic::Min) value = std::min(held, value);
        std::memcpy(to, &value, 4);
        return;
    }
    float value;
    std::memcpy(&value, from, 4);
    if (call.relu && value < 0) value = 0;
    uint16_t bits = 0;
    const auto narrow = [&](float x) { return call.output == FixpipeCall::Half ? float_to_half(x) : float_to_bf16(x); };
    const auto wide = [&](uint16_t x) { return call.output == FixpipeCall::Half ? half_to_float(x) : bf16_to_float(x); };
    const bool word = call.output == FixpipeCall::Word;
    if (atomic != Atomic::None) {
        // What is stored is what was converted, and so is what it is combined with.
        float held;
        if (word)
            std::memcpy(&held, to, 4);
        else {
            std::memcpy(&bits, to, 2);
            held = wide(bits);
            value = wide(narrow(value));
        }
        value = atomic == Atomic::Add ? held + value : atomic == Atomic::Max ? std::max(held, value) : std::min(held, value);
    }
    if (word) {
        std::memcpy(to, &value, 4);
        return;
    }
    bits = narrow(value);
    std::memcpy(to, &bits, 2);
}

/// Row-major without atomics: by runs of 16 columns.
void store_row(const FixpipeCall &call, uint8_t *to, const uint8_t *from, uint32_t count)
{
    float values[16];
    std::memcpy(values, from, count * 4);
    if (call.relu)
        for (uint32_t i = 0; i < count; ++i) values[i] = values[i] < 0 ? 0 : values[i];
    if (call.output == FixpipeCall::Word) {
        std::memcpy(to, values, count * 4);
        return;
    }
    uint16_t bits[16];
    if (call.output == FixpipeCall::Half)
        for (uint32_t i = 0; i < count; ++i) bits[i] = float_to_half(values[i]);
    else
        for (uint32_t i = 0; i < count; ++i) bits[i] = float_to_bf16(values[i]);
    std::memcpy(to, bits, count * 2);
}

/// The fixpipe waits for the fractals it reads, and gives them back.
Fractals claim(Issue &issue, const FixpipeCall &call, double &m_done)
{
    Core &core = issue.core;
    Fractals touched;
    for (uint32_t matrix = 0; matrix < call.matrices; ++matrix)
        for (uint32_t j = 0; j < (call.n + 15) / 16; ++j) {
            const uint64_t from = call.source + matrix * call.source_matrix + static_cast<uint64_t>(j) * call.source_stride * 64;
            const uint64_t first = from / 1024, last = (from + call.m * 64 + 1023) / 1024;
            touched.set(static_cast<uint32_t>(first), static_cast<uint32_t>(last - first));
        }
    PipeState &pipe = core.pipe(Pipe::FIX);
    Fractals missing = touched;
    UnitFlag &unit = core.cube.unit;
    const auto handed = [&](const UnitFlag::Handed &full) {
        missing.drop(full.what);
        pipe.ready = std::max(pipe.ready, full.early);
        m_done = std::max(m_done, full.done);
        if (issue.checks()) pipe.seen.join(full.seen);
    };
    UnitFlag::take(unit.full, unit.fulls, touched, handed);
    if (!missing.empty())
        issue.fault("has a unitFlag and reads L0C that no Mmad with unitFlag 3 has handed over: it would wait forever");
    return touched;
}

} // namespace

void fixpipe(Issue &issue, const FixpipeCall &call)
{
    if (!call.matrices) return;
    Core &core = issue.core;
    PipeState &pipe = core.pipe(Pipe::FIX);
    const uint32_t size = call.output == FixpipeCall::Word ? 4 : 2, panels = (call.n + 15) / 16;
    const uint64_t panel = static_cast<uint64_t>(call.source_stride) * 64;
    issue.within(Space::L0C, call.source, (call.matrices - 1) * call.source_matrix + (panels - 1) * panel + call.m * 64ull);
    // Columns of blocks of NZ.
    const uint32_t width = call.split ? 8 : 16, blocks = (call.n + width - 1) / width;
    const uint64_t block_bytes = static_cast<uint64_t>(call.m) * width * size;
    if (call.to == Space::L1) issue.within(Space::L1, call.target, (blocks - 1) * call.target_stride + block_bytes);

    // Fixpipe() begins with a barrier of its own pipe.
    pipe.ready = std::max(pipe.ready, pipe.done);
    if (issue.checks()) pipe.seen.done(Pipe::FIX, pipe.number - 1);
    Fractals touched;
    double m_done = 0;
    if (call.unit_flag) touched = claim(issue, call, m_done);

    const bool atomic = call.atomic != Atomic::None;
    if (call.to == Space::GM) core.launch.reach(issue.start());
    uint8_t *l0c = issue.computes() ? core.memory(Space::L0C) : nullptr;
    if (issue.checks() || issue.computes()) {
        for (uint32_t matrix = 0; matrix < call.matrices; ++matrix) {
            const uint64_t source = call.source + matrix * call.source_matrix, target = call.target + matrix * call.target_matrix;
            if (issue.checks())
                for (uint32_t j = 0; j < panels; ++j) {
                    const uint32_t part = call.n - j * 16 < 16 ? call.n - j * 16 : 16;
                    if (part == 16)
                        issue.read(Space::L0C, source + j * panel, call.m * 64ull);
                    else
                        for (uint32_t r = 0; r < call.m; ++r) issue.read(Space::L0C, source + j * panel + r * 64, part * 4);
                }
            if (call.rows) {
                for (uint32_t r = 0; r < call.m; ++r) {
                    uint8_t *to = issue.write_gm(target + r * call.target_stride, call.n * static_cast<uint64_t>(size), atomic);
                    if (!l0c || !to) continue;
                    for (uint32_t j = 0; j < panels; ++j) {
                        const uint32_t part = call.n - j * 16 < 16 ? call.n - j * 16 : 16;
                        const uint8_t *from = l0c + source + j * panel + r * 64;
                        if (!atomic && !call.integers)
                            store_row(call, to + j * 16 * size, from, part);
                        else
                            for (uint32_t x = 0; x < part; ++x) store(call, to + (j * 16 + x) * size, from + x * 4);
                    }
                }
                continue;
            }
            for (uint32_t b = 0; b < blocks; ++b) {
                const uint64_t place = target + b * call.target_stride;
                uint8_t *to = nullptr;
                if (call.to == Space::GM) {
                    to = issue.write_gm(place, block_bytes, atomic);
                } else {
                    issue.write(Space::L1, place, block_bytes);
                    if (l0c) to = core.memory(Space::L1) + place;
                }
                if (!l0c || !to) continue;
                for (uint32_t r = 0; r < call.m; ++r)
                    for (uint32_t x = 0; x < width; ++x) {
                        const uint32_t c = b * width + x;
                        store(call, to + (r * width + x) * size, l0c + source + c / 16 * panel + r * 64 + c % 16 * 4);
                    }
            }
        }
    } else if (call.to == Space::GM) {
        const uint64_t extent = call.rows ? (call.m - 1) * call.target_stride + call.n * static_cast<uint64_t>(size)
                                          : (blocks - 1) * call.target_stride + block_bytes;
        core.launch.at(issue, call.target, (call.matrices - 1) * call.target_matrix + extent);
    }

    const double begin = issue.start();
    Cost cost;
    if (call.to == Space::L1)
        cost = cost::fix_to_l1(blocks * block_bytes);
    else
        for (uint32_t matrix = 0; matrix < call.matrices; ++matrix) {
            const uint64_t target = call.target + matrix * call.target_matrix;
            const Burst burst = call.rows ? Burst{target, call.n * static_cast<uint64_t>(size), call.m, call.target_stride}
                                          : Burst{target, block_bytes, blocks, call.target_stride};
            const Cost one = core.launch.traffic.move(true, begin + cost.occupancy, burst, true, call.keep);
            cost.occupancy += one.occupancy;
            cost.latency = one.latency;
        }
    // It cannot end before the cube has: the rest of the last block follows it.
    if (m_done > begin + cost.occupancy) cost.occupancy = m_done - begin;
    issue.take(cost);
    if (call.unit_flag) {
        UnitFlag::Handed given;
        given.what = touched;
        if (issue.checks()) {
            given.seen = pipe.seen;
            given.seen.done(Pipe::FIX, issue.number());
        }
        given.early = begin + cost.occupancy / 4;
        given.done = begin + cost.occupancy;
        UnitFlag::add(core.cube.unit.drained, core.cube.unit.draineds, given);
    }
}

} // namespace twin
