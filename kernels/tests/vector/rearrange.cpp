// Moves between UB and global memory, and what rearranges or selects, against formulas.
#include "harness.h"

using namespace harness;

namespace {

constexpr uint32_t A = 0, B = 64 * 1024, C = 96 * 1024;

template <class T> Image filled()
{
    Image image;
    fill<T>(image, 0, UB_BYTES, 9);
    return image;
}

void broadcasts()
{
    const Image image = filled<float>();
    const uint64_t bits[2] = {0xf00ff00ff00ff00full, 0x1111111111111111ull};
    same("Duplicate, count", image, [] { Duplicate(ub<half>(C), half(3), 333); }, [](Image &ub) {
        for (int i = 0; i < 333; ++i) ub.put<half>(C + 2 * i, nearest<half>(3));
    });
    same("Duplicate, first lanes", image, [] { Duplicate(ub<int32_t>(C), 77, 50, 4, 2, 20); }, [](Image &ub) {
        for (uint32_t r = 0; r < 4; ++r)
            for (uint32_t i = 0; i < 50; ++i) ub.put<int32_t>(C + r * 640 + i / 8 * 64 + i % 8 * 4, 77);
    });
    same("Duplicate, bits", image, [&] { Duplicate(ub<uint16_t>(C), uint16_t(0x1234), bits, 2, 1, 8); }, [&](Image &ub) {
        for (uint32_t r = 0; r < 2; ++r)
            for (uint32_t i = 0; i < 128; ++i)
                if (bits[i / 64] >> i % 64 & 1) ub.put<uint16_t>(C + r * 256 + i * 2, 0x1234);
    });
    same("Brcb of float", image, [] { Brcb(ub<float>(C), ub<float>(A), 3, {2, 17}); }, [](Image &ub) {
        for (uint32_t r = 0; r < 3; ++r)
            for (uint32_t b = 0; b < 8; ++b)
                for (uint32_t i = 0; i < 8; ++i) ub.put<float>(C + r * 544 + b * 64 + i * 4, ub.get<float>(A + (r * 8 + b) * 4));
    });
    same("Brcb of half", image, [] { Brcb(ub<half>(C), ub<half>(A), 2, {1, 8}); }, [](Image &ub) {
        for (uint32_t b = 0; b < 16; ++b)
            for (uint32_t i = 0; i < 16; ++i) ub.put<half>(C + b * 32 + i * 2, ub.get<half>(A + b * 2));
    });
    // Rows next to each other, doubled: each block of the source into two of the destination.
    same("Copy", image, [] {
        Copy(ub<float>(C), ub<float>(A), 64, 4, {2, 1, 16, 8});
        Copy(ub<float>(C + 32), ub<float>(A), 64, 4, {2, 1, 16, 8});
    }, [](Image &ub) {
        for (uint32_t b = 0; b < 32; ++b)
            for (uint32_t twice = 0; twice < 2; ++twice)
                for (uint32_t i = 0; i < 32; ++i) ub.put<uint8_t>(C + b * 64 + twice * 32 + i, ub.get<uint8_t>(A + b * 32 + i));
    });
    same("Copy, bits", image, [&] { Copy(ub<half>(C), ub<half>(A), bits, 2, {1, 0, 300, 1}); }, [&](Image &ub) {
        for (uint32_t r = 0; r < 2; ++r)
            for (uint32_t i = 0; i < 128; ++i)
                if (bits[i / 64] >> i % 64 & 1) ub.put<half>(C + r * 9600 + i * 2, ub.get<half>(A + r * 32 + i % 16 * 2));
    });
    same("DataCopy within UB", image, [] { DataCopy(ub<float>(C), ub<float>(A), DataCopyParams(5, 2, 1, 3)); }, [](Image &ub) {
        for (uint32_t b = 0; b < 5; ++b)
            for (uint32_t i = 0; i < 64; ++i) ub.put<uint8_t>(C + b * 160 + i, ub.get<uint8_t>(A + b * 96 + i));
    });
    same("DataCopy within UB, count", image, [] { DataCopy(ub<half>(C), ub<half>(A), 160); }, [](Image &ub) {
        for (uint32_t i = 0; i < 320; ++i) ub.put<uint8_t>(C + i, ub.get<uint8_t>(A + i));
    });
}

template <class T> void sequences(const char *type)
{
    for (const int32_t count : {3, 16, 100, 700})
        same(std::string("sequences of ") + type, filled<T>(), [&] {
            TPipe pipe;
            CreateVecIndex(ub<T>(C), T(5), count);
            ArithProgression(ub<T>(B), T(1), T(2), count);
        }, [&](Image &ub) {
            // The library writes whole first blocks.
            const int32_t made = std::max<int32_t>(count, 32 / sizeof(T));
            for (int32_t i = 0; i < made; ++i) {
                ub.put<T>(C + i * sizeof(T), T(static_cast<float>(5 + i)));
                ub.put<T>(B + i * sizeof(T), T(static_cast<float>(1 + 2 * i)));
            }
        });
}

template <class T> void gathers()
{
    Image image = filled<T>();
    std::mt19937 random(3);
    for (uint32_t i = 0; i < 1024; ++i) image.put<uint32_t>(B + 4 * i, random() % 4000 * sizeof(T));
    const auto element = [](Image &ub, uint32_t i) { return ub.get<T>(A + 64 + ub.get<uint32_t>(B + 4 * i)); };
    constexpr uint32_t WIDTH = 256 / sizeof(T);
    same("Gather, count", image, [] { Gather(ub<T>(C), ub<T>(A), ub<uint32_t>(B), 64u, 301); }, [&](Image &ub) {
        for (uint32_t i = 0; i < 301; ++i) ub.put<T>(C + i * sizeof(T), element(ub, i));
    });
    same("Gather, first lanes", image, [] { Gather(ub<T>(C), ub<T>(A), ub<uint32_t>(B), 64u, uint64_t(20), 3, 9); }, [&](Image &ub) {
        for (uint32_t r = 0; r < 3; ++r)
            for (uint32_t i = 0; i < 20; ++i) ub.put<T>(C + r * 288 + i * sizeof(T), element(ub, r * WIDTH + i));
    });
    const uint64_t bits[2] = {0x00ff00ff00ff00ffull, 0};
    same("Gather, bits", image, [&] { Gather(ub<T>(C), ub<T>(A), ub<uint32_t>(B), 64u, bits, 2, 8); }, [&](Image &ub) {
        for (uint32_t r = 0; r < 2; ++r)
            for (uint32_t i = 0; i < 64; ++i)
                if (i % 16 < 8) ub.put<T>(C + r * 256 + i * sizeof(T), element(ub, r * WIDTH + i));
    });
    for (const uint8_t pattern : {1, 2, 3, 4, 5, 6, 7}) {
        const auto on = [&](uint32_t i) { return pattern == 7 || (pattern < 3 ? i % 2 + 1u == pattern : i % 4 + 3u == pattern); };
        for (const bool counts : {false, true})
            same("GatherMask", image, [&] {
                uint64_t have = 0, want = 0;
                GatherMask(ub<T>(C), ub<T>(A), pattern, counts, counts ? 37 : 0, {1, 3, 10, 0}, have);
                for (uint32_t i = 0; i < (counts ? 37 : WIDTH); ++i) want += 3 * on(i);
                if (have != want) wrong("GatherMask counts otherwise");
            }, [&](Image &ub) {
                uint32_t at = C;
                for (uint32_t r = 0; r < 3; ++r)
                    for (uint32_t i = 0; i < (counts ? 37 : WIDTH); ++i)
                        if (on(i)) ub.put<T>(at, ub.get<T>(A + r * 320 + i * sizeof(T))), at += sizeof(T);
            });
    }
    using Bits = std::conditional_t<sizeof(T) == 2, uint16_t, uint32_t>;
    same("GatherMask by bits", image, [&] {
        uint64_t count = 0;
        GatherMask(ub<T>(C), ub<T>(A), ub<Bits>(B), false, 0, {1, 2, 8, 1}, count);
    }, [&](Image &ub) {
        uint32_t at = C;
        for (uint32_t r = 0; r < 2; ++r)
            for (uint32_t i = 0; i < WIDTH; ++i)
                if (ub.get<uint8_t>(B + r * 32 + i / 8) >> i % 8 & 1) ub.put<T>(at, ub.get<T>(A + r * 256 + i * sizeof(T))), at += sizeof(T);
    });
}

void gather_blocks()
{
    Image image = filled<float>();
    std::mt19937 random(3);
    for (uint32_t i = 0; i < 32; ++i) image.put<uint32_t>(B + 4 * i, random() % 500 * 32);
    same("Gatherb", image, [] { Gatherb(ub<uint32_t>(C), ub<uint32_t>(A), ub<uint32_t>(B), 3, {2, 20}); }, [](Image &ub) {
        for (uint32_t r = 0; r < 3; ++r)
            for (uint32_t b = 0; b < 8; ++b)
                for (uint32_t i = 0; i < 32; ++i) ub.put<uint8_t>(C + r * 640 + b * 64 + i, ub.get<uint8_t>(A + ub.get<uint32_t>(B + (r * 8 + b) * 4) + i));
    });
}

bool compared(CMPMODE mode, double a, double b)
{
    const bool answers[] = {a < b, a > b, a == b, a <= b, a >= b, a != b};
    return answers[static_cast<int>(mode)];
}

template <class T> void comparisons()
{
    Image image = filled<T>();
    for (uint32_t i = 0; i < 100; ++i) image.put<T>(B + i * 3 * sizeof(T), image.get<T>(A + i * 3 * sizeof(T)));
    constexpr uint32_t WIDTH = 256 / sizeof(T);
    const auto put = [](Image &ub, uint32_t bit, bool on) {
        uint8_t byte = ub.get<uint8_t>(C + bit / 8);
        byte = (byte & ~(1 << bit % 8)) | on << bit % 8;
        ub.put<uint8_t>(C + bit / 8, byte);
    };
    for (const CMPMODE mode : {CMPMODE::LT, CMPMODE::GT, CMPMODE::EQ, CMPMODE::LE, CMPMODE::GE, CMPMODE::NE}) {
        const auto tensors = [&](Image &ub) {
            for (uint32_t i = 0; i < 3 * WIDTH; ++i) put(ub, i, compared(mode, value_of(ub.get<T>(A + i * sizeof(T))), value_of(ub.get<T>(B + i * sizeof(T)))));
        };
        const auto scalar = [&](Image &ub) {
            for (uint32_t i = 0; i < 3 * WIDTH; ++i) put(ub, i, compared(mode, value_of(ub.get<T>(A + i * sizeof(T))), 0.5));
        };
        same("Compare, count", image, [&] { Compare(ub<uint8_t>(C), ub<T>(A), ub<T>(B), mode, 3 * WIDTH); }, tensors);
        same("Compare, repeats", image, [&] { Compare(ub<uint8_t>(C), ub<T>(A), ub<T>(B), mode, WIDTH, 3, BinaryRepeatParams()); }, tensors);
        same("CompareScalar, count", image, [&] { CompareScalar(ub<uint8_t>(C), ub<T>(A), T(0.5f), mode, 3 * WIDTH); }, scalar);
        same("CompareScalar, repeats", image, [&] { CompareScalar(ub<uint8_t>(C), ub<T>(A), T(0.5f), mode, WIDTH, 3, UnaryRepeatParams()); }, scalar);
    }
    // Selections; the bits are random.
    constexpr uint32_t D = 128 * 1024;
    const auto bit = [](Image &ub, uint32_t i) { return ub.get<uint8_t>(D + i / 8) >> i % 8 & 1; };
    const auto select = [&](Image &ub, uint32_t r, uint32_t i, bool reuses, bool scalar) {
        const uint32_t at = (r * WIDTH + i) * sizeof(T);
        ub.put<T>(C + at, bit(ub, reuses ? i : r * WIDTH + i) ? ub.get<T>(A + at) : scalar ? T(2.0f) : ub.get<T>(B + at));
    };
    const auto rows = [&](uint32_t repeats, uint32_t lanes, bool reuses, bool scalar) {
        return [=](Image &ub) {
            for (uint32_t r = 0; r < repeats; ++r)
                for (uint32_t i = 0; i < lanes; ++i) select(ub, r, i, reuses, scalar);
        };
    };
    same("Select by one repeat's bits", image, [&] { Select(ub<T>(C), ub<uint8_t>(D), ub<T>(A), ub<T>(B), SELMODE::VSEL_CMPMASK_SPR, 50, 3, BinaryRepeatParams()); }, rows(3, 50, true, false));
    same("Select of tensors", image, [&] { Select(ub<T>(C), ub<uint8_t>(D), ub<T>(A), ub<T>(B), SELMODE::VSEL_TENSOR_TENSOR_MODE, WIDTH, 3, BinaryRepeatParams()); }, rows(3, WIDTH, false, false));
    same("Select of tensors, count", image, [&] { Select(ub<T>(C), ub<uint8_t>(D), ub<T>(A), ub<T>(B), SELMODE::VSEL_TENSOR_TENSOR_MODE, 2 * WIDTH); }, rows(2, WIDTH, false, false));
    same("Select of a scalar", image, [&] { Select(ub<T>(C), ub<uint8_t>(D), ub<T>(A), T(2.0f), SELMODE::VSEL_TENSOR_SCALAR_MODE, WIDTH, 2, BinaryRepeatParams()); }, rows(2, WIDTH, false, true));
    same("Select of a scalar, count", image, [&] { Select(ub<T>(C), ub<uint8_t>(D), ub<T>(A), T(2.0f), SELMODE::VSEL_TENSOR_SCALAR_MODE, 2 * WIDTH); }, rows(2, WIDTH, false, true));
}

template <class T> void transposes()
{
    const Image image = filled<T>();
    // Rows anywhere: every second block, from the back.
    uint64_t from[16], to[16];
    for (int i = 0; i < 16; ++i) {
        from[i] = ub<T>(A + (15 - i) * 64).GetPhyAddr();
        to[i] = ub<T>(C + i * 96).GetPhyAddr();
    }
    for (const bool high : {false, true}) {
        if (high && sizeof(T) != 1) continue;
        same("TransDataTo5HD", image, [&] { TransDataTo5HD<T>(to, from, TransDataTo5HDParams(high, !high, 3, 100, 64)); }, [&](Image &ub) {
            const uint32_t to_half = sizeof(T) == 1 && high ? 16 : 0, from_half = sizeof(T) == 1 && !high ? 16 : 0;
            for (uint32_t r = 0; r < 3; ++r)
                for (uint32_t row = 0; row < 16; ++row)
                    for (uint32_t column = 0; column < (sizeof(T) == 1 ? 16 : 32 / sizeof(T)); ++column) {
                        const T value = ub.get<T>(uint32_t(from[row]) + r * 64 * 32 + from_half + column * sizeof(T));
                        // Column by column 16 values: one block of 16 bits, half of one of 8, two of 32.
                        const uint32_t block = sizeof(T) == 4 ? 2 * column + row / 8 : column, place = sizeof(T) == 4 ? row % 8 : row;
                        ub.put<T>(uint32_t(to[block]) + r * 100 * 32 + to_half + place * sizeof(T), value);
                    }
        });
    }
}

/// Loads: from global memory that holds bytes by a formula, and stores into it.
void moves()
{
    std::vector<uint8_t> source(64 * 1024), sink(64 * 1024);
    for (size_t i = 0; i < source.size(); ++i) source[i] = uint8_t(i * 7 + i / 256 * 13);
    const auto run = [&](const char *name, auto body) {
        Device device;
        GM_ADDR from = device.add(source);
        sink.assign(sink.size(), 0xee);
        GM_ADDR to = device.add(sink);
        const std::string fault = device.run([&] { body(from, to); }, true);
        if (!fault.empty()) wrong(std::string(name) + ": " + fault);
    };
    const auto expect = [&](const char *name, const std::vector<uint8_t> &want) {
        for (size_t i = 0; i < want.size(); ++i)
            if (sink[i] != want[i]) return wrong(twin::text("%s: byte %zu is %d and not %d", name, i, sink[i], want[i]));
    };
    std::vector<uint8_t> want(sink.size(), 0xee);
    run("DataCopy in and out", [&](GM_ADDR from, GM_ADDR to) {
        DataCopy(ub<half>(), global<half>(from + 2), DataCopyParams(3, 2, 5, 1));
        after<HardEvent::MTE2_MTE3>();
        DataCopy(global<half>(to), ub<half>(), DataCopyParams(3, 2, 1, 4));
        DataCopy(global<half>(to + 1024), ub<half>(96), 32);
    });
    for (uint32_t b = 0; b < 3; ++b)
        for (uint32_t i = 0; i < 64; ++i) want[b * 192 + i] = source[2 + b * 224 + i];
    for (uint32_t i = 0; i < 64; ++i) want[1024 + i] = source[2 + 224 + i];
    expect("DataCopy in and out", want);

    want.assign(want.size(), 0xee);
    run("DataCopyPad", [&](GM_ADDR from, GM_ADDR to) {
        // Three blocks of seven elements, each with two before and three behind.
        DataCopyPad(ub<half>(), global<half>(from), DataCopyExtParams(3, 14, 6, 1, 0), DataCopyPadExtParams<half>(true, 2, 3, half(1)));
        after<HardEvent::MTE2_MTE3>();
        DataCopyPad(global<half>(to), ub<half>(), DataCopyExtParams(3, 24, 1, 10, 0));
    });
    for (uint32_t b = 0; b < 3; ++b)
        for (uint32_t i = 0; i < 24; ++i) {
            const uint8_t one = i % 2 ? 0x3c : 0;
            want[b * 34 + i] = i < 4 || i >= 18 ? one : source[b * 20 + i - 4];
        }
    expect("DataCopyPad", want);

    want.assign(want.size(), 0xee);
    run("DataCopyPad without padding", [&](GM_ADDR from, GM_ADDR to) {
        DataCopyPad(ub<half>(), global<half>(from), DataCopyParams(2, 10, 2, 0), DataCopyPadParams());
        after<HardEvent::MTE2_MTE3>();
        DataCopy(global<half>(to), ub<half>(), 32);
    });
    for (uint32_t b = 0; b < 2; ++b)
        for (uint32_t i = 0; i < 32; ++i) want[b * 32 + i] = i < 10 ? source[b * 12 + i] : source[b * 12 + i % 2];
    expect("DataCopyPad without padding", want);

    // Stores that combine.
    const auto combined = [&](const char *name, auto set, auto formula) {
        std::vector<float> old = values<float>(64, 1), added = values<float>(64, 2), have = old;
        Device device;
        GM_ADDR from = device.add(added);
        GM_ADDR to = device.add(have);
        const std::string fault = device.run([&] {
            DataCopy(ub<float>(), global<float>(from), 64);
            after<HardEvent::MTE2_MTE3>();
            set();
            DataCopy(global<float>(to), ub<float>(), 32);
            DataCopyPad(global<float>(to + 128), ub<float>(128), DataCopyExtParams(1, 4 * 31, 0, 0, 0));
            SetAtomicNone();
        }, true);
        if (!fault.empty()) wrong(std::string(name) + ": " + fault);
        for (int i = 0; i < 64; ++i)
            if (have[i] != (i == 63 ? old[i] : formula(old[i], added[i]))) wrong(std::string(name) + " combines otherwise");
    };
    combined("SetAtomicAdd", [] { SetAtomicAdd<float>(); }, [](float a, float b) { return a + b; });
    combined("SetAtomicMax", [] { SetAtomicMax<float>(); }, [](float a, float b) { return std::max(a, b); });
    combined("SetAtomicMin", [] { SetAtomicMin<float>(); }, [](float a, float b) { return std::min(a, b); });
    combined("SetAtomicNone", [] { SetAtomicAdd<float>(), SetAtomicNone(); }, [](float, float b) { return b; });
}

} // namespace

int main()
{
    broadcasts();
    sequences<int16_t>("int16_t");
    sequences<int32_t>("int32_t");
    sequences<half>("half");
    sequences<float>("float");
    gathers<float>();
    gathers<half>();
    gather_blocks();
    comparisons<float>();
    comparisons<half>();
    transposes<half>();
    transposes<float>();
    transposes<int8_t>();
    same("Transpose", filled<half>(), [] { Transpose(ub<uint16_t>(C), ub<uint16_t>(A)); }, [](Image &ub) {
        for (uint32_t row = 0; row < 16; ++row)
            for (uint32_t column = 0; column < 16; ++column) ub.put<uint16_t>(C + (column * 16 + row) * 2, ub.get<uint16_t>(A + (row * 16 + column) * 2));
    });
    moves();
    return finish();
}
