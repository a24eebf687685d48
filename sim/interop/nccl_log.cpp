#include "sim/interop/nccl_log.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>
#include <utility>

#include "sim/interop/nccl_device_table.h"
#include "sim/interop/nccl_kind.h"
#include "sim/interop/text_file.h"

namespace echelon {
namespace {

bool contains(std::string_view line, std::string_view word) {
  return line.find(word) != std::string_view::npos;
}

// The names before "_perf" in a line.
std::vector<CollectiveKind> programs_in(std::string_view line) {
  std::vector<CollectiveKind> kinds;
  constexpr std::string_view ending = "_perf";
  for (std::size_t at = line.find(ending); at != std::string_view::npos; at = line.find(ending, at + 1)) {
    std::size_t start = at;
    while (start > 0 && ((line[start - 1] >= 'a' && line[start - 1] <= 'z') || line[start - 1] == '_')) --start;
    if (const auto kind = nccl_program_kind(line.substr(start, at - start))) kinds.push_back(*kind);
  }
  return kinds;
}

// Positions of the columns of a comma-separated table.
struct CsvColumns {
  std::vector<std::string_view> names;
  double time_unit_us = 1;

  std::optional<std::size_t> find(std::string_view start, std::size_t nth = 0) const {
    for (std::size_t i = 0; i < names.size(); ++i)
      if (names[i].substr(0, start.size()) == start && nth-- == 0) return i;
    return std::nullopt;
  }
};

std::vector<std::string_view> cells_of(std::string_view line) {
  constexpr std::size_t most = 32;
  std::vector<std::string_view> cells;
  while (cells.size() < most) {
    const std::size_t comma = line.find(',');
    cells.push_back(line.substr(0, comma));
    if (comma == std::string_view::npos) break;
    line.remove_prefix(comma + 1);
  }
  return cells;
}

std::optional<CsvColumns> csv_header(std::string_view line) {
  if (line.substr(0, 4) != "size" || !contains(line, ",count") || !contains(line, ",time")) return std::nullopt;
  return CsvColumns{cells_of(line), contains(line, "time(ns)") ? 1e-3 : 1};
}

double positive(const std::vector<std::string_view>& cells, std::optional<std::size_t> column) {
  if (!column || *column >= cells.size()) return 0;
  const std::string_view text = cells[*column];
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = error == std::errc() && end == text.data() + text.size() && std::isfinite(value);
  return whole ? std::max(0.0, value) : 0;
}

std::optional<NcclRow> csv_row(std::string_view line, const CsvColumns& columns) {
  const auto cells = cells_of(line);
  const auto type = columns.find("type");
  NcclRow row;
  row.bytes = Bytes(positive(cells, columns.find("size")));
  row.count = positive(cells, columns.find("count"));
  if (type && *type < cells.size()) row.type = cells[*type];
  row.out_of_place = microseconds(positive(cells, columns.find("time")) * columns.time_unit_us);
  row.in_place = microseconds(positive(cells, columns.find("time", 1)) * columns.time_unit_us);
  row.bus_bandwidth = gigabytes_per_second(positive(cells, columns.find("busbw")));
  if (row.bytes <= Bytes(0) || row.out_of_place <= Seconds(0)) return std::nullopt;
  row.algorithm_bandwidth = ByteRate(row.bytes.value() / row.out_of_place.value());
  return row;
}

class LogReader {
 public:
  LogReader(std::string_view text, const std::string& name) : text_(text), name_(name) {}

  NcclLog run() {
    while (!text_.empty()) {
      const std::size_t end = std::min(text_.find('\n'), text_.size());
      std::string_view line = text_.substr(0, end);
      text_.remove_prefix(std::min(end + 1, text_.size()));
      if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
      ++line_;
      constexpr std::size_t longest = 100'000;
      if (line.size() <= longest) take(line);
    }
    close();
    if (log_.runs.empty()) refuse();
    return std::move(log_);
  }

 private:
  void take(std::string_view line) {
    if (take_facts(line)) return;
    const auto row = columns_ ? csv_row(line, *columns_) : parse_nccl_row(line);
    if (row) {
      add(*row);
    } else if (columns_ ? contains(line, ",float,") : looks_like_nccl_row(line)) {
      ++log_.skipped["cut short, or its numbers contradict each other"];
      if (first_bad_ == 0) first_bad_ = line_;
    }
  }

  // What stands around the rows; true where the line is no row.
  bool take_facts(std::string_view line) {
    if (contains(line, "nThread")) begin_program();
    const auto programs = programs_in(line);
    if (contains(line, "concluded"))
      named_.insert(named_.begin(), programs.begin(), programs.end());
    else
      next_named_.insert(next_named_.begin(), programs.begin(), programs.end());
    if (const auto header = csv_header(line)) {
      close();
      header_text_ = line;
      columns_ = csv_header(header_text_);
      return true;
    }
    if (contains(line, "device") && contains(line, "Rank")) {
      if (!rows_.empty()) begin_program();
      if (table_.add(line)) return true;
    }
    const bool heading = contains(line, "size ") && contains(line, "count ") && contains(line, "type");
    if (heading) close();
    return heading;
  }

  // A program starts: what was known of the one before no longer holds.
  void begin_program() {
    if (rows_.empty()) return;
    close();
    table_ = {};
    columns_.reset();
    named_.clear();
  }

  void add(NcclRow row) {
    row.line = line_;
    if (row.bytes <= Bytes(0)) return;  // small sizes of gathers round down to nothing
    if (row.wrong > 0) {
      ++log_.skipped["wrong results"];
      return;
    }
    if (!rows_.empty()) {
      const NcclRow& last = rows_.back();
      if (row.bytes < last.bytes || row.type != last.type || row.reduction != last.reduction || row.root != last.root)
        close();
    }
    if (rows_.empty() && !next_named_.empty()) named_ = std::exchange(next_named_, {});
    rows_.push_back(std::move(row));
  }

  void close() {
    if (rows_.empty()) return;
    NcclKindFacts facts{named_, table_.ranks(), !columns_.has_value()};
    const std::size_t slash = name_.find_last_of('/');
    if (const auto kind = nccl_kind_in_name(std::string_view(name_).substr(slash == std::string::npos ? 0 : slash + 1)))
      facts.named.push_back(*kind);
    if (const auto kind = nccl_kind_of(rows_, facts)) {
      log_.runs.push_back(run_of(*kind));
    } else {
      const char* reason = table_.ranks() == 1 ? "of runs with one rank" : "of no collective that is known";
      log_.skipped[reason] += static_cast<std::int64_t>(rows_.size());
      if (first_bad_ == 0) first_bad_ = rows_.front().line;
    }
    rows_.clear();
  }

  NcclRun run_of(const NcclKind& kind) {
    NcclRun run;
    run.where = {name_, rows_.front().line, 1};
    run.kind = kind.kind;
    run.ranks = kind.ranks;
    if (kind.ranks == table_.ranks()) run.ranks_per_node = table_.ranks_per_node();
    run.hosts = table_.hosts();
    run.device = table_.device();
    run.rows = std::move(rows_);
    return run;
  }

  [[noreturn]] void refuse() const {
    std::string wrong = "no row of nccl-tests in it";
    if (!log_.skipped.empty()) {
      wrong = "no row of use:";
      for (const auto& [reason, rows] : log_.skipped) wrong += fmt::format(" {} {};", rows, reason);
      wrong.pop_back();
    }
    throw InputError({name_, std::max(1, first_bad_), 1}, wrong,
                     "expected output of, for example, all_reduce_perf over two ranks or more, with lines such as "
                     "'1048576 262144 float sum -1 27.37 38.31 67.05 0'");
  }

  std::string_view text_;
  const std::string& name_;
  int line_ = 0;
  int first_bad_ = 0;  // line of the first row that was of no use
  NcclLog log_;
  NcclDeviceTable table_;
  std::optional<CsvColumns> columns_;  // of a comma-separated table
  std::string header_text_;            // that columns_ points into
  std::vector<CollectiveKind> named_;
  std::vector<CollectiveKind> next_named_;
  std::vector<NcclRow> rows_;
};

}  // namespace

NcclLog parse_nccl_log(std::string_view text, const std::string& name) {
  return LogReader(text, name).run();
}

NcclLog read_nccl_log(const std::filesystem::path& path) {
  return parse_nccl_log(read_text_file(path, "text file"), path.string());
}

}  // namespace echelon
