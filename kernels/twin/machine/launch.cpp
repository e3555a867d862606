#include "launch.h"

#include <algorithm>

namespace twin {

namespace {
/// A core may run ahead of others by this many cycles before it gives way.
constexpr double SLACK = 200;
/// Thrown out of the first run of a kernel, which only asks for its type.
struct Declared {};
/// Thrown into the programs of cores that do not go on, so that they free what they hold.
struct Stopped {};
} // namespace

struct Launch::Task {
    Task(Core &core, const std::function<void()> &program) : core(core), program(program), fiber(&Launch::run_one, this) {}

    Core &core;
    const std::function<void()> &program;
    Fiber fiber;
    bool begun = false, asleep = false;
    Sleep why{};
};

Launch::Launch(std::string kernel, const Chip &chip, uint32_t blocks, Modes modes, std::vector<Range> ranges,
               std::vector<uint64_t> pointers, Trace *trace)
    : kernel(std::move(kernel)), chip(chip), blocks(blocks), modes(modes), trace(trace), traffic(chip),
      ranges_(std::move(ranges)), pointers_(std::move(pointers)), cross_latency_(chip.cycles(cost::CROSS_CORE))
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

/// Runs the kernel on a core that checks nothing but that the type comes first.
void Launch::ask_type(const std::function<void()> &program)
{
    Core probe(*this, {false, true}, Kind::Vector, 0, 0, 0);
    running = &probe;
    try {
        program();
    } catch (const Declared &) {
    } catch (...) {
        running = nullptr;
        throw;
    }
    running = nullptr;
    if (!declared_)
        throw Fault(kernel + ": the kernel does not begin with KERNEL_TASK_TYPE_DEFAULT, which says which cores run it");
}

void Launch::make_cores()
{
    const uint32_t vectors = type_ == TaskType::MixAic12 ? 2 : has_vectors() ? 1 : 0;
    const uint32_t have = has_cubes() ? chip.cube_cores : 2 * chip.cube_cores;
    if (blocks == 0 || blocks > have)
        throw Fault(text("%s: the launch has %u blocks, and a %s has %u %s cores; give each core more work instead", kernel.c_str(),
                         blocks, chip.name, have, has_cubes() ? "cube" : "vector"));
    threads_ = blocks * (has_cubes() + vectors) * PIPES;
    const auto add = [&](Kind kind, uint32_t block, uint32_t sub) {
        const uint32_t index = cores_.size();
        if (block == groups_.size()) groups_.push_back({index, 0});
        ++groups_[block].count;
        cores_.push_back(std::make_unique<Core>(*this, modes, kind, index, block, sub));
    };
    for (uint32_t block = 0; block < blocks; ++block) {
        if (has_cubes()) add(Kind::Cube, block, 0);
        for (uint32_t sub = 0; sub < vectors; ++sub) {
            // Without cubes, two blocks share an AI core.
            if (has_cubes())
                add(Kind::Vector, block, sub);
            else
                add(Kind::Vector, block / 2, block % 2);
        }
    }
}

void Launch::run_one(void *argument)
{
    Task &task = *static_cast<Task *>(argument);
    Launch &launch = task.core.launch;
    try {
        task.program();
        task.core.finish();
    } catch (const Stopped &) {
    } catch (...) {
        if (!launch.failure_) launch.failure_ = std::current_exception();
    }
}

void Launch::run_all(const std::function<void()> &program)
{
    for (const auto &core : cores_) {
        core->now = (has_cubes() ? core->block : core->index) * chip.cycles(cost::BLOCK_START);
        tasks_.push_back(std::make_unique<Task>(*core, program));
        agenda_.push(core->now, core->index);
    }
    const auto go_on = [this](Task &task) {
        current_ = &task;
        running = &task.core;
        task.begun = true;
        task.fiber.resume();
        running = nullptr;
        current_ = nullptr;
    };
    while (!failure_ && !agenda_.empty()) {
        Task &task = *tasks_[agenda_.pop()];
        horizon_ = agenda_.time() + SLACK;
        go_on(task);
    }
    try {
        if (failure_) std::rethrow_exception(failure_);
        look_for_stuck();
        look_for_counts();
    } catch (...) {
        stopping_ = true;
        for (const auto &task : tasks_)
            while (task->begun && !task->fiber.ended()) go_on(*task);
        throw;
    }
}

Outcome Launch::run(const std::function<void()> &program)
{
    ask_type(program);
    make_cores();
    run_all(program);
    Outcome outcome;
    for (const auto &core : cores_) {
        Outcome::Busy busy{core->kind, core->block, core->sub, core->now, core->conflicts, {}, {}};
        for (int i = 0; i < PIPES; ++i) {
            busy.busy[i] = core->pipes[i].busy;
            busy.instructions[i] = core->pipes[i].number;
        }
        outcome.cycles = std::max(outcome.cycles, core->now);
        outcome.cores.push_back(busy);
    }
    outcome.cycles += chip.cycles(has_cubes() && has_vectors() ? cost::LAUNCH_MIX : cost::LAUNCH);
    outcome.traffic = traffic.totals();
    return outcome;
}

void Launch::give_way(double time)
{
    if (!current_ || stopping_) return;
    agenda_.push(time, current_->core.index);
    current_->fiber.give_way();
    if (stopping_) throw Stopped();
}

void Launch::sleep(const Sleep &why)
{
    Task &task = *current_;
    task.asleep = true;
    task.why = why;
    task.fiber.give_way();
    if (stopping_) throw Stopped();
}

void Launch::wake(uint32_t index, double time)
{
    Task &task = *tasks_[index];
    task.asleep = false;
    time = std::max(time, task.core.now);
    agenda_.push(time, index);
    horizon_ = std::min(horizon_, time + SLACK);
}

bool Launch::asleep(uint32_t core, int id) const { return tasks_[core]->asleep && tasks_[core]->why.id == id; }

void Launch::look_for_stuck() const
{
    constexpr size_t SHOWN = 3;
    size_t stuck = 0;
    std::string waits;
    for (const auto &task : tasks_) {
        if (!task->asleep || ++stuck > SHOWN) continue;
        const Core &core = task->core;
        const int id = task->why.id;
        waits += (waits.empty() ? "" : ", ") + core.name() + " waits for " + task->why.what;
        if (id >= 0) waits += text(" %d", id);
        waits += " at " + text(task->why.site.where);
        for (uint32_t i = 0; id >= 0 && i < groups_[core.block].count; ++i) {
            const Core &other = *cores_[groups_[core.block].first + i];
            if (!other.sets[2][id].empty() && other.kind != core.kind)
                waits += text(" (only %s has set it, and both vector cores must)", other.name().c_str());
        }
    }
    if (!stuck) return;
    if (stuck > SHOWN) waits += text(", and %zu more cores wait", stuck - SHOWN);
    const size_t ended = tasks_.size() - stuck;
    throw Fault(kernel + ": no core can go on: " + waits +
                (ended ? text("; %zu of the %zu cores ended before", ended, tasks_.size()) : "; what they wait for comes after their waits"));
}

void Launch::look_for_counts() const
{
    for (const auto &core : cores_)
        for (int id = 0; id < CROSS_FLAGS; ++id) {
            if (!core->counts[id].empty())
                throw Fault(text("%s: %s raised flag %d of %s and nothing waits for it: the next kernel would find it raised by %u; add "
                                 "CrossCoreWaitFlag(%d)",
                                 kernel.c_str(), text(core->counts[id].front().site).c_str(), id, core->name().c_str(),
                                 core->counts[id].size(), id));
            for (const auto &sets : core->sets)
                if (!sets[id].empty())
                    core->fault(sets[id].front().site,
                                text("sets cross-core flag %d, and not all cores that must set it with this one do", id));
        }
}

uint8_t *Launch::at(const Issue &issue, uint64_t address, uint64_t bytes)
{
    if (!last_ || address < last_->address || address >= last_->address + last_->bytes) {
        const auto range = std::upper_bound(ranges_.begin(), ranges_.end(), address,
                                            [](uint64_t address, const Range &range) { return address < range.address; });
        if (range == ranges_.begin() || address >= (range - 1)->address + (range - 1)->bytes)
            issue.fault("touches " + place(address) + ", which is in no allocation");
        last_ = &*(range - 1);
    }
    const uint64_t offset = address - last_->address;
    if (bytes > last_->bytes - offset)
        issue.fault(text("touches %llu bytes from %s, and only %llu are allocated there", static_cast<unsigned long long>(bytes),
                         place(address).c_str(), static_cast<unsigned long long>(last_->bytes - offset)));
    return last_->host ? last_->host + offset : nullptr;
}

std::string Launch::place(uint64_t address) const
{
    // The argument below the address that is nearest to it.
    size_t nearest = pointers_.size();
    for (size_t i = 0; i < pointers_.size(); ++i)
        if (pointers_[i] && pointers_[i] <= address && (nearest == pointers_.size() || pointers_[i] > pointers_[nearest])) nearest = i;
    if (nearest < pointers_.size())
        return text("byte %llu of argument %zu", static_cast<unsigned long long>(address - pointers_[nearest]), nearest + 1);
    return text("global memory at 0x%llx", static_cast<unsigned long long>(address));
}

} // namespace twin
