#include "sim/sweep/space.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "sim/config/scenario_keys.h"
#include "sim/config/strategy_config.h"
#include "sim/config/workload_config.h"

namespace echelon {

namespace {

constexpr std::int64_t most_points = 1'000'000'000'000'000;
constexpr std::size_t most_values = 100'000;
constexpr std::int64_t most_number = 1'000'000'000'000;
constexpr auto sections = std::to_array<std::string_view>({"model", "cluster", "strategy", "workload"});

// A list of numbers as a value of the document, so that it is read like one that was written out; in no file.
Value number_list(const Value& place, const std::vector<std::int64_t>& numbers) {
  std::string text;
  for (const std::int64_t number : numbers) text += fmt::format("{}{}", text.empty() ? "[" : ", ", number);
  return parse_text(text + "]", "").at_path(place.path());
}

Value powers_of_two(const Value& bounds) {
  const std::vector<Value> ends = bounds.items();
  if (ends.size() != 2) bounds.fail(bounds.path() + " has no two ends", "expected [FIRST, LAST], such as [1, 64]");
  const std::int64_t first = ends[0].integer(1, most_number);
  const std::int64_t last = ends[1].integer(first, most_number);
  std::vector<std::int64_t> numbers;
  for (std::int64_t power = 1; power <= last; power *= 2)
    if (power >= first) numbers.push_back(power);
  if (numbers.empty()) bounds.fail("there is no power of two between them", "expected such as [1, 64]");
  return number_list(bounds, numbers);
}

// {from: 1, to: 8, step: 1} or {from: 1, to: 8, times: 2}; `to` is included where a step meets it.
Value range(const Value& value) {
  for (const char* key : {"from", "to", "step", "times"}) value.find(key);
  value.finish();
  const std::int64_t first = value.at("from").integer(-most_number, most_number);
  const std::int64_t last = value.at("to").integer(first, most_number);
  const auto times = value.find("times");
  const auto step = value.find("step");
  if (times && step) times->fail(value.path() + " has both 'step' and 'times'", "expected one of them");
  const std::int64_t factor = times ? times->integer(2, most_number) : 1;
  const std::int64_t addend = times ? 0 : (step ? step->integer(1, most_number) : 1);
  if (times && first < 1) value.at("from").fail("a range of factors begins below 1", "expected from: 1 or more");
  std::vector<std::int64_t> numbers;
  for (std::int64_t number = first; number <= last; number = number * factor + addend) {
    if (numbers.size() == most_values)
      value.fail(value.path() + " has too many values", fmt::format("expected at most {}", most_values));
    numbers.push_back(number);
  }
  return number_list(value, numbers);
}

Value written_out(const Value& value) {
  if (!value.is_mapping()) return value;
  if (const auto bounds = value.find("powers_of_two")) {
    value.finish();
    return powers_of_two(*bounds);
  }
  return range(value);
}

bool is_section(const std::string& key) {
  return std::find(sections.begin(), sections.end(), key) != sections.end();
}

ConditionValue compared_as(const Value& value) {
  return condition_value(value.is_scalar() ? value.text() : value.flow_text());
}

// A mapping for a section adds its keys to it; a model is another model as a whole.
AxisValue axis_value(const std::string& key, const Value& value) {
  AxisValue result{value.flow_text(), compared_as(value), {}};
  if (!is_section(key) || key == "model") {
    result.assignments.push_back({key, value});
    return result;
  }
  for (const std::string& name : value.keys())
    if (const auto part = value.find(name)) result.assignments.push_back({fmt::format("{}.{}", key, name), *part});
  return result;
}

// What stands before a dot, or the whole key where its section was left out.
std::optional<std::string> meant_key(const std::string& key) {
  const std::string section = key.substr(0, key.find('.'));
  if (section != key) return nearest(section, {sections.begin(), sections.end()});
  std::vector<std::string> names(sections.begin(), sections.end());
  std::vector<std::string> keys = names;
  const auto add = [&](std::string_view of, const auto& rows) {
    for (const auto& row : rows) {
      names.push_back(row.name);
      keys.push_back(fmt::format("{}.{}", of, row.name));
    }
  };
  add("strategy", strategy_keys());
  add("workload", workload_keys());
  add("cluster", cluster_keys());
  const auto near = nearest(key, names);
  if (!near) return std::nullopt;
  return keys[static_cast<std::size_t>(std::find(names.begin(), names.end(), *near) - names.begin())];
}

void check_key(const Value& axes, const Value& value, const std::string& key) {
  if (is_section(key.substr(0, key.find('.')))) return;
  const auto near = meant_key(key);
  value.fail(fmt::format("'{:.60}' in {} is no key of a scenario's sections", key, axes.path()),
             near ? fmt::format("did you mean '{}'?", *near)
                  : "expected such as strategy.tensor_parallel, workload.global_batch, cluster.nodes");
}

// The value at a dotted path of the document; nothing where it says nothing.
std::optional<Value> value_at(Value value, const std::string& path) {
  for (std::size_t first = 0; first <= path.size();) {
    const std::size_t end = std::min(path.find('.', first), path.size());
    if (!value.is_mapping()) return std::nullopt;
    const auto next = value.find(path.substr(first, end - first));
    if (!next) return std::nullopt;
    value = *next;
    first = end + 1;
  }
  return value;
}

// What the assignments make of the key; nothing where they leave it as it is.
std::optional<Value> assigned(const std::vector<Assignment>& assignments, const std::string& key) {
  for (const Assignment& set : assignments) {
    if (set.path == key) return set.value;
    if (key.size() > set.path.size() && key.compare(0, set.path.size() + 1, set.path + ".") == 0)
      return value_at(set.value, key.substr(set.path.size() + 1));
  }
  return std::nullopt;
}

// Goes to the next combination of the axes, the last one fastest; false behind the last.
bool advance(std::vector<std::size_t>& digits, const std::set<std::size_t>& named, const std::vector<SpaceAxis>& axes) {
  for (auto axis = named.rbegin(); axis != named.rend(); ++axis) {
    if (++digits[*axis] < axes[*axis].values.size()) return true;
    digits[*axis] = 0;
  }
  return false;
}

// The one of the dotted keys that ends as the word that stands without its section.
std::optional<std::string> with_section(const std::string& word, const std::vector<std::string>& keys) {
  std::vector<std::string> ends;
  for (const std::string& key : keys) ends.push_back(key.substr(key.rfind('.') + 1));
  const auto near = nearest(word, ends);
  if (!near) return std::nullopt;
  return keys[static_cast<std::size_t>(std::find(ends.begin(), ends.end(), *near) - ends.begin())];
}

}  // namespace

Space::Space(const Value& document) {
  const Value sweep = document.at("sweep");
  const auto conditions = sweep.find("where");
  read_axes(sweep.at("axes"));
  sweep.finish();
  if (conditions) read_conditions(*conditions, document);
}

void Space::read_axes(const Value& axes) {
  std::map<std::string, std::string> axis_of;  // by what it sets
  for (const std::string& key : axes.keys()) {
    const Value value = axes.at(key);
    check_key(axes, value, key);
    if (is_section(key) && value.is_mapping())
      value.fail(fmt::format("the axis of the section {} is a mapping", key), "expected [{KEY: VALUE, ...}, ...]");
    SpaceAxis axis{key, {}, value.where()};
    std::set<std::string> texts;
    for (const Value& item : written_out(value).items()) {
      axis.values.push_back(axis_value(key, item));
      const AxisValue& added = axis.values.back();
      const auto* number = std::get_if<double>(&added.value);
      if (!texts.insert(number != nullptr ? fmt::format("{}", *number) : added.text).second)
        item.fail(fmt::format("{:.60} is on the axis {} already", added.text, key), "expected each value once");
    }
    for (const AxisValue& item : axis.values)
      for (const Assignment& set : item.assignments)
        if (const std::string& other = axis_of.emplace(set.path, key).first->second; other != key)
          value.fail(fmt::format("{} is set by the axes {} and {}", set.path, other, key),
                     "expected it in one of them");
    if (axis.values.empty()) value.fail(value.path() + " has no values", "expected at least one");
    const auto count = static_cast<std::int64_t>(axis.values.size());
    if (axis.values.size() > most_values || size_ > most_points / count)
      value.fail("the space has too many points", fmt::format("expected at most {}", most_points));
    size_ *= count;
    axes_.push_back(std::move(axis));
  }
}

void Space::read_conditions(const Value& conditions, const Value& document) {
  for (const Value& text : conditions.items()) {
    const auto slot_of_key = [&](const std::string& key) {
      const std::size_t place = place_of(key);
      if (place == slots_.size()) slots_.push_back(slot_of(key, text, document));
      return place;
    };
    conditions_.emplace_back(text, slot_of_key);
  }
}

Space::Slot Space::slot_of(const std::string& key, const Value& condition, const Value& document) const {
  const auto otherwise = value_at(document, key);
  const auto sets = [&](const AxisValue& value) { return assigned(value.assignments, key).has_value(); };
  for (std::size_t i = 0; i < axes_.size(); ++i) {
    const std::vector<AxisValue>& values = axes_[i].values;
    if (std::none_of(values.begin(), values.end(), sets)) continue;
    Slot slot{key, i, {}};
    for (const AxisValue& value : values) {
      const auto given = sets(value) ? assigned(value.assignments, key) : otherwise;
      if (!given)
        condition.fail(fmt::format("'{:.60}' is not given by {} of {}", key, value.text, axes_[i].key),
                       "expected a key that each of its values gives, or the scenario besides");
      slot.values.push_back(compared_as(*given));
    }
    return slot;
  }
  if (!otherwise || !otherwise->is_scalar()) fail_unknown(key, condition, document);
  return {key, std::nullopt, {compared_as(*otherwise)}};
}

void Space::fail_unknown(const std::string& key, const Value& condition, const Value& document) const {
  std::vector<std::string> known;
  for (const SpaceAxis& axis : axes_)
    for (const AxisValue& value : axis.values)
      for (const Assignment& set : value.assignments) known.push_back(set.path);
  for (const std::string_view section : sections)
    if (const auto keys = document.find(section); keys && keys->is_mapping())
      for (const std::string& name : keys->keys()) known.push_back(fmt::format("{}.{}", section, name));
  auto near = nearest(key, known);
  if (!near && key.find('.') == std::string::npos) near = with_section(key, known);
  condition.fail(
      fmt::format("neither an axis nor the scenario gives '{:.60}'", key),
      near ? fmt::format("did you mean '{}'?", *near) : "expected a key of the axes, or one that the scenario sets");
}

std::vector<std::size_t> Space::digits(std::int64_t point) const {
  std::vector<std::size_t> digits(axes_.size());
  for (std::size_t i = axes_.size(); i-- > 0;) {
    const auto radix = static_cast<std::int64_t>(axes_[i].values.size());
    digits[i] = static_cast<std::size_t>(point % radix);
    point /= radix;
  }
  return digits;
}

std::int64_t Space::point_of(const std::vector<std::size_t>& digits) const {
  std::int64_t point = 0;
  for (std::size_t i = 0; i < axes_.size(); ++i)
    point = point * static_cast<std::int64_t>(axes_[i].values.size()) + static_cast<std::int64_t>(digits[i]);
  return point;
}

std::size_t Space::place_of(const std::string& key) const {
  const auto found = std::find_if(slots_.begin(), slots_.end(), [&](const Slot& slot) { return slot.key == key; });
  return static_cast<std::size_t>(found - slots_.begin());
}

std::vector<VainComparison> Space::vain_comparisons() const {
  std::vector<VainComparison> vain;
  for (const Condition& condition : conditions_)
    for (WordComparison& compared : condition.word_comparisons()) {
      const auto& values = slots_[place_of(compared.key)].values;
      if (std::find(values.begin(), values.end(), condition_value(compared.word)) == values.end())
        vain.push_back({std::move(compared), condition.source()});
    }
  return vain;
}

std::vector<const ConditionValue*> Space::slot_values(const std::vector<std::size_t>& digits) const {
  std::vector<const ConditionValue*> values;
  values.reserve(slots_.size());
  for (const Slot& slot : slots_) values.push_back(&slot.values[slot.axis ? digits[*slot.axis] : 0]);
  return values;
}

bool Space::includes(const std::vector<std::size_t>& digits) const {
  if (conditions_.empty()) return true;
  const auto values = slot_values(digits);
  return std::all_of(conditions_.begin(), conditions_.end(),
                     [&](const Condition& condition) { return condition.holds(values); });
}

void Space::check_not_empty() const {
  std::set<std::size_t> named;
  for (const Slot& slot : slots_)
    if (slot.axis) named.insert(*slot.axis);
  std::vector<std::size_t> digits(axes_.size(), 0);
  auto refuses = conditions_.begin();  // the furthest that some combination comes
  do {
    const auto values = slot_values(digits);
    const auto fails = std::find_if(conditions_.begin(), conditions_.end(),
                                    [&](const Condition& condition) { return !condition.holds(values); });
    if (fails == conditions_.end()) return;
    refuses = std::max(refuses, fails);
  } while (advance(digits, named, axes_));
  refuses->source().fail(
      fmt::format("no point meets this condition{}", refuses == conditions_.begin() ? "" : " and those before it"),
      "expected conditions that leave some of the axes' values");
}

const SpaceAxis* Space::axis_that_sets(const std::string& key) const {
  const auto sets = [&](const AxisValue& value) {
    return std::any_of(value.assignments.begin(), value.assignments.end(),
                       [&](const Assignment& set) { return set.path == key; });
  };
  const auto found = std::find_if(axes_.begin(), axes_.end(), [&](const SpaceAxis& axis) {
    return std::all_of(axis.values.begin(), axis.values.end(), sets);
  });
  return found == axes_.end() ? nullptr : &*found;
}

std::vector<Assignment> Space::assignments(const std::vector<std::size_t>& digits) const {
  std::vector<Assignment> all;
  for (std::size_t i = 0; i < axes_.size(); ++i) {
    const auto& own = axes_[i].values[digits[i]].assignments;
    all.insert(all.end(), own.begin(), own.end());
  }
  return all;
}

}  // namespace echelon
