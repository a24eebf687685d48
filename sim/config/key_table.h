// One table a mapping: its keys with type, meaning and reader. read_keys() reads a mapping by it and the JSON Schemas
// are written from it (sim/config/schema.h), so that code, schema and messages cannot disagree.
//
//   const std::vector<Key<Workload>> keys = {
//       integer_key<Workload>("global_batch", 1, 1'000'000, &Workload::global_batch, "sequences of one optimizer
//       step")};
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sim/base/enum_names.h"
#include "sim/config/document.h"

namespace echelon {

enum class Presence { optional, required };

// What a schema says of a key. `type` is a JSON Schema in JSON text without a description.
struct KeyRow {
  std::string name;
  std::string type;
  std::string meaning;
  Presence presence = Presence::optional;
};

// A key and how its value enters a Target. `read` is not called for a key that is absent or null.
template <class Target>
struct Key : KeyRow {
  std::function<void(const Value&, Target&)> read;
};

// Reads every key of the table in its order, then refuses the keys that are in no row. Throws InputError.
template <class Target>
void read_keys(const Value& mapping, const std::vector<Key<Target>>& keys, Target& target) {
  // A misspelt word is told as such before its absence is: every known name is asked for first.
  for (const Key<Target>& key : keys) mapping.find(key.name);
  mapping.all_asked();
  for (const Key<Target>& key : keys) {
    if (key.presence == Presence::required)
      key.read(mapping.at(key.name), target);
    else if (auto value = mapping.find(key.name))
      key.read(*value, target);
  }
  mapping.finish();
}

// JSON Schema texts of the types that occur.
std::string integer_type(std::int64_t least, std::int64_t most);
std::string number_type(double least, double most);
std::string boolean_type();
std::string text_type();
std::string choice_type(const std::vector<std::string>& names);
std::string list_type(const std::string& item);
std::string any_of(const std::vector<std::string>& types);
// An object with these keys and no others.
std::string object_type(const std::vector<KeyRow>& rows);

template <class E>
std::string enum_type() {
  std::vector<std::string> names;
  for (const auto& entry : enum_names<E>) names.emplace_back(entry.name);
  return choice_type(names);
}

template <class Target>
std::string object_type_of(const std::vector<Key<Target>>& keys) {
  return object_type({keys.begin(), keys.end()});
}

// Rows for plain members. `access` is a pointer to a member of Target or a callable that returns a reference.
template <class Target, class Access>
Key<Target> integer_key(std::string name, std::int64_t least, std::int64_t most, Access access, std::string meaning,
                        Presence presence = Presence::optional) {
  return {{std::move(name), integer_type(least, most), std::move(meaning), presence},
          [=](const Value& value, Target& target) { std::invoke(access, target) = value.integer(least, most); }};
}

template <class Target, class Access>
Key<Target> number_key(std::string name, double least, double most, Access access, std::string meaning,
                       Presence presence = Presence::optional) {
  return {{std::move(name), number_type(least, most), std::move(meaning), presence},
          [=](const Value& value, Target& target) { std::invoke(access, target) = value.number(least, most); }};
}

template <class Target, class Access>
Key<Target> boolean_key(std::string name, Access access, std::string meaning) {
  return {{std::move(name), boolean_type(), std::move(meaning), Presence::optional},
          [=](const Value& value, Target& target) { std::invoke(access, target) = value.boolean(); }};
}

template <class Target, class Access>
Key<Target> text_key(std::string name, Access access, std::string meaning, Presence presence = Presence::optional) {
  return {{std::move(name), text_type(), std::move(meaning), presence},
          [=](const Value& value, Target& target) { std::invoke(access, target) = value.text(); }};
}

template <class E, class Target, class Access>
Key<Target> enum_key(std::string name, Access access, std::string meaning, Presence presence = Presence::optional) {
  return {{std::move(name), enum_type<E>(), std::move(meaning), presence},
          [=](const Value& value, Target& target) { std::invoke(access, target) = value.one_of<E>(); }};
}

}  // namespace echelon
