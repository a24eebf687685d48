// Rows of a mapping's numbers, each in the unit of its key: they read it, write it and describe it in its schema.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <functional>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "sim/base/units.h"
#include "sim/config/key_table.h"

namespace echelon {

// A number of a mapping in the unit of its key, read and written by one row.
template <class Target>
struct NumberRow {
  std::string name;
  double least = 0;
  double most = 0;
  std::string meaning;
  std::function<double(const Target&)> get;
  std::function<void(Target&, double)> set;
};

template <class Target>
using NumberRows = std::vector<NumberRow<Target>>;

// A plain double, or a Quantity in `unit`s of its own.
template <class Target>
NumberRow<Target> plain_row(std::string name, double least, double most, double Target::*member, std::string meaning) {
  return {std::move(name),
          least,
          most,
          std::move(meaning),
          [=](const Target& target) { return target.*member; },
          [=](Target& target, double value) { target.*member = value; }};
}

template <class Target, class Tag>
NumberRow<Target> quantity_row(std::string name, double least, double most, Quantity<Tag> Target::*member, double unit,
                               std::string meaning) {
  return {std::move(name),
          least,
          most,
          std::move(meaning),
          [=](const Target& target) { return (target.*member).value() / unit; },
          [=](Target& target, double value) { target.*member = Quantity<Tag>(value * unit); }};
}

template <class Target>
NumberRow<Target> count_row(std::string name, double most, std::int64_t Target::*member, std::string meaning) {
  return {std::move(name),
          0,
          most,
          std::move(meaning),
          [=](const Target& target) { return static_cast<double>(target.*member); },
          [=](Target& target, double value) { target.*member = static_cast<std::int64_t>(value); }};
}

template <class Target>
std::vector<Key<Target>> keys_of(const NumberRows<Target>& rows) {
  std::vector<Key<Target>> keys;
  for (const NumberRow<Target>& row : rows)
    keys.push_back({{row.name, number_type(row.least, row.most), row.meaning, Presence::optional},
                    [row](const Value& value, Target& target) { row.set(target, value.number(row.least, row.most)); }});
  return keys;
}

template <class Target>
void append(std::vector<Key<Target>>& keys, std::vector<Key<Target>> more) {
  std::move(more.begin(), more.end(), std::back_inserter(keys));
}

template <class Target>
void write_rows(std::string& out, const NumberRows<Target>& rows, const Target& target, const std::string& indent) {
  for (const NumberRow<Target>& row : rows) out += fmt::format("{}{}: {:.6g}\n", indent, row.name, row.get(target));
}

// A number under the path of its keys, in the unit of the last one: "device.datasheet.tdp_w".
struct NamedNumber {
  std::string key;
  double value = 0;
};

// The text as a double-quoted YAML scalar.
std::string quoted(const std::string& text);

}  // namespace echelon
