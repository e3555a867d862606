/// Double buffers: two for what MTE2 loads and V reads (`in`), two for what V makes and MTE3 stores (`out`).
///
///     in::load(i);   copies to slot(i)       in::loaded(i);      out::make(i);   writes of V to slot(i)    out::made(i);
///     in::use(i);    reads of V              in::used(i);        out::store(i);  copies from slot(i)       out::stored(i);
///
/// Loads and stores count from 0 each; call `open` before the first and `close` behind the last. The flags are ids 0 and 1 of MTE2_V,
/// V_MTE2, V_MTE3 and MTE3_V.
#pragma once

#include "kernel_operator.h"

namespace doubled {

using AscendC::HardEvent;

__aicore__ inline uint32_t slot(uint32_t i) { return i % 2; }

__aicore__ inline void open()
{
    for (uint32_t i = 0; i < 2; ++i) {
        AscendC::SetFlag<HardEvent::V_MTE2>(i);
        AscendC::SetFlag<HardEvent::MTE3_V>(i);
    }
}
__aicore__ inline void close()
{
    for (uint32_t i = 0; i < 2; ++i) {
        AscendC::WaitFlag<HardEvent::V_MTE2>(i);
        AscendC::WaitFlag<HardEvent::MTE3_V>(i);
    }
}

namespace in {
__aicore__ inline void load(uint32_t i) { AscendC::WaitFlag<HardEvent::V_MTE2>(slot(i)); }
__aicore__ inline void loaded(uint32_t i) { AscendC::SetFlag<HardEvent::MTE2_V>(slot(i)); }
__aicore__ inline void use(uint32_t i) { AscendC::WaitFlag<HardEvent::MTE2_V>(slot(i)); }
__aicore__ inline void used(uint32_t i) { AscendC::SetFlag<HardEvent::V_MTE2>(slot(i)); }
} // namespace in

namespace out {
__aicore__ inline void make(uint32_t i) { AscendC::WaitFlag<HardEvent::MTE3_V>(slot(i)); }
__aicore__ inline void made(uint32_t i) { AscendC::SetFlag<HardEvent::V_MTE3>(slot(i)); }
__aicore__ inline void store(uint32_t i) { AscendC::WaitFlag<HardEvent::V_MTE3>(slot(i)); }
__aicore__ inline void stored(uint32_t i) { AscendC::SetFlag<HardEvent::MTE3_V>(slot(i)); }
} // namespace out

} // namespace doubled
