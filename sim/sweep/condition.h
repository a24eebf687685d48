// Conditions on the points of a space: comparisons of keys, numbers and words.
//
//   strategy.tensor_parallel * strategy.pipeline_parallel <= 64
//   strategy.virtual_stages == 1 or strategy.schedule == interleaved
//   not (workload.precision == fp8 and cluster.profile == dgx-a100-80g)
//
// Grammar, loosest first: or; and; not; == != < <= > >=; + -; * / %; numbers, keys, words, (...).
// A name with a dot is a key, any other a word; words may hold letters, digits, '_', '-' and '.', so a subtraction
// needs spaces around its sign. A word compares with == and != alone. % is the remainder of a division.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "sim/config/document.h"

namespace echelon {

using ConditionValue = std::variant<double, bool, std::string>;

// A number where the text is one, true or false where a document would read it as such (yes and no, too), else a word.
ConditionValue condition_value(const std::string& text);

// A key that a condition compares with a word.
struct WordComparison {
  std::string key;
  std::string word;
};

class Condition {
 public:
  struct Node;
  // Finds the slot of a key in the values that holds() is given. Throws for a key that it does not know.
  using SlotOf = std::function<std::size_t(const std::string& key)>;

  // Parses the text of the value. Throws InputError at its place.
  Condition(const Value& text, const SlotOf& slot_of);

  // Throws InputError where a word is computed with or compared by size.
  bool holds(const std::vector<const ConditionValue*>& values) const;

  std::vector<WordComparison> word_comparisons() const;
  // The text that it was parsed from, for messages.
  const Value& source() const { return text_; }

 private:
  std::shared_ptr<const Node> root_;
  Value text_;
};

}  // namespace echelon
