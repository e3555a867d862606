// Global memory: who writes where, bounds, and the caches of scalar units.
#include "broken.h"

/// The last rows of a block are the first ones of the next.
/// FAULT: DataCopy at {store} on AIV 1 of core 0: writes byte 4000 of argument 2, which DataCopy at {store} (MTE3 of AIV 0 of core 0)
///     writes as well, and nothing orders the two; divide the work so that they do not meet, put SyncAll between the two, or SetAtomicAdd
///     before both if they are sums
/// BLOCKS: 2 2
extern "C" __global__ __aicore__ void cores_write_the_same_bytes(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    VectorCore core;
    Duplicate(core.a, 1.0f, 1024);
    After<HardEvent::V_MTE3>();
    DataCopy(global<float>(y)[GetBlockIdx() * 1000], core.a, right ? 1000 : 1024);  // {store}
}
TWIN_KERNEL(cores_write_the_same_bytes)

/// A core reads its neighbour's result.
/// FAULT: DataCopy at {store} on AIV 1 of core 0: writes byte 4096 of argument 2, which DataCopy at {load} (MTE2 of AIV 0 of core 0)
///     reads, and nothing orders the two; put SyncAll between the two
/// BLOCKS: 2 2
extern "C" __global__ __aicore__ void neighbour_read_without_a_meeting(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_MIX_AIV_1_0);
    VectorCore core;
    Duplicate(core.a, 1.0f, 1024);
    After<HardEvent::V_MTE3>();
    DataCopy(global<float>(y)[GetBlockIdx() * 1024], core.a, 1024);  // {store}
    if (right) SyncAll();
    DataCopy(core.b, global<float>(y)[(1 - GetBlockIdx()) * 1024], 1024);  // {load}
}
TWIN_KERNEL(neighbour_read_without_a_meeting)

/// Partial sums of cores go to the same place.
/// FAULT: DataCopy at {store} on AIV 1 of core 0: writes byte 0 of argument 2, which DataCopy at {store} (MTE3 of AIV 0 of core 0) writes
///     as well, and nothing orders the two; divide the work so that they do not meet, put SyncAll between the two, or SetAtomicAdd before
///     both if they are sums
/// BLOCKS: 4 4
extern "C" __global__ __aicore__ void sums_that_do_not_add_up(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    VectorCore core;
    Duplicate(core.a, 1.0f, 64);
    After<HardEvent::V_MTE3>();
    if (right) SetAtomicAdd<float>();
    DataCopy(global<float>(y), core.a, 64);  // {store}
    if (right) SetAtomicNone();
}
TWIN_KERNEL(sums_that_do_not_add_up)

/// A kernel reads back what it has just stored.
/// FAULT: DataCopy at {load} on AIV 0 of core 0: reads byte 0 of argument 2, which DataCopy at {store} (MTE3) writes, and nothing orders
///     the two; put SetFlag<HardEvent::MTE3_MTE2> after that and WaitFlag<HardEvent::MTE3_MTE2> before this
extern "C" __global__ __aicore__ void store_not_waited_for(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    VectorCore core;
    Duplicate(core.a, 1.0f, 1024);
    After<HardEvent::V_MTE3>();
    DataCopy(global<float>(y), core.a, 1024);  // {store}
    if (right) After<HardEvent::MTE3_MTE2>();
    DataCopy(core.b, global<float>(y), 1024);  // {load}
}
TWIN_KERNEL(store_not_waited_for)

/// The tail is as long as the others.
/// FAULT: DataCopy at {load} on AIV 0 of core 0: touches 4096 bytes from byte 63488 of argument 1, and only 2048 are allocated there
extern "C" __global__ __aicore__ void load_beyond_the_end(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    VectorCore core;
    DataCopy(core.a, global<float>(x)[15872], right ? 512 : 1024);  // {load}
}
TWIN_KERNEL(load_beyond_the_end)

/// An argument that is not there.
/// FAULT: DataCopy at {load} on AIV 0 of core 0: touches global memory at 0x0, which is in no allocation
extern "C" __global__ __aicore__ void load_from_nowhere(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    VectorCore core;
    DataCopy(core.a, global<float>(right ? x : nullptr), 1024);  // {load}
}
TWIN_KERNEL(load_from_nowhere)

/// The scalar unit's store never leaves its cache.
/// FAULT: SetValue at {store} on AIV 0 of core 0: stays in the scalar unit's cache when the kernel ends; call DataCacheCleanAndInvalid
///     after it
extern "C" __global__ __aicore__ void scalar_store_not_cleaned(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    GlobalTensor<int32_t> out = global<int32_t>(y);
    out.SetValue(5, 7);  // {store}
    if (right) DataCacheCleanAndInvalid<int32_t, CacheLine::SINGLE_CACHE_LINE, DcciDst::CACHELINE_OUT>(out);
}
TWIN_KERNEL(scalar_store_not_cleaned)

/// Two cores own words of one line, and each writes the whole line back.
/// FAULT: SetValue at {store} on AIV 1 of core 0: another core writes the same 64 bytes at {store}, and its scalar unit's cache writes
///     all 64 back; give each core lines of 64 bytes of its own, or call DataCacheCleanAndInvalid there and put a cross-core flag between
///     the two
/// BLOCKS: 2 2
extern "C" __global__ __aicore__ void cores_share_a_cache_line(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    GlobalTensor<int32_t> out = global<int32_t>(y);
    const int64_t place = GetBlockIdx() * (right ? 16 : 8);
    out.SetValue(place, 7);  // {store}
    DataCacheCleanAndInvalid<int32_t, CacheLine::SINGLE_CACHE_LINE, DcciDst::CACHELINE_OUT>(out[place]);
}
TWIN_KERNEL(cores_share_a_cache_line)

/// The scalar unit looks again and sees what it saw before.
/// FAULT: GetValue at {second} on AIV 0 of core 0: the scalar unit's cache still holds these bytes as they were at GetValue at {first},
///     before DataCopy at {store} wrote them; call DataCacheCleanAndInvalid for them first
extern "C" __global__ __aicore__ void scalar_read_of_an_old_line(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    VectorCore core;
    GlobalTensor<float> out = global<float>(y);
    const float before = out.GetValue(0);  // {first}
    Duplicate(core.a, before + 1, 64);
    After<HardEvent::V_MTE3>();
    After<HardEvent::S_MTE3>();
    DataCopy(out, core.a, 64);  // {store}
    After<HardEvent::MTE3_S>();
    if (right) DataCacheCleanAndInvalid<float, CacheLine::SINGLE_CACHE_LINE, DcciDst::CACHELINE_OUT>(out);
    out.GetValue(1);  // {second}
}
TWIN_KERNEL(scalar_read_of_an_old_line)

/// A load does not see what is in the scalar unit's cache.
/// FAULT: DataCopy at {load} on AIV 0 of core 0: reads past what SetValue at {store} left in the scalar unit's cache; call
///     DataCacheCleanAndInvalid after it
extern "C" __global__ __aicore__ void load_past_the_scalar_cache(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    VectorCore core;
    GlobalTensor<float> out = global<float>(y);
    out.SetValue(0, 7.0f);  // {store}
    if (right) DataCacheCleanAndInvalid<float, CacheLine::SINGLE_CACHE_LINE, DcciDst::CACHELINE_OUT>(out);
    After<HardEvent::S_MTE2>();
    DataCopy(core.a, out, 64);  // {load}
    if (!right) DataCacheCleanAndInvalid<float, CacheLine::SINGLE_CACHE_LINE, DcciDst::CACHELINE_OUT>(out);
}
TWIN_KERNEL(load_past_the_scalar_cache)
