#include "strategies/lower.h"

#include <fmt/format.h>

#include "strategies/intra/intra.h"
#include "strategies/lowering/alike_passes.h"
#include "strategies/lowering/data_sharding.h"
#include "strategies/lowering/data_traffic.h"
#include "strategies/lowering/evictions.h"
#include "strategies/lowering/messages.h"
#include "strategies/lowering/offload_traffic.h"
#include "strategies/lowering/optimizer_step.h"
#include "strategies/lowering/pass_tasks.h"
#include "strategies/lowering/stage_share.h"
#include "strategies/lowering/tasks.h"
#include "strategies/lowering/vocabulary_passes.h"

namespace echelon {

namespace {

// nanotron's tensor_parallel/functional.py gathers inputs and gradients into two buffers that it never gives back
// (MemoryBuffer "allgather" and "allgather2").
constexpr double kept_gathers = 2;

// Walks the schedule of every pipeline rank and has the parts write its tasks. Order of calls: run, once.
class Lowerer {
 public:
  explicit Lowerer(const LoweringInput& input)
      : strategy_(input.strategy),
        lowering_(describe_ranks(input)),
        share_(input, lowering_),
        sharding_(input, share_.schedule(), lowering_),
        passes_(input, share_, lowering_),
        offload_(input, share_, sharding_, lowering_),
        traffic_(input, share_, sharding_, offload_, lowering_),
        vocabulary_(input, share_, sharding_, traffic_, lowering_),
        evictions_(input, share_, lowering_),
        messages_(input, share_, lowering_),
        alike_(input, share_, messages_, lowering_),
        step_(input, share_, sharding_, offload_, lowering_) {}

  Lowering run() {
    const auto ranks = static_cast<std::size_t>(strategy_.mesh.pipeline);
    lowering_.graph.programs.resize(ranks);
    for (std::size_t rank = 0; rank < ranks; ++rank) write_rank(rank);
    messages_.resolve();
    vocabulary_.resolve();
    evictions_.resolve();
    lowering_.ends = {share_.first_rank(), share_.last_rank()};
    for (std::size_t rank = 0; rank < ranks; ++rank) {
      step_.append(rank, traffic_.last_reduction(rank));
      if (strategy_.keeps_gather_buffers)
        lowering_.resident[rank][static_cast<std::size_t>(MemoryCategory::communication)] +=
            share_.gathered(rank) * kept_gathers;
      lowering_.held.push_back(share_.held(rank));
      lowering_.gather_buffers.push_back(sharding_.copies_gathered()
                                             ? sharding_.gather_buffers(share_.rank_state(rank), share_.widest(rank))
                                             : GatherBuffers{});
    }
    return std::move(lowering_);
  }

 private:
  static bool holds_weight_gradient(const Action& action) {
    return action.pass == Pass::backward || action.pass == Pass::weight_gradient;
  }

  void write_rank(std::size_t rank) {
    traffic_.begin_rank();
    offload_.begin_rank();
    alike_.begin_rank();
    const Schedule& schedule = share_.schedule();
    turns_.assign(static_cast<std::size_t>(schedule.shape.chunks), {});
    passes_of_stage_ = stage_micro_batches(schedule.layout, schedule.shape) * schedule.shape.slices;
    make_room(rank);
    for (const Action& action : schedule.ranks[rank]) {
      if (action.part != ActionPart::layers) {
        vocabulary_.append(rank, action);
        continue;
      }
      const MicroBatchTurn turn = turn_of(action);
      const bool is_alike = !(turn.first || turn.last) || !is_by_layer(action, turn);
      DataTraffic::Gathered& gathered = traffic_.gathered(share_.stage_of(rank, action.chunk));
      if (is_alike && alike_.copy(rank, action, gathered)) continue;
      const AlikePasses::Before before{lowering_.graph.programs[rank].tasks.size(), gathered};
      write_action(rank, action, turn);
      if (is_alike) alike_.keep(rank, action, before, gathered);
    }
    evictions_.borrow(rank);
  }

  void write_action(std::size_t rank, const Action& action, const MicroBatchTurn& turn) {
    const std::size_t stage = share_.stage_of(rank, action.chunk);
    if (share_.is_empty(stage)) return;
    offload_.begin_action(rank);
    if (action.pass == Pass::forward)
      write_forward(rank, stage, action, turn);
    else
      write_backward(rank, stage, action, turn);
    messages_.send(rank, stage, action);
    vocabulary_.follow(rank, stage, action);
    evictions_.follow(rank, action);
    if (holds_weight_gradient(action) && sharding_.reduces_after_each_backward())
      traffic_.reduce_stage(rank, stage, action);
  }

  // For a pass and a message of every action: what is written layer by layer takes more.
  void make_room(std::size_t rank) {
    constexpr std::size_t step = 16;  // the optimizer's tasks and the first gathers
    const std::size_t actions = share_.schedule().ranks[rank].size();
    Program& program = lowering_.graph.programs[rank];
    program.tasks.reserve(2 * actions + step);
    program.dependences.reserve(2 * actions + step);
    program.effects.reserve(actions + step);
  }

  // Whether this is the first or last of its stage's passes of its kind.
  MicroBatchTurn turn_of(const Action& action) {
    PassCounts& counts = turns_[static_cast<std::size_t>(action.chunk)];
    std::int64_t& count = action.pass == Pass::forward          ? counts.forward
                          : action.pass == Pass::input_gradient ? counts.input
                                                                : counts.weight;
    ++count;
    return {count == 1, count == passes_of_stage_};
  }

  // What is so for the micro-batches between the first and the last is so for those two as well.
  bool is_by_layer(const Action& action, const MicroBatchTurn& turn) const {
    if (offload_.splits(action)) return true;
    if (action.pass == Pass::forward) return sharding_.gathers_in_forward(turn);
    return sharding_.gathers_by_layer() || (holds_weight_gradient(action) && sharding_.reduces_by_layer(turn));
  }

  void write_forward(std::size_t rank, std::size_t stage, const Action& action, const MicroBatchTurn& turn) {
    const auto& units = share_.units(stage);
    const bool gathers = sharding_.gathers_in_forward(turn);
    if (!is_by_layer(action, turn)) {
      write_pass(rank, action, {stage, 0, units.size()}, std::nullopt);
      return;
    }
    const bool releases = sharding_.gathers_by_layer() && !sharding_.keeps_gathered();
    std::vector<TaskId> done;
    for (std::size_t i = 0; i < units.size(); ++i) {
      const auto gather = gathers ? traffic_.gather(rank, stage, i, action, done) : std::nullopt;
      done.push_back(write_unit(rank, action, {stage, i, i + 1}, gather));
      if (releases && !share_.is_root(units[i])) traffic_.release(rank, stage, i);
      offload_.take_activations({rank, stage, i, action}, done.back());
    }
  }

  void write_backward(std::size_t rank, std::size_t stage, const Action& action, const MicroBatchTurn& turn) {
    if (is_by_layer(action, turn))
      write_backward_by_layer(rank, stage, action, turn);
    else
      write_pass(rank, action, {stage, 0, share_.units(stage).size()}, std::nullopt);
  }

  void write_backward_by_layer(std::size_t rank, std::size_t stage, const Action& action, const MicroBatchTurn& turn) {
    const bool reduces = holds_weight_gradient(action) && sharding_.reduces_by_layer(turn);
    const auto& units = share_.units(stage);
    const bool accumulates = sharding_.accumulates_whole() && action.pass != Pass::input_gradient;
    const bool last_use = !sharding_.keeps_until_last() || turn.last;
    const bool releases = sharding_.gathers_by_layer() && last_use && action.pass != Pass::input_gradient;
    // Weight gradients need no weights.
    const bool gathers = sharding_.gathers_by_layer() && action.pass != Pass::weight_gradient;
    const auto gather_of = [&](std::size_t i, const std::vector<TaskId>& done) -> std::optional<TaskId> {
      if (!gathers) return std::nullopt;
      const auto gather = traffic_.gather(rank, stage, i, action, done);
      if (gather && !done.empty() && strategy_.backward_prefetch == BackwardPrefetch::post)
        lowering_.graph.programs[rank].depend(reference(rank, done.back()));
      return gather;
    };
    std::vector<TaskId> done;
    std::optional<TaskId> gather = gather_of(units.size() - 1, done);
    for (std::size_t i = units.size(); i-- > 0;) {
      done.push_back(write_unit(rank, action, {stage, i, i + 1}, gather));
      if (releases) traffic_.release(rank, stage, i);
      if (accumulates) traffic_.accumulate(rank, stage, i);
      offload_.shed_unreduced({rank, stage, i, action});
      // The next unit's gather goes out before this one's reduction.
      gather = i > 0 ? gather_of(i - 1, done) : std::nullopt;
      if (reduces) traffic_.reduce_unit(rank, action, units[i], done.back(), i == 0);
    }
  }

  // A pass of one unit, whose activations may come from the host or need room on the way to it.
  TaskId write_unit(std::size_t rank, const Action& action, const UnitRange& unit, std::optional<TaskId> gather) {
    const UnitPass pass{rank, unit.stage, unit.first, action};
    const auto brought = offload_.bring_activations(pass);
    const TaskId id = write_pass(rank, action, unit, gather);
    if (brought) lowering_.graph.programs[rank].depend(reference(rank, *brought));
    offload_.hold_back(pass, id);
    return id;
  }

  TaskId write_pass(std::size_t rank, const Action& action, const UnitRange& units, std::optional<TaskId> gather) {
    const bool opens = passes_.opens(action, units);
    const bool assembled = opens && messages_.assemble(rank, units.stage, action);
    const TaskId id = passes_.append(rank, action, units);
    if (gather) lowering_.graph.programs[rank].depend(reference(rank, *gather));
    if (opens && !assembled) messages_.await(rank, units.stage, action);
    if (!opens) return id;
    vocabulary_.await(rank, units.stage, action);
    evictions_.await(rank, action);
    return id;
  }

  const Strategy& strategy_;
  Lowering lowering_;
  StageShare share_;
  DataSharding sharding_;
  PassTasks passes_;
  OffloadTraffic offload_;
  DataTraffic traffic_;
  VocabularyPasses vocabulary_;
  Evictions evictions_;
  StageMessages messages_;
  AlikePasses alike_;
  OptimizerStep step_;

  struct PassCounts {
    std::int64_t forward = 0;
    std::int64_t input = 0;
    std::int64_t weight = 0;
  };
  std::vector<PassCounts> turns_;     // by chunk of the rank that is being written
  std::int64_t passes_of_stage_ = 0;  // of each kind
};

// A file orders the vocabulary's passes as its author likes. Its collectives take turns on the stream of the rank that
// begins them, of which the schedule knows nothing.
std::optional<Infeasible> check_collective_order(const Strategy& strategy, const TaskGraph& graph) {
  if (!strategy.given_schedule || strategy.given_schedule->vocabulary == VocabularyParallel::none) return std::nullopt;
  const auto cycle = find_cycle(graph);
  if (!cycle) return std::nullopt;
  std::string chain;
  for (const TaskReference& task : *cycle) chain += (chain.empty() ? "" : " -> ") + describe(graph, task);
  return Infeasible{
      fmt::format("{} makes collectives of the divided vocabulary wait for each other ({}); S, T, E and G in one order "
                  "on all ranks would do",
                  strategy.schedule_file, chain)};
}

}  // namespace

std::variant<Lowering, Infeasible> lower(const Model& model, const Workload& workload, const Strategy& strategy,
                                         const Placement& placement) {
  if (auto refusal = check_strategy(model, workload, strategy, placement)) return *refusal;
  Lowering lowering = Lowerer({model, workload, strategy, placement}).run();
  if (auto refusal = check_collective_order(strategy, lowering.graph)) return *refusal;
  return lowering;
}

Flops model_flops(const Model& model, const Workload& workload, const Strategy& strategy) {
  const double tokens = static_cast<double>(workload.global_batch * workload.sequence_length);
  const double sequence = static_cast<double>(workload.sequence_length);
  const double kept = kept_copies(strategy, model.experts);
  const auto block_flops = [&](std::int32_t index) {
    Flops sum;
    const OperatorGraph& graph = model.blocks[static_cast<std::size_t>(index)].graph;
    for (const auto vertex : boost::make_iterator_range(vertices(graph)))
      sum += model_forward_flops(graph[vertex], tokens, sequence) * (graph[vertex].routed ? kept : 1);
    return sum;
  };
  std::vector<Flops> by_block;
  for (std::size_t i = 0; i < model.blocks.size(); ++i) by_block.push_back(block_flops(static_cast<std::int32_t>(i)));
  Flops sum;
  if (model.head >= 0) sum += by_block[static_cast<std::size_t>(model.head)];
  for (const std::int32_t layer : model.layers) sum += by_block[static_cast<std::size_t>(layer)];
  return sum * 3;
}

}  // namespace echelon
