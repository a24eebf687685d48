#include "sim/interop/nccl_row.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <vector>

namespace echelon {
namespace {

using Words = std::vector<std::string_view>;

struct ElementType {
  std::string_view name;
  double bytes;
};
constexpr std::array<ElementType, 19> element_types{{{"int8", 1},
                                                     {"char", 1},
                                                     {"uint8", 1},
                                                     {"int32", 4},
                                                     {"int", 4},
                                                     {"uint32", 4},
                                                     {"int64", 8},
                                                     {"uint64", 8},
                                                     {"half", 2},
                                                     {"float16", 2},
                                                     {"bfloat16", 2},
                                                     {"float", 4},
                                                     {"float32", 4},
                                                     {"double", 8},
                                                     {"float64", 8},
                                                     {"f8e4m3", 1},
                                                     {"fp8_e4m3", 1},
                                                     {"f8e5m2", 1},
                                                     {"fp8_e5m2", 1}}};

constexpr std::size_t longest_line_in_words = 64;

Words words_of(std::string_view line) {
  constexpr std::string_view blanks = " \t\r";
  Words words;
  while (words.size() < longest_line_in_words) {
    const std::size_t first = line.find_first_not_of(blanks);
    if (first == std::string_view::npos) break;
    line.remove_prefix(first);
    const std::size_t length = std::min(line.find_first_of(blanks), line.size());
    words.push_back(line.substr(0, length));
    line.remove_prefix(length);
  }
  return words;
}

std::optional<double> number_of(std::string_view word) {
  double value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc() || end != word.data() + word.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

std::optional<double> whole_number_of(std::string_view word) {
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  constexpr std::size_t most_digits = 18;
  if (word.empty() || word.size() > most_digits || !std::all_of(word.begin(), word.end(), digit)) return std::nullopt;
  return number_of(word);
}

bool is_reduction(std::string_view word) {
  constexpr std::array<std::string_view, 7> names{"sum", "prod", "max", "min", "avg", "mulsum", "none"};
  return std::find(names.begin(), names.end(), word) != names.end();
}

// Where `size count type` begins.
std::optional<std::size_t> row_start(const Words& words) {
  for (std::size_t i = 0; i + 2 < words.size(); ++i)
    if (nccl_element_bytes(words[i + 2]) > 0 && whole_number_of(words[i]) && whole_number_of(words[i + 1])) return i;
  return std::nullopt;
}

struct Timing {
  double time_us = 0;
  double algorithm_gb_s = 0;
  double bus_gb_s = 0;
  double wrong = 0;
  bool checked = true;
};

// Four columns from `at`. Newer programs count wrong elements, older ones print the largest error ("5e-07").
std::optional<Timing> timing_at(const Words& words, std::size_t at) {
  if (at + 4 > words.size()) return std::nullopt;
  const auto time = number_of(words[at]);
  const auto algorithm = number_of(words[at + 1]);
  const auto bus = number_of(words[at + 2]);
  if (!time || !algorithm || !bus || *time <= 0 || *algorithm < 0 || *bus < 0) return std::nullopt;
  const auto wrong = number_of(words[at + 3]);
  if (!wrong && words[at + 3] != "N/A") return std::nullopt;
  return Timing{*time, *algorithm, *bus, wrong ? std::floor(std::abs(*wrong)) : 0, wrong.has_value()};
}

// Whether size / time is the bandwidth printed, to the digits printed: two behind the point, times four in all.
bool agrees(double bytes, const Timing& timing) {
  const double gb_s = bytes / timing.time_us * 1e-3;
  return std::abs(gb_s - timing.algorithm_gb_s) <= 0.0051 + 2e-3 * gb_s + 0.006 / timing.time_us * gb_s;
}

void take(NcclRow& row, const Timing& timing) {
  row.out_of_place = microseconds(timing.time_us);
  row.algorithm_bandwidth = gigabytes_per_second(timing.algorithm_gb_s);
  row.bus_bandwidth = gigabytes_per_second(timing.bus_gb_s);
  row.wrong = static_cast<std::int64_t>(std::min(timing.wrong, 1e18));
  row.out_of_place_checked = timing.checked;
}

void take_in_place(NcclRow& row, const Words& words, std::size_t at) {
  const auto timing = timing_at(words, at);
  if (!timing || !agrees(row.bytes.value(), *timing)) return;
  row.in_place = microseconds(timing->time_us);
  row.wrong += static_cast<std::int64_t>(std::min(timing->wrong, 1e18));
  row.in_place_checked = timing->checked;
}

}  // namespace

double nccl_element_bytes(std::string_view type) {
  const auto found =
      std::find_if(element_types.begin(), element_types.end(), [&](const auto& known) { return known.name == type; });
  return found == element_types.end() ? 0 : found->bytes;
}

std::optional<NcclRow> parse_nccl_row(std::string_view line) {
  const Words words = words_of(line);
  const auto start = row_start(words);
  if (!start) return std::nullopt;
  NcclRow row;
  row.bytes = Bytes(*whole_number_of(words[*start]));
  row.count = *whole_number_of(words[*start + 1]);
  row.type = words[*start + 2];
  std::size_t at = *start + 3;
  if (at < words.size() && is_reduction(words[at])) row.reduction = words[at++];
  // The root is there or not: the reading in which the numbers agree is the right one.
  for (const std::size_t root_columns : {1, 0}) {
    const auto timing = timing_at(words, at + root_columns);
    if (!timing || !agrees(row.bytes.value(), *timing)) continue;
    if (root_columns == 1) {
      const auto root = number_of(words[at]);
      if (!root || *root != std::floor(*root) || *root < -1 || *root > 1e6) continue;
      row.root = static_cast<int>(*root);
    }
    take(row, *timing);
    take_in_place(row, words, at + root_columns + 4);
    return row;
  }
  return std::nullopt;
}

bool looks_like_nccl_row(std::string_view line) {
  return row_start(words_of(line)).has_value();
}

}  // namespace echelon
