#include "strategies/lowering/stage_share.h"

#include <algorithm>

#include "strategies/intra/intra.h"
#include "strategies/lowering/rank_kinds.h"
#include "strategies/mesh.h"
#include "strategies/pipeline/vocabulary.h"
#include "strategies/placement/stages.h"

namespace echelon {

namespace {

void count_parameters(const LayerProgram& program, BlockFacts& facts) {
  for (const Step& step : program.steps) {
    const Operator* op = std::get_if<Operator>(&step);
    if (op == nullptr) continue;
    if (op->parameters > 0) facts.add({op->parameters, op->routed});
  }
}

double table_elements(const LayerProgram& embedding) {
  for (const Step& step : embedding.steps)
    if (const Operator* op = std::get_if<Operator>(&step); op != nullptr && op->kind == OperatorKind::embedding)
      return op->parameters;
  return 0;
}

bool divides_vocabulary(const Strategy& strategy) {
  return strategy.vocabulary_parallel != VocabularyParallel::none;
}

// Forward FLOPs of one layer of the block on one rank.
double forward_flops(const LayerProgram& program, const Lowering& described) {
  double sum = 0;
  for (const Step& step : program.steps)
    if (const Operator* op = std::get_if<Operator>(&step); op != nullptr)
      sum += executed_flops(*op, described.tokens, described.sequence, described.execution.attention).forward.value();
  return sum;
}

}  // namespace

void BlockFacts::add(const ParameterTensor& tensor) {
  (tensor.routed ? routed : dense) += tensor.elements;
  tensors.push_back(tensor);
}

Lowering describe_ranks(const LoweringInput& input) {
  const Strategy& strategy = input.strategy;
  const Mesh& mesh = strategy.mesh;
  const Precision& precision = input.workload.precision;
  Lowering lowering;
  describe_kinds(mesh, input.placement, lowering);
  Execution& execution = lowering.execution;
  execution.style = strategy.kernels;
  execution.attention = strategy.attention;
  execution.dropout = strategy.dropout;
  execution.fused_activation = strategy.fused_activation;
  execution.fused_experts = strategy.fused_experts;
  execution.repeats_kv_heads = strategy.repeats_kv_heads;
  execution.metric_losses = static_cast<double>(strategy.metric_losses);
  execution.activation_element = element_size(precision.compute);
  execution.linear_input_element = std::min(execution.activation_element, element_size(precision.matrix));
  lowering.sequence = static_cast<double>(input.workload.sequence_length);
  lowering.sequences = static_cast<double>(strategy.micro_batch);
  lowering.tokens = lowering.sequences * lowering.sequence / static_cast<double>(mesh.context);
  lowering.micro_batches = input.workload.global_batch / mesh.data / strategy.micro_batch;
  for (const RankKind& kind : lowering.kinds) {
    const Strategy local = strategy_of_stage(strategy, kind.program);
    for (const Block& block : input.model.blocks) {
      lowering.blocks.push_back(local_program(block, local));
      if (block.role == BlockRole::head) lowering.blocks.back().kernels = strategy.loss_kernels;
    }
  }
  if (divides_vocabulary(strategy))
    for (const std::int32_t whole : {input.model.head, input.model.embedding})
      for (std::size_t kind = lowering.kinds.size(); kind-- > 0;) {  // alike but for their places: one share for all
        LayerProgram& program = lowering.blocks[kind * input.model.blocks.size() + static_cast<std::size_t>(whole)];
        LayerProgram share = take_vocabulary_share(program, mesh.pipeline);
        if (kind == 0) lowering.blocks.push_back(std::move(share));
      }
  return lowering;
}

StageShare::StageShare(const LoweringInput& input, const Lowering& described)
    : input_(input), kind_of_(described.kind_of) {
  lay_stages(described);
  describe_blocks(described);
  group_recomputed();
  schedule_ = scheduled(described);
  copy_tied_table(described);
}

Schedule StageShare::scheduled(const Lowering& described) const {
  const Strategy& strategy = input_.strategy;
  if (strategy.given_schedule) return *strategy.given_schedule;
  ScheduleShape shape;
  shape.ranks = strategy.mesh.pipeline;
  shape.micro_batches = described.micro_batches;
  shape.chunks = strategy.virtual_stages;
  shape.slices = strategy.sequence_slices;
  shape.group = strategy.schedule_group;
  ScheduleCosts costs;
  costs.stages = stage_costs(described);
  if (strategy.planned_times) costs.communication = strategy.planned_times->message;
  costs.weight_share = weight_share();
  costs.keeps_layout = described.kinds.size() > 1;
  costs.memory_limit =
      strategy.schedule_activations > 0 ? strategy.schedule_activations : static_cast<double>(strategy.mesh.pipeline);
  if (!divides_vocabulary(strategy)) return build_schedule(strategy.schedule, shape, costs);
  const double output = forward_flops(described.blocks[described.blocks.size() - 2], described);
  costs.output = {output, output, output};
  return build_vocabulary_schedule(strategy.vocabulary_parallel, strategy.schedule, shape, costs);
}

// By FLOPs, each gradient costs what the forward pass does. Recomputed layers cost their forward pass once more.
std::vector<StageCost> StageShare::stage_costs(const Lowering& described) const {
  const Strategy& strategy = input_.strategy;
  std::vector<StageCost> by_block;
  if (strategy.planned_times) by_block = strategy.planned_times->blocks;
  if (by_block.empty())
    for (const LayerProgram& program : described.blocks) {
      const double flops = forward_flops(program, described);
      by_block.push_back({flops, flops, flops});
    }
  std::vector<StageCost> costs;
  for (const auto& units : stages_) {
    StageCost cost{0, 0, 0};
    for (const StageUnit& unit : units) {
      const StageCost& layer = by_block[static_cast<std::size_t>(unit.block)];
      cost.forward += layer.forward;
      cost.input += layer.input;
      if (unit.recomputed && strategy.recompute == Recompute::full) cost.input += layer.forward;
      cost.weight += layer.weight;
    }
    costs.push_back(cost);
  }
  return costs;
}

// Of the activations of all layers of a micro-batch.
double StageShare::weight_share() const {
  Bytes kept;
  Bytes for_weights;
  for (const std::int32_t layer : input_.model.layers) {
    const BlockMemory& memory = facts_[static_cast<std::size_t>(layer)].memory;
    kept += memory.kept;
    for_weights += memory.kept_for_weights;
  }
  return kept > for_weights ? for_weights / kept : 1;
}

void StageShare::describe_blocks(const Lowering& described) {
  const std::size_t blocks = input_.model.blocks.size();
  const std::size_t whole = described.kinds.size() * blocks;  // then the shares of a divided vocabulary
  Strategy strategy;
  for (std::size_t i = 0; i < described.blocks.size(); ++i) {
    if (i < whole && i % blocks == 0)
      strategy = strategy_of_stage(input_.strategy, described.kinds[i / blocks].program);
    const BlockRole role = i < whole    ? input_.model.blocks[model_block(i)].role
                           : i == whole ? BlockRole::head
                                        : BlockRole::embedding;
    Execution execution = described.execution;
    execution.style = described.blocks[i].kernels.value_or(execution.style);
    const auto memory = [&](Recompute recompute) {
      return block_memory(described.blocks[i], role, strategy, recompute, execution, described.tokens,
                          described.sequence);
    };
    BlockFacts facts;
    count_parameters(described.blocks[i], facts);
    facts.memory = memory(strategy.recompute);
    facts.memory_without = memory(Recompute::none);
    facts_.push_back(facts);
  }
}

// Where the ends divide the table by different degrees, the larger part of it passes between them.
void StageShare::copy_tied_table(const Lowering& described) {
  if (!holds_table_twice()) return;
  if (input_.model.graph) copy_shared_table(*input_.model.graph);
  if (!input_.model.tied_embeddings) return;
  const std::size_t blocks = input_.model.blocks.size();
  std::vector<double> tables;
  for (std::size_t kind = 0; kind < described.kinds.size(); ++kind) {
    tables.push_back(
        table_elements(described.blocks[kind * blocks + static_cast<std::size_t>(input_.model.embedding)]));
    facts_[kind * blocks + static_cast<std::size_t>(input_.model.head)].add({tables.back()});
  }
  const auto table = [&](std::size_t rank) { return tables[static_cast<std::size_t>(kind_of_[rank])]; };
  tied_table_ = std::max(table(first_rank()), table(last_rank()));
}

// At most one table is needed on two ranks: check_graph_tables() sees to it.
void StageShare::copy_shared_table(const GraphFacts& graph) {
  for (const SharedTable& table : graph.shared) {
    if (rank_of_layer(table.owner_layer) == rank_of_layer(table.user_layer)) continue;
    const std::size_t blocks = input_.model.blocks.size();
    for (auto block = static_cast<std::size_t>(input_.model.layers[table.user_layer]); block < facts_.size();
         block += blocks)
      facts_[block].add({table.elements});
    tied_table_ = table.elements;
  }
}

std::size_t StageShare::rank_of_layer(std::size_t layer) const {
  std::size_t stage = 0;
  const auto holds = [&](const StageUnit& unit) { return unit.layer == static_cast<std::int64_t>(layer); };
  while (std::none_of(stages_[stage].begin(), stages_[stage].end(), holds)) ++stage;
  return rank_of(stage);
}

// The last stage of a pipeline needs a table of its own for a tied output projection, unless it lies on the first one's
// rank, as in a V and in pipelines from both ends, or every rank has its share of both.
bool StageShare::holds_table_twice() const {
  return schedule_.layout != StageLayout::bidirectional && first_rank() != last_rank() &&
         !divides_vocabulary(input_.strategy);
}

std::size_t StageShare::first_rank() const {
  std::size_t stage = 0;
  while (!is_first(stage)) ++stage;
  return rank_of(stage);
}

std::size_t StageShare::last_rank() const {
  std::size_t stage = stage_count() - 1;
  while (!is_last(stage)) --stage;
  return rank_of(stage);
}

// Schedules with copies of the model on unlike ranks are refused: of the others every stage lies on one rank.
std::int32_t StageShare::kind_of_stage(const Lowering& described, std::int64_t stage) const {
  ScheduleShape shape;
  shape.ranks = input_.strategy.mesh.pipeline;
  shape.chunks = input_.strategy.virtual_stages;
  return described.kind_of[static_cast<std::size_t>(place_of(layout_of(input_.strategy), shape, stage).rank)];
}

void StageShare::lay_stages(const Lowering& described) {
  const Strategy& strategy = input_.strategy;
  const auto counts = layers_by_stage(static_cast<std::int64_t>(input_.model.layers.size()), strategy);
  // The ends of the model lie on the ends of the layout, but for listed layers on the first and the last that has any.
  std::size_t first = 0;
  std::size_t last = counts.size() - 1;
  while (!strategy.rank_layers.empty() && counts[first] == 0) ++first;
  while (!strategy.rank_layers.empty() && counts[last] == 0) --last;
  std::size_t next = 0;
  for (std::size_t stage = 0; stage < counts.size(); ++stage) {
    std::vector<StageUnit> units;
    const auto block_of = [&, offset = kind_of_stage(described, static_cast<std::int64_t>(stage)) *
                                       static_cast<std::int32_t>(input_.model.blocks.size())](std::int32_t block) {
      return offset + block;
    };
    if (stage == first && input_.model.embedding >= 0)
      units.push_back({block_of(input_.model.embedding), false, false, 0});
    for (std::int64_t i = 0; i < counts[stage]; ++i) {
      const bool again =
          strategy.recompute != Recompute::none && (strategy.recompute_layers == 0 || i < strategy.recompute_layers);
      units.push_back({block_of(input_.model.layers[next]), again, i < strategy.offload.activation_layers,
                       static_cast<std::int64_t>(next)});
      ++next;
    }
    if (stage == last && input_.model.head >= 0)
      units.push_back({block_of(input_.model.head), false, false, std::ssize(input_.model.layers) - 1});
    handed_on_.push_back(echelon::handed_on(input_.model, next > 0 ? next - 1 : 0));
    stages_.push_back(std::move(units));
  }
}

// Of layers that run again together the first keeps its input. Backward passes go from the last to the first: each
// holds what all before it have made again.
void StageShare::group_recomputed() {
  if (input_.strategy.recompute != Recompute::full || input_.strategy.recompute_group == 1) return;
  for (auto& units : stages_) {
    std::int64_t place = 0;
    Bytes made;
    for (StageUnit& unit : units) {
      if (!unit.recomputed) continue;
      if (place++ % input_.strategy.recompute_group == 0) {
        made = Bytes(0);
      } else {
        unit.follower = static_cast<std::int32_t>(followers_.size());
        BlockMemory& memory = followers_.emplace_back(facts(unit).memory);
        memory.kept = Bytes(0);
        memory.backward_extra += made;
      }
      made += facts(unit).memory_without.kept;
    }
  }
}

std::size_t StageShare::stage_count() const {
  return static_cast<std::size_t>(schedule_.shape.ranks * schedule_.shape.chunks);
}

std::size_t StageShare::stage_of(std::size_t rank, std::int32_t chunk) const {
  return static_cast<std::size_t>(
      echelon::stage_of(schedule_.layout, schedule_.shape, static_cast<std::int64_t>(rank), chunk));
}

std::size_t StageShare::rank_of(std::size_t stage) const {
  return static_cast<std::size_t>(place_of(schedule_.layout, schedule_.shape, static_cast<std::int64_t>(stage)).rank);
}

bool StageShare::is_first(std::size_t stage) const {
  while (!is_first_stage(schedule_.layout, schedule_.shape, static_cast<std::int64_t>(stage)))
    if (!is_empty(--stage)) return false;
  return true;
}

bool StageShare::is_last(std::size_t stage) const {
  while (!is_last_stage(schedule_.layout, schedule_.shape, static_cast<std::int64_t>(stage)))
    if (!is_empty(++stage)) return false;
  return true;
}

std::size_t StageShare::before(std::size_t stage) const {
  do --stage;
  while (is_empty(stage));
  return stage;
}

std::size_t StageShare::after(std::size_t stage) const {
  do ++stage;
  while (is_empty(stage));
  return stage;
}

const BlockMemory& StageShare::memory(const StageUnit& unit) const {
  if (unit.follower >= 0) return followers_[static_cast<std::size_t>(unit.follower)];
  return unit.recomputed ? facts(unit).memory : facts(unit).memory_without;
}

bool StageShare::is_root(const StageUnit& unit) const {
  return input_.model.blocks[model_block(static_cast<std::size_t>(unit.block))].role != BlockRole::layer;
}

StageState StageShare::stage_state(std::size_t stage) const {
  StageState state;
  state.kind = kind_of_[rank_of(stage)];
  for (const StageUnit& unit : units(stage)) {
    state.dense += facts(unit).dense;
    state.routed += facts(unit).routed;
    state.tensors += static_cast<double>(facts(unit).tensors.size());
  }
  return state;
}

HeldBuffers StageShare::held(std::size_t rank) const {
  HeldBuffers most;
  for (std::int32_t chunk = 0; chunk < input_.strategy.virtual_stages; ++chunk) {
    HeldBuffers sum;
    for (const StageUnit& unit : units(stage_of(rank, chunk))) {
      sum.forward += memory(unit).held;
      sum.backward += memory(unit).held_backward;
    }
    if (sum.forward > most.forward) most = sum;
  }
  return most;
}

Bytes StageShare::largest(std::size_t rank, Bytes BlockMemory::*part) const {
  Bytes most;
  for (std::int32_t chunk = 0; chunk < input_.strategy.virtual_stages; ++chunk)
    for (const StageUnit& unit : units(stage_of(rank, chunk))) most = std::max(most, memory(unit).*part);
  return most;
}

template <class Counts>
StageState StageShare::sum_units(std::size_t rank, const Counts& counts) const {
  StageState state;
  state.kind = kind_of_[rank];
  const auto add = [&](const StageUnit& unit) {
    if (!counts(unit)) return;
    state.dense += facts(unit).dense;
    state.routed += facts(unit).routed;
    state.tensors += static_cast<double>(facts(unit).tensors.size());
  };
  for (std::int32_t chunk = 0; chunk < input_.strategy.virtual_stages; ++chunk)
    for (const StageUnit& unit : units(stage_of(rank, chunk))) add(unit);
  if (!divides_vocabulary(input_.strategy)) return state;
  add(output_share());
  add(embedding_share());
  return state;
}

StageState StageShare::rank_state(std::size_t rank) const {
  return sum_units(rank, [](const StageUnit&) { return true; });
}

StageState StageShare::fragment_state(std::size_t rank, std::int64_t fragment) const {
  const auto layers = std::ssize(input_.model.layers);
  return sum_units(rank, [&](const StageUnit& unit) {
    return fragment_of(input_.strategy.local_steps, unit.layer, layers) == fragment;
  });
}

}  // namespace echelon
