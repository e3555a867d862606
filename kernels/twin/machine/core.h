/// One core: its memories, its pipes and their clocks, and the instructions that a kernel gives it.
///
/// A kernel runs as the scalar unit's program. Each call of an instruction makes an `Issue`, which checks limits, takes its
/// place in its pipe's virtual time, looks for races and then computes, all at once: since the order of the program is one of the
/// orders that flags allow, a kernel without races computes what hardware does.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "chip.h"
#include "cost.h"
#include "report.h"
#include "shadow.h"

namespace twin {

class Launch;

enum class Kind : uint8_t { Cube, Vector };

/// What a launch is asked to do.
struct Modes {
    bool compute = true;  ///< move and compute data; without, memory has no contents
    bool check = true;    ///< races and reads of what nobody wrote
    bool time = true;     ///< keep virtual time
};

/// An instruction, for messages.
struct Site {
    const char *api;
    Where where;
};

/// A flag between two pipes, or a count of a cross-core flag.
struct Signal {
    double time = 0;   ///< in cycles
    Clock seen;
    Site site{};
};

/// One in-order unit.
struct PipeState {
    double next = 0;    ///< when the next instruction may start
    double done = 0;    ///< when all given ones are done
    double ready = 0;   ///< what flags make the next one wait for
    double busy = 0;    ///< sum of occupancy
    uint32_t number = 0;  ///< of the last instruction
    uint32_t joined = 0;  ///< which of the scalar unit's waits the clock knows of
    std::array<double, 32> starts{};  ///< of the last 32: the depth of the queue
    Clock seen;
    std::vector<Site> sites;  ///< of all instructions, in checking mode
};

constexpr int FLAGS = 8;    ///< ids of one event
constexpr int CROSS_FLAGS = 16;

class Core {
public:
    Core(Launch &launch, Kind kind, uint32_t index, uint32_t block, uint32_t sub);

    Launch &launch;
    const Modes modes;
    const Kind kind;
    const uint32_t index;  ///< among all cores of the launch
    const uint32_t block;  ///< AI core
    const uint32_t sub;    ///< which of the two vector cores of an AI core

    double now = 0;        ///< virtual time of the scalar unit, in cycles
    uint32_t waits = 0;    ///< how often the scalar unit has waited for others
    std::array<PipeState, PIPES> pipes;

    PipeState &pipe(Pipe pipe) { return pipes[static_cast<int>(pipe)]; }
    uint32_t base() const { return index * PIPES; }

    /// The bytes of a memory; null where data is not computed.
    uint8_t *memory(Space space) { return memories_[static_cast<int>(space)].get(); }
    Shadow &shadow(Space space) { return *shadows_[static_cast<int>(space)]; }

    // Flags within the core.
    void set_flag(Pipe from, Pipe to, int id, Where where);
    void wait_flag(Pipe from, Pipe to, int id, Where where);
    void barrier(Pipe pipe, Where where);
    void barrier_all(Where where);
    /// Faults if a flag is still set.
    void finish();

    // Flags between cores; counts arrive by `Launch`.
    void wait_cross(int id, Where where);
    std::array<std::vector<Signal>, CROSS_FLAGS> counts;

    /// The scalar unit waits until `signal`.
    void scalar_waits(const Signal &signal);
    /// What is known when the last instruction of a pipe is done.
    Signal signal(Pipe pipe, Site site);

    /// `AIV 3 (core 1)`.
    std::string name() const;
    [[noreturn]] void fault(Site site, const std::string &problem) const;

    // State that instructions leave for later ones.
    struct Registers {
        uint64_t mask[2] = {~0ull, ~0ull};
        bool counting = false;  ///< the mask is a number of elements
        int atomic = 0;         ///< 0 none, else an API enum: how stores combine
        int atomic_type = 0;
        uint16_t fmap_h = 0, fmap_w = 0;
        uint8_t fmap_pad[4] = {};
        uint64_t fmap_fill = 0;
        bool hf32 = false;
    } registers;

private:
    std::unique_ptr<uint8_t[]> memories_[LOCAL_SPACES];
    std::unique_ptr<Shadow> shadows_[LOCAL_SPACES];
    struct Flag {
        bool set = false;
        Signal signal;
    };
    Flag flags_[PIPES][PIPES][FLAGS];
};

/// The core whose program runs.
extern thread_local Core *running;
inline Core &core() { return *running; }

/// One instruction. The order of use: construct, check limits, `read` and `write` what it touches, `take` its time.
class Issue {
public:
    Issue(Pipe pipe, const char *api, Where where);

    Core &core;
    const Pipe pipe;
    const Site site;

    bool checks() const { return core.modes.check; }
    bool computes() const { return core.modes.compute; }

    [[noreturn]] void fault(const std::string &problem) const { core.fault(site, problem); }
    /// `what` must lie in `[low, high]`.
    void limit(const char *what, int64_t value, int64_t low, int64_t high) const
    {
        if (value < low || value > high) out_of(what, value, low, high);
    }
    /// `what` must be a multiple of `unit`.
    void multiple(const char *what, uint64_t value, uint64_t unit) const
    {
        if (value % unit) not_multiple(what, value, unit);
    }
    /// The instruction exists on cores of this kind only.
    void only_on(Kind kind) const
    {
        if (core.kind != kind) wrong_core(kind);
    }

    /// Bytes of a core's memory that the instruction reads; faults outside of it. `needs_data`: that nobody wrote them is a
    /// fault, not just without meaning.
    void read(Space space, uint64_t start, uint64_t bytes, bool needs_data = true);
    void write(Space space, uint64_t start, uint64_t bytes);
    /// Only the bounds. In timing mode this is all that is done, so give whole extents.
    void within(Space space, uint64_t start, uint64_t bytes) const
    {
        const bool has = (space == Space::UB) == (core.kind == Kind::Vector);
        if (!has || start + bytes > bytes_of(space)) outside(space, start, bytes);
    }
    /// Global memory. They give the host's place of the bytes, null where data is not computed.
    const uint8_t *read_gm(uint64_t address, uint64_t bytes);
    uint8_t *write_gm(uint64_t address, uint64_t bytes, bool atomic = false);

    /// Takes a place in the pipe. `cost.occupancy` keeps the pipe busy; the result is there `cost.latency` later.
    void take(const Cost &cost);
    /// When the instruction starts if it is taken now.
    double start() const;

private:
    uint32_t number_;
    [[noreturn]] void out_of(const char *what, int64_t value, int64_t low, int64_t high) const;
    [[noreturn]] void not_multiple(const char *what, uint64_t value, uint64_t unit) const;
    [[noreturn]] void wrong_core(Kind kind) const;
    [[noreturn]] void outside(Space space, uint64_t start, uint64_t bytes) const;
    [[noreturn]] void conflict(Space space, const Conflict &conflict, bool writes) const;
    friend class GlobalShadow;
};

} // namespace twin
