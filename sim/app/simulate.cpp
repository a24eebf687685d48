#include "sim/app/simulate.h"

#include <fmt/format.h>

#include <algorithm>

#include "sim/app/automatic.h"
#include "sim/app/host_cost.h"
#include "sim/app/local_round.h"
#include "sim/app/memory_result.h"
#include "sim/app/network_traffic.h"
#include "sim/app/offload_check.h"
#include "sim/app/rank_replay.h"
#include "sim/cost/work_cost.h"
#include "strategies/lower.h"
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
  const bool once = !scenario.strategy.reshard_after_forward || scenario.strategy.sharding == Sharding::zero2;
  const double gathers = once ? 1 : 2;
  return compute * (2 * gathers) + compute + reduced;
}

// Bytes moved for each weight element to add a micro-batch's gradient to its buffer. Fused products accumulate into the
// buffer in place (apex wgrad_gemm_accum_fp32 and _fp16): one more read, and what the write is wider. Elsewhere a
// kernel of its own reads the product's result and the buffer and writes the buffer. FSDP reduces and frees gradients
// each micro-batch.
Bytes accumulation_bytes(const Scenario& scenario) {
  const Strategy& strategy = scenario.strategy;
  const Sharding sharding = state_sharding(strategy);
  const bool by_layer = sharding == Sharding::zero3 || sharding == Sharding::hybrid;
  if (by_layer && strategy.mesh.pipeline == 1) {
    // Unreduced gradients are added to a buffer in the format of the reduction (PyTorch _fsdp_param.py,
    // accumulate_unsharded_grad_if_needed).
    const Bytes reduced = element_size(scenario.workload.precision.gradient_reduce);
    return sharding_copies(scenario) + (strategy.accumulates_unsharded ? reduced * 2 : Bytes(0));
  }
  const Bytes buffer = state_bytes(scenario.workload).gradient;
  const Bytes written = element_size(scenario.workload.precision.compute);
  const GradientFusion fusion = strategy.fused_gradient_accumulation;
  const bool fused = fusion == GradientFusion::any || (fusion == GradientFusion::fp32 && buffer >= Bytes(4));
  return fused ? buffer * 2 - written : buffer * 2 + written;
}

CostContext cost_context(const Scenario& scenario, const Lowering& lowering) {
  CostContext context;
  context.device = &scenario.profile.device;
  context.network = &scenario.profile.network;
  context.node_host = &scenario.profile.host;
  context.host_sharers = host_sharers(scenario);
  context.blocks = &lowering.blocks;
  context.groups = lowering.groups;
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
  // Transformer Engine quantises weights for the first micro-batch and keeps them for the others (its modules'
  // is_first_microbatch, which Megatron-Core sets).
  if (scenario.strategy.kernels == KernelStyle::transformer_engine)
    context.weight_cast_share = 1 / static_cast<double>(std::max<std::int64_t>(1, scenario.micro_batches()));
  return context;
}

WorkPrices price_all(WorkPricer& pricer, const Lowering& lowering) {
  WorkPrices prices;
  for (const Work& work : lowering.works) {
    const Price price = pricer.price(work);
    prices.by_work.push_back(price);
    prices.times.push_back({Time::from_seconds(price.device()), Time::from_seconds(price.host)});
    prices.shares.push_back({price.compute, price.recompute, price.exposed, price.host_copy});
  }
  return prices;
}

Timeline replay_or_fail(const Lowering& lowering, const std::vector<WorkTime>& times, const ReplayOptions& options) {
  auto outcome = replay(lowering.graph, times, options);
  if (auto* timeline = std::get_if<Timeline>(&outcome)) return std::move(*timeline);
  std::string cycle;
  for (const TaskReference& task : std::get<Deadlock>(outcome).cycle) {
    if (!cycle.empty()) cycle += " -> ";
    cycle += describe(lowering.graph, task);
  }
  throw InternalError("the task graph deadlocks: " + cycle);
}

// Executed FLOPs of an iteration over all ranks, and device time by ground: without copies beside it on engines of
// their own.
void tally_work(const Scenario& scenario, const Replayed& replayed, Result& result) {
  const auto& mesh = scenario.strategy.mesh;
  const double replicas = static_cast<double>(mesh.data * mesh.tensor * mesh.context);
  Flops flops;
  std::array<Seconds, 3> by_ground{};
  const auto& programs = replayed.lowering.graph.programs;
  std::vector<std::int64_t> runs(replayed.prices.by_work.size(), 0);
  for (std::size_t p = 0; p < programs.size(); ++p)
    for (std::size_t i = 0; i < programs[p].tasks.size(); ++i) {
      const Task& task = programs[p].tasks[i];
      if (task.stream == Stream::to_host || task.stream == Stream::from_host) continue;
      runs[static_cast<std::size_t>(task.work)] += replayed.repetition.covers(p, i) ? replayed.repetition.times + 1 : 1;
    }
  for (std::size_t work = 0; work < runs.size(); ++work) {
    const Price& price = replayed.prices.by_work[work];
    const auto times = static_cast<double>(runs[work]);
    flops += price.flops * times;
    for (std::size_t g = 0; g < by_ground.size(); ++g) by_ground[g] += price.by_ground[g] * times;
  }
  result.executed_flops = flops * replicas;
  const Seconds sum = by_ground[0] + by_ground[1] + by_ground[2];
  for (std::size_t g = 0; g < by_ground.size(); ++g) result.coverage[g] = sum > Seconds(0) ? by_ground[g] / sum : 0;
}

// Relative error to expect by ground: the held-out 95th percentile of the device's product curve where it is measured,
// and twice and three times that for scaled curves and datasheet rates, for want of anything better.
double expected_error(const Scenario& scenario, const std::array<double, 3>& coverage) {
  constexpr double unfitted = 0.1;
  double measured = unfitted;
  for (const GemmCurve& curve : scenario.profile.device.gemm)
    if (curve.provenance.p95_error > 0) {
      measured = curve.provenance.p95_error;
      break;
    }
  return measured * (coverage[0] + 2 * coverage[1] + 3 * coverage[2]);
}

std::string bottleneck_sentence(const Result& result) {
  const Breakdown& parts = result.breakdown;
  struct Part {
    const char* name;
    Seconds time;
  };
  const Part causes[] = {{"recomputing activations", parts.recompute},
                         {"waiting for tensor-parallel collectives", parts.exposed_tp},
                         {"waiting for messages between pipeline stages", parts.exposed_pp},
                         {"waiting for data-parallel collectives", parts.exposed_dp},
                         {"waiting for context-parallel transfers", parts.exposed_cp},
                         {"waiting for expert all-to-alls", parts.exposed_ep},
                         {"waiting for copies to and from the host", parts.offload},
                         {"the pipeline bubble", parts.bubble},
                         {"the optimizer step", parts.optimizer},
                         {"a host too slow to launch its kernels", parts.other},
                         {"waiting for slower ranks", parts.stragglers}};
  const Part* worst = &causes[0];
  for (const Part& cause : causes)
    if (cause.time > worst->time) worst = &cause;
  const double useful = parts.compute / result.iteration;
  if (worst->time / result.iteration < 0.02)
    return fmt::format("Compute takes {:.0f} % of the iteration; nothing else stands out.", 100 * useful);
  return fmt::format("Compute takes {:.0f} % of the iteration; the largest loss is {}, {:.0f} %.", 100 * useful,
                     worst->name, 100 * (worst->time / result.iteration));
}

std::vector<std::string> warnings_of(const Scenario& scenario, const Result& result) {
  std::vector<std::string> warnings;
  const MemoryResult& memory = result.memory;
  if (memory.host > memory.host_capacity)
    warnings.push_back(fmt::format("does not fit: {:.1f} GiB of host memory needed on a node, {:.1f} GiB there are",
                                   memory.host / gibibytes(1), memory.host_capacity / gibibytes(1)));
  Bytes worst;
  for (const StageMemory& stage : memory.per_stage) worst = std::max(worst, stage.device);
  if (worst > memory.capacity) {
    warnings.push_back(fmt::format("does not fit: {:.1f} GiB needed on the fullest rank, {:.1f} GiB there are",
                                   worst / gibibytes(1), result.memory.capacity / gibibytes(1)));
  }
  if (scenario.strategy.offload.optimizer != OffloadTarget::none)
    warnings.emplace_back(
        "the step on the host is priced at the datasheet bandwidth of its memory, which takes all its cores: with a "
        "thread a rank (torchrun's default) expect many times as long");
  const double ungrounded = result.coverage[static_cast<std::size_t>(Ground::datasheet)];
  if (ungrounded > 0.05)
    warnings.push_back(fmt::format("{:.0f} % of device time is priced from datasheet rates alone", 100 * ungrounded));
  const double scaled = result.coverage[static_cast<std::size_t>(Ground::scaled)];
  if (scaled > 0.5)
    warnings.push_back(fmt::format(
        "{:.0f} % of device time is scaled from measurements on another GPU or number format", 100 * scaled));
  if (!result.ranks && scenario.tells_ranks_apart())
    warnings.emplace_back("variability and faults are left out: folded replay runs one rank for each pipeline stage");
  if (!scenario.strategy.overlap_gradient_reduce && result.breakdown.exposed_dp / result.iteration > 0.1)
    warnings.push_back("gradient reduction is not overlapped: strategy.overlap_gradient_reduce would hide it");
  return warnings;
}

void list_operators(const Scenario& scenario, const Replayed& replayed, Result& result) {
  const Lowering& lowering = replayed.lowering;
  WorkPricer pricer(cost_context(scenario, lowering));
  std::vector<double> times(scenario.model.blocks.size(), 0);
  const auto& tasks = lowering.graph.programs[result.critical_stage].tasks;
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    if (tasks[i].kind != TaskKind::forward) continue;
    const bool repeats = replayed.repetition.covers(result.critical_stage, i);
    const auto count = static_cast<double>(repeats ? replayed.repetition.times + 1 : 1);
    for (const LayerRun& run : std::get<ComputeWork>(lowering.works[static_cast<std::size_t>(tasks[i].work)]).runs)
      times[static_cast<std::size_t>(run.block)] += run.count * count;
  }
  for (std::size_t block = 0; block < times.size(); ++block) {
    if (times[block] == 0) continue;
    for (const OperatorPrice& price : pricer.explain(static_cast<std::int32_t>(block)))
      result.operators.push_back(
          {scenario.model.blocks[block].name, price.name, price.forward, price.backward, times[block], price.ground});
  }
}

std::variant<Replayed, Infeasible> replay_batch(const Scenario& scenario, const Workload& workload) {
  auto lowered =
      lower(scenario.model, workload, scenario.strategy, {scenario.gpus, scenario.profile.network.gpus_per_node});
  if (auto* refusal = std::get_if<Infeasible>(&lowered)) return *refusal;
  Replayed replayed{std::move(std::get<Lowering>(lowered)), {}, {}, {}};
  CostContext context = cost_context(scenario, replayed.lowering);
  ReplayOptions options{scenario.profile.device.overlap_slowdown, nullptr};
  LinkTraffic traffic;
  if (scenario.network == NetworkModel::flow) {
    const Cluster cluster = cluster_of(scenario);
    context.stretch = axis_stretch(scenario, replayed.lowering, cluster);
    traffic = link_traffic(scenario, replayed.lowering, cluster);
    options.traffic = &traffic;
  }
  WorkPricer pricer(context);
  replayed.prices = price_all(pricer, replayed.lowering);
  replayed.timeline = replay_or_fail(replayed.lowering, replayed.prices.times, options);
  return replayed;
}

// Schedules of one forward and one backward pass in turn, whose steady state repetition.h describes.
bool alternates(const Strategy& strategy) {
  if (strategy.given_schedule) return false;
  return strategy.schedule == ScheduleKind::one_f_one_b || strategy.schedule == ScheduleKind::interleaved;
}

// The iteration from as few micro-batches as show its steady state; nothing where it has none, or hardly more. 1F1B
// repeats itself with each micro-batch, interleaved 1F1B with as many as there are ranks.
std::optional<Replayed> replay_until_steady(const Scenario& scenario) {
  const Strategy& strategy = scenario.strategy;
  const std::int64_t ranks = strategy.mesh.pipeline;
  const bool interleaved = strategy.virtual_stages > 1;
  const std::int64_t unit = interleaved ? ranks : 1;
  const std::int64_t sequences = strategy.mesh.data * strategy.micro_batch;
  const std::int64_t all = scenario.workload.global_batch / sequences;
  constexpr std::int64_t settling = 5;  // micro-batches of 1F1B beside those that fill the pipeline
  const std::int64_t least = interleaved ? 4 * ranks : ranks + settling;
  for (const std::int64_t few : {least, least + (interleaved ? 2 : 1) * ranks + settling * unit}) {
    if (3 * few > 2 * all) return std::nullopt;
    Workload workload = scenario.workload;
    workload.global_batch = few * sequences;
    auto outcome = replay_batch(scenario, workload);
    auto* replayed = std::get_if<Replayed>(&outcome);
    if (replayed == nullptr || (all - few) % unit != 0) return std::nullopt;
    const auto found = find_repetition(replayed->lowering.graph, replayed->prices.times, replayed->timeline,
                                       interleaved ? ranks * strategy.virtual_stages : 1);
    if (!found) continue;
    replayed->repetition = *found;
    replayed->repetition.times = (all - few) / unit;
    return std::move(*replayed);
  }
  return std::nullopt;
}

}  // namespace

void add_money_and_energy(const Scenario& scenario, Result& result) {
  const double gpus = static_cast<double>(scenario.gpus);
  result.energy = scenario.profile.device.tdp * result.iteration * gpus;
  if (scenario.profile.price_usd_per_gpu_hour > 0)
    result.cost_usd = scenario.profile.price_usd_per_gpu_hour * gpus * result.iteration.value() / 3600;
}

void add_words(const Scenario& scenario, Result& result) {
  result.bottleneck = bottleneck_sentence(result);
  result.warnings = warnings_of(scenario, result);
}

std::variant<std::vector<Seconds>, Infeasible> block_times(const Scenario& scenario) {
  auto lowered = lower(scenario.model, scenario.workload, scenario.strategy,
                       {scenario.gpus, scenario.profile.network.gpus_per_node});
  if (auto* refusal = std::get_if<Infeasible>(&lowered)) return *refusal;
  WorkPricer pricer(cost_context(scenario, std::get<Lowering>(lowered)));
  std::vector<Seconds> times;
  for (std::size_t block = 0; block < scenario.model.blocks.size(); ++block) {
    Seconds sum;
    for (const OperatorPrice& price : pricer.explain(static_cast<std::int32_t>(block)))
      sum += price.forward + price.backward;
    times.push_back(sum);
  }
  return times;
}

// Whether every micro-batch must be replayed: ranks on their own, shared links and copies beside compute are not known
// to repeat themselves.
bool replays_all(const Scenario& scenario, const ReplayChoice& choice) {
  return choice.kind == ReplayKind::full || scenario.network == NetworkModel::flow || scenario.strategy.offload.any() ||
         choice.steady_state == SteadyState::whole;
}

std::variant<Replayed, Infeasible> replay_iteration(const Scenario& scenario, SteadyState steady_state) {
  if (const auto refusal = check_host(scenario)) return *refusal;
  if (steady_state == SteadyState::once && alternates(scenario.strategy)) {
    if (auto refusal = check_strategy(scenario.model, scenario.workload, scenario.strategy,
                                      {scenario.gpus, scenario.profile.network.gpus_per_node}))
      return *refusal;
    if (auto replayed = replay_until_steady(scenario)) return std::move(*replayed);
  }
  return replay_batch(scenario, scenario.workload);
}

std::variant<Result, Infeasible> simulate(const Scenario& scenario, Detail detail, const ReplayChoice& choice) {
  if (leaves_open(scenario.strategy)) {
    const auto decided = decide(scenario);
    if (const auto* refusal = std::get_if<Infeasible>(&decided)) return *refusal;
    auto outcome = simulate(std::get<Decided>(decided).scenario, detail, choice);
    if (auto* result = std::get_if<Result>(&outcome))
      for (const std::string& made : std::get<Decided>(decided).choices) result->warnings.push_back(made);
    return outcome;
  }
  if (trains_apart(scenario)) return simulate_round(scenario, detail, choice);
  auto outcome = replay_iteration(scenario, replays_all(scenario, choice) ? SteadyState::whole : SteadyState::once);
  if (auto* refusal = std::get_if<Infeasible>(&outcome)) return *refusal;
  const auto& [lowering, prices, timeline, repetition] = std::get<Replayed>(outcome);

  Result result;
  result.iteration = (timeline.end + repetition.skipped()).seconds();
  result.samples = static_cast<double>(scenario.workload.global_batch);
  result.tokens = result.samples * static_cast<double>(scenario.workload.sequence_length);
  result.gpus = scenario.gpus;
  result.model_flops = model_flops(scenario.model, scenario.workload);
  result.peak = scenario.profile.device.peak_of(scenario.workload.precision.compute);
  result.critical_stage = critical_program(lowering.graph, timeline, repetition);
  result.breakdown = break_down(lowering.graph, timeline, prices.shares, result.critical_stage, repetition);
  if (choice.kind == ReplayKind::full) {
    result.ranks = replay_ranks(scenario, {lowering, prices.by_work, prices.times, timeline.end}, choice.threads);
    result.breakdown.stragglers = result.ranks->p50 - result.iteration;
    result.iteration = result.ranks->p50;
  }
  result.bubble_fraction = result.breakdown.bubble / result.iteration;
  tally_work(scenario, std::get<Replayed>(outcome), result);
  const double error = expected_error(scenario, result.coverage);
  result.iteration_low = result.iteration * std::max(0.0, 1 - error);
  result.iteration_high = result.iteration * (1 + error);
  result.memory = memory_result(scenario, lowering, timeline);
  result.profile = scenario.profile.name;
  result.sources = scenario.profile.sources;
  if (scenario.strategy.offload.any()) result.sources.push_back(scenario.profile.host.source);
  add_money_and_energy(scenario, result);
  add_words(scenario, result);
  if (detail == Detail::operators) list_operators(scenario, std::get<Replayed>(outcome), result);
  return result;
}

}  // namespace echelon
