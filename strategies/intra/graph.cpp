#include "strategies/intra/intra.h"

namespace echelon {

namespace {

// What an operator with this shard wants of a tensor: none stands for the whole of it on every rank. A product whose
// output channels are divided reads all input channels, one whose input channels are divided reads its own.
std::optional<Shard> wanted_layout(const Operator& op) {
  const bool product = op.kind == OperatorKind::linear || op.kind == OperatorKind::convolution;
  switch (op.tensors->shard) {
    case Shard::parameter:
      if (product) return std::nullopt;
      return Shard::parameter;
    case Shard::reduction:
      return Shard::parameter;
    case Shard::sample:
    case Shard::attribute:
      break;
  }
  return op.tensors->shard;
}

Communication over_group(std::optional<CollectiveKind> forward, std::optional<CollectiveKind> backward,
                         double elements) {
  Communication communication;
  communication.axis = Axis::tensor;
  communication.forward = forward;
  communication.backward = backward;
  communication.width = elements;
  return communication;
}

// Reads and divides one block's operators.
class GraphPass {
 public:
  GraphPass(const Block& block, const Strategy& strategy)
      : block_(block),
        ranks_(static_cast<double>(strategy.mesh.tensor)),
        samples_(static_cast<double>(strategy.micro_batch)) {}

  LayerProgram run() {
    for (const auto vertex : boost::make_iterator_range(vertices(block_.graph))) place(vertex);
    return std::move(program_);
  }

 private:
  using Vertex = boost::graph_traits<OperatorGraph>::vertex_descriptor;

  void place(Vertex vertex) {
    const Operator& op = block_.graph[vertex];
    for (const GraphInput& input : op.tensors->inputs) lay_out(input, wanted_layout(op));
    if (op.tensors->halo > 0) {
      Communication halo = over_group(CollectiveKind::send_receive, CollectiveKind::send_receive, op.tensors->halo);
      halo.ranks = 2;
      program_.steps.emplace_back(halo);
    }
    divide(std::get<Operator>(program_.steps.emplace_back(op)));
    const bool whole_weights = op.tensors->shard == Shard::sample || op.tensors->shard == Shard::attribute;
    if (whole_weights && op.parameters > 0) {
      // Ranks saw other samples or positions: they add up their weight gradients, after each micro-batch.
      Communication sum = over_group(std::nullopt, CollectiveKind::all_reduce, op.parameters);
      sum.row_share = 1 / samples_;
      program_.steps.emplace_back(sum);
    }
  }

  // A tensor from the layout that its producer left it in to the one that is wanted. Gradients go the other way: what
  // was gathered is summed up and scattered, what was scattered is gathered.
  void lay_out(const GraphInput& input, std::optional<Shard> wanted) {
    if (input.laid == Shard::reduction) {
      const bool whole = !wanted.has_value();
      program_.steps.emplace_back(over_group(whole ? CollectiveKind::all_reduce : CollectiveKind::reduce_scatter,
                                             whole ? CollectiveKind::all_reduce : CollectiveKind::all_gather,
                                             input.elements));
    } else if (!wanted) {
      program_.steps.emplace_back(
          over_group(CollectiveKind::all_gather, CollectiveKind::reduce_scatter, input.elements));
    } else if (input.laid != *wanted) {
      program_.steps.emplace_back(
          over_group(CollectiveKind::all_to_all, CollectiveKind::all_to_all, input.elements / ranks_));
    }
  }

  // One rank's share of the operator.
  void divide(Operator& op) const {
    GraphTensors& tensors = *op.tensors;
    const bool product = op.kind == OperatorKind::linear || op.kind == OperatorKind::convolution;
    const bool reads_whole = product && tensors.shard == Shard::parameter;
    if (!reads_whole) tensors.kept /= ranks_;
    tensors.kept_bytes /= ranks_;
    if (tensors.shard != Shard::reduction) tensors.output /= ranks_;
    switch (tensors.shard) {
      case Shard::sample:
      case Shard::attribute:
        op.row_share /= ranks_;
        op.convolution.input_rows /= ranks_;
        break;
      case Shard::parameter:
        op.parameters /= ranks_;
        divide_features(op, product);
        break;
      case Shard::reduction:
        op.parameters /= ranks_;
        op.in_features /= ranks_;
        break;
    }
  }

  void divide_features(Operator& op, bool product) const {
    if (product || op.kind == OperatorKind::embedding) {
      op.out_features /= ranks_;
    } else if (op.kind == OperatorKind::attention) {
      const auto ranks = static_cast<std::int64_t>(ranks_);
      op.attention.heads /= ranks;
      op.attention.kv_heads /= ranks;
      op.width /= ranks_;
    } else {
      op.row_share /= ranks_;  // memory-bound: so much less is moved
    }
  }

  const Block& block_;
  double ranks_ = 1;
  double samples_ = 1;
  LayerProgram program_;
};

}  // namespace

LayerProgram graph_parallel(const Block& block, const Strategy& strategy) {
  return GraphPass(block, strategy).run();
}

}  // namespace echelon
