// What the cube's instructions refuse, by whole texts.
#include <regex>

#include "harness.h"

using namespace harness;

namespace {

std::vector<half> memory;
GM_ADDR address;
Device device;

/// The text of a fault, but for the line in this file and the core.
void refused(const char *what, const std::function<void()> &body, bool vector = false)
{
    std::string have = std::regex_replace(device.run(body, vector), std::regex(" at faults.cpp:[0-9]+( on [^:]*)?"), "");
    const std::string want = std::string("test: ") + what;
    if (have != want) wrong("have " + have + "\nwant " + want);
}

void fill_l0(uint32_t bytes)
{
    InitConstValue(l0a<half>(), InitConstValueParams<half>(1, bytes / 512, 0, half(1.0f)));
    InitConstValue(l0b<half>(), InitConstValueParams<half>(1, bytes / 512, 0, half(1.0f)));
    after<HardEvent::MTE1_M>();
}

void paths()
{
    refused("DataCopy: is an instruction of vector (AIV) cores", [] {
        DataCopy(LocalTensor<half>(TPosition::VECIN, 0, 1024), global<half>(address), 64);
    });
    refused("DataCopy: copies from global memory to UB or L1, not to L0A", [] { DataCopy(l0a<half>(), global<half>(address), 64); });
    refused("DataCopy: is an instruction of cube (AIC) cores", [] { DataCopy(l1<half>(), global<half>(address), 64); }, true);
    refused("LoadData (2D): goes from L1 to L0A or L0B, not from L1 to L1",
            [] { LoadData(l1<half>(), l1<half>(), LoadData2DParams(0, 1, 1, 0, 0, false, 0)); });
    refused("DataCopy: there is no path from UB to L1",
            [] { DataCopy(l1<half>(), LocalTensor<half>(TPosition::VECIN, 0, 1024), DataCopyParams(1, 1, 0, 0)); });
    refused("Fixpipe: writes L1 in NZ (CFG_NZ) and as half or bfloat16_t only", [] {
        Fixpipe<half, float>(l1<half>(), l0c<float>(), FixpipeParamsV220(16, 16, 16, 16, false, QuantMode_t::F322F16, 0, 1, 0, 0, 0));
    });
    refused("Mmad: takes a bias from BT, not from L0C",
            [] { Mmad(l0c<float>(), l0a<half>(), l0b<half>(), l0c<float>(1024), MmadParams(16, 16, 16, 0, true, false)); });
}

void limits()
{
    refused("DataCopy: the number of bytes is 34, and must be a multiple of 32", [] { DataCopy(l1<half>(), global<half>(address), 17); });
    refused("DataCopy (ND to NZ): nValue is 16385, and must be in 0..16384",
            [] { DataCopy(l1<half>(), global<half>(address), Nd2NzParams(1, 16385, 16, 0, 16, 16, 1, 0)); });
    refused("a parameter: 70000 does not fit a field that holds 0..65535",
            [] { DataCopy(l1<half>(), global<half>(address), Nd2NzParams(1, 16, 16, 0, 70000, 16, 1, 0)); });
    refused("LoadData (2D): the destination's address is 32, and must be a multiple of 512",
            [] { LoadData(l0a<half>(32), l1<half>(), LoadData2DParams(0, 1, 1, 0, 0, false, 0)); });
    refused("LoadData (2D): touches L0B bytes 65024..66048, and this core has 65536",
            [] { LoadData(l0b<half>(65024), l1<half>(), LoadData2DParams(0, 2, 1, 0, 0, false, 0)); });
    refused("Mmad: the result's address is 512, and must be a multiple of 1024",
            [] { Mmad(l0c<float>(512), l0a<half>(), l0b<half>(), MmadParams(16, 16, 16, 0, false, true)); });
    refused("Mmad: k is 4096, and must be in 0..4095",
            [] { Mmad(l0c<float>(), l0a<half>(), l0b<half>(), MmadParams(16, 16, 4096, 0, false, true)); });
    refused("Mmad: m is 1: the cube would read the left matrix as one vector (GEMV); use m 16",
            [] { Mmad(l0c<float>(), l0a<half>(), l0b<half>(), MmadParams(1, 16, 16, 0, false, true)); });
    refused("Mmad: cmatrixInitVal is true, so C would start from 0 and not from the bias",
            [] { Mmad(l0c<float>(), l0a<half>(), l0b<half>(), bt<float>(), MmadParams(16, 16, 16, 0, true, true)); });
    refused("LoadData (3D): loads columns 144..160 of a matrix that has 144", [] {
        const uint8_t pad[4] = {1, 1, 1, 1};
        LoadData(l0a<half>(), l1<half>(), LoadData3DParamsV2<half>(pad, 4, 4, 16, 16, 16, 144, 0, 1, 1, 3, 3, 1, 1, false, false, half(0)));
    });
    refused("Fixpipe: mSize is 8193, and must be in 1..8192", [] {
        Fixpipe(global<float>(address), l0c<float>(), FixpipeParamsV220(16, 8193, 16, 16, false));
    });
    refused("Fixpipe: quantPre does not fit the types: F322F16 is needed", [] {
        Fixpipe(global<half>(address), l0c<float>(), FixpipeParamsV220(16, 16, 16, 16, false));
    });
}

void contents()
{
    const auto products = [](uint32_t m, uint32_t n, uint32_t k) {
        after<HardEvent::MTE1_M>();
        Mmad(l0c<float>(), l0a<half>(), l0b<half>(), MmadParams(m, n, k, 0, false, true));
        after<HardEvent::M_FIX>();
    };
    const auto out = [](uint32_t m, uint32_t n, uint32_t rows) {
        Fixpipe(global<float>(address), l0c<float>(), FixpipeParamsV220(n, m, rows, n, false));
    };
    // Five rows of the left matrix arrive; the rest of its fractal is padding.
    const auto five_rows = [](uint32_t columns) {
        DataCopy(l1<half>(), global<half>(address), Nd2NzParams(1, 5, columns, 0, columns, 16, 1, 0));
        after<HardEvent::MTE2_MTE1>();
        LoadData(l0a<half>(), l1<half>(), LoadData2DParams(0, 2, 1, 0, 0, false, 0));
        InitConstValue(l0b<half>(), InitConstValueParams<half>(1, 2, 0, half(1.0f)));
    };
    good("padding of rows that nobody reads", device, [&] {
        five_rows(32);
        products(16, 16, 32);
        out(5, 16, 16);
    });
    refused("Fixpipe: reads byte 320 of L0C, which was freed and not written since", [&] {
        five_rows(32);
        products(16, 16, 32);
        out(6, 16, 16);
    });
    refused("Mmad: reads row 0 of L0A, of which nothing has written all of K up to its padding (1 of 2 blocks of 32 bytes)", [&] {
        five_rows(16);
        products(16, 16, 32);
    });
    good("columns are padded with zeros", device, [&] {
        five_rows(20);
        products(16, 16, 20);
        out(5, 16, 16);
    });
    refused("Mmad: finds infinity or NaN in the padding of K (element 15 of column 0 of L0B): 0 times it is NaN", [&] {
        fill_l0(512);
        twin::core().memory(twin::Space::L0B)[31] = 0x7c;
        products(16, 16, 15);
    });
    refused("Mmad: adds to what the Mmad before it wrote, and with 3 x 3 blocks it can start before that is there: "
            "PipeBarrier<PIPE_M>() between two that accumulate is needed below 10 blocks",
            [&] {
                fill_l0(4096);
                Mmad(l0c<float>(), l0a<half>(), l0b<half>(), MmadParams(48, 48, 16, 0, false, true));
                Mmad(l0c<float>(), l0a<half>(), l0b<half>(), MmadParams(48, 48, 16, 0, false, false));
            });
    good("ten blocks need no barrier", device, [&] {
        fill_l0(4096);
        Mmad(l0c<float>(), l0a<half>(), l0b<half>(), MmadParams(80, 32, 16, 0, false, true));
        Mmad(l0c<float>(), l0a<half>(), l0b<half>(), MmadParams(80, 32, 16, 0, false, false));
    });
}

void unit_flags()
{
    const auto product = [](uint32_t flag, bool first) {
        Mmad(l0c<float>(), l0a<half>(), l0b<half>(), MmadParams(64, 64, 16, flag, false, first));
    };
    const auto out = [](uint32_t flag) {
        Fixpipe(global<float>(address), l0c<float>(), FixpipeParamsV220(64, 64, 64, 64, false, QuantMode_t::NoQuant, 0, 1, 0, 0, flag));
    };
    good("the unit flag stands for flags", device, [&] {
        fill_l0(4096);
        for (int i = 0; i < 3; ++i) {
            product(2, true);
            product(3, false);
            out(3);
        }
    });
    refused("Fixpipe: has a unitFlag and reads L0C that no Mmad with unitFlag 3 has handed over: it would wait forever", [&] {
        fill_l0(4096);
        product(2, true);
        out(3);
    });
    refused("Mmad: writes L0C that a Mmad with unitFlag 3 has handed over and no Fixpipe with unitFlag has emptied: the cube "
            "would wait forever",
            [&] {
                fill_l0(4096);
                product(3, true);
                product(2, true);
            });
    refused("Fixpipe: reads byte 0 of L0C, which Mmad (M) writes, and nothing orders the two; put "
            "SetFlag<HardEvent::M_FIX> after that and WaitFlag<HardEvent::M_FIX> before this",
            [&] {
                fill_l0(4096);
                product(0, true);
                out(0);
            });
}

} // namespace

int main()
{
    memory = values<half>(65536, 1);
    address = device.add(memory);
    paths();
    limits();
    contents();
    unit_flags();
    return finish();
}
