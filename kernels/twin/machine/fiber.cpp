#include "fiber.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

namespace twin {

namespace {
constexpr size_t STACK = 1 << 20;
constexpr size_t GUARD = 64 * 1024;  ///< below the stack, a multiple of any page: running into it ends the process
} // namespace

// Pushes the registers that a function must preserve, keeps the stack pointer at `*save` and goes on with the stack `load`. The first
// time, that is a stack as the constructor of `Fiber` wrote it, whose registers hold the function to start with and its argument.
extern "C" void twin_switch(void **save, void *load);
extern "C" void twin_begin();

#if defined(__x86_64__)
asm(R"(
.text
.p2align 4
.globl twin_switch
.hidden twin_switch
.type twin_switch, @function
twin_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size twin_switch, .-twin_switch
.p2align 4
.globl twin_begin
.hidden twin_begin
.type twin_begin, @function
twin_begin:
    movq %rbx, %rdi
    call *%rbp
    ud2
.size twin_begin, .-twin_begin
)");
constexpr size_t WORDS = 7, FUNCTION = 5, ARGUMENT = 4, RETURN = 6;
#elif defined(__aarch64__)
asm(R"(
.text
.p2align 4
.globl twin_switch
.hidden twin_switch
.type twin_switch, %function
twin_switch:
    sub sp, sp, #160
    stp x19, x20, [sp, #0]
    stp x21, x22, [sp, #16]
    stp x23, x24, [sp, #32]
    stp x25, x26, [sp, #48]
    stp x27, x28, [sp, #64]
    stp x29, x30, [sp, #80]
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    mov x9, sp
    str x9, [x0]
    mov sp, x1
    ldp x19, x20, [sp, #0]
    ldp x21, x22, [sp, #16]
    ldp x23, x24, [sp, #32]
    ldp x25, x26, [sp, #48]
    ldp x27, x28, [sp, #64]
    ldp x29, x30, [sp, #80]
    ldp d8, d9, [sp, #96]
    ldp d10, d11, [sp, #112]
    ldp d12, d13, [sp, #128]
    ldp d14, d15, [sp, #144]
    add sp, sp, #160
    ret
.size twin_switch, .-twin_switch
.p2align 4
.globl twin_begin
.hidden twin_begin
.type twin_begin, %function
twin_begin:
    mov x0, x20
    blr x19
    brk #1
.size twin_begin, .-twin_begin
)");
constexpr size_t WORDS = 20, FUNCTION = 0, ARGUMENT = 1, RETURN = 11;
#else
#error "the twin's cores need a switch of stacks for this processor"
#endif

Fiber::Fiber(void (*program)(void *), void *argument) : program_(program), argument_(argument)
{
    memory_ = mmap(nullptr, GUARD + STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory_ == MAP_FAILED) throw std::bad_alloc();
    mprotect(memory_, GUARD, PROT_NONE);
    void *words[WORDS] = {};
    words[FUNCTION] = reinterpret_cast<void *>(&begin);
    words[ARGUMENT] = this;
    words[RETURN] = reinterpret_cast<void *>(&twin_begin);
    inside_ = static_cast<uint8_t *>(memory_) + GUARD + STACK - sizeof(words);
    std::memcpy(inside_, words, sizeof(words));
}

Fiber::~Fiber() { munmap(memory_, GUARD + STACK); }

void Fiber::resume() { twin_switch(&outside_, inside_); }

void Fiber::give_way() { twin_switch(&inside_, outside_); }

void Fiber::begin(Fiber *fiber)
{
    fiber->program_(fiber->argument_);
    fiber->ended_ = true;
    fiber->give_way();
    std::abort();  // nobody resumes a program that ended
}

} // namespace twin
