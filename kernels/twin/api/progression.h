/// Sequences of numbers: CreateVecIndex, ArithProgression. The library makes them of several instructions: the scalar unit writes
/// the first block, Adds makes the others from it.
#pragma once

#include "pipe.h"
#include "vector_scalar.h"

namespace twin {

/// Flags that the library takes from the program's TPipe.
inline AscendC::TPipe &pipe_of(const char *api, Where where)
{
    AscendC::TPipe *pipe = GetTPipePtr();
    if (!pipe) core().fault({api, where}, "needs a TPipe for its flags");
    return *pipe;
}

/// A flag set and waited for.
template <AscendC::HardEvent event> inline void settle(const char *api, Where where)
{
    const auto id = pipe_of(api, where).FetchEventID<event>(where);
    AscendC::SetFlag<event>(id, where);
    AscendC::WaitFlag<event>(id, where);
}

template <typename T>
inline void progression(const char *api, Where where, const AscendC::LocalTensor<T> &dst, T first, T step, int64_t count)
{
    static_assert(is_one_of<T, int16_t, int32_t, half, float>, "sequences are of int16_t, int32_t, half and float on dav-c220");
    constexpr int64_t BLOCK = 32 / sizeof(T), REPEAT = 256 / sizeof(T);
    if (count < 1 || count > int64_t(bytes_of(Space::UB) / sizeof(T)))
        Issue(Pipe::V, api, where).limit("the number of elements", count, 1, bytes_of(Space::UB) / sizeof(T));
    for (int64_t i = 0; i < BLOCK; ++i)
        dst.SetValue(static_cast<uint32_t>(i), Narrow<T>::of(wide(first) + wide(step) * static_cast<Wide<T>>(i)), where);
    settle<AscendC::HardEvent::S_V>(api, where);
    const auto extend = [&](int64_t from, int64_t distance, int64_t elements) {
        const T difference = Narrow<T>::of(static_cast<float>(wide(step)) * static_cast<float>(distance));
        AscendC::Adds(dst[static_cast<uint32_t>(from + distance)], dst[static_cast<uint32_t>(from)], difference, static_cast<uint64_t>(elements), 1,
                      AscendC::UnaryRepeatParams(), where);
        AscendC::PipeBarrier<PIPE_V>(where);
    };
    const int64_t repeat = std::min(count, REPEAT);
    for (int64_t made = BLOCK; made < repeat; made += BLOCK) extend(made - BLOCK, BLOCK, std::min(BLOCK, repeat - made));
    for (int64_t made = REPEAT; made < count; made += REPEAT) extend(made - REPEAT, REPEAT, std::min(REPEAT, count - made));
}

} // namespace twin

namespace AscendC {

/// first, first + 1, ...
template <typename T>
inline void CreateVecIndex(LocalTensor<T> dst, const T &firstValue, const int64_t count, twin::Where where = twin::Where::here())
{
    twin::progression("CreateVecIndex", where, dst, firstValue, T(1), count);
}

/// first, first + diff, ... with a diff above 0.
template <typename T>
inline void ArithProgression(const LocalTensor<T> &dst, const T firstValue, const T diffValue, const int64_t count,
                             twin::Where where = twin::Where::here())
{
    twin::progression("ArithProgression", where, dst, firstValue, diffValue, count);
}

} // namespace AscendC
