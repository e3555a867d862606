/// Flags, barriers, meetings and caches: the order of instructions on different pipes and cores.
#pragma once

#include "tensor.h"
#include "words.h"

enum pipe_t { PIPE_S = 0, PIPE_V, PIPE_M, PIPE_MTE1, PIPE_MTE2, PIPE_MTE3, PIPE_ALL, PIPE_MTE4 = 7, PIPE_MTE5 = 8, PIPE_V2 = 9, PIPE_FIX = 10 };
using event_t = int32_t;
constexpr event_t EVENT_ID0 = 0, EVENT_ID1 = 1, EVENT_ID2 = 2, EVENT_ID3 = 3, EVENT_ID4 = 4, EVENT_ID5 = 5, EVENT_ID6 = 6, EVENT_ID7 = 7;
using TEventID = int8_t;

namespace AscendC {

/// Source and destination pipe: SRC_DST.
enum class HardEvent : uint8_t {
    MTE2_MTE1, MTE1_MTE2, MTE1_M, M_MTE1, MTE2_V, V_MTE2, MTE3_V, V_MTE3, M_V, V_M, V_V, MTE3_MTE1, MTE1_MTE3, MTE1_V, MTE2_M, M_MTE2,
    V_MTE1, M_FIX, FIX_M, MTE3_MTE2, MTE2_MTE3, S_V, V_S, S_MTE2, MTE2_S, S_MTE3, MTE3_S, MTE2_FIX, FIX_MTE2, FIX_S, M_S, FIX_MTE3,
    MTE1_FIX, FIX_MTE1, FIX_FIX, MAX,
};

struct Route {
    twin::Pipe from, to;
};

constexpr Route route_of(HardEvent event)
{
    using P = twin::Pipe;
    constexpr Route ROUTES[] = {
        {P::MTE2, P::MTE1}, {P::MTE1, P::MTE2}, {P::MTE1, P::M},    {P::M, P::MTE1},   {P::MTE2, P::V},    {P::V, P::MTE2},   {P::MTE3, P::V},
        {P::V, P::MTE3},    {P::M, P::V},       {P::V, P::M},       {P::V, P::V},      {P::MTE3, P::MTE1}, {P::MTE1, P::MTE3}, {P::MTE1, P::V},
        {P::MTE2, P::M},    {P::M, P::MTE2},    {P::V, P::MTE1},    {P::M, P::FIX},    {P::FIX, P::M},     {P::MTE3, P::MTE2}, {P::MTE2, P::MTE3},
        {P::S, P::V},       {P::V, P::S},       {P::S, P::MTE2},    {P::MTE2, P::S},   {P::S, P::MTE3},    {P::MTE3, P::S},   {P::MTE2, P::FIX},
        {P::FIX, P::MTE2},  {P::FIX, P::S},     {P::M, P::S},       {P::FIX, P::MTE3}, {P::MTE1, P::FIX},  {P::FIX, P::MTE1}, {P::FIX, P::FIX},
    };
    return ROUTES[static_cast<int>(event)];
}

inline twin::Pipe pipe_of(pipe_t pipe)
{
    switch (pipe) {
    case PIPE_V: return twin::Pipe::V;
    case PIPE_M: return twin::Pipe::M;
    case PIPE_MTE1: return twin::Pipe::MTE1;
    case PIPE_MTE2: return twin::Pipe::MTE2;
    case PIPE_MTE3: return twin::Pipe::MTE3;
    case PIPE_FIX: return twin::Pipe::FIX;
    default: return twin::Pipe::S;
    }
}

template <HardEvent event> inline void SetFlag(int32_t id, twin::Where where = twin::Where::here())
{
    twin::core().set_flag(route_of(event).from, route_of(event).to, id, where);
}

template <HardEvent event> inline void WaitFlag(int32_t id, twin::Where where = twin::Where::here())
{
    twin::core().wait_flag(route_of(event).from, route_of(event).to, id, where);
}

template <pipe_t pipe> inline void PipeBarrier(twin::Where where = twin::Where::here())
{
    if (pipe == PIPE_ALL) return twin::core().barrier_all(where);
    twin::core().barrier(pipe_of(pipe), where);
}

template <uint8_t mode, pipe_t pipe> inline void CrossCoreSetFlag(uint16_t id, twin::Where where = twin::Where::here())
{
    twin::core().launch.cross(mode, pipe_of(pipe), id, where);
}

template <uint8_t mode = 0, pipe_t pipe = PIPE_S> inline void CrossCoreWaitFlag(uint16_t id, twin::Where where = twin::Where::here())
{
    twin::core().wait_cross(id, where);
}

template <bool isAIVOnly = true> inline void SyncAll(twin::Where where = twin::Where::here())
{
    twin::core().launch.meet(isAIVOnly, where);
}

/// The form that polls global memory: 32 bytes for each core in both memories, filled with 0 before the launch.
template <bool isAIVOnly = true>
inline void SyncAll(const GlobalTensor<int32_t> &gmWorkspace, const LocalTensor<int32_t> &ubWorkspace, const int32_t usedCores = 0,
                    twin::Where where = twin::Where::here())
{
    twin::core().launch.meet_by_polling(isAIVOnly, gmWorkspace.start(), ubWorkspace.start(), usedCores, where);
}

enum class MemDsbT : uint8_t { ALL = 0, DDR, UB, SEQ };

/// The scalar unit waits for its own accesses.
template <MemDsbT arg0> inline void DataSyncBarrier()
{
    twin::core().now += twin::cost::ISSUE;
    twin::core().scalar_settles();
}

enum class CacheLine : uint64_t { SINGLE_CACHE_LINE = 0, ENTIRE_DATA_CACHE };
enum class DcciDst : uint64_t { CACHELINE_ALL = 0, CACHELINE_UB, CACHELINE_OUT, CACHELINE_ATOMIC };

/// Writes a line of the scalar unit's data cache back to global memory and drops it, or all lines.
template <typename T, CacheLine entireType, DcciDst dcciDst = DcciDst::CACHELINE_ALL>
inline void DataCacheCleanAndInvalid(const GlobalTensor<T> &dstTensor, twin::Where where = twin::Where::here())
{
    twin::Issue issue(twin::Pipe::S, "DataCacheCleanAndInvalid", where);
    issue.take(twin::cost::scalar_global());
    twin::ScalarCaches &caches = issue.core.launch.caches;
    if (dcciDst != DcciDst::CACHELINE_UB) {
        if (entireType == CacheLine::ENTIRE_DATA_CACHE)
            caches.clean_all(issue.core.index);
        else
            caches.clean(issue.core.index, dstTensor.start());
    }
    issue.core.scalar_settles();
}

/// The launch gives the address of the flags by itself.
inline void SetSyncBaseAddr(uint64_t) {}

} // namespace AscendC
