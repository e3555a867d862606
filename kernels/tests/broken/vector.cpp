// Repeats, strides, masks and operands of the vector unit.
#include "broken.h"

/// The field for repeats has eight bits.
/// FAULT: Duplicate at {fill} on AIV 0 of core 0: the number of repeats is 256, and must be in 0..255
extern "C" __global__ __aicore__ void too_many_repeats(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    TPipe pipe;
    TBuf<TPosition::VECCALC> memory;
    pipe.InitBuffer(memory, 128 * 1024);
    const LocalTensor<float> a = memory.Get<float>();
    Duplicate(a, 1.0f, 64, right ? 255 : 256, 1, 8);  // {fill}
}
TWIN_KERNEL(too_many_repeats)

/// Mask and number of repeats in each other's place.
/// FAULT: Adds at {use} on AIV 0 of core 0: the destination overlaps the source: byte 4096 of UB is written by repeat 0 and read by
///     repeat 16; operands may be the same within a repeat, but not shifted, and no repeat may read what an earlier one writes
extern "C" __global__ __aicore__ void mask_and_repeats_swapped(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    VectorCore core;
    const uint64_t mask = right ? 64 : 16;
    const int32_t repeats = right ? 16 : 64;
    Duplicate(core.a, 1.0f, 1024);
    PipeBarrier<PIPE_V>();
    Adds(core.b, core.a, 1.0f, mask, repeats, {1, 1, 8, 8});  // {use}
}
TWIN_KERNEL(mask_and_repeats_swapped)

/// Strides are counted in blocks of 32 bytes, not in elements.
/// FAULT: Adds at {use} on AIV 0 of core 0: reads byte 2048 of UB, which nothing has written
extern "C" __global__ __aicore__ void strides_in_elements(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    VectorCore core;
    Duplicate(core.a, 1.0f, 256);
    PipeBarrier<PIPE_V>();
    const uint8_t stride = right ? 8 : 64;
    Adds(core.c, core.a, 1.0f, 64, 4, {1, 1, stride, stride});  // {use}
}
TWIN_KERNEL(strides_in_elements)

/// Half as many lanes as for half.
/// FAULT: Adds at {use} on AIV 0 of core 0: the mask is 128, and must be in 1..64
extern "C" __global__ __aicore__ void mask_of_another_type(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    VectorCore core;
    Duplicate(core.a, 1.0f, 1024);
    PipeBarrier<PIPE_V>();
    Adds(core.b, core.a, 1.0f, right ? 64 : 128, 8, {1, 1, 8, 8});  // {use}
}
TWIN_KERNEL(mask_of_another_type)

/// FAULT: Adds at {use} on AIV 0 of core 0: the source begins at byte 4 of UB, and must be a multiple of 32
extern "C" __global__ __aicore__ void operand_at_an_odd_address(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    VectorCore core;
    Duplicate(core.a, 1.0f, 1024);
    PipeBarrier<PIPE_V>();
    Adds(core.b, core.a[right ? 8 : 1], 1.0f, 64);  // {use}
}
TWIN_KERNEL(operand_at_an_odd_address)

/// A shift by one block within one buffer.
/// FAULT: Adds at {use} on AIV 0 of core 0: the destination overlaps the source: byte 32 of UB is written by repeat 0 and read by repeat
///     0; operands may be the same within a repeat, but not shifted, and no repeat may read what an earlier one writes
extern "C" __global__ __aicore__ void operands_overlap(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    VectorCore core;
    Duplicate(core.a, 1.0f, 1024);
    PipeBarrier<PIPE_V>();
    Adds(right ? core.b : core.a[8], core.a, 1.0f, 512);  // {use}
}
TWIN_KERNEL(operands_overlap)

/// A destination stride of 0 broadcasts nothing.
/// FAULT: Add at {use} on AIV 0 of core 0: the block stride of the destination is 0: the blocks of a repeat would be written over each
///     other
extern "C" __global__ __aicore__ void destination_without_a_stride(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    VectorCore core;
    Duplicate(core.a, 1.0f, 1024);
    PipeBarrier<PIPE_V>();
    const uint8_t stride = right ? 1 : 0;
    Add(core.b, core.a, core.a, 64, 2, {stride, 1, 0, 8, 8, 8});  // {use}
}
TWIN_KERNEL(destination_without_a_stride)

/// FAULT: Duplicate at {fill} on AIV 0 of core 0: is given a mask while the mask register counts elements (SetMaskCount): hardware would
///     take its bits for a number; call SetMaskNorm() first, or the form with isSetMask = false
extern "C" __global__ __aicore__ void mask_while_counting(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    VectorCore core;
    SetMaskCount();
    if (right) SetMaskNorm();
    Duplicate(core.a, 1.0f, 64, 4, 1, 8);  // {fill}
    if (!right) SetMaskNorm();
}
TWIN_KERNEL(mask_while_counting)

/// The repeats of a sum of rows read beyond the rows.
/// FAULT: WholeReduceSum at {sum} on AIV 0 of core 0: reads byte 2048 of UB, which nothing has written
extern "C" __global__ __aicore__ void reduction_beyond_its_rows(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    VectorCore core;
    Duplicate(core.a, 1.0f, 512);
    PipeBarrier<PIPE_V>();
    WholeReduceSum<float>(core.b, core.a, 64, right ? 8 : 9, 1, 1, 8);  // {sum}
}
TWIN_KERNEL(reduction_beyond_its_rows)
