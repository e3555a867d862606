#include "lanes.h"

#include <algorithm>
#include <bitset>

namespace twin {

namespace {
constexpr uint32_t BLOCKS = bytes_of(Space::UB) / 32;

/// The first `count` of up to 128 bits.
void first_bits(uint32_t count, uint64_t bits[2])
{
    bits[0] = count >= 64 ? ~0ull : (1ull << count) - 1;
    bits[1] = count <= 64 ? 0 : count >= 128 ? ~0ull : (1ull << (count - 64)) - 1;
}

/// How many bits from the first are set, if those are all.
uint32_t prefix_of(const uint64_t bits[2], uint32_t width)
{
    uint32_t count = ~bits[0] ? __builtin_ctzll(~bits[0]) : 64;
    if (count == 64 && width > 64) count += ~bits[1] ? __builtin_ctzll(~bits[1]) : 64;
    count = std::min(count, width);
    uint64_t same[2];
    first_bits(count, same);
    return same[0] == bits[0] && same[1] == bits[1] ? count : 0;
}
} // namespace

uint32_t Lanes::top() const
{
    if (prefix || tail) return std::max(repeats > 1 ? prefix : 0, tail);
    return bits[1] ? 128 - __builtin_clzll(bits[1]) : bits[0] ? 64 - __builtin_clzll(bits[0]) : 0;
}

Lanes lanes(const Issue &issue, uint32_t width, const Choice &choice)
{
    Lanes lanes;
    lanes.width = width;
    auto &registers = issue.core.registers;
    const auto count = [&](uint64_t elements) {
        issue.limit("the number of elements", static_cast<int64_t>(elements), 0, bytes_of(Space::UB));
        lanes.repeats = static_cast<uint32_t>((elements + width - 1) / width);
        lanes.prefix = width;
        lanes.tail = lanes.repeats ? static_cast<uint32_t>(elements - (lanes.repeats - 1) * uint64_t(width)) : 0;
        first_bits(width, lanes.bits);
        first_bits(lanes.tail, lanes.last);
    };
    if (choice.kind == Choice::Count) {
        count(static_cast<uint64_t>(choice.repeats));
        registers.mask[0] = registers.mask[1] = ~0ull;
        registers.counting = false;
        return lanes;
    }
    if (choice.kind == Choice::Register && registers.counting) {
        count(registers.mask[0]);
        return lanes;
    }
    issue.limit("the number of repeats", choice.repeats, 0, 255);
    if (registers.counting)
        issue.fault("is given a mask while the mask register counts elements (SetMaskCount): hardware would take its bits for a "
                    "number; call SetMaskNorm() first, or the form with isSetMask = false");
    lanes.repeats = static_cast<uint32_t>(choice.repeats);
    if (choice.kind == Choice::First) {
        issue.limit("the mask", static_cast<int64_t>(choice.mask[0]), 1, width);
        lanes.prefix = static_cast<uint32_t>(choice.mask[0]);
        first_bits(lanes.prefix, lanes.bits);
        registers.mask[0] = lanes.bits[0];
        // Hardware's own filling of the register for a whole repeat.
        registers.mask[1] = lanes.prefix == width && width != 64 ? ~0ull : lanes.bits[1];
    } else {
        const uint64_t *mask = choice.kind == Choice::Bits ? choice.mask : registers.mask;
        uint64_t whole[2];
        first_bits(width, whole);
        if (choice.kind == Choice::Bits) {
            if ((mask[0] & ~whole[0]) || (mask[1] & ~whole[1]))
                issue.fault(text("the mask has bits beyond the %u lanes of a repeat: mask[0] is 0x%llx, mask[1] is 0x%llx", width,
                                 static_cast<unsigned long long>(mask[0]), static_cast<unsigned long long>(mask[1])));
            if (!mask[0] && !mask[1]) issue.fault("the mask has no bits");
            registers.mask[0] = mask[0];
            registers.mask[1] = mask[1];
        }
        lanes.bits[0] = mask[0] & whole[0];
        lanes.bits[1] = mask[1] & whole[1];
        lanes.prefix = prefix_of(lanes.bits, width);
    }
    lanes.last[0] = lanes.bits[0];
    lanes.last[1] = lanes.bits[1];
    lanes.tail = lanes.prefix;
    return lanes;
}

uint32_t Operand::extent(const Lanes &lanes) const
{
    if (!lanes.repeats) return 0;
    const uint32_t top = lanes.top();
    if (!top) return 0;
    // The last repeat may be shorter than the others.
    const uint32_t end = lanes.first(lanes.repeats - 1) ? lanes.tail : top;
    const auto reach = [&](uint32_t lane) {
        const uint32_t block_index = lane * size / 32;
        return block_index * block + (block ? lane * size % 32 + size : std::min<uint32_t>(32, (lane + 1) * size));
    };
    const uint32_t whole = reach(top - 1), last = reach(end - 1);
    return std::max(lanes.repeats > 1 ? (lanes.repeats - 2) * repeat + whole : 0, (lanes.repeats - 1) * repeat + last);
}

namespace {
/// `f(start, bytes)` for the runs of bytes of an operand; of a destination that stays in place only once.
template <class F> void each_bytes(const Lanes &lanes, const Operand &operand, bool once, F f)
{
    Lanes seen = lanes;
    if (once && operand.repeat == 0 && lanes.repeats > 1) {
        // Of counting lanes the last repeat is the shorter one.
        seen.repeats = 1;
        seen.last[0] = lanes.bits[0];
        seen.last[1] = lanes.bits[1];
        seen.tail = lanes.prefix;
    }
    each_run(seen, operand.flat(lanes.width), operand.linear(), 32 / operand.size,
             [&](uint32_t repeat, uint32_t lane, uint32_t count) { f(repeat, operand.at(repeat, lane), count * operand.size); });
}

/// Within a repeat two operands may be the same, not overlap in part; what a repeat writes no later one may read.
void overlap(const Issue &issue, const Lanes &lanes, const Operand &to, const Operand &from, bool accumulates)
{
    const uint32_t to_end = to.start + to.extent(lanes), from_end = from.start + from.extent(lanes);
    if (to.start >= from_end || from.start >= to_end) return;
    const bool same_place = to.start == from.start && to.size == from.size && to.block == from.block;
    if (same_place && to.repeat == from.repeat && (to.repeat || lanes.repeats == 1 || accumulates)) return;
    // By which repeat a block is written first.
    uint16_t written[BLOCKS];
    std::bitset<BLOCKS> marked;
    each_bytes(lanes, to, false, [&](uint32_t repeat, uint32_t start, uint32_t bytes) {
        for (uint32_t block = start / 32; block <= (start + bytes - 1) / 32; ++block) {
            // A run may be of many repeats.
            const uint32_t offset = block * 32 > start ? block * 32 - start : 0;
            if (marked[block]) continue;
            marked.set(block);
            written[block] = static_cast<uint16_t>(repeat + (bytes > lanes.width * to.size ? offset / (lanes.width * to.size) : 0));
        }
    });
    each_bytes(lanes, from, false, [&](uint32_t repeat, uint32_t start, uint32_t bytes) {
        for (uint32_t block = start / 32; block <= (start + bytes - 1) / 32; ++block) {
            if (!marked[block]) continue;
            const uint32_t offset = block * 32 > start ? block * 32 - start : 0;
            const uint32_t reads = repeat + (bytes > lanes.width * from.size ? offset / (lanes.width * from.size) : 0);
            const uint32_t writes = written[block];
            // A cast reads the whole repeat before it writes.
            if (reads < writes || (reads == writes && (same_place || to.size != from.size))) continue;
            issue.fault(text("%s overlaps %s: byte %u of UB is written by repeat %u and read by repeat %u; operands may be the same "
                             "within a repeat, but not shifted, and no repeat may read what an earlier one writes",
                             to.name, from.name, block * 32, writes, reads));
        }
    });
}
} // namespace

namespace {
/// `f(start, bytes)` for all bytes of an operand, in as few pieces as they have; of a destination that stays in place only once.
template <class F> void each_piece(const Lanes &lanes, const Operand &operand, bool once, F f)
{
    const bool stays = once && operand.repeat == 0;
    const uint32_t row = operand.size * lanes.prefix;
    if (lanes.prefix && lanes.tail == lanes.prefix && !stays) {
        // One block that all of a repeat reads, or rows without gaps.
        const uint32_t bytes = operand.block == 0 ? std::min<uint32_t>(32, row) : operand.linear() || row <= 32 ? row : 0;
        if (bytes && (bytes == operand.repeat || lanes.repeats == 1)) return f(operand.start, lanes.repeats * bytes);
        if (bytes) {
            for (uint32_t repeat = 0; repeat < lanes.repeats; ++repeat) f(operand.start + repeat * operand.repeat, bytes);
            return;
        }
    }
    each_bytes(lanes, operand, once, [&](uint32_t, uint32_t start, uint32_t bytes) { f(start, bytes); });
}
} // namespace

void touch(Issue &issue, const Lanes &lanes, const Operand &to, const Operand *from, int count, bool updates, bool accumulates)
{
    if (!lanes.repeats) return;
    const auto bound = [&](const Operand &operand) { issue.within(Space::UB, operand.start, operand.extent(lanes)); };
    bound(to);
    for (int i = 0; i < count; ++i) bound(from[i]);
    if (lanes.top() > 32 / to.size && to.block == 0)
        issue.fault(text("the block stride of %s is 0: the blocks of a repeat would be written over each other", to.name));
    if (!issue.checks()) return;
    for (int i = 0; i < count; ++i) overlap(issue, lanes, to, from[i], accumulates);
    for (int i = 0; i < count; ++i)
        each_piece(lanes, from[i], false, [&](uint32_t start, uint32_t bytes) { issue.read(Space::UB, start, bytes); });
    if (updates) each_piece(lanes, to, true, [&](uint32_t start, uint32_t bytes) { issue.read(Space::UB, start, bytes); });
    each_piece(lanes, to, true, [&](uint32_t start, uint32_t bytes) { issue.write(Space::UB, start, bytes); });
}

} // namespace twin
