// Flags between the pipes of a vector core that are missing, doubled or of another kind.
#include "broken.h"

/// The vector unit works on what is still on its way.
/// FAULT: Adds at {use} on AIV 0 of core 0: reads byte 0 of UB, which DataCopy at {load} (MTE2) writes, and nothing orders the two; put
///     SetFlag<HardEvent::MTE2_V> after that and WaitFlag<HardEvent::MTE2_V> before this
extern "C" __global__ __aicore__ void load_not_waited_for(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    VectorCore core;
    DataCopy(core.a, global<float>(x), 1024);  // {load}
    if (right) After<HardEvent::MTE2_V>();
    Adds(core.b, core.a, 1.0f, 1024);  // {use}
}
TWIN_KERNEL(load_not_waited_for)

/// The store takes what the vector unit has not written yet.
/// FAULT: DataCopy at {store} on AIV 0 of core 0: reads byte 0 of UB, which Duplicate at {fill} (V) writes, and nothing orders the two;
///     put SetFlag<HardEvent::V_MTE3> after that and WaitFlag<HardEvent::V_MTE3> before this
extern "C" __global__ __aicore__ void result_not_waited_for(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    VectorCore core;
    Duplicate(core.a, 1.0f, 1024);  // {fill}
    if (right) After<HardEvent::V_MTE3>();
    DataCopy(global<float>(y), core.a, 1024);  // {store}
}
TWIN_KERNEL(result_not_waited_for)

/// The next load overtakes the store of what was there.
/// FAULT: DataCopy at {load} on AIV 0 of core 0: writes byte 0 of UB, which DataCopy at {store} (MTE3) reads, and nothing orders the two;
///     put SetFlag<HardEvent::MTE3_MTE2> after that and WaitFlag<HardEvent::MTE3_MTE2> before this
extern "C" __global__ __aicore__ void load_over_a_store(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    VectorCore core;
    DataCopy(core.a, global<float>(x), 1024);
    After<HardEvent::MTE2_MTE3>();
    DataCopy(global<float>(y), core.a, 1024);  // {store}
    if (right) After<HardEvent::MTE3_MTE2>();
    DataCopy(core.a, global<float>(x)[1024], 1024);  // {load}
}
TWIN_KERNEL(load_over_a_store)

/// The next load overwrites an operand.
/// FAULT: DataCopy at {load} on AIV 0 of core 0: writes byte 0 of UB, which Muls at {use} (V) reads, and nothing orders the two; put
///     SetFlag<HardEvent::V_MTE2> after that and WaitFlag<HardEvent::V_MTE2> before this
extern "C" __global__ __aicore__ void load_over_an_operand(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    VectorCore core;
    DataCopy(core.a, global<float>(x), 1024);
    After<HardEvent::MTE2_V>();
    Muls(core.b, core.a, 2.0f, 1024);  // {use}
    if (right) After<HardEvent::V_MTE2>();
    DataCopy(core.a, global<float>(x)[1024], 1024);  // {load}
}
TWIN_KERNEL(load_over_an_operand)

/// The next result overwrites what is being stored.
/// FAULT: Duplicate at {fill} on AIV 0 of core 0: writes byte 0 of UB, which DataCopy at {store} (MTE3) reads, and nothing orders the
///     two; put SetFlag<HardEvent::MTE3_V> after that and WaitFlag<HardEvent::MTE3_V> before this
extern "C" __global__ __aicore__ void result_over_a_store(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    VectorCore core;
    Duplicate(core.a, 1.0f, 1024);
    After<HardEvent::V_MTE3>();
    DataCopy(global<float>(y), core.a, 1024);  // {store}
    if (right) After<HardEvent::MTE3_V>();
    Duplicate(core.a, 2.0f, 1024);  // {fill}
}
TWIN_KERNEL(result_over_a_store)

/// Two halves take turns, and the flag says that one is free before it has been used.
/// FAULT: DataCopy at {load} on AIV 0 of core 0: writes byte 0 of UB, which Adds at {use} (V) reads, and nothing orders the two; put
///     SetFlag<HardEvent::V_MTE2> after that and WaitFlag<HardEvent::V_MTE2> before this
extern "C" __global__ __aicore__ void flag_before_the_use(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    VectorCore core;
    const LocalTensor<float> halves[2] = {core.a, core.b};
    SetFlag<HardEvent::V_MTE2>(EVENT_ID0);
    SetFlag<HardEvent::V_MTE2>(EVENT_ID1);
    for (int i = 0; i < 6; ++i) {
        const int half = i % 2;
        WaitFlag<HardEvent::V_MTE2>(half);
        DataCopy(halves[half], global<float>(x)[i * 1024], 1024);  // {load}
        SetFlag<HardEvent::MTE2_V>(half);
        WaitFlag<HardEvent::MTE2_V>(half);
        if (!right) SetFlag<HardEvent::V_MTE2>(half);
        Adds(core.c, halves[half], 1.0f, 1024);  // {use}
        PipeBarrier<PIPE_V>();
        if (right) SetFlag<HardEvent::V_MTE2>(half);
    }
    WaitFlag<HardEvent::V_MTE2>(EVENT_ID0);
    WaitFlag<HardEvent::V_MTE2>(EVENT_ID1);
}
TWIN_KERNEL(flag_before_the_use)

/// The scalar unit reads a result that is not there yet.
/// FAULT: GetValue at {read} on AIV 0 of core 0: reads byte 0 of UB, which Duplicate at {fill} (V) writes, and nothing orders the two;
///     put SetFlag<HardEvent::V_S> after that and WaitFlag<HardEvent::V_S> before this
extern "C" __global__ __aicore__ void scalar_read_too_early(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    VectorCore core;
    Duplicate(core.a, 1.0f, 64);  // {fill}
    if (right) After<HardEvent::V_S>();
    const float first = core.a.GetValue(0);  // {read}
    Duplicate(core.b, first, 64);
}
TWIN_KERNEL(scalar_read_too_early)

/// The vector unit reads what the scalar unit has not written yet.
/// FAULT: Adds at {use} on AIV 0 of core 0: reads byte 0 of UB, which SetValue at {write} (S) writes, and nothing orders the two; put
///     SetFlag<HardEvent::S_V> after that and WaitFlag<HardEvent::S_V> before this
extern "C" __global__ __aicore__ void scalar_write_not_waited_for(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    VectorCore core;
    for (uint32_t i = 0; i < 8; ++i) core.a.SetValue(i, 1.0f);  // {write}
    if (right) After<HardEvent::S_V>();
    Adds(core.b, core.a, 1.0f, 8);  // {use}
}
TWIN_KERNEL(scalar_write_not_waited_for)

/// The vector unit does not wait for its own results.
/// FAULT: Adds at {use} on AIV 0 of core 0: reads byte 0 of UB, which Duplicate at {fill} (V) writes, and nothing orders the two; put
///     PipeBarrier<PIPE_V>() between the two
extern "C" __global__ __aicore__ void no_barrier_in_the_vector_unit(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    VectorCore core;
    Duplicate(core.a, 1.0f, 1024);  // {fill}
    if (right) PipeBarrier<PIPE_V>();
    Adds(core.b, core.a, 1.0f, 1024);  // {use}
}
TWIN_KERNEL(no_barrier_in_the_vector_unit)

/// Loads of one pipe overtake each other where they write the same bytes.
/// FAULT: DataCopy at {second} on AIV 0 of core 0: writes byte 2048 of UB, which DataCopy at {first} (MTE2) writes as well, and nothing
///     orders the two; put PipeBarrier<PIPE_MTE2>() between the two
extern "C" __global__ __aicore__ void loads_over_each_other(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    VectorCore core;
    DataCopy(core.a, global<float>(x), 1024);  // {first}
    if (right) PipeBarrier<PIPE_MTE2>();
    DataCopy(core.a[512], global<float>(y), 512);  // {second}
}
TWIN_KERNEL(loads_over_each_other)

/// A flag leaks into the next kernel.
/// FAULT: SetFlag at {set} on AIV 0 of core 0: flag 2 of V_MTE2 is still set when the kernel ends, and the next kernel would find it so;
///     add WaitFlag<HardEvent::V_MTE2>(2)
extern "C" __global__ __aicore__ void flag_never_waited_for(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    SetFlag<HardEvent::V_MTE2>(EVENT_ID2);  // {set}
    if (right) WaitFlag<HardEvent::V_MTE2>(EVENT_ID2);
}
TWIN_KERNEL(flag_never_waited_for)

/// A flag is not a counter.
/// FAULT: SetFlag at {second} on AIV 0 of core 0: flag 0 of MTE2_V is set already, at {first}, and a flag does not count; wait for it in
///     between or use another id
extern "C" __global__ __aicore__ void flag_set_twice(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    SetFlag<HardEvent::MTE2_V>(EVENT_ID0);  // {first}
    SetFlag<HardEvent::MTE2_V>(right ? EVENT_ID1 : EVENT_ID0);  // {second}
    WaitFlag<HardEvent::MTE2_V>(EVENT_ID0);
    WaitFlag<HardEvent::MTE2_V>(EVENT_ID1);
}
TWIN_KERNEL(flag_set_twice)

/// The loop waits in its first round for what only a round before could set.
/// FAULT: WaitFlag at {wait} on AIV 0 of core 0: flag 0 of MTE3_V was not set before, so PIPE_V would wait forever; add
///     SetFlag<HardEvent::MTE3_V>(0) before it
extern "C" __global__ __aicore__ void flag_not_set_before_the_loop(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    if (right) SetFlag<HardEvent::MTE3_V>(EVENT_ID0);
    for (int i = 0; i < 3; ++i) {
        WaitFlag<HardEvent::MTE3_V>(EVENT_ID0);  // {wait}
        SetFlag<HardEvent::MTE3_V>(EVENT_ID0);
    }
    WaitFlag<HardEvent::MTE3_V>(EVENT_ID0);
}
TWIN_KERNEL(flag_not_set_before_the_loop)

/// Set and Wait are of opposite events.
/// FAULT: WaitFlag at {wait} on AIV 0 of core 0: flag 0 of MTE3_V was not set before, so PIPE_V would wait forever; add
///     SetFlag<HardEvent::MTE3_V>(0) before it
extern "C" __global__ __aicore__ void flag_of_the_opposite_event(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    SetFlag<HardEvent::V_MTE3>(EVENT_ID0);
    if (right) WaitFlag<HardEvent::V_MTE3>(EVENT_ID0);
    else WaitFlag<HardEvent::MTE3_V>(EVENT_ID0);  // {wait}
}
TWIN_KERNEL(flag_of_the_opposite_event)

/// FAULT: SetFlag at {set} on AIV 0 of core 0: id 8 is not in 0..7
extern "C" __global__ __aicore__ void flag_id_of_8(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    const event_t id = right ? 7 : 8;
    SetFlag<HardEvent::MTE2_V>(id);  // {set}
    WaitFlag<HardEvent::MTE2_V>(id);
}
TWIN_KERNEL(flag_id_of_8)

/// FAULT: SetFlag at {set} on AIV 0 of core 0: MTE1_MTE2 is no event of vector cores; put it under ASCEND_IS_AIC
extern "C" __global__ __aicore__ void event_of_the_cube_on_a_vector_core(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_MIX_AIC_1_2);
    if (right) {
        if ASCEND_IS_AIC {
            After<HardEvent::MTE1_MTE2>();
        }
    } else {
        After<HardEvent::MTE1_MTE2>();  // {set}
    }
}
TWIN_KERNEL(event_of_the_cube_on_a_vector_core)

/// FAULT: PipeBarrier at {barrier} on AIV 0 of core 0: PIPE_S needs no barrier, and one is an error of hardware
extern "C" __global__ __aicore__ void barrier_of_the_scalar_unit(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    if (right) PipeBarrier<PIPE_ALL>();
    else PipeBarrier<PIPE_S>();  // {barrier}
}
TWIN_KERNEL(barrier_of_the_scalar_unit)

/// The next kernel's stores would add up as well.
/// FAULT: SetAtomicAdd at {set} on AIV 0 of core 0: stores still combine when the kernel ends; call SetAtomicNone() after the last that
///     should
extern "C" __global__ __aicore__ void stores_still_add_up(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    VectorCore core;
    Duplicate(core.a, 1.0f, 1024);
    After<HardEvent::V_MTE3>();
    SetAtomicAdd<float>();  // {set}
    DataCopy(global<float>(y), core.a, 1024);
    if (right) SetAtomicNone();
}
TWIN_KERNEL(stores_still_add_up)

/// The next kernel's masks would be taken for numbers of elements.
/// FAULT: SetMaskCount at {set} on AIV 0 of core 0: the mask still is a number of elements when the kernel ends; call SetMaskNorm() and
///     ResetMask()
extern "C" __global__ __aicore__ void mask_still_counts(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    SetMaskCount();  // {set}
    SetVectorMask<float, MaskMode::COUNTER>(100);
    if (right) {
        SetMaskNorm();
        ResetMask();
    }
}
TWIN_KERNEL(mask_still_counts)

/// Nothing says on which cores the kernel runs.
/// FAULT: SetFlag at {set} comes before KERNEL_TASK_TYPE_DEFAULT, which must be the kernel's first statement: it says which cores run it
extern "C" __global__ __aicore__ void no_task_type(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    if (right) KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    SetFlag<HardEvent::MTE2_V>(EVENT_ID0);  // {set}
    WaitFlag<HardEvent::MTE2_V>(EVENT_ID0);
}
TWIN_KERNEL(no_task_type)
