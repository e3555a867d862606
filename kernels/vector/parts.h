/// The unified buffer in parts, laid out by hand: one TBuf has it all.
#pragma once

#include "kernel_operator.h"

namespace parts {

using Buffer = AscendC::TBuf<AscendC::TPosition::VECCALC>;

/// Hands out parts, one behind the other.
class Parts {
public:
    __aicore__ inline explicit Parts(Buffer &buffer) : buffer_(buffer) {}
    template <typename E> __aicore__ inline AscendC::LocalTensor<E> take(uint32_t values)
    {
        const AscendC::LocalTensor<E> part = buffer_.GetWithOffset<E>(values, at_);
        at_ += (values * sizeof(E) + 31) / 32 * 32;
        return part;
    }

private:
    Buffer &buffer_;
    uint32_t at_ = 0;
};

} // namespace parts
