#include "strategies/lower.h"

#include <algorithm>
#include <map>

#include "strategies/block_memory.h"
#include "strategies/intra/intra.h"
#include "strategies/mesh.h"
#include "strategies/pipeline/schedule.h"
#include "strategies/placement/stages.h"
#include "strategies/state.h"

namespace echelon {

namespace {

// Gradient buckets are reduced once they hold this many elements (Megatron-LM distributed_data_parallel_config.py:
// bucket_size = max(40,000,000, 1,000,000 * data-parallel size)).
constexpr double bucket_elements = 40e6;

// Parameter gathers in flight at once, the running layer's included (FSDP limit_all_gathers, PyTorch documentation).
constexpr std::size_t gathers_in_flight = 2;

double elements_of(const LayerProgram& program, bool routed) {
  double sum = 0;
  for (const Step& step : program.steps)
    if (const Operator* op = std::get_if<Operator>(&step); op != nullptr && op->routed == routed) sum += op->parameters;
  return sum;
}

// One layer (or the embedding, or the head) of a stage: the grain in which state is gathered and reduced.
struct Unit {
  std::int32_t block = 0;
  bool recomputed = false;
};

struct BlockFacts {
  double dense = 0;  // elements of one rank
  double routed = 0;
  BlockMemory memory;          // with the strategy's recompute
  BlockMemory memory_without;  // for layers past recompute_layers
};

class Lowerer {
 public:
  Lowerer(const Model& model, const Workload& workload, const Strategy& strategy, const Placement& placement)
      : model_(model), workload_(workload), strategy_(strategy), placement_(placement) {}

  Lowering run() {
    describe_machine();
    describe_blocks();
    lay_stages();
    const auto ranks = static_cast<std::size_t>(strategy_.mesh.pipeline);
    lowering_.graph.programs.resize(ranks);
    sent_forward_.assign(stages_.size() * micro_batches(), {});
    sent_backward_ = sent_forward_;
    for (std::size_t rank = 0; rank < ranks; ++rank) emit_rank(rank);
    resolve();
    for (std::size_t rank = 0; rank < ranks; ++rank) emit_step(rank);
    return std::move(lowering_);
  }

 private:
  // -- what the rank's share of the model is ------------------------------------------------------------------------

  std::size_t micro_batches() const { return static_cast<std::size_t>(lowering_.micro_batches); }
  std::size_t stage_of(std::size_t rank, std::int32_t chunk) const {
    return static_cast<std::size_t>(chunk) * static_cast<std::size_t>(strategy_.mesh.pipeline) + rank;
  }

  void describe_machine() {
    const Mesh& mesh = strategy_.mesh;
    for (const auto& axis : enum_names<Axis>)
      lowering_.groups[static_cast<std::size_t>(axis.value)] = axis_layout(mesh, axis.value, placement_.gpus_per_node);
    data_group_ = data_with_context_layout(mesh, placement_.gpus_per_node);
    expert_group_ = expert_data_layout(mesh, placement_.gpus_per_node);
    shard_group_ = data_group_;
    if (strategy_.sharding == Sharding::hybrid) {
      const std::int64_t wanted = strategy_.shard_ranks > 0 ? strategy_.shard_ranks : placement_.gpus_per_node;
      shard_group_.ranks = std::min(data_group_.ranks, wanted);
      shard_group_.ranks_per_node = std::min(shard_group_.ranks, data_group_.ranks_per_node);
      replica_group_ = {data_group_.ranks / shard_group_.ranks,
                        std::max<std::int64_t>(1, data_group_.ranks_per_node / shard_group_.ranks_per_node)};
    }
    Execution& execution = lowering_.execution;
    execution.style = strategy_.kernels;
    execution.attention = strategy_.attention;
    execution.dropout = strategy_.dropout;
    execution.activation_element = element_size(workload_.precision.compute);
    execution.linear_input_element = std::min(execution.activation_element, element_size(workload_.precision.matrix));
    lowering_.sequence = static_cast<double>(workload_.sequence_length);
    lowering_.sequences = static_cast<double>(strategy_.micro_batch);
    lowering_.tokens = lowering_.sequences * lowering_.sequence / static_cast<double>(mesh.context);
    lowering_.micro_batches = workload_.global_batch / mesh.data / strategy_.micro_batch;
  }

  Execution execution_of(const Block& block) const {
    Execution execution = lowering_.execution;
    if (strategy_.eager_loss && block.role == BlockRole::head) execution.style = KernelStyle::eager;
    return execution;
  }

  void describe_blocks() {
    for (const Block& block : model_.blocks) {
      LayerProgram program = local_program(block, strategy_);
      BlockFacts facts;
      facts.dense = elements_of(program, false);
      facts.routed = elements_of(program, true);
      const Execution execution = execution_of(block);
      const auto memory = [&](Recompute recompute) {
        return block_memory(program, block.role, strategy_, recompute, execution, lowering_.tokens, lowering_.sequence);
      };
      facts.memory = memory(strategy_.recompute);
      facts.memory_without = memory(Recompute::none);
      facts_.push_back(facts);
      lowering_.blocks.push_back(std::move(program));
    }
  }

  void lay_stages() {
    const auto counts = layers_by_stage(static_cast<std::int64_t>(model_.layers.size()), strategy_);
    std::size_t next = 0;
    for (std::size_t stage = 0; stage < counts.size(); ++stage) {
      std::vector<Unit> units;
      if (stage == 0) units.push_back({model_.embedding, false});
      for (std::int64_t i = 0; i < counts[stage]; ++i) {
        const bool again = strategy_.recompute != Recompute::none &&
                           (strategy_.recompute_layers == 0 || i < strategy_.recompute_layers);
        units.push_back({model_.layers[next++], again});
      }
      if (stage + 1 == counts.size()) units.push_back({model_.head, false});
      stages_.push_back(std::move(units));
    }
  }

  const BlockFacts& facts(const Unit& unit) const { return facts_[static_cast<std::size_t>(unit.block)]; }
  const BlockMemory& memory_of(const Unit& unit) const {
    return unit.recomputed ? facts(unit).memory : facts(unit).memory_without;
  }

  // -- sharding decisions -------------------------------------------------------------------------------------------

  bool gathers_by_layer() const {
    return (strategy_.sharding == Sharding::zero3 || strategy_.sharding == Sharding::hybrid) && shard_group_.ranks > 1;
  }
  // A pipeline keeps the gathered parameters and the unreduced gradients through all its micro-batches (torchtitan and
  // PyTorch's pipelining turn resharding and reduction off until the last backward).
  bool gathers_once() const { return strategy_.mesh.pipeline > 1; }
  bool keeps_gathered() const { return gathers_once() || !strategy_.reshard_after_forward; }
  bool reduces_every_micro_batch() const {
    return (gathers_by_layer() && !gathers_once()) || (strategy_.sharding == Sharding::zero2 && data_group_.ranks > 1);
  }
  bool reduces_by_layer(std::int32_t micro_batch) const {
    if (data_group_.ranks <= 1 || !strategy_.overlap_gradient_reduce) return false;
    return reduces_every_micro_batch() || micro_batch + 1 == lowering_.micro_batches;
  }
  // All of a rank's gradients once the pipeline has drained.
  bool reduces_at_the_end() const {
    return data_group_.ranks > 1 && !strategy_.overlap_gradient_reduce && !reduces_every_micro_batch();
  }

  CollectiveChain gather_chain(double dense, double routed) const {
    const Bytes element = gathered_weight(workload_);
    return chain(CollectiveKind::all_gather, element, shard_group_, dense, routed);
  }

  CollectiveChain chain(CollectiveKind kind, Bytes element, const GroupLayout& group, double dense,
                        double routed) const {
    CollectiveChain result;
    if (dense > 0 && group.ranks > 1) result.calls.push_back({kind, group, element * dense, 1});
    if (routed > 0 && expert_group_.ranks > 1) result.calls.push_back({kind, expert_group_, element * routed, 1});
    return result;
  }

  CollectiveChain reduce_chain(double dense, double routed) const {
    const Bytes element = element_size(workload_.precision.gradient_reduce);
    if (strategy_.sharding == Sharding::none)
      return chain(CollectiveKind::all_reduce, element, data_group_, dense, routed);
    CollectiveChain result = chain(CollectiveKind::reduce_scatter, element, shard_group_, dense, routed);
    if (strategy_.sharding == Sharding::hybrid && replica_group_.ranks > 1)
      result.calls.push_back(
          {CollectiveKind::all_reduce, replica_group_, element * (dense / static_cast<double>(shard_group_.ranks)), 1});
    return result;
  }

  // -- works --------------------------------------------------------------------------------------------------------

  WorkId add_work(Work work) {
    lowering_.works.push_back(std::move(work));
    return static_cast<WorkId>(lowering_.works.size() - 1);
  }

  Rerun rerun_of(const Unit& unit, Pass pass) const {
    if (!unit.recomputed || pass == Pass::forward || pass == Pass::weight_gradient) return Rerun::nothing;
    switch (strategy_.recompute) {
      case Recompute::none:
        return Rerun::nothing;
      case Recompute::selective:
        return Rerun::attention_core;
      case Recompute::selective_ops:
        return Rerun::alternate_products;
      case Recompute::full:
        return Rerun::everything;
    }
    return Rerun::nothing;
  }

  // The work of units [first, last) of a stage in one pass; the same id for the same question.
  WorkId compute_work(std::size_t stage, std::size_t first, std::size_t last, Pass pass) {
    const auto key = std::make_tuple(stage, first, last, pass);
    if (const auto found = compute_works_.find(key); found != compute_works_.end()) return found->second;
    ComputeWork work;
    for (std::size_t i = first; i < last; ++i) {
      const Unit& unit = stages_[stage][i];
      const LayerRun run{unit.block, pass, rerun_of(unit, pass), 1};
      if (!work.runs.empty() && work.runs.back().block == run.block && work.runs.back().rerun == run.rerun)
        work.runs.back().count += 1;
      else
        work.runs.push_back(run);
    }
    return compute_works_[key] = add_work(std::move(work));
  }

  // -- tasks --------------------------------------------------------------------------------------------------------

  Program& program(std::size_t rank) { return lowering_.graph.programs[rank]; }

  static TaskReference reference(std::size_t rank, TaskId task) { return {static_cast<std::int32_t>(rank), task}; }

  // A dependence on a message that may not have been laid down yet: resolved when all programs stand.
  void await(Program& into, std::size_t slot, bool forward) {
    into.depend({-1, static_cast<TaskId>(awaited_.size())});
    awaited_.push_back({slot, forward});
  }

  void resolve() {
    for (Program& one : lowering_.graph.programs)
      for (TaskReference& on : one.dependences)
        if (on.program < 0) {
          const auto [slot, forward] = awaited_[static_cast<std::size_t>(on.task)];
          on = forward ? sent_forward_[slot] : sent_backward_[slot];
        }
  }

  void emit_rank(std::size_t rank) {
    const ScheduleShape shape{strategy_.mesh.pipeline, lowering_.micro_batches, strategy_.virtual_stages};
    gathered_.clear();
    pending_dense_ = pending_routed_ = 0;
    for (const Action& action : schedule_row(strategy_.schedule).order(shape, static_cast<std::int64_t>(rank))) {
      const std::size_t stage = stage_of(rank, action.chunk);
      if (action.pass == Pass::forward)
        emit_forward(rank, stage, action);
      else
        emit_backward(rank, stage, action);
    }
  }

  Task task_of(const Action& action, TaskKind kind, Stream stream) const {
    Task task;
    task.kind = kind;
    task.stream = stream;
    task.chunk = action.chunk;
    task.micro_batch = action.micro_batch;
    return task;
  }

  static TaskKind kind_of(Pass pass) {
    switch (pass) {
      case Pass::forward:
        return TaskKind::forward;
      case Pass::backward:
        return TaskKind::backward;
      case Pass::input_gradient:
        return TaskKind::input_gradient;
      case Pass::weight_gradient:
        return TaskKind::weight_gradient;
    }
    return TaskKind::forward;
  }

  std::size_t message_slot(std::size_t stage, const Action& action) const {
    return stage * micro_batches() + static_cast<std::size_t>(action.micro_batch);
  }

  bool gathers_units(const Action& action) const {
    return gathers_by_layer() || (strategy_.overlap_parameter_gather && action.pass == Pass::forward &&
                                  action.micro_batch == 0 && updates_sharded_weights());
  }
  // ZeRO-1 and ZeRO-2 gather the weights that the optimizer updated, once an iteration.
  bool updates_sharded_weights() const {
    return (strategy_.sharding == Sharding::zero1 || strategy_.sharding == Sharding::zero2) && data_group_.ranks > 1;
  }

  void emit_forward(std::size_t rank, std::size_t stage, const Action& action) {
    const std::size_t units = stages_[stage].size();
    if (!gathers_units(action)) {
      emit_pass(rank, stage, action, 0, units, -1);
    } else {
      std::vector<TaskId> passes;
      for (std::size_t unit = 0; unit < units; ++unit) {
        const TaskId gather = emit_gather(rank, stage, unit, action, passes);
        passes.push_back(emit_pass(rank, stage, action, unit, unit + 1, gather));
        if (gather >= 0 && gathers_by_layer() && !keeps_gathered() && !is_root(stages_[stage][unit]))
          release_gathered(rank, stages_[stage][unit]);
      }
    }
    send(rank, stage, action, true);
  }

  void emit_backward(std::size_t rank, std::size_t stage, const Action& action) {
    const std::size_t units = stages_[stage].size();
    const bool weights = action.pass != Pass::input_gradient;
    const bool by_layer = weights && reduces_by_layer(action.micro_batch);
    const bool gathers = gathers_by_layer() && !keeps_gathered();
    if (!by_layer && !gathers_by_layer()) {
      emit_pass(rank, stage, action, 0, units, -1);
    } else {
      std::vector<TaskId> passes;
      for (std::size_t i = units; i-- > 0;) {
        const Unit& unit = stages_[stage][i];
        TaskId gather = -1;
        if (gathers && !is_root(unit)) gather = emit_gather(rank, stage, i, action, passes);
        const TaskId pass = emit_pass(rank, stage, action, i, i + 1, gather);
        passes.push_back(pass);
        if (gathers_by_layer() && !(gathers_once() && action.micro_batch + 1 < lowering_.micro_batches) && weights)
          release_gathered(rank, unit);
        if (by_layer) emit_bucket(rank, action, unit, pass, i == 0);
      }
    }
    if (action.pass != Pass::weight_gradient) send(rank, stage, action, false);
    if (weights && reduces_every_micro_batch() && !by_layer) emit_stage_reduce(rank, stage, action);
  }

  // Embedding and head form FSDP's root group: gathered at the start of the forward pass and kept to the end of the
  // backward.
  bool is_root(const Unit& unit) const {
    return model_.blocks[static_cast<std::size_t>(unit.block)].role != BlockRole::layer;
  }

  TaskId emit_gather(std::size_t rank, std::size_t stage, std::size_t index, const Action& action,
                     const std::vector<TaskId>& passes) {
    const Unit& unit = stages_[stage][index];
    if (gathers_by_layer() && gathers_once()) {
      const auto key = std::make_pair(stage, index);
      if (gathered_[key]) return -1;
      gathered_[key] = true;
    }
    const WorkId work = gather_work(unit);
    Task task = task_of(action, TaskKind::parameter_gather,
                        strategy_.overlap_parameter_gather ? Stream::data : Stream::compute);
    task.work = work;
    task.layer = static_cast<std::int32_t>(index);
    const TaskId id = program(rank).append(task);
    if (passes.size() >= gathers_in_flight)
      program(rank).depend(reference(rank, passes[passes.size() - gathers_in_flight]));
    if (gathers_by_layer())
      program(rank).effect({MemoryCategory::parameters, Bytes(0),
                            compute_weight(workload_) * (facts(unit).dense + facts(unit).routed), Bytes(0)});
    return id;
  }

  WorkId gather_work(const Unit& unit) {
    const auto found = gather_works_.find(unit.block);
    if (found != gather_works_.end()) return found->second;
    return gather_works_[unit.block] = add_work(gather_chain(facts(unit).dense, facts(unit).routed));
  }

  void release_gathered(std::size_t rank, const Unit& unit) {
    program(rank).effect({MemoryCategory::parameters, Bytes(0), Bytes(0),
                          -(compute_weight(workload_) * (facts(unit).dense + facts(unit).routed))});
  }

  // Units [first, last) of a stage as one compute task.
  TaskId emit_pass(std::size_t rank, std::size_t stage, const Action& action, std::size_t first, std::size_t last,
                   TaskId gather) {
    Program& into = program(rank);
    const bool forward = action.pass == Pass::forward;
    const bool opens = forward ? first == 0 : last == stages_[stage].size();
    Task task = task_of(action, kind_of(action.pass), Stream::compute);
    task.work = compute_work(stage, first, last, action.pass);
    task.layer = last - first == stages_[stage].size() ? -1 : static_cast<std::int32_t>(first);
    task.syncs_host = opens && strategy_.synchronous_pipeline && strategy_.mesh.pipeline > 1;
    const TaskId id = into.append(task);
    if (gather >= 0) into.depend(reference(rank, gather));
    if (opens && strategy_.mesh.pipeline > 1 && action.pass != Pass::weight_gradient) {
      if (forward && stage > 0) await(into, message_slot(stage - 1, action), true);
      if (!forward && stage + 1 < stages_.size()) await(into, message_slot(stage + 1, action), false);
    }
    memory_effects(into, stage, action.pass, first, last);
    return id;
  }

  void memory_effects(Program& into, std::size_t stage, Pass pass, std::size_t first, std::size_t last) {
    Bytes kept;
    Bytes for_weights;
    Bytes forward_extra;
    Bytes backward_extra;
    for (std::size_t i = first; i < last; ++i) {
      const BlockMemory& memory = memory_of(stages_[stage][i]);
      kept += memory.kept;
      for_weights += memory.kept_for_weights;
      forward_extra = std::max(forward_extra, memory.forward_extra);
      backward_extra = std::max(backward_extra, memory.backward_extra);
    }
    switch (pass) {
      case Pass::forward:
        into.effect({MemoryCategory::activations, forward_extra, kept, Bytes(0)});
        return;
      case Pass::backward:
        into.effect({MemoryCategory::activations, backward_extra, Bytes(0), -kept});
        return;
      case Pass::input_gradient:
        into.effect({MemoryCategory::activations, backward_extra, Bytes(0), for_weights - kept});
        return;
      case Pass::weight_gradient:
        into.effect({MemoryCategory::activations, Bytes(0), Bytes(0), -for_weights});
        return;
    }
  }

  // -- gradient reduction -------------------------------------------------------------------------------------------

  // Adds a layer's gradients to the open bucket and reduces it when it is full; whole layers where parameters are
  // gathered by layer.
  void emit_bucket(std::size_t rank, const Action& action, const Unit& unit, TaskId pass, bool last) {
    pending_dense_ += facts(unit).dense;
    pending_routed_ += facts(unit).routed;
    if (!last && !gathers_by_layer() && pending_dense_ + pending_routed_ < bucket_elements) return;
    Task task = task_of(action, TaskKind::gradient_reduce, Stream::data);
    task.work = reduce_work(pending_dense_, pending_routed_);
    const TaskId id = program(rank).append(task);
    program(rank).depend(reference(rank, pass));
    if (gathers_by_layer()) {  // the unsharded gradients live until they are reduced
      const Bytes full = element_size(workload_.precision.gradient_reduce) * (pending_dense_ + pending_routed_);
      program(rank).effect({MemoryCategory::gradients, full, Bytes(0), Bytes(0)});
    }
    last_reduce_[rank] = id;
    pending_dense_ = pending_routed_ = 0;
  }

  WorkId reduce_work(double dense, double routed) {
    const auto key = std::make_pair(dense, routed);
    if (const auto found = reduce_works_.find(key); found != reduce_works_.end()) return found->second;
    return reduce_works_[key] = add_work(reduce_chain(dense, routed));
  }

  // All of a stage's gradients after its backward pass, with nothing beside it.
  void emit_stage_reduce(std::size_t rank, std::size_t stage, const Action& action) {
    double dense = 0;
    double routed = 0;
    for (const Unit& unit : stages_[stage]) {
      dense += facts(unit).dense;
      routed += facts(unit).routed;
    }
    emit_reduce(rank, dense, routed, action);
  }

  void emit_reduce(std::size_t rank, double dense, double routed, const Action& action) {
    Task task = task_of(action, TaskKind::gradient_reduce, Stream::compute);
    task.work = reduce_work(dense, routed);
    program(rank).append(task);
  }

  // -- messages between stages --------------------------------------------------------------------------------------

  void send(std::size_t rank, std::size_t stage, const Action& action, bool forward) {
    const auto ranks = static_cast<std::size_t>(strategy_.mesh.pipeline);
    const bool has_receiver = forward ? stage + 1 < stages_.size() : stage > 0;
    if (ranks == 1 || !has_receiver) return;
    Task task = task_of(action, forward ? TaskKind::send_activation : TaskKind::send_gradient,
                        strategy_.overlap_pipeline ? Stream::pipeline : Stream::compute);
    task.work = transfer_work(rank, forward);
    Program& into = program(rank);
    const TaskId producer = static_cast<TaskId>(into.tasks.size()) - 1;
    const TaskId id = into.append(task);
    if (strategy_.overlap_pipeline) into.depend(reference(rank, last_compute(into, producer)));
    (forward ? sent_forward_ : sent_backward_)[message_slot(stage, action)] = reference(rank, id);
  }

  static TaskId last_compute(const Program& into, TaskId from) {
    while (into.tasks[static_cast<std::size_t>(from)].stream != Stream::compute) --from;
    return from;
  }

  // Hidden states of one micro-batch; sequence parallelism sends each rank's share, and so does Megatron's
  // scatter-gather optimisation (arXiv:2104.04473, section 4.1).
  WorkId transfer_work(std::size_t rank, bool forward) {
    const auto ranks = static_cast<std::int64_t>(strategy_.mesh.pipeline);
    const auto here = static_cast<std::int64_t>(rank);
    const std::int64_t lower = forward ? here : here - 1;
    const bool wraps = lower < 0 || lower + 1 >= ranks;
    const bool same_node = wraps ? axis_stride(strategy_.mesh, Axis::pipeline) * ranks <= placement_.gpus_per_node
                                 : pipeline_neighbours_share_node(strategy_.mesh, lower, placement_.gpus_per_node);
    if (transfer_works_[same_node] >= 0) return transfer_works_[same_node];
    const bool divided = strategy_.sequence_parallel || strategy_.divides_messages;
    const double share = divided ? 1.0 / static_cast<double>(strategy_.mesh.tensor) : 1.0;
    const Bytes bytes =
        lowering_.execution.activation_element * (lowering_.tokens * static_cast<double>(model_.hidden) * share);
    return transfer_works_[same_node] = add_work(TransferWork{bytes, same_node});
  }

  // -- the optimizer step -------------------------------------------------------------------------------------------

  struct StageState {
    double dense = 0;
    double routed = 0;
    double tensors = 0;
  };

  // The last stage of a pipeline needs a table of its own for a tied output projection.
  bool holds_tied_copy(const Unit& unit) const {
    return model_.tied_embeddings && strategy_.mesh.pipeline > 1 && unit.block == model_.head;
  }

  StageState state_of(std::size_t rank) const {
    StageState state;
    for (std::int32_t chunk = 0; chunk < strategy_.virtual_stages; ++chunk)
      for (const Unit& unit : stages_[stage_of(rank, chunk)]) {
        state.dense += facts(unit).dense;
        state.routed += facts(unit).routed;
        if (holds_tied_copy(unit)) state.dense += facts_[static_cast<std::size_t>(model_.embedding)].dense;
        for (const Step& step : lowering_.blocks[static_cast<std::size_t>(unit.block)].steps)
          if (const Operator* op = std::get_if<Operator>(&step); op != nullptr && op->parameters > 0)
            state.tensors += 1;
      }
    return state;
  }

  void emit_step(std::size_t rank) {
    const StageState state = state_of(rank);
    Program& into = program(rank);
    const Action closing{Pass::backward, 0, static_cast<std::int32_t>(lowering_.micro_batches - 1)};
    if (reduces_at_the_end()) emit_reduce(rank, state.dense, state.routed, closing);
    emit_tied_embedding(rank, closing);
    const double shards = static_cast<double>(shard_group_.ranks);
    const double expert_shards = static_cast<double>(std::max<std::int64_t>(1, expert_group_.ranks));
    const bool sharded = strategy_.sharding != Sharding::none;
    const double own = sharded ? state.dense / shards + state.routed / expert_shards : state.dense + state.routed;
    Task task = task_of(closing, TaskKind::optimizer, Stream::compute);
    task.work = add_work(OptimizerWork{own, optimizer_traffic(workload_), state.tensors});
    into.append(task);
    if (const auto reduce = last_reduce_.find(rank); reduce != last_reduce_.end())
      into.depend(reference(rank, reduce->second));
    wait_for_all_ranks(into, rank);
    if (updates_sharded_weights() && !strategy_.overlap_parameter_gather) {
      Task gather = task_of(closing, TaskKind::parameter_gather, Stream::compute);
      gather.work = add_work(gather_chain(state.dense, state.routed));
      into.append(gather);
    }
    lowering_.parameters.push_back(state.dense + state.routed);
    lowering_.resident.push_back(resident_memory(state));
  }

  // The gradient norm is reduced over all ranks before any optimizer step.
  void wait_for_all_ranks(Program& into, std::size_t rank) {
    for (std::size_t other = 0; other < lowering_.graph.programs.size(); ++other) {
      if (other == rank) continue;
      const Program& theirs = lowering_.graph.programs[other];
      into.depend(reference(other, other < rank ? last_before_optimizer(theirs)
                                                : last_compute(theirs, static_cast<TaskId>(theirs.tasks.size()) - 1)));
    }
  }

  static TaskId last_before_optimizer(const Program& theirs) {
    auto task = static_cast<TaskId>(theirs.tasks.size()) - 1;
    while (theirs.tasks[static_cast<std::size_t>(task)].kind != TaskKind::optimizer) --task;
    return last_compute(theirs, task - 1);
  }

  // First and last stage hold copies of a tied table and add up their gradients.
  void emit_tied_embedding(std::size_t rank, const Action& closing) {
    const auto ranks = lowering_.graph.programs.size();
    if (!model_.tied_embeddings || ranks == 1 || (rank != 0 && rank + 1 != ranks)) return;
    if (tied_work_ < 0) {
      const double elements = facts_[static_cast<std::size_t>(model_.embedding)].dense;
      const GroupLayout pair{
          2, axis_stride(strategy_.mesh, Axis::pipeline) * strategy_.mesh.pipeline <= placement_.gpus_per_node ? 2 : 1};
      tied_work_ = add_work(CollectiveChain{
          {{CollectiveKind::all_reduce, pair, element_size(workload_.precision.gradient_reduce) * elements, 1}}});
    }
    Task task = task_of(closing, TaskKind::gradient_reduce, Stream::compute);
    task.work = tied_work_;
    program(rank).append(task);
  }

  MemoryByCategory resident_memory(const StageState& state) const {
    const StateBytes bytes = state_bytes(workload_);
    const ShardedState dense =
        sharded_state(state.dense, bytes, strategy_.sharding, static_cast<double>(shard_group_.ranks));
    const ShardedState routed = sharded_state(state.routed, bytes, strategy_.sharding,
                                              static_cast<double>(std::max<std::int64_t>(1, expert_group_.ranks)));
    MemoryByCategory memory{};
    const auto at = [&memory](MemoryCategory category) -> Bytes& { return memory[static_cast<std::size_t>(category)]; };
    at(MemoryCategory::parameters) = dense.parameters + routed.parameters;
    at(MemoryCategory::gradients) = dense.gradients + routed.gradients;
    at(MemoryCategory::optimizer) = dense.optimizer + routed.optimizer;
    return memory;
  }

  const Model& model_;
  const Workload& workload_;
  const Strategy& strategy_;
  const Placement& placement_;
  Lowering lowering_;
  GroupLayout data_group_;
  GroupLayout expert_group_;
  GroupLayout shard_group_;
  GroupLayout replica_group_;
  std::vector<BlockFacts> facts_;
  std::vector<std::vector<Unit>> stages_;
  std::vector<TaskReference> sent_forward_;  // [stage * micro-batches + micro-batch]
  std::vector<TaskReference> sent_backward_;
  std::vector<std::pair<std::size_t, bool>> awaited_;
  std::map<std::tuple<std::size_t, std::size_t, std::size_t, Pass>, WorkId> compute_works_;
  std::map<std::int32_t, WorkId> gather_works_;
  std::map<std::pair<double, double>, WorkId> reduce_works_;
  std::array<WorkId, 2> transfer_works_{-1, -1};  // by same_node
  std::map<std::size_t, TaskId> last_reduce_;
  std::map<std::pair<std::size_t, std::size_t>, bool> gathered_;
  WorkId tied_work_ = -1;
  double pending_dense_ = 0;
  double pending_routed_ = 0;
};

}  // namespace

std::variant<Lowering, Infeasible> lower(const Model& model, const Workload& workload, const Strategy& strategy,
                                         const Placement& placement) {
  if (auto refusal = check_strategy(model, workload, strategy, placement)) return *refusal;
  return Lowerer(model, workload, strategy, placement).run();
}

Flops model_flops(const Model& model, const Workload& workload) {
  const double tokens = static_cast<double>(workload.global_batch * workload.sequence_length);
  const double sequence = static_cast<double>(workload.sequence_length);
  const auto block_flops = [&](std::int32_t index) {
    Flops sum;
    const OperatorGraph& graph = model.blocks[static_cast<std::size_t>(index)].graph;
    for (const auto vertex : boost::make_iterator_range(vertices(graph)))
      sum += model_forward_flops(graph[vertex], tokens, sequence);
    return sum;
  };
  std::vector<Flops> by_block;
  for (std::size_t i = 0; i < model.blocks.size(); ++i) by_block.push_back(block_flops(static_cast<std::int32_t>(i)));
  Flops sum = by_block[static_cast<std::size_t>(model.head)];
  for (const std::int32_t layer : model.layers) sum += by_block[static_cast<std::size_t>(layer)];
  return sum * 3;
}

}  // namespace echelon
