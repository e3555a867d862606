/// TPipe: hands out the memories of a core, front to back, and the ids of flags.
#pragma once

#include <array>
#include <exception>

#include "sync.h"
#include "tensor.h"

namespace AscendC {

template <TPosition src, TPosition dst, int32_t depth, auto mask> class TQueBind;
template <TPosition pos> class TBuf;

/// What a buffer of a queue goes through.
enum class TBufState : uint8_t { FREE, OCCUPIED, ENQUE, DEQUE };

/// Flags of one event that a queue knows by number; none: -1.
constexpr TEventID INVALID_TEVENTID = -1;

class TPipe {
public:
    static constexpr uint32_t BUFFERS = 64;

    explicit TPipe(twin::Where where = twin::Where::here()) { Init(where); }
    TPipe(const TPipe &) = delete;
    TPipe &operator=(const TPipe &) = delete;
    ~TPipe() noexcept(false)
    {
        if (alive_ && std::uncaught_exceptions() == 0) Destroy();
        if (core_.registers.pipe == this) core_.registers.pipe = nullptr;
    }

    void Init(twin::Where where = twin::Where::here())
    {
        if (core_.registers.pipe && core_.registers.pipe != this) fault("TPipe", where, "is made while another one lives; a core has one");
        core_.registers.pipe = this;
        alive_ = true;
        where_ = where;
        buffers_ = 0;
        taken_.fill(0);
        ids_.fill(0);
        // The library's matrix products need these three from the start.
        if (core_.kind == twin::Kind::Cube)
            for (int i = 0; i < 3; ++i) SetFlag<HardEvent::M_MTE1>(AllocEventID<HardEvent::M_MTE1>(where), where);
    }

    /// Waits for the last users of all buffers.
    void Destroy(twin::Where where = twin::Where::here())
    {
        alive_ = false;
        drain(where);
        if (core_.kind == twin::Kind::Cube)
            for (int i = 0; i < 3; ++i) WaitFlag<HardEvent::M_MTE1>(i, where);
        core_.barrier_all(where);
    }

    /// Takes all buffers back.
    void Reset(twin::Where where = twin::Where::here())
    {
        drain(where);
        buffers_ = 0;
        taken_.fill(0);
    }

    /// `count` buffers of `bytes` bytes for a queue.
    template <TPosition src, TPosition dst, int32_t depth, auto mask>
    bool InitBuffer(TQueBind<src, dst, depth, mask> &queue, const int64_t count, const int64_t bytes, twin::Where where = twin::Where::here())
    {
        queue.begin(*this, take(queue.SPACE, count, bytes, where), static_cast<uint32_t>(count));
        return true;
    }
    template <TPosition pos> bool InitBuffer(TBuf<pos> &buffer, const int64_t bytes, twin::Where where = twin::Where::here())
    {
        buffer.begin(slot(take(space_of(pos), 1, bytes, where)));
        return true;
    }

    /// The lowest flag of an event that is not given out, from now on given out.
    template <HardEvent event> TEventID AllocEventID(twin::Where where = twin::Where::here())
    {
        const TEventID id = next(event, "AllocEventID", where);
        ids_[static_cast<int>(event)] |= 1u << id;
        return id;
    }
    template <HardEvent event> void ReleaseEventID(TEventID id, twin::Where where = twin::Where::here())
    {
        if (id < 0 || id >= twin::FLAGS) fault("ReleaseEventID", where, twin::text("flag id %d is not in 0..7", id));
        ids_[static_cast<int>(event)] &= ~(1u << id);
    }
    /// The same flag without giving it out: for a Set and a Wait right after each other.
    template <HardEvent event> TEventID FetchEventID(twin::Where where = twin::Where::here()) { return next(event, "FetchEventID", where); }
    TEventID FetchEventID(HardEvent event, twin::Where where = twin::Where::here()) { return next(event, "FetchEventID", where); }

    // For queues.
    struct Buffer {
        uint32_t start, bytes;
        twin::Space space;
        TBufState state;
        TEventID filled, freed;  ///< flags that wait for who fills it, for who is done with it
        HardEvent freed_event;
        twin::Where where;       ///< of the last change of state
    };
    Buffer &slot(uint32_t index) { return slots_[index]; }

private:
    twin::Core &core_ = twin::core();
    bool alive_ = false;
    twin::Where where_{};
    uint32_t buffers_ = 0;
    std::array<Buffer, BUFFERS> slots_;
    std::array<uint32_t, twin::LOCAL_SPACES> taken_{};
    std::array<uint8_t, static_cast<int>(HardEvent::MAX)> ids_{};

    [[noreturn]] void fault(const char *api, twin::Where where, const std::string &problem) const { core_.fault({api, where}, problem); }

    /// Bytes for buffers. The last 256 of UB and of L1 are the system's.
    static constexpr uint32_t room(twin::Space space)
    {
        return twin::bytes_of(space) - (space == twin::Space::UB || space == twin::Space::L1 ? 256 : 0);
    }

    uint32_t take(twin::Space space, int64_t count, int64_t bytes, twin::Where where)
    {
        if (count < 1 || count > BUFFERS) fault("InitBuffer", where, twin::text("the number of buffers is %lld, and must be in 1..64", static_cast<long long>(count)));
        if (bytes < 1) fault("InitBuffer", where, "a buffer has no bytes");
        if ((space == twin::Space::UB) != (core_.kind == twin::Kind::Vector))
            fault("InitBuffer", where, twin::text("is for %s, which this core does not have", twin::name(space)));
        const uint64_t rounded = (static_cast<uint64_t>(bytes) + 31) / 32 * 32, all = rounded * static_cast<uint64_t>(count);
        uint32_t &taken = taken_[static_cast<int>(space)];
        if (taken + all > room(space))
            fault("InitBuffer", where, twin::text("%s has no room for %lld x %llu bytes: %u of its %u bytes are taken, %u are left", twin::name(space),
                                                  static_cast<long long>(count), static_cast<unsigned long long>(rounded), taken, room(space),
                                                  room(space) - taken));
        if (buffers_ + count > BUFFERS)
            fault("InitBuffer", where, twin::text("makes %lld buffers, and a TPipe has 64 at most", static_cast<long long>(buffers_ + count)));
        const uint32_t first = buffers_;
        for (int64_t i = 0; i < count; ++i) {
            slots_[buffers_++] = {taken, static_cast<uint32_t>(rounded), space, TBufState::FREE, INVALID_TEVENTID, INVALID_TEVENTID, HardEvent::MAX, where};
            taken += static_cast<uint32_t>(rounded);
        }
        return first;
    }

    TEventID next(HardEvent event, const char *api, twin::Where where) const
    {
        const uint32_t free = ~static_cast<uint32_t>(ids_[static_cast<int>(event)]) & 0xff;
        const Route route = route_of(event);
        if (!free)
            fault(api, where, twin::text("all 8 flags %s_%s are given out; a queue holds one for each of its buffers that is full or freed",
                                         twin::name(route.from), twin::name(route.to)));
        return static_cast<TEventID>(__builtin_ctz(free));
    }

    void drain(twin::Where where)
    {
        for (uint32_t i = 0; i < buffers_; ++i) {
            Buffer &buffer = slots_[i];
            if (buffer.state == TBufState::ENQUE)
                fault("TPipe", where_, twin::text("ends with a tensor in a queue that nobody took out: EnQue at %s", twin::text(buffer.where).c_str()));
            if (buffer.freed != INVALID_TEVENTID) {
                const Route route = route_of(buffer.freed_event);
                core_.wait_flag(route.from, route.to, buffer.freed, where);
                ids_[static_cast<int>(buffer.freed_event)] &= ~(1u << buffer.freed);
                buffer.freed = INVALID_TEVENTID;
            }
        }
    }
};

} // namespace AscendC

/// The TPipe of the core's program.
inline AscendC::TPipe *GetTPipePtr() { return static_cast<AscendC::TPipe *>(twin::core().registers.pipe); }
