/// What a launch on the twin reports: faults with the instruction, the core and the line of the kernel.
#pragma once

#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <stdexcept>
#include <string>

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

} // namespace twin
