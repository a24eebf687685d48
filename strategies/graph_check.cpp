#include "strategies/graph_check.h"

#include <algorithm>

#include "strategies/intra/intra.h"
#include "strategies/placement/stages.h"

namespace echelon {

namespace {

// Every operator's divided dimension must fit the tensor group. Neither stages nor recompute know how tensors lie
// between divided operators.
Refusal check_shards(const GraphFacts& graph, const Strategy& strategy) {
  const std::int64_t tensor = strategy.mesh.tensor;
  if (strategy.mesh.pipeline > 1)
    return refuse("pipeline_parallel {} for a graph whose operators are divided; pipeline_parallel 1 would do",
                  strategy.mesh.pipeline);
  if (strategy.recompute != Recompute::none)
    return refuse("recompute {} for a graph whose operators are divided; recompute none would do",
                  name_of(strategy.recompute));
  for (const auto vertex : boost::make_iterator_range(vertices(graph.whole))) {
    const Operator& op = graph.whole[vertex];
    const std::int64_t size = op.tensors->divided;
    if (size > 0 && size % tensor != 0)
      return refuse("tensor_parallel {} does not divide {}'s {} by {}; tensor_parallel {} would do", tensor, op.name,
                    size, name_of(op.tensors->shard), divisor_below(size, tensor));
  }
  if (strategy.micro_batch % tensor == 0) return std::nullopt;
  return refuse(
      "tensor_parallel {} does not divide micro_batch {}, of which each rank takes samples; micro_batch {} "
      "would do",
      tensor, strategy.micro_batch, (strategy.micro_batch / tensor + 1) * tensor);
}

}  // namespace

Refusal check_graph(const Model& model, const Strategy& strategy) {
  if (!model.graph) return std::nullopt;
  const Mesh& mesh = strategy.mesh;
  const auto undivided = [](std::string_view name, std::int64_t degree) {
    return refuse("{} {} for a graph of operators, which is not divided inside; {} 1 would do", name, degree, name);
  };
  if (mesh.tensor > 1 && !model.graph->divides) return undivided("tensor_parallel", mesh.tensor);
  if (mesh.context > 1) return undivided("context_parallel", mesh.context);
  if (mesh.expert > 1) return undivided("expert_parallel", mesh.expert);
  if (strategy.sequence_slices > 1) return undivided("sequence_slices", strategy.sequence_slices);
  if (mesh.tensor > 1) return check_shards(*model.graph, strategy);
  const Recompute kind = strategy.recompute;
  if (kind == Recompute::selective_ops || kind == Recompute::operators)
    return refuse("recompute {} names operators of a transformer layer; recompute none or full would do",
                  name_of(kind));
  if (mesh.pipeline > 1 && model.graph->shares_weights)
    return refuse(
        "pipeline_parallel {} for a graph of operators of which two share a table; pipeline_parallel 1 would do",
        mesh.pipeline);
  return std::nullopt;
}

Refusal check_graph_stages(const Model& model, const Strategy& strategy) {
  if (!model.graph || !strategy.rank_layers.empty()) return std::nullopt;
  const auto layers = static_cast<std::int64_t>(model.layers.size());
  const std::int64_t stages = stage_count(strategy);
  if (stages > layers)
    return refuse("pipeline_parallel {} x virtual_stages {} = {} stages, more than the model's {} layers; {}",
                  strategy.mesh.pipeline, strategy.virtual_stages, stages, layers,
                  layers >= strategy.mesh.pipeline
                      ? fmt::format("virtual_stages {} would do", layers / strategy.mesh.pipeline)
                      : fmt::format("pipeline_parallel {} would do", layers));
  const auto& list = strategy.stage_layers;
  if (std::find(list.begin(), list.end(), 0) != list.end())
    return refuse("stage_layers gives a stage no layer of a graph of operators; stage_layers balanced would do");
  return std::nullopt;
}

}  // namespace echelon
