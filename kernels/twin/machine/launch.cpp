#include "launch.h"

#include <ucontext.h>

#include <algorithm>
#include <limits>

namespace twin {

namespace {
constexpr size_t STACK = 256 * 1024;
/// A core may run ahead of others by this many cycles before it gives way.
constexpr double SLACK = 200;
/// Thrown out of the first run of a kernel, which only asks for its type.
struct Declared {};
} // namespace

struct Launch::Fiber {
    Core *core;
    const std::function<void()> *kernel;
    ucontext_t context{}, back{};
    std::unique_ptr<uint8_t[]> stack;
    double time = 0;
    std::function<bool()> ready;  ///< empty: can run
    std::string what;             ///< it waits for
    Site site{};
    bool done = false;
};

Launch::Launch(std::string kernel, const Chip &chip, uint32_t blocks, Modes modes, std::vector<Range> ranges, Trace *trace)
    : kernel(std::move(kernel)), chip(chip), blocks(blocks), modes(modes), trace(trace),
      traffic(chip, 0, 0), ranges_(std::move(ranges))
{
}

Launch::~Launch() = default;

void Launch::declare(TaskType type, Where where)
{
    if (!declared_) {
        declared_ = true;
        type_ = type;
        throw Declared();
    }
    if (type != type_) throw Fault(kernel + ": KERNEL_TASK_TYPE_DEFAULT at " + text(where) + " names a second type");
}

void Launch::make_cores()
{
    const bool cubes = type_ != TaskType::AivOnly && type_ != TaskType::MixAiv10;
    const uint32_t vectors = type_ == TaskType::AivOnly || type_ == TaskType::MixAiv10 || type_ == TaskType::MixAic11 ? 1
                             : type_ == TaskType::MixAic12                                                           ? 2
                                                                                                                     : 0;
    const uint32_t have = cubes ? chip.cube_cores : 2 * chip.cube_cores;
    if (blocks == 0 || blocks > have)
        throw Fault(text("%s: launched with %u blocks; %s has %u cores of that kind", kernel.c_str(), blocks, chip.name, have));
    threads_ = blocks * (cubes + vectors) * PIPES;
    traffic = Traffic(chip, cubes ? blocks : 0, vectors * blocks);
    for (uint32_t block = 0; block < blocks; ++block) {
        if (cubes) cores_.push_back(std::make_unique<Core>(*this, Kind::Cube, cores_.size(), block, 0));
        for (uint32_t sub = 0; sub < vectors; ++sub) {
            // Without cubes, two blocks share an AI core.
            const uint32_t ai = cubes ? block : block / 2;
            cores_.push_back(std::make_unique<Core>(*this, Kind::Vector, cores_.size(), ai, cubes ? sub : block % 2));
        }
    }
}

void Launch::enter(uint32_t low, uint32_t high)
{
    auto *fiber = reinterpret_cast<Fiber *>(static_cast<uintptr_t>(low) | static_cast<uintptr_t>(high) << 32);
    Launch &launch = fiber->core->launch;
    try {
        (*fiber->kernel)();
        fiber->core->finish();
    } catch (...) {
        if (!launch.failure_) launch.failure_ = std::current_exception();
    }
    fiber->done = true;
    fiber->time = fiber->core->now;
    swapcontext(&fiber->context, &fiber->back);
}

Launch::Fiber *Launch::next()
{
    Fiber *best = nullptr;
    double second = std::numeric_limits<double>::infinity();
    for (const auto &fiber : fibers_) {
        if (fiber->done || (fiber->ready && !fiber->ready())) continue;
        if (!best || fiber->time < best->time) {
            if (best) second = std::min(second, best->time);
            best = fiber.get();
        } else {
            second = std::min(second, fiber->time);
        }
    }
    horizon_ = second + SLACK;
    return best;
}

Outcome Launch::run(const std::function<void()> &program)
{
    {
        Core probe(*this, Kind::Vector, 0, 0, 0);
        running = &probe;
        try {
            program();
            running = nullptr;
            throw Fault(kernel + ": the kernel does not begin with KERNEL_TASK_TYPE_DEFAULT");
        } catch (const Declared &) {
        }
        running = nullptr;
    }
    make_cores();
    for (const auto &core : cores_) {
        auto fiber = std::make_unique<Fiber>();
        fiber->core = core.get();
        fiber->kernel = &program;
        fiber->stack.reset(new uint8_t[STACK]);
        getcontext(&fiber->context);
        fiber->context.uc_stack.ss_sp = fiber->stack.get();
        fiber->context.uc_stack.ss_size = STACK;
        const auto at = reinterpret_cast<uintptr_t>(fiber.get());
        makecontext(&fiber->context, reinterpret_cast<void (*)()>(&Launch::enter), 2, static_cast<uint32_t>(at),
                    static_cast<uint32_t>(static_cast<uint64_t>(at) >> 32));
        fibers_.push_back(std::move(fiber));
    }
    while (!failure_) {
        Fiber *fiber = next();
        if (!fiber) break;
        fiber->ready = nullptr;
        current_ = fiber;
        running = fiber->core;
        swapcontext(&fiber->back, &fiber->context);
        running = nullptr;
        current_ = nullptr;
    }
    if (failure_) std::rethrow_exception(failure_);
    std::string stuck;
    for (const auto &fiber : fibers_)
        if (!fiber->done)
            stuck += text("\n  %s waits for %s (%s at %s)", fiber->core->name().c_str(), fiber->what.c_str(), fiber->site.api,
                          text(fiber->site.where).c_str());
    if (!stuck.empty()) throw Fault(kernel + ": the cores wait for each other and none can go on:" + stuck);

    Outcome outcome;
    for (const auto &core : cores_) {
        Outcome::Busy busy{core->kind, core->block, core->sub, core->now, {}, {}};
        for (int i = 0; i < PIPES; ++i) {
            busy.busy[i] = core->pipes[i].busy;
            busy.instructions[i] = core->pipes[i].number;
        }
        outcome.cycles = std::max(outcome.cycles, core->now);
        outcome.cores.push_back(busy);
    }
    outcome.traffic = traffic.totals();
    return outcome;
}

void Launch::give_way()
{
    Fiber *fiber = current_;
    swapcontext(&fiber->context, &fiber->back);
}

void Launch::wait(const std::function<bool()> &ready, std::string what, Site site)
{
    if (ready()) return;
    current_->time = current_->core->now;
    current_->ready = ready;
    current_->what = std::move(what);
    current_->site = site;
    give_way();
}

void Launch::reach(double time)
{
    if (time <= horizon_ || !current_) return;
    current_->time = time;
    give_way();
}

uint8_t *Launch::at(const Issue &issue, uint64_t address, uint64_t bytes)
{
    if (!last_ || address < last_->address || address >= last_->address + last_->bytes) {
        auto range = std::upper_bound(ranges_.begin(), ranges_.end(), address,
                                      [](uint64_t address, const Range &range) { return address < range.address; });
        if (range == ranges_.begin() || address >= (range - 1)->address + (range - 1)->bytes)
            issue.fault(text("touches global memory at 0x%llx, which is in no allocation",
                             static_cast<unsigned long long>(address)));
        last_ = &*(range - 1);
    }
    const uint64_t offset = address - last_->address;
    if (bytes > last_->bytes - offset)
        issue.fault(text("touches %llu bytes of global memory from byte %llu of an allocation of %llu",
                         static_cast<unsigned long long>(bytes), static_cast<unsigned long long>(offset),
                         static_cast<unsigned long long>(last_->bytes)));
    return last_->host ? last_->host + offset : nullptr;
}

std::string Launch::place(uint64_t address) const
{
    for (const Range &range : ranges_)
        if (address >= range.address && address < range.address + range.bytes)
            return text("byte %llu of the allocation at 0x%llx", static_cast<unsigned long long>(address - range.address),
                        static_cast<unsigned long long>(range.address));
    return text("global memory at 0x%llx", static_cast<unsigned long long>(address));
}

void Launch::cross(int mode, Pipe pipe, int id, Where where)
{
    Core &from = twin::core();
    const Site site{"CrossCoreSetFlag", where};
    from.now += 5;
    if (id < 0 || id >= CROSS_FLAGS) from.fault(site, text("flag id %d is not in 0..15", id));
    if (mode < 0 || mode > 2) from.fault(site, text("mode %d is not 0, 1 or 2", mode));
    if (type_ == TaskType::AivOnly || type_ == TaskType::AicOnly)
        from.fault(site, "a kernel of type AIV_ONLY or AIC_ONLY has no cross-core flags; declare a MIX type");
    // Who sets together, and who gets a count.
    std::vector<Core *> setters, getters;
    for (const auto &core : cores_) {
        const bool mine = core->block == from.block;
        const bool sets = mode == 0 ? core->kind == from.kind : mine && core->kind == from.kind;
        const bool gets = mode == 2 ? mine && core->kind != from.kind : sets;
        if (sets) setters.push_back(core.get());
        if (gets) getters.push_back(core.get());
    }
    Signal signal = from.signal(pipe, site);
    signal.time += cross_latency_;
    auto &queue = pending_[{mode, id, static_cast<int>(from.kind), mode == 0 ? 0u : from.block}];
    queue.sets.resize(cores_.size());
    queue.sets[from.index].push_back(signal);
    for (const Core *setter : setters)
        if (queue.sets[setter->index].empty()) return;
    Signal all = queue.sets[setters[0]->index].front();
    for (const Core *setter : setters) {
        auto &sets = queue.sets[setter->index];
        all.time = std::max(all.time, sets.front().time);
        if (modes.check) join(all.seen, sets.front().seen);
        sets.erase(sets.begin());
    }
    for (Core *getter : getters) {
        getter->counts[id].push_back(all);
        if (getter->counts[id].size() > 15)
            from.fault(site, text("flag %d has more than 15 counts on %s: the counter of hardware ends there", id,
                                  getter->name().c_str()));
    }
}

void Launch::meet(bool vector_only, Where where)
{
    Core &core = twin::core();
    const Site site{"SyncAll", where};
    if (type_ == TaskType::AivOnly || type_ == TaskType::AicOnly)
        core.fault(site, "hangs in a kernel of type AIV_ONLY or AIC_ONLY; declare MIX_AIV_1_0");
    if (vector_only && core.kind == Kind::Cube) core.fault(site, "SyncAll<true> is for vector cores; a mixed kernel needs SyncAll<false>");
    core.barrier_all(where);
    size_t members = 0;
    for (const auto &other : cores_) members += !vector_only || other->kind == Kind::Vector;
    if (meeting_.arrived == 0) meeting_.signal = Signal{0, Clock(modes.check ? threads_ : 0), site};
    const Signal mine = core.signal(Pipe::S, site);
    meeting_.signal.time = std::max(meeting_.signal.time, mine.time);
    if (modes.check) join(meeting_.signal.seen, mine.seen);
    const uint64_t round = meeting_.round;
    if (++meeting_.arrived == members) {
        meeting_.ended = meeting_.signal;
        meeting_.ended.time += cross_latency_;
        meeting_.arrived = 0;
        ++meeting_.round;
    } else {
        wait([this, round] { return meeting_.round > round; }, "the other cores at SyncAll", site);
    }
    core.scalar_waits(meeting_.ended);
}

template <class F> Conflict GlobalShadow::each(uint64_t address, uint64_t bytes, F f)
{
    for (const uint64_t end = address + bytes; address < end;) {
        const uint32_t first = address % 32, count = std::min<uint64_t>(32 - first, end - address);
        const Conflict found = f(block(address / 32), bits(first, count), address - first);
        if (found.kind != Conflict::None) return found;
        address += count;
    }
    return {};
}

GlobalShadow::Block &GlobalShadow::block(uint64_t index)
{
    if (index / 128 != last_) {
        auto &page = pages_[index / 128];
        if (!page) page = std::make_unique<Page>();
        last_ = index / 128;
        page_ = page.get();
    }
    return page_->blocks[index % 128];
}

Conflict GlobalShadow::read(const Core &core, Pipe pipe, const Clock &clock, uint32_t number, uint64_t address, uint64_t bytes)
{
    const uint32_t thread = core.base() + static_cast<int>(pipe);
    return each(address, bytes, [&](Block &block, uint32_t mask, uint64_t at) -> Conflict {
        for (const Access &write : block.writes)
            if ((write.mask & mask) && write.thread != thread && write.number > clock[write.thread])
                return {Conflict::ReadAfterWrite, write.thread, write.number, at + __builtin_ctz(write.mask & mask)};
        for (Access &read : block.reads)
            if (read.thread == thread) {
                read.number = number;
                read.mask |= mask;
                return {};
            }
        block.reads.push_back({thread, number, mask});
        return {};
    });
}

Conflict GlobalShadow::write(const Core &core, Pipe pipe, const Clock &clock, uint32_t number, uint64_t address, uint64_t bytes,
                             bool atomic)
{
    const uint32_t thread = core.base() + static_cast<int>(pipe);
    return each(address, bytes, [&](Block &block, uint32_t mask, uint64_t at) -> Conflict {
        for (const Access &write : block.writes) {
            if (!(write.mask & mask) || write.number <= clock[write.thread] || (atomic && block.atomic)) continue;
            if (write.thread == thread && orders_itself(pipe)) continue;
            return {Conflict::WriteAfterWrite, write.thread, write.number, at + __builtin_ctz(write.mask & mask)};
        }
        for (const Access &read : block.reads)
            if ((read.mask & mask) && read.thread != thread && read.number > clock[read.thread])
                return {Conflict::WriteAfterRead, read.thread, read.number, at + __builtin_ctz(read.mask & mask)};
        const auto covered = [&](Access &access) { return !(access.mask &= ~mask); };
        if (!atomic) block.writes.erase(std::remove_if(block.writes.begin(), block.writes.end(), covered), block.writes.end());
        block.reads.erase(std::remove_if(block.reads.begin(), block.reads.end(), covered), block.reads.end());
        block.writes.push_back({thread, number, mask});
        block.atomic = atomic;
        return {};
    });
}

} // namespace twin
