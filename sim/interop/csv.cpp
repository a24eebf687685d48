#include "sim/interop/csv.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

#include "sim/interop/text_file.h"

namespace echelon {

namespace {

std::string in_quotes(std::string_view text) {
  constexpr std::size_t longest = 40;
  std::string shown = "'";
  for (const char c : text.substr(0, longest)) shown += static_cast<unsigned char>(c) < 0x20 ? '?' : c;
  return shown + (text.size() > longest ? "...'" : "'");
}

// Walks the text once and cuts it into records.
class CsvScanner {
 public:
  CsvScanner(std::string_view text, const std::string& file) : text_(text), file_(file) {
    constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";
    if (text_.substr(0, byte_order_mark.size()) == byte_order_mark) text_.remove_prefix(byte_order_mark.size());
  }

  // The next record, or nothing at the end. Empty lines and comments are skipped.
  std::optional<std::vector<CsvCell>> next() {
    skip_blank_lines();
    if (at_end()) return std::nullopt;
    std::vector<CsvCell> record;
    do {
      record.push_back(cell());
    } while (take_comma());
    take_line_end();
    return record;
  }

 private:
  bool at_end() const { return position_ == text_.size(); }
  char peek() const { return text_[position_]; }
  bool at_line_end() const { return at_end() || peek() == '\n' || text_.substr(position_, 2) == "\r\n"; }

  void advance() {
    if (peek() == '\n') {
      ++line_;
      column_ = 0;
    }
    ++position_;
    ++column_;
  }

  void take_line_end() {
    if (!at_end() && peek() == '\r') advance();
    if (!at_end()) advance();
  }

  bool take_comma() {
    if (at_end() || peek() != ',') return false;
    advance();
    return true;
  }

  void skip_blank_lines() {
    while (!at_end() && (at_line_end() || peek() == '#')) {
      while (!at_line_end()) advance();
      take_line_end();
    }
  }

  CsvCell cell() {
    CsvCell cell{{}, line_, column_};
    if (!at_end() && peek() == '"')
      quoted_text(cell);
    else
      plain_text(cell);
    return cell;
  }

  void plain_text(CsvCell& cell) {
    while (!at_line_end() && peek() != ',') {
      if (peek() == '"')
        fail("a quote inside an unquoted cell", "the whole cell in quotes, with quotes inside it doubled");
      refuse_control_character();
      cell.text += peek();
      advance();
    }
  }

  void quoted_text(CsvCell& cell) {
    advance();
    while (true) {
      if (at_end()) throw InputError({file_, cell.line, cell.column}, "the quote is never closed", "a closing quote");
      if (peek() == '"') {
        advance();
        if (at_end() || peek() != '"') break;  // a doubled quote stands for one
      } else {
        refuse_control_character();
      }
      cell.text += peek();
      advance();
    }
    if (!at_line_end() && peek() != ',') fail("text after the closing quote", "a comma or the end of the line");
  }

  void refuse_control_character() {
    const char c = peek();
    if (static_cast<unsigned char>(c) < 0x20 && c != '\t' && c != '\n' && c != '\r')
      fail(fmt::format("byte 0x{:02x} is no text", static_cast<int>(c)), "a CSV file");
  }

  [[noreturn]] void fail(const std::string& wrong, const std::string& right) const {
    throw InputError({file_, line_, column_}, wrong, right);
  }

  std::string_view text_;
  const std::string& file_;
  std::size_t position_ = 0;
  int line_ = 1;
  int column_ = 1;
};

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view blanks = " \t";
  const std::size_t first = text.find_first_not_of(blanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

}  // namespace

CsvTable CsvTable::parse(std::string_view text, const std::string& name) {
  CsvTable table;
  table.file_ = name;
  CsvScanner scanner(text, table.file_);
  auto header = scanner.next();
  if (!header) throw InputError({name, 0, 0}, "the file is empty", "a first line that names the columns");
  table.name_columns(std::move(*header));
  while (auto record = scanner.next()) table.add_record(std::move(*record));
  return table;
}

CsvTable CsvTable::read(const std::filesystem::path& path) {
  return parse(read_text_file(path, "CSV file"), path.string());
}

void CsvTable::name_columns(std::vector<CsvCell> record) {
  header_ = std::move(record);
  for (std::size_t i = 0; i < header_.size(); ++i) {
    CsvCell& cell = header_[i];
    cell.text = std::string(trimmed(cell.text));
    if (cell.text.empty()) throw InputError({file_, cell.line, cell.column}, "a column without a name", "a name");
    if (!index_.emplace(cell.text, i).second)
      throw InputError({file_, cell.line, cell.column}, "column " + in_quotes(cell.text) + " comes twice", "it once");
  }
}

void CsvTable::add_record(std::vector<CsvCell> record) {
  if (record.size() != header_.size()) {
    const CsvCell& last = record[std::min(record.size(), header_.size() + 1) - 1];
    const bool is_short = record.size() < header_.size();
    const int column = last.column + (is_short ? static_cast<int>(last.text.size()) : 0);
    throw InputError(
        {file_, last.line, column},
        fmt::format("{} cells, {} than the header's {}", record.size(), is_short ? "fewer" : "more", header_.size()),
        is_short ? "a cell for column " + in_quotes(header_[record.size()].text)
                 : std::string("as many cells as columns; a comma inside a cell needs quotes"));
  }
  cells_.push_back(std::move(record));
}

std::optional<std::size_t> CsvTable::column(std::string_view name) const {
  const auto found = index_.find(std::string(name));
  if (found == index_.end()) return std::nullopt;
  return found->second;
}

std::size_t CsvTable::require_column(std::string_view name) const {
  if (const auto found = column(name)) return *found;
  throw InputError({file_, header_.front().line, header_.front().column}, "no column " + in_quotes(name),
                   "a header that names it");
}

std::optional<double> CsvTable::number(std::size_t row, std::size_t column) const {
  const std::string_view text = trimmed(cell(row, column).text);
  if (text.empty()) return std::nullopt;
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value))
    fail(row, column, in_quotes(text) + " is no number", "a finite decimal number or nothing");
  return value;
}

void CsvTable::fail(std::size_t row, std::size_t column, const std::string& wrong, const std::string& right) const {
  const CsvCell& at = cell(row, column);
  throw InputError({file_, at.line, at.column}, "column " + in_quotes(header_[column].text) + ": " + wrong, right);
}

}  // namespace echelon
