/// What is known of the bytes of memories: which were written, and by which instructions they were touched last.
///
/// Order is known by vector clocks. An instruction has a number on its pipe; each pipe has a clock that holds, for every
/// pipe of every core, up to which number instructions are known to be done before its next one starts. Flags,
/// barriers and cross-core flags join clocks. Two accesses to the same bytes, one of them a write, race if the later one's
/// clock does not hold the earlier one's number. What is kept is exact to the byte, so that two halves of a buffer that take turns
/// are never taken for one.
#pragma once

#include <vector>

#include "chip.h"
#include "runs.h"

namespace twin {

/// Numbers of instructions by `core * PIPES + pipe`.
using Clock = std::vector<uint32_t>;

inline void join(Clock &into, const Clock &other)
{
    for (size_t i = 0; i < other.size(); ++i)
        if (into[i] < other[i]) into[i] = other[i];
}

/// An instruction that touches memory: its pipe among all pipes, its number there, and what is done before it.
struct Toucher {
    uint32_t thread;  ///< core * PIPES + pipe
    uint32_t number;
    const Clock &clock;

    Pipe pipe() const { return static_cast<Pipe>(thread % PIPES); }
    uint32_t base() const { return thread - thread % PIPES; }
};

/// The earlier of two instructions that race.
struct Conflict {
    enum Kind : uint8_t { None, NeverWritten, Freed, ReadAfterWrite, WriteAfterWrite, WriteAfterRead } kind = None;
    uint32_t thread = 0;
    uint32_t number = 0;
    uint64_t byte = 0;  ///< the first byte
};

/// Must a write be ordered after an earlier write of the same pipe to the same bytes, and in the vector unit a read too? The vector
/// unit does not interlock; loads and stores of one pipe may overtake each other where their destinations overlap.
inline bool orders_itself(Pipe pipe) { return pipe != Pipe::V && pipe != Pipe::MTE2 && pipe != Pipe::MTE3; }

/// One memory of one core.
class Shadow {
public:
    /// Looks at a read of `[start, start + bytes)` and keeps it. `needs_data`: that nobody wrote them is a conflict.
    Conflict read(const Toucher &, uint32_t start, uint32_t bytes, bool needs_data);
    Conflict write(const Toucher &, uint32_t start, uint32_t bytes);

    /// The bytes hold nothing from now on: a buffer was freed.
    void forget(uint32_t start, uint32_t bytes);
    /// Are all of these bytes written?
    bool holds(uint32_t start, uint32_t bytes);

private:
    struct History {
        enum : uint8_t { Never, Written, Freed } state = Never;
        Pipe writer = Pipe::S;
        uint32_t write = 0;           ///< number of the last write; 0: none
        uint32_t reads[PIPES] = {};   ///< numbers of the last reads since

        bool operator==(const History &other) const
        {
            bool equal = state == other.state && writer == other.writer && write == other.write;
            for (int i = 0; i < PIPES; ++i) equal &= reads[i] == other.reads[i];
            return equal;
        }
    };
    Runs<History> runs_;
};

/// Accesses to global memory by all cores.
class GlobalShadow {
public:
    Conflict read(const Toucher &, uint64_t address, uint64_t bytes);
    Conflict write(const Toucher &, uint64_t address, uint64_t bytes, bool atomic);

private:
    struct Access {
        uint32_t thread, number;
        bool operator==(const Access &other) const { return thread == other.thread && number == other.number; }
    };
    struct History {
        std::vector<Access> writes;  ///< one, or several that add up
        std::vector<Access> reads;   ///< since, the last of each pipe
        bool atomic = false;
        bool operator==(const History &other) const
        {
            return writes == other.writes && reads == other.reads && atomic == other.atomic;
        }
    };
    Runs<History> runs_;
};

} // namespace twin
