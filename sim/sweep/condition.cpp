#include "sim/sweep/condition.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <string_view>

namespace echelon {

struct Condition::Node {
  enum class Kind { value, key, operation };
  Kind kind = Kind::value;
  ConditionValue value;
  std::string text;  // of a value or a key
  std::size_t slot = 0;
  std::string_view operation;  // of `operations`
  std::shared_ptr<const Node> left;
  std::shared_ptr<const Node> right;  // null for `not`
};

namespace {

using NodePointer = std::shared_ptr<const Condition::Node>;

// By level of precedence, the loosest first; longer spellings before their beginnings.
struct Level {
  std::array<std::string_view, 6> operations;
};
constexpr auto levels = std::to_array<Level>({
    {{"or"}},
    {{"and"}},
    {{"==", "!=", "<=", ">=", "<", ">"}},
    {{"+", "-"}},
    {{"*", "/", "%"}},
});
constexpr std::size_t comparison_level = 2;
constexpr int most_depth = 64;

bool is_word_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
}

bool is_word(const Condition::Node& node) {
  return node.kind == Condition::Node::Kind::value && std::holds_alternative<std::string>(node.value);
}

bool has_key(const Condition::Node& node) {
  if (node.kind != Condition::Node::Kind::operation) return node.kind == Condition::Node::Kind::key;
  return has_key(*node.left) || (node.right && has_key(*node.right));
}

class Parser {
 public:
  Parser(const Value& source, const Condition::SlotOf& slot_of)
      : source_(source), text_(source.text()), slot_of_(slot_of) {}

  NodePointer parse() {
    NodePointer node = binary(0, 0);
    skip_spaces();
    if (at_ != text_.size()) fail("an operator or the end");
    return node;
  }

 private:
  [[noreturn]] void fail(const std::string& expected) const {
    source_.fail(fmt::format("the condition stops making sense at '{}'", text_.substr(at_, 20)),
                 "expected " + expected);
  }

  void skip_spaces() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n')) ++at_;
  }

  // Takes the operation if it stands next; words only as whole words.
  bool take(std::string_view operation) {
    skip_spaces();
    if (operation.empty() || text_.compare(at_, operation.size(), operation) != 0) return false;
    const std::size_t end = at_ + operation.size();
    if (operation[0] >= 'a' && operation[0] <= 'z' && end < text_.size() && is_word_character(text_[end])) return false;
    at_ = end;
    return true;
  }

  std::string_view take_any(const Level& level) {
    for (const std::string_view operation : level.operations)
      if (take(operation)) return operation;
    return {};
  }

  NodePointer binary(std::size_t level, int depth) {
    if (level == levels.size()) return atom(depth);
    if (level == comparison_level && take("not")) return negation(depth + 1);
    NodePointer left = binary(level + 1, depth);
    while (true) {
      const std::string_view operation = take_any(levels[level]);
      if (operation.empty()) return left;
      NodePointer right = binary(level + 1, depth);
      if (level >= comparison_level) ask_for_words(operation, *left, *right);
      left = operation_node(operation, left, right);
    }
  }

  // A word that is no word of a key's was meant for a key: it is asked for, and refused where there is none.
  void ask_for_words(std::string_view operation, const Condition::Node& left, const Condition::Node& right) {
    const bool compares_words = operation == "==" || operation == "!=";
    for (const auto& [one, other] : {std::pair(&left, &right), std::pair(&right, &left)})
      if (is_word(*one) && !(compares_words && has_key(*other))) slot_of_(one->text);
  }

  NodePointer negation(int depth) {
    if (depth > most_depth) fail("fewer levels");
    if (take("not")) return operation_node("not", negation(depth + 1), nullptr);
    return operation_node("not", binary(comparison_level, depth), nullptr);
  }

  static NodePointer operation_node(std::string_view operation, NodePointer left, NodePointer right) {
    return std::make_shared<Condition::Node>(
        Condition::Node{Condition::Node::Kind::operation, {}, {}, 0, operation, std::move(left), std::move(right)});
  }

  NodePointer atom(int depth) {
    if (take("(")) {
      if (depth > most_depth) fail("fewer levels of brackets");
      NodePointer node = binary(0, depth + 1);
      if (!take(")")) fail("')'");
      return node;
    }
    skip_spaces();
    const std::size_t first = at_;
    while (at_ < text_.size() && is_word_character(text_[at_])) ++at_;
    const std::string word = text_.substr(first, at_ - first);
    if (word.empty()) fail("a key, a number or a word");
    const ConditionValue value = condition_value(word);
    using Kind = Condition::Node::Kind;
    if (std::holds_alternative<std::string>(value) && word.find('.') != std::string::npos)
      return std::make_shared<Condition::Node>(
          Condition::Node{Kind::key, {}, word, slot_of_(word), {}, nullptr, nullptr});
    return std::make_shared<Condition::Node>(Condition::Node{Kind::value, value, word, 0, {}, nullptr, nullptr});
  }

  const Value& source_;
  std::string text_;
  const Condition::SlotOf& slot_of_;
  std::size_t at_ = 0;
};

class Evaluation {
 public:
  Evaluation(const Value& source, const std::vector<const ConditionValue*>& values)
      : source_(source), values_(values) {}

  bool truth(const Condition::Node& node) const {
    const std::string_view operation = node.operation;
    if (operation == "or") return truth(*node.left) || truth(*node.right);
    if (operation == "and") return truth(*node.left) && truth(*node.right);
    if (operation == "not") return !truth(*node.left);
    if (operation == "==") return value(*node.left) == value(*node.right);
    if (operation == "!=") return value(*node.left) != value(*node.right);
    if (operation == "<") return number(*node.left) < number(*node.right);
    if (operation == "<=") return number(*node.left) <= number(*node.right);
    if (operation == ">") return number(*node.left) > number(*node.right);
    if (operation == ">=") return number(*node.left) >= number(*node.right);
    const ConditionValue result = value(node);
    if (const auto* truth = std::get_if<bool>(&result)) return *truth;
    source_.fail("the condition is neither true nor false", "expected a comparison, such as strategy.micro_batch <= 4");
  }

 private:
  ConditionValue value(const Condition::Node& node) const {
    switch (node.kind) {
      case Condition::Node::Kind::value:
        return node.value;
      case Condition::Node::Kind::key:
        return *values_[node.slot];
      case Condition::Node::Kind::operation:
        break;
    }
    const double left = number(*node.left);
    const double right = node.right ? number(*node.right) : 0;
    if (right == 0 && (node.operation == "/" || node.operation == "%"))
      source_.fail("the condition divides by 0", "expected another divisor");
    if (node.operation == "+") return left + right;
    if (node.operation == "-") return left - right;
    if (node.operation == "*") return left * right;
    if (node.operation == "/") return left / right;
    if (node.operation == "%") return std::fmod(left, right);
    source_.fail("the condition computes with what is true or false", "expected numbers");
  }

  double number(const Condition::Node& node) const {
    const ConditionValue result = value(node);
    if (const auto* number = std::get_if<double>(&result)) return *number;
    const auto* word = std::get_if<std::string>(&result);
    source_.fail(
        fmt::format("the condition takes '{}' for a number", word ? *word : fmt::to_string(std::get<bool>(result))),
        "expected words in == and != alone");
  }

  const Value& source_;
  const std::vector<const ConditionValue*>& values_;
};

void add_word_comparisons(const Condition::Node& node, std::vector<WordComparison>& all) {
  using Kind = Condition::Node::Kind;
  if (node.kind != Kind::operation) return;
  if (node.operation == "==" || node.operation == "!=")
    for (const auto& [key, word] : {std::pair(node.left, node.right), std::pair(node.right, node.left)})
      if (key->kind == Kind::key && word->kind == Kind::value && !std::holds_alternative<double>(word->value))
        all.push_back({key->text, word->text});
  add_word_comparisons(*node.left, all);
  if (node.right) add_word_comparisons(*node.right, all);
}

}  // namespace

ConditionValue condition_value(const std::string& text) {
  double number = 0;
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, number);
  if (result.ec == std::errc() && result.ptr == end && std::isfinite(number)) return number;
  std::string word = text;
  std::transform(word.begin(), word.end(), word.begin(), [](unsigned char c) { return std::tolower(c); });
  if (word == "true" || word == "yes") return true;
  if (word == "false" || word == "no") return false;
  return text;
}

Condition::Condition(const Value& text, const SlotOf& slot_of) : root_(Parser(text, slot_of).parse()), text_(text) {}

std::vector<WordComparison> Condition::word_comparisons() const {
  std::vector<WordComparison> all;
  add_word_comparisons(*root_, all);
  return all;
}

bool Condition::holds(const std::vector<const ConditionValue*>& values) const {
  return Evaluation(text_, values).truth(*root_);
}

}  // namespace echelon
