// A YAML or JSON document whose every value knows where it stands, and the only door to yaml-cpp.
//
// Use: parse, walk with at()/find(), convert with number()/integer()/text()/..., then call finish() on each mapping:
// it refuses keys that nobody asked for, with the nearest known word. Whatever is wrong throws
// InputError "file:line:column: what is wrong; what would be right".
// Guards (DocumentLimits): too large a file, too deep a nesting, too many values after alias expansion, bytes that are
// not UTF-8 text, duplicate keys, cyclic aliases, tags, merge keys, several documents in a file, NaN and infinities are
// refused within a second and 200 MB. A byte-order mark and CRLF line ends are accepted. Columns count bytes.
#pragma once

#include <cstddef>
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

struct Assignment;

// What a document may be at most.
struct DocumentLimits {
  static constexpr std::size_t bytes = std::size_t{4} * 1024 * 1024;
  static constexpr std::size_t values = 200'000;  // scalars, sequences and mappings, aliases expanded
  static constexpr std::size_t depth = 64;        // of sequences and mappings
};

// A value of a document, cheap to copy; copies share the document and the record of which keys were asked for.
class Value {
 public:
  bool is_mapping() const;
  bool is_sequence() const;
  bool is_scalar() const;
  bool is_null() const;
  SourceLocation where() const;
  // Dotted path from the root, such as "strategy.tensor_parallel" or "sizes[3]", empty for the root: for messages.
  const std::string& path() const { return path_; }

  // Mapping access. at() refuses an absent or null key ("missing key 'hidden'"); find() gives nothing for one.
  // Both refuse a value that is no mapping.
  Value at(std::string_view key) const;
  std::optional<Value> find(std::string_view key) const;
  std::vector<std::string> keys() const;
  // Says that every key of this mapping has been asked for: from now on at() tells of a key that nobody knows before it
  // tells of one that is missing.
  void all_asked() const;
  // Refuses keys that no at() or find() has asked for on this mapping, with "did you mean".
  void finish() const;
  // Accepts every key of this mapping (documents of others, such as a HuggingFace config).
  void accept_unknown() const;

  std::vector<Value> items() const;  // of a sequence

  // Conversions of a scalar; each refuses what is no such thing. Bounds are inclusive. A text in quotes is no number.
  double number() const;  // finite, decimal: 1, -2.5, 1e3; no 0x10, no 1_000
  double number(double least, double most) const;
  std::int64_t integer() const;  // 4, 4.0 and 4e0 are the same
  std::int64_t integer(std::int64_t least, std::int64_t most) const;
  bool boolean() const;  // true, false, yes, no
  std::string text() const;

  template <class E>
  E one_of() const {
    const std::string name = text();
    if (auto value = from_name<E>(name)) return *value;
    fail_choice(name, all_names<E>());
  }

  // The value as one line of YAML: 4, 1f1b, {profile: dgx-h100, nodes: 8}. Texts in quotes are written as in JSON.
  std::string flow_text() const;
  // The same value under another path, for messages.
  Value at_path(const std::string& path) const { return Value(node_, path); }
  // Whether both are the same place of the same document.
  bool is_same(const Value& other) const { return node_ == other.node_; }

  // Throws InputError "WHERE: wrong; right".
  [[noreturn]] void fail(const std::string& wrong, const std::string& right) const;
  // The same of a value that is not what is expected: "NAME is 'this'; expected that".
  [[noreturn]] void fail_kind(const std::string& expected) const;
  // And of a word that is none of `names`, which stand as "a, b, c": with the one that is meant, where one is near.
  [[noreturn]] void fail_choice(const std::string& name, const std::string& names) const;

  struct Node;
  explicit Value(std::shared_ptr<const Node> node, std::string path = {});

 private:
  friend Value with_overrides(const Value& root, const std::vector<std::string>& assignments);
  friend Value with_values(const Value& root, const std::vector<Assignment>& assignments);
  [[noreturn]] void fail_missing(std::string_view key) const;
  std::optional<std::int64_t> whole_number() const;
  std::string subject() const;

  std::shared_ptr<const Node> node_;
  std::string path_;
};

// Reads and checks a whole file. JSON is read too (it is YAML). Throws InputError, also where there is no such file.
Value parse_file(const std::filesystem::path& path);
// The same for a text in memory; `name` stands for the file in messages.
Value parse_text(std::string_view text, const std::string& name);
// Replaces or adds the value at a dotted path ("strategy.tensor_parallel=4"), mappings on the way included; the value
// is parsed as YAML, nothing after "=" unsets the key, and so does null. Each override is a document of its own in
// messages
// ("--set strategy.tensor_paralel=4: unknown key ..."). Throws InputError.
Value with_overrides(const Value& root, const std::vector<std::string>& assignments);

// A value for a dotted path of keys.
struct Assignment {
  std::string path;
  Value value;
};
// The same with values that stand in a document already and keep their places in messages. Throws InputError.
Value with_values(const Value& root, const std::vector<Assignment>& assignments);

// The nearest of `known` to `word` by edit distance (insert, delete, replace, swap of neighbours; case is ignored), if
// near enough to be a slip of the hand: at most a third of the word's length. Ties go to the earlier one.
std::optional<std::string> nearest(std::string_view word, const std::vector<std::string>& known);

}  // namespace echelon
