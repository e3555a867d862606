// Cores that do not wait for each other, wait forever, or meet where they should not.
#include "broken.h"

/// The cube loads what the vector core before it has not stored.
/// FAULT: DataCopy at {store} on AIV 0 of core 0: writes byte 0 of argument 2, which DataCopy at {load} (MTE2 of AIC 0) reads, and
///     nothing orders the two; put CrossCoreSetFlag<2, its pipe> after the one that must come first and CrossCoreWaitFlag before the
///     other
extern "C" __global__ __aicore__ void no_flag_between_cores(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_MIX_AIC_1_2);
    if ASCEND_IS_AIV {
        VectorCore core;
        Duplicate(core.a, 0.0f, 1024);
        After<HardEvent::V_MTE3>();
        DataCopy(global<float>(y)[GetSubBlockIdx() * 1024], core.a, 1024);  // {store}
        if (right) CrossCoreSetFlag<2, PIPE_MTE3>(0);
    }
    if ASCEND_IS_AIC {
        CubeCore core;
        if (right) CrossCoreWaitFlag(0);
        DataCopy(core.a1, global<half>(y), 4096);  // {load}
    }
}
TWIN_KERNEL(no_flag_between_cores)

/// The flag is set before the store instead of behind it.
/// FAULT: DataCopy at {load} on AIC 0: reads byte 0 of argument 2, which DataCopy at {store} (MTE3 of AIV 0 of core 0) writes, and
///     nothing orders the two; put CrossCoreSetFlag<2, its pipe> after the one that must come first and CrossCoreWaitFlag before the
///     other
extern "C" __global__ __aicore__ void flag_on_the_wrong_pipe(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_MIX_AIC_1_2);
    if ASCEND_IS_AIV {
        VectorCore core;
        Duplicate(core.a, 0.0f, 1024);
        After<HardEvent::V_MTE3>();
        DataCopy(global<float>(y)[GetSubBlockIdx() * 1024], core.a, 1024);  // {store}
        if (right) CrossCoreSetFlag<2, PIPE_MTE3>(0);
        else CrossCoreSetFlag<2, PIPE_V>(0);
    }
    if ASCEND_IS_AIC {
        CubeCore core;
        CrossCoreWaitFlag(0);
        DataCopy(core.a1, global<half>(y), 4096);  // {load}
    }
}
TWIN_KERNEL(flag_on_the_wrong_pipe)

/// Mode 2 gives the cube its count when both vector cores have set the flag.
/// FAULT: no core can go on: AIC 0 waits for cross-core flag 3 at {wait} (only AIV 0 of core 0 has set it, and both vector cores must); 2
///     of the 3 cores ended before
extern "C" __global__ __aicore__ void flag_by_one_of_two(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_MIX_AIC_1_2);
    if ASCEND_IS_AIV {
        if (right || GetSubBlockIdx() == 0) CrossCoreSetFlag<2, PIPE_MTE3>(3);
    }
    if ASCEND_IS_AIC {
        CrossCoreWaitFlag(3);  // {wait}
    }
}
TWIN_KERNEL(flag_by_one_of_two)

/// Both sides wait first.
/// FAULT: no core can go on: AIC 0 waits for cross-core flag 0 at {cube}, AIV 0 of core 0 waits for cross-core flag 1 at {vector}, AIV 1
///     of core 0 waits for cross-core flag 1 at {vector}; what they wait for comes after their waits
extern "C" __global__ __aicore__ void cores_wait_for_each_other(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_MIX_AIC_1_2);
    if ASCEND_IS_AIC {
        if (right) CrossCoreSetFlag<2, PIPE_FIX>(1);
        CrossCoreWaitFlag(0);  // {cube}
        if (!right) CrossCoreSetFlag<2, PIPE_FIX>(1);
    }
    if ASCEND_IS_AIV {
        CrossCoreWaitFlag(1);  // {vector}
        CrossCoreSetFlag<2, PIPE_MTE3>(0);
    }
}
TWIN_KERNEL(cores_wait_for_each_other)

/// The counter of a flag has four bits.
/// FAULT: CrossCoreSetFlag at {set} on AIC 0: raises flag 0 of AIV 0 of core 0 above 15, where its counter ends; wait for it more often
extern "C" __global__ __aicore__ void flag_counts_to_16(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_MIX_AIC_1_2);
    const int times = right ? 15 : 16;
    if ASCEND_IS_AIC {
        for (int i = 0; i < times; ++i) CrossCoreSetFlag<2, PIPE_FIX>(0);  // {set}
        CrossCoreSetFlag<2, PIPE_FIX>(1);
    }
    if ASCEND_IS_AIV {
        CrossCoreWaitFlag(1);
        for (int i = 0; i < times; ++i) CrossCoreWaitFlag(0);
    }
}
TWIN_KERNEL(flag_counts_to_16)

/// A count leaks into the next kernel.
/// FAULT: CrossCoreSetFlag at {set} raised flag 4 of AIV 1 of core 0 and nothing waits for it: the next kernel would find it raised by 1;
///     add CrossCoreWaitFlag(4)
extern "C" __global__ __aicore__ void cross_flag_never_waited_for(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_MIX_AIC_1_2);
    if ASCEND_IS_AIC {
        CrossCoreSetFlag<2, PIPE_FIX>(4);  // {set}
    }
    if ASCEND_IS_AIV {
        if (right || GetSubBlockIdx() == 0) CrossCoreWaitFlag(4);
    }
}
TWIN_KERNEL(cross_flag_never_waited_for)

/// FAULT: CrossCoreSetFlag at {set} on AIC 0: id 16 is not in 0..15
extern "C" __global__ __aicore__ void cross_flag_id_of_16(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_MIX_AIC_1_2);
    const uint16_t id = right ? 15 : 16;
    if ASCEND_IS_AIC {
        CrossCoreSetFlag<2, PIPE_FIX>(id);  // {set}
    }
    if ASCEND_IS_AIV {
        CrossCoreWaitFlag(id);
    }
}
TWIN_KERNEL(cross_flag_id_of_16)

/// SyncAll works by flags of its own.
/// FAULT: SyncAll at {sync} on AIC 0: SyncAll uses the cross-core flags 11 to 14, and {set} sets one of them; take lower ids
extern "C" __global__ __aicore__ void flag_of_sync_all(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_MIX_AIC_1_2);
    const uint16_t id = right ? 10 : 12;
    if ASCEND_IS_AIC {
        CrossCoreSetFlag<2, PIPE_FIX>(id);  // {set}
    }
    if ASCEND_IS_AIV {
        CrossCoreWaitFlag(id);
    }
    SyncAll<false>();  // {sync}
}
TWIN_KERNEL(flag_of_sync_all)

/// FAULT: CrossCoreSetFlag at {set} on AIC 0: the pipe must be one that flags can follow: PIPE_V, M, MTE1, MTE2, MTE3 or FIX
extern "C" __global__ __aicore__ void cross_flag_behind_the_scalar_unit(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_MIX_AIC_1_2);
    if ASCEND_IS_AIC {
        if (right) CrossCoreSetFlag<2, PIPE_MTE2>(0);
        else CrossCoreSetFlag<2, PIPE_S>(0);  // {set}
    }
    if ASCEND_IS_AIV {
        CrossCoreWaitFlag(0);
    }
}
TWIN_KERNEL(cross_flag_behind_the_scalar_unit)

/// Kernels of one kind of core and not of a MIX type have no flags between cores.
/// FAULT: SyncAll at {sync} on AIV 0 of core 0: hangs in a kernel of type AIV_ONLY; declare KERNEL_TYPE_MIX_AIV_1_0
extern "C" __global__ __aicore__ void sync_all_in_a_kernel_of_one_kind(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    if (right) KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_MIX_AIV_1_0);
    else KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    SyncAll();  // {sync}
}
TWIN_KERNEL(sync_all_in_a_kernel_of_one_kind)

/// FAULT: SyncAll at {sync} on AIC 0: SyncAll<true> is for vector cores; with cube cores call SyncAll<false>()
extern "C" __global__ __aicore__ void sync_all_of_vector_cores_on_the_cube(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_MIX_AIC_1_2);
    if (right) SyncAll<false>();
    else SyncAll<true>();  // {sync}
}
TWIN_KERNEL(sync_all_of_vector_cores_on_the_cube)

/// A core without work leaves early and the others wait for it.
/// FAULT: no core can go on: AIV 0 of core 0 waits for the others at SyncAll at {sync}, AIV 1 of core 0 waits for the others at SyncAll
///     at {sync}; 1 of the 3 cores ended before
/// BLOCKS: 3 3
extern "C" __global__ __aicore__ void core_that_does_not_meet(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_MIX_AIV_1_0);
    if (!right && GetBlockIdx() == 2) return;
    SyncAll();  // {sync}
}
TWIN_KERNEL(core_that_does_not_meet)

/// Polling starts from zeros.
/// FAULT: SyncAll at {sync} on AIV 0 of core 0: the workspace holds -1 for this core, and must be filled with 0 before the launch
/// BLOCKS: 3 3
extern "C" __global__ __aicore__ void workspace_of_sync_all_not_cleared(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    VectorCore core;
    const LocalTensor<int32_t> ub = core.a.ReinterpretCast<int32_t>();
    for (int i = 0; i < 2; ++i) SyncAll(global<int32_t>(right ? y : z), ub);  // {sync}
}
TWIN_KERNEL(workspace_of_sync_all_not_cleared)

/// A kernel's blocks run at the same time.
/// FAULT: the launch has 25 blocks, and a 910B2 has 24 cube cores; give each core more work instead
/// BLOCKS: 25 24
extern "C" __global__ __aicore__ void more_blocks_than_cores(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_MIX_AIC_1_2);
}
TWIN_KERNEL(more_blocks_than_cores)

/// FAULT: KERNEL_TASK_TYPE_DEFAULT at {type} names a second type
extern "C" __global__ __aicore__ void two_task_types(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_MIX_AIV_1_0);
    if (!right) KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);  // {type}
}
TWIN_KERNEL(two_task_types)
