/// The data caches of the scalar units: lines of 64 bytes of global memory that no other unit sees until they are cleaned, and that do
/// not see what other units write until they are loaded again.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "report.h"
#include "shadow.h"

namespace twin {

/// What all cores hold. Looks for accesses that lines make wrong; `""` where there are none, else what is wrong.
class ScalarCaches {
public:
    static constexpr uint64_t LINE = 64;

    bool empty() const { return lines_.empty(); }

    std::string load(const Toucher &, Site site, uint64_t address, uint64_t bytes);
    std::string store(const Toucher &, Site site, uint64_t address, uint64_t bytes);
    /// By another unit of any core.
    std::string read_past(uint64_t address, uint64_t bytes) const;
    std::string write_past(const Toucher &, Site site, uint64_t address, uint64_t bytes);

    /// Writes the line of `address` back and drops it.
    void clean(uint32_t core, uint64_t address);
    void clean_all(uint32_t core);
    /// A store of a core that ends without cleaning it; null if there is none.
    const Site *dirty(uint32_t core) const;

private:
    struct Copy {
        uint32_t core;
        Site loaded;
        bool stale = false;
        Site overwritten{};
    };
    struct Line {
        uint64_t dirty = 0;    ///< bytes, as bits
        uint32_t owner = 0;    ///< the core that stored last
        uint32_t number = 0;   ///< of its scalar unit's instruction; 0: nobody has stored
        Site store{};
        std::vector<Copy> copies;
    };
    std::map<uint64_t, Line> lines_;  ///< by address / LINE

    static uint64_t bits(uint64_t line, uint64_t address, uint64_t bytes);
    static Copy *copy(Line &line, uint32_t core);
    static std::string shared(const Line &line, const Toucher &by);
    static void outdate(Line &line, uint32_t but, Site site);
    void drop(std::map<uint64_t, Line>::iterator &line, uint32_t core);
};

} // namespace twin
