/// What is known of the bytes of memories: which were written, and by which instructions they were touched last.
///
/// Order is known by vector clocks. An instruction has a number on its pipe; each pipe has a clock that holds, for every
/// pipe of every core, up to which number instructions are known to be done before its next one starts. Flags,
/// barriers and cross-core flags join clocks. Two accesses to the same bytes, one of them a write, race if the later one's
/// clock does not hold the earlier one's number. What is kept is exact to the byte, so that two halves of a buffer that take turns
/// are never taken for one.
#pragma once

#include <memory>
#include <vector>

#include "chip.h"
#include "runs.h"

namespace twin {

/// Numbers of instructions of all pipes, by `core * PIPES + pipe`.
using Numbers = std::vector<uint32_t>;

inline void join(Numbers &into, const Numbers &other)
{
    if (into.size() < other.size()) into.resize(other.size());
    for (size_t i = 0; i < other.size(); ++i) into[i] = into[i] < other[i] ? other[i] : into[i];
}

/// Up to which instruction of each pipe things are done, as a pipe of one core knows it. What a core knows of others comes to it by its
/// scalar unit alone, in one order, so that its pipes share these numbers.
class Clock {
public:
    Clock() = default;
    /// `base`: the first pipe of the core.
    explicit Clock(uint32_t base) : base_(base) {}

    uint32_t operator[](uint32_t thread) const
    {
        const uint32_t near = thread - base_;
        return near < PIPES ? near_[near] : far_ ? far_->numbers[thread] : 0;
    }
    /// Instructions of a pipe of the same core are done.
    void done(Pipe pipe, uint32_t number)
    {
        uint32_t &known = near_[static_cast<int>(pipe)];
        known = known < number ? number : known;
    }
    void join(const Clock &same_core)
    {
        for (int i = 0; i < PIPES; ++i) near_[i] = near_[i] < same_core.near_[i] ? same_core.near_[i] : near_[i];
        if (same_core.far_ && (!far_ || far_->version < same_core.far_->version)) far_ = same_core.far_;
    }
    /// What other cores told.
    void join(const Numbers &others)
    {
        auto far = std::make_shared<Far>();
        if (far_) *far = *far_;
        ++far->version;
        twin::join(far->numbers, others);
        for (int i = 0; i < PIPES; ++i) near_[i] = near_[i] < others[base_ + i] ? others[base_ + i] : near_[i];
        far_ = std::move(far);
    }
    /// All that is known, among `threads` pipes.
    Numbers numbers(uint32_t threads) const
    {
        Numbers all = far_ ? far_->numbers : Numbers(threads);
        for (int i = 0; i < PIPES; ++i) all[base_ + i] = near_[i];
        return all;
    }

private:
    struct Far {
        uint32_t version = 0;
        Numbers numbers;
    };
    uint32_t base_ = 0;
    uint32_t near_[PIPES] = {};
    std::shared_ptr<const Far> far_;
};

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
