#include "sim/app/simulate.h"

#include <fmt/format.h>

#include <algorithm>

#include "sim/app/alignment.h"
#include "sim/app/automatic.h"
#include "sim/app/host_cost.h"
#include "sim/app/inside_layers.h"
#include "sim/app/local_round.h"
#include "sim/app/machines.h"
#include "sim/app/memory_result.h"
#include "sim/app/network_traffic.h"
#include "sim/app/offload_check.h"
#include "sim/app/probe.h"
#include "sim/app/rank_replay.h"
#include "sim/app/warnings.h"
#include "sim/app/whole_run.h"
#include "sim/engine/walk.h"
#include "strategies/lower.h"

namespace echelon {

namespace {

// Executed FLOPs of an iteration over all ranks, and device time by ground: without copies beside it on engines of
// their own.
void tally_work(const Scenario& scenario, const Replayed& replayed, Result& result) {
  const auto& mesh = scenario.strategy.mesh;
  std::vector<Flops> flops(replayed.lowering.kinds.size());
  std::array<Seconds, 3> by_ground{};
  const auto& programs = replayed.lowering.graph.programs;
  std::vector<std::int64_t> runs(replayed.prices.by_work.size(), 0);
  const auto count = [&](std::size_t p, const TaskRange& range, std::int64_t times) {
    for (std::size_t i = range.first; i < range.last; ++i) {
      const Task& task = programs[p].tasks[i];
      if (task.stream != Stream::to_host && task.stream != Stream::from_host)
        runs[static_cast<std::size_t>(task.work)] += times;
    }
  };
  for (std::size_t p = 0; p < programs.size(); ++p) {
    count(p, {0, programs[p].tasks.size()}, 1);
    if (replayed.repetition.times > 0) count(p, replayed.repetition.ranges[p], replayed.repetition.times);
  }
  for (std::size_t work = 0; work < runs.size(); ++work) {
    const Price& price = replayed.prices.by_work[work];
    const auto times = static_cast<double>(runs[work]);
    flops[static_cast<std::size_t>(replayed.lowering.sites[work].kind)] += price.flops * times;
    for (std::size_t g = 0; g < by_ground.size(); ++g) by_ground[g] += price.by_ground[g] * times;
  }
  for (std::size_t kind = 0; kind < flops.size(); ++kind)
    result.executed_flops +=
        flops[kind] * static_cast<double>(mesh.data * replayed.lowering.kinds[kind].tensor * mesh.context);
  const Seconds sum = by_ground[0] + by_ground[1] + by_ground[2];
  for (std::size_t g = 0; g < by_ground.size(); ++g) result.coverage[g] = sum > Seconds(0) ? by_ground[g] / sum : 0;
}

double curve_error(const Device& device) {
  constexpr double unfitted = 0.1;
  for (const GemmCurve& curve : device.gemm)
    if (curve.provenance.p95_error > 0) return curve.provenance.p95_error;
  return unfitted;
}

// Relative error to expect by ground: the held-out 95th percentile of the device's product curve where it is measured
// (of several devices the largest), and twice and three times that for scaled curves and datasheet rates, for want of
// anything better.
double expected_error(const Scenario& scenario, const std::array<double, 3>& coverage) {
  double measured = 0;
  for (std::size_t machine = 0; machine < scenario.machines(); ++machine)
    measured = std::max(measured, curve_error(scenario.machine(machine).device));
  return measured * (coverage[0] + 2 * coverage[1] + 3 * coverage[2]);
}

// Every machine's sources, each once.
void add_provenance(const Scenario& scenario, Result& result) {
  result.profile = profile_names(scenario);
  const auto add = [&](const std::string& source) {
    if (std::find(result.sources.begin(), result.sources.end(), source) == result.sources.end())
      result.sources.push_back(source);
  };
  for (std::size_t machine = 0; machine < scenario.machines(); ++machine) {
    for (const std::string& source : scenario.machine(machine).sources) add(source);
    if (scenario.strategy.offload.any()) add(scenario.machine(machine).host.source);
  }
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

// Block of the model that a run is of; then the shares of a divided vocabulary.
std::size_t operator_block(const Lowering& lowering, std::size_t blocks, std::int32_t block) {
  const std::size_t whole = lowering.kinds.size() * blocks;
  const auto index = static_cast<std::size_t>(block);
  return index < whole ? index % blocks : blocks + index - whole;
}

void list_operators(const Scenario& scenario, const Replayed& replayed, Result& result) {
  const Lowering& lowering = replayed.lowering;
  Pricers pricers(scenario, lowering);
  const std::size_t blocks = scenario.model.blocks.size();
  const std::int32_t kind = lowering.kind_of[result.critical_stage];
  std::vector<double> times(blocks + 2, 0);  // and shares of a divided vocabulary
  const auto& tasks = lowering.graph.programs[result.critical_stage].tasks;
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    const bool shares = tasks[i].kind == TaskKind::output_forward || tasks[i].kind == TaskKind::embedding_forward;
    if (tasks[i].kind != TaskKind::forward && !shares) continue;
    const bool repeats = replayed.repetition.covers(result.critical_stage, i);
    const auto count = static_cast<double>(repeats ? replayed.repetition.times + 1 : 1);
    for (const LayerRun& run : std::get<ComputeWork>(lowering.works[static_cast<std::size_t>(tasks[i].work)]).runs)
      if (run.pass == Pass::forward) times[operator_block(lowering, blocks, run.block)] += run.count * count;
  }
  for (std::size_t block = 0; block < times.size(); ++block) {
    if (times[block] == 0) continue;
    const bool shared = block >= blocks;
    const std::size_t index = shared ? lowering.kinds.size() * blocks + block - blocks : block;
    for (const OperatorPrice& price : pricers.explain(shared ? 0 : kind, static_cast<std::int32_t>(index)))
      result.operators.push_back({!shared ? scenario.model.blocks[block].name : "vocabulary", price.name, price.forward,
                                  price.backward, times[block], price.ground});
  }
}

constexpr const char* too_long = "an iteration could take more than 104 days: a rate is wrong by orders of magnitude";

constexpr Seconds longest_iteration(9e6);  // Time ends after 106 days

// All tasks one after another are a bound; where the longest work in place of each of them keeps it, nobody adds up.
bool may_outlast_time(const Replayed& replayed) {
  Seconds longest;
  for (const Price& price : replayed.prices.by_work) longest = std::max(longest, price.device() + price.host);
  double tasks = 0;
  for (const Program& program : replayed.lowering.graph.programs) tasks += static_cast<double>(program.tasks.size());
  if (longest * tasks <= longest_iteration) return false;
  Seconds sum;
  for (const Program& program : replayed.lowering.graph.programs)
    for (const Task& task : program.tasks) {
      const Price& price = replayed.prices.by_work[static_cast<std::size_t>(task.work)];
      sum += price.device() + price.host;
    }
  return sum > longest_iteration;
}

std::variant<Replayed, Infeasible> replay_batch(const Scenario& scenario, const Workload& workload) {
  auto lowered = lower(scenario.model, workload, scenario.strategy, placement_of(scenario));
  if (auto* refusal = std::get_if<Infeasible>(&lowered)) return *refusal;
  Replayed replayed{std::move(std::get<Lowering>(lowered)), {}, {}, {}, {}, nullptr};
  replayed.options = replay_options(scenario, replayed.lowering);
  if (scenario.network == NetworkModel::flow) {
    Cluster cluster = cluster_of(scenario);
    const auto prices_on = [&](const Topology& ways) {
      return Pricers(scenario, replayed.lowering, links_inside(scenario, replayed.lowering, cluster, ways)).price_all();
    };
    for (const LaterWays& later : cluster.later)
      replayed.options.later.push_back({later.from, prices_on(later.topology).times});
    replayed.prices = prices_on(cluster.topology);
    if (may_outlast_time(replayed)) return Infeasible{too_long};
    LinkTraffic traffic = link_traffic(scenario, replayed.lowering, replayed.prices, cluster);
    replayed.network = std::make_shared<NetworkReplay>(NetworkReplay{std::move(cluster), std::move(traffic)});
    replayed.options.traffic = &replayed.network->traffic;
  } else {
    replayed.prices = Pricers(scenario, replayed.lowering).price_all();
    if (may_outlast_time(replayed)) return Infeasible{too_long};
  }
  replayed.timeline = timeline_of(replayed.lowering, replayed.prices.times, replayed.options);
  return replayed;
}

// Schedules of one forward and one backward pass in turn, whose steady state repetition.h describes.
bool alternates(const Strategy& strategy) {
  if (strategy.given_schedule || !strategy.rank_layers.empty() || strategy.schedule_group > 0) return false;
  if (strategy.vocabulary_parallel != VocabularyParallel::none) return false;
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
  const std::int64_t more = least + (interleaved ? 2 : 1) * ranks + settling * unit;
  // Most interleaved pipelines are steady when they have just been filled.
  std::vector<std::int64_t> tries{least, more};
  if (interleaved) tries.insert(tries.begin(), 3 * ranks);
  for (const std::int64_t few : tries) {
    if (3 * std::max(few, least) > 2 * all) return std::nullopt;
    Workload workload = scenario.workload;
    workload.global_batch = few * sequences;
    auto outcome = replay_batch(scenario, workload);
    auto* replayed = std::get_if<Replayed>(&outcome);
    if (replayed == nullptr || (all - few) % unit != 0) return std::nullopt;
    const auto found =
        find_repetition(replayed->lowering.graph, replayed->prices.times, replayed->timeline,
                        interleaved ? SteadyPairs{ranks * strategy.virtual_stages, ranks} : SteadyPairs{});
    if (!found) continue;
    replayed->repetition = *found;
    const std::int64_t times = (all - few) / unit;
    if (replayed->timeline.end.seconds() + found->period.seconds() * static_cast<double>(times) > longest_iteration)
      return std::nullopt;
    replayed->repetition.times = times;
    return std::move(*replayed);
  }
  return std::nullopt;
}

// What iterations take whose stages do not wait for each other at the end: every stage begins the next by so much later
// that none has to wait there, the cost of a schedule in arXiv:2401.10241, section 5.3. What comes before the first
// pass of all, every rank has to do; and its host has as long for its launches.
Time longest_span(const Replayed& replayed) {
  const auto& programs = replayed.lowering.graph.programs;
  Time span;
  Time before = replayed.timeline.end;
  for (std::size_t p = 0; p < programs.size(); ++p) {
    const std::vector<Task>& tasks = programs[p].tasks;
    const std::vector<TaskTime>& times = replayed.timeline.tasks[p];
    const auto pass = std::find_if(tasks.begin(), tasks.end(), [](const Task& task) { return is_pass(task.kind); });
    if (pass == tasks.end()) continue;
    const Time first = times[static_cast<std::size_t>(pass - tasks.begin())].start;
    before = std::min(before, first);
    Time host;
    for (std::size_t i = 0; i < tasks.size(); ++i) {
      span = std::max(span, times[i].end - first);
      if (tasks[i].stream == Stream::compute)
        host += replayed.prices.times[static_cast<std::size_t>(tasks[i].work)].host;
    }
    span = std::max(span, host - before);
  }
  return span + before;
}

}  // namespace

Timeline timeline_of(const Lowering& lowering, const std::vector<WorkTime>& times, const ReplayOptions& options) {
  if (auto walked = walk(lowering.graph, times, options)) return std::move(*walked);
  auto outcome = replay(lowering.graph, times, options);
  if (auto* timeline = std::get_if<Timeline>(&outcome)) return std::move(*timeline);
  std::string cycle;
  for (const TaskReference& task : std::get<Deadlock>(outcome).cycle) {
    if (!cycle.empty()) cycle += " -> ";
    cycle += describe(lowering.graph, task);
  }
  throw InternalError("the task graph deadlocks: " + cycle);
}

void add_money_and_energy(const Scenario& scenario, Result& result) {
  double usd_per_hour = 0;
  bool known = true;
  for (std::size_t machine = 0; machine < scenario.machines(); ++machine) {
    const double gpus = static_cast<double>(scenario.machine_gpus(machine));
    const double price = hourly_price(scenario, scenario.machine(machine));
    result.energy += scenario.machine(machine).device.tdp * result.iteration * gpus;
    usd_per_hour += price * gpus;
    known &= price > 0;
  }
  if (known) result.cost_usd = usd_per_hour * result.iteration.value() / 3600;
}

void add_words(const Scenario& scenario, Result& result) {
  result.bottleneck = bottleneck_sentence(result);
  result.warnings = warnings_of(scenario, result);
}

bool replays_all(const Scenario& scenario, const ReplayChoice& choice) {
  return choice.kind == ReplayKind::full || scenario.network == NetworkModel::flow || scenario.strategy.offload.any() ||
         choice.steady_state == SteadyState::whole;
}

std::variant<Replayed, Infeasible> replay_iteration(const Scenario& scenario, SteadyState steady_state) {
  if (const auto refusal = check_host(scenario)) return *refusal;
  if (steady_state == SteadyState::once && alternates(scenario.strategy)) {
    if (auto refusal = check_strategy(scenario.model, scenario.workload, scenario.strategy, placement_of(scenario)))
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
  if (scenario.strategy.optimizer_post_validation && choice.kind == ReplayKind::full)
    return Infeasible{
        "full replay lets iterations end together, not with optimizer_post_validation; optimizer_post_validation false "
        "or folded replay would do"};
  auto outcome = replay_iteration(scenario, replays_all(scenario, choice) ? SteadyState::whole : SteadyState::once);
  if (auto* refusal = std::get_if<Infeasible>(&outcome)) return *refusal;
  const auto& [lowering, prices, timeline, repetition, options, network] = std::get<Replayed>(outcome);

  Result result;
  const bool goes_on = scenario.strategy.optimizer_post_validation;
  const Time end = goes_on ? longest_span(std::get<Replayed>(outcome)) : timeline.end;
  result.iteration = (end + repetition.skipped()).seconds();
  result.samples = static_cast<double>(scenario.workload.global_batch);
  result.tokens = result.samples * static_cast<double>(scenario.workload.sequence_length);
  result.gpus = scenario.gpus;
  result.model_flops = model_flops(scenario.model, scenario.workload, scenario.strategy);
  result.peak = mean_peak(scenario, scenario.workload.precision.compute);
  result.critical_stage = critical_program(lowering.graph, timeline, repetition);
  result.breakdown = break_down(lowering.graph, timeline, prices.shares, result.critical_stage, repetition);
  result.breakdown.bubble = std::max(Seconds(0), result.breakdown.bubble - (timeline.end - end).seconds());
  if (!scenario.background.empty() || !scenario.link_faults.empty()) {
    Scenario undisturbed = scenario;
    undisturbed.background.clear();
    undisturbed.link_faults.clear();
    result.alone = std::get<Result>(simulate(undisturbed, Detail::totals, choice)).iteration;
  }
  if (choice.kind == ReplayKind::full) {
    result.ranks = replay_ranks(scenario, {lowering, prices, timeline.end, options, network.get()}, choice.threads);
    result.breakdown.stragglers = result.ranks->p50 - result.iteration;
    result.iteration = result.ranks->p50;
  }
  result.bubble_fraction = result.breakdown.bubble / result.iteration;
  tally_work(scenario, std::get<Replayed>(outcome), result);
  const double error = expected_error(scenario, result.coverage);
  result.iteration_low = result.iteration * std::max(0.0, 1 - error);
  result.iteration_high = result.iteration * (1 + error);
  result.memory = memory_result(scenario, std::get<Replayed>(outcome));
  add_provenance(scenario, result);
  add_money_and_energy(scenario, result);
  add_words(scenario, result);
  if (detail == Detail::operators) {
    list_operators(scenario, std::get<Replayed>(outcome), result);
    for (std::string& warning : alignment_warnings(lowering)) result.warnings.push_back(std::move(warning));
  }
  return result;
}

}  // namespace echelon
