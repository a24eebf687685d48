// One block of a model as one rank runs it: its local operators in order, with the collectives between them.
//
// A strategy's intra-operator passes make it from the block's operator graph; the cost room prices it, once for each
// block and pass, however many layers and micro-batches use it. The backward pass walks the steps in reverse.
#pragma once

#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "sim/base/collective_kind.h"
#include "sim/base/enum_names.h"
#include "sim/model/kernel_style.h"
#include "sim/model/operator.h"

namespace echelon {

// Axes of the mesh that a communicator can lie along.
enum class Axis { tensor, context, expert, data, pipeline };

template <>
inline constexpr auto enum_names<Axis> = std::to_array<EnumName<Axis>>({
    {Axis::tensor, "tp"},
    {Axis::context, "cp"},
    {Axis::expert, "ep"},
    {Axis::data, "dp"},
    {Axis::pipeline, "pp"},
});

// When a collective inside a layer may run beside compute.
enum class Hiding {
  none,             // the compute stream waits for it
  weight_gradient,  // its backward runs beside the weight gradients of the next linear (Megatron's asynchronous
                    // all-reduce)
  operators,  // it runs beside the operator next to it in both passes (ring attention, asynchronous tensor parallelism)
  micro_batch,  // it runs beside the compute of another micro-batch (DualPipe's pairs, Megatron's batch overlap)
  blocks        // each of its `repeats` but the first runs beside the block product of the turn before, of the next
                // operator; all such communications ahead of an operator take turns together (SUMMA's double buffers)
};

// Which ranks of its axis a communication joins.
enum class GroupPart { whole, inside_node, across_nodes };

// A row that is sent to several experts, once to each place (rank or node) that holds any of them.
struct SentOnce {
  double copies = 0;  // experts of a row, counted in the communication's row_share; 0 = every copy is sent
  double experts = 0;
  double most_places = 0;  // that routing allows; 0 = all
};

struct Communication {
  Axis axis = Axis::tensor;
  std::optional<CollectiveKind> forward;  // absent: nothing is sent in this direction
  std::optional<CollectiveKind> backward;
  double row_share = 1;        // rows of the full vector = tokens of the rank * row_share
  double width = 0;            // elements of a row
  double repeats = 1;          // times that it runs forward (ring steps)
  double busiest = 1;          // what the rank with the most rows moves over the mean of all ranks
  std::int64_t ranks = 0;      // neighbours of the axis that take part; 0 = all of it
  std::int64_t stride = 1;     // ranks of the axis from one that takes part to the next
  double weight_elements = 0;  // sent beside the rows, however many they are: blocks of weights or of their gradients
  bool for_weight_gradient = false;  // its backward runs with the weight gradients, not with those of the inputs
  GroupPart part = GroupPart::whole;
  SentOnce once;
  double backward_repeats = 1;
  bool regathers_input =
      false;  // backward gathers the saved shard again beside the input gradient (sequence parallelism)
  Hiding hiding = Hiding::none;
};

using Step = std::variant<Operator, Communication>;

struct LayerProgram {
  std::vector<Step> steps;
  std::optional<KernelStyle> kernels;  // of this block, where it does not run as the others do
  double entry = 0;                    // elements of a token that it reads of earlier layers; 0 = as its first norm
};

}  // namespace echelon
