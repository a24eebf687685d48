// Access to a document's values and their conversion; how text becomes nodes is in yaml_reader.cpp.
#include "sim/config/document.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <system_error>

#include "sim/config/aliases.h"
#include "sim/config/document_node.h"

namespace echelon {

namespace {

using Node = Value::Node;

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return result;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

// Damerau-Levenshtein distance in its optimal-string-alignment form.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before;
  std::vector<std::size_t> last(b.size() + 1);
  std::vector<std::size_t> now(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    now[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      now[j] = std::min({last[j] + 1, now[j - 1] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) now[j] = std::min(now[j], before[j - 2] + 1);
    }
    before = last;
    last = now;
  }
  return last[b.size()];
}

// Whether the text is [+-]digits[.digits][e[+-]digits], with at least one digit before the exponent.
bool is_decimal(std::string_view text) {
  std::size_t i = 0;
  const auto skip_digits = [&] {
    const std::size_t first = i;
    while (i < text.size() && text[i] >= '0' && text[i] <= '9') ++i;
    return i - first;
  };
  const auto skip_any_of = [&](std::string_view set) {
    const bool found = i < text.size() && set.find(text[i]) != std::string_view::npos;
    i += found ? 1 : 0;
    return found;
  };
  skip_any_of("+-");
  std::size_t digits = skip_digits();
  if (skip_any_of(".")) digits += skip_digits();
  if (digits == 0) return false;
  if (skip_any_of("eE")) {
    skip_any_of("+-");
    if (skip_digits() == 0) return false;
  }
  return i == text.size();
}

// A number as people write it: 8192, 0.25, 1e+06.
std::string shown(double value) {
  return std::abs(value) < 1e15 && value == std::floor(value) ? fmt::format("{:.0f}", value) : fmt::format("{}", value);
}

// "from 1 to 10", "at least 0", "at most 1".
template <class Number>
std::string range_text(Number least, Number most) {
  const bool open_above = most == std::numeric_limits<Number>::max();
  const bool open_below = least == std::numeric_limits<Number>::lowest();
  const std::string low = shown(static_cast<double>(least));
  const std::string high = shown(static_cast<double>(most));
  if (open_above) return "at least " + low;
  if (open_below) return "at most " + high;
  return "from " + low + " to " + high;
}

// Of what an override or a variant is to set a key in. A value on a command line has no line: the mistake is there.
[[noreturn]] void fail_no_keys(const Node& old, const std::string& name, const std::string& key, const Node& value) {
  const bool typed = value.line == 0;
  throw InputError(typed ? SourceLocation{*value.file, 0, 0} : SourceLocation{*old.file, old.line, old.column},
                   fmt::format("{} has no keys, and {} is to be set in it", name, in_quotes(key)),
                   typed ? "expected the path of a key, such as strategy.tensor_parallel" : "expected a mapping");
}

// The node with `value` at the end of the path `keys`, mappings on the way copied or made.
std::shared_ptr<const Node> replaced(const std::shared_ptr<const Node>& old, const std::vector<std::string>& keys,
                                     std::size_t depth, const std::shared_ptr<const Node>& value) {
  if (depth == keys.size()) return value;
  auto node = std::make_shared<Node>();
  if (old && old->kind == NodeKind::mapping) {
    *node = *old;
  } else if (!old || old->kind == NodeKind::null) {
    node->kind = NodeKind::mapping;
    node->file = value->file;
  } else {
    fail_no_keys(*old, depth > 0 ? in_quotes(keys[depth - 1]) : "what stands here", keys[depth], *value);
  }
  const std::string& key = keys[depth];
  const Node::Entry* entry = node->entry(key);
  const auto child = replaced(entry ? entry->value : nullptr, keys, depth + 1, value);
  if (entry) {
    node->entries[node->index.at(key)].value = child;
  } else {
    node->index.emplace(key, node->entries.size());
    node->entries.push_back({key, value->line, value->column, value->file, child});
  }
  return node;
}

std::vector<std::string> split_path(std::string_view path, const std::string& name) {
  std::vector<std::string> keys;
  for (std::size_t first = 0; first <= path.size();) {
    const std::size_t end = std::min(path.find('.', first), path.size());
    keys.emplace_back(path.substr(first, end - first));
    if (keys.back().empty() || keys.size() > DocumentLimits::depth)
      throw InputError({name, 0, 0}, fmt::format("{} is no path of keys", in_quotes(path)),
                       "expected KEY.KEY=VALUE, such as strategy.tensor_parallel=4");
    first = end + 1;
  }
  return keys;
}

}  // namespace

std::string in_quotes(std::string_view text) {
  constexpr std::size_t longest = 60;
  std::string result = "'";
  for (const char c : text.substr(0, longest)) {
    if (static_cast<unsigned char>(c) < 0x20)
      result += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    else
      result += c;
  }
  return result + (text.size() > longest ? "...'" : "'");
}

std::optional<std::string> nearest(std::string_view word, const std::vector<std::string>& known) {
  constexpr std::size_t longest = 100;  // the distance takes time of the product of both lengths
  if (word.size() > longest) return std::nullopt;
  const std::string folded = lower(word);
  std::optional<std::string> best;
  std::size_t best_distance = std::max<std::size_t>(1, word.size() / 3) + 1;
  for (const std::string& candidate : known) {
    if (candidate.size() > longest) continue;
    const std::size_t distance = edit_distance(folded, lower(candidate));
    if (distance < best_distance && distance < candidate.size()) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

namespace {

// Another program's word for one of `known`, or a slip of the hand.
std::optional<std::string> meant(std::string_view word, const std::vector<std::string>& known) {
  const auto alias = alias_of(word, known);
  return alias ? alias : nearest(word, known);
}

}  // namespace

Value::Value(std::shared_ptr<const Node> node, std::string path) : node_(std::move(node)), path_(std::move(path)) {}

bool Value::is_mapping() const {
  return node_->kind == NodeKind::mapping;
}
bool Value::is_sequence() const {
  return node_->kind == NodeKind::sequence;
}
bool Value::is_scalar() const {
  return node_->kind == NodeKind::plain || node_->kind == NodeKind::quoted;
}
bool Value::is_null() const {
  return node_->kind == NodeKind::null;
}

SourceLocation Value::where() const {
  return {*node_->file, node_->line, node_->column};
}

std::string Value::subject() const {
  return path_.empty() ? "the document" : path_;
}

void Value::fail(const std::string& wrong, const std::string& right) const {
  throw InputError(where(), wrong, right);
}

void Value::fail_kind(const std::string& expected) const {
  std::string found = "a sequence";
  if (is_mapping()) found = "a mapping";
  if (is_null()) found = "empty";
  if (is_scalar()) found = in_quotes(node_->scalar);
  if (node_->kind == NodeKind::quoted) found += " (a text in quotes)";
  fail(fmt::format("{} is {}", subject(), found), "expected " + expected);
}

void Value::fail_choice(const std::string& name, const std::string& names) const {
  std::vector<std::string> known;
  for (std::size_t first = 0; first < names.size();) {
    const std::size_t end = std::min(names.find(", ", first), names.size());
    known.push_back(names.substr(first, end - first));
    first = end + 2;
  }
  const auto near = meant(name, known);
  fail(fmt::format("{} is {}", subject(), in_quotes(name)),
       near ? fmt::format("did you mean '{}'? (one of: {})", *near, names) : "expected one of: " + names);
}

void Value::fail_missing(std::string_view key) const {
  std::vector<std::string> strangers;
  for (const Node::Entry& entry : node_->entries)
    if (!node_->asked.contains(entry.key)) strangers.push_back(entry.key);
  if (const auto near = nearest(key, strangers)) {
    const Node::Entry& entry = *node_->entry(*near);
    throw InputError({*entry.file, entry.line, entry.column}, fmt::format("unknown key '{}' in {}", *near, subject()),
                     fmt::format("did you mean '{}', which is missing?", key));
  }
  if (node_->asked_all) finish();
  fail(fmt::format("missing key '{}' in {}", key, subject()), fmt::format("expected '{}: VALUE'", key));
}

std::optional<Value> Value::find(std::string_view key) const {
  if (!is_mapping()) fail_kind("a mapping with keys, '" + std::string(key) + "' among them");
  if (!node_->asked.contains(key)) node_->asked.emplace(key);
  const Node::Entry* entry = node_->entry(key);
  if (!entry || entry->value->kind == NodeKind::null) return std::nullopt;
  return Value(entry->value, path_.empty() ? std::string(key) : path_ + "." + std::string(key));
}

Value Value::at(std::string_view key) const {
  if (auto value = find(key)) return *value;
  fail_missing(key);
}

std::vector<std::string> Value::keys() const {
  if (!is_mapping()) fail_kind("a mapping");
  std::vector<std::string> result;
  for (const Node::Entry& entry : node_->entries) result.push_back(entry.key);
  return result;
}

void Value::accept_unknown() const {
  node_->accepts_all = true;
}

void Value::all_asked() const {
  node_->asked_all = true;
}

void Value::finish() const {
  if (!is_mapping()) fail_kind("a mapping");
  if (node_->accepts_all) return;
  for (const Node::Entry& entry : node_->entries) {
    if (node_->asked.contains(entry.key)) continue;
    const std::vector<std::string> known(node_->asked.begin(), node_->asked.end());
    std::vector<std::string> suggested = neighbours_of(path_);
    suggested.insert(suggested.begin(), known.begin(), known.end());
    const auto near = meant(entry.key, suggested);
    throw InputError({*entry.file, entry.line, entry.column},
                     fmt::format("unknown key {} in {}", in_quotes(entry.key), subject()),
                     near ? fmt::format("did you mean '{}'?", *near) : "expected one of: " + joined(known));
  }
}

std::vector<Value> Value::items() const {
  if (!is_sequence()) fail_kind("a sequence [a, b, ...]");
  std::vector<Value> result;
  for (const auto& item : node_->items) result.emplace_back(item, fmt::format("{}[{}]", path_, result.size()));
  return result;
}

double Value::number() const {
  if (node_->kind != NodeKind::plain || !is_decimal(node_->scalar)) fail_kind("a finite decimal number");
  const std::string_view text = std::string_view(node_->scalar).substr(node_->scalar[0] == '+' ? 1 : 0);
  double value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  if (result.ec != std::errc() || !std::isfinite(value)) fail_kind("a number that fits a double");
  return value;
}

double Value::number(double least, double most) const {
  const double value = number();
  if (value < least || value > most) fail_kind("a number " + range_text(least, most));
  return value;
}

std::optional<std::int64_t> Value::whole_number() const {
  const std::string_view scalar = node_->scalar;
  if (node_->kind != NodeKind::plain || !is_decimal(scalar)) return std::nullopt;
  const std::string_view text = scalar.substr(scalar[0] == '+' ? 1 : 0);
  std::int64_t value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  if (result.ec == std::errc() && result.ptr == text.data() + text.size()) return value;
  const double wide = number();
  constexpr double exact = 9007199254740992;  // 2^53: whole numbers up to here are exact in a double
  if (wide != std::floor(wide) || std::abs(wide) > exact) return std::nullopt;
  return static_cast<std::int64_t>(wide);
}

std::int64_t Value::integer() const {
  if (const auto value = whole_number()) return *value;
  fail_kind("an integer");
}

std::int64_t Value::integer(std::int64_t least, std::int64_t most) const {
  const auto value = whole_number();
  if (!value || *value < least || *value > most) fail_kind("an integer " + range_text(least, most));
  return *value;
}

bool Value::boolean() const {
  if (node_->kind == NodeKind::plain) {
    const std::string word = lower(node_->scalar);
    if (word == "true" || word == "yes") return true;
    if (word == "false" || word == "no") return false;
  }
  fail_kind("true or false");
}

std::string Value::text() const {
  if (!is_scalar()) fail_kind("a text");
  return node_->scalar;
}

std::string Value::flow_text() const {
  switch (node_->kind) {
    case NodeKind::null:
      return "null";
    case NodeKind::plain:
      return node_->scalar;
    case NodeKind::quoted:
      return nlohmann::json(node_->scalar).dump();
    case NodeKind::sequence: {
      std::vector<std::string> parts;
      for (const auto& item : node_->items) parts.push_back(Value(item).flow_text());
      return fmt::format("[{}]", joined(parts));
    }
    case NodeKind::mapping:
      break;
  }
  std::vector<std::string> parts;
  for (const Node::Entry& entry : node_->entries)
    parts.push_back(fmt::format("{}: {}", entry.key, Value(entry.value).flow_text()));
  return fmt::format("{{{}}}", joined(parts));
}

Value with_overrides(const Value& root, const std::vector<std::string>& assignments) {
  std::shared_ptr<const Node> node = root.node_;
  for (const std::string& assignment : assignments) {
    const std::string name = "--set " + assignment;
    const std::size_t equals = assignment.find('=');
    if (equals == std::string::npos)
      throw InputError({name, 0, 0}, "there is no '='", "expected KEY.KEY=VALUE, such as strategy.tensor_parallel=4");
    const std::string_view text = std::string_view(assignment).substr(equals + 1);
    auto empty = std::make_shared<Node>();
    empty->file = std::make_shared<const std::string>(name);
    const std::size_t first = text.find_first_not_of(" \t\r\n");
    const bool blank = first == std::string_view::npos || text.substr(first) == "null" || text.substr(first) == "~";
    const std::shared_ptr<const Node> value = blank ? empty : parse_nodes(text, name, Places::dropped);
    node = replaced(node, split_path(std::string_view(assignment).substr(0, equals), name), 0, value);
  }
  return Value(node, root.path_);
}

Value with_values(const Value& root, const std::vector<Assignment>& assignments) {
  std::shared_ptr<const Node> node = root.node_;
  for (const Assignment& assignment : assignments) {
    const std::string& file = *assignment.value.node_->file;
    node = replaced(node, split_path(assignment.path, file), 0, assignment.value.node_);
  }
  return Value(node, root.path_);
}

}  // namespace echelon
