/// One launch of a kernel: its cores as fibers in virtual time, global memory, and flags between cores.
///
/// The core whose virtual time is least runs, until it waits for another core or its next access to global memory lies later than
/// another core's time. So what cores share is used in the order of virtual time, and every run of a launch is the same.
#pragma once

#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "agenda.h"
#include "fiber.h"
#include "issue.h"
#include "scalar_cache.h"
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

/// What is known after a launch.
struct Outcome {
    double cycles = 0;  ///< from the launch until its slowest core is done
    struct Busy {
        Kind kind;
        uint32_t block, sub;
        double end;
        double conflicts;  ///< cycles of V for operands in the same banks
        double busy[PIPES];
        uint64_t instructions[PIPES];
    };
    std::vector<Busy> cores;
    Traffic::Totals traffic;
};

/// Why a core stands still.
struct Sleep {
    const char *what;
    int id;  ///< of a cross-core flag; -1: something else
    Site site;
};

class Launch {
public:
    /// `ranges` are sorted by address; `pointers` are the kernel's arguments that are addresses, 0 for the others.
    Launch(std::string kernel, const Chip &chip, uint32_t blocks, Modes modes, std::vector<Range> ranges,
           std::vector<uint64_t> pointers, Trace *trace);
    ~Launch();

    /// Runs the kernel on all cores. Throws `Fault`.
    Outcome run(const std::function<void()> &kernel);

    const std::string kernel;
    const Chip &chip;
    const uint32_t blocks;
    const Modes modes;
    Trace *const trace;
    Traffic traffic;
    // In checking mode:
    GlobalShadow global;
    ScalarCaches caches;
    Sites sites;

    uint32_t threads() const { return threads_; }
    const Core &core(uint32_t index) const { return *cores_[index]; }
    TaskType type() const { return type_; }
    bool has_cubes() const { return type_ != TaskType::AivOnly && type_ != TaskType::MixAiv10; }
    bool has_vectors() const { return type_ != TaskType::AicOnly && type_ != TaskType::MixAic10; }
    /// What a core's program sees as its block.
    uint32_t block_index(const Core &core) const
    {
        if (!has_cubes()) return core.index;
        return type_ == TaskType::MixAic12 && core.kind == Kind::Vector ? 2 * core.block + core.sub : core.block;
    }
    /// What `KERNEL_TASK_TYPE_DEFAULT` says; the first core to say it decides which cores there are.
    void declare(TaskType type, Where where);
    bool declared() const { return declared_; }

    /// The host's place of global bytes; faults outside of every allocation.
    uint8_t *at(const Issue &issue, uint64_t address, uint64_t bytes);
    /// An address for people: `byte 256 of argument 2`.
    std::string place(uint64_t address) const;

    /// Stops the running core until another wakes it.
    void sleep(const Sleep &why);
    /// Lets cores run first that are behind `time`.
    void reach(double time)
    {
        if (time > horizon_) give_way(time);
    }
    /// Sets a cross-core flag: `mode` 0 all cores of a kind, 1 the two vector cores of a core, 2 between a cube core and its two.
    void cross(int mode, Pipe pipe, int id, Where where);
    /// All cores (`vector_only`: all vector cores) meet.
    void meet(bool vector_only, Where where);
    /// Vector cores meet by polling 32 bytes of `workspace` for each; `used` of them, 0 for all. `ub` is memory to do so.
    void meet_by_polling(bool vector_only, uint64_t workspace, uint64_t ub, uint32_t used, Where where);

private:
    struct Task;
    struct Group {
        uint32_t first, count;
    };
    std::vector<std::unique_ptr<Core>> cores_;
    std::vector<Group> groups_;  ///< the cores of an AI core
    std::vector<std::unique_ptr<Task>> tasks_;
    Agenda agenda_;
    Task *current_ = nullptr;
    double horizon_ = std::numeric_limits<double>::infinity();
    bool stopping_ = false;
    std::exception_ptr failure_;

    std::vector<Range> ranges_;
    std::vector<uint64_t> pointers_;
    const Range *last_ = nullptr;
    uint32_t threads_ = 0;
    TaskType type_ = TaskType::AivOnly;
    bool declared_ = false;

    /// Cores that arrive until all are there.
    struct Meeting {
        std::vector<uint32_t> here;
        CrossSignal all;
    } meetings_[3];
    const double cross_latency_;  ///< cycles from the set of a cross-core flag to the wait that it ends
    bool met_ = false;            ///< SyncAll was used
    Site taken_{};                ///< who set one of its flags

    void ask_type(const std::function<void()> &program);
    void make_cores();
    void run_all(const std::function<void()> &program);
    static void run_one(void *task);
    void give_way(double time);
    void wake(uint32_t core, double time);
    void look_for_stuck() const;
    void look_for_counts() const;
    bool asleep(uint32_t core, int id) const;
    void join_meeting(Meeting &meeting, size_t members, double latency, Site site);
    void keep_ids_apart(Site site) const;
};

} // namespace twin
