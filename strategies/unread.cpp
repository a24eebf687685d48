#include "strategies/unread.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "strategies/pipeline/schedule.h"
#include "strategies/placement/stages.h"

namespace echelon {

namespace {

// `says`: differs from what it is where it is absent.
struct Reading {
  std::string_view key;
  bool says;
  bool is_read;
  std::string_view needs;
};

// Whether the model has an operator that `counts`.
template <class Counts>
bool has_operator(const Model& model, const Counts& counts) {
  for (const Block& block : model.blocks)
    for (const auto vertex : boost::make_iterator_range(boost::vertices(block.graph)))
      if (counts(block.graph[vertex])) return true;
  return false;
}

std::vector<Reading> readings(const Model& model, const Strategy& s) {
  const bool mixture = model.experts > 0;
  const bool spread = mixture && s.mesh.expert > 1;
  const bool drops = mixture && s.expert_capacity_factor > 0;
  const bool limited = !s.given_schedule && schedule_row(s.schedule).reads == ScheduleInput::limit;
  const bool trades = s.mesh.context > 1 && s.context_exchange == ContextExchange::all_to_all_ring;
  const bool apart = s.mesh.local_groups > 1;
  const bool unfused = s.kernels == KernelStyle::megatron_fused && has_operator(model, [](const Operator& op) {
                         return op.kind == OperatorKind::activation && !op.gated;
                       });
  constexpr std::string_view experts = "a mixture of experts";
  constexpr std::string_view ranks = "expert_parallel of several ranks";
  constexpr std::string_view groups = "several local_groups";
  return {
      {"optimizer_post_validation", s.optimizer_post_validation, s.mesh.pipeline > 1, "several pipeline stages"},
      {"shard_ranks", s.shard_ranks > 0, s.sharding == Sharding::hybrid, "sharding: hybrid"},
      {"schedule_activations", s.schedule_activations > 0, limited, "schedule: searched"},
      {"context_all_to_all_ranks", s.context_all_to_all_ranks > 1, trades, "context_exchange: all_to_all_ring"},
      {"expert_tensor_parallel", s.mesh.expert_tensor > 0, mixture, experts},
      {"expert_capacity_factor", s.expert_capacity_factor > 0, mixture, experts},
      {"fused_activation", !s.fused_activation, unfused, "kernels: megatron_fused and activations without a gate"},
      {"fused_experts", s.fused_experts, mixture, experts},
      {"expert_imbalance", s.expert_imbalance != 1, spread, ranks},
      {"expert_concentration", s.expert_concentration > 0, spread || drops, ranks},
      {"expert_nodes_per_token", s.expert_nodes_per_token > 0, spread, ranks},
      {"overlap_expert", s.overlap_expert, spread, ranks},
      {"outer_gradients", s.local_steps.format != OuterFormat::as_gradients, apart, groups},
      {"outer_optimizer", s.local_steps.optimizer != OuterOptimizer::nesterov, apart, groups},
      {"fragment_pattern", s.local_steps.pattern != FragmentPattern::strided, apart && s.local_steps.fragments > 1,
       "several synchronize_fragments"},
  };
}

void add_recompute(const Model& model, const Strategy& strategy, std::vector<std::string>& sentences) {
  if (strategy.recompute == Recompute::operators)
    for (const OperatorKind kind : strategy.recompute_operators.kinds)
      if (!has_operator(model, [&](const Operator& op) { return op.kind == kind; }))
        sentences.push_back(
            fmt::format("strategy.recompute names {} operators, of which the model has none", name_of(kind)));
  if (strategy.recompute != Recompute::full) return;
  const auto counts = layers_by_stage(static_cast<std::int64_t>(model.layers.size()), strategy);
  const std::int64_t most = *std::max_element(counts.begin(), counts.end());
  if (strategy.recompute_group > std::max<std::int64_t>(1, most) && strategy.recompute_group != Strategy::whole_chunk)
    sentences.push_back(fmt::format("strategy.recompute groups {} layers, and no chunk has more than {}",
                                    strategy.recompute_group, most));
  if (strategy.recompute_layers > most)
    sentences.push_back(fmt::format("strategy.recompute names {} layers of each chunk, of which none has more than {}",
                                    strategy.recompute_layers, most));
}

}  // namespace

std::vector<std::string> unread_keys(const Model& model, const Strategy& strategy) {
  std::vector<std::string> sentences;
  for (const Reading& reading : readings(model, strategy))
    if (reading.says && !reading.is_read)
      sentences.push_back(
          fmt::format("strategy.{} is read with {} alone and changes nothing here", reading.key, reading.needs));
  add_recompute(model, strategy, sentences);
  return sentences;
}

}  // namespace echelon
