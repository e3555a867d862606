// The way of a matrix product: L1, L0, the cube, fixpipe, and the flags between them.
#include "broken.h"

constexpr uint32_t ROWS = 64;

/// Loads both matrices into L1, and into L0 as `rows` x `rows` fractals of zeros.
static void Load(CubeCore &core, GM_ADDR x)
{
    DataCopy(core.a1, global<half>(x), 4096);
    DataCopy(core.b1, global<half>(x), 4096);
    After<HardEvent::MTE2_MTE1>();
    LoadData(core.a2, core.a1, LoadData2DParams(0, 16, 1, 0, 0, false, 0));
    LoadData(core.b2, core.b1, LoadData2DParams(0, 16, 1, 0, 0, false, 0));
}

/// FAULT: LoadData (2D) at {use} on AIC 0: reads byte 0 of L1, which DataCopy at {load} (MTE2) writes, and nothing orders the two; put
///     SetFlag<HardEvent::MTE2_MTE1> after that and WaitFlag<HardEvent::MTE2_MTE1> before this
extern "C" __global__ __aicore__ void l1_not_waited_for(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIC_ONLY);
    CubeCore core;
    DataCopy(core.a1, global<half>(x), 4096);  // {load}
    if (right) After<HardEvent::MTE2_MTE1>();
    LoadData(core.a2, core.a1, LoadData2DParams(0, 16, 1, 0, 0, false, 0));  // {use}
}
TWIN_KERNEL(l1_not_waited_for)

/// FAULT: DataCopy at {load} on AIC 0: writes byte 0 of L1, which LoadData (2D) at {use} (MTE1) reads, and nothing orders the two; put
///     SetFlag<HardEvent::MTE1_MTE2> after that and WaitFlag<HardEvent::MTE1_MTE2> before this
extern "C" __global__ __aicore__ void l1_overwritten(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIC_ONLY);
    CubeCore core;
    DataCopy(core.a1, global<half>(x), 4096);
    After<HardEvent::MTE2_MTE1>();
    LoadData(core.a2, core.a1, LoadData2DParams(0, 16, 1, 0, 0, false, 0));  // {use}
    if (right) After<HardEvent::MTE1_MTE2>();
    DataCopy(core.a1, global<half>(x)[4096], 4096);  // {load}
}
TWIN_KERNEL(l1_overwritten)

/// FAULT: Mmad at {use} on AIC 0: reads byte 0 of L0A, which LoadData (2D) at {load} (MTE1) writes, and nothing orders the two; put
///     SetFlag<HardEvent::MTE1_M> after that and WaitFlag<HardEvent::MTE1_M> before this
extern "C" __global__ __aicore__ void l0_not_waited_for(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIC_ONLY);
    CubeCore core;
    DataCopy(core.a1, global<half>(x), 4096);
    DataCopy(core.b1, global<half>(x), 4096);
    After<HardEvent::MTE2_MTE1>();
    LoadData(core.a2, core.a1, LoadData2DParams(0, 16, 1, 0, 0, false, 0));  // {load}
    if (right) After<HardEvent::MTE1_M>();
    LoadData(core.b2, core.b1, LoadData2DParams(0, 16, 1, 0, 0, false, 0));
    if (right) After<HardEvent::MTE1_M>();
    Mmad(core.c, core.a2, core.b2, MmadParams(ROWS, ROWS, ROWS, 0, false, true));  // {use}
}
TWIN_KERNEL(l0_not_waited_for)

/// FAULT: LoadData (2D) at {load} on AIC 0: writes byte 0 of L0B, which Mmad at {use} (M) reads, and nothing orders the two; put
///     SetFlag<HardEvent::M_MTE1> after that and WaitFlag<HardEvent::M_MTE1> before this
extern "C" __global__ __aicore__ void l0_overwritten(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIC_ONLY);
    CubeCore core;
    Load(core, x);
    After<HardEvent::MTE1_M>();
    Mmad(core.c, core.a2, core.b2, MmadParams(ROWS, ROWS, ROWS, 0, false, true));  // {use}
    if (right) After<HardEvent::M_MTE1>();
    LoadData(core.b2, core.b1, LoadData2DParams(0, 16, 1, 0, 0, false, 0));  // {load}
}
TWIN_KERNEL(l0_overwritten)

/// FAULT: Fixpipe at {fix} on AIC 0: reads byte 0 of L0C, which Mmad at {product} (M) writes, and nothing orders the two; put
///     SetFlag<HardEvent::M_FIX> after that and WaitFlag<HardEvent::M_FIX> before this
extern "C" __global__ __aicore__ void product_not_waited_for(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIC_ONLY);
    CubeCore core;
    Load(core, x);
    After<HardEvent::MTE1_M>();
    Mmad(core.c, core.a2, core.b2, MmadParams(ROWS, ROWS, ROWS, 0, false, true));  // {product}
    if (right) After<HardEvent::M_FIX>();
    Fixpipe(global<float>(y), core.c, FixpipeParamsV220(ROWS, ROWS, ROWS, ROWS, false));  // {fix}
}
TWIN_KERNEL(product_not_waited_for)

/// FAULT: Mmad at {product} on AIC 0: writes byte 0 of L0C, which Fixpipe at {fix} (FIX) reads, and nothing orders the two; put
///     SetFlag<HardEvent::FIX_M> after that and WaitFlag<HardEvent::FIX_M> before this
extern "C" __global__ __aicore__ void product_overwritten(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIC_ONLY);
    CubeCore core;
    Load(core, x);
    After<HardEvent::MTE1_M>();
    Mmad(core.c, core.a2, core.b2, MmadParams(ROWS, ROWS, ROWS, 0, false, true));
    After<HardEvent::M_FIX>();
    Fixpipe(global<float>(y), core.c, FixpipeParamsV220(ROWS, ROWS, ROWS, ROWS, false));  // {fix}
    if (right) After<HardEvent::FIX_M>();
    Mmad(core.c, core.a2, core.b2, MmadParams(ROWS, ROWS, ROWS, 0, false, true));  // {product}
}
TWIN_KERNEL(product_overwritten)

/// Small products that accumulate overtake each other.
/// FAULT: Mmad at {product} on AIC 0: adds to what the Mmad before it wrote, and with 2 x 2 blocks it can start before that is there:
///     PipeBarrier<PIPE_M>() between two that accumulate is needed below 10 blocks
extern "C" __global__ __aicore__ void no_barrier_in_the_cube(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIC_ONLY);
    CubeCore core;
    Load(core, x);
    After<HardEvent::MTE1_M>();
    Mmad(core.c, core.a2, core.b2, MmadParams(32, 32, 32, 0, false, true));
    if (right) PipeBarrier<PIPE_M>();
    Mmad(core.c, core.a2, core.b2, MmadParams(32, 32, 32, 0, false, false));  // {product}
}
TWIN_KERNEL(no_barrier_in_the_cube)

/// K is padded by what lies there, and 0 times NaN is NaN.
/// FAULT: Mmad at {product} on AIC 0: finds infinity or NaN in the padding of K (element 8 of column 0 of L0B): 0 times it is NaN
extern "C" __global__ __aicore__ void padding_of_k_is_not_finite(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIC_ONLY);
    CubeCore core;
    DataCopy(core.a1, global<half>(x), 4096);
    DataCopy(core.b1, global<half>(right ? x : z), 4096);
    After<HardEvent::MTE2_MTE1>();
    LoadData(core.a2, core.a1, LoadData2DParams(0, 16, 1, 0, 0, false, 0));
    LoadData(core.b2, core.b1, LoadData2DParams(0, 16, 1, 0, 0, false, 0));
    After<HardEvent::MTE1_M>();
    Mmad(core.c, core.a2, core.b2, MmadParams(16, 16, 8, 0, false, true));  // {product}
}
TWIN_KERNEL(padding_of_k_is_not_finite)

/// FAULT: Mmad at {product} on AIC 0: reads column 48 of L0B, of which nothing has written all of K up to its padding (3 of 4 blocks of
///     32 bytes)
extern "C" __global__ __aicore__ void l0_that_nobody_filled(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIC_ONLY);
    CubeCore core;
    DataCopy(core.a1, global<half>(x), 4096);
    After<HardEvent::MTE2_MTE1>();
    LoadData(core.a2, core.a1, LoadData2DParams(0, 16, 1, 0, 0, false, 0));
    LoadData(core.b2, core.a1, LoadData2DParams(0, right ? 16 : 15, 1, 0, 0, false, 0));
    After<HardEvent::MTE1_M>();
    Mmad(core.c, core.a2, core.b2, MmadParams(ROWS, ROWS, ROWS, 0, false, true));  // {product}
}
TWIN_KERNEL(l0_that_nobody_filled)

/// FAULT: InitBuffer at {init} on AIC 0: L0A has no room for 1 x 66048 bytes: 0 of its 65536 bytes are taken, 65536 are left
extern "C" __global__ __aicore__ void l0_is_too_small(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIC_ONLY);
    TPipe pipe;
    TBuf<TPosition::A2> memory;
    pipe.InitBuffer(memory, right ? 64 * 1024 : 64 * 1024 + 512);  // {init}
}
TWIN_KERNEL(l0_is_too_small)

/// FAULT: Mmad at {product} on AIC 0: m is 1: the cube would read the left matrix as one vector (GEMV); use m 16
extern "C" __global__ __aicore__ void product_with_one_row(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIC_ONLY);
    CubeCore core;
    Load(core, x);
    After<HardEvent::MTE1_M>();
    Mmad(core.c, core.a2, core.b2, MmadParams(right ? 16 : 1, ROWS, ROWS, 0, false, true));  // {product}
}
TWIN_KERNEL(product_with_one_row)

/// Results of type half need a conversion.
/// FAULT: Fixpipe at {fix} on AIC 0: quantPre does not fit the types: F322F16 is needed
extern "C" __global__ __aicore__ void results_not_converted(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t right)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIC_ONLY);
    CubeCore core;
    Load(core, x);
    After<HardEvent::MTE1_M>();
    Mmad(core.c, core.a2, core.b2, MmadParams(ROWS, ROWS, ROWS, 0, false, true));
    After<HardEvent::M_FIX>();
    FixpipeParamsV220 params(ROWS, ROWS, ROWS, ROWS, false);
    if (right) params.quantPre = QuantMode_t::F322F16;
    Fixpipe(global<half>(y), core.c, params);  // {fix}
}
TWIN_KERNEL(results_not_converted)
