#include <algorithm>
#include <cmath>
#include <iterator>
#include <random>
#include <vector>

#include "strategies/intra/intra.h"
#include "strategies/mesh.h"

namespace echelon {

namespace {

const Operator* routed_operator(const Step& step) {
  const Operator* op = std::get_if<Operator>(&step);
  return op != nullptr && op->routed ? op : nullptr;
}

Communication all_to_all(const Strategy& strategy, double row_share, double width, double busiest) {
  Communication exchange;
  exchange.axis = Axis::expert;
  exchange.forward = CollectiveKind::all_to_all;
  exchange.backward = CollectiveKind::all_to_all;
  exchange.row_share = row_share;
  exchange.width = width;
  exchange.busiest = busiest;
  if (strategy.overlap_expert) exchange.hiding = Hiding::micro_batch;
  return exchange;
}

// The way to the experts, or back: one all-to-all, or one across nodes and one inside them. `entry`: the first of the
// experts' operators, which works on the rows of all ranks that share an expert, where each of them sends its own
// (Megatron-Core token_dispatcher.py gathers behind the all-to-all); `experts`: of all ranks.
std::vector<Step> exchanges(const Strategy& strategy, const Operator& entry, std::int64_t experts) {
  const std::int64_t sharers = strategy.sequence_parallel ? expert_tensor_degree(strategy.mesh) : 1;
  const double rows = entry.row_share / static_cast<double>(sharers);
  Communication inside = all_to_all(strategy, rows, entry.in_features, entry.busiest);
  const bool once = strategy.expert_dispatch == ExpertDispatch::deduplicated;
  if (strategy.expert_nodes_per_token == 0 && !once) return {inside};
  Communication across = inside;
  across.part = GroupPart::across_nodes;
  inside.part = GroupPart::inside_node;
  const auto most_nodes = static_cast<double>(strategy.expert_nodes_per_token);
  if (once) {
    across.once = {entry.copies, static_cast<double>(experts), most_nodes};
    inside.once = {entry.copies, static_cast<double>(experts), 0};
  } else {
    across.row_share *= std::min(entry.copies, most_nodes) / entry.copies;
  }
  return {across, inside};
}

// Uniform above 0 and below 1.
double positive(std::mt19937_64& random) {
  std::uniform_real_distribution<double> uniform;
  double drawn = 0;
  while (drawn == 0) drawn = uniform(random);
  return drawn;
}

// Shares of the tokens of each expert, drawn of a symmetric Dirichlet distribution: gamma variates over their sum.
// Those of a parameter a < 1 are too small for a double: they are made from those of a + 1 (Marsaglia and Tsang 2000,
// section 6: times u^(1/a), u uniform) and stay logarithms until the largest is 1.
std::vector<double> drawn_shares(std::int64_t experts, double concentration, std::int64_t seed) {
  constexpr double least = 1e-100;  // all tokens on one expert long before
  const double parameter = std::max(concentration, least);
  const bool raised = parameter < 1;
  std::mt19937_64 random(static_cast<std::uint64_t>(seed));
  std::gamma_distribution<double> gamma(raised ? parameter + 1 : parameter, 1);
  std::vector<double> shares(static_cast<std::size_t>(experts));
  for (double& share : shares) {
    share = std::log(gamma(random));
    if (raised) share += std::log(positive(random)) / parameter;
  }
  const double most = *std::max_element(shares.begin(), shares.end());
  double sum = 0;
  for (double& share : shares) sum += share = std::exp(share - most);
  for (double& share : shares) share /= sum;
  return shares;
}

// Tokens of the busiest of `ranks` over the mean.
double drawn_imbalance(const std::vector<double>& shares, std::int64_t ranks) {
  const auto experts = std::ssize(shares);
  std::vector<double> load(static_cast<std::size_t>(ranks), 0);
  for (std::int64_t expert = 0; expert < experts; ++expert)
    load[static_cast<std::size_t>(expert * ranks / experts)] += shares[static_cast<std::size_t>(expert)];
  return *std::max_element(load.begin(), load.end()) * static_cast<double>(ranks);
}

Permuter permuter_of(const Strategy& strategy, std::int64_t experts) {
  if (strategy.mesh.expert <= 1) return Permuter::kernel;
  if (strategy.expert_dispatch == ExpertDispatch::deduplicated) return Permuter::exchange;
  return experts > strategy.mesh.expert ? Permuter::kernel_and_sort : Permuter::kernel;
}

}  // namespace

double expert_imbalance(const Strategy& strategy, std::int64_t experts) {
  if (strategy.mesh.expert <= 1 || strategy.expert_capacity_factor > 0) return 1;
  if (strategy.expert_concentration <= 0)  // no rank can have more than all
    return std::min(strategy.expert_imbalance, static_cast<double>(strategy.mesh.expert));
  return drawn_imbalance(drawn_shares(experts, strategy.expert_concentration, strategy.expert_seed),
                         strategy.mesh.expert);
}

double kept_copies(const Strategy& strategy, std::int64_t experts) {
  const double capacity = strategy.expert_capacity_factor;
  if (capacity <= 0 || experts <= 0) return 1;
  if (strategy.expert_concentration <= 0) {
    const auto ranks = static_cast<double>(strategy.mesh.expert);
    const double busiest = std::min(strategy.expert_imbalance, ranks);
    const double others = ranks > 1 ? (ranks - busiest) / (ranks - 1) : 1;
    return (std::min(busiest, capacity) + std::min(others, capacity) * (ranks - 1)) / ranks;
  }
  const double room = capacity / static_cast<double>(experts);
  double kept = 0;
  for (const double share : drawn_shares(experts, strategy.expert_concentration, strategy.expert_seed))
    kept += std::min(share, room);
  return kept;
}

bool waits_for_token_counts(const Strategy& strategy) {
  return strategy.expert_capacity_factor <= 0 && strategy.cuda_graphs != CudaGraphs::iteration &&
         !(strategy.overlap_expert && strategy.mesh.expert > 1);
}

void expert_parallel(LayerProgram& program, const Strategy& strategy) {
  const auto is_routed = [](const Step& step) { return routed_operator(step) != nullptr; };
  const auto first = std::find_if(program.steps.begin(), program.steps.end(), is_routed);
  if (first == program.steps.end()) return;
  const auto last = std::find_if(program.steps.rbegin(), program.steps.rend(), is_routed).base();
  const std::int64_t degree = strategy.mesh.expert;
  const double capacity = strategy.expert_capacity_factor > 0 ? strategy.expert_capacity_factor : 1;
  const std::int64_t experts = routed_operator(*first)->experts;
  const double busiest = expert_imbalance(strategy, experts);
  for (Step& step : program.steps)
    if (Operator* op = std::get_if<Operator>(&step); op != nullptr && op->kind == OperatorKind::permute)
      op->permuter = permuter_of(strategy, experts);
  for (auto step = first; step != last; ++step) {
    Operator* op = std::get_if<Operator>(&*step);
    if (op == nullptr || !op->routed) continue;
    op->experts = std::max<std::int64_t>(1, op->experts / degree);
    op->parameters /= static_cast<double>(degree);
    op->row_share *= capacity;
    op->busiest = busiest;
  }
  if (degree <= 1) return;
  const auto there = exchanges(strategy, *routed_operator(*first), experts);
  // Around what the ranks that share an expert gather and scatter.
  const auto is_operator = [](const Step& step) { return std::holds_alternative<Operator>(step); };
  const auto begin = std::find_if(std::make_reverse_iterator(first), program.steps.rend(), is_operator).base();
  const auto end = std::find_if(last, program.steps.end(), is_operator);
  const auto position = begin - program.steps.begin();
  program.steps.insert(end, there.rbegin(), there.rend());
  program.steps.insert(program.steps.begin() + position, there.begin(), there.end());
}

}  // namespace echelon
