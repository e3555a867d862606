#include "traffic.h"

#include <algorithm>

namespace twin {

namespace {
/// Bytes per cycle between a core and the L2 (INI for cube cores; MSP for vector cores: 137 and 93 GiB/s at 1850 MHz).
constexpr double CUBE_READ = 110, CUBE_WRITE = 86, VECTOR_READ = 79, VECTOR_WRITE = 54;
/// Cycles that each row of a burst takes besides its bytes. Reads: fitted to products of matrices, whose rows of 512 bytes a
/// cube core moves at 91 bytes per cycle; rows of 256 and 128 bytes, at 77 and 59, have the ratios that catlass gives for ND2NZ.
/// Writes: with CUBE_WRITE, the published rates of Fixpipe for rows of 512 and 1024 bytes.
constexpr double READ_ROW = 1.0, WRITE_ROW = 1.5;
/// What of its nominal rate HBM gives: measured streams of reads and writes reach 1.1 to 1.4 of 1.6 TB/s, most of them 1.3.
constexpr double HBM_SHARE = 0.8125;
/// Cycles to start a burst.
constexpr double START = 25;
/// Cycles from the last byte's turn until it is there (DEV: 241 for a read of L2, 96 for a write).
constexpr double READ_L2 = 241, READ_HBM = 500, WRITE = 96;
/// What one core gets from HBM, in bytes/s (MSP, one core alone: 135 and 101 GiB/s).
constexpr double CUBE_HBM = 145e9, VECTOR_HBM = 108e9;
} // namespace

Traffic::Traffic(const Chip &chip)
    : l2_read_(chip.per_cycle(chip.l2_read)), l2_write_(chip.per_cycle(chip.l2_write)), hbm_(chip.per_cycle(chip.hbm_bytes * HBM_SHARE)),
      capacity_(chip.l2_bytes / LINE), arrived_(chip.l2_bytes / LINE + 1),
      hbm_port_cube_(chip.per_cycle(CUBE_HBM)), hbm_port_vector_(chip.per_cycle(VECTOR_HBM))
{
}

Traffic::Page &Traffic::page(uint64_t number)
{
    Recent &recent = recent_[number % 64];
    if (recent.number != number) {
        auto &page = pages_[number];
        if (!page) page = std::make_unique<Page>();
        recent = {number, page.get()};
    }
    return *recent.page;
}

template <bool WRITES, bool KEEP> inline bool Traffic::use(uint32_t &line)
{
    constexpr uint32_t MASK = 0x7fffffffu;
    const bool here = ((arrived_ - (line >> 1)) & MASK) <= capacity_;
    const bool dirty = here && (line & 1);
    if (KEEP || here) {
        arrived_ = (arrived_ + !here) & MASK;
        line = arrived_ << 1 | static_cast<uint32_t>(WRITES || dirty);
    }
    return WRITES ? !dirty : !here;
}

template <bool WRITES, bool KEEP> Traffic::Lines Traffic::use(const Burst &burst)
{
    const bool one = burst.rows == 1 || burst.pitch == burst.bytes;
    const uint64_t bytes = one ? burst.bytes * burst.rows : burst.bytes;
    const uint32_t rows = one ? 1 : burst.rows;
    Lines lines;
    uint64_t address = burst.address, done = ~0ull, number = ~0ull;
    uint32_t *page = nullptr;
    for (uint32_t row = 0; row < rows; ++row, address += burst.pitch) {
        const uint64_t last = (address + bytes - 1) / LINE;
        uint64_t first = address / LINE;
        if (first == done) ++first;  // shares a line with the row before
        for (; first <= last; ++first) {
            if (first / PAGE_LINES != number) {
                number = first / PAGE_LINES;
                page = this->page(number).lines;
            }
            lines.past += use<WRITES, KEEP>(page[first % PAGE_LINES]);
            ++lines.touched;
        }
        done = last;
    }
    return lines;
}

Cost Traffic::move(bool cube, double start, const Burst &burst, bool writes, bool keep)
{
    const uint64_t bytes = burst.bytes * burst.rows;
    if (bytes == 0) return {START, 0};
    const Lines lines = writes ? keep ? use<true, true>(burst) : use<true, false>(burst)
                               : keep ? use<false, true>(burst) : use<false, false>(burst);
    const uint64_t past = lines.past * LINE;
    const uint32_t rows = burst.pitch == burst.bytes ? 1 : burst.rows;
    // Rows that do not lie at lines are cut into more pieces than they would need.
    const uint64_t least = rows * ((burst.bytes + LINE - 1) / LINE);
    const uint64_t pieces = rows > 1 && lines.touched > least ? rows + lines.touched - least : rows;
    const double port = writes ? cube ? CUBE_WRITE : VECTOR_WRITE : cube ? CUBE_READ : VECTOR_READ;
    double own = START + pieces * (writes ? WRITE_ROW : READ_ROW) + bytes / port;
    double end;
    if (writes) {
        totals_.written += bytes;
        totals_.hbm_written += past;
        end = l2_write_.take(start, bytes);
    } else {
        totals_.read += bytes;
        totals_.hbm_read += past;
        own = std::max(own, START + past / (cube ? hbm_port_cube_ : hbm_port_vector_));
        end = l2_read_.take(start, bytes);
    }
    if (past) end = std::max(end, hbm_.take(start, past));
    return {std::max(own, end - start), writes ? WRITE : past ? READ_HBM : READ_L2};
}

} // namespace twin
