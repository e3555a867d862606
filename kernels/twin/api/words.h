/// The words that AscendC adds to C++, and how a program asks which core it runs on.
#pragma once

#include "../machine/launch.h"

#define __aicore__
#define __global__
#define __gm__
#define __ubuf__
#define __inline__ inline
#define GM_ADDR uint8_t *

#define ASCEND_IS_AIC (::twin::core().kind == ::twin::Kind::Cube)
#define ASCEND_IS_AIV (::twin::core().kind == ::twin::Kind::Vector)

#define KERNEL_TYPE_AIV_ONLY ::twin::TaskType::AivOnly
#define KERNEL_TYPE_AIC_ONLY ::twin::TaskType::AicOnly
#define KERNEL_TYPE_MIX_AIV_1_0 ::twin::TaskType::MixAiv10
#define KERNEL_TYPE_MIX_AIC_1_0 ::twin::TaskType::MixAic10
#define KERNEL_TYPE_MIX_AIC_1_1 ::twin::TaskType::MixAic11
#define KERNEL_TYPE_MIX_AIC_1_2 ::twin::TaskType::MixAic12
#define KERNEL_TASK_TYPE_DEFAULT(type) ::twin::core().launch.declare(type, ::twin::Where::here())

namespace AscendC {

inline int64_t GetBlockNum() { return twin::core().launch.blocks; }
/// On a vector core of a mixed kernel 2 * block + sub, else the block.
inline int64_t GetBlockIdx() { return twin::core().launch.block_index(twin::core()); }
inline int64_t GetSubBlockIdx() { return twin::core().sub; }
inline int64_t GetSubBlockNum() { return twin::core().launch.type() == twin::TaskType::MixAic12 ? 2 : 1; }
inline int64_t GetTaskRation() { return twin::core().kind == twin::Kind::Vector ? GetSubBlockNum() : 1; }

/// A counter of 50 MHz.
inline int64_t GetSystemCycle()
{
    const twin::Core &core = twin::core();
    return static_cast<int64_t>(core.now / core.launch.chip.mhz * 50);
}

} // namespace AscendC
