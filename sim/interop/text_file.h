// A whole file as text, with the checks that every reader of users' files makes.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

#include "sim/base/error.h"

namespace echelon {

constexpr std::size_t largest_text_file = std::size_t{64} * 1024 * 1024;  // bytes

// The bytes of a regular file of at most `largest_text_file`. `what` is what it should have been ("CSV file").
// Throws InputError where there is none, it is a directory, too large or unreadable.
std::string read_text_file(const std::filesystem::path& path, const std::string& what);

}  // namespace echelon
