/// One launch of a kernel: its cores as fibers in virtual time, global memory, and flags between cores.
///
/// The core whose virtual time is least runs, until it waits for another core or its next access to global memory lies later than
/// another core's time. So what cores share is used in the order of virtual time, and every run of a launch is the same.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "core.h"
#include "trace.h"
#include "traffic.h"

namespace twin {

/// An allocation of the device.
struct Range {
    uint64_t address;
    uint64_t bytes;
    uint8_t *host;  ///< null: has no contents (timing)
};

/// Which cores a kernel runs on: `KERNEL_TASK_TYPE_DEFAULT`.
enum class TaskType : uint8_t { AivOnly, AicOnly, MixAiv10, MixAic10, MixAic11, MixAic12 };

/// Accesses to global memory by all cores.
class GlobalShadow {
public:
    Conflict read(const Core &, Pipe, const Clock &, uint32_t number, uint64_t address, uint64_t bytes);
    Conflict write(const Core &, Pipe, const Clock &, uint32_t number, uint64_t address, uint64_t bytes, bool atomic);

private:
    struct Access {
        uint32_t thread, number, mask;
    };
    struct Block {
        std::vector<Access> writes, reads;
        bool atomic = false;
    };
    struct Page {
        Block blocks[128];
    };
    std::unordered_map<uint64_t, std::unique_ptr<Page>> pages_;
    uint64_t last_ = ~0ull;
    Page *page_ = nullptr;
    Block &block(uint64_t index);
    template <class F> Conflict each(uint64_t address, uint64_t bytes, F f);
};

/// What is known after a launch.
struct Outcome {
    double cycles = 0;  ///< of the slowest core
    struct Busy {
        Kind kind;
        uint32_t block, sub;
        double end;
        double busy[PIPES];
        uint64_t instructions[PIPES];
    };
    std::vector<Busy> cores;
    Traffic::Totals traffic;
};

class Launch {
public:
    /// `ranges` are sorted by address.
    Launch(std::string kernel, const Chip &chip, uint32_t blocks, Modes modes, std::vector<Range> ranges, Trace *trace);
    ~Launch();

    /// Runs the kernel on all cores. Throws `Fault`.
    Outcome run(const std::function<void()> &kernel);

    const std::string kernel;
    const Chip &chip;
    const uint32_t blocks;
    const Modes modes;
    Trace *const trace;
    Traffic traffic;
    GlobalShadow global;

    uint32_t threads() const { return threads_; }
    const Core &core(uint32_t index) const { return *cores_[index]; }
    TaskType type() const { return type_; }
    /// What a core's program sees as its block.
    uint32_t block_index(const Core &core) const
    {
        const bool cubes = type_ != TaskType::AivOnly && type_ != TaskType::MixAiv10;
        if (!cubes) return core.index;
        return type_ == TaskType::MixAic12 && core.kind == Kind::Vector ? 2 * core.block + core.sub : core.block;
    }
    /// What `KERNEL_TASK_TYPE_DEFAULT` says; the first core to say it decides which cores there are.
    void declare(TaskType type, Where where);

    /// The host's place of global bytes; faults outside of every allocation.
    uint8_t *at(const Issue &issue, uint64_t address, uint64_t bytes);
    /// An address for people: `argument 2 + 0x100` or the address.
    std::string place(uint64_t address) const;

    /// Stops the running core until `ready` holds.
    void wait(const std::function<bool()> &ready, std::string what, Site site);
    /// Lets cores run first that are behind `time`.
    void reach(double time);
    /// Sets a cross-core flag: `mode` 0 all cores of a kind, 1 the two vector cores of a core, 2 between a cube core and its two.
    void cross(int mode, Pipe pipe, int id, Where where);
    /// All cores (`vector_only`: all vector cores) meet.
    void meet(bool vector_only, Where where);

private:
    struct Fiber;
    std::vector<std::unique_ptr<Core>> cores_;
    std::vector<std::unique_ptr<Fiber>> fibers_;
    std::vector<Range> ranges_;
    const Range *last_ = nullptr;
    uint32_t threads_ = 0;
    TaskType type_ = TaskType::AivOnly;
    bool declared_ = false;
    Fiber *current_ = nullptr;
    double horizon_ = 0;
    std::exception_ptr failure_;
    /// Sets of a cross-core flag that wait for those of the other setters.
    struct Pending {
        std::vector<std::vector<Signal>> sets;  ///< by core
    };
    std::map<std::tuple<int, int, int, uint32_t>, Pending> pending_;
    struct Meeting {
        size_t arrived = 0;
        uint64_t round = 0;
        Signal signal, ended;
    } meeting_;
    double cross_latency_ = 0;  ///< cycles from a set to the wait that it ends

    void make_cores();
    void give_way();
    Fiber *next();
    static void enter(uint32_t low, uint32_t high);
};

} // namespace twin
