// Rows as lines of a file: CSV with a header, or JSON Lines.
#pragma once

#include <memory>

#include "sim/sweep/sink.h"

namespace echelon {

// The file is opened for appending behind its last whole line; a torn one is cut off. Throws InputError.
std::unique_ptr<RowSink> text_file_sink(const std::filesystem::path& file, RowFormat format, const Space& space);

}  // namespace echelon
