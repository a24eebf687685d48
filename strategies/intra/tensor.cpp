#include <algorithm>

#include "strategies/intra/intra.h"
#include "strategies/mesh.h"

namespace echelon {

namespace {

// Lays one block out step by step; remembers whose outputs were already gathered.
class TensorPass {
 public:
  TensorPass(const Block& block, const Strategy& strategy)
      : block_(block), strategy_(strategy), gathered_(num_vertices(block.graph), false) {}

  LayerProgram run() {
    for (const auto vertex : boost::make_iterator_range(vertices(block_.graph))) place(vertex);
    return std::move(program_);
  }

 private:
  using Vertex = boost::graph_traits<OperatorGraph>::vertex_descriptor;

  static bool gives_split_output(const Operator& op) {
    return op.split == TensorSplit::column || op.split == TensorSplit::inner ||
           (op.split == TensorSplit::vocabulary && op.kind == OperatorKind::linear);
  }

  double degree_of(const Operator& op) const {
    const Mesh& mesh = strategy_.mesh;
    return static_cast<double>(op.routed ? expert_tensor_degree(mesh) : mesh.tensor);
  }

  // Neighbours that share the operator where they are not the tensor group: an expert's own tensor parallelism may be
  // narrower or wider (Megatron-Core's parallel_state.py, the rank generator of experts). 0 = the tensor group.
  std::int64_t sharers(const Operator& op) const {
    const std::int64_t own = expert_tensor_degree(strategy_.mesh);
    return op.routed && own != strategy_.mesh.tensor ? own : 0;
  }

  // Share of a rank's tokens that work outside the split regions sees.
  double sequence_share() const {
    return strategy_.sequence_parallel ? 1.0 / static_cast<double>(strategy_.mesh.tensor) : 1.0;
  }

  bool keeps_input_shards() const { return strategy_.sequence_parallel && strategy_.keeps_input_shards; }

  void place(Vertex vertex) {
    Operator op = block_.graph[vertex];
    const double degree = degree_of(op);
    if (op.routed || op.kind == OperatorKind::permute) {
      // Tokens of one rank: all of them where experts are split like the rest, a share where each rank routes its own.
      const double experts_share =
          static_cast<double>(expert_tensor_degree(strategy_.mesh)) / static_cast<double>(strategy_.mesh.tensor);
      op.row_share *= std::max(sequence_share(), strategy_.sequence_parallel ? experts_share : 1.0);
    } else if (op.split == TensorSplit::none || op.split == TensorSplit::replicated) {
      op.row_share *= sequence_share();
    }
    if (degree > 1) {
      if (needs_gathered_input(op)) {
        gather_inputs(vertex, op);
        if (keeps_input_shards()) op.saved_input_share = 1 / degree;
      }
      if (op.kind == OperatorKind::attention && op.split == TensorSplit::inner) gather_shared_heads(op, degree);
      shrink(op, degree);
    }
    program_.steps.emplace_back(op);
    if (degree > 1) reduce_output(op);
  }

  bool needs_gathered_input(const Operator& op) const {
    return op.split == TensorSplit::column || (op.split == TensorSplit::vocabulary && op.kind == OperatorKind::linear);
  }

  void gather_inputs(Vertex vertex, const Operator& op) {
    bool needed = false;
    for (const auto edge : boost::make_iterator_range(in_edges(vertex, block_.graph))) {
      const Vertex producer = source(edge, block_.graph);
      if (gives_split_output(block_.graph[producer]) || gathered_[producer]) continue;
      gathered_[producer] = true;
      needed = true;
    }
    if (in_degree(vertex, block_.graph) == 0) needed = true;
    if (!needed) return;
    Communication gather = tensor_communication(op, op.in_features);
    if (strategy_.sequence_parallel) {
      gather.forward = CollectiveKind::all_gather;
      gather.backward = CollectiveKind::reduce_scatter;
      gather.regathers_input = keeps_input_shards();
    } else {
      gather.backward = CollectiveKind::all_reduce;
    }
    if (gather.hiding == Hiding::none && strategy_.overlap_weight_gradient) gather.hiding = Hiding::weight_gradient;
    program_.steps.emplace_back(gather);
  }

  // With fewer key-value heads than ranks a rank's columns of the joint projection hold no head of their own: queries,
  // keys and values are gathered whole, and each rank picks what it needs (Megatron-Core attention.py,
  // get_query_key_value_tensors).
  void gather_shared_heads(const Operator& attention, double degree) {
    const AttentionShape& shape = attention.attention;
    if (static_cast<double>(shape.kv_heads) >= degree) return;
    const std::int64_t width =
        shape.heads * shape.qk_head_dim + shape.kv_heads * (shape.qk_head_dim + shape.v_head_dim);
    Communication gather = tensor_communication(attention, static_cast<double>(width));
    gather.hiding = Hiding::none;
    gather.forward = CollectiveKind::all_gather;
    gather.backward = CollectiveKind::reduce_scatter;
    program_.steps.emplace_back(gather);
  }

  void reduce_output(const Operator& op) {
    if (op.kind == OperatorKind::cross_entropy) {
      // Row maxima, sums of exponentials and the target's logit, fp32, each reduced over the vocabulary shards.
      Communication scalars = tensor_communication(op, 2);
      scalars.hiding = Hiding::none;
      scalars.forward = CollectiveKind::all_reduce;
      scalars.repeats = 3;
      program_.steps.emplace_back(scalars);
      return;
    }
    const bool table = op.split == TensorSplit::vocabulary && op.kind == OperatorKind::embedding;
    if (op.split != TensorSplit::row && !table) return;
    Communication reduce = tensor_communication(op, op.out_features);
    if (strategy_.sequence_parallel) {
      reduce.forward = CollectiveKind::reduce_scatter;
      reduce.backward = CollectiveKind::all_gather;
    } else {
      reduce.forward = CollectiveKind::all_reduce;
    }
    program_.steps.emplace_back(reduce);
  }

  Communication tensor_communication(const Operator& op, double width) const {
    Communication communication;
    communication.axis = Axis::tensor;
    communication.width = width;
    communication.row_share = op.row_share;
    communication.ranks = sharers(op);
    communication.hiding = strategy_.overlap_tensor ? Hiding::operators : Hiding::none;
    return communication;
  }

  static void shrink(Operator& op, double degree) {
    switch (op.split) {
      case TensorSplit::none:
      case TensorSplit::replicated:
        return;
      case TensorSplit::column:
        op.out_features /= degree;
        op.parameters /= degree;
        return;
      case TensorSplit::row: {
        const double weight = op.in_features * op.out_features * static_cast<double>(op.experts);
        op.parameters = std::max(0.0, op.parameters - weight) + weight / degree;  // the bias stays whole
        op.in_features /= degree;
        return;
      }
      case TensorSplit::inner:
        shrink_inner(op, degree);
        return;
      case TensorSplit::vocabulary:
        op.width /= degree;
        op.parameters /= degree;
        if (op.kind == OperatorKind::embedding) op.in_features /= degree;
        if (op.kind == OperatorKind::linear) op.out_features /= degree;
        return;
    }
  }

  static void shrink_inner(Operator& op, double degree) {
    const auto divide = [degree](std::int64_t heads) {
      return std::max<std::int64_t>(heads > 0 ? 1 : 0, static_cast<std::int64_t>(static_cast<double>(heads) / degree));
    };
    op.width /= degree;
    op.parameters /= degree;
    op.state_flops /= degree;
    op.attention.heads = divide(op.attention.heads);
    op.attention.kv_heads = divide(op.attention.kv_heads);  // one where ranks share it
    if (op.kind == OperatorKind::rotary)
      op.width = static_cast<double>((op.attention.heads + op.attention.kv_heads) * op.attention.qk_head_dim);
  }

  const Block& block_;
  const Strategy& strategy_;
  std::vector<bool> gathered_;
  LayerProgram program_;
};

}  // namespace

LayerProgram tensor_parallel(const Block& block, const Strategy& strategy) {
  return TensorPass(block, strategy).run();
}

namespace {

LayerProgram divided_program(const Block& block, const Strategy& strategy) {
  const bool of_graph = num_vertices(block.graph) > 0 && block.graph[0].tensors.has_value();
  if (of_graph && strategy.mesh.tensor > 1) return graph_parallel(block, strategy);
  const auto grid = tensor_grid(strategy);
  return grid ? grid_parallel(block, *grid) : tensor_parallel(block, strategy);
}

}  // namespace

LayerProgram local_program(const Block& block, const Strategy& strategy) {
  LayerProgram program = divided_program(block, strategy);
  context_parallel(program, strategy);
  expert_parallel(program, strategy);
  program.entry = block.entry;
  return program;
}

}  // namespace echelon
