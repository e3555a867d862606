/// TQue, TQueBind, TBuf: buffers between two pipes, and plain storage.
///
/// A buffer of a queue is free, then occupied (AllocTensor waits until its last user is done), then in the queue (EnQue sets a
/// flag), then out of it (DeQue waits for the flag), then free again (FreeTensor sets a flag back).
#pragma once

#include "pipe.h"

namespace AscendC {

/// The position where a queue's buffers begin or end their way.
constexpr TPosition queue_end(TPosition position, bool source)
{
    switch (position) {
    case TPosition::A1:
    case TPosition::B1:
    case TPosition::C1:
    case TPosition::VECIN: return source ? TPosition::GM : position;
    case TPosition::A2: return source ? TPosition::A1 : position;
    case TPosition::B2: return source ? TPosition::B1 : position;
    case TPosition::C2: return source ? TPosition::C1 : position;
    case TPosition::CO1: return source ? position : TPosition::CO2;
    case TPosition::VECOUT: return source ? position : TPosition::GM;
    case TPosition::C2PIPE2GM: return source ? TPosition::B1 : position;
    default: return TPosition::MAX;
    }
}

/// The memory at an end: CO2 is global memory on dav-c220.
constexpr twin::Space end_space(TPosition position) { return position == TPosition::CO2 ? twin::Space::GM : space_of(position); }

/// The event from who fills a buffer to who uses it, or back.
constexpr HardEvent queue_event(TPosition src, TPosition dst, bool forward)
{
    using S = twin::Space;
    const S from = end_space(src), to = end_space(dst);
    if (from == S::GM && to == S::UB) return forward ? HardEvent::MTE2_V : HardEvent::V_MTE2;
    if (from == S::GM && to == S::L1) return forward ? HardEvent::MTE2_MTE1 : HardEvent::MTE1_MTE2;
    if (from == S::GM && (to == S::L0A || to == S::L0B)) return forward ? HardEvent::MTE2_M : HardEvent::M_MTE2;
    if (from == S::UB && to == S::GM) return forward ? HardEvent::V_MTE3 : HardEvent::MTE3_V;
    if (from == S::UB && to == S::UB) return forward ? HardEvent::MTE2_MTE3 : HardEvent::MTE3_MTE2;
    if (from == S::L1 && to == S::FB) return forward ? HardEvent::MTE1_FIX : HardEvent::FIX_MTE1;
    if (from == S::L1 && (to == S::L0A || to == S::L0B || to == S::BT)) return forward ? HardEvent::MTE1_M : HardEvent::M_MTE1;
    if (from == S::L0C && to == S::GM) return forward ? HardEvent::M_FIX : HardEvent::FIX_M;
    return HardEvent::MAX;
}

template <TPosition src, TPosition dst, int32_t depth, auto mask = 0> class TQueBind {
public:
    static constexpr bool isTQue = true;
    static constexpr TPosition POSITION = dst == TPosition::GM || dst == TPosition::CO2 ? src : dst;
    static constexpr twin::Space SPACE = space_of(POSITION);
    static constexpr HardEvent FILLED = queue_event(src, dst, true), FREED = queue_event(src, dst, false);
    static_assert(FILLED != HardEvent::MAX, "dav-c220 has no way between these two positions");
    static_assert(depth >= 1, "the depth of a queue is at least 1");

    TQueBind() = default;
    TQueBind(const TQueBind &) = delete;
    TQueBind &operator=(const TQueBind &) = delete;

    /// A free buffer, once its last user is done.
    template <typename T> LocalTensor<T> AllocTensor(twin::Where where = twin::Where::here())
    {
        for (uint32_t tried = 0; tried < count_; ++tried) {
            Buffer &buffer = at(cursor_);
            cursor_ = cursor_ + 1 == count_ ? 0 : cursor_ + 1;
            if (buffer.state != TBufState::FREE) continue;
            change(buffer, TBufState::OCCUPIED, where);
            if (buffer.freed != INVALID_TEVENTID) {
                WaitFlag<FREED>(buffer.freed, where);
                pipe_->template ReleaseEventID<FREED>(buffer.freed, where);
                buffer.freed = INVALID_TEVENTID;
            }
            return tensor<T>(buffer);
        }
        if (!count_) fault("AllocTensor", where, "the queue has no buffers: InitBuffer is missing");
        fault("AllocTensor", where, twin::text("all %u buffers are in use; the first since %s; FreeTensor is missing, or one more buffer", count_,
                                               twin::text(at(0).where).c_str()));
    }

    template <typename T> void FreeTensor(LocalTensor<T> &tensor, twin::Where where = twin::Where::here())
    {
        Buffer &buffer = of(tensor, "FreeTensor", where);
        if (buffer.state == TBufState::FREE) fault("FreeTensor", where, twin::text("the tensor is free since %s", twin::text(buffer.where).c_str()));
        if (buffer.state == TBufState::ENQUE)
            fault("FreeTensor", where, twin::text("the tensor is in the queue since %s; DeQue is missing", twin::text(buffer.where).c_str()));
        buffer.freed = pipe_->template AllocEventID<FREED>(where);
        buffer.freed_event = FREED;
        SetFlag<FREED>(buffer.freed, where);
        change(buffer, TBufState::FREE, where);
        twin::Core &core = twin::core();
        if (core.modes.check) core.shadow(SPACE).forget(buffer.start, buffer.bytes);
    }

    template <typename T> bool EnQue(const LocalTensor<T> &tensor, twin::Where where = twin::Where::here())
    {
        return put<FILLED>(of(tensor, "EnQue", where), where);
    }
    template <typename T> LocalTensor<T> DeQue(twin::Where where = twin::Where::here()) { return tensor<T>(get<FILLED>(where)); }
    /// With a way of the caller's own: the ends are GM or positions in UB.
    template <TPosition from, TPosition to, typename T> bool EnQue(const LocalTensor<T> &tensor, twin::Where where = twin::Where::here())
    {
        return put<queue_event(from, to, true)>(of(tensor, "EnQue", where), where);
    }
    template <TPosition from, TPosition to, typename T> LocalTensor<T> DeQue(twin::Where where = twin::Where::here())
    {
        return tensor<T>(get<queue_event(from, to, true)>(where));
    }

    bool VacantInQue() const { return length_ < depth; }
    bool HasTensorInQue() const { return length_ > 0; }
    int32_t GetTensorCountInQue() const { return length_; }
    bool HasIdleBuffer() const
    {
        for (uint32_t i = 0; i < count_; ++i)
            if (at(i).state == TBufState::FREE) return true;
        return false;
    }
    template <typename T> TBufState GetState(const LocalTensor<T> &tensor, twin::Where where = twin::Where::here()) const
    {
        return of(tensor, "GetState", where).state;
    }
    /// Waits for the users of all buffers.
    void FreeAllEvent(twin::Where where = twin::Where::here())
    {
        for (uint32_t i = 0; i < count_; ++i) {
            Buffer &buffer = at(i);
            if (buffer.freed == INVALID_TEVENTID) continue;
            WaitFlag<FREED>(buffer.freed, where);
            pipe_->template ReleaseEventID<FREED>(buffer.freed, where);
            buffer.freed = INVALID_TEVENTID;
        }
    }

    // For TPipe.
    void begin(TPipe &pipe, uint32_t first, uint32_t count)
    {
        pipe_ = &pipe;
        first_ = first;
        count_ = count;
        cursor_ = head_ = length_ = 0;
    }

private:
    using Buffer = TPipe::Buffer;
    TPipe *pipe_ = nullptr;
    uint32_t first_ = 0, count_ = 0, cursor_ = 0, head_ = 0;
    int32_t length_ = 0;
    uint32_t queue_[depth] = {};

    [[noreturn]] static void fault(const char *api, twin::Where where, const std::string &problem) { twin::core().fault({api, where}, problem); }
    Buffer &at(uint32_t index) const { return pipe_->slot(first_ + index); }
    static void change(Buffer &buffer, TBufState state, twin::Where where)
    {
        buffer.state = state;
        buffer.where = where;
    }
    template <typename T> static LocalTensor<T> tensor(const Buffer &buffer) { return LocalTensor<T>(POSITION, buffer.start, buffer.bytes); }

    /// The buffer that a tensor, or a part of it, lies in.
    template <typename T> Buffer &of(const LocalTensor<T> &tensor, const char *api, twin::Where where) const
    {
        for (uint32_t i = 0; i < count_; ++i) {
            Buffer &buffer = at(i);
            if (tensor.space() == SPACE && tensor.start() >= buffer.start && tensor.start() < buffer.start + buffer.bytes) return buffer;
        }
        fault(api, where, "the tensor is not of this queue");
    }

    template <HardEvent event> bool put(Buffer &buffer, twin::Where where)
    {
        static_assert(event != HardEvent::MAX, "dav-c220 has no way between these two positions");
        if (length_ >= depth)
            fault("EnQue", where, twin::text("the queue holds its depth of %d already; DeQue is missing, or a deeper queue", static_cast<int>(depth)));
        if (buffer.state == TBufState::FREE) fault("EnQue", where, twin::text("the tensor is free since %s", twin::text(buffer.where).c_str()));
        if (buffer.state == TBufState::ENQUE)
            fault("EnQue", where, twin::text("the tensor is in the queue since %s", twin::text(buffer.where).c_str()));
        buffer.filled = pipe_->template AllocEventID<event>(where);
        SetFlag<event>(buffer.filled, where);
        change(buffer, TBufState::ENQUE, where);
        queue_[(head_ + length_++) % depth] = static_cast<uint32_t>(&buffer - &at(0));
        return true;
    }
    template <HardEvent event> Buffer &get(twin::Where where)
    {
        if (!length_) fault("DeQue", where, "the queue is empty: EnQue is missing");
        Buffer &buffer = at(queue_[head_]);
        head_ = (head_ + 1) % depth;
        --length_;
        change(buffer, TBufState::DEQUE, where);
        WaitFlag<event>(buffer.filled, where);
        pipe_->template ReleaseEventID<event>(buffer.filled, where);
        buffer.filled = INVALID_TEVENTID;
        return buffer;
    }
};

template <TPosition pos, int32_t depth, auto mask = 0>
class TQue : public TQueBind<queue_end(pos, true), queue_end(pos, false), depth, mask> {};

/// Storage without flags.
template <TPosition pos = TPosition::LCM> class TBuf {
public:
    static constexpr bool isTQue = false;

    TBuf() = default;
    template <typename T> LocalTensor<T> Get(twin::Where where = twin::Where::here()) { return tensor<T>("Get", 0, buffer(where).bytes, where); }
    template <typename T> LocalTensor<T> Get(uint32_t count, twin::Where where = twin::Where::here()) { return tensor<T>("Get", 0, uint64_t(count) * sizeof(T), where); }
    /// `count` elements from a byte on.
    template <typename T> LocalTensor<T> GetWithOffset(uint32_t count, uint32_t offset, twin::Where where = twin::Where::here())
    {
        return tensor<T>("GetWithOffset", offset, uint64_t(count) * sizeof(T), where);
    }
    template <typename T> LocalTensor<T> AllocTensor(twin::Where where = twin::Where::here()) { return Get<T>(where); }
    template <typename T> void FreeTensor(LocalTensor<T> &) {}
    template <typename T> void EnQue(const LocalTensor<T> &) {}
    template <typename T> LocalTensor<T> DeQue(twin::Where where = twin::Where::here()) { return Get<T>(where); }

    // For TPipe.
    void begin(TPipe::Buffer &buffer) { buffer_ = &buffer; }

private:
    TPipe::Buffer *buffer_ = nullptr;

    TPipe::Buffer &buffer(twin::Where where) const
    {
        if (!buffer_) twin::core().fault({"TBuf", where}, "has no memory: InitBuffer is missing");
        return *buffer_;
    }
    template <typename T> LocalTensor<T> tensor(const char *api, uint64_t offset, uint64_t bytes, twin::Where where) const
    {
        const TPipe::Buffer &whole = buffer(where);
        if (offset + bytes > whole.bytes)
            twin::core().fault({api, where}, twin::text("asks for bytes %llu..%llu of a buffer of %u bytes", static_cast<unsigned long long>(offset),
                                                        static_cast<unsigned long long>(offset + bytes), whole.bytes));
        return LocalTensor<T>(pos, static_cast<uint32_t>(whole.start + offset), static_cast<uint32_t>(bytes));
    }
};

} // namespace AscendC
