#include "tests/strategies/random_case.h"

#include <fmt/format.h>

#include "sim/model/transformer.h"
#include "strategies/pipeline/schedule.h"

namespace echelon::testing {

Model CaseSource::model() {
  TransformerSpec spec;
  spec.layers = one_of<std::int64_t>({2, 4, 6, 8, 12});
  spec.heads = one_of<std::int64_t>({4, 8, 12});
  spec.kv_heads = one_of<std::int64_t>({0, 1, 2, 4});
  spec.head_dim = 16;
  spec.hidden = spec.heads * spec.head_dim;
  spec.vocabulary = 960;
  spec.positions = 256;
  spec.gated = chance(50);
  spec.ffn = 48 * 16;
  spec.tied_embeddings = chance(50);
  spec.position_kind = chance(50) ? PositionKind::learned : PositionKind::rotary;
  spec.qk_norm = chance(20) ? QkNorm::all_heads : QkNorm::none;
  if (chance(15)) spec.latent = LatentAttention{32, 32, 16, 8, 16, 0, 0, 0};
  if (spec.latent) spec.kv_heads = 0;
  if (chance(35)) spec.mixture = MixtureOfExperts{8, 2, 96, chance(50) ? 96 : 0, false, false, false};
  if (chance(15)) {
    spec.state_space = StateSpace{24, 16, 16, 1, 4};
    LayerSpec mamba;
    mamba.kind = LayerKind::state_space;
    LayerSpec other;
    other.kind = spec.mixture ? LayerKind::mixture : LayerKind::dense;
    for (std::int64_t i = 0; i < spec.layers; ++i) spec.layer_specs.push_back(i % 2 == 0 ? mamba : other);
  }
  return build_transformer(spec);
}

Mesh CaseSource::mesh(const Model& model) {
  Mesh mesh;
  mesh.data = one_of<std::int64_t>({1, 2, 3, 4});
  mesh.tensor = one_of<std::int64_t>({1, 1, 2, 4, 8});
  mesh.pipeline = one_of<std::int64_t>({1, 1, 2, 3, 4});
  mesh.context = one_of<std::int64_t>({1, 1, 2, 4});
  if (model.experts > 0) mesh.expert = one_of<std::int64_t>({1, 2, 4});
  if (model.experts > 0 && chance(50)) mesh.expert_tensor = one_of<std::int64_t>({1, 2, mesh.tensor});
  return mesh;
}

Strategy CaseSource::strategy(const Model& model) {
  Strategy strategy = framework_defaults(enum_names<FrameworkKind>[random_() % enum_names<FrameworkKind>.size()].value);
  strategy.mesh = mesh(model);
  strategy.micro_batch = one_of<std::int64_t>({1, 2, 3});
  strategy.schedule = enum_names<ScheduleKind>[random_() % enum_names<ScheduleKind>.size()].value;
  const ScheduleRow& row = schedule_row(strategy.schedule);
  strategy.virtual_stages = row.least_chunks;
  if (row.most_chunks != 1 || chance(5)) strategy.virtual_stages = one_of<std::int64_t>({1, 2, 3, 4});
  const bool slices = schedule_row(strategy.schedule).reads == ScheduleInput::slices;
  if (slices || chance(5)) strategy.sequence_slices = one_of<std::int64_t>({1, 2, 3, 4});
  if (chance(15)) strategy.first_stage_layers = one_of<std::int64_t>({1, 2, 3});
  if (chance(15)) strategy.last_stage_layers = one_of<std::int64_t>({1, 2, 3});
  strategy.sequence_parallel = chance(60);
  strategy.context_exchange = enum_names<ContextExchange>[random_() % enum_names<ContextExchange>.size()].value;
  strategy.context_all_to_all_ranks = one_of<std::int64_t>({1, 2, 3});
  strategy.context_balanced = chance(70);
  if (chance(30)) strategy.expert_capacity_factor = one_of<double>({1, 1.25, 2});
  if (chance(30)) strategy.expert_imbalance = 1.3;
  if (chance(20)) strategy.expert_concentration = 2;
  strategy.expert_nodes_per_token = one_of<std::int64_t>({0, 0, 1, 2});
  strategy.overlap_expert = chance(40);
  strategy.sharding = enum_names<Sharding>[random_() % enum_names<Sharding>.size()].value;
  if (chance(50)) strategy.shard_ranks = one_of<std::int64_t>({1, 2, 4});
  strategy.reshard_after_forward = chance(60);
  strategy.recompute = enum_names<Recompute>[random_() % enum_names<Recompute>.size()].value;
  if (chance(30)) strategy.recompute_layers = 1;
  strategy.overlap_gradient_reduce = chance(60);
  strategy.overlap_parameter_gather = chance(60);
  strategy.overlap_pipeline = chance(50);
  if (chance(30)) {
    strategy.offload.optimizer = one_of({OffloadTarget::none, OffloadTarget::host, OffloadTarget::nvme});
    strategy.offload.parameters = one_of({OffloadTarget::none, OffloadTarget::host, OffloadTarget::nvme});
    strategy.offload.activation_layers = one_of<std::int64_t>({0, 1, 2, 3});
  }
  strategy.attention = chance(70) ? AttentionKernel::flash : AttentionKernel::unfused;
  if (chance(15)) {
    strategy.vocabulary_parallel =
        one_of({VocabularyParallel::vocab_1, VocabularyParallel::vocab_2, VocabularyParallel::interlaced});
    strategy.schedule = one_of({ScheduleKind::one_f_one_b, ScheduleKind::v_half, ScheduleKind::v_min});
    strategy.virtual_stages = schedule_row(strategy.schedule).least_chunks;
    strategy.sharding = one_of({Sharding::none, Sharding::zero1});
    strategy.offload = {};
  }
  if (slices && chance(30))
    strategy.slice_lengths = one_of<std::vector<std::int64_t>>({{40, 24}, {100, 28}, {64, 63, 127}});
  if (!strategy.slice_lengths.empty()) strategy.sequence_slices = std::ssize(strategy.slice_lengths);
  if (chance(15)) {
    strategy.tensor_mode = chance(50) ? TensorMode::two_d : TensorMode::two_and_a_half_d;
    strategy.tensor_depth = one_of<std::int64_t>({1, 1, 2});
    strategy.mesh.tensor = one_of<std::int64_t>({1, 4, 8, 9, 16});
    strategy.sequence_parallel = chance(10);
    if (chance(80)) strategy.mesh.context = 1;
    strategy.micro_batch = one_of<std::int64_t>({2, 4, 6});
  }
  if (chance(15)) {
    strategy.mesh.local_groups = one_of<std::int64_t>({1, 2, 3});
    strategy.local_steps.every = one_of<std::int64_t>({1, 10});
    strategy.local_steps.part = one_of({RoundPart::all, RoundPart::all, RoundPart::update, RoundPart::nothing});
    strategy.local_steps.fragments = one_of<std::int64_t>({1, 1, 2, 3});
    strategy.local_steps.pattern = one_of({FragmentPattern::strided, FragmentPattern::sequential});
    strategy.local_steps.delay = one_of<std::int64_t>({0, 0, 1, 9});
    if (chance(50)) strategy.local_steps.optimizer = OuterOptimizer::average;
  }
  if (schedule_row(strategy.schedule).reads == ScheduleInput::groups && chance(40))
    strategy.schedule_group = one_of<std::int64_t>({1, 2, 4, 5});
  strategy.accumulates_unsharded = chance(15);
  return strategy;
}

Case CaseSource::next() {
  Case one;
  one.model = model();
  one.strategy = strategy(one.model);
  const Mesh& mesh = one.strategy.mesh;
  one.workload.sequence_length = one_of<std::int64_t>({64, 128, 254});
  one.workload.global_batch =
      mesh.data * one.strategy.micro_batch *
      (chance(70) ? mesh.pipeline * one_of<std::int64_t>({1, 2, 3}) : one_of<std::int64_t>({1, 2, 3, 4, 5, 6, 7}));
  if (chance(10)) one.workload.global_batch = 1 + static_cast<std::int64_t>(random_() % 50);
  if (chance(30)) one.strategy.recompute_group = one_of<std::int64_t>({2, 3});
  one.placement = {chance(90) ? mesh.ranks() : one_of<std::int64_t>({1, 8, 12, 24, 64}), one_of<std::int64_t>({4, 8})};
  return one;
}

std::string describe(const Case& one) {
  const Strategy& s = one.strategy;
  const Mesh& m = s.mesh;
  return fmt::format(
      "{} layers, {} heads, {} kv heads, {} experts, sequence {}, batch {}; {}: dp {} tp {} pp {} cp {} ep {} etp {} "
      "on {} GPUs, micro-batch {}, {} x {}, first {} last {}, sp {}, {} of {} reshard {}, recompute {} of {} by {}, "
      "overlap "
      "{}{}{}, offload {} {} {}, vocabulary {}, tensor {} x {}, {} local groups every {} fragments {} delay {}, "
      "unsharded {}",
      one.model.layers.size(), one.model.heads, one.model.kv_heads, one.model.experts, one.workload.sequence_length,
      one.workload.global_batch, name_of(s.framework), m.data, m.tensor, m.pipeline, m.context, m.expert,
      m.expert_tensor, one.placement.gpus, s.micro_batch, name_of(s.schedule), s.virtual_stages, s.first_stage_layers,
      s.last_stage_layers, s.sequence_parallel, name_of(s.sharding), s.shard_ranks, reshards_after_forward(s),
      name_of(s.recompute), s.recompute_layers, s.recompute_group, int(s.overlap_gradient_reduce),
      int(s.overlap_parameter_gather), int(s.overlap_pipeline), name_of(s.offload.optimizer),
      name_of(s.offload.parameters), s.offload.activation_layers, name_of(s.vocabulary_parallel),
      name_of(s.tensor_mode), s.tensor_depth, m.local_groups, s.local_steps.every, s.local_steps.fragments,
      s.local_steps.delay, s.accumulates_unsharded);
}

}  // namespace echelon::testing
