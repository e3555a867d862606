/// Which elements a vector instruction works on, and where its operands lie.
///
/// A vector instruction runs over repeats of 256 bytes (of its widest operand), each of eight blocks of 32 bytes. The lanes of a
/// repeat are its elements; a mask switches them on.
#pragma once

#include "issue.h"

namespace twin {

/// What a call says of its lanes.
struct Choice {
    enum Kind : uint8_t {
        First,     ///< the first `mask` lanes of each repeat
        Bits,      ///< the lanes whose bits are set
        Register,  ///< as the mask register says, which the program has set
        Count,     ///< so many elements in a row, from the first; leaves the mask register full
    } kind;
    uint64_t mask[2];
    int64_t repeats;

    static Choice first(bool sets, uint64_t mask, int64_t repeats) { return {sets ? First : Register, {mask, 0}, repeats}; }
    static Choice bits(bool sets, const uint64_t mask[], int64_t repeats)
    {
        return {sets ? Bits : Register, {sets ? mask[0] : 0, sets ? mask[1] : 0}, repeats};
    }
    static Choice count(int64_t elements) { return {Count, {0, 0}, elements}; }
};

struct Lanes {
    uint32_t width = 0;    ///< lanes of a repeat: 128, 64, ...
    uint32_t repeats = 0;  ///< 0: the instruction does nothing
    uint64_t bits[2] = {}; ///< of every repeat but the last
    uint64_t last[2] = {}; ///< of the last
    uint32_t prefix = 0;   ///< the bits are those of the first lanes; 0: they are not
    uint32_t tail = 0;     ///< same for the last

    /// Elements if they are all in a row, else 0.
    uint64_t run() const { return repeats && (repeats == 1 || prefix == width) ? (repeats - 1) * uint64_t(width) + tail : 0; }
    const uint64_t *of(uint32_t repeat) const { return repeat + 1 == repeats ? last : bits; }
    uint32_t first(uint32_t repeat) const { return repeat + 1 == repeats ? tail : prefix; }
    /// One more than the highest lane of any repeat.
    uint32_t top() const;
};

/// Evaluates a call's choice, with its limits, and sets the mask register as hardware does.
Lanes lanes(const Issue &issue, uint32_t width, const Choice &choice);

/// Where an operand's lanes lie in UB. Strides are in bytes.
struct Operand {
    uint32_t start, size;    ///< size: of an element
    uint32_t block, repeat;  ///< from block to block, from repeat to repeat
    const char *name;

    uint32_t at(uint32_t repeat_index, uint32_t lane) const
    {
        return start + repeat_index * repeat + lane * size / 32 * block + lane * size % 32;
    }
    bool linear() const { return block == 32; }
    bool flat(uint32_t width) const { return block == 32 && repeat == width * size; }
    /// Bytes from the start to the end of the last lane.
    uint32_t extent(const Lanes &lanes) const;
};

/// Calls `f(repeat, lane, count)` for runs of lanes that are on and that lie in a row in each of the operands.
template <class F> inline void each_run(const Lanes &lanes, bool flat, bool linear, uint32_t lanes_of_block, F f)
{
    if (const uint64_t run = flat ? lanes.run() : 0) return f(0u, 0u, static_cast<uint32_t>(run));
    for (uint32_t repeat = 0; repeat < lanes.repeats; ++repeat) {
        if (const uint32_t first = linear ? lanes.first(repeat) : 0) {
            f(repeat, 0u, first);
            continue;
        }
        const uint64_t *bits = lanes.of(repeat);
        const uint64_t all = lanes_of_block == 64 ? ~0ull : (1ull << lanes_of_block) - 1;
        for (uint32_t lane = 0; lane < lanes.width; lane += lanes_of_block) {
            const uint64_t on = bits[lane / 64] >> lane % 64 & all;
            if (on == all) {
                f(repeat, lane, lanes_of_block);
                continue;
            }
            for (uint64_t rest = on; rest; rest &= rest - 1) f(repeat, lane + __builtin_ctzll(rest), 1u);
        }
    }
}

/// The checks of what an instruction reads and writes. `updates`: it reads its destination as well. `accumulates`: a
/// destination that stays where it is from repeat to repeat may be a source.
void touch(Issue &issue, const Lanes &lanes, const Operand &to, const Operand *from, int count, bool updates, bool accumulates);

/// Do two sources collide in the banks of UB? They do if they are congruent modulo 512, and a block that is read again and
/// again does in part. Source: the documentation on bank conflicts of NPU architecture 2201.
inline bool collide(const Operand &a, const Operand &b)
{
    return (a.start ^ b.start) % 512 / 32 == 0 || a.block == 0 || b.block == 0;
}

} // namespace twin
