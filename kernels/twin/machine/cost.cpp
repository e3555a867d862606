#include "cost.h"

namespace twin::cost {

namespace {
/// Cycles per repeat, and cycles from the first repeat until the next instruction may start after a barrier.
struct Speed {
    double repeat, interval;
};

/// MSP vec_cycle_*, 910B1. Where MSP has none: Reciprocal as Sqrt, PairReduce as BlockReduce, Index as Duplicate; Gather reads one
/// element per cycle and GatherBlock one block, since each needs a bank of its own; Transpose moves two blocks per cycle.
constexpr Speed SPEEDS[static_cast<int>(Vector::Count)] = {
    {1, 17},                                                  // Simple
    {2, 26}, {4, 24}, {2, 26}, {2, 25}, {4, 25}, {8, 25}, {2, 25},  // Exp, ExpHalf, Ln, Sqrt, Div, DivHalf, Reciprocal
    {2, 22},                                                  // MulAdd
    {1, 16}, {2, 18},                                         // Cast, Widen
    {2, 22}, {2, 22},                                         // Compare, Select
    {1, 13}, {1, 13}, {1, 13},                                // Duplicate, Copy, Index
    {1, 18},                                                  // Brcb
    {1, 24}, {1, 24}, {7, 34}, {7, 21},                       // BlockReduce, PairReduce, WholeSum, WholeMax
    {64, 80}, {8, 24}, {14, 30},                              // Gather, GatherBlock, GatherMask
    {8, 15},                                                  // Transpose
};

constexpr uint32_t GROUPS = 16, BLOCK = 32, BLOCKS = 8;

/// How many of a repeat's eight blocks the busiest of the 16 bank groups holds: one block per cycle leaves each (DEV).
double blocks_per_group(const Operand &operand)
{
    uint32_t stride = operand.block_stride % (2 * GROUPS);
    if (operand.block_stride == 0) return 1;  // one block, read once
    uint32_t common = 1;
    while (common < GROUPS && stride % (2 * common) == 0) common *= 2;
    const uint32_t groups = GROUPS / common;
    return groups >= BLOCKS ? 1.0 : static_cast<double>(BLOCKS) / groups;
}

/// Do two sources need a bank group in the same cycle? Eight blocks in a row take half of the groups, so only sources whose
/// addresses differ by 256 modulo 512 do not.
bool overlap(const Operand &a, const Operand &b)
{
    if (a.block_stride != 1 || b.block_stride != 1) return true;
    const uint32_t apart = (a.start / BLOCK - b.start / BLOCK) % GROUPS;
    return apart != BLOCKS;
}

Cost spent(Vector kind, uint32_t repeats, double factor, double extra)
{
    const Speed &speed = SPEEDS[static_cast<int>(kind)];
    const double repeat = speed.repeat > factor + extra ? speed.repeat : factor + extra;
    return {repeats * repeat, speed.interval - speed.repeat, repeats * (repeat - speed.repeat)};
}
} // namespace

Cost vector(Vector kind, uint32_t repeats) { return spent(kind, repeats, 1, 0); }

Cost vector(Vector kind, uint32_t repeats, Operand destination, Operand source)
{
    const double a = blocks_per_group(destination), b = blocks_per_group(source);
    return spent(kind, repeats, a > b ? a : b, 0);
}

Cost vector(Vector kind, uint32_t repeats, Operand destination, Operand source0, Operand source1)
{
    const double a = blocks_per_group(destination), b = blocks_per_group(source0), c = blocks_per_group(source1);
    const double sources = b > c ? b : c;
    return spent(kind, repeats, a > sources ? a : sources, overlap(source0, source1) ? 1 : 0);
}

Cost mmad(uint32_t m, uint32_t n, uint32_t k, uint32_t bytes, bool hf32)
{
    // A cycle multiplies 16x16x16 of two bytes, 16x32x16 of one, and 16x8x16 of HF32; f32 takes two (MSP, DEV).
    const uint32_t depth = BLOCK / bytes;
    const double blocks = static_cast<double>((m + 15) / 16) * ((n + 15) / 16) * ((k + depth - 1) / depth);
    // PMU: eight Mmads of 128x256x64 take 4209 to 4225 cycles, 4096 of them multiply.
    return {blocks * (bytes == 4 && !hf32 ? 2 : 1) + 10, 20};
}

namespace {
/// Bytes per cycle out of L1 (DEV): 256 into L0A, 128 into L0B.
double into(Space to) { return to == Space::L0A ? 256 : 128; }
} // namespace

Cost load_fractals(Space to, uint32_t fractals) { return {8 + fractals * 512.0 / into(to), 30}; }

// PMU: 432 cycles for 16 KiB into L0A and 32 KiB into L0B by one instruction each, of which 320 move.
Cost load_image(Space to, uint64_t bytes) { return {50 + bytes / into(to), 30}; }

Cost fill(Space to, uint64_t bytes) { return {10 + bytes / into(to), 30}; }

Cost load_table(uint64_t bytes) { return {10 + bytes / 128.0, 30}; }

// INI: 256 bytes of f32 leave L0C per cycle, 128 of 16 bits.
Cost fix_to_l1(uint64_t bytes) { return {20 + bytes / 128.0, 30}; }

} // namespace twin::cost
