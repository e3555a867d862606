/// What is known of the bytes of a core's memory: which were written, and by which instructions they were touched last.
///
/// Order is known by vector clocks. An instruction has a number on its pipe; each pipe has a clock that holds, for every
/// pipe of every core, up to which number instructions are known to be done before its next one starts. Flags,
/// barriers and cross-core flags join clocks. Two accesses to the same bytes, one of them a write, race if the later one's
/// clock does not hold the earlier one's number.
#pragma once

#include <vector>

#include "chip.h"

namespace twin {

/// Numbers of instructions by `core * PIPES + pipe`.
using Clock = std::vector<uint32_t>;

inline void join(Clock &into, const Clock &other)
{
    for (size_t i = 0; i < other.size(); ++i)
        if (into[i] < other[i]) into[i] = other[i];
}

/// The earlier of two instructions that race.
struct Conflict {
    enum Kind : uint8_t { None, Uninitialised, ReadAfterWrite, WriteAfterWrite, WriteAfterRead } kind = None;
    uint32_t thread = 0;  ///< core * PIPES + pipe
    uint32_t number = 0;
    uint64_t byte = 0;    ///< the first byte
};

/// Bytes of one block of 32, as bits.
inline uint32_t bits(uint32_t first, uint32_t count)
{
    return (count >= 32 ? ~0u : (1u << count) - 1) << first;
}

/// Does an access need to be ordered after an earlier one of the same pipe? The vector unit does not interlock; loads and
/// stores of one pipe may overtake each other where their destinations overlap.
inline bool orders_itself(Pipe pipe) { return pipe != Pipe::V && pipe != Pipe::MTE2 && pipe != Pipe::MTE3; }

/// One memory of one core, in blocks of 32 bytes.
class Shadow {
public:
    explicit Shadow(uint32_t bytes) : blocks_(bytes / 32) {}

    /// Looks at a read of `[start, start + bytes)` by instruction `number` of `pipe`, and keeps it. `base` is the thread of
    /// the core's first pipe, `clock` the pipe's.
    Conflict read(Pipe pipe, uint32_t base, const Clock &clock, uint32_t number, uint32_t start, uint32_t bytes,
                  bool needs_data);
    Conflict write(Pipe pipe, uint32_t base, const Clock &clock, uint32_t number, uint32_t start, uint32_t bytes);

    /// The bytes hold nothing from now on: a buffer was freed, or padding was computed from nothing.
    void forget(uint32_t start, uint32_t bytes);
    /// Are all of these bytes written?
    bool holds(uint32_t start, uint32_t bytes) const;

private:
    struct Access {
        uint32_t number = 0, mask = 0;
    };
    struct Block {
        uint32_t written = 0;
        Access write[PIPES], read[PIPES];
    };
    std::vector<Block> blocks_;

    template <class F> static void each(uint32_t start, uint32_t bytes, F f);
};

} // namespace twin
