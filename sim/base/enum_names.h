// Spelling of enum members: one table a type, used by YAML, JSON, help and messages alike.
// A type takes part by specialising enum_names<E>() next to its definition:
//   template <> inline constexpr auto enum_names<Color> = std::to_array<EnumName<Color>>({{Color::red, "red"}, ...});
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

namespace echelon {

template <class E>
struct EnumName {
  E value;
  std::string_view name;
};

template <class E>
inline constexpr std::array<EnumName<E>, 0> enum_names{};

template <class E>
constexpr std::string_view name_of(E value) {
  for (const auto& entry : enum_names<E>)
    if (entry.value == value) return entry.name;
  return "?";
}

template <class E>
constexpr std::optional<E> from_name(std::string_view name) {
  for (const auto& entry : enum_names<E>)
    if (entry.name == name) return entry.value;
  return std::nullopt;
}

// "red, green, blue": for messages that say what would be right.
template <class E>
std::string all_names() {
  std::string text;
  for (const auto& entry : enum_names<E>) {
    if (!text.empty()) text += ", ";
    text += entry.name;
  }
  return text;
}

}  // namespace echelon
