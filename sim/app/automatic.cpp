#include "sim/app/automatic.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <map>

#include "sim/app/block_times.h"
#include "sim/app/simulate.h"
#include "sim/interop/pipeline_csv.h"
#include "strategies/pipeline/schedule.h"
#include "strategies/pipeline/slices.h"
#include "strategies/placement/stages.h"

namespace echelon {

namespace {

using Outcome = std::variant<Result, Infeasible>;

bool fits(const Outcome& outcome) {
  const auto* result = std::get_if<Result>(&outcome);
  return result != nullptr && result->memory.fits;
}

// As many layers on each stage as can be, the first ones one more.
std::vector<std::int64_t> even_layers(std::int64_t layers, std::int64_t stages) {
  std::vector<std::int64_t> counts(static_cast<std::size_t>(stages), layers / stages);
  for (std::int64_t stage = 0; stage < layers % stages; ++stage) ++counts[static_cast<std::size_t>(stage)];
  return counts;
}

// What the model's layers and ends cost on ranks of each kind.
std::vector<LayerCosts> layer_costs(const Model& model, const BlockTimes& times) {
  std::vector<LayerCosts> costs;
  for (const std::vector<Seconds>& by_block : times.by_kind) {
    const auto time_of = [&](std::int32_t block) {
      return block < 0 ? 0 : by_block[static_cast<std::size_t>(block)].value();
    };
    LayerCosts& of_kind = costs.emplace_back();
    for (const std::int32_t layer : model.layers) of_kind.layers.push_back(time_of(layer));
    of_kind.first = time_of(model.embedding);
    of_kind.last = time_of(model.head);
  }
  return costs;
}

// By stage. Copies of a stage lie on ranks of one kind.
std::vector<std::int32_t> kinds_of_stages(const Strategy& strategy, const BlockTimes& times) {
  ScheduleShape shape;
  shape.ranks = strategy.mesh.pipeline;
  shape.chunks = strategy.virtual_stages;
  std::vector<std::int32_t> kinds;
  for (std::int64_t stage = 0; stage < stage_count(strategy); ++stage)
    kinds.push_back(times.kind_of[static_cast<std::size_t>(place_of(layout_of(strategy), shape, stage).rank)]);
  return kinds;
}

// What a placement of layers comes to; nothing where simulate() refuses it, which it will say again in its own words.
std::optional<Result> result_with(Scenario scenario, const std::vector<std::int64_t>& counts) {
  scenario.strategy.stage_layers = counts;
  scenario.strategy.planned_times.reset();  // of other stages, or a bound's: one choice whoever asks
  auto outcome = simulate(scenario);
  auto* result = std::get_if<Result>(&outcome);
  return result != nullptr ? std::optional(std::move(*result)) : std::nullopt;
}

// Takes layers from the stages of ranks that lack memory: of each chunk as many as hold what is lacking if its layers
// hold all that the rank fills, which they do not quite. Whether any could go.
bool lower_most(const Strategy& strategy, const MemoryResult& memory, const std::vector<std::int64_t>& counts,
                std::vector<std::int64_t>& most) {
  ScheduleShape shape;
  shape.ranks = strategy.mesh.pipeline;
  shape.chunks = strategy.virtual_stages;
  bool lowered = false;
  for (std::size_t stage = 0; stage < counts.size(); ++stage) {
    const std::int64_t rank = place_of(layout_of(strategy), shape, static_cast<std::int64_t>(stage)).rank;
    const StageMemory& filled = memory.per_stage[static_cast<std::size_t>(rank)];
    if (filled.device <= filled.capacity || counts[stage] <= 1) continue;
    const double lacking = (filled.device - filled.capacity) / filled.device * static_cast<double>(counts[stage]);
    most[stage] =
        std::max<std::int64_t>(1, counts[stage] - std::max<std::int64_t>(1, static_cast<std::int64_t>(lacking)));
    lowered = true;
  }
  return lowered;
}

// The balanced placement, or where it does not fit the most balanced one that does.
std::vector<std::int64_t> balanced_that_fits(const Scenario& scenario, const std::vector<LayerCosts>& costs,
                                             const std::vector<std::int32_t>& kinds) {
  std::vector<std::int64_t> balanced = balanced_layers(costs, kinds);
  std::vector<std::int64_t> most(kinds.size(), std::ssize(scenario.model.layers));
  for (std::vector<std::int64_t> counts = balanced; !counts.empty(); counts = balanced_layers(costs, kinds, most)) {
    const auto result = result_with(scenario, counts);
    if (!result) break;
    if (result->memory.fits) return counts;
    if (!lower_most(scenario.strategy, result->memory, counts, most)) break;
  }
  return balanced;
}

// Whether an iteration with one placement is faster, or fits where the other's does not.
bool beats(const std::optional<Result>& one, const std::optional<Result>& other, bool regards_memory) {
  if (!one || !other) return other.has_value() < one.has_value();
  if (regards_memory && one->memory.fits != other->memory.fits) return one->memory.fits;
  return one->iteration < other->iteration;
}

// By forward and backward time of one layer of each block on the ranks that would hold it, and by memory unless
// `recomputes`: what fits then follows. Sums of layers leave out what a replay does not (messages, hosts that run
// ahead), so that the placement that holds without any balance stays where it is the faster.
std::optional<Infeasible> balance_stages(Decided& decided, bool recomputes) {
  Scenario& scenario = decided.scenario;
  Strategy& strategy = scenario.strategy;
  strategy.balances_stages = false;
  const std::int64_t stages = stage_count(strategy);
  const auto layers = static_cast<std::int64_t>(scenario.model.layers.size());
  if (stages > layers) return std::nullopt;  // which simulate() refuses in its own words
  const bool has_default = !stage_refusal(layers, strategy);
  const std::vector<std::int64_t> even = has_default ? layers_by_stage(layers, strategy) : even_layers(layers, stages);
  strategy.stage_layers = even;
  const auto outcome = block_times(scenario);
  if (const auto* refusal = std::get_if<Infeasible>(&outcome)) return *refusal;
  const auto& times = std::get<BlockTimes>(outcome);
  const std::vector<LayerCosts> costs = layer_costs(scenario.model, times);
  const std::vector<std::int32_t> kinds = kinds_of_stages(strategy, times);
  strategy.stage_layers = recomputes ? balanced_layers(costs, kinds) : balanced_that_fits(scenario, costs, kinds);
  if (strategy.stage_layers != even &&
      beats(result_with(scenario, even), result_with(scenario, strategy.stage_layers), !recomputes))
    strategy.stage_layers = even;
  decided.choices.push_back(
      fmt::format("layers on stages, balanced by predicted time: [{}]", fmt::join(strategy.stage_layers, ", ")));
  return std::nullopt;
}

// Slices whose passes through a stage take alike, by the predicted times of all layers; cut at one of 64 places at
// most.
std::optional<Infeasible> balance_slices(Decided& decided) {
  constexpr std::int64_t most_cuts = 64;
  Scenario& scenario = decided.scenario;
  Strategy& strategy = scenario.strategy;
  strategy.balances_slices = false;
  const std::int64_t length = scenario.workload.sequence_length;
  const std::int64_t grain = (length + most_cuts - 1) / most_cuts;
  const std::int64_t cuts = (length + grain - 1) / grain;
  if (strategy.sequence_slices > cuts)
    return Infeasible{
        fmt::format("sequence_slices cuts sequences of {} at one of {} places, not into {} slices; {} would do", length,
                    cuts, strategy.sequence_slices, cuts)};
  strategy.slice_lengths.assign(static_cast<std::size_t>(strategy.sequence_slices), 1);
  strategy.slice_lengths.back() += length - strategy.sequence_slices;
  const auto at = [&](std::int64_t cut) { return std::min(length, cut * grain); };
  std::vector<SequencePart> parts;
  std::map<std::pair<std::int64_t, std::int64_t>, std::size_t> index;  // by begin and length
  for (std::int64_t from = 0; from < cuts; ++from)
    for (std::int64_t to = from + 1; to <= cuts; ++to) {
      index[{at(from), at(to) - at(from)}] = parts.size();
      parts.push_back({static_cast<double>(at(from)) / static_cast<double>(length),
                       static_cast<double>(at(to) - at(from)) / static_cast<double>(length)});
    }
  const auto times = part_times(scenario, parts);
  if (const auto* refusal = std::get_if<Infeasible>(&times)) return *refusal;
  strategy.slice_lengths = balanced_slices(
      length, strategy.sequence_slices, grain, strategy.mesh.pipeline, [&](std::int64_t begin, std::int64_t tokens) {
        return std::get<std::vector<Seconds>>(times)[index.at({begin, tokens})].value();
      });
  decided.choices.push_back(
      fmt::format("slices of a sequence, balanced by predicted time: [{}]", fmt::join(strategy.slice_lengths, ", ")));
  return std::nullopt;
}

// Weights of the products of one block: what nanotron's get_block_compute_costs counts.
double product_weights(const Model& model, std::int32_t block) {
  double sum = 0;
  const OperatorGraph& graph = model.blocks[static_cast<std::size_t>(block)].graph;
  for (const auto vertex : boost::make_iterator_range(vertices(graph)))
    if (graph[vertex].kind == OperatorKind::linear) sum += graph[vertex].in_features * graph[vertex].out_features;
  return sum;
}

bool leaves_thresholds(const Strategy& strategy) {
  return strategy.thresholds_stages && strategy.mesh.pipeline > 1 && strategy.virtual_stages == 1 &&
         strategy.stage_layers.empty() && strategy.rank_layers.empty() && strategy.first_stage_layers == 0 &&
         strategy.last_stage_layers == 0;
}

void threshold_stages(Decided& decided) {
  const Model& model = decided.scenario.model;
  Strategy& strategy = decided.scenario.strategy;
  strategy.thresholds_stages = false;
  std::vector<double> costs;
  for (const std::int32_t layer : model.layers) costs.push_back(product_weights(model, layer));
  const std::int64_t stages = stage_count(strategy);
  if (stages > std::ssize(costs)) return;  // which simulate() refuses in its own words
  strategy.stage_layers = layers_by_thresholds(costs, product_weights(model, model.head), stages);
  decided.choices.push_back(
      fmt::format("layers on stages, by nanotron's thresholds: [{}]", fmt::join(strategy.stage_layers, ", ")));
}

// The fewest recomputed layers of each chunk that fit; more never need more memory.
std::int64_t fewest_layers(Scenario scenario) {
  const auto& counts = layers_by_stage(static_cast<std::int64_t>(scenario.model.layers.size()), scenario.strategy);
  std::int64_t low = 0;  // does not fit
  std::int64_t high = *std::max_element(counts.begin(), counts.end());
  while (high - low > 1) {
    scenario.strategy.recompute_layers = (low + high) / 2;
    (fits(simulate(scenario)) ? high : low) = scenario.strategy.recompute_layers;
  }
  return high;
}

struct RecomputeChoice {
  Recompute kind;
  RerunList list;
};

// In the order of what they cost: nothing, kernels that only move memory (Megatron-Core's recompute modules layernorm
// and moe_act), latent attention's up-projections beside them, the attention core, whole layers.
std::vector<RecomputeChoice> recompute_choices(const Model& model) {
  const RerunList pointwise{{OperatorKind::norm, OperatorKind::activation}, {}};
  std::vector<RecomputeChoice> choices{{Recompute::none, {}}, {Recompute::operators, pointwise}};
  if (has_part(model, RecomputeModule::mla_up_proj))
    choices.push_back({Recompute::operators, {pointwise.kinds, {RecomputeModule::mla_up_proj}}});
  choices.push_back({Recompute::selective, {}});
  choices.push_back({Recompute::full, {}});
  return choices;
}

std::string extent_of(const Strategy& strategy) {
  if (strategy.recompute == Recompute::full)
    return fmt::format(" of {} layers of each chunk", strategy.recompute_layers);
  std::vector<std::string_view> names;
  for (const OperatorKind kind : strategy.recompute_operators.kinds) names.push_back(name_of(kind));
  for (const RecomputeModule module : strategy.recompute_operators.modules) names.push_back(name_of(module));
  return names.empty() ? "" : fmt::format(" {}", fmt::join(names, " and "));
}

std::optional<Infeasible> recompute_least(Decided& decided) {
  Strategy& strategy = decided.scenario.strategy;
  strategy.recompute_least = false;
  strategy.recompute_layers = 0;
  for (const RecomputeChoice& choice : recompute_choices(decided.scenario.model)) {
    strategy.recompute = choice.kind;
    strategy.recompute_operators = choice.list;
    const Outcome outcome = simulate(decided.scenario);
    if (const auto* refusal = std::get_if<Infeasible>(&outcome)) return *refusal;
    if (!fits(outcome)) continue;
    if (choice.kind == Recompute::full) strategy.recompute_layers = fewest_layers(decided.scenario);
    decided.choices.push_back(
        fmt::format("recompute {}{}, the least that fits", name_of(choice.kind), extent_of(strategy)));
    return std::nullopt;
  }
  decided.choices.emplace_back("recompute full, and still too little memory");
  return std::nullopt;
}

bool leaves_schedule(const Strategy& strategy) {
  return !strategy.schedule_file.empty() && !strategy.given_schedule;
}

void read_schedule(Decided& decided) {
  Strategy& strategy = decided.scenario.strategy;
  Schedule schedule = read_pipeline_csv(strategy.schedule_file);
  strategy.virtual_stages = schedule.shape.chunks;
  strategy.sequence_slices = schedule.shape.slices;
  strategy.given_schedule = std::make_shared<const Schedule>(std::move(schedule));
}

// The zero-bubble heuristics plan by profiled times (arXiv:2401.10241, section 3.1), as a searched schedule must.
bool leaves_times(const Strategy& strategy) {
  const ScheduleInput reads = schedule_row(strategy.schedule).reads;
  const bool plans = reads == ScheduleInput::times || reads == ScheduleInput::limit;
  return plans && strategy.mesh.pipeline > 1 && !strategy.given_schedule && !strategy.planned_times;
}

std::optional<Infeasible> predict_times(Decided& decided) {
  Strategy& strategy = decided.scenario.strategy;
  strategy.planned_times.emplace();
  if (decided.scenario.machines() > 1 || !strategy.mesh.stage_tensor.empty()) return std::nullopt;
  auto times = pass_times(decided.scenario);
  if (const auto* refusal = std::get_if<Infeasible>(&times)) return *refusal;
  strategy.planned_times = std::get<PlannedTimes>(std::move(times));
  return std::nullopt;
}

}  // namespace

bool leaves_open(const Strategy& strategy) {
  return leaves_schedule(strategy) || strategy.balances_stages || strategy.balances_slices ||
         strategy.recompute_least || leaves_thresholds(strategy) || leaves_times(strategy);
}

std::variant<Decided, Infeasible> decide(const Scenario& scenario) {
  Decided decided{scenario, {}};
  Strategy& strategy = decided.scenario.strategy;
  if (leaves_schedule(strategy)) read_schedule(decided);
  const bool recomputes = strategy.recompute_least;
  strategy.recompute_least = false;
  if (strategy.balances_stages)
    if (auto refusal = balance_stages(decided, recomputes)) return *refusal;
  if (leaves_thresholds(strategy)) threshold_stages(decided);
  if (strategy.balances_slices)
    if (auto refusal = balance_slices(decided)) return *refusal;
  if (leaves_times(strategy))
    if (auto refusal = predict_times(decided)) return *refusal;
  if (recomputes)
    if (auto refusal = recompute_least(decided)) return *refusal;
  return decided;
}

}  // namespace echelon
