// The key tables of a graph model's operators. Private to the config room.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "sim/config/key_table.h"
#include "sim/model/graph_operator.h"

namespace echelon {

// Numbers that a block's user gives: "$inner" in a size stands for that of `inner`.
using GraphParameters = std::map<std::string, std::int64_t>;

// An entry of a list of layers on its way.
struct GraphEntry {
  const GraphParameters* parameters = nullptr;
  GraphOperator op;
  std::optional<GraphNorm> norm_after;  // of a convolution or dense operator: as operators of their own
  std::optional<ElementFunction> function_after;
  std::vector<std::string> inputs;  // empty: the operator before
  std::int64_t repeat = 1;
};

// Keys of every entry: name, inputs, repeat.
const std::vector<Key<GraphEntry>>& entry_keys();
// Those, `op`, and the keys of that operator.
std::vector<Key<GraphEntry>> operator_keys(GraphOp op);

// A size: a number within bounds, or the parameter that it names. Throws InputError.
std::int64_t size_from(const Value& value, const GraphParameters& parameters, std::int64_t least, std::int64_t most);
std::string size_type(std::int64_t least, std::int64_t most);

// A shape of one to three sizes. Throws InputError.
Shape shape_from(const Value& value, const GraphParameters& parameters);
std::string shape_type();

// Bounds, far above any model: products of three sizes stay exact.
constexpr std::int64_t most_size = 2'000'000'000;
constexpr std::int64_t most_repeats = 10'000;

}  // namespace echelon
