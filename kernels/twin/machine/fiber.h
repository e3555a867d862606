/// Programs with stacks of their own that take turns on one thread of the host.
#pragma once

#include <cstddef>

namespace twin {

class Fiber {
public:
    /// `program(argument)` must not throw.
    Fiber(void (*program)(void *), void *argument);
    ~Fiber();
    Fiber(const Fiber &) = delete;
    Fiber &operator=(const Fiber &) = delete;

    /// Runs the program until it gives way or ends; called from outside.
    void resume();
    /// Returns to who resumed; called by the program.
    void give_way();
    bool ended() const { return ended_; }

private:
    void (*const program_)(void *);
    void *const argument_;
    void *memory_;
    void *inside_;             ///< the program's stack pointer while it does not run
    void *outside_ = nullptr;  ///< that of who resumed it
    bool ended_ = false;

    [[noreturn]] static void begin(Fiber *fiber);
};

} // namespace twin
