#include "sim/app/quick_bound.h"

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "sim/app/automatic.h"
#include "sim/app/machines.h"
#include "sim/app/memory_result.h"
#include "sim/app/offload_check.h"
#include "sim/app/simulate.h"
#include "sim/app/tails.h"
#include "strategies/intra/intra.h"
#include "strategies/lower.h"
#include "strategies/pipeline/schedule.h"

namespace echelon {

namespace {

// Durations are rounded to picoseconds one by one.
constexpr double rounding = 1 - 1e-6;

constexpr std::int64_t most_probed = 3;  // first, between, last

// How a schedule runs backward passes.
enum class Backward { whole, split, mixed };

// Nothing of schedules that are not named here: one that is added has no bound until it is.
std::optional<Backward> backward_of(ScheduleKind kind) {
  switch (kind) {
    case ScheduleKind::gpipe:
    case ScheduleKind::one_f_one_b:
    case ScheduleKind::pipedream:
    case ScheduleKind::pipedream_2bw:
    case ScheduleKind::interleaved:
    case ScheduleKind::looped_bfs:
    case ScheduleKind::chimera:
    case ScheduleKind::hanayo:
    case ScheduleKind::seq1f1b:
    case ScheduleKind::terapipe:
    case ScheduleKind::bpipe:
      return Backward::whole;
    case ScheduleKind::zb_h1:
    case ScheduleKind::zb_h2:
    case ScheduleKind::zb_1p:
    case ScheduleKind::zb_2p:
    case ScheduleKind::interleaved_zb:
    case ScheduleKind::zb_v:
    case ScheduleKind::v_half:
    case ScheduleKind::v_min:
      return Backward::split;
    case ScheduleKind::dualpipe:
    case ScheduleKind::dualpipe_v:
      return Backward::mixed;
    default:
      return std::nullopt;
  }
}

WeightVersions versions_of(ScheduleKind kind) {
  if (kind == ScheduleKind::pipedream) return WeightVersions::in_flight;
  return kind == ScheduleKind::pipedream_2bw ? WeightVersions::two : WeightVersions::one;
}

bool is_pass(TaskKind kind) {
  return kind == TaskKind::forward || kind == TaskKind::backward || kind == TaskKind::input_gradient ||
         kind == TaskKind::weight_gradient;
}

// Whether every micro-batch has such a task.
bool recurs(TaskKind kind) {
  return is_pass(kind) || kind == TaskKind::send_activation || kind == TaskKind::send_gradient;
}

// What of a scenario the bound goes by.
struct Shape {
  StageLayout layout = StageLayout::loop;
  Backward backward = Backward::whole;
  WeightVersions versions = WeightVersions::one;
  std::int64_t copies = 1;         // of the model: pipelines that share a rank
  std::int64_t micro_batches = 0;  // of one copy
  std::int64_t probed = 0;         // of these

  bool from_both_ends() const { return layout == StageLayout::bidirectional; }
  bool empties() const { return versions == WeightVersions::one; }
  // How many of its like stand behind a task of the probe.
  std::int64_t weight(const Task& task) const {
    if (probed == 1) return recurs(task.kind) ? micro_batches : 1;
    return task.micro_batch / copies == 1 && probed == most_probed ? micro_batches - 2 : 1;
  }
};

// Whether what micro-batches between the first and the last do is more than passes and messages, or tells more of them.
bool differs_between(const Strategy& strategy) {
  return strategy.mesh.pipeline == 1 || strategy.sharding == Sharding::zero2 || strategy.synchronous_pipeline ||
         strategy.batch_fetch != BatchFetch::ahead || waits_for_token_counts(strategy);
}

Shape shape_of(const Scenario& scenario) {
  const Strategy& strategy = scenario.strategy;
  Shape shape;
  shape.layout = layout_of(strategy);
  shape.backward = *backward_of(strategy.schedule);
  shape.versions = versions_of(strategy.schedule);
  if (shape.layout == StageLayout::bidirectional) shape.copies = strategy.virtual_stages;
  shape.micro_batches = scenario.workload.global_batch / strategy.mesh.data / strategy.micro_batch / shape.copies;
  shape.probed = std::min(shape.micro_batches, differs_between(strategy) ? most_probed : 1);
  return shape;
}

// One micro-batch after the other through all chunks and back.
Schedule probe_schedule(const Strategy& strategy, const Shape& shape) {
  Schedule schedule;
  schedule.layout = shape.layout;
  schedule.versions = shape.versions;
  schedule.shape.ranks = strategy.mesh.pipeline;
  schedule.shape.micro_batches = shape.probed * shape.copies;
  schedule.shape.chunks = strategy.virtual_stages;
  const auto chunks = static_cast<std::int32_t>(strategy.virtual_stages);
  RankOrder order;
  const auto go_through = [&](std::int32_t micro_batch, std::int32_t first, std::int32_t last) {
    for (std::int32_t chunk = first; chunk < last; ++chunk) order.push_back({Pass::forward, chunk, micro_batch});
    for (std::int32_t chunk = last; chunk-- > first;) {
      const bool split = shape.backward == Backward::split;
      order.push_back({split ? Pass::input_gradient : Pass::backward, chunk, micro_batch});
      if (split) order.push_back({Pass::weight_gradient, chunk, micro_batch});
    }
  };
  for (std::int32_t j = 0; j < static_cast<std::int32_t>(schedule.shape.micro_batches); ++j) {
    const auto copy = static_cast<std::int32_t>(j % shape.copies);
    shape.copies > 1 ? go_through(j, copy, copy + 1) : go_through(j, 0, chunks);
  }
  schedule.ranks.assign(static_cast<std::size_t>(strategy.mesh.pipeline), order);
  return schedule;
}

std::variant<Replayed, Infeasible> replay_probe(const Scenario& scenario, const Shape& shape) {
  Strategy strategy = scenario.strategy;
  strategy.given_schedule = std::make_shared<const Schedule>(probe_schedule(strategy, shape));
  strategy.local_steps.part = RoundPart::nothing;
  Workload workload = scenario.workload;
  workload.global_batch = shape.probed * shape.copies * strategy.mesh.data * strategy.micro_batch;
  auto lowered = lower(scenario.model, workload, strategy, placement_of(scenario));
  if (auto* refusal = std::get_if<Infeasible>(&lowered)) return *refusal;
  Replayed replayed{std::move(std::get<Lowering>(lowered)), {}, {}, {}, {}, nullptr};
  replayed.options = replay_options(scenario, replayed.lowering);
  replayed.prices = Pricers(scenario, replayed.lowering).price_all();
  replayed.timeline = timeline_of(replayed.lowering, replayed.prices.times, replayed.options);
  return replayed;
}

// What one rank's tasks add up to over all micro-batches.
class RankSums {
 public:
  RankSums(const Replayed& replayed, const Shape& shape, std::size_t rank)
      : replayed_(replayed), shape_(shape), tasks_(replayed.lowering.graph.programs[rank].tasks) {
    for (std::size_t i = 0; i < tasks_.size(); ++i) {
      if (tasks_[i].stream != Stream::compute || !is_pass(tasks_[i].kind)) continue;
      if (!first_) first_ = i;
      last_ = i;
      if (tasks_[i].kind != TaskKind::weight_gradient) last_input_ = i;
    }
  }

  std::optional<std::size_t> first_pass() const { return first_; }
  std::size_t last_pass() const { return last_; }
  std::size_t last_input() const { return last_input_; }  // the last pass that is no weight gradient

  // From the first pass to the last, all that runs between.
  Seconds passes() const {
    return sum(*first_, last_, [](const Task& task) { return task.stream == Stream::compute; });
  }
  // From the first pass to the last input gradient, without weight gradients and what follows those.
  Seconds passes_to_input() const {
    return sum(*first_, last_input_, [](const Task& task) {
      return task.stream == Stream::compute && task.kind != TaskKind::weight_gradient &&
             task.kind != TaskKind::gradient_reduce;
    });
  }
  Seconds sent_data() const {
    return sum(0, tasks_.size() - 1, [](const Task& task) { return task.stream == Stream::data; });
  }
  // The optimizer's step and the gather behind it, in whatever order the passes ended.
  Seconds closing() const {
    if (last_ + 1 >= tasks_.size()) return Seconds(0);
    return sum(last_ + 1, tasks_.size() - 1, [](const Task& task) {
      return task.stream == Stream::compute &&
             (task.kind == TaskKind::optimizer || task.kind == TaskKind::parameter_gather);
    });
  }
  Seconds host() const {
    Seconds sum;
    for (const Task& task : tasks_)
      if (task.stream == Stream::compute) sum += time_of(task).host.seconds() * weight(task);
    return sum;
  }
  // One pass of the first micro-batch through the first chunk.
  Seconds first_pass_of(TaskKind kind) const {
    Seconds sum;
    for (const Task& task : tasks_)
      if (task.kind == kind && task.chunk == 0 && task.micro_batch == 0) sum += time_of(task).device.seconds();
    return sum;
  }
  // Without what layers send.
  Seconds computing() const {
    Seconds sum;
    for (const Task& task : tasks_) {
      if (task.stream != Stream::compute || !is_pass(task.kind)) continue;
      const WorkShare& share = replayed_.prices.shares[static_cast<std::size_t>(task.work)];
      sum += (share.compute + share.recompute) * weight(task);
    }
    return sum;
  }

 private:
  const WorkTime& time_of(const Task& task) const {
    return replayed_.prices.times[static_cast<std::size_t>(task.work)];
  }
  double weight(const Task& task) const { return static_cast<double>(shape_.weight(task)); }

  // A pass before which the host waits for the device cannot end before all its launches either.
  Seconds duration(const Task& task) const {
    const WorkTime& time = time_of(task);
    const bool launches_late = task.stream == Stream::compute && task.syncs_host && task.layer < 0;
    return (launches_late ? std::max(time.device, time.host) : time.device).seconds();
  }

  template <class Counts>
  Seconds sum(std::size_t first, std::size_t last, const Counts& counts) const {
    Seconds sum;
    for (std::size_t i = first; i <= last; ++i)
      if (counts(tasks_[i])) sum += duration(tasks_[i]) * weight(tasks_[i]);
    return sum;
  }

  const Replayed& replayed_;
  const Shape& shape_;
  const std::vector<Task>& tasks_;
  std::optional<std::size_t> first_;
  std::size_t last_ = 0;
  std::size_t last_input_ = 0;
};

class TimeBound {
 public:
  TimeBound(const Replayed& replayed, const Shape& shape)
      : replayed_(replayed),
        shape_(shape),
        tails_(replayed, shape.backward == Backward::whole ? TailCount::all : TailCount::computed) {
    for (std::size_t rank = 0; rank < replayed.lowering.graph.programs.size(); ++rank)
      ranks_.emplace_back(replayed, shape, rank);
    for (const RankSums& rank : ranks_) longest_closing_ = std::max(longest_closing_, rank.closing());
  }

  Seconds least() const {
    Seconds least;
    for (std::size_t rank = 0; rank < ranks_.size(); ++rank) least = std::max(least, of(rank));
    return least;
  }

 private:
  Seconds of(std::size_t rank) const {
    const RankSums& sums = ranks_[rank];
    if (!sums.first_pass()) return Seconds(0);
    Seconds least = sums.host();
    if (!shape_.empties()) return std::max(least, sums.passes() + sums.closing());
    if (shape_.from_both_ends()) return std::max(least, sums.passes() + longest_closing_ + shortest_way(rank));
    const Seconds lead = replayed_.timeline.tasks[rank][*sums.first_pass()].start.seconds();
    if (shape_.backward == Backward::whole)
      return std::max({least, lead + sums.passes() + tail(rank, sums.last_pass()), sending(rank)});
    least = std::max(least, lead + sums.passes() + longest_closing_);
    if (shape_.backward == Backward::split)
      least = std::max(least, lead + sums.passes_to_input() + tail(rank, sums.last_input()));
    return least;
  }

  // Of a rank in pipelines from both ends: the passes before its first one and behind its last one, in whichever
  // pipeline they are fewest, without messages. A mixed schedule may end with weight gradients.
  Seconds shortest_way(std::size_t rank) const {
    ScheduleShape shape;
    shape.ranks = static_cast<std::int64_t>(ranks_.size());
    shape.chunks = shape_.copies;
    std::int64_t fewest = shape.ranks;
    for (std::int64_t copy = 0; copy < shape_.copies; ++copy)
      fewest = std::min(fewest, stage_of(shape_.layout, shape, static_cast<std::int64_t>(rank), copy) % shape.ranks);
    Seconds way;
    for (std::int64_t before = 0; before < fewest; ++before) {
      const RankSums& sums = ranks_[static_cast<std::size_t>(before)];  // where the first copy has that stage
      way += sums.first_pass_of(TaskKind::forward);
      if (shape_.backward == Backward::whole) way += sums.first_pass_of(TaskKind::backward);
    }
    return way;
  }

  Seconds tail(std::size_t rank, std::size_t task) const { return tails_.of(rank, task).seconds(); }

  // Without stages the order of the probe is the schedule's.
  Seconds sending(std::size_t rank) const { return ranks_.size() == 1 ? ranks_[rank].sent_data() : Seconds(0); }

  const Replayed& replayed_;
  const Shape& shape_;
  Tails tails_;
  std::vector<RankSums> ranks_;
  Seconds longest_closing_;  // every rank's optimizer waits for all ranks
};

Seconds computing_alone(const Replayed& replayed, const Shape& shape) {
  Seconds most;
  for (std::size_t rank = 0; rank < replayed.lowering.graph.programs.size(); ++rank)
    most = std::max(most, RankSums(replayed, shape, rank).computing());
  return most;
}

// Forward passes that the rank has begun when its first backward pass runs, at least; 0: nothing is known.
std::int64_t begun_forwards(const Strategy& strategy, const Shape& shape, std::int64_t rank) {
  const std::int64_t behind = strategy.mesh.pipeline - 1 - rank;
  const std::int64_t slots = shape.micro_batches * strategy.virtual_stages;
  switch (strategy.schedule) {
    case ScheduleKind::gpipe:
    case ScheduleKind::looped_bfs:
      return slots;
    case ScheduleKind::one_f_one_b:
      return std::min(slots, behind + 1);
    case ScheduleKind::interleaved: {
      if (strategy.schedule_group > 0 || shape.micro_batches % strategy.mesh.pipeline != 0) return 0;
      const bool chunks = strategy.virtual_stages > 1;
      return std::min(slots, (strategy.virtual_stages - 1) * strategy.mesh.pipeline + (chunks ? 2 : 1) * behind + 1);
    }
    default:
      return 0;
  }
}

// How many of the first `begun` forward passes are of this chunk.
std::int64_t begun_of_chunk(const Strategy& strategy, const Shape& shape, std::int64_t begun, std::int64_t chunk) {
  const std::int64_t group =
      strategy.schedule == ScheduleKind::looped_bfs ? shape.micro_batches : strategy.mesh.pipeline;
  if (strategy.virtual_stages == 1) return begun;
  const std::int64_t round = group * strategy.virtual_stages;
  return begun / round * group + std::clamp<std::int64_t>(begun % round - chunk * group, 0, group);
}

// Leaves of every program what the first micro-batch does.
void keep_first_micro_batch(Replayed& replayed) {
  for (std::size_t rank = 0; rank < replayed.lowering.graph.programs.size(); ++rank) {
    Program& program = replayed.lowering.graph.programs[rank];
    const auto others =
        std::find_if(program.tasks.begin(), program.tasks.end(), [](const Task& task) { return task.micro_batch > 0; });
    if (others == program.tasks.end()) continue;
    program.effects.resize(static_cast<std::size_t>(others->effects));
    program.dependences.resize(static_cast<std::size_t>(others->dependences));
    program.tasks.erase(others, program.tasks.end());
    replayed.timeline.tasks[rank].resize(program.tasks.size());
  }
}

// Activations that the rank's forward passes of a micro-batch keep, by chunk.
std::vector<Bytes> kept_by_chunk(const Program& program, std::int64_t chunks) {
  std::vector<Bytes> kept(static_cast<std::size_t>(chunks));
  for (std::size_t i = 0; i < program.tasks.size(); ++i) {
    if (program.tasks[i].kind != TaskKind::forward) continue;
    const std::size_t end =
        i + 1 < program.tasks.size() ? static_cast<std::size_t>(program.tasks[i + 1].effects) : program.effects.size();
    for (auto e = static_cast<std::size_t>(program.tasks[i].effects); e < end; ++e)
      if (program.effects[e].category == MemoryCategory::activations)
        kept[static_cast<std::size_t>(program.tasks[i].chunk)] += program.effects[e].at_end;
  }
  return kept;
}

// Adds what further micro-batches hold while the first one's backward pass runs. Of several chunks only the last one's
// backward pass is known to find them all there.
void hold_begun(const Scenario& scenario, const Shape& shape, Replayed& replayed) {
  const Strategy& strategy = scenario.strategy;
  Lowering& lowering = replayed.lowering;
  for (std::size_t rank = 0; rank < lowering.graph.programs.size(); ++rank) {
    Program& program = lowering.graph.programs[rank];
    const std::int64_t begun = begun_forwards(strategy, shape, static_cast<std::int64_t>(rank));
    const std::vector<Bytes> kept = kept_by_chunk(program, strategy.virtual_stages);
    Bytes more;
    for (std::int64_t chunk = 0; chunk < strategy.virtual_stages; ++chunk)
      more += kept[static_cast<std::size_t>(chunk)] *
              static_cast<double>(begun_of_chunk(strategy, shape, begun, chunk) - 1);
    lowering.resident[rank][static_cast<std::size_t>(MemoryCategory::activations)] += more;
    if (strategy.virtual_stages == 1) continue;
    for (std::size_t i = 0; i < program.tasks.size(); ++i) {
      const Task& task = program.tasks[i];
      if (task.kind == TaskKind::backward && task.chunk + 1 == strategy.virtual_stages) continue;
      const std::size_t end = i + 1 < program.tasks.size() ? static_cast<std::size_t>(program.tasks[i + 1].effects)
                                                           : program.effects.size();
      for (auto e = static_cast<std::size_t>(task.effects); e < end; ++e) program.effects[e].transient = Bytes(0);
    }
  }
}

// Schedules may reduce the gradients of one chunk before those of the next are there.
void forget_gradients(Replayed& replayed) {
  for (Program& program : replayed.lowering.graph.programs)
    for (MemoryEffect& effect : program.effects)
      if (effect.category == MemoryCategory::gradients) effect = {effect.category, {}, {}, {}};
}

MemoryResult least_memory(const Scenario& scenario, const Shape& shape, Replayed& replayed) {
  if (scenario.strategy.offload.any()) return {};
  keep_first_micro_batch(replayed);
  if (scenario.strategy.virtual_stages > 1) forget_gradients(replayed);
  MemoryResult one = memory_result(scenario, replayed);
  if (!one.fits || begun_forwards(scenario.strategy, shape, 0) <= scenario.strategy.virtual_stages) return one;
  hold_begun(scenario, shape, replayed);
  MemoryResult begun = memory_result(scenario, replayed);
  return begun.fits && begun.peak <= one.peak ? one : begun;
}

// No order, no times to plan it by.
Strategy timed(const Strategy& strategy) {
  Strategy result = strategy;
  result.planned_times.emplace();
  return result;
}

}  // namespace

bool has_quick_bound(const Strategy& strategy) {
  if (!backward_of(strategy.schedule) || strategy.vocabulary_parallel != VocabularyParallel::none ||
      strategy.sequence_slices > 1 || !strategy.slice_lengths.empty() || !strategy.rank_layers.empty() ||
      strategy.given_schedule)
    return false;
  Strategy decided = timed(strategy);
  decided.balances_stages = decided.thresholds_stages = false;
  return !leaves_open(decided);
}

std::variant<Result, Infeasible> quick_bound(const Scenario& scenario) {
  if (leaves_open(timed(scenario.strategy))) {
    Scenario open = scenario;
    open.strategy = timed(scenario.strategy);
    const auto decided = decide(open);
    if (const auto* refusal = std::get_if<Infeasible>(&decided)) return *refusal;
    return quick_bound(std::get<Decided>(decided).scenario);
  }
  if (auto refusal = check_host(scenario)) return *refusal;
  if (auto refusal = check_strategy(scenario.model, scenario.workload, scenario.strategy, placement_of(scenario)))
    return *refusal;
  const Shape shape = shape_of(scenario);
  auto outcome = replay_probe(scenario, shape);
  if (const auto* refusal = std::get_if<Infeasible>(&outcome)) return *refusal;
  Replayed& replayed = std::get<Replayed>(outcome);
  Result result;
  result.iteration = scenario.network == NetworkModel::flow ? computing_alone(replayed, shape) * rounding
                                                            : TimeBound(replayed, shape).least() * rounding;
  result.samples = static_cast<double>(scenario.workload.global_batch);
  result.tokens = result.samples * static_cast<double>(scenario.workload.sequence_length);
  result.gpus = scenario.gpus;
  result.memory = least_memory(scenario, shape, replayed);
  add_money_and_energy(scenario, result);
  return result;
}

}  // namespace echelon
