#include "sim/config/strategy_keys.h"

#include <fmt/format.h>

#include "sim/config/strategy_config.h"

namespace echelon {

namespace {

template <class Item>
void read_items(const Value& value, std::vector<Item>& list) {
  list.clear();
  for (const Value& item : value.items()) list.push_back(item.one_of<Item>());
}

void read_group(const Value& value, Strategy& strategy) {
  const bool all = value.is_scalar() && value.text() == "stage";
  strategy.recompute_group = all ? Strategy::whole_chunk : value.integer(1, most_placed_layers);
}

const StrategyKeys& recompute_keys() {
  static const StrategyKeys keys = {
      enum_key<Recompute, Strategy>("kind", &Strategy::recompute, "what the backward pass computes again",
                                    Presence::required),
      integer_key<Strategy>("layers", 0, most_placed_layers, &Strategy::recompute_layers,
                            "full: only this many layers of each chunk; 0 = all"),
      {{"group", any_of({integer_type(1, most_placed_layers), choice_type({"stage"})}),
        "full: layers of a chunk that run again together, of which the first keeps its input (Megatron's "
        "--recompute-method uniform with --recompute-num-layers); stage: all of them, as GPipe does"},
       read_group},
      {{"operators", fmt::format(R"({{"type":"array","items":{}}})", enum_type<OperatorKind>()),
        "operators: the kinds that run again"},
       [](const Value& value, Strategy& strategy) { read_items(value, strategy.recompute_operators.kinds); }},
      {{"modules", fmt::format(R"({{"type":"array","items":{}}})", enum_type<RecomputeModule>()),
        "operators: the parts that run again, as Megatron-Core's --recompute-modules names them"},
       [](const Value& value, Strategy& strategy) { read_items(value, strategy.recompute_operators.modules); }},
  };
  return keys;
}

Recompute recompute_word(const Value& value) {
  const std::string name = value.text();
  if (const auto word = from_name<Recompute>(name)) return *word;
  value.fail_choice(name, all_names<Recompute>() + ", auto, {kind: full, layers: 4}");
}

// {operators: [norm, activation]} stands for itself; {kind: full, layers: 4} and plain words for the rest.
void read_recompute(const Value& value, Strategy& strategy) {
  strategy.recompute_least = value.is_scalar() && value.text() == "auto";
  if (strategy.recompute_least) return;
  if (value.is_mapping())
    read_keys(value, recompute_keys(), strategy);
  else
    strategy.recompute = recompute_word(value);
  if ((strategy.recompute == Recompute::operators) == strategy.recompute_operators.empty())
    value.fail(fmt::format("{} names {} operators or modules", value.path(),
                           strategy.recompute_operators.empty() ? "no" : "some"),
               "expected {kind: operators, operators: [norm, activation]} or {kind: operators, modules: [layernorm, "
               "moe_act]}, and neither list for other kinds");
  if (strategy.recompute_group > 1 && strategy.recompute != Recompute::full)
    value.fail(fmt::format("{} groups layers of which a part runs again", value.path()),
               "expected {kind: full, group: 4}, or no group");
}

const StrategyKeys& offload_keys() {
  static const StrategyKeys keys = {
      enum_key<OffloadTarget, Strategy>(
          "optimizer", [](Strategy& s) -> OffloadTarget& { return s.offload.optimizer; },
          "where optimizer states lie; off the device the host takes the step (ZeRO-Offload)"),
      enum_key<OffloadTarget, Strategy>(
          "parameters", [](Strategy& s) -> OffloadTarget& { return s.offload.parameters; },
          "zero3, hybrid: where the shards lie that gathers read (ZeRO-Infinity)"),
      integer_key<Strategy>(
          "activation_layers", 0, most_placed_layers,
          [](Strategy& s) -> std::int64_t& { return s.offload.activation_layers; },
          "first layers of each chunk whose activations wait in host memory for their backward pass"),
      enum_key<OffloadTarget, Strategy>(
          "outer", [](Strategy& s) -> OffloadTarget& { return s.offload.outer; },
          "local_groups, nesterov: where the outer momentum and the parameters of the last synchronisation lie "
          "between synchronisations"),
  };
  return keys;
}

}  // namespace

StrategyKeys state_keys() {
  return {
      boolean_key<Strategy>("sequence_parallel", &Strategy::sequence_parallel,
                            "norms and dropout divided over the tensor-parallel ranks by tokens"),
      number_key<Strategy>(
          "expert_capacity_factor", 0, 1000, &Strategy::expert_capacity_factor,
          "each expert takes this times its mean of tokens, padded, and drops the others; 0 = dropless"),
      number_key<Strategy>("expert_imbalance", 1, 1e6, &Strategy::expert_imbalance,
                           "tokens of the busiest expert-parallel rank over the mean; it sets the pace, or is what a "
                           "capacity cuts"),
      number_key<Strategy>("expert_concentration", 0, 1e9, &Strategy::expert_concentration,
                           "that ratio, or what a capacity cuts, of expert shares drawn of a Dirichlet distribution "
                           "with this parameter; 0 = as expert_imbalance says"),
      integer_key<Strategy>("expert_seed", 0, 1'000'000'000, &Strategy::expert_seed, "of that draw"),
      integer_key<Strategy>(
          "expert_nodes_per_token", 0, most_degree, &Strategy::expert_nodes_per_token,
          "a token is sent once to each of at most so many nodes and inside them to its experts; 0 = to "
          "each expert apart"),
      enum_key<ExpertDispatch, Strategy>("expert_dispatch", &Strategy::expert_dispatch,
                                         "what is sent of a token: all_to_all a copy to each of its experts, "
                                         "deduplicated one to each node and rank that holds any (DeepEP, HybridEP)"),
      boolean_key<Strategy>("overlap_expert", &Strategy::overlap_expert,
                            "all-to-alls of experts run beside another micro-batch's compute"),
      enum_key<ContextExchange, Strategy>("context_exchange", &Strategy::context_exchange,
                                          "what the ranks of a sequence exchange: ring keys and values in turn, "
                                          "all_gather them at once, all_to_all heads "
                                          "for sequence, all_to_all_ring both"),
      integer_key<Strategy>("context_all_to_all_ranks", 1, most_degree, &Strategy::context_all_to_all_ranks,
                            "all_to_all_ring: ranks that trade heads; the ring runs across them"),
      boolean_key<Strategy>("context_balanced", &Strategy::context_balanced,
                            "each rank holds a slice from both ends of the sequence, so that causal work is even"),
      enum_key<Sharding, Strategy>(
          "sharding", &Strategy::sharding,
          "data-parallel state that is divided: zero1 optimizer, zero2 and gradients, zero3 and "
          "parameters, hybrid zero3 inside shard_ranks"),
      integer_key<Strategy>("shard_ranks", 0, most_ranks, &Strategy::shard_ranks,
                            "hybrid: ranks that share one copy; 0 = the GPUs of a node"),
      integer_key<Strategy>(
          "local_groups", 1, most_ranks, [](Strategy& s) -> std::int64_t& { return s.mesh.local_groups; },
          "groups of data-parallel ranks that train apart and meet every synchronize_every steps"),
      integer_key<Strategy>(
          "synchronize_every", 1, 1'000'000'000, [](Strategy& s) -> std::int64_t& { return s.local_steps.every; },
          "local_groups: optimizer steps from one synchronisation to the next"),
      enum_key<OuterOptimizer, Strategy>(
          "outer_optimizer", [](Strategy& s) -> OuterOptimizer& { return s.local_steps.optimizer; },
          "local_groups: what a synchronisation does: average the parameters (local SGD), or a nesterov step along "
          "their mean difference from the last (DiLoCo)"),
      integer_key<Strategy>(
          "synchronize_fragments", 1, most_placed_layers,
          [](Strategy& s) -> std::int64_t& { return s.local_steps.fragments; },
          "local_groups: parts of the model that meet at different steps of a round (Streaming DiLoCo)"),
      enum_key<FragmentPattern, Strategy>(
          "fragment_pattern", [](Strategy& s) -> FragmentPattern& { return s.local_steps.pattern; },
          "synchronize_fragments: every so many layers make a fragment (strided), or a run of neighbours (sequential)"),
      integer_key<Strategy>(
          "synchronize_delay", 0, 1'000'000'000, [](Strategy& s) -> std::int64_t& { return s.local_steps.delay; },
          "local_groups: steps from sending to using what came back, while training goes on; 0 = it waits"),
      enum_key<OuterFormat, Strategy>(
          "outer_gradients", [](Strategy& s) -> OuterFormat& { return s.local_steps.format; },
          "local_groups: format in which groups send; as_gradients: as gradients are reduced"),
      boolean_key<Strategy>(
          "reshard_after_forward", &Strategy::reshard_after_forward,
          "zero3, hybrid: free gathered parameters after the forward pass; absent: where there is one stage"),
      {{"recompute", any_of({enum_type<Recompute>(), choice_type({"auto"}), object_type_of(recompute_keys())}),
        "what the backward pass computes again instead of keeping it; auto: the least that fits"},
       read_recompute},
      {{"offload", object_type_of(offload_keys()), "what leaves the device between its uses"},
       [](const Value& value, Strategy& strategy) { read_keys(value, offload_keys(), strategy); }},
  };
}

}  // namespace echelon
