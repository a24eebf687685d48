// A YAML or JSON document whose every value knows where it stands, and the only door to yaml-cpp.
//
// Use: parse, walk with at()/find(), convert with number()/integer()/text()/..., then call finish() on each mapping:
// it refuses keys that nobody asked for, with the nearest known word. Whatever is wrong throws
// InputError "file:line:column: what is wrong; what would be right".
// Guards: files over 64 MiB, depth over 64, more than 1,000,000 values after alias expansion, NUL bytes, duplicate keys,
// cyclic aliases, NaN and infinities are refused within a second and 200 MB.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sim/base/enum_names.h"
#include "sim/base/error.h"

namespace echelon {

class Value {
 public:
  bool is_mapping() const;
  bool is_sequence() const;
  bool is_scalar() const;
  bool is_null() const;
  const SourceLocation& where() const;
  // Dotted path from the root, such as "strategy.tensor_parallel": for messages.
  const std::string& path() const;

  // Mapping access. at() refuses an absent key ("missing key 'hidden'"); find() gives nothing for an absent or null one.
  Value at(std::string_view key) const;
  std::optional<Value> find(std::string_view key) const;
  std::vector<std::string> keys() const;
  // Refuses keys that no at() or find() has asked for on this mapping, with "did you mean".
  void finish() const;
  // Accepts every key of this mapping (documents of others, such as a HuggingFace config).
  void accept_unknown() const;

  std::vector<Value> items() const;  // of a sequence

  double number() const;                                       // finite
  double number(double least, double most) const;              // with inclusive bounds
  std::int64_t integer() const;
  std::int64_t integer(std::int64_t least, std::int64_t most) const;
  bool boolean() const;
  std::string text() const;

  template <class E>
  E one_of() const {
    const std::string name = text();
    if (auto value = from_name<E>(name)) return *value;
    fail_choice(name, all_names<E>());
  }

  [[noreturn]] void fail(const std::string& wrong, const std::string& right) const;

  struct Node;
  explicit Value(std::shared_ptr<const Node> node);

 private:
  [[noreturn]] void fail_choice(const std::string& name, const std::string& names) const;
  std::shared_ptr<const Node> node_;
};

// Reads and checks a whole file. JSON is read too (it is YAML).
Value parse_file(const std::filesystem::path& path);
// The same for a text in memory; `name` stands for the file in messages.
Value parse_text(std::string_view text, const std::string& name);
// Replaces or adds the scalar at a dotted path ("strategy.tensor_parallel=4"); the value is parsed as YAML.
// Each override is a document of its own in messages ("--set strategy.tensor_paralel=4").
Value with_overrides(const Value& root, const std::vector<std::string>& assignments);

// The nearest of `known` to `word` by edit distance, if near enough to be a slip of the hand.
std::optional<std::string> nearest(std::string_view word, const std::vector<std::string>& known);

}  // namespace echelon
