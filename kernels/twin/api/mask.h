/// The mask register, for instructions that are called with isSetMask = false.
#pragma once

#include "../machine/lanes.h"
#include "params.h"

namespace AscendC {

/// The lanes by bits, the high ones first; of a counting register `maskLow` is the number of elements.
template <typename T, MaskMode mode = MaskMode::NORMAL>
inline void SetVectorMask(const uint64_t maskHigh, const uint64_t maskLow, twin::Where where = twin::Where::here())
{
    twin::Issue issue(twin::Pipe::S, "SetVectorMask", where);
    if (mode == MaskMode::COUNTER && !issue.core.registers.counting) issue.fault("counts elements, and SetMaskCount() was not called");
    issue.core.registers.mask[0] = maskLow;
    issue.core.registers.mask[1] = maskHigh;
    issue.take({0, 0});
}

/// The first `len` lanes; of a counting register the number of elements.
template <typename T, MaskMode mode = MaskMode::NORMAL> inline void SetVectorMask(const int64_t len, twin::Where where = twin::Where::here())
{
    if (mode == MaskMode::COUNTER) return SetVectorMask<T, mode>(0, static_cast<uint64_t>(len), where);
    twin::Issue issue(twin::Pipe::S, "SetVectorMask", where);
    issue.limit("the mask", len, 0, static_cast<int64_t>(256 / sizeof(T)));
    const auto bits = [](int64_t count) { return count >= 64 ? ~0ull : count <= 0 ? 0ull : (1ull << count) - 1; };
    issue.core.registers.mask[0] = bits(len);
    issue.core.registers.mask[1] = bits(len - 64);
    issue.take({0, 0});
}

/// All lanes.
inline void ResetMask(twin::Where where = twin::Where::here())
{
    twin::Issue issue(twin::Pipe::S, "ResetMask", where);
    issue.core.registers.mask[0] = issue.core.registers.mask[1] = ~0ull;
    issue.take({0, 0});
}

/// From now on the register is a number of elements, and instructions take as many repeats as those need.
inline void SetMaskCount(twin::Where where = twin::Where::here())
{
    twin::Issue issue(twin::Pipe::S, "SetMaskCount", where);
    issue.core.registers.counting = true;
    issue.take({0, 0});
}

/// From now on the register is bits.
inline void SetMaskNorm(twin::Where where = twin::Where::here())
{
    twin::Issue issue(twin::Pipe::S, "SetMaskNorm", where);
    issue.core.registers.counting = false;
    issue.take({0, 0});
}

} // namespace AscendC
