#include "strategies/graph_check.h"

#include <algorithm>

#include "strategies/intra/intra.h"
#include "strategies/pipeline/schedule.h"
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

// Where the layers of a model lie: by layer the stage, counted in the order of the model.
std::vector<std::int64_t> stage_of_layers(std::int64_t layers, const Strategy& strategy) {
  std::vector<std::int64_t> stages;
  const std::vector<std::int64_t> counts = layers_by_stage(layers, strategy);
  for (std::size_t stage = 0; stage < counts.size(); ++stage)
    stages.insert(stages.end(), static_cast<std::size_t>(counts[stage]), static_cast<std::int64_t>(stage));
  return stages;
}

// Gradients of a table are added up between the ranks of the model's first and last stage alone, and of one table.
Refusal check_tables(const Model& model, const Strategy& strategy) {
  ScheduleShape shape;
  shape.ranks = strategy.mesh.pipeline;
  shape.chunks = strategy.virtual_stages;
  const StageLayout layout = layout_of(strategy);
  const bool both_ways = layout == StageLayout::bidirectional;  // every rank holds both ends of a copy
  const std::vector<std::int64_t> stages = stage_of_layers(std::ssize(model.layers), strategy);
  const auto rank_of = [&](std::int64_t stage) { return place_of(layout, shape, stage).rank; };
  bool crosses = false;
  for (const SharedTable& table : model.graph->shared) {
    const std::int64_t owner = stages[table.owner_layer];
    const std::int64_t user = stages[table.user_layer];
    if (owner == user || (!both_ways && rank_of(owner) == rank_of(user))) continue;
    const bool repeats = std::count(model.layers.begin(), model.layers.end(), model.layers[table.user_layer]) > 1;
    if (crosses || repeats || owner != stages.front() || user != stages.back())
      return refuse(
          "'{}' on stage {} uses the table of '{}' on stage {}, and copies of a table are kept in step between one "
          "layer of the first and one of the last stage alone; stage_layers with both on one stage, or "
          "pipeline_parallel 1, would do",
          table.user, user, table.owner, owner);
    crosses = !both_ways;
  }
  return std::nullopt;
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

Refusal check_graph_tables(const Model& model, const Strategy& strategy) {
  return model.graph && strategy.mesh.pipeline > 1 ? check_tables(model, strategy) : std::nullopt;
}

}  // namespace echelon
