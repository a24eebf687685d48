#include "sim/config/key_table.h"

#include <fmt/ranges.h>

namespace echelon {

namespace {

std::string json_string(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    result += c;
  }
  return result + "\"";
}

std::string json_list(const std::vector<std::string>& items) {
  return fmt::format("[{}]", fmt::join(items, ","));
}

}  // namespace

std::string integer_type(std::int64_t least, std::int64_t most) {
  return fmt::format(R"({{"type":"integer","minimum":{},"maximum":{}}})", least, most);
}

std::string number_type(double least, double most) {
  return fmt::format(R"({{"type":"number","minimum":{},"maximum":{}}})", least, most);
}

std::string boolean_type() {
  return R"({"type":"boolean"})";
}

// YAML reads `name: 7` as a number where a text is meant.
std::string text_type() {
  return R"({"type":["string","number"]})";
}

std::string choice_type(const std::vector<std::string>& names) {
  std::vector<std::string> strings;
  for (const std::string& name : names) strings.push_back(json_string(name));
  return fmt::format(R"({{"enum":{}}})", json_list(strings));
}

std::string list_type(const std::string& item) {
  return fmt::format(R"({{"type":"array","items":{}}})", item);
}

std::string any_of(const std::vector<std::string>& types) {
  return fmt::format(R"({{"anyOf":{}}})", json_list(types));
}

std::string object_type(const std::vector<KeyRow>& rows) {
  std::vector<std::string> required;
  std::vector<std::string> properties;
  for (const KeyRow& row : rows) {
    if (row.presence == Presence::required) required.push_back(json_string(row.name));
    const std::string described = fmt::format(R"({{"description":{},{})", json_string(row.meaning), row.type.substr(1));
    properties.push_back(json_string(row.name) + ":" + described);
  }
  return fmt::format(R"({{"type":"object","additionalProperties":false,"required":{},"properties":{{{}}}}})",
                     json_list(required), fmt::join(properties, ","));
}

}  // namespace echelon
