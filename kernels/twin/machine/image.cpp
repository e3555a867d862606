#include "../api/image.h"

namespace twin {

void load_image(Issue &issue, const ImageLoad &load, Space to, uint32_t destination, bool turned, uint64_t pitch_row, uint64_t pitch_column)
{
    Core &core = issue.core;
    const uint8_t *l1 = issue.computes() ? core.memory(Space::L1) : nullptr;
    uint8_t *l0 = issue.computes() ? core.memory(to) + destination : nullptr;
    uint8_t padding[32];
    for (uint32_t i = 0; i < 32; i += load.element) std::memcpy(padding + i, &load.padding, load.element);
    if (issue.checks())
        for (uint32_t r = 0; r < load.rows / 16; ++r)
            for (uint32_t c = 0; c < load.columns; ++c)
                issue.write(to, destination + r * pitch_row + c * pitch_column, FRACTAL);

    // Nothing is known of rows beyond the last pixel, nor of what comes from bytes that nobody wrote.
    const auto forget = [&](uint32_t row, uint64_t fractal) {
        if (!turned) return core.shadow(to).forget(destination + fractal + row % 16 * 32, 32);
        for (uint32_t i = 0; i < 16; ++i) core.shadow(to).forget(destination + fractal + i * 32 + row % 16 * 2, 2);
    };
    for (uint32_t c = 0; c < load.columns; ++c)
        for (uint32_t row = 0; row < load.rows;) {
            const uint32_t pixel = load.first_row + row;
            uint32_t count = load.rows - row, place = 0;
            bool inside = false;
            const bool real = pixel < load.pixels;
            if (real) {
                const uint32_t most = load.pixels - pixel < count ? load.pixels - pixel : count;
                count = load.run(pixel, load.first_column + c, most, inside, place);
            }
            bool known = real;
            if (issue.checks() && inside) {
                issue.read(Space::L1, place, count * 32, false);
                known = core.shadow(Space::L1).holds(place, count * 32);
            }
            for (uint32_t i = 0; i < count; ++i, ++row) {
                const uint64_t fractal = row / 16 * pitch_row + c * pitch_column;
                if (issue.checks() && !known && !(inside && core.shadow(Space::L1).holds(place + i * 32, 32))) forget(row, fractal);
                if (!l0) continue;
                const uint8_t *from = inside ? l1 + place + i * 32 : padding;
                if (!turned)
                    std::memcpy(l0 + fractal + row % 16 * 32, from, 32);
                else
                    for (uint32_t x = 0; x < 16; ++x) std::memcpy(l0 + fractal + x * 32 + row % 16 * 2, from + x * 2, 2);
            }
        }
}

} // namespace twin
