// How a document is kept: a tree of located nodes, shared where the text used an alias. Private to the config room.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "sim/config/document.h"

namespace echelon {

enum class NodeKind { null, plain, quoted, sequence, mapping };  // plain, quoted: scalars

// Finds keys without making strings of them.
struct KeyHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view key) const { return std::hash<std::string_view>()(key); }
};

struct Value::Node {
  struct Entry {
    std::string key;
    int line = 0;  // of the key
    int column = 0;
    std::shared_ptr<const std::string> file;
    std::shared_ptr<const Node> value;
  };

  NodeKind kind = NodeKind::null;
  int line = 0;  // from 1; 0 = the document as a whole
  int column = 0;
  std::shared_ptr<const std::string> file;
  std::string scalar;
  std::vector<std::shared_ptr<const Node>> items;  // of a sequence
  std::vector<Entry> entries;                      // of a mapping, in the order of the text
  std::unordered_map<std::string, std::size_t, KeyHash, std::equal_to<>> index;  // key -> position in entries
  std::size_t values = 1;  // this and all below it, aliases expanded
  std::size_t height = 0;  // levels of collections, this one included

  mutable std::set<std::string, std::less<>> asked;  // keys that the reader knows
  mutable bool asked_all = false;
  mutable bool accepts_all = false;

  // The entry of a key, or null.
  const Entry* entry(std::string_view key) const {
    const auto found = index.find(key);
    return found == index.end() ? nullptr : &entries[found->second];
  }
};

// "'text'" for a message: one line, clipped, with control characters shown as \xNN.
std::string in_quotes(std::string_view text);

// Parses one document; with `located` false every place is "the document as a whole" (an override on a command line).
enum class Places { kept, dropped };
std::shared_ptr<const Value::Node> parse_nodes(std::string_view text, const std::string& name, Places places);

}  // namespace echelon
