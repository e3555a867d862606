// TPipe, TQue, TQueBind, TBuf: buffers, states and flags.
#include "harness.h"

using namespace harness;

namespace {

/// y = 2 x over `tiles` tiles with `buffers` buffers on either side; virtual time in cycles.
double doubled(uint32_t buffers, uint32_t tiles)
{
    constexpr uint32_t TILE = 2048;
    std::vector<float> x = values<float>(TILE * tiles, 1), y(TILE * tiles);
    Device device;
    GM_ADDR from = device.add(x);
    GM_ADDR to = device.add(y);
    double time = 0;
    const std::string fault = device.run([&] {
        {
            TPipe pipe;
            TQue<TPosition::VECIN, 1> in;
            TQue<TPosition::VECOUT, 2> out;
            pipe.InitBuffer(in, buffers, TILE * 4);
            pipe.InitBuffer(out, buffers, TILE * 4);
            for (uint32_t i = 0; i < tiles; ++i) {
                LocalTensor<float> a = in.AllocTensor<float>();
                DataCopy(a, global<float>(from)[i * TILE], TILE);
                in.EnQue(a);
                a = in.DeQue<float>();
                LocalTensor<float> b = out.AllocTensor<float>();
                Muls(b, a, 2.0f, TILE);
                in.FreeTensor(a);
                out.EnQue(b);
                b = out.DeQue<float>();
                DataCopy(global<float>(to)[i * TILE], b, TILE);
                out.FreeTensor(b);
            }
        }
        time = twin::core().now;
    }, true);
    if (!fault.empty()) wrong(fault);
    for (size_t i = 0; i < x.size(); ++i)
        if (y[i] != 2 * x[i]) return wrong(twin::text("element %zu of a doubled tensor", i)), 0;
    return time;
}

/// Straight from global memory and back.
void bound_queue()
{
    std::vector<float> x = values<float>(1024, 1), y(1024);
    Device device;
    GM_ADDR from = device.add(x);
    GM_ADDR to = device.add(y);
    const std::string fault = device.run([&] {
        TPipe pipe;
        TQueBind<TPosition::VECIN, TPosition::VECOUT, 2> through;
        pipe.InitBuffer(through, 2, 512);
        for (uint32_t i = 0; i < 8; ++i) {
            LocalTensor<float> tensor = through.AllocTensor<float>();
            DataCopy(tensor, global<float>(from)[i * 128], 128);
            through.EnQue(tensor);
            tensor = through.DeQue<float>();
            DataCopy(global<float>(to)[i * 128], tensor, 128);
            through.FreeTensor(tensor);
        }
    }, true);
    if (!fault.empty()) wrong(fault);
    if (x != y) wrong("a bound queue moved otherwise");
}

/// Positions of cube cores have queues too.
void cube_queues()
{
    const std::string fault = Device().run([] {
        TPipe pipe;
        // The library holds the first three of these.
        if (pipe.FetchEventID(HardEvent::M_MTE1) != 3) wrong("M_MTE1 is given out otherwise");
        TQue<TPosition::A1, 2> a1;
        TQue<TPosition::A2, 1> a2;
        TQue<TPosition::B2, 1> b2;
        TQue<TPosition::C1, 1> c1;
        TQue<TPosition::C2, 1> c2;
        TQue<TPosition::CO1, 1> co1;
        TBuf<TPosition::B1> b1;
        pipe.InitBuffer(a1, 2, 1024);
        pipe.InitBuffer(b1, 4096);
        pipe.InitBuffer(a2, 1, 64 * 1024);
        pipe.InitBuffer(b2, 2, 32 * 1024);
        pipe.InitBuffer(c1, 1, 64);
        pipe.InitBuffer(c2, 1, 64);
        pipe.InitBuffer(co1, 1, 128 * 1024);
        const auto round = [](auto &queue, twin::Space space, uint32_t start, uint32_t elements) {
            LocalTensor<half> tensor = queue.template AllocTensor<half>();
            if (tensor.space() != space || tensor.start() != start || tensor.GetSize() != elements) wrong("a queue of a cube core lies elsewhere");
            queue.EnQue(tensor);
            tensor = queue.template DeQue<half>();
            queue.FreeTensor(tensor);
        };
        round(a1, twin::Space::L1, 0, 512);
        round(a1, twin::Space::L1, 1024, 512);
        round(a2, twin::Space::L0A, 0, 32 * 1024);
        round(b2, twin::Space::L0B, 0, 16 * 1024);
        round(c1, twin::Space::L1, 2048 + 4096, 32);
        round(c2, twin::Space::BT, 0, 32);
        round(co1, twin::Space::L0C, 0, 64 * 1024);
        if (b1.Get<half>().start() != 2048) wrong("TBuf lies elsewhere");
    });
    if (!fault.empty()) wrong(fault);
}

void ids_and_states()
{
    const std::string fault = Device().run([] {
        TPipe pipe;
        for (int i = 0; i < 8; ++i)
            if (pipe.AllocEventID<HardEvent::MTE3_MTE2>() != i) wrong("flags are given out in another order");
        pipe.ReleaseEventID<HardEvent::MTE3_MTE2>(5);
        if (pipe.FetchEventID(HardEvent::MTE3_MTE2) != 5 || pipe.FetchEventID<HardEvent::MTE3_MTE2>() != 5) wrong("FetchEventID is not the lowest");
        if (pipe.FetchEventID(HardEvent::V_S) != 0) wrong("events share flags");
        if (GetTPipePtr() != &pipe) wrong("GetTPipePtr is another");
        TQue<TPosition::VECIN, 2> queue;
        pipe.InitBuffer(queue, 2, 100);
        LocalTensor<int32_t> one = queue.AllocTensor<int32_t>(), two = queue.AllocTensor<int32_t>();
        if (one.start() != 0 || two.start() != 128 || one.GetSize() != 32) wrong("buffers are not rounded to 32 bytes");
        if (queue.HasIdleBuffer() || queue.HasTensorInQue() || !queue.VacantInQue()) wrong("states after two AllocTensor");
        queue.EnQue(two);
        queue.EnQue(one);
        if (queue.VacantInQue() || queue.GetTensorCountInQue() != 2 || queue.GetState(one) != TBufState::ENQUE) wrong("states after two EnQue");
        if (queue.DeQue<int32_t>().start() != 128 || queue.DeQue<int32_t>().start() != 0) wrong("a queue has another order");
        queue.FreeTensor(one);
        queue.FreeTensor(two);
        if (!queue.HasIdleBuffer() || queue.GetState(two) != TBufState::FREE) wrong("states after FreeTensor");
        pipe.Reset();
        TBuf<> all;
        pipe.InitBuffer(all, UB_BYTES - 256);
        if (all.Get<half>().GetSize() != (UB_BYTES - 256) / 2 || all.GetWithOffset<float>(8, 64).start() != 64) wrong("TBuf gives otherwise");
    }, true);
    if (!fault.empty()) wrong(fault);
}

} // namespace

int main()
{
    const double one = doubled(1, 16), two = doubled(2, 16);
    if (two > 0.9 * one) wrong(twin::text("two buffers take %.0f cycles, one %.0f", two, one));
    doubled(3, 7);
    bound_queue();
    cube_queues();
    ids_and_states();
    return finish();
}
