#include "shadow.h"

namespace twin {

Conflict Shadow::read(const Toucher &by, uint32_t start, uint32_t bytes, bool needs_data)
{
    Conflict found;
    const Pipe pipe = by.pipe();
    runs_.each(start, bytes, [&](History &history, uint64_t byte) {
        if (needs_data && history.state != History::Written)
            found = {history.state == History::Freed ? Conflict::Freed : Conflict::NeverWritten, 0, 0, byte};
        const bool same = history.writer == pipe;
        const uint32_t thread = by.base() + static_cast<uint32_t>(history.writer);
        // An instruction may read what its earlier repeats wrote, where that is documented.
        if (history.write > by.clock[thread] && !(same && (orders_itself(pipe) || history.write == by.number)))
            found = {Conflict::ReadAfterWrite, thread, history.write, byte};
        history.reads[static_cast<int>(pipe)] = by.number;
        return found.kind == Conflict::None;
    });
    return found;
}

Conflict Shadow::write(const Toucher &by, uint32_t start, uint32_t bytes)
{
    Conflict found;
    const Pipe pipe = by.pipe();
    runs_.each(start, bytes, [&](History &history, uint64_t byte) {
        const bool same = history.writer == pipe;
        const uint32_t thread = by.base() + static_cast<uint32_t>(history.writer);
        if (history.write > by.clock[thread] && !(same && (orders_itself(pipe) || history.write == by.number)))
            found = {Conflict::WriteAfterWrite, thread, history.write, byte};
        // A pipe reads its operands in order: only its writes can be late.
        for (int q = 0; q < PIPES; ++q)
            if (history.reads[q] > by.clock[by.base() + q] && q != static_cast<int>(pipe))
                found = {Conflict::WriteAfterRead, by.base() + q, history.reads[q], byte};
        // What is ordered after this write is ordered after all that came before it.
        history = History();
        history.state = History::Written;
        history.writer = pipe;
        history.write = by.number;
        return found.kind == Conflict::None;
    });
    return found;
}

void Shadow::forget(uint32_t start, uint32_t bytes)
{
    if (bytes == 0) return;
    runs_.each(start, bytes, [](History &history, uint64_t) {
        if (history.state == History::Written) history.state = History::Freed;
        return true;
    });
}

bool Shadow::holds(uint32_t start, uint32_t bytes)
{
    bool all = true;
    if (bytes)
        runs_.each(start, bytes, [&](const History &history, uint64_t) { return all = history.state == History::Written; });
    return all;
}

Conflict GlobalShadow::read(const Toucher &by, uint64_t address, uint64_t bytes)
{
    Conflict found;
    runs_.each(address, bytes, [&](History &history, uint64_t byte) {
        for (const Access &write : history.writes)
            if (write.thread != by.thread && write.number > by.clock[write.thread])
                found = {Conflict::ReadAfterWrite, write.thread, write.number, byte};
        for (Access &read : history.reads)
            if (read.thread == by.thread) {
                read.number = by.number;
                return found.kind == Conflict::None;
            }
        history.reads.push_back({by.thread, by.number});
        return found.kind == Conflict::None;
    });
    return found;
}

Conflict GlobalShadow::write(const Toucher &by, uint64_t address, uint64_t bytes, bool atomic)
{
    Conflict found;
    runs_.each(address, bytes, [&](History &history, uint64_t byte) {
        const bool adds = atomic && history.atomic;
        for (const Access &write : history.writes) {
            const bool same = write.thread == by.thread;
            if (write.number <= by.clock[write.thread] || adds) continue;
            if (same && (orders_itself(by.pipe()) || write.number == by.number)) continue;
            found = {Conflict::WriteAfterWrite, write.thread, write.number, byte};
        }
        for (const Access &read : history.reads)
            if (read.thread != by.thread && read.number > by.clock[read.thread])
                found = {Conflict::WriteAfterRead, read.thread, read.number, byte};
        history.reads.clear();
        if (!adds) history.writes.clear();
        // Of the additions of one pipe the last stands for all: it starts after the others.
        bool known = false;
        for (Access &write : history.writes)
            if (write.thread == by.thread) write.number = by.number, known = true;
        if (!known) history.writes.push_back({by.thread, by.number});
        history.atomic = atomic;
        return found.kind == Conflict::None;
    });
    return found;
}

} // namespace twin
