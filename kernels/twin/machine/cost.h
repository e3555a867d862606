/// What instructions cost, in cycles of the chip's clock. Instructions that touch global memory are timed by `Traffic`.
///
/// An instruction keeps its pipe busy for its occupancy, and its result is there its latency later; a barrier or a flag waits for
/// the result, the next instruction of the pipe does not. Sources: "MSP" is the operator model msopmodeling 1.0.9 (its tables
/// vec_cycle_*), "DEV" the AscendC documentation (asc-devkit), "INI" the platform files of CANN 8.1, "PMU" the counters of pipes
/// in published profiles. docs/kernel-timing.md has the list, and what the model was compared with.
#pragma once

#include <cstdint>

#include "chip.h"

namespace twin {

struct Cost {
    double occupancy = 0;  ///< cycles until the pipe can start the next instruction
    double latency = 0;    ///< cycles after that until the result is there
    double conflicts = 0;  ///< those of the occupancy in which operands wait for each other's banks
};

/// Rows of bytes in global memory.
struct Burst {
    uint64_t address;  ///< of the first row
    uint64_t bytes;    ///< of a row
    uint32_t rows;
    uint64_t pitch;    ///< from row to row
};

namespace cost {

// ---------------------------------------------------------------------------------------------------------- scalar unit

/// Giving one instruction, flag or barrier to a pipe. PMU: 345 us of the scalar unit for about 120000 instructions per core in a
/// matmul of 8192^3 at 1850 MHz.
constexpr double ISSUE = 5;
/// The scalar unit reads or writes one value of UB.
constexpr Cost scalar_local() { return {15, 0}; }
/// The scalar unit reads or writes one value of global memory, past its cache. DEV: latency of a read from L2.
constexpr Cost scalar_global() { return {241, 0}; }
/// A cross-core flag, from the set to the wait that it ends, in seconds.
constexpr double CROSS_CORE = 0.3e-6;
/// A launch until the first instruction of its first core, and from the last one until it counts as done, in seconds.
/// Operators of one block that move nothing take 1.2 to 1.5 us; kernels that use both kinds of cores take longer to start.
constexpr double LAUNCH = 1.2e-6, LAUNCH_MIX = 2.4e-6;
/// Blocks start one after another, so many seconds apart. Operators on a few kilobytes take 0.12 us longer for each block that
/// they are launched with; catlass counts 7 us for all.
constexpr double BLOCK_START = 0.11e-6;

// ---------------------------------------------------------------------------------------------------------- vector unit

/// Vector instructions by their speed.
enum class Vector : uint8_t {
    Simple,       ///< Add, Sub, Mul, Max, Min, Abs, Relu, And, Or, Not, shifts; with two tensors or a scalar
    Exp, ExpHalf, Ln, Sqrt, Div, DivHalf, Reciprocal,  ///< Reciprocal: also Rsqrt
    MulAdd,       ///< MulAddDst, FusedMulAdd, Axpy
    Cast,         ///< same width or to a narrower type
    Widen,        ///< 16 bits to 32
    Compare, Select,
    Duplicate, Copy, Index,
    Brcb,
    BlockReduce, PairReduce, WholeSum, WholeMax,  ///< WholeMax: also WholeReduceMin
    Gather,       ///< element by element
    GatherBlock,  ///< Gatherb: blocks of 32 bytes
    GatherMask,
    Transpose,    ///< Transpose, TransDataTo5HD: per 16 blocks of 32 bytes
    Count
};

/// An operand in UB: its first byte, and from block to block of 32 bytes (1 is contiguous, 0 reads one block for all).
struct Operand {
    uint32_t start;
    uint32_t block_stride = 1;
};

/// `repeats` repeats of 256 bytes (of the wider type), without bank conflicts.
Cost vector(Vector kind, uint32_t repeats);
/// With one or two sources and a destination, whose banks may conflict.
Cost vector(Vector kind, uint32_t repeats, Operand destination, Operand source);
Cost vector(Vector kind, uint32_t repeats, Operand destination, Operand source0, Operand source1);

// ------------------------------------------------------------------------------------------------------------ cube unit

/// One Mmad; `bytes` of an input element (4: f32, with `hf32` at twice the speed).
Cost mmad(uint32_t m, uint32_t n, uint32_t k, uint32_t bytes, bool hf32);
/// LoadData from L1 by fractals of 512 bytes into L0A, L0B.
Cost load_fractals(Space to, uint32_t fractals);
/// LoadData with the image-to-column form: `bytes` arrive in L0A or L0B.
Cost load_image(Space to, uint64_t bytes);
/// Filling L0A, L0B or L1 with a value.
Cost fill(Space to, uint64_t bytes);
/// L1 to the bias table or the fixpipe buffer.
Cost load_table(uint64_t bytes);
/// Fixpipe from L0C to L1, by bytes that arrive.
Cost fix_to_l1(uint64_t bytes);

} // namespace cost

} // namespace twin
