// The memories of a core: sizes, alignments, queues, and what nobody wrote.
#include "broken.h"

/// FAULT: InitBuffer at {second} on AIV 0 of core 0: UB has no room for 1 x 65536 bytes: 131072 of its 196352 bytes are taken, 65280 are
///     left
extern "C" __global__ __aicore__ void buffers_beyond_ub(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    TPipe pipe;
    TBuf<TPosition::VECCALC> first, second;
    pipe.InitBuffer(first, 128 * 1024);
    pipe.InitBuffer(second, right ? 63 * 1024 : 64 * 1024);  // {second}
}
TWIN_KERNEL(buffers_beyond_ub)

/// FAULT: DataCopy at {load} on AIV 0 of core 0: touches UB bytes 192512..200704, and this core has 196608
extern "C" __global__ __aicore__ void load_beyond_ub(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    TPipe pipe;
    TBuf<TPosition::VECCALC> memory;
    pipe.InitBuffer(memory, 191 * 1024);
    DataCopy(memory.Get<float>()[47 * 1024], global<float>(x), right ? 512 : 2048);  // {load}
}
TWIN_KERNEL(load_beyond_ub)

/// FAULT: DataCopy at {load} on AIV 0 of core 0: the destination's address is 16, and must be a multiple of 32
extern "C" __global__ __aicore__ void load_to_an_odd_address(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    VectorCore core;
    DataCopy(core.a[right ? 8 : 4], global<float>(x), 64);  // {load}
}
TWIN_KERNEL(load_to_an_odd_address)

/// DataCopy moves blocks of 32 bytes.
/// FAULT: DataCopy at {load} on AIV 0 of core 0: the number of bytes is 400, and must be a multiple of 32
extern "C" __global__ __aicore__ void load_of_part_of_a_block(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    VectorCore core;
    DataCopy(core.a, global<float>(x), right ? 104 : 100);  // {load}
}
TWIN_KERNEL(load_of_part_of_a_block)

/// FAULT: DataCopy at {load} on AIV 0 of core 0: blockCount is 4096, and must be in 1..4095
extern "C" __global__ __aicore__ void load_of_too_many_blocks(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    TPipe pipe;
    TBuf<TPosition::VECCALC> memory;
    pipe.InitBuffer(memory, 190 * 1024);
    DataCopy(memory.Get<float>(), global<float>(x), DataCopyParams(right ? 2000 : 4096, 1, 0, 0));  // {load}
}
TWIN_KERNEL(load_of_too_many_blocks)

/// Rows lie further apart than the field for it holds.
/// FAULT: a parameter at {load} on AIV 0 of core 0: 70000 does not fit a field that holds 0..65535
extern "C" __global__ __aicore__ void stride_beyond_its_field(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    VectorCore core;
    const int32_t gap = right ? 100 : 70000;
    DataCopy(core.a, global<float>(x), DataCopyParams(2, 8, gap, 0));  // {load}
}
TWIN_KERNEL(stride_beyond_its_field)

/// FAULT: Add at {use} on AIV 0 of core 0: reads byte 7936 of UB, which nothing has written
extern "C" __global__ __aicore__ void operand_that_nobody_wrote(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    VectorCore core;
    Duplicate(core.a, 1.0f, 1000);
    Duplicate(core.b, 1.0f, right ? 1000 : 960);
    PipeBarrier<PIPE_V>();
    Add(core.c, core.a, core.b, 1000);  // {use}
}
TWIN_KERNEL(operand_that_nobody_wrote)

/// FAULT: Adds at {use} on AIV 0 of core 0: reads byte 16384 of UB, which was freed and not written since
extern "C" __global__ __aicore__ void tensor_used_after_it_was_freed(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    VectorCore core;
    TQue<TPosition::VECIN, 1> queue;
    core.pipe.InitBuffer(queue, 1, 4096);
    LocalTensor<float> in = queue.AllocTensor<float>();
    DataCopy(in, global<float>(x), 1024);
    queue.EnQue(in);
    in = queue.DeQue<float>();
    if (!right) queue.FreeTensor(in);
    Adds(core.a, in, 1.0f, 1024);  // {use}
    if (right) queue.FreeTensor(in);
}
TWIN_KERNEL(tensor_used_after_it_was_freed)

/// FAULT: DeQue at {out} on AIV 0 of core 0: the queue is empty: EnQue is missing
extern "C" __global__ __aicore__ void queue_that_is_empty(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    VectorCore core;
    TQue<TPosition::VECIN, 1> queue;
    core.pipe.InitBuffer(queue, 1, 4096);
    LocalTensor<float> in = queue.AllocTensor<float>();
    DataCopy(in, global<float>(x), 1024);
    if (right) queue.EnQue(in);
    in = queue.DeQue<float>();  // {out}
    queue.FreeTensor(in);
}
TWIN_KERNEL(queue_that_is_empty)

/// FAULT: TPipe at {pipe} on AIV 0 of core 0: ends with a tensor in a queue that nobody took out: EnQue at {in}
extern "C" __global__ __aicore__ void tensor_left_in_a_queue(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    TPipe pipe;  // {pipe}
    TQue<TPosition::VECIN, 1> queue;
    pipe.InitBuffer(queue, 1, 4096);
    LocalTensor<float> in = queue.AllocTensor<float>();
    DataCopy(in, global<float>(x), 1024);
    queue.EnQue(in);  // {in}
    if (right) {
        in = queue.DeQue<float>();
        queue.FreeTensor(in);
    }
}
TWIN_KERNEL(tensor_left_in_a_queue)

/// FAULT: AllocTensor at {second} on AIV 0 of core 0: all 1 buffers are in use; the first since {first}; FreeTensor is missing, or one
///     more buffer
extern "C" __global__ __aicore__ void one_buffer_for_two_tensors(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    TPipe pipe;
    TQue<TPosition::VECIN, 2> queue;
    pipe.InitBuffer(queue, right ? 2 : 1, 4096);
    LocalTensor<float> first = queue.AllocTensor<float>();   // {first}
    LocalTensor<float> second = queue.AllocTensor<float>();  // {second}
    queue.FreeTensor(first);
    queue.FreeTensor(second);
}
TWIN_KERNEL(one_buffer_for_two_tensors)

/// FAULT: FreeTensor at {second} on AIV 0 of core 0: the tensor is free since {first}
extern "C" __global__ __aicore__ void tensor_freed_twice(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    TPipe pipe;
    TQue<TPosition::VECOUT, 1> queue;
    pipe.InitBuffer(queue, 1, 4096);
    LocalTensor<float> out = queue.AllocTensor<float>();
    queue.FreeTensor(out);              // {first}
    if (!right) queue.FreeTensor(out);  // {second}
}
TWIN_KERNEL(tensor_freed_twice)

/// FAULT: InitBuffer at {init} on AIV 0 of core 0: is for L1, which this core does not have
extern "C" __global__ __aicore__ void vector_core_with_l1(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_MIX_AIC_1_2);
    if (right && ASCEND_IS_AIV) return;
    TPipe pipe;
    TBuf<TPosition::A1> memory;
    pipe.InitBuffer(memory, 1024);  // {init}
}
TWIN_KERNEL(vector_core_with_l1)

/// FAULT: Duplicate at {fill} on AIC 0: is an instruction of vector (AIV) cores
extern "C" __global__ __aicore__ void cube_core_with_vectors(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_MIX_AIC_1_2);
    if (right && ASCEND_IS_AIC) return;
    const LocalTensor<float> a(TPosition::VECCALC, 0, 1024);
    Duplicate(a, 1.0f, 64);  // {fill}
}
TWIN_KERNEL(cube_core_with_vectors)

/// FAULT: GetValue at {read} on AIC 0: scalars cannot read or write L1
extern "C" __global__ __aicore__ void scalar_access_to_l1(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIC_ONLY);
    CubeCore core;
    if (right) global<half>(x).GetValue(0);
    else core.a1.GetValue(0);  // {read}
}
TWIN_KERNEL(scalar_access_to_l1)
