// Stands in for sqlite_sink.cpp where the program is built without SQLite.
#include "sim/sweep/sqlite_sink.h"

namespace echelon {

std::unique_ptr<RowSink> sqlite_sink(const std::filesystem::path& file, const Space&) {
  throw InputError({file.string(), 0, 0}, "this program was built without SQLite",
                   "expected a file that ends in .csv or .jsonl, or a build with libsqlite3-dev installed");
}

}  // namespace echelon
