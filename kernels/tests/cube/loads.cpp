// Copies and loads into L1 and L0 against their index formulas.
#include "harness.h"

using namespace harness;

template <class T> void nd_to_nz()
{
    struct Case {
        uint32_t matrices, rows, columns, pitch, c0_stride, n_stride, from_matrix, to_matrix;
    };
    constexpr uint32_t C0 = 32 / sizeof(T);
    for (const Case &c : {Case{1, 16, C0, C0, 16, 1, 0, 0}, Case{1, 5, 3 * C0 + 1, 4 * C0 + 3, 16, 1, 0, 0}, Case{1, 33, 1, 7, 48, 1, 0, 0},
                          Case{3, 7, 2 * C0, 40 * C0, 16, 1, 5 * C0, 40 * C0}, Case{2, 4, C0 + 5, 3 * C0, 40, 3, 12 * C0, 120 * C0},
                          Case{1, 1, 9 * C0, 65535, 1, 1, 0, 0}}) {
        auto source = values<T>(70000, c.rows);
        Device device;
        const auto address = device.add(source);
        const std::string name = twin::text("nd2nz of %zu bytes, %u x %u x %u", sizeof(T), c.matrices, c.rows, c.columns);
        good(name, device, [&] {
            Nd2NzParams params(c.matrices, c.rows, c.columns, c.from_matrix, c.pitch, c.c0_stride, c.n_stride, c.to_matrix);
            DataCopy(l1<T>(64), global<T>(address)[3], params);
            std::vector<int> want(65536, -1);
            for (uint32_t m = 0; m < c.matrices; ++m)
                for (uint32_t r = 0; r < c.rows; ++r)
                    for (uint32_t x = 0; x < (c.columns + C0 - 1) / C0 * C0; ++x) {
                        T value{};
                        if (x < c.columns) value = source[3 + m * c.from_matrix + r * c.pitch + x];
                        const size_t to = m * c.to_matrix + x / C0 * c.c0_stride * C0 + r * c.n_stride * C0 + x % C0;
                        uint8_t bytes[sizeof(T)] = {};
                        if (x < c.columns) std::memcpy(bytes, &value, sizeof(T));
                        for (size_t b = 0; b < sizeof(T); ++b) want[to * sizeof(T) + b] = bytes[b];
                    }
            compare(name, twin::Space::L1, 64, 65536, [&](uint32_t i) { return want[i]; });
        });
    }
}

void blocks()
{
    auto source = values<uint8_t>(65536, 1);
    Device device;
    const auto address = device.add(source);
    good("blocks to L1", device, [&] {
        DataCopy(l1<half>(32), global<half>(address)[5], DataCopyParams(3, 4, 2, 5));
        compare("blocks to L1", twin::Space::L1, 32, 1024, [&](uint32_t i) {
            const uint32_t block = i / (9 * 32), at = i % (9 * 32);
            return block < 3 && at < 128 ? source[10 + block * 6 * 32 + at] : -1;
        });
        DataCopy(l1<half>(4096), global<half>(address), 512);
        compare("elements to L1", twin::Space::L1, 4096, 2048, [&](uint32_t i) { return i < 1024 ? source[i] : -1; });
        after<HardEvent::MTE2_MTE1>();
        DataCopy(bt<float>(128), l1<half>(4096).ReinterpretCast<float>(), DataCopyParams(2, 1, 3, 1));
        compare("L1 to BT", twin::Space::BT, 128, 512, [&](uint32_t i) {
            const uint32_t block = i / 128, at = i % 128;
            return block < 2 && at < 64 ? source[block * 160 + at] : -1;
        });
    });
    good("fills", device, [&] {
        InitConstValue(l1<half>(0), InitConstValueParams<half>(2, 3, 1, half(1.5f)));
        InitConstValue(l0a<float>(1024), InitConstValueParams<float>(2, 1, 1, -2.0f));
        InitConstValue(l0b<bfloat16_t>(0), InitConstValueParams<bfloat16_t>(1, 2, 0, bfloat16_t(1.0f)));
        compare("fill of L1", twin::Space::L1, 0, 512, [&](uint32_t i) {
            return i < 7 * 32 && i % 128 < 96 ? (i % 2 ? 0x3e : 0) : -1;
        });
        compare("fill of L0A", twin::Space::L0A, 1024, 4096, [&](uint32_t i) {
            return i < 3 * 512 && i % 1024 < 512 ? (i % 4 == 3 ? 0xc0 : 0) : -1;
        });
        compare("fill of L0B", twin::Space::L0B, 0, 4096, [&](uint32_t i) { return i < 1024 ? (i % 2 ? 0x3f : 0x80) : -1; });
    });
}

void fractals()
{
    auto source = values<uint8_t>(65536, 2);
    Device device;
    const auto address = device.add(source);
    struct Case {
        uint32_t start, repeats, stride, gap;
        bool turn, down;
    };
    for (const Case &c : {Case{0, 7, 1, 0, false, false}, Case{3, 5, 4, 2, false, false}, Case{2, 6, 3, 1, true, false},
                          Case{20, 4, 5, 0, false, true}, Case{1, 1, 0, 0, true, false}, Case{0, 0, 1, 0, false, false}}) {
        const std::string name = twin::text("fractals from %u, %u times, every %u", c.start, c.repeats, c.stride);
        const auto want = [&](uint32_t i) -> int {
            const uint32_t fractal = i / 512, index = fractal / (c.gap + 1);
            if (fractal % (c.gap + 1) || index >= c.repeats) return -1;
            const uint32_t from = c.down ? c.start - index * c.stride : c.start + index * c.stride;
            const uint32_t at = i % 512, row = at / 32, column = at % 32 / 2;
            return source[from * 512 + (c.turn ? column * 32 + row * 2 + at % 2 : at)];
        };
        good(name, device, [&] {
            DataCopy(l1<half>(), global<half>(address), 32768);
            after<HardEvent::MTE2_MTE1>();
            const LoadData2DParams params(c.start, c.repeats, c.stride, 0, c.gap, c.turn, c.down);
            LoadData(l0a<half>(512), l1<half>(), params);
            LoadData(l0b<half>(1024), l1<half>(), params);
            compare(name + " into L0A", twin::Space::L0A, 512, 32768, want);
            compare(name + " into L0B", twin::Space::L0B, 1024, 32768, want);
        });
        if (c.turn || c.down) continue;
        good(name + " from global memory", device, [&] {
            const LoadData2DParams params(c.start, c.repeats, c.stride, 0, c.gap, false, 0);
            LoadData(l1<half>(32), global<half>(address), params);
            LoadData(l0b<half>(), global<half>(address), params);
            compare(name + " from global memory into L1", twin::Space::L1, 32, 32768, want);
            compare(name + " from global memory into L0B", twin::Space::L0B, 0, 32768, want);
        });
    }
}

/// Squares: element (r, c) of square s of the source is element (c, r) of square s of the destination.
template <class T> void squares()
{
    constexpr uint32_t SIDE = sizeof(T) == 1 ? 32 : 16, PARTS = sizeof(T) == 2 ? 1 : 2, COLUMNS = 32 / sizeof(T);
    auto source = values<uint8_t>(65536, 3);
    Device device;
    const auto address = device.add(source);
    const std::string name = twin::text("squares of %zu bytes", sizeof(T));
    for (const uint32_t stride : {1u, 3u}) {
        const uint32_t start = 2, repeats = 4, gap = PARTS * 2 - 1, part_gap = stride == 1 ? 0 : PARTS;
        good(name, device, [&] {
            DataCopy(l1<T>(), global<T>(address), 65536 / sizeof(T));
            after<HardEvent::MTE2_MTE1>();
            LoadDataWithTranspose(l0b<T>(), l1<T>(), LoadData2dTransposeParams(start, repeats, stride, PARTS > 1 ? 5 : gap, part_gap));
            std::vector<int> want(65536, -1);
            const uint32_t pitch = ((PARTS > 1 ? 5 : gap) + 1) * 512, part = (part_gap + 1) * 512;
            for (uint32_t s = 0; s < repeats; ++s)
                for (uint32_t r = 0; r < SIDE; ++r)
                    for (uint32_t c = 0; c < SIDE; ++c)
                        for (uint32_t b = 0; b < sizeof(T); ++b) {
                            // Fractals of 16 rows by 32 bytes; a square has two side by side (32 bits) or stacked (8 bits).
                            const uint32_t from = (start + s * stride) * PARTS * 512 + (r / 16 + c / COLUMNS) * 512 + r % 16 * 32 + c % COLUMNS * sizeof(T);
                            const uint32_t to = s * pitch + (c / 16 + r / COLUMNS) * part + c % 16 * 32 + r % COLUMNS * sizeof(T);
                            want[to + b] = source[from + b];
                        }
            compare(name, twin::Space::L0B, 0, 32768, [&](uint32_t i) { return want[i]; });
        });
    }
}

/// Columns of an image against the definition of a convolution's matrix.
template <class T> void images()
{
    constexpr uint32_t C0 = 32 / sizeof(T);
    struct Case {
        uint32_t h, w, c1, kh, kw, sh, sw, dh, dw, left, right, top, bottom, k0, k, m0, m;
        bool turn, right_matrix;
    };
    static constexpr IsResetLoad3dConfig KEEP{false, false};
    for (const Case &c : {Case{5, 7, 2, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 0, 18, 0, 48, false, false},
                          Case{5, 7, 2, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 5, 9, 16, 16, false, false},
                          Case{9, 8, 1, 3, 3, 2, 2, 1, 1, 0, 1, 0, 1, 0, 9, 0, 16, false, false},
                          Case{9, 11, 1, 2, 3, 1, 2, 3, 2, 3, 2, 1, 0, 2, 4, 0, 32, false, false},
                          Case{1, 48, 4, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 4, 16, 32, false, false},
                          Case{1, 48, 4, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1, 3, 0, 48, true, false},
                          Case{3, 3, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 1, 0, 16, false, false},
                          Case{1, 64, 3, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 3, 16, 48, true, true}}) {
        if (c.turn && sizeof(T) != 2) continue;
        auto source = values<T>(c.c1 * c.h * c.w * C0, 4);
        source.resize((source.size() + 63) / 64 * 64);
        Device device;
        const auto address = device.add(source);
        const uint32_t ow = (c.w + c.left + c.right - c.dw * (c.kw - 1) - 1) / c.sw + 1;
        const uint32_t oh = (c.h + c.top + c.bottom - c.dh * (c.kh - 1) - 1) / c.sh + 1;
        const std::string name = twin::text("image %u x %u x %u of %zu bytes, kernel %u x %u, columns %u", c.c1, c.h, c.w, sizeof(T), c.kh, c.kw, c.k0);
        const auto element = [&](uint32_t row, uint32_t column) {
            const uint32_t x = column % C0, kw = column / C0 % c.kw, kh = column / C0 / c.kw % c.kh, c1 = column / C0 / c.kw / c.kh;
            const int64_t h = static_cast<int64_t>(row / ow * c.sh + kh * c.dh) - c.top, w = static_cast<int64_t>(row % ow * c.sw + kw * c.dw) - c.left;
            if (h < 0 || w < 0 || h >= c.h || w >= c.w) return T(0.5f);
            return source[((c1 * c.h + h) * c.w + w) * C0 + x];
        };
        for (const bool to_b : {false, true}) {
            if (to_b && (sizeof(T) != 2 || c.turn)) continue;
            good(name, device, [&] {
                DataCopy(l1<T>(96), global<T>(address), source.size());
                after<HardEvent::MTE2_MTE1>();
                const uint8_t pad[4] = {uint8_t(c.left), uint8_t(c.right), uint8_t(c.top), uint8_t(c.bottom)};
                LoadData3DParamsV2<T> params(pad, c.h, c.w, c.c1 * C0, c.k * C0, c.m, c.k0 * C0, c.m0, c.sw, c.sh, c.kw, c.kh, c.dw, c.dh,
                                             c.turn, false, T(0.5f), false, false, c.right_matrix);
                if (c.right_matrix) {
                    SetFmatrix(c.h, c.w, pad, FmatrixMode::FMATRIX_RIGHT);
                    SetLoadDataPaddingValue(T(0.5f));
                    LoadData<T, KEEP>(l0a<T>(512), l1<T>(96), params);
                } else {
                    LoadData(to_b ? l0b<T>(512) : l0a<T>(512), l1<T>(96), params);
                }
                std::vector<int> want(65536, -1);
                for (uint32_t r = 0; r < c.m; ++r)
                    for (uint32_t x = 0; x < c.k * C0; ++x) {
                        if (c.m0 + r >= oh * ow) continue;
                        const T value = element(c.m0 + r, c.k0 * C0 + x);
                        const uint8_t *bytes = reinterpret_cast<const uint8_t *>(&value);
                        // L0A: Zz of [m][k], or of [k][m]; L0B: Zn where m is K.
                        const uint32_t columns = c.k, rows = c.m / 16;
                        const uint32_t at = c.turn   ? (x / 16 * rows + r / 16) * 512 + x % 16 * 32 + r % 16 * 2
                                            : to_b ? (r / 16 * columns + x / 16) * 512 + x % 16 * 32 + r % 16 * 2
                                                   : (r / 16 * columns + x / C0) * 512 + r % 16 * 32 + x % C0 * sizeof(T);
                        for (uint32_t b = 0; b < sizeof(T); ++b) want[at + b] = bytes[b];
                    }
                compare(name, to_b ? twin::Space::L0B : twin::Space::L0A, 512, c.m * c.k * 32 + 512, [&](uint32_t i) { return want[i]; });
            });
        }
    }
}

/// An image that goes over the end of a ring in L1.
void ring()
{
    auto source = values<half>(2048, 5);
    Device device;
    const auto address = device.add(source);
    good("ring", device, [&] {
        DataCopy(l1<half>(), global<half>(address), 2048);
        after<HardEvent::MTE2_MTE1>();
        SetLoadDataBoundary(4096);
        const uint8_t pad[4] = {};
        LoadData(l0a<half>(), l1<half>(3840), LoadData3DParamsV2<half>(pad, 1, 16, 16, 16, 16, 0, 0, 1, 1, 1, 1, 1, 1, false, false, half(0)));
        compare("ring", twin::Space::L0A, 0, 512, [&](uint32_t i) {
            return reinterpret_cast<const uint8_t *>(source.data())[(3840 + i) % 4096];
        });
    });
}

int main()
{
    nd_to_nz<half>();
    nd_to_nz<float>();
    nd_to_nz<int8_t>();
    blocks();
    fractals();
    squares<half>();
    squares<float>();
    squares<int8_t>();
    images<half>();
    images<float>();
    ring();
    return finish();
}
