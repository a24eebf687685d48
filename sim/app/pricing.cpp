#include "sim/app/pricing.h"

#include <algorithm>

#include "sim/app/host_cost.h"
#include "sim/app/offload_check.h"
#include "strategies/intra/intra.h"
#include "strategies/state.h"

namespace echelon {

namespace {

// Bytes moved for each weight element and micro-batch around FSDP's collectives, on the compute stream. FSDP1 joins the
// gradients of its flat parameter's views and casts them where the reduction is wider; FSDP2 copies each gathered
// parameter out of the gather's buffer and its gradient into the reduction's (PyTorch _fsdp_collectives.py).
Bytes sharding_copies(const Scenario& scenario) {
  const Bytes compute = element_size(scenario.workload.precision.compute);
  const Bytes reduced = element_size(scenario.workload.precision.gradient_reduce);
  if (!scenario.strategy.per_parameter_sharding)
    return compute * 2 + (reduced > compute ? compute + reduced : Bytes(0));
  const bool once = !reshards_after_forward(scenario.strategy) || scenario.strategy.sharding == Sharding::zero2;
  const double gathers = once ? 1 : 2;
  return compute * (2 * gathers) + compute + reduced;
}

bool frees_gradients(const Strategy& strategy) {
  const Sharding sharding = state_sharding(strategy);
  return (sharding == Sharding::zero3 || sharding == Sharding::hybrid) && strategy.mesh.pipeline == 1;
}

// Bytes that a kernel of its own moves for each element of a weight to add a micro-batch's gradient to its buffer: it
// reads the product's result and the buffer and writes the buffer. FSDP reduces and frees gradients each micro-batch.
Bytes accumulation_bytes(const Scenario& scenario) {
  const Strategy& strategy = scenario.strategy;
  if (frees_gradients(strategy)) {
    // Unreduced gradients are added to a buffer in the format of the reduction (PyTorch _fsdp_param.py,
    // accumulate_unsharded_grad_if_needed).
    const Bytes reduced = element_size(scenario.workload.precision.gradient_reduce);
    return sharding_copies(scenario) + (strategy.accumulates_unsharded ? reduced * 2 : Bytes(0));
  }
  return state_bytes(scenario.workload).gradient * 2 + element_size(scenario.workload.precision.compute);
}

// Fused products accumulate into the buffer in place (apex wgrad_gemm_accum_fp32 and _fp16).
bool accumulates_in_products(const Scenario& scenario) {
  if (frees_gradients(scenario.strategy)) return false;
  const GradientFusion fusion = scenario.strategy.fused_gradient_accumulation;
  return fusion == GradientFusion::any ||
         (fusion == GradientFusion::fp32 && state_bytes(scenario.workload).gradient >= Bytes(4));
}

// Where counts of tokens are whatever the router made them. What DeepEP and HybridEP do was not found out; none is
// counted for them.
bool pads_experts(const Strategy& strategy) {
  return strategy.kernels == KernelStyle::transformer_engine && strategy.expert_capacity_factor <= 0 &&
         strategy.expert_dispatch == ExpertDispatch::all_to_all && !strategy.fused_experts;
}

CostContext cost_context(const Scenario& scenario, const Lowering& lowering, const RankKind& kind,
                         const Profile& machine) {
  CostContext context;
  context.device = &machine.device;
  context.network = &machine.network;
  context.node_host = &machine.host;
  context.host_sharers = host_sharers(scenario);
  context.blocks = &lowering.blocks;
  context.groups = kind.groups;
  context.execution = lowering.execution;
  context.precision = scenario.workload.precision;
  context.host = host_cost(scenario);
  context.graphs = scenario.strategy.cuda_graphs;
  context.tokens = lowering.tokens;
  context.sequence = lowering.sequence;
  context.sequences = lowering.sequences;
  context.tensor_overlap_share = scenario.strategy.overlap_tensor_share;
  context.reorders_sequence_shards = scenario.strategy.reorders_sequence_shards && scenario.strategy.micro_batch > 1;
  context.recomputed = scenario.strategy.recompute_operators;
  context.accumulation = accumulation_bytes(scenario);
  context.fused_accumulation = accumulates_in_products(scenario);
  context.pads_experts = pads_experts(scenario.strategy);
  context.waits_for_counts = waits_for_token_counts(scenario.strategy);
  // Transformer Engine quantises weights for the first micro-batch and keeps them for the others (its modules'
  // is_first_microbatch, which Megatron-Core sets).
  if (scenario.strategy.kernels == KernelStyle::transformer_engine)
    context.weight_cast_share = 1 / static_cast<double>(std::max<std::int64_t>(1, scenario.micro_batches()));
  return context;
}

// What of a work's time is not left to flows inside its layers, and of what.
WorkShare share_of(const Price& price) {
  WorkShare share{price.compute, price.recompute, price.exposed, price.host_copy, {}};
  for (const LayerTraffic& sent : price.traffic) {
    share.exposed[static_cast<std::size_t>(sent.axis)] -= sent.exposed;
    share.sent[static_cast<std::size_t>(sent.axis)] += sent.transfer;
  }
  return share;
}

}  // namespace

Pricers::Pricers(const Scenario& scenario, const Lowering& lowering, const std::vector<LinksInside>& links)
    : scenario_(scenario), lowering_(lowering), networks_(scenario) {
  for (const RankKind& kind : lowering.kinds)
    for (std::size_t machine = 0; machine < scenario.machines(); ++machine) {
      CostContext context = cost_context(scenario, lowering, kind, scenario.machine(machine));
      context.bridge = &networks_.of(static_cast<std::int32_t>(machine), true);
      if (!links.empty()) {
        context.stretch = links[pricers_.size()].stretch;
        context.on_links = links[pricers_.size()].on_links;
      }
      pricers_.emplace_back(context);
    }
}

WorkPricer& Pricers::pricer(std::int32_t kind, std::int32_t machine) {
  return pricers_[static_cast<std::size_t>(kind) * scenario_.machines() + static_cast<std::size_t>(machine)];
}

// To what the work takes on the slowest machine of the kind, if that is longer.
void Pricers::raise(Price& price, std::int32_t& machine, const Work& work, std::int32_t kind) {
  for (const std::int32_t candidate : lowering_.kinds[static_cast<std::size_t>(kind)].machines) {
    if (candidate == machine) continue;
    Price there = pricer(kind, candidate).price(work);
    if (machine >= 0 && there.device() <= price.device()) continue;
    price = there;
    machine = candidate;
  }
}

WorkPrices Pricers::price_all() {
  WorkPrices prices;
  for (std::size_t i = 0; i < lowering_.works.size(); ++i) {
    const WorkSite& site = lowering_.sites[i];
    Price price;
    std::int32_t machine = -1;
    raise(price, machine, lowering_.works[i], site.kind);
    if (site.other != site.kind) raise(price, machine, lowering_.works[i], site.other);
    prices.by_work.push_back(price);
    Seconds device = price.device();
    for (const LayerTraffic& sent : price.traffic) device -= sent.exposed;
    prices.times.push_back({Time::from_seconds(device), Time::from_seconds(price.host)});
    prices.shares.push_back(share_of(price));
    prices.machines.push_back(machine);
  }
  return prices;
}

std::vector<OperatorPrice> Pricers::explain(std::int32_t kind, std::int32_t block) {
  const auto blocks = static_cast<std::int32_t>(scenario_.model.blocks.size());
  std::vector<OperatorPrice> slowest;
  Seconds most;
  for (const std::int32_t machine : lowering_.kinds[static_cast<std::size_t>(kind)].machines) {
    std::vector<OperatorPrice> lines = pricer(kind, machine).explain(kind * blocks + block);
    Seconds sum;
    for (const OperatorPrice& line : lines) sum += line.forward + line.backward;
    if (!slowest.empty() && sum <= most) continue;
    most = sum;
    slowest = std::move(lines);
  }
  return slowest;
}

}  // namespace echelon
