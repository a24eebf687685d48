#include "sim/model/model.h"

#include <optional>
#include <string_view>
#include <vector>

#include "sim/base/error.h"

namespace echelon {

namespace {

using Vertex = boost::graph_traits<OperatorGraph>::vertex_descriptor;

const Block& block_at(const Model& model, std::int32_t index) {
  SIM_CHECK(index >= 0 && static_cast<std::size_t>(index) < model.blocks.size(), "model '{}' has no block {}",
            model.name, index);
  return model.blocks[static_cast<std::size_t>(index)];
}

// Sum of what `count` says of each operator of a block.
template <class Count>
double sum_over(const Block& block, const Count& count) {
  double sum = 0;
  for (const Vertex vertex : boost::make_iterator_range(vertices(block.graph))) sum += count(block.graph[vertex]);
  return sum;
}

// The same over the whole model, each layer on its own.
template <class Count>
double sum_over(const Model& model, const Count& count) {
  double sum = 0;
  for (const std::int32_t end : {model.embedding, model.head})
    if (end >= 0) sum += sum_over(block_at(model, end), count);
  std::vector<double> by_block;
  for (const Block& block : model.blocks) by_block.push_back(sum_over(block, count));
  for (const std::int32_t layer : model.layers) {
    block_at(model, layer);
    sum += by_block[static_cast<std::size_t>(layer)];
  }
  return sum;
}

// The vertex that nothing leads to (or leads away from), which must be the only one.
template <class Degree>
Vertex only_vertex(const Block& block, const Degree& degree, std::string_view what) {
  std::vector<Vertex> found;
  for (const Vertex vertex : boost::make_iterator_range(vertices(block.graph)))
    if (degree(vertex) == 0) found.push_back(vertex);
  SIM_CHECK(found.size() == 1, "block '{}' has {} {}", block.name, found.size(), what);
  return found.front();
}

// Copies a block behind what is already there; `last` is the exit so far, and becomes the block's.
void append(const Block& block, double hidden, OperatorGraph& whole, std::optional<Vertex>& last) {
  const Vertex base = num_vertices(whole);
  for (const Vertex vertex : boost::make_iterator_range(vertices(block.graph))) add_vertex(block.graph[vertex], whole);
  for (const auto edge : boost::make_iterator_range(edges(block.graph)))
    add_edge(base + source(edge, block.graph), base + target(edge, block.graph), block.graph[edge], whole);
  const auto entry = only_vertex(
      block, [&](Vertex vertex) { return in_degree(vertex, block.graph); }, "entries");
  const auto exit = only_vertex(
      block, [&](Vertex vertex) { return out_degree(vertex, block.graph); }, "exits");
  if (last) add_edge(*last, base + entry, TensorEdge{hidden}, whole);
  last = base + exit;
}

}  // namespace

double parameter_count(const Model& model) {
  return sum_over(model, [](const Operator& op) { return op.parameters; });
}

double active_parameter_count(const Model& model) {
  const double share =
      model.experts > 0 ? static_cast<double>(model.experts_per_token) / static_cast<double>(model.experts) : 1;
  return sum_over(model, [share](const Operator& op) { return op.parameters * (op.routed ? share : 1); });
}

double embedding_parameter_count(const Model& model) {
  if (model.embedding < 0) return 0;
  return sum_over(block_at(model, model.embedding), [](const Operator& op) {
    const bool table = op.kind == OperatorKind::embedding || op.kind == OperatorKind::position;
    return table ? op.parameters : 0;
  });
}

double handed_on(const Model& model, std::size_t layer) {
  return model.graph ? model.graph->crossing[layer] : static_cast<double>(model.hidden);
}

OperatorGraph expand(const Model& model) {
  if (model.graph) return model.graph->whole;
  OperatorGraph whole;
  std::optional<Vertex> last;
  const double hidden = static_cast<double>(model.hidden);
  append(block_at(model, model.embedding), hidden, whole, last);
  for (const std::int32_t layer : model.layers) append(block_at(model, layer), hidden, whole, last);
  append(block_at(model, model.head), hidden, whole, last);
  return whole;
}

}  // namespace echelon
