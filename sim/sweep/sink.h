// Where the rows of a sweep go. A file is one prefix of the space in order, so that a sweep that was killed goes on
// behind the last whole row; what stands beside it as FILE.sweep says which space it holds.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "sim/sweep/row.h"

namespace echelon {

enum class RowFormat { csv, json_lines, sqlite };

// By the file's ending: .csv, .jsonl, .sqlite or .db. Throws InputError for another, and for SQLite in a program that
// was built without it.
RowFormat format_of(const std::filesystem::path& file);

class RowSink {
 public:
  virtual ~RowSink() = default;
  // Points below this are in the file already.
  virtual std::int64_t next_point() const = 0;
  // The last row that is in the file, as a CSV or JSON line, to check that the program still says the same; empty for
  // none.
  virtual std::string last_line() const = 0;
  // Where it stands: its file, and its line where there are lines.
  virtual SourceLocation last_place() const = 0;
  // How a row would stand there, for the same check.
  virtual std::string line(const Row& row) const = 0;
  // Appends rows; they are with the operating system when it returns. Throws InputError where they cannot be written.
  virtual void write(const std::vector<Row>& rows) = 0;
};

// Standard output: nothing is read back.
std::unique_ptr<RowSink> standard_output_sink(RowFormat format, const Space& space);

// Opens or creates the file. `identity` stands for the space, the program and its version: a file of another identity,
// or one that no sweep wrote, is refused with InputError, as is one that cannot be written.
std::unique_ptr<RowSink> file_sink(const std::filesystem::path& file, const Space& space, const std::string& identity);

// Removes what a sweep left at the path.
void discard(const std::filesystem::path& file);

}  // namespace echelon
