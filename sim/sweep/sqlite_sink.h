// Rows in a table `points` of an SQLite database, for sweeps that one wants to ask questions of.
#pragma once

#include <memory>

#include "sim/sweep/sink.h"

namespace echelon {

// Throws InputError where it cannot be opened, or the program was built without SQLite.
std::unique_ptr<RowSink> sqlite_sink(const std::filesystem::path& file, const Space& space);

}  // namespace echelon
