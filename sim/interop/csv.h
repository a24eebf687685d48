// A table of comma-separated values that knows where each cell stands.
//
// RFC 4180: the first record names the columns; a cell in double quotes may hold commas, line ends and doubled quotes.
// Also taken: a byte-order mark, CRLF line ends, empty lines and whole-line comments that start with '#' outside
// quotes. Refused with InputError "file:line:column": a record shorter or longer than the header, text after a closing
// quote, a quote inside an unquoted cell, an unclosed quote, a column named twice or not at all, bytes that are not
// text. Lines and columns count from 1; columns count bytes.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "sim/base/error.h"

namespace echelon {

struct CsvCell {
  std::string text;
  int line = 0;
  int column = 0;
};

class CsvTable {
 public:
  // Reads text already in memory; `name` stands for the file in messages. Throws InputError.
  static CsvTable parse(std::string_view text, const std::string& name);
  // Reads a file (text_file.h). Throws InputError, also where there is no such file.
  static CsvTable read(const std::filesystem::path& path);

  const std::string& file() const { return file_; }
  const std::vector<CsvCell>& header() const { return header_; }
  std::size_t rows() const { return cells_.size(); }
  // Position of a column, if the table has it.
  std::optional<std::size_t> column(std::string_view name) const;
  // Position of a column that must be there; else InputError at the header.
  std::size_t require_column(std::string_view name) const;
  const CsvCell& cell(std::size_t row, std::size_t column) const { return cells_[row][column]; }
  // Line of the row's first cell.
  int line(std::size_t row) const { return cells_[row].front().line; }

  // The cell as a finite decimal number; nothing where it is blank. Throws InputError at the cell.
  std::optional<double> number(std::size_t row, std::size_t column) const;
  // Throws InputError at the cell: "column 'NAME': wrong; right".
  [[noreturn]] void fail(std::size_t row, std::size_t column, const std::string& wrong, const std::string& right) const;

 private:
  void add_record(std::vector<CsvCell> record);
  void name_columns(std::vector<CsvCell> record);

  std::string file_;
  std::vector<CsvCell> header_;
  std::unordered_map<std::string, std::size_t> index_;  // column name -> position
  std::vector<std::vector<CsvCell>> cells_;
};

}  // namespace echelon
