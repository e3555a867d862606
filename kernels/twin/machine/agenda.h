/// Who runs next: cores by virtual time.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

namespace twin {

/// A binary heap. Of equal times the lower index comes first, so that the order is always the same.
class Agenda {
public:
    bool empty() const { return heap_.empty(); }
    /// The earliest time; infinite if there is none.
    double time() const { return heap_.empty() ? std::numeric_limits<double>::infinity() : heap_[0].time; }

    void push(double time, uint32_t index)
    {
        size_t at = heap_.size();
        const Entry entry{time, index};
        heap_.push_back(entry);
        for (; at && entry < heap_[(at - 1) / 2]; at = (at - 1) / 2) heap_[at] = heap_[(at - 1) / 2];
        heap_[at] = entry;
    }
    uint32_t pop()
    {
        const uint32_t first = heap_[0].index;
        const Entry entry = heap_.back();
        heap_.pop_back();
        if (heap_.empty()) return first;
        size_t at = 0;
        for (size_t child; (child = 2 * at + 1) < heap_.size(); at = child) {
            if (child + 1 < heap_.size() && heap_[child + 1] < heap_[child]) ++child;
            if (!(heap_[child] < entry)) break;
            heap_[at] = heap_[child];
        }
        heap_[at] = entry;
        return first;
    }

private:
    struct Entry {
        double time;
        uint32_t index;
        bool operator<(const Entry &other) const
        {
            return time < other.time || (time == other.time && index < other.index);
        }
    };
    std::vector<Entry> heap_;
};

} // namespace twin
