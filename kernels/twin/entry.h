/// How a kernel of a library is launched on the twin: `TWIN_KERNEL(name)` after the kernel's definition exports
/// `twin_entry_name`, which takes the argument block of a launch apart and runs the kernel.
#pragma once

#include <cstring>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "machine/launch.h"

extern "C" {

/// An allocation of the device; `host` is null where it has no contents.
struct twin_range {
    uint64_t address, bytes;
    uint8_t *host;
};

struct twin_launch {
    const char *soc;           ///< as in `910B2`
    uint32_t blocks;
    uint32_t modes;            ///< bit 0 compute, 1 check, 2 keep a trace; time is always kept
    const uint8_t *arguments;  ///< in order, each at its natural alignment
    uint64_t argument_bytes;
    const twin_range *ranges;  ///< sorted by address
    uint64_t range_count;
    /// Gets a text: kind 0 a fault, 1 the outcome as JSON, 2 the trace as JSON.
    void (*tell)(void *user, uint32_t kind, const char *text, uint64_t bytes);
    void *user;
};

/// 0, or 1 after a fault.
typedef int32_t (*twin_entry)(const twin_launch *);
}

namespace twin {

/// The arguments of a kernel, out of the block.
class Arguments {
public:
    Arguments(const uint8_t *bytes, uint64_t count) : bytes_(bytes), count_(count) {}

    template <class T> T next()
    {
        const uint64_t alignment = alignof(T) < 4 ? 4 : alignof(T);
        at_ = (at_ + alignment - 1) / alignment * alignment;
        if (at_ + sizeof(T) > count_) throw Fault(text("the argument block has %llu bytes, too few for the kernel's parameters",
                                                       static_cast<unsigned long long>(count_)));
        T value;
        std::memcpy(&value, bytes_ + at_, sizeof(T));
        at_ += sizeof(T);
        return value;
    }

private:
    const uint8_t *bytes_;
    uint64_t count_, at_ = 0;
};

/// Runs `program` on the cores of a launch and tells the outcome. `pointers`: the arguments that are addresses, 0 for the others.
int32_t launch(const char *name, const twin_launch &launch, std::vector<uint64_t> pointers, const std::function<void()> &program);

template <class T> uint64_t pointer(const T &value)
{
    if constexpr (std::is_pointer_v<T>) return reinterpret_cast<uint64_t>(value);
    return 0;
}

template <class... P> int32_t enter(const char *name, void (*kernel)(P...), const twin_launch *request)
{
    using Values = std::tuple<std::decay_t<P>...>;
    std::vector<uint64_t> pointers;
    Arguments arguments(request->arguments, request->argument_bytes);
    try {
        // Braces keep the order.
        const Values values{arguments.next<std::decay_t<P>>()...};
        std::apply([&](const auto &...each) { pointers = {pointer(each)...}; }, values);
        return launch(name, *request, std::move(pointers), [=] { std::apply(kernel, values); });
    } catch (const Fault &fault) {
        const std::string problem = std::string(name) + ": " + fault.what();
        request->tell(request->user, 0, problem.data(), problem.size());
        return 1;
    }
}

} // namespace twin

#define TWIN_KERNEL(name) \
    extern "C" int32_t twin_entry_##name(const twin_launch *request) { return twin::enter(#name, name, request); }
