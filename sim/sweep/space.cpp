#include "sim/sweep/space.h"

#include <algorithm>
#include <array>
#include <map>

namespace echelon {

namespace {

constexpr std::int64_t most_points = 1'000'000'000'000'000;
constexpr std::size_t most_values = 100'000;
constexpr std::int64_t most_number = 1'000'000'000'000;
constexpr auto sections = std::to_array<std::string_view>({"model", "cluster", "strategy", "workload"});

// A list of numbers as a value of the document, so that it is read like one that was written out.
Value number_list(const Value& place, const std::vector<std::int64_t>& numbers) {
  std::string text;
  for (const std::int64_t number : numbers) text += fmt::format("{}{}", text.empty() ? "[" : ", ", number);
  return parse_text(text + "]", place.where().file).at_path(place.path());
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
  const std::int64_t first = value.at("from").integer(-most_number, most_number);
  const std::int64_t last = value.at("to").integer(first, most_number);
  const auto times = value.find("times");
  const auto step = value.find("step");
  if (times && step) times->fail(value.path() + " has both 'step' and 'times'", "expected one of them");
  const std::int64_t factor = times ? times->integer(2, most_number) : 1;
  const std::int64_t addend = times ? 0 : (step ? step->integer(1, most_number) : 1);
  if (times && first < 1) value.at("from").fail("a range of factors begins below 1", "expected from: 1 or more");
  value.finish();
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

// A mapping for a section adds its keys to it; a model is another model as a whole.
AxisValue axis_value(const std::string& key, const Value& value) {
  AxisValue result{value.flow_text(), value.is_scalar() ? condition_value(value.text()) : value.flow_text(), {}};
  if (!is_section(key) || key == "model") {
    result.assignments.push_back({key, value});
    return result;
  }
  for (const std::string& name : value.keys())
    if (const auto part = value.find(name)) result.assignments.push_back({fmt::format("{}.{}", key, name), *part});
  return result;
}

void check_key(const Value& axes, const Value& value, const std::string& key) {
  const std::string section = key.substr(0, key.find('.'));
  if (is_section(section)) return;
  const auto near = nearest(section, {sections.begin(), sections.end()});
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

}  // namespace

Space::Space(const Value& document) {
  const Value sweep = document.at("sweep");
  const auto conditions = sweep.find("where");
  read_axes(sweep.at("axes"));
  sweep.finish();
  if (conditions) read_conditions(*conditions, document);
}

void Space::read_axes(const Value& axes) {
  for (const std::string& key : axes.keys()) {
    const Value value = axes.at(key);
    check_key(axes, value, key);
    SpaceAxis axis{key, {}};
    for (const Value& item : written_out(value).items()) axis.values.push_back(axis_value(key, item));
    if (axis.values.empty()) value.fail(value.path() + " has no values", "expected at least one");
    const auto count = static_cast<std::int64_t>(axis.values.size());
    if (axis.values.size() > most_values || size_ > most_points / count)
      value.fail("the space has too many points", fmt::format("expected at most {}", most_points));
    size_ *= count;
    axes_.push_back(std::move(axis));
  }
}

void Space::read_conditions(const Value& conditions, const Value& document) {
  std::map<std::string, std::size_t> constants;
  for (const Value& text : conditions.items()) {
    const auto slot_of = [&](const std::string& key) {
      for (std::size_t i = 0; i < axes_.size(); ++i)
        if (axes_[i].key == key) return i;
      if (const auto known = constants.find(key); known != constants.end()) return known->second;
      const auto value = value_at(document, key);
      if (!value || !value->is_scalar())
        text.fail(fmt::format("neither an axis nor the scenario gives '{:.60}'", key),
                  "expected a key of the axes, or one that the scenario sets");
      const std::size_t slot = axes_.size() + constants_.size();
      constants_.push_back(condition_value(value->text()));
      return constants[key] = slot;
    };
    conditions_.emplace_back(text, slot_of);
  }
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

bool Space::includes(const std::vector<std::size_t>& digits) const {
  if (conditions_.empty()) return true;
  std::vector<const ConditionValue*> values;
  for (std::size_t i = 0; i < axes_.size(); ++i) values.push_back(&axes_[i].values[digits[i]].value);
  for (const ConditionValue& constant : constants_) values.push_back(&constant);
  return std::all_of(conditions_.begin(), conditions_.end(),
                     [&](const Condition& condition) { return condition.holds(values); });
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
