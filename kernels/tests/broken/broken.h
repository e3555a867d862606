/// What the kernels of this folder share. Each has one mistake, which is repaired when `right` is not 0. Above each is the whole text of
/// the fault, without the kernel's name in front, after `FAULT:`; `{name}` stands for the file and the line that ends in `// {name}`.
/// `BLOCKS:` says how many blocks are launched with the mistake and without, 1 if it is missing. Arguments: `x`, 64 KiB of zeros; `y`, the
/// same; `z`, 64 KiB of bytes 0xff, which are NaN.
#pragma once

#include "entry.h"
#include "kernel_operator.h"

using namespace AscendC;

// All kernels take the same arguments.
#pragma GCC diagnostic ignored "-Wunused-parameter"

constexpr uint32_t GM_BYTES = 64 * 1024;

template <typename T> inline GlobalTensor<T> global(GM_ADDR address)
{
    GlobalTensor<T> tensor;
    tensor.SetGlobalBuffer((__gm__ T *)address, GM_BYTES / sizeof(T));
    return tensor;
}

/// A vector core with four buffers of 1024 floats in UB.
struct VectorCore {
    TPipe pipe;
    TBuf<TPosition::VECCALC> memory;
    LocalTensor<float> a, b, c, d;

    VectorCore()
    {
        pipe.InitBuffer(memory, 4 * 4096);
        a = memory.GetWithOffset<float>(1024, 0);
        b = memory.GetWithOffset<float>(1024, 4096);
        c = memory.GetWithOffset<float>(1024, 2 * 4096);
        d = memory.GetWithOffset<float>(1024, 3 * 4096);
    }
};

/// A cube core with matrices of 64 x 64 halves in L1, their copies in L0 and the product in L0C.
struct CubeCore {
    TPipe pipe;
    TBuf<TPosition::A1> l1;
    TBuf<TPosition::A2> l0a;
    TBuf<TPosition::B2> l0b;
    TBuf<TPosition::CO1> l0c;
    LocalTensor<half> a1, b1, a2, b2;
    LocalTensor<float> c;

    CubeCore()
    {
        pipe.InitBuffer(l1, 2 * 8192);
        pipe.InitBuffer(l0a, 8192);
        pipe.InitBuffer(l0b, 8192);
        pipe.InitBuffer(l0c, 64 * 64 * 4);
        a1 = l1.GetWithOffset<half>(4096, 0);
        b1 = l1.GetWithOffset<half>(4096, 8192);
        a2 = l0a.Get<half>();
        b2 = l0b.Get<half>();
        c = l0c.Get<float>();
    }
};

constexpr event_t ID = EVENT_ID3;

template <HardEvent event> inline void After(twin::Where where = twin::Where::here())
{
    SetFlag<event>(ID, where);
    WaitFlag<event>(ID, where);
}
