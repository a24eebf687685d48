#include "strategies/intra/intra.h"

namespace echelon {

namespace {

// Statistics are fp32: two elements of a 16-bit activation.
constexpr double scalar = 2;

// Lays one block out on a grid of ranks: tokens over its rows (and layers), features over its columns.
class GridPass {
 public:
  GridPass(const Block& block, const TensorGrid& grid)
      : block_(block),
        grid_(grid),
        side_(static_cast<double>(grid.side)),
        depth_(static_cast<double>(grid.depth)),
        token_share_(1 / (side_ * depth_)) {}

  LayerProgram run() {
    for (const auto vertex : boost::make_iterator_range(vertices(block_.graph))) place(block_.graph[vertex]);
    return std::move(program_);
  }

 private:
  void place(const Operator& op) {
    switch (op.kind) {
      case OperatorKind::embedding:
        return look_up(op);
      case OperatorKind::linear:
        return multiply(op);
      case OperatorKind::norm:
        return normalise(op);
      case OperatorKind::cross_entropy:
        return compare(op);
      default:
        share_parameters(op.parameters);
        divide(op);
    }
  }

  // Ranks of a row of the grid hold the same tokens, ranks of a column the same features, ranks of a pillar the same
  // weights.
  Communication over_row() const { return over(grid_.side, 1); }
  Communication over_column() const { return over(grid_.side, grid_.side); }
  Communication over_layers() const { return over(grid_.depth, grid_.side * grid_.side); }

  static Communication over(std::int64_t ranks, std::int64_t stride) {
    Communication communication;
    communication.axis = Axis::tensor;
    communication.ranks = ranks;
    communication.stride = stride;
    communication.row_share = 0;
    return communication;
  }

  // Divided by tokens and features; parameters by both, whatever they are.
  Operator& divide(Operator op) {
    op.row_share *= token_share_;
    op.sequence_share = token_share_;
    op.width /= side_;
    op.parameters /= side_ * side_;
    op.state_flops /= side_;
    op.attention.heads /= grid_.side;
    op.attention.kv_heads /= grid_.side;
    return std::get<Operator>(program_.steps.emplace_back(op));
  }

  // Biases, norms and tables of positions lie divided over both sides and are put together in each column (Colossal-AI,
  // parallel_2d/_operation.py, add_bias_2d).
  void share_parameters(double elements) {
    if (elements <= 0) return;
    Communication gather = over_column();
    gather.forward = CollectiveKind::all_gather;
    gather.backward = CollectiveKind::reduce_scatter;
    gather.weight_elements = elements / side_;
    gather.for_weight_gradient = true;
    program_.steps.emplace_back(gather);
    sum_over_layers(elements);
  }

  // Layers saw other tokens: they add up their gradients, after each micro-batch (arXiv:2105.14500, section 3.1).
  void sum_over_layers(double elements) {
    if (grid_.depth == 1) return;
    Communication sum = over_layers();
    sum.backward = CollectiveKind::all_reduce;
    sum.weight_elements = elements / (side_ * side_);
    sum.for_weight_gradient = true;
    program_.steps.emplace_back(sum);
  }

  // C = A B in `side` turns, each a broadcast of a column of A along the rows and of a row of B along the columns;
  // backward A' = C' B^T broadcasts B and reduces A', B' = A^T C' broadcasts A and reduces B' (arXiv:2104.05343,
  // algorithms 1 to 3). The output projection multiplies with a table of the vocabulary: C = A B^T, where C goes round
  // in A's stead.
  void multiply(Operator op) {
    const double weights = op.in_features * op.out_features;
    const double biases = op.parameters - (op.transposed_of ? 0 : weights);
    const bool transposed = op.split == TensorSplit::vocabulary;
    const double travelling = (transposed ? op.out_features : op.in_features) / side_;
    turn_tokens(travelling, transposed ? CollectiveKind::reduce : CollectiveKind::broadcast,
                transposed ? CollectiveKind::broadcast : CollectiveKind::reduce);
    turn_weights(weights / (side_ * side_));
    share_parameters(biases);
    sum_over_layers(weights);
    op.out_features /= side_;
    op.block_steps = side_;
    op.saved_input_share = 1 / side_;
    divide(op);
  }

  void turn_tokens(double width, CollectiveKind forward, CollectiveKind backward) {
    Communication tokens = turning(over_row());
    tokens.row_share = token_share_;
    tokens.width = width;
    tokens.forward = forward;
    tokens.backward = backward;
    program_.steps.emplace_back(tokens);
    tokens.forward = std::nullopt;
    tokens.backward = CollectiveKind::broadcast;
    tokens.for_weight_gradient = true;
    program_.steps.emplace_back(tokens);
  }

  void turn_weights(double elements) {
    Communication weights = turning(over_column());
    weights.weight_elements = elements;
    weights.forward = CollectiveKind::broadcast;
    weights.backward = CollectiveKind::broadcast;
    program_.steps.emplace_back(weights);
    weights.forward = std::nullopt;
    weights.backward = CollectiveKind::reduce;
    weights.for_weight_gradient = true;
    program_.steps.emplace_back(weights);
  }

  Communication turning(Communication communication) const {
    communication.repeats = side_;
    communication.backward_repeats = side_;
    communication.hiding = Hiding::blocks;
    return communication;
  }

  // A row's features lie on all ranks of a grid's row: sums of them and of their squares are reduced there, and two
  // sums with the gradient backward (arXiv:2104.05343, section 3.2.2); one of each where the mean is not taken. Norms
  // of heads stay with their heads.
  void normalise(const Operator& op) {
    if (op.split == TensorSplit::none)
      for (int sum = 0; sum < (op.root_mean_square ? 1 : 2); ++sum) {
        Communication statistics = over_row();
        statistics.row_share = token_share_;
        statistics.width = scalar;
        statistics.forward = CollectiveKind::all_reduce;
        statistics.backward = CollectiveKind::all_reduce;
        program_.steps.emplace_back(statistics);
      }
    share_parameters(op.parameters);
    divide(op);
  }

  // Each rank looks all tokens of its layer up in its rows of the table and its features; a column adds up what its
  // ranks found, and each keeps its tokens (Colossal-AI, parallel_2d/layers.py, VocabParallelEmbedding2D).
  void look_up(Operator op) {
    op.in_features /= side_;
    op.out_features /= side_;
    Operator& table = divide(op);
    table.row_share = 1 / depth_;
    Communication found = over_column();
    found.row_share = table.row_share;
    found.width = table.out_features;
    found.forward = CollectiveKind::reduce_scatter;
    found.backward = CollectiveKind::all_gather;
    program_.steps.emplace_back(found);
    sum_over_layers(op.parameters);
  }

  // The maximum of a row of logits, its sum of exponentials and the target's logit, as for one dimension.
  void compare(const Operator& op) {
    divide(op);
    Communication scalars = over_row();
    scalars.row_share = token_share_;
    scalars.width = scalar;
    scalars.forward = CollectiveKind::all_reduce;
    scalars.repeats = 3;
    program_.steps.emplace_back(scalars);
  }

  const Block& block_;
  TensorGrid grid_;
  double side_ = 1;
  double depth_ = 1;
  double token_share_ = 1;
  LayerProgram program_;
};

}  // namespace

LayerProgram grid_parallel(const Block& block, const TensorGrid& grid) {
  return GridPass(block, grid).run();
}

}  // namespace echelon
