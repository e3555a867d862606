#include "chip.h"

namespace twin {

namespace {
constexpr double GB = 1e9;
constexpr uint64_t MIB = 1 << 20;
// What the L2 gives all cores: 154 to 158 GB/s for each of 24 cores in large products (8192^3, 6144^3; all else would be faster).
// On the 910B4, which has half of the L2, products of int8 read 2.1 TB/s. Writes: taken as equal.
constexpr double L2 = 3750 * GB, HALF_L2 = 2100 * GB;
constexpr Chip CHIPS[] = {
    {"910B1", 24, 1850, 1600 * GB, 192 * MIB, L2, L2, 64 * GB},
    {"910B2", 24, 1800, 1600 * GB, 192 * MIB, L2, L2, 64 * GB},
    {"910B3", 20, 1800, 1600 * GB, 192 * MIB, L2, L2, 64 * GB},
    {"910B4", 20, 1500, 800 * GB, 96 * MIB, HALF_L2, HALF_L2, 32 * GB},
    {"910B4-1", 20, 1500, 1600 * GB, 168 * MIB, L2, L2, 64 * GB},
};
} // namespace

const Chip *chip(std::string_view name)
{
    for (const Chip &chip : CHIPS)
        if (chip.name == name) return &chip;
    return nullptr;
}

const char *name(Pipe pipe)
{
    constexpr const char *NAMES[] = {"S", "V", "M", "MTE1", "MTE2", "MTE3", "FIX"};
    return NAMES[static_cast<int>(pipe)];
}

const char *name(Space space)
{
    constexpr const char *NAMES[] = {"UB", "L1", "L0A", "L0B", "L0C", "BT", "FB", "GM"};
    return NAMES[static_cast<int>(space)];
}

} // namespace twin
