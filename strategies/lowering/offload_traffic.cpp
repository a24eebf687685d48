#include "strategies/lowering/offload_traffic.h"

#include <algorithm>

#include "strategies/lowering/tasks.h"
#include "strategies/pipeline/slices.h"
#include "strategies/state.h"

namespace echelon {

namespace {

constexpr std::size_t buffers = 2;

// While a layer runs, the gather of the next may run and the copy of the shard after that (ZeRO-Infinity's prefetcher,
// arXiv:2104.07857, section 6.2).
constexpr std::size_t shards_in_flight = 3;
constexpr std::size_t layers_in_flight = 2;

// The task appended last waits until at most `most` - 1 of `earlier` have not ended.
void wait_for_room(Program& program, std::size_t rank, const std::vector<TaskId>& earlier, std::size_t most) {
  if (earlier.size() >= most) program.depend(reference(rank, earlier[earlier.size() - most]));
}

}  // namespace

OffloadTraffic::OffloadTraffic(const LoweringInput& input, const StageShare& share, const DataSharding& sharding,
                               Lowering& into)
    : strategy_(input.strategy), workload_(input.workload), share_(share), sharding_(sharding), into_(into) {}

void OffloadTraffic::begin_rank() {
  taken_.clear();
  activations_down_.clear();
  gradients_down_.clear();
  on_host_ = Bytes(0);
}

void OffloadTraffic::begin_action(std::size_t rank) {
  const Program& program = into_.graph.programs[rank];
  before_action_ = program.tasks.empty() ? std::nullopt : std::optional(last_task(program));
  bringing_.clear();
}

bool OffloadTraffic::splits(const Action& action) const {
  if (strategy_.offload.activation_layers > 0) return true;
  return sharding_.sheds_unreduced() && action.pass != Pass::forward && action.pass != Pass::input_gradient;
}

OffloadTraffic::Slot OffloadTraffic::slot_of(const UnitPass& pass) {
  return {pass.stage, pass.index, pass.action.micro_batch, pass.action.slice};
}

StageState OffloadTraffic::unit_state(const UnitPass& pass) const {
  const BlockFacts& facts = share_.facts(share_.units(pass.stage)[pass.index]);
  return {facts.dense, facts.routed, static_cast<double>(facts.tensors.size()), into_.kind_of[pass.rank]};
}

bool OffloadTraffic::takes(const UnitPass& pass) const {
  return share_.units(pass.stage)[pass.index].offloaded;
}

Bytes OffloadTraffic::activation_bytes(const UnitPass& pass) const {
  const BlockMemory& memory = share_.memory(share_.units(pass.stage)[pass.index]);
  return memory.kept * slice_part(strategy_, into_.sequence, pass.action.slice).share;
}

Bytes OffloadTraffic::shard_bytes(const UnitPass& pass) const {
  return state_bytes(workload_).weight * sharding_.owned_elements(unit_state(pass));
}

WorkId OffloadTraffic::copy_work(std::size_t rank, Bytes bytes, CopyDirection direction, OffloadTarget target) {
  const auto key = std::make_tuple(into_.kind_of[rank], bytes.value(), direction, target);
  if (const auto found = works_.find(key); found != works_.end()) return found->second;
  return works_[key] = add_work(into_, rank, HostCopy{bytes, direction, target});
}

TaskId OffloadTraffic::append_copy(std::size_t rank, const Action& action, Stream stream, WorkId work) {
  const auto& copy = std::get<HostCopy>(into_.works[static_cast<std::size_t>(work)]);
  const TaskKind kind = copy.direction == CopyDirection::to_host ? TaskKind::copy_to_host : TaskKind::copy_from_host;
  return into_.graph.programs[rank].append(task_of(action, kind, stream, work));
}

std::optional<TaskId> OffloadTraffic::bring_activations(const UnitPass& pass) {
  if (!takes(pass) || pass.action.pass == Pass::forward || pass.action.pass == Pass::weight_gradient)
    return std::nullopt;
  Program& program = into_.graph.programs[pass.rank];
  const Bytes bytes = activation_bytes(pass);
  const TaskId id = append_copy(pass.rank, pass.action, Stream::from_host,
                                copy_work(pass.rank, bytes, CopyDirection::from_host, OffloadTarget::host));
  program.depend(reference(pass.rank, taken_.at(slot_of(pass))));
  if (bringing_.size() >= buffers)
    wait_for_room(program, pass.rank, bringing_, buffers);
  else if (before_action_)
    program.depend(reference(pass.rank, last_compute(program, *before_action_)));
  program.effect({MemoryCategory::activations, Bytes(0), bytes, Bytes(0)});
  on_host_ -= bytes;
  return id;
}

void OffloadTraffic::hold_back(const UnitPass& pass, TaskId task) {
  if (!takes(pass)) return;
  if (pass.action.pass == Pass::forward)
    wait_for_room(into_.graph.programs[pass.rank], pass.rank, activations_down_, buffers);
  else
    bringing_.push_back(task);
}

void OffloadTraffic::take_activations(const UnitPass& pass, TaskId task) {
  if (!takes(pass) || pass.action.pass != Pass::forward) return;
  Program& program = into_.graph.programs[pass.rank];
  const Bytes bytes = activation_bytes(pass);
  const TaskId id = append_copy(pass.rank, pass.action, Stream::to_host,
                                copy_work(pass.rank, bytes, CopyDirection::to_host, OffloadTarget::host));
  program.depend(reference(pass.rank, task));
  program.effect({MemoryCategory::activations, Bytes(0), Bytes(0), -bytes});
  taken_[slot_of(pass)] = id;
  activations_down_.push_back(id);
  on_host_ += bytes;
  Bytes& most = most_on_host_[pass.rank];
  most = std::max(most, on_host_);
}

std::optional<TaskId> OffloadTraffic::bring_parameters(const UnitPass& pass, const std::vector<TaskId>& passes) {
  const OffloadTarget target = strategy_.offload.parameters;
  if (target == OffloadTarget::none) return std::nullopt;
  const Bytes bytes = shard_bytes(pass);
  const TaskId id = append_copy(pass.rank, pass.action, Stream::from_host,
                                copy_work(pass.rank, bytes, CopyDirection::from_host, target));
  Program& program = into_.graph.programs[pass.rank];
  wait_for_room(program, pass.rank, passes, sharding_.shares_parameters() ? shards_in_flight : layers_in_flight);
  if (sharding_.shares_parameters()) program.effect({MemoryCategory::parameters, Bytes(0), bytes, Bytes(0)});
  return id;
}

void OffloadTraffic::release_shard(const UnitPass& pass) {
  into_.graph.programs[pass.rank].effect({MemoryCategory::parameters, Bytes(0), Bytes(0), -shard_bytes(pass)});
}

void OffloadTraffic::shed_gradients(std::size_t rank, const Action& action, const StageState& part) {
  if (!sharding_.sheds_gradients()) return;
  Program& program = into_.graph.programs[rank];
  const TaskId producer = last_task(program);
  const Bytes bytes = sharding_.owned_gradients(part);
  program.effect({MemoryCategory::gradients, Bytes(0), bytes, Bytes(0)});
  wait_for_room(program, rank, gradients_down_, buffers);
  const TaskId id =
      append_copy(rank, action, Stream::to_host, copy_work(rank, bytes, CopyDirection::to_host, OffloadTarget::host));
  program.depend(reference(rank, producer));
  program.effect({MemoryCategory::gradients, Bytes(0), Bytes(0), -bytes});
  gradients_down_.push_back(id);
  last_shed_[rank] = id;
}

void OffloadTraffic::shed_unreduced(const UnitPass& pass) {
  const bool complete = pass.action.pass == Pass::backward || pass.action.pass == Pass::weight_gradient;
  if (complete && sharding_.sheds_unreduced()) shed_gradients(pass.rank, pass.action, unit_state(pass));
}

void OffloadTraffic::close_gradients(std::size_t rank, const Action& closing, const StageState& state) {
  if (strategy_.offload.optimizer == OffloadTarget::none || last_shed_.count(rank) > 0) return;
  const Bytes bytes = sharding_.owned_gradients(state);
  append_copy(rank, closing, Stream::compute, copy_work(rank, bytes, CopyDirection::to_host, OffloadTarget::host));
  if (sharding_.sheds_gradients())
    into_.graph.programs[rank].effect({MemoryCategory::gradients, bytes, Bytes(0), Bytes(0)});
}

OptimizerWork OffloadTraffic::step(const StageState& state) const {
  const double elements = sharding_.owned_elements(state);
  const OffloadTarget target = strategy_.offload.optimizer;
  if (target == OffloadTarget::none) return {elements, optimizer_traffic(workload_), target, Bytes(0)};
  return {elements, host_optimizer_traffic(workload_), target, host_state(workload_)};
}

std::optional<TaskId> OffloadTraffic::last_shed(std::size_t rank) const {
  const auto found = last_shed_.find(rank);
  return found == last_shed_.end() ? std::nullopt : std::optional(found->second);
}

// Weights that the host updated come up, unless they live there; those that the device updated go down where they do.
void OffloadTraffic::move_weights(std::size_t rank, const Action& closing, const StageState& state) {
  const OffloadTarget home = strategy_.offload.parameters;
  const bool on_host = strategy_.offload.optimizer != OffloadTarget::none;
  if (on_host != (home == OffloadTarget::none)) return;
  const Bytes bytes = state_bytes(workload_).weight * sharding_.owned_elements(state);
  append_copy(rank, closing, Stream::compute,
              on_host ? copy_work(rank, bytes, CopyDirection::from_host, OffloadTarget::host)
                      : copy_work(rank, bytes, CopyDirection::to_host, home));
}

void OffloadTraffic::bring_outer(std::size_t rank, const Action& closing, const OuterState& state) {
  const OffloadTarget home = strategy_.offload.outer;
  if (home == OffloadTarget::none) return;
  append_copy(rank, closing, Stream::compute, copy_work(rank, state.copied, CopyDirection::from_host, home));
  into_.graph.programs[rank].effect({MemoryCategory::optimizer, Bytes(0), state.held, Bytes(0)});
}

void OffloadTraffic::take_outer(std::size_t rank, const Action& closing, Bytes held) {
  const OffloadTarget home = strategy_.offload.outer;
  if (home == OffloadTarget::none) return;
  append_copy(rank, closing, Stream::compute, copy_work(rank, held, CopyDirection::to_host, home));
  into_.graph.programs[rank].effect({MemoryCategory::optimizer, Bytes(0), Bytes(0), -held});
}

// Gradients wait for the step in memory even where the states lie on drives. Weights that are fp32 are part of the
// states.
Bytes OffloadTraffic::host_memory(std::size_t rank, const StageState& state) const {
  const Offload& offload = strategy_.offload;
  const double owned = sharding_.owned_elements(state);
  const Bytes weight = state_bytes(workload_).weight;
  Bytes element;
  if (offload.optimizer != OffloadTarget::none) element += host_gradient();
  if (offload.optimizer == OffloadTarget::host) element += host_state(workload_);
  const bool among_states = offload.optimizer != OffloadTarget::none && weight >= Bytes(4);
  if (offload.parameters == OffloadTarget::host && !among_states) element += weight;
  const auto activations = most_on_host_.find(rank);
  return element * owned + (activations == most_on_host_.end() ? Bytes(0) : activations->second);
}

}  // namespace echelon
