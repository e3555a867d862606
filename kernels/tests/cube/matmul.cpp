// A small matrix product with all the flags that double buffers need, against f64: no race, no stale padding, right numbers.
#include "harness.h"

using namespace harness;

namespace {

constexpr uint32_t TILE_M = 64, TILE_N = 96, TILE_K = 48, L1_A = 0, L1_B = 128 * 1024;

/// c[m, n] = a[m, k] b[n, k]^T; a, b row-major, tiles in two buffers on each level.
template <class T> void matmul(GM_ADDR a, GM_ADDR b, GM_ADDR c, uint32_t m, uint32_t n, uint32_t k, bool turned_b)
{
    const auto left = global<T>(a), right = global<T>(b);
    const auto out = global<float>(c);
    for (int i = 0; i < 2; ++i) {
        SetFlag<HardEvent::MTE1_MTE2>(i);
        SetFlag<HardEvent::M_MTE1>(i);
        SetFlag<HardEvent::FIX_M>(i);
    }
    uint32_t step = 0, tile = 0;
    for (uint32_t m0 = 0; m0 < m; m0 += TILE_M)
        for (uint32_t n0 = 0; n0 < n; n0 += TILE_N, ++tile) {
            const uint32_t rows = std::min(TILE_M, m - m0), columns = std::min(TILE_N, n - n0), two = tile % 2;
            const uint32_t rows16 = (rows + 15) / 16 * 16, columns16 = (columns + 15) / 16 * 16;
            const auto sums = l0c<float>(two * 64 * 1024);
            WaitFlag<HardEvent::FIX_M>(two);
            for (uint32_t k0 = 0; k0 < k; k0 += TILE_K, ++step) {
                const uint32_t depth = std::min(TILE_K, k - k0), depth16 = (depth + 15) / 16 * 16, one = step % 2;
                const auto a1 = l1<T>(L1_A + one * 65536), b1 = l1<T>(L1_B + one * 65536);
                const auto a2 = l0a<T>(one * 32768), b2 = l0b<T>(one * 32768);
                WaitFlag<HardEvent::MTE1_MTE2>(one);
                DataCopy(a1, left[m0 * k + k0], Nd2NzParams(1, rows, depth, 0, k, rows16, 1, 0));
                if (turned_b) {
                    // b is [k, n]: its rows are K, so the tail of K must be cleared first.
                    InitConstValue(b1, InitConstValueParams<T>(1, depth16 * columns16 / 16, 0, T(0.0f)));
                    PipeBarrier<PIPE_MTE2>();
                    DataCopy(b1, right[k0 * n + n0], Nd2NzParams(1, depth, columns, 0, n, depth16, 1, 0));
                } else {
                    DataCopy(b1, right[n0 * k + k0], Nd2NzParams(1, columns, depth, 0, k, columns16, 1, 0));
                }
                SetFlag<HardEvent::MTE2_MTE1>(one);
                WaitFlag<HardEvent::MTE2_MTE1>(one);
                WaitFlag<HardEvent::M_MTE1>(one);
                for (uint32_t i = 0; i < rows16 / 16; ++i)
                    LoadData(a2[i * depth16 * 16], a1, LoadData2DParams(i, depth16 / 16, rows16 / 16, 0, 0, false, 0));
                if (turned_b)
                    for (uint32_t i = 0; i < depth16 / 16; ++i)
                        LoadData(b2[i * columns16 * 16], b1, LoadData2DParams(i, columns16 / 16, depth16 / 16, 0, 0, true, 0));
                else
                    LoadData(b2, b1, LoadData2DParams(0, depth16 / 16 * columns16 / 16, 1, 0, 0, false, 0));
                SetFlag<HardEvent::MTE1_MTE2>(one);
                SetFlag<HardEvent::MTE1_M>(one);
                WaitFlag<HardEvent::MTE1_M>(one);
                Mmad(sums, a2, b2, MmadParams(rows16, columns16, depth, 0, false, k0 == 0));
                PipeBarrier<PIPE_M>();
                SetFlag<HardEvent::M_MTE1>(one);
            }
            SetFlag<HardEvent::M_FIX>(two);
            WaitFlag<HardEvent::M_FIX>(two);
            Fixpipe(out[m0 * n + n0], sums, FixpipeParamsV220(columns, rows, rows16, n, false));
            SetFlag<HardEvent::FIX_M>(two);
        }
    for (int i = 0; i < 2; ++i) {
        WaitFlag<HardEvent::MTE1_MTE2>(i);
        WaitFlag<HardEvent::M_MTE1>(i);
        WaitFlag<HardEvent::FIX_M>(i);
    }
}

template <class T> void check(uint32_t m, uint32_t n, uint32_t k, bool turned_b)
{
    auto a = values<T>(m * k, m), b = values<T>(n * k, n);
    std::vector<float> c(m * n, NAN);
    Device device;
    const auto at_a = device.add(a), at_b = device.add(b), at_c = device.add(c);
    const std::string name = twin::text("matmul %u x %u x %u%s", m, n, k, turned_b ? " of [k, n]" : "");
    good(name, device, [&] { matmul<T>(at_a, at_b, at_c, m, n, k, turned_b); });
    for (uint32_t i = 0; i < m; ++i)
        for (uint32_t j = 0; j < n; ++j) {
            double want = 0, size = 0;
            for (uint32_t x = 0; x < k; ++x) {
                const double product = static_cast<double>(static_cast<float>(a[i * k + x])) * static_cast<float>(b[turned_b ? x * n + j : j * k + x]);
                want += product;
                size += std::fabs(product);
            }
            if (!(std::fabs(c[i * n + j] - want) <= size * (k + 2) * 6e-8))
                return wrong(name + twin::text(": element %u, %u is %g and not %g", i, j, c[i * n + j], want));
        }
}

} // namespace

int main()
{
    for (const auto &[m, n, k] : {std::array<uint32_t, 3>{16, 16, 16}, {64, 96, 48}, {65, 97, 49}, {130, 200, 151}, {7, 5, 3}, {33, 250, 96}})
        for (const bool turned_b : {false, true}) {
            check<half>(m, n, k, turned_b);
            check<bfloat16_t>(m, n, k, turned_b);
        }
    return finish();
}
