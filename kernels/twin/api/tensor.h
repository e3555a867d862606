/// LocalTensor and GlobalTensor: typed places in a core's memories and in global memory.
#pragma once

#include <type_traits>

#include "../machine/launch.h"
#include "numbers.h"
#include "words.h"

namespace AscendC {

enum class TPosition : uint8_t {
    GM, A1, A2, B1, B2, C1, C2, CO1, CO2, VECIN, VECOUT, VECCALC, LCM = VECCALC, SPM, SHM = SPM, TSCM, C2PIPE2GM, C2PIPE2LOCAL, MAX,
};
using QuePosition = TPosition;

/// The memory of a position on dav-c220.
constexpr twin::Space space_of(TPosition position)
{
    switch (position) {
    case TPosition::A1:
    case TPosition::B1:
    case TPosition::C1:
    case TPosition::TSCM: return twin::Space::L1;
    case TPosition::A2: return twin::Space::L0A;
    case TPosition::B2: return twin::Space::L0B;
    case TPosition::C2: return twin::Space::BT;
    case TPosition::CO1: return twin::Space::L0C;
    case TPosition::C2PIPE2GM: return twin::Space::FB;
    case TPosition::GM: return twin::Space::GM;
    default: return twin::Space::UB;
    }
}

template <typename T> class LocalTensor {
public:
    using PrimType = T;

    LocalTensor() = default;
    /// For the library: `bytes` bytes of a memory from `start`.
    LocalTensor(TPosition position, uint32_t start, uint32_t bytes) : position_(position), start_(start), size_(bytes / sizeof(T)) {}

    LocalTensor operator[](const uint32_t offset) const
    {
        LocalTensor moved = *this;
        moved.start_ += offset * sizeof(T);
        moved.size_ -= offset < size_ ? offset : size_;
        return moved;
    }
    template <typename Other> LocalTensor<Other> ReinterpretCast() const
    {
        return LocalTensor<Other>(position_, start_, size_ * sizeof(T));
    }
    int32_t GetPosition() const { return static_cast<int32_t>(position_); }
    void SetSize(const uint32_t size) { size_ = size; }
    uint32_t GetSize() const { return size_; }
    /// The address within the core's memory.
    uint64_t GetPhyAddr(const uint32_t offset = 0) const { return start_ + offset * sizeof(T); }

    /// Scalar access, which exists in UB only.
    T GetValue(const uint32_t index, twin::Where where = twin::Where::here()) const
    {
        twin::Issue issue(twin::Pipe::S, "GetValue", where);
        scalar(issue);
        issue.read(twin::Space::UB, start_ + index * sizeof(T), sizeof(T));
        issue.take(twin::cost::scalar_local());
        T value{};
        if (issue.computes()) std::memcpy(&value, data() + index, sizeof(T));
        return value;
    }
    template <typename V> void SetValue(const uint32_t index, const V value, twin::Where where = twin::Where::here()) const
    {
        twin::Issue issue(twin::Pipe::S, "SetValue", where);
        scalar(issue);
        issue.write(twin::Space::UB, start_ + index * sizeof(T), sizeof(T));
        issue.take(twin::cost::scalar_local());
        const T typed = static_cast<T>(value);
        if (issue.computes()) std::memcpy(data() + index, &typed, sizeof(T));
    }

    /// One element, to be read or written.
    class Place {
    public:
        Place(const LocalTensor &tensor, uint32_t index, twin::Where where) : tensor_(tensor), index_(index), where_(where) {}
        operator T() const { return tensor_.GetValue(index_, where_); }
        const Place &operator=(T value) const
        {
            tensor_.SetValue(index_, value, where_);
            return *this;
        }

    private:
        const LocalTensor tensor_;
        uint32_t index_;
        twin::Where where_;
    };
    Place operator()(const uint32_t index, twin::Where where = twin::Where::here()) const { return Place(*this, index, where); }

    // For the library.
    twin::Space space() const { return space_of(position_); }
    TPosition position() const { return position_; }
    /// Byte address within the memory.
    uint32_t start() const { return start_; }
    /// The host's place; null where data is not computed.
    T *data() const
    {
        uint8_t *memory = twin::core().memory(space());
        T *place = memory ? reinterpret_cast<T *>(memory + start_) : nullptr;
        // See twin::at: places in one memory are unrelated to the compiler.
        asm("" : "+r"(place));
        return place;
    }

private:
    TPosition position_ = TPosition::MAX;
    uint32_t start_ = 0;
    uint32_t size_ = 0;

    void scalar(const twin::Issue &issue) const
    {
        if (space() != twin::Space::UB) issue.fault(twin::text("scalars cannot read or write %s", twin::name(space())));
    }
};

enum class CacheMode { CACHE_MODE_DISABLE = 0, CACHE_MODE_NORMAL = 1, CACHE_MODE_LAST = 2, CACHE_MODE_PERSISTENT = 4 };
enum class CacheRwMode { READ = 1, WRITE = 2, RW = 3 };

template <typename T> class GlobalTensor {
public:
    using PrimType = T;

    void SetGlobalBuffer(__gm__ T *buffer, uint64_t size)
    {
        start_ = reinterpret_cast<uint64_t>(buffer);
        size_ = size;
    }
    void SetGlobalBuffer(__gm__ T *buffer) { SetGlobalBuffer(buffer, 0); }
    GlobalTensor operator[](const uint64_t offset) const
    {
        GlobalTensor moved = *this;
        moved.start_ += offset * sizeof(T);
        moved.size_ -= offset < size_ ? offset : size_;
        return moved;
    }
    const __gm__ T *GetPhyAddr(const uint64_t offset = 0) const { return reinterpret_cast<T *>(start_ + offset * sizeof(T)); }
    uint64_t GetSize() const { return size_; }
    template <CacheRwMode mode = CacheRwMode::RW> void SetL2CacheHint(CacheMode cache) { bypass_ = cache == CacheMode::CACHE_MODE_DISABLE; }

    T GetValue(const uint64_t index, twin::Where where = twin::Where::here()) const
    {
        twin::Issue issue(twin::Pipe::S, "GetValue", where);
        const uint8_t *host = issue.read_gm(start_ + index * sizeof(T), sizeof(T));
        issue.take(twin::cost::scalar_global());
        T value{};
        if (host) std::memcpy(&value, host, sizeof(T));
        return value;
    }
    void SetValue(const uint64_t index, T value, twin::Where where = twin::Where::here()) const
    {
        twin::Issue issue(twin::Pipe::S, "SetValue", where);
        uint8_t *host = issue.write_gm(start_ + index * sizeof(T), sizeof(T));
        issue.take(twin::cost::scalar_global());
        if (host) std::memcpy(host, &value, sizeof(T));
    }

    // For the library.
    uint64_t start() const { return start_; }
    bool bypasses_l2() const { return bypass_; }

private:
    uint64_t start_ = 0;
    uint64_t size_ = 0;
    bool bypass_ = false;
};

} // namespace AscendC
