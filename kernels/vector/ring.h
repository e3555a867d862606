/// Buffers that data passes through in place: MTE2 fills one, V changes it, MTE3 stores it. With three of them the pipes work on
/// three tiles at a time.
///
///     ring.fill(i);   copies to ring.place(i)      ring.filled(i);
///     ring.change(i); reads and writes of V        ring.changed(i);
///     ring.store(i);  copies from ring.place(i)    ring.stored(i);
///
/// Tiles count from 0; call `open` before the first and `close` behind the last. The flags are ids 0 to DEPTH - 1 of MTE2_V, V_MTE3
/// and MTE3_MTE2.
#pragma once

#include "kernel_operator.h"

namespace ring {

constexpr uint32_t DEPTH = 3;

using AscendC::HardEvent;

/// The buffer of a tile.
__aicore__ inline uint32_t slot(uint32_t tile) { return tile % DEPTH; }

__aicore__ inline void open()
{
    for (uint32_t i = 0; i < DEPTH; ++i) AscendC::SetFlag<HardEvent::MTE3_MTE2>(i);
}
__aicore__ inline void close()
{
    for (uint32_t i = 0; i < DEPTH; ++i) AscendC::WaitFlag<HardEvent::MTE3_MTE2>(i);
}
__aicore__ inline void fill(uint32_t tile) { AscendC::WaitFlag<HardEvent::MTE3_MTE2>(slot(tile)); }
__aicore__ inline void filled(uint32_t tile) { AscendC::SetFlag<HardEvent::MTE2_V>(slot(tile)); }
__aicore__ inline void change(uint32_t tile) { AscendC::WaitFlag<HardEvent::MTE2_V>(slot(tile)); }
__aicore__ inline void changed(uint32_t tile) { AscendC::SetFlag<HardEvent::V_MTE3>(slot(tile)); }
__aicore__ inline void store(uint32_t tile) { AscendC::WaitFlag<HardEvent::V_MTE3>(slot(tile)); }
__aicore__ inline void stored(uint32_t tile) { AscendC::SetFlag<HardEvent::MTE3_MTE2>(slot(tile)); }

} // namespace ring
