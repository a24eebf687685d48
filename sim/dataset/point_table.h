// The rows of a data set one after the other, cells as text.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sim/dataset/packed_file.h"

namespace echelon {

// A cell as a finite number, where it is one.
std::optional<double> cell_number(std::string_view cell);

class PointTable {
 public:
  // Opens a file of csv_line()s (sim/sweep/row.h), packed or not. Throws InputError where its header is not these
  // columns.
  PointTable(const std::filesystem::path& file, std::vector<std::string> columns);

  const std::vector<std::string>& columns() const { return columns_; }
  // Position of a column that must be there. Throws InputError.
  std::size_t column(std::string_view name) const;

  // Goes to the next row; false behind the last. Throws InputError at a line that is no row.
  bool next();
  // Of the row that next() went to, by column.
  const std::vector<std::string>& cells() const { return cells_; }
  // A cell that must be a number. Throws InputError at its line.
  double number(std::size_t column) const;

 private:
  void split(std::string_view line);
  [[noreturn]] void fail(const std::string& wrong) const;

  PackedReader reader_;
  std::vector<std::string> columns_;
  std::vector<std::string> cells_;
  std::size_t filled_ = 0;  // of cells_
};

}  // namespace echelon
