#include "sim/dataset/point_table.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "sim/base/error.h"

namespace echelon {

std::optional<double> cell_number(std::string_view cell) {
  double value = 0;
  const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
  if (error != std::errc() || end != cell.data() + cell.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

PointTable::PointTable(const std::filesystem::path& file, std::vector<std::string> columns)
    : reader_(file), columns_(std::move(columns)) {
  cells_.resize(columns_.size());
  std::string_view header;
  if (!reader_.next(header)) fail("there is no header");
  split(header);
  if (cells_ != columns_) fail("the header is not the manifest's columns");
}

std::size_t PointTable::column(std::string_view name) const {
  const auto found = std::find(columns_.begin(), columns_.end(), name);
  if (found == columns_.end())
    throw InputError({reader_.file().string(), 1, 0}, fmt::format("there is no column {}", name),
                     "expected a data set of this version's columns");
  return static_cast<std::size_t>(found - columns_.begin());
}

bool PointTable::next() {
  std::string_view line;
  if (!reader_.next(line)) return false;
  split(line);
  return true;
}

double PointTable::number(std::size_t column) const {
  const auto value = cell_number(cells_[column]);
  if (!value) fail(fmt::format("{} is no number", columns_[column]));
  return *value;
}

// Cells in quotes hold commas and doubled quotes; none holds a line's end.
void PointTable::split(std::string_view line) {
  filled_ = 0;
  for (std::size_t at = 0; at <= line.size(); ++at) {
    if (filled_ == cells_.size()) fail(fmt::format("more than {} cells", cells_.size()));
    std::string& cell = cells_[filled_++];
    cell.clear();
    if (at < line.size() && line[at] == '"') {
      for (++at; at < line.size() && (line[at] != '"' || line.substr(at, 2) == "\"\""); ++at) {
        cell += line[at];
        if (line[at] == '"') ++at;
      }
      ++at;
    } else {
      const std::size_t end = std::min(line.find(',', at), line.size());
      cell.assign(line.substr(at, end - at));
      at = end;
    }
  }
  if (filled_ != cells_.size()) fail(fmt::format("{} cells of {}", filled_, cells_.size()));
}

void PointTable::fail(const std::string& wrong) const {
  throw InputError({reader_.file().string(), static_cast<int>(reader_.line_number()), 1}, wrong,
                   "expected a file that a build wrote");
}

}  // namespace echelon
