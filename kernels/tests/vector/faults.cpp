// What vector cores refuse, by whole texts.
#include "harness.h"

using namespace harness;

namespace {

constexpr uint32_t C = 96 * 1024;
const LocalTensor<float> a = ub<float>(), c = ub<float>(C);
const LocalTensor<half> h = ub<half>(), g = ub<half>(C);

void masks_and_repeats()
{
    refused("Adds on AIV 0 of core 0: the number of repeats is 256, and must be in 0..255", [] { Adds(c, a, 1.0f, 64, 256, UnaryRepeatParams()); });
    refused("Adds on AIV 0 of core 0: the mask is 65, and must be in 1..64", [] { Adds(c, a, 1.0f, 65, 1, UnaryRepeatParams()); });
    refused("Adds on AIV 0 of core 0: the mask is 129, and must be in 1..128", [] { Adds(g, h, half(1), 129, 1, UnaryRepeatParams()); });
    refused("Adds on AIV 0 of core 0: the mask is 0, and must be in 1..64", [] { Adds(c, a, 1.0f, uint64_t(0), 1, UnaryRepeatParams()); });
    refused("Exp on AIV 0 of core 0: the mask has bits beyond the 64 lanes of a repeat: mask[0] is 0x1, mask[1] is 0x1", [] {
        const uint64_t mask[2] = {1, 1};
        Exp(c, a, mask, 1, UnaryRepeatParams());
    });
    refused("Exp on AIV 0 of core 0: the mask has no bits", [] { Exp(c, a, MASK_PLACEHOLDER_LIST, 1, UnaryRepeatParams()); });
    refused("Exp on AIV 0 of core 0: is given a mask while the mask register counts elements (SetMaskCount): hardware would take its bits for a number; call "
            "SetMaskNorm() first, or the form with isSetMask = false",
            [] {
                SetMaskCount();
                Exp(c, a, 64, 1, UnaryRepeatParams());
            });
    refused("SetVectorMask on AIV 0 of core 0: counts elements, and SetMaskCount() was not called", [] { SetVectorMask<float, MaskMode::COUNTER>(0, 10); });
    refused("Exp on AIV 0 of core 0: the number of elements is -1, and must be in 0..196608", [] { Exp(c, a, -1); });
    // In the order of the other family.
    refused("BlockReduceMax on AIV 0 of core 0: the mask is 100, and must be in 1..64", [] { BlockReduceMax(c, a, 64, 100, 1, 1, 8); });
    refused("WholeReduceSum on AIV 0 of core 0: the mask is 100, and must be in 1..64", [] { WholeReduceSum(c, a, 100, 64, 1, 1, 8); });
    refused("Compare on AIV 0 of core 0: takes no notice of a mask: it compares all 64 lanes of a repeat",
            [] { Compare(ub<uint8_t>(C), a, a[64], CMPMODE::LT, 32, 1, BinaryRepeatParams()); });
    refused("Compare on AIV 0 of core 0: the number of bytes is 400, and must be a multiple of 256", [] { Compare(ub<uint8_t>(C), a, a, CMPMODE::LT, 100); });
    refused("Compare on AIV 0 of core 0: compares int32_t for equality (CMPMODE::EQ) only", [] { Compare(ub<uint8_t>(C), ub<int32_t>(), ub<int32_t>(), CMPMODE::LT, 64); });
    refused("Cast on AIV 0 of core 0: there is no rounding by CAST_NONE between these two types, but CAST_RINT, CAST_FLOOR, CAST_CEIL, CAST_ROUND, CAST_TRUNC",
            [] { Cast(ub<bfloat16_t>(C), a, RoundMode::CAST_NONE, 64); });
}

void fields()
{
    refused("a parameter on AIV 0 of core 0: 256 does not fit a field that holds 0..255", [] { UnaryRepeatParams(1, 1, 256, 8); });
    refused("a parameter on AIV 0 of core 0: -1 does not fit a field that holds 0..255", [] {
        BinaryRepeatParams params;
        params.src1RepStride = -1;
    });
    refused("a parameter on AIV 0 of core 0: 65536 does not fit a field that holds 0..65535", [] {
        DataCopyExtParams params;
        params.blockCount = 65535;
        params.blockCount += 1;
    });
    refused("a parameter on AIV 0 of core 0: 300 does not fit a field that holds 0..255", [] { Duplicate(c, 1.0f, 64, 2, 1, 300); });
    refused("WholeReduceSum on AIV 0 of core 0: srcRepStride is 65536, and must be in 0..65535", [] { WholeReduceSum(c, a, 64, 1, 1, 1, 65536); });
    refused("WholeReduceSum on AIV 0 of core 0: dstRepStride is -1, and must be in 0..65535", [] { WholeReduceSum(c, a, 64, 1, -1, 1, 8); });
}

void operands()
{
    refused("Add on AIV 0 of core 0: the second source begins at byte 4 of UB, and must be a multiple of 32", [] { Add(c, a, a[1], 64); });
    refused("Muls on AIV 0 of core 0: works in UB, and the destination is in L1", [] { Muls(LocalTensor<float>(TPosition::A1, 0, 256), a, 2.0f, 64); });
    refused("Exp on AIV 0 of core 0: touches UB bytes 0..196864, and this core has 196608", [] { Exp(a, a, 49216); });
    refused("Adds on AIV 0 of core 0: the block stride of the destination is 0: the blocks of a repeat would be written over each other",
            [] { Adds(c, a, 1.0f, 64, 1, {0, 1, 8, 8}); });
    refused("Brcb on AIV 0 of core 0: the block stride of the destination is 0: the blocks of a repeat would be written over each other", [] { Brcb(c, a, 1, {0, 8}); });
    refused("Brcb on AIV 0 of core 0: the destination overlaps the source", [] { Brcb(a, a, 1, {1, 8}); });
    refused("Adds on AIV 0 of core 0: the destination overlaps the source: byte 32 of UB is written by repeat 0 and read by repeat 0; operands may be the same "
            "within a repeat, but not shifted, and no repeat may read what an earlier one writes",
            [] { Adds(a[8], a, 1.0f, 64, 1, UnaryRepeatParams()); });
    refused("Adds on AIV 0 of core 0: the destination overlaps the source: byte 256 of UB is written by repeat 0 and read by repeat 1; operands may be the same "
            "within a repeat, but not shifted, and no repeat may read what an earlier one writes",
            [] { Adds(a[64], a, 1.0f, 64, 3, UnaryRepeatParams()); });
    refused("WholeReduceSum on AIV 0 of core 0: the destination overlaps the source: what repeat 0 writes, a later one reads", [] { WholeReduceSum(a[64], a, 64, 3, 1, 1, 8); });
    refused("BlockReduceSum on AIV 0 of core 0: the destination begins at byte 98320 of UB, and must be a multiple of 32", [] { BlockReduceSum(c[4], a, 1, 64, 1, 1, 8); });
    refused("WholeReduceMax on AIV 0 of core 0: the destination begins at byte 98308 of UB, and must be a multiple of 8", [] { WholeReduceMax(c[1], a, 64, 1, 1, 1, 8); });
    refused("Gather on AIV 0 of core 0: the destination is the source", [] { Gather(a, a, ub<uint32_t>(C), 0u, 8); });
    refused("Gather on AIV 0 of core 0: offset 0 of element 0 leads to byte 2 of UB: offsets count bytes, and must be multiples of 4 within UB",
            [] { Gather(c, a, ub<uint32_t>(64 * 1024), 2u, 8); });
    refused("GatherMask on AIV 0 of core 0: the pattern is 8, and must be in 1..7", [] {
        uint64_t count = 0;
        GatherMask(c, a, 8, false, 0, {1, 1, 8, 0}, count);
    });
    refused("Select on AIV 0 of core 0: is given a tensor and a scalar in a mode of two tensors",
            [] { Select(c, ub<uint8_t>(), a, 1.0f, SELMODE::VSEL_TENSOR_TENSOR_MODE, 64); });
    refused("Select on AIV 0 of core 0: is given two tensors in the mode of a tensor and a scalar",
            [] { Select(c, ub<uint8_t>(), a, a, SELMODE::VSEL_TENSOR_SCALAR_MODE, 64); });
    refused("TransDataTo5HD on AIV 0 of core 0: dstRepStride and srcRepStride must be 0 if there is one repeat", [] {
        uint64_t list[16] = {};
        TransDataTo5HD<half>(list, list, TransDataTo5HDParams(false, false, 1, 16, 0));
    });
    refused("TransDataTo5HD on AIV 0 of core 0: block 1 begins at byte 0 of UB in the source and at 8 in the destination, and must begin at multiples of 32", [] {
        uint64_t to[16] = {0, 8}, from[16] = {};
        TransDataTo5HD<half>(to, from, TransDataTo5HDParams());
    });
    refused("ReduceMax on AIV 0 of core 0: the work tensor has 8 elements, and needs 16", [] { ReduceMax(c, a, LocalTensor<float>(TPosition::VECCALC, 4096, 32), 64 * 4, true); });
    refused("ReduceSum on AIV 0 of core 0: needs a TPipe for its flags", [] { ReduceSum(c, a, a, 64); });
    // The results of blocks whose lanes are all off are none.
    refused("Adds on AIV 0 of core 0: reads byte 98308 of UB, which was freed and not written since", [] {
        BlockReduceSum(c, a, 1, 8, 1, 1, 8);
        PipeBarrier<PIPE_V>();
        Adds(ub<float>(C + 4096), c, 1.0f, 8);
    });
}

void moves()
{
    GM_ADDR address = reinterpret_cast<GM_ADDR>(0x10000);
    refused("DataCopy on AIV 0 of core 0: the number of bytes is 34, and must be a multiple of 32", [=] { DataCopy(global<half>(address), h, 17); });
    refused("DataCopy on AIV 0 of core 0: the source begins at byte 16 of UB, and must be a multiple of 32", [=] { DataCopy(global<half>(address), h[8], 32); });
    refused("DataCopy on AIV 0 of core 0: blockLen is 0, and must be in 1..65535", [=] { DataCopy(global<half>(address), h, DataCopyParams(1, 0, 0, 0)); });
    refused("DataCopy on AIV 0 of core 0: blockCount is 4096, and must be in 1..4095", [=] { DataCopy(global<half>(address), h, DataCopyParams(4096, 1, 0, 0)); });
    refused("DataCopyPad on AIV 0 of core 0: blockLen is 15, and must be a multiple of 2",
            [=] { DataCopyPad(h, global<half>(address), DataCopyExtParams(1, 15, 0, 0, 0), DataCopyPadExtParams<half>()); });
    refused("DataCopyPad on AIV 0 of core 0: the bytes of leftPadding is 34, and must be in 0..32",
            [=] { DataCopyPad(h, global<half>(address), DataCopyExtParams(1, 16, 0, 0, 0), DataCopyPadExtParams<half>(true, 17, 0, half(0))); });
    refused("DataCopyPad on AIV 0 of core 0: leftPadding and rightPadding have no meaning without isPad",
            [=] { DataCopyPad(h, global<half>(address), DataCopyExtParams(1, 16, 0, 0, 0), DataCopyPadExtParams<half>(false, 0, 1, half(0))); });
    refused("DataCopyPad on AIV 0 of core 0: blockLen is 2097152, and must be in 1..2097151",
            [=] { DataCopyPad(global<half>(address), h, DataCopyExtParams(1, 2097152, 0, 0, 0)); });
    refused("DataCopy on AIV 0 of core 0: stores half while stores combine as float; SetAtomicNone() is missing, or the type is another", [=] {
        SetAtomicAdd<float>();
        DataCopy(global<half>(address), h, 16);
    });
    refused("DataCopy on AIV 0 of core 0: the destination overlaps the source", [] { DataCopy(h[16], h, 32); });
    // What lies behind the padding that was asked for.
    refused("Adds on AIV 0 of core 0: reads byte 12 of UB, which was freed and not written since", [=] {
        DataCopyPad(h, global<half>(address), DataCopyExtParams(1, 8, 0, 0, 0), DataCopyPadExtParams<half>(true, 0, 2, half(0)));
        PipeBarrier<PIPE_ALL>();
        Adds(g, h, half(1), 16);
    });
}

void queues()
{
    refused("InitBuffer on AIV 0 of core 0: UB has no room for 2 x 65536 bytes: 131072 of its 196352 bytes are taken, 65280 are left", [] {
        TPipe pipe;
        TBuf<> first;
        pipe.InitBuffer(first, 131072);
        TQue<TPosition::VECIN, 2> queue;
        pipe.InitBuffer(queue, 2, 65536);
    });
    refused("InitBuffer on AIV 0 of core 0: is for L0A, which this core does not have", [] {
        TPipe pipe;
        TBuf<TPosition::A2> buffer;
        pipe.InitBuffer(buffer, 1024);
    });
    refused("InitBuffer on AIV 0 of core 0: makes 65 buffers, and a TPipe has 64 at most", [] {
        TPipe pipe;
        TQue<TPosition::VECIN, 1> queue;
        TBuf<> buffer;
        pipe.InitBuffer(queue, 64, 32);
        pipe.InitBuffer(buffer, 32);
    });
    refused("AllocTensor on AIV 0 of core 0: all 1 buffers are in use; the first since faults.cpp:LINE; FreeTensor is missing, or one more buffer", [] {
        TPipe pipe;
        TQue<TPosition::VECIN, 1> queue;
        pipe.InitBuffer(queue, 1, 32);
        queue.AllocTensor<half>();
        queue.AllocTensor<half>();
    });
    refused("AllocTensor on AIV 0 of core 0: the queue has no buffers: InitBuffer is missing", [] {
        TPipe pipe;
        TQue<TPosition::VECIN, 1> queue;
        queue.AllocTensor<half>();
    });
    refused("EnQue on AIV 0 of core 0: the queue holds its depth of 1 already; DeQue is missing, or a deeper queue", [] {
        TPipe pipe;
        TQue<TPosition::VECIN, 1> queue;
        pipe.InitBuffer(queue, 2, 32);
        queue.EnQue(queue.AllocTensor<half>());
        queue.EnQue(queue.AllocTensor<half>());
    });
    refused("EnQue on AIV 0 of core 0: the tensor is not of this queue", [] {
        TPipe pipe;
        TQue<TPosition::VECIN, 1> queue;
        pipe.InitBuffer(queue, 2, 32);
        queue.EnQue(g);
    });
    refused("DeQue on AIV 0 of core 0: the queue is empty: EnQue is missing", [] {
        TPipe pipe;
        TQue<TPosition::VECIN, 1> queue;
        pipe.InitBuffer(queue, 2, 32);
        queue.DeQue<half>();
    });
    refused("FreeTensor on AIV 0 of core 0: the tensor is free since faults.cpp:LINE", [] {
        TPipe pipe;
        TQue<TPosition::VECIN, 1> queue;
        pipe.InitBuffer(queue, 1, 32);
        LocalTensor<half> tensor = queue.AllocTensor<half>();
        queue.FreeTensor(tensor);
        queue.FreeTensor(tensor);
    });
    refused("FreeTensor on AIV 0 of core 0: the tensor is in the queue since faults.cpp:LINE; DeQue is missing", [] {
        TPipe pipe;
        TQue<TPosition::VECIN, 1> queue;
        pipe.InitBuffer(queue, 1, 32);
        LocalTensor<half> tensor = queue.AllocTensor<half>();
        queue.EnQue(tensor);
        queue.FreeTensor(tensor);
    });
    refused("TPipe on AIV 0 of core 0: ends with a tensor in a queue that nobody took out: EnQue at faults.cpp:LINE", [] {
        TPipe pipe;
        TQue<TPosition::VECIN, 1> queue;
        pipe.InitBuffer(queue, 1, 32);
        queue.EnQue(queue.AllocTensor<half>());
    });
    refused("TPipe on AIV 0 of core 0: is made while another one lives; a core has one", [] {
        TPipe one;
        TPipe two;
    });
    refused("AllocEventID on AIV 0 of core 0: all 8 flags V_MTE2 are given out; a queue holds one for each of its buffers that is full or freed", [] {
        TPipe pipe;
        for (int i = 0; i < 9; ++i) pipe.AllocEventID<HardEvent::V_MTE2>();
    });
    refused("GetWithOffset on AIV 0 of core 0: asks for bytes 64..320 of a buffer of 256 bytes", [] {
        TPipe pipe;
        TBuf<> buffer;
        pipe.InitBuffer(buffer, 256);
        buffer.GetWithOffset<float>(64, 64);
    });
    refused("TBuf on AIV 0 of core 0: has no memory: InitBuffer is missing", [] {
        TBuf<> buffer;
        buffer.Get<float>();
    });
    // A freed tensor holds nothing.
    refused("Adds on AIV 0 of core 0: reads byte 0 of UB, which was freed and not written since", [] {
        TPipe pipe;
        TQue<TPosition::VECIN, 1> queue;
        pipe.InitBuffer(queue, 1, 256);
        LocalTensor<float> tensor = queue.AllocTensor<float>();
        queue.FreeTensor(tensor);
        Adds(c, tensor, 1.0f, 64);
    });
}

} // namespace

int main()
{
    masks_and_repeats();
    fields();
    operands();
    moves();
    queues();
    return finish();
}
