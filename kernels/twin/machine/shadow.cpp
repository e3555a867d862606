#include "shadow.h"

#include <algorithm>

namespace twin {

/// `f(block, mask)` for every block that `[start, start + bytes)` touches, until it says stop.
template <class F> void Shadow::each(uint32_t start, uint32_t bytes, F f)
{
    for (const uint32_t end = start + bytes; start < end;) {
        const uint32_t first = start % 32, count = std::min(32 - first, end - start);
        if (!f(start / 32, bits(first, count))) return;
        start += count;
    }
}

Conflict Shadow::read(Pipe pipe, uint32_t base, const Clock &clock, uint32_t number, uint32_t start, uint32_t bytes,
                      bool needs_data)
{
    Conflict found;
    each(start, bytes, [&](uint32_t index, uint32_t mask) {
        Block &block = blocks_[index];
        if (needs_data && (block.written & mask) != mask) {
            const uint32_t missing = mask & ~block.written;
            found = {Conflict::Uninitialised, 0, 0, index * 32ull + __builtin_ctz(missing)};
            return false;
        }
        for (int q = 0; q < PIPES; ++q) {
            const Access &write = block.write[q];
            const bool same = q == static_cast<int>(pipe);
            if (!(write.mask & mask) || (same && orders_itself(pipe))) continue;
            if (write.number > clock[base + q]) {
                found = {Conflict::ReadAfterWrite, base + q, write.number, index * 32ull + __builtin_ctz(write.mask & mask)};
                return false;
            }
        }
        Access &read = block.read[static_cast<int>(pipe)];
        read.number = number;
        read.mask |= mask;
        return true;
    });
    return found;
}

Conflict Shadow::write(Pipe pipe, uint32_t base, const Clock &clock, uint32_t number, uint32_t start, uint32_t bytes)
{
    Conflict found;
    each(start, bytes, [&](uint32_t index, uint32_t mask) {
        Block &block = blocks_[index];
        for (int q = 0; q < PIPES; ++q) {
            const bool same = q == static_cast<int>(pipe);
            Access &write = block.write[q], &read = block.read[q];
            // A pipe reads its operands in order: only its writes can be late.
            if ((write.mask & mask) && !(same && orders_itself(pipe)) && write.number > clock[base + q]) {
                found = {Conflict::WriteAfterWrite, base + q, write.number, index * 32ull + __builtin_ctz(write.mask & mask)};
                return false;
            }
            if ((read.mask & mask) && !same && read.number > clock[base + q]) {
                found = {Conflict::WriteAfterRead, base + q, read.number, index * 32ull + __builtin_ctz(read.mask & mask)};
                return false;
            }
        }
        // What is ordered after this write is ordered after all that came before it.
        for (int q = 0; q < PIPES; ++q) {
            block.write[q].mask &= ~mask;
            block.read[q].mask &= ~mask;
        }
        Access &write = block.write[static_cast<int>(pipe)];
        write.number = number;
        write.mask |= mask;
        block.written |= mask;
        return true;
    });
    return found;
}

void Shadow::forget(uint32_t start, uint32_t bytes)
{
    each(start, bytes, [&](uint32_t index, uint32_t mask) {
        blocks_[index].written &= ~mask;
        return true;
    });
}

bool Shadow::holds(uint32_t start, uint32_t bytes) const
{
    bool all = true;
    each(start, bytes, [&](uint32_t index, uint32_t mask) { return all = (blocks_[index].written & mask) == mask; });
    return all;
}

} // namespace twin
