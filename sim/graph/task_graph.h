// The task graph of one training iteration: what each class of alike ranks runs, on which stream, after what.
//
// A program belongs to one pipeline rank and stands for all the ranks that behave like it. Tasks of one stream run in
// the order in which they stand in the program; a dependence is an event between streams or programs. Tasks carry no
// durations: they name a `work`, and a table beside the graph says how long each work takes.
#pragma once

#include <boost/graph/adjacency_list.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/base/enum_names.h"
#include "sim/base/units.h"

namespace echelon {

// `stages` takes what pipeline ranks exchange beside the messages of their passes (collectives over all of them, copies
// between two), and gathers of shards that have replicas. The two before it are the copy engines of the host's link.
enum class Stream : std::uint8_t { compute, data, pipeline, to_host, from_host, stages };
inline constexpr std::size_t stream_count = 6;

template <>
inline constexpr auto enum_names<Stream> = std::to_array<EnumName<Stream>>({
    {Stream::compute, "compute"},
    {Stream::data, "data"},
    {Stream::pipeline, "pipeline"},
    {Stream::to_host, "to_host"},
    {Stream::from_host, "from_host"},
    {Stream::stages, "stages"},
});

enum class TaskKind : std::uint8_t {
  forward,
  backward,
  input_gradient,
  weight_gradient,
  send_activation,
  send_gradient,
  parameter_gather,
  gradient_reduce,
  optimizer,
  copy_to_host,
  copy_from_host,
  output_forward,  // a rank's share of the output layer, where all pipeline ranks share it
  output_backward,
  embedding_forward,
  embedding_backward,
  vocabulary_exchange,  // a collective over pipeline ranks that share vocabulary layers
  evict_activations,    // to another pipeline rank
  return_activations,
};

template <>
inline constexpr auto enum_names<TaskKind> = std::to_array<EnumName<TaskKind>>({
    {TaskKind::forward, "forward"},
    {TaskKind::backward, "backward"},
    {TaskKind::input_gradient, "input_gradient"},
    {TaskKind::weight_gradient, "weight_gradient"},
    {TaskKind::send_activation, "send_activation"},
    {TaskKind::send_gradient, "send_gradient"},
    {TaskKind::parameter_gather, "parameter_gather"},
    {TaskKind::gradient_reduce, "gradient_reduce"},
    {TaskKind::optimizer, "optimizer"},
    {TaskKind::copy_to_host, "copy_to_host"},
    {TaskKind::copy_from_host, "copy_from_host"},
    {TaskKind::output_forward, "output_forward"},
    {TaskKind::output_backward, "output_backward"},
    {TaskKind::embedding_forward, "embedding_forward"},
    {TaskKind::embedding_backward, "embedding_backward"},
    {TaskKind::vocabulary_exchange, "vocabulary_exchange"},
    {TaskKind::evict_activations, "evict_activations"},
    {TaskKind::return_activations, "return_activations"},
});

enum class MemoryCategory : std::uint8_t {
  parameters,
  gradients,
  optimizer,
  activations,
  workspace,
  communication,
  framework,
  fragmentation,
};
inline constexpr std::size_t memory_category_count = 8;

template <>
inline constexpr auto enum_names<MemoryCategory> = std::to_array<EnumName<MemoryCategory>>({
    {MemoryCategory::parameters, "parameters"},
    {MemoryCategory::gradients, "gradients"},
    {MemoryCategory::optimizer, "optimizer"},
    {MemoryCategory::activations, "activations"},
    {MemoryCategory::workspace, "workspace"},
    {MemoryCategory::communication, "communication"},
    {MemoryCategory::framework, "framework"},
    {MemoryCategory::fragmentation, "fragmentation"},
});

// Bytes taken when a task starts and given back when it ends (negative `kept` frees what an earlier task kept).
struct MemoryEffect {
  MemoryCategory category = MemoryCategory::activations;
  Bytes transient;  // held only while the task runs
  Bytes at_start;   // added (or removed) when the task starts, and stays
  Bytes at_end;     // added (or removed) when the task ends, and stays
};

using WorkId = std::int32_t;
using TaskId = std::int32_t;

struct TaskReference {
  std::int32_t program = 0;
  TaskId task = 0;
  friend bool operator==(const TaskReference&, const TaskReference&) = default;
};

struct Task {
  WorkId work = -1;
  TaskKind kind = TaskKind::forward;
  Stream stream = Stream::compute;
  bool syncs_host = false;  // the host waits for the stream before it issues this task
  std::int32_t chunk = 0;
  std::int32_t layer = -1;  // position in the chunk where a chunk is issued layer by layer
  std::int32_t micro_batch = 0;
  std::int32_t dependences = 0;  // first of this task's entries in Program::dependences
  std::int32_t effects = 0;      // first of this task's entries in Program::effects
};

// Dependences and effects of task i lie in [tasks[i].x, tasks[i + 1].x), or to the end for the last task.
struct Program {
  std::vector<Task> tasks;
  std::vector<TaskReference> dependences;
  std::vector<MemoryEffect> effects;

  TaskId append(Task task);
  void depend(TaskReference on) { dependences.push_back(on); }  // for the task appended last
  void effect(const MemoryEffect& effect) { effects.push_back(effect); }
};

struct TaskGraph {
  std::vector<Program> programs;

  const Task& task(TaskReference reference) const;
};

// "forward of chunk 0, micro-batch 3 on pipeline rank 2": for messages.
std::string describe(const TaskGraph& graph, TaskReference reference);

// The whole as one Boost.Graph (stream order and dependences as edges), for checks.
using DependenceGraph = boost::adjacency_list<boost::vecS, boost::vecS, boost::directedS, TaskReference>;
DependenceGraph dependence_graph(const TaskGraph& graph);

// A cycle of tasks that wait for each other, first one repeated at the end; nothing where the graph can run.
std::optional<std::vector<TaskReference>> find_cycle(const TaskGraph& graph);

}  // namespace echelon
