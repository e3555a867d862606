/// What the cube unit keeps between instructions, and its arithmetic.
#pragma once

#include <array>
#include <cstdint>

#include "chip.h"
#include "cost.h"
#include "shadow.h"

namespace twin {

/// Types that the cube multiplies. Products of Half and Bf16 are exact in f32.
enum class Element : uint8_t { Half, Bf16, Float, Hf32, Int8 };

/// C (+)= A B with operands as they lie in L0. Sizes are padded to whole fractals.
struct Product {
    Element element;
    uint32_t m, n, k;
    const uint8_t *a;     ///< L0A: Zz fractals of 16 rows by 32 bytes
    const uint8_t *b;     ///< L0B: Zn fractals, in them n-major
    uint8_t *c;           ///< L0C: Nz fractals of 16 x 16 values of 32 bits
    const uint8_t *bias;  ///< n values of 32 bits, what C starts from; null: `accumulate` says
    bool accumulate;      ///< C starts from what it holds, else from 0
    bool toward_zero;     ///< of Hf32: how ties are rounded, else to even
};
void multiply(const Product &product);

/// Fractals of L0C as bits, 1024 bytes each.
struct Fractals {
    uint64_t bits[2] = {0, 0};

    void set(uint32_t first, uint32_t count)
    {
        for (const uint32_t end = first + count; first < end;) {
            const uint32_t at = first % 64, now = end - first < 64 - at ? end - first : 64 - at;
            bits[first / 64] |= (now == 64 ? ~0ull : ((1ull << now) - 1) << at);
            first += now;
        }
    }
    bool meets(const Fractals &other) const { return (bits[0] & other.bits[0]) || (bits[1] & other.bits[1]); }
    void drop(const Fractals &other)
    {
        bits[0] &= ~other.bits[0];
        bits[1] &= ~other.bits[1];
    }
    bool empty() const { return !bits[0] && !bits[1]; }
};

/// The unit flag: the cube and the fixpipe hand fractals of L0C to each other without flags of the program. A Mmad with unitFlag 3
/// hands over what it wrote, a Fixpipe with unitFlag gives it back empty.
struct UnitFlag {
    struct Handed {
        Fractals what;
        Clock seen = Clock(); ///< in checking mode: what is done when that is
        double early = 0;     ///< when the other side can start
        double done = 0;      ///< when all of it is there
    };
    std::array<Handed, 64> full{}, drained{};
    uint32_t fulls = 0, draineds = 0;  ///< how many there are

    /// Takes out of a list what `what` covers; false: the list is full of other things.
    template <class F> static void take(std::array<Handed, 64> &list, uint32_t &count, const Fractals &what, F f)
    {
        for (uint32_t i = 0; i < count;) {
            if (!list[i].what.meets(what)) {
                ++i;
                continue;
            }
            f(list[i]);
            list[i].what.drop(what);
            if (list[i].what.empty())
                list[i] = list[--count];
            else
                ++i;
        }
    }
    static void add(std::array<Handed, 64> &list, uint32_t &count, const Handed &handed)
    {
        if (count == list.size()) {
            for (uint32_t i = 1; i < count; ++i) list[i - 1] = list[i];
            --count;
        }
        list[count++] = handed;
    }
};

/// Registers and history of a core's cube.
struct CubeState {
    /// Of LoadData with 3D parameters, one each for left and right matrices: `SetFmatrix`.
    struct Image {
        uint16_t height = 0, width = 0;
        uint8_t pad[4] = {};  ///< left, right, top, bottom
    } images[2];
    uint64_t padding = 0;   ///< bits of the padding value
    uint32_t boundary = 0;  ///< L1 addresses wrap here; 0: they do not
    bool hf32 = false;
    bool hf32_toward_zero = false;

    UnitFlag unit;
    /// The last Mmad: accumulating on top of it needs a barrier if it was small.
    uint32_t last_number = 0, last_start = 0, last_end = 0;
};

} // namespace twin
