#include "strategies/lowering/data_traffic.h"

#include <algorithm>
#include <iterator>

#include "strategies/lowering/tasks.h"
#include "strategies/state.h"

namespace echelon {

namespace {

// Parameter gathers in flight at once, the running layer's included (FSDP limit_all_gathers, PyTorch documentation).
constexpr std::size_t gathers_in_flight = 2;

double bucket_elements(const Strategy& strategy) {
  if (strategy.reduce_bucket_elements > 0) return strategy.reduce_bucket_elements;
  return std::max(40e6, 1e6 * static_cast<double>(strategy.mesh.data * strategy.mesh.context));
}

}  // namespace

DataTraffic::DataTraffic(const LoweringInput& input, const StageShare& share, const DataSharding& sharding,
                         OffloadTraffic& offload, Lowering& into)
    : strategy_(input.strategy),
      workload_(input.workload),
      share_(share),
      sharding_(sharding),
      offload_(offload),
      into_(into),
      gathered_(share.stage_count()) {}

void DataTraffic::begin_rank() {
  for (Gathered& units : gathered_) units.clear();
  accumulated_.clear();
  open_ = {};
}

DataTraffic::Gathered& DataTraffic::gathered(std::size_t stage) {
  return gathered_[stage];
}

std::optional<TaskId> DataTraffic::gather(std::size_t rank, std::size_t stage, std::size_t index, const Action& action,
                                          const std::vector<TaskId>& passes) {
  const StageUnit& unit = share_.units(stage)[index];
  if (sharding_.gathers_by_layer()) {
    Gathered& there = gathered(stage);
    there.resize(share_.units(stage).size());
    if (there[index]) return std::nullopt;
    there[index] = true;
  }
  Program& program = into_.graph.programs[rank];
  const UnitPass pass{rank, stage, index, action};
  const auto brought = offload_.bring_parameters(pass, passes);
  if (brought && !sharding_.shares_parameters()) {
    program.effect({MemoryCategory::parameters, Bytes(0), gathered_bytes(unit), Bytes(0)});
    return brought;
  }
  Task task = task_of(action, TaskKind::parameter_gather, gather_stream(), gather_work(rank, unit));
  task.layer = static_cast<std::int32_t>(index);
  const TaskId id = program.append(task);
  if (brought) {
    program.depend(reference(rank, *brought));
    offload_.release_shard(pass);
  }
  if (passes.size() >= gathers_in_flight) program.depend(reference(rank, passes[passes.size() - gathers_in_flight]));
  if (sharding_.gathers_by_layer())
    program.effect({MemoryCategory::parameters, Bytes(0), gathered_bytes(unit), Bytes(0)});
  return id;
}

// A hybrid's gathers wait for no reduction across replicas, which has a communicator and a stream of its own (PyTorch
// _fsdp_param_group.py, all_reduce_stream). They keep to the reductions' stream where BPipe's copies have the other.
Stream DataTraffic::gather_stream() const {
  if (!strategy_.overlap_parameter_gather) return Stream::compute;
  const bool apart = sharding_.reduces_in_two_steps() && strategy_.schedule != ScheduleKind::bpipe;
  return apart ? Stream::stages : Stream::data;
}

WorkId DataTraffic::gather_work(std::size_t rank, const StageUnit& unit) {
  const auto found = gather_works_.find(unit.block);
  if (found != gather_works_.end()) return found->second;
  const BlockFacts& facts = share_.facts(unit);
  return gather_works_[unit.block] =
             add_work(into_, rank, sharding_.gather_chain({facts.dense, facts.routed, 0, kind_of(rank)}));
}

Bytes DataTraffic::gathered_bytes(const StageUnit& unit) const {
  return compute_weight(workload_) * (share_.facts(unit).dense + share_.facts(unit).routed);
}

void DataTraffic::release(std::size_t rank, std::size_t stage, std::size_t index) {
  Gathered& there = gathered(stage);
  if (index >= there.size() || !there[index]) return;
  there[index] = false;
  const Bytes whole = gathered_bytes(share_.units(stage)[index]);
  into_.graph.programs[rank].effect({MemoryCategory::parameters, Bytes(0), Bytes(0), -whole});
}

void DataTraffic::accumulate(std::size_t rank, std::size_t stage, std::size_t index) {
  if (!accumulated_.insert({stage, index}).second) return;
  const BlockFacts& facts = share_.facts(share_.units(stage)[index]);
  const Bytes whole = sharding_.unsharded_gradients(facts.dense + facts.routed);
  into_.graph.programs[rank].effect({MemoryCategory::gradients, Bytes(0), whole, Bytes(0)});
}

// For the reduction that was appended last: whole gradients go when it ends.
void DataTraffic::hold_until_reduced(Program& program, double elements) const {
  const Bytes whole = sharding_.unsharded_gradients(elements);
  if (sharding_.accumulates_whole())
    program.effect({MemoryCategory::gradients, Bytes(0), Bytes(0), -whole});
  else if (sharding_.gathers_by_layer())
    program.effect({MemoryCategory::gradients, whole, Bytes(0), Bytes(0)});
}

std::vector<DataTraffic::Bucket> DataTraffic::filled_buckets(const BlockFacts& facts, bool last) {
  if (sharding_.gathers_by_layer()) return {{facts.dense, facts.routed}};
  const double full = bucket_elements(strategy_);
  std::vector<Bucket> filled;
  for (auto tensor = facts.tensors.rbegin(); tensor != facts.tensors.rend(); ++tensor) {
    double& open = tensor->routed ? open_.routed : open_.dense;
    open += tensor->elements;
    if (open < full) continue;
    filled.push_back(tensor->routed ? Bucket{0, open} : Bucket{open, 0});
    open = 0;
  }
  if (last && open_ != Bucket{}) filled.push_back(std::exchange(open_, {}));
  return filled;
}

void DataTraffic::reduce_unit(std::size_t rank, const Action& action, const StageUnit& unit, TaskId pass, bool last) {
  const std::vector<Bucket> buckets = filled_buckets(share_.facts(unit), last);
  if (buckets.empty()) return;
  StageState sum;
  sum.kind = kind_of(rank);
  for (const Bucket& bucket : buckets) {
    sum.dense += bucket.dense;
    sum.routed += bucket.routed;
  }
  Program& program = into_.graph.programs[rank];
  const Stream stream = sharding_.overlaps_reduction() ? Stream::data : Stream::compute;
  const TaskId id = program.append(task_of(action, TaskKind::gradient_reduce, stream, reduce_work(rank, buckets)));
  program.depend(reference(rank, pass));
  hold_until_reduced(program, sum.dense + sum.routed);
  if (stream == Stream::data) last_reduction_[rank] = id;
  offload_.shed_gradients(rank, action, sum);
}

WorkId DataTraffic::reduce_work(std::size_t rank, const std::vector<Bucket>& buckets) {
  const auto [found, is_new] = reduce_works_.try_emplace({kind_of(rank), buckets});
  if (!is_new) return found->second;
  CollectiveChain chain;
  for (const Bucket& bucket : buckets) {
    CollectiveChain calls = sharding_.reduce_chain({bucket.dense, bucket.routed, 0, kind_of(rank)});
    std::move(calls.calls.begin(), calls.calls.end(), std::back_inserter(chain.calls));
  }
  return found->second = add_work(into_, rank, std::move(chain));
}

void DataTraffic::reduce_stage(std::size_t rank, std::size_t stage, const Action& action) {
  const StageState state = share_.stage_state(stage);
  Program& program = into_.graph.programs[rank];
  program.append(
      task_of(action, TaskKind::gradient_reduce, Stream::compute, reduce_work(rank, {{state.dense, state.routed}})));
  offload_.shed_gradients(rank, action, state);
}

std::optional<TaskId> DataTraffic::last_reduction(std::size_t rank) const {
  const auto found = last_reduction_.find(rank);
  return found == last_reduction_.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace echelon
