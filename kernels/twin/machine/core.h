/// One core: its memories, its pipes and their clocks, and its flags.
///
/// A kernel runs as the scalar unit's program. Each call of an instruction makes an `Issue` (issue.h), which checks limits, takes its
/// place in its pipe's virtual time, looks for races and then computes, all at once: since the order of the program is one of the
/// orders that flags allow, a kernel without races computes what hardware does.
#pragma once

#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "chip.h"
#include "cost.h"
#include "cube.h"
#include "report.h"
#include "shadow.h"

namespace twin {

class Launch;
class Trace;

enum class Kind : uint8_t { Cube, Vector };

/// What a launch is asked to do, beside keeping virtual time.
struct Modes {
    bool compute = true;  ///< move and compute data; without, memory has no contents
    bool check = true;    ///< races and reads of what nobody wrote
};

/// When something is done, and in checking mode what is done before it, for pipes of the same core.
struct Signal {
    double time = 0;  ///< in cycles
    Site site{};
    Clock seen;
};

/// The same for other cores.
struct CrossSignal {
    double time = 0;
    Site site{};
    Numbers seen;
};

/// A count of a cross-core flag, with the signals that raised it. Hardware's counters have four bits.
class Counter {
public:
    static constexpr uint32_t MOST = 15;

    bool empty() const { return size_ == 0; }
    bool full() const { return size_ == MOST; }
    uint32_t size() const { return size_; }
    const CrossSignal &front() const { return ring_[first_]; }
    void push(const CrossSignal &signal)
    {
        if (ring_.empty()) ring_.resize(MOST);
        ring_[(first_ + size_++) % MOST] = signal;
    }
    void pop()
    {
        first_ = (first_ + 1) % MOST;
        --size_;
    }

private:
    std::vector<CrossSignal> ring_;
    uint32_t first_ = 0, size_ = 0;
};

/// One in-order unit.
struct PipeState {
    double next = 0;      ///< when the next instruction may start
    double done = 0;      ///< when all given ones are done
    double ready = 0;     ///< what flags make the next one wait for
    double busy = 0;      ///< sum of occupancy
    uint32_t number = 0;  ///< of the last instruction
    uint32_t joined = 0;  ///< which of the scalar unit's waits the clock knows of
    std::array<double, 32> starts{};  ///< of the last 32: the depth of the queue
    // In checking mode:
    Clock seen;
    std::vector<uint32_t> sites;  ///< of all instructions, by `Launch::sites`
};

constexpr int FLAGS = 8;  ///< ids of one event
constexpr int CROSS_FLAGS = 16;
constexpr int CROSS_MODES = 3;

class Core {
public:
    Core(Launch &launch, Modes modes, Kind kind, uint32_t index, uint32_t block, uint32_t sub);

    Launch &launch;
    Trace *const trace;  ///< null where nothing is kept
    const Modes modes;
    const Kind kind;
    const uint32_t index;  ///< among all cores of the launch
    const uint32_t block;  ///< AI core
    const uint32_t sub;    ///< which of the two vector cores of an AI core

    double now = 0;      ///< virtual time of the scalar unit, in cycles
    double conflicts = 0;  ///< cycles of V for operands in the same banks
    uint32_t waits = 0;  ///< how often the scalar unit has waited for others
    uint32_t polls = 0;  ///< how often it has met others by polling
    std::array<PipeState, PIPES> pipes;

    PipeState &pipe(Pipe pipe) { return pipes[static_cast<int>(pipe)]; }
    uint32_t base() const { return index * PIPES; }

    /// The bytes of a memory; null where data is not computed.
    uint8_t *memory(Space space) { return memories_[static_cast<int>(space)].get(); }
    /// In checking mode, of a memory that this core has.
    Shadow &shadow(Space space) { return *shadows_[static_cast<int>(space)]; }

    // Flags within the core.
    void set_flag(Pipe from, Pipe to, int id, Where where);
    void wait_flag(Pipe from, Pipe to, int id, Where where);
    void barrier(Pipe pipe, Where where);
    void barrier_all(Where where);

    // Flags between cores; see `Launch::cross`.
    void wait_cross(int id, Where where);
    Counter counts[CROSS_FLAGS];                ///< what waits may take
    Counter sets[CROSS_MODES][CROSS_FLAGS];     ///< by this core, until those are there that set with it

    /// Faults if the kernel leaves flags or registers as the next one must not find them.
    void finish();

    /// The scalar unit waits until `signal`.
    template <class S> void scalar_waits(const S &signal)
    {
        now = std::max(now, signal.time);
        ++waits;
        if (modes.check) pipe(Pipe::S).seen.join(signal.seen);
    }
    /// The scalar unit's own accesses are done: later instructions of all pipes come after them.
    void scalar_settles();
    /// Makes `signal` what is known when the last instruction of a pipe is done.
    void mark(Signal &signal, Pipe pipe, Site site);
    /// The same for other cores.
    CrossSignal cross_signal(Pipe pipe, Site site);

    /// `AIV 1 of core 3`.
    std::string name() const;
    [[noreturn]] void fault(Site site, const std::string &problem) const;

    // State that instructions leave for later ones.
    struct Registers {
        uint64_t mask[2] = {~0ull, ~0ull};
        bool counting = false;  ///< the mask is a number of elements
        int atomic = 0;         ///< 0 none, else an API enum: how stores combine
        int atomic_type = 0;
        void *pipe = nullptr;  ///< the TPipe that lives
    } registers;
    CubeState cube;

private:
    std::unique_ptr<uint8_t[]> memories_[LOCAL_SPACES];
    std::unique_ptr<Shadow> shadows_[LOCAL_SPACES];
    struct Flag {
        bool set = false;
        Signal signal;
    };
    Flag flags_[PIPES][PIPES][FLAGS];

    bool ignores(Pipe from, Pipe to, Site site) const;
    void note(Signal &signal, Pipe pipe);
    Site last(const char *api) const;
    [[noreturn]] void bad_id(Site site, int id, int ids) const;
    [[noreturn]] void set_again(Pipe from, Pipe to, int id, Site site) const;
    [[noreturn]] void not_set(Pipe from, Pipe to, int id, Site site) const;
    [[noreturn]] void no_event(Pipe from, Pipe to, Site site) const;
};

/// The core whose program runs.
extern thread_local Core *running __attribute__((tls_model("initial-exec")));
inline Core &core() { return *running; }

/// Events with the vector unit do nothing on cube cores, as in AscendC; events with the cube's units do not exist on vector cores.
inline bool Core::ignores(Pipe from, Pipe to, Site site) const
{
    constexpr uint32_t VECTOR_CORE = 1u << static_cast<int>(Pipe::S) | 1u << static_cast<int>(Pipe::V) |
                                     1u << static_cast<int>(Pipe::MTE2) | 1u << static_cast<int>(Pipe::MTE3);
    const uint32_t both = 1u << static_cast<int>(from) | 1u << static_cast<int>(to);
    const bool vector_event = !(both & ~VECTOR_CORE);
    if (kind == Kind::Vector) {
        if (!vector_event) no_event(from, to, site);
        return false;
    }
    if (!(both & 1u << static_cast<int>(Pipe::V))) return false;
    if (!vector_event) no_event(from, to, site);
    return true;
}

inline void Core::mark(Signal &signal, Pipe from, Site site)
{
    const PipeState &state = pipe(from);
    signal.time = from == Pipe::S ? now : std::max({now, state.done, state.ready});
    signal.site = site;
    if (modes.check) note(signal, from);
}

inline void Core::set_flag(Pipe from, Pipe to, int id, Where where)
{
    const Site site{"SetFlag", where};
    now += cost::ISSUE;
    if (static_cast<unsigned>(id) >= FLAGS) bad_id(site, id, FLAGS);
    if (ignores(from, to, site)) return;
    Flag &flag = flags_[static_cast<int>(from)][static_cast<int>(to)][id];
    if (flag.set) set_again(from, to, id, site);
    flag.set = true;
    mark(flag.signal, from, site);
}

inline void Core::wait_flag(Pipe from, Pipe to, int id, Where where)
{
    const Site site{"WaitFlag", where};
    now += cost::ISSUE;
    if (static_cast<unsigned>(id) >= FLAGS) bad_id(site, id, FLAGS);
    if (ignores(from, to, site)) return;
    Flag &flag = flags_[static_cast<int>(from)][static_cast<int>(to)][id];
    if (!flag.set) not_set(from, to, id, site);
    flag.set = false;
    if (to == Pipe::S) return scalar_waits(flag.signal);
    PipeState &state = pipe(to);
    state.ready = std::max(state.ready, flag.signal.time);
    if (modes.check) state.seen.join(flag.signal.seen);
}

} // namespace twin
