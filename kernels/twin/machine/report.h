/// What a launch on the twin reports: faults with the instruction, the core and the line of the kernel.
#pragma once

#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <vector>

namespace twin {

/// A line of a kernel's source. As a default argument, `Where::here()` is the line of the call.
struct Where {
    const char *file;
    int line;

    static constexpr Where here(const char *file = __builtin_FILE(), int line = __builtin_LINE())
    {
        return {file, line};
    }
};

/// An instruction in the source.
struct Site {
    const char *api;
    Where where;

    bool operator==(const Site &other) const
    {
        return api == other.api && where.file == other.where.file && where.line == other.where.line;
    }
};

/// Sites by small numbers: what is kept for each instruction that was given.
class Sites {
public:
    uint32_t number(const Site &site)
    {
        const size_t hash = reinterpret_cast<uintptr_t>(site.api) * 31 + reinterpret_cast<uintptr_t>(site.where.file) + site.where.line;
        uint32_t &guess = recent_[hash * 0x9e3779b97f4a7c15u >> 56];
        if (guess < all_.size() && all_[guess] == site) return guess;
        for (guess = 0; guess < all_.size(); ++guess)
            if (all_[guess] == site) return guess;
        all_.push_back(site);
        return guess;
    }
    const Site &operator[](uint32_t number) const { return all_[number]; }

private:
    std::vector<Site> all_;
    uint32_t recent_[256] = {};
};

/// What ends a launch: a text that a kernel's author can act on.
struct Fault : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// `printf` into a string.
__attribute__((format(printf, 1, 2))) inline std::string text(const char *format, ...)
{
    char line[1024];
    va_list list;
    va_start(list, format);
    vsnprintf(line, sizeof(line), format, list);
    va_end(list);
    return line;
}

/// `file:line`, the file without its folders.
inline std::string text(const Where &where)
{
    const std::string file = where.file;
    const auto slash = file.find_last_of('/');
    return text("%s:%d", file.substr(slash == std::string::npos ? 0 : slash + 1).c_str(), where.line);
}

/// `Add at kernel.cpp:12`.
inline std::string text(const Site &site) { return text("%s at %s", site.api, text(site.where).c_str()); }

} // namespace twin
