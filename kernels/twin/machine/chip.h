/// The chips: cores, clock and memories.
#pragma once

#include <cstdint>
#include <string_view>

namespace twin {

/// In-order units of a core that work side by side. S is the scalar unit, which issues for all.
enum class Pipe : uint8_t { S, V, M, MTE1, MTE2, MTE3, FIX };
constexpr int PIPES = 7;

/// Memories that instructions name.
enum class Space : uint8_t { UB, L1, L0A, L0B, L0C, BT, FB, GM };
constexpr int LOCAL_SPACES = 7;

const char *name(Pipe);
const char *name(Space);

/// A chip of the 910B series (dav-c220). Source: CANN's platform files, Ascend910B*.ini.
struct Chip {
    const char *name;
    uint32_t cube_cores;   ///< AIC; there are two vector cores to each
    double mhz;            ///< clock
    double hbm_bytes;      ///< nominal HBM bandwidth in bytes/s
    uint64_t l2_bytes;     ///< size of the L2 cache
    double l2_read;        ///< what all cores together read from the L2, in bytes/s
    double l2_write;
    double memory_bytes;   ///< HBM size

    /// FLOP/s of the cube at the platform file's clock: 8192 per cycle and core in f16 and bf16.
    double peak() const { return cube_cores * mhz * 1e6 * 8192.0; }
    double cycles(double seconds) const { return seconds * mhz * 1e6; }
    /// Bytes per cycle, from bytes/s.
    double per_cycle(double rate) const { return rate / (mhz * 1e6); }
};

/// Null for a name that is not known. Names as in `910B2`.
const Chip *chip(std::string_view name);

/// Bytes of a core's memory. UB: 256 bytes are the system's; L1: the last 256.
constexpr uint32_t bytes_of(Space space)
{
    switch (space) {
    case Space::UB: return 192 * 1024;
    case Space::L1: return 512 * 1024;
    case Space::L0A:
    case Space::L0B: return 64 * 1024;
    case Space::L0C: return 128 * 1024;
    case Space::BT: return 1024;
    case Space::FB: return 2048;
    default: return 0;
    }
}

} // namespace twin
