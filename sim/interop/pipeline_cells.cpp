#include "sim/interop/pipeline_cells.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

namespace echelon::pipeline_cells {

namespace {

struct TypeName {
  std::string_view name;
  Move move;
  Pass pass;
  ActionPart part = ActionPart::layers;
};
// Longest first where one begins another.
constexpr auto type_names = std::to_array<TypeName>({
    {"SEND_F", Move::send_forward, Pass::forward},
    {"RECV_F", Move::receive_forward, Pass::forward},
    {"SEND_B", Move::send_backward, Pass::backward},
    {"RECV_B", Move::receive_backward, Pass::backward},
    {"UNSHARD", Move::sharding, Pass::forward},
    {"RESHARD", Move::sharding, Pass::forward},
    {"REDUCE_GRAD", Move::sharding, Pass::forward},
    {"BW", Move::pass, Pass::backward},
    {"B", Move::pass, Pass::backward},
    {"F", Move::pass, Pass::forward},
    {"I", Move::pass, Pass::input_gradient},
    {"W", Move::pass, Pass::weight_gradient},
    {"S", Move::pass, Pass::forward, ActionPart::output},
    {"T", Move::pass, Pass::backward, ActionPart::output},
    {"E", Move::pass, Pass::forward, ActionPart::embedding},
    {"G", Move::pass, Pass::backward, ActionPart::embedding},
});

constexpr std::string_view vocabulary_word = "# vocabulary_parallel: ";

}  // namespace

void fail(const Entry& entry, const std::string& wrong, const std::string& right) {
  throw InputError(entry.where, fmt::format("'{}' {}", entry.text.substr(0, 60), wrong), right);
}

namespace {

// Cuts the text into lines of entries.
class Scanner {
 public:
  Scanner(std::string_view text, const std::string& file) : text_(text), file_(file) {}

  Cells cells() {
    Cells all;
    int number = 0;
    while (!text_.empty()) {
      std::string_view line = text_.substr(0, text_.find('\n'));
      text_.remove_prefix(std::min(text_.size(), line.size() + 1));
      if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
      ++number;
      if (line.substr(0, vocabulary_word.size()) == vocabulary_word) all.vocabulary = method_of(line, number);
      if (line.empty() || line.front() == '#') continue;
      all.lines.push_back(entries_of(line, number));
    }
    return all;
  }

 private:
  VocabularyParallel method_of(std::string_view line, int number) const {
    const std::string_view name = line.substr(vocabulary_word.size());
    if (const auto method = from_name<VocabularyParallel>(name)) return *method;
    std::vector<std::string_view> names;
    for (const auto& method : enum_names<VocabularyParallel>) names.push_back(method.name);
    throw InputError({file_, number, static_cast<int>(vocabulary_word.size()) + 1},
                     fmt::format("'{}' is no way to divide a vocabulary", name.substr(0, 60)),
                     fmt::format("expected one of {}", fmt::join(names, ", ")));
  }

  Line entries_of(std::string_view line, int number) {
    Line entries;
    for (std::size_t at = 0; at <= line.size();) {
      const std::size_t end = std::min(line.find(',', at), line.size());
      std::string_view cell = line.substr(at, end - at);
      SourceLocation where{file_, number, static_cast<int>(at) + 1};
      while (!cell.empty() && cell.front() == ' ') cell.remove_prefix(1), ++where.column;
      while (!cell.empty() && cell.back() == ' ') cell.remove_suffix(1);
      if (!cell.empty()) add_cell(cell, where, entries);
      at = end + 1;
    }
    return entries;
  }

  static void add_cell(std::string_view cell, const SourceLocation& where, Line& entries) {
    Entry whole;
    whole.where = where;
    whole.text = std::string(cell);
    if (cell.front() != '(') {
      entries.push_back(entry_of(cell, where));
      return;
    }
    const std::size_t middle = cell.find(';');
    const std::size_t close = cell.find(')');
    if (middle == std::string_view::npos || close == std::string_view::npos || close < middle ||
        cell.substr(close) != ")OVERLAP_F_B")
      fail(whole, "is no pair", "expected (0F3;7B1)OVERLAP_F_B");
    entries.push_back(entry_of(cell.substr(1, middle - 1), where));
    entries.back().paired = true;
    entries.push_back(entry_of(cell.substr(middle + 1, close - middle - 1), where));
  }

  static Entry entry_of(std::string_view text, const SourceLocation& where) {
    Entry entry;
    entry.where = where;
    entry.text = std::string(text);
    const auto stage = take_number(text, entry);
    const auto type = std::find_if(type_names.begin(), type_names.end(), [&](const TypeName& known) {
      return text.substr(0, known.name.size()) == known.name;
    });
    if (!stage || type == type_names.end())
      fail(entry, "is no action", "expected a stage, a type (F, I, W, B, SEND_F, ...) and a micro-batch, as 0F3");
    entry.stage = *stage;
    entry.move = type->move;
    entry.pass = type->pass;
    entry.part = type->part;
    text.remove_prefix(type->name.size());
    if (entry.move == Move::sharding && text.empty()) return entry;
    const auto micro_batch = take_number(text, entry);
    if (!micro_batch) fail(entry, "names no micro-batch", "expected a number after the type, as 0F3");
    entry.micro_batch = static_cast<std::int32_t>(*micro_batch);
    if (!text.empty() && text.front() == '.') {
      text.remove_prefix(1);
      const auto slice = take_number(text, entry);
      if (!slice) fail(entry, "names no slice", "expected a number after the point, as 0F3.1");
      entry.slice = static_cast<std::int32_t>(*slice);
    }
    if (!text.empty()) fail(entry, "goes on after its micro-batch", "expected a comma or the end of the line");
    return entry;
  }

  static std::optional<std::int64_t> take_number(std::string_view& text, const Entry& entry) {
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error == std::errc::invalid_argument) return std::nullopt;
    if (error != std::errc() || number < 0 || number >= most_micro_batches)
      fail(entry, "has a number out of range", fmt::format("expected 0 to {}", most_micro_batches - 1));
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return number;
  }

  std::string_view text_;
  const std::string& file_;
};

}  // namespace

Cells read_cells(std::string_view text, const std::string& file) {
  return Scanner(text, file).cells();
}

std::string_view name_of_move(Move move) {
  const auto found =
      std::find_if(type_names.begin(), type_names.end(), [move](const TypeName& known) { return known.move == move; });
  return found->name;
}

}  // namespace echelon::pipeline_cells
