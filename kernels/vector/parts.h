/// The unified buffer in parts, laid out by hand: one TBuf has it all.
#pragma once

#include "kernel_operator.h"

namespace parts {

using Buffer = AscendC::TBuf<AscendC::TPosition::VECCALC>;

/// Hands out parts, one behind the other, at multiples of 512 bytes or, behind `shift`, 256 bytes further: 16 bank groups of 32 bytes
/// make 512, and an instruction reads 256 at a time of each source, so that two sources get in each other's way unless one is shifted.
class Parts {
public:
    __aicore__ inline explicit Parts(Buffer &buffer) : buffer_(buffer) {}
    template <typename E> __aicore__ inline AscendC::LocalTensor<E> take(uint32_t values)
    {
        const AscendC::LocalTensor<E> part = buffer_.GetWithOffset<E>(values, at_);
        at_ += (values * sizeof(E) + 511) / 512 * 512;
        return part;
    }
    /// Parts from here on begin 256 bytes behind multiples of 512.
    __aicore__ inline void shift() { at_ += 256; }

private:
    Buffer &buffer_;
    uint32_t at_ = 0;
};

} // namespace parts
