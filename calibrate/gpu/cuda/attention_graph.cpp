#include "calibrate/gpu/cuda/attention_graph.h"

#include <utility>

namespace echelon {
namespace {

using Place = CudnnGraph::Place;

// Names the tensors that lie in memory while the graph grows.
class Builder {
 public:
  explicit Builder(const AttentionShape& shape) : s_(shape) {}

  AttentionGraph take() { return {std::move(graph_), std::move(tensors_)}; }

 protected:
  int memory(AttentionPart part, const CudnnSizes& sizes, const CudnnSizes& strides, cudnnDataType_t type) {
    const std::int64_t element = type == CUDNN_DATA_FLOAT ? 4 : 2;
    return named(part, graph_.tensor(sizes, strides, type, Place::memory),
                 element * sizes[0] * sizes[1] * sizes[2] * sizes[3]);
  }
  int number(AttentionPart part) { return named(part, graph_.number(), 0); }

  // Features of some heads, row by row, and the same memory read as its transpose.
  int features(AttentionPart part, std::int64_t heads) {
    const CudnnSizes sizes{s_.batch, heads, s_.positions, s_.head_size};
    return memory(part, sizes, packed(sizes), s_.type);
  }
  int transposed_features(AttentionPart part, std::int64_t heads) {
    const CudnnSizes strides = packed({s_.batch, heads, s_.positions, s_.head_size});
    return memory(part, {s_.batch, heads, s_.head_size, s_.positions}, {strides[0], strides[1], 1, s_.head_size},
                  s_.type);
  }
  CudnnSizes row_sizes() const { return {s_.batch, s_.heads, s_.positions, 1}; }
  int rows(AttentionPart part) { return memory(part, row_sizes(), packed(row_sizes()), CUDNN_DATA_FLOAT); }

  int inside_scores() { return graph_.inside({s_.batch, s_.heads, s_.positions, s_.positions}); }
  int inside_rows() { return graph_.inside(row_sizes()); }
  // The transpose of scores, in 16 bits, as the second product of a chain takes them.
  int transpose_of(int scores) {
    const std::int64_t n = s_.positions;
    const int out = graph_.tensor({s_.batch, s_.heads, n, n}, {s_.heads * n * n, n * n, 1, n}, s_.type, Place::inside);
    graph_.reshape(scores, out);
    return out;
  }

  int joined(cudnnPointwiseMode_t mode, int a, int b) {
    const int out = inside_scores();
    graph_.pointwise(mode, {a, b}, out);
    return out;
  }
  int exponential(int scores) {
    const int out = inside_scores();
    graph_.pointwise(CUDNN_POINTWISE_EXP, {scores}, out);
    return out;
  }

  // scale Q K^T.
  int scaled_scores(int queries, int keys, int scale) {
    const int raw = inside_scores();
    graph_.matmul(queries, keys, raw);
    return joined(CUDNN_POINTWISE_MUL, raw, scale);
  }

  // Scores of keys behind the query become minus infinity.
  int masked(int scores) {
    if (!s_.causal) return scores;
    const int row = inside_scores(), column = inside_scores(), out = inside_scores();
    const CudnnSizes sizes{s_.batch, s_.heads, s_.positions, s_.positions};
    const int seen = graph_.tensor(sizes, packed(sizes), CUDNN_DATA_BOOLEAN, Place::inside);
    graph_.positions(2, scores, row);
    graph_.positions(3, scores, column);
    graph_.pointwise(CUDNN_POINTWISE_CMP_GE, {row, column}, seen);
    graph_.pointwise(CUDNN_POINTWISE_BINARY_SELECT, {scores, number(AttentionPart::minus_infinity), seen}, out);
    return out;
  }

  AttentionShape s_;
  CudnnGraph graph_;

 private:
  int named(AttentionPart part, int tensor, std::int64_t bytes) {
    tensors_.push_back({part, tensor, bytes});
    return tensor;
  }
  std::vector<AttentionTensor> tensors_;
};

class Forward : public Builder {
 public:
  explicit Forward(const AttentionShape& shape) : Builder(shape) {
    const int queries = features(AttentionPart::queries, s_.heads);
    const int keys = transposed_features(AttentionPart::keys, s_.kv_heads);
    const int weights = softmax(masked(scaled_scores(queries, keys, number(AttentionPart::scale))));
    graph_.matmul(weights, features(AttentionPart::values, s_.kv_heads), features(AttentionPart::out, s_.heads));
  }

 private:
  int softmax(int scores) {
    const int largest = inside_rows(), sum = inside_rows(), logarithm = inside_rows();
    graph_.reduce(CUDNN_REDUCE_TENSOR_MAX, scores, largest);
    const int powers = exponential(joined(CUDNN_POINTWISE_SUB, scores, largest));
    graph_.reduce(CUDNN_REDUCE_TENSOR_ADD, powers, sum);
    graph_.pointwise(CUDNN_POINTWISE_LOG, {sum}, logarithm);
    graph_.pointwise(CUDNN_POINTWISE_ADD, {largest, logarithm}, rows(AttentionPart::statistics));
    const CudnnSizes sizes{s_.batch, s_.heads, s_.positions, s_.positions};
    const int weights = graph_.tensor(sizes, packed(sizes), s_.type, Place::inside);  // as the product takes them
    graph_.pointwise(CUDNN_POINTWISE_DIV, {powers, sum}, weights);
    return weights;
  }
};

class Backward : public Builder {
 public:
  explicit Backward(const AttentionShape& shape) : Builder(shape) {
    const int above = features(AttentionPart::out_gradient, s_.heads);
    const int sums = row_sums(above);
    const int queries = features(AttentionPart::queries, s_.heads);
    const int keys = transposed_features(AttentionPart::keys, s_.kv_heads);
    const int scale = number(AttentionPart::scale);
    const int scores = scaled_scores(queries, keys, scale);
    const int weights = exponential(masked(joined(CUDNN_POINTWISE_SUB, scores, rows(AttentionPart::statistics))));
    gradient_of_heads(transpose_of(weights), above, AttentionPart::value_gradient);

    const int products = inside_scores();
    graph_.matmul(above, transposed_features(AttentionPart::values, s_.kv_heads), products);
    const int unscaled = joined(CUDNN_POINTWISE_MUL, joined(CUDNN_POINTWISE_SUB, products, sums), weights);
    const int score_gradient = joined(CUDNN_POINTWISE_MUL, unscaled, scale);
    gradient_of_heads(transpose_of(score_gradient), queries, AttentionPart::key_gradient);
    gradient_of_queries(score_gradient, keys);
  }

 private:
  // D, written out: the kernel before the main one.
  int row_sums(int above) {
    const int elements = graph_.inside({s_.batch, s_.heads, s_.positions, s_.head_size}), sum = inside_rows();
    graph_.pointwise(CUDNN_POINTWISE_MUL, {above, features(AttentionPart::out, s_.heads)}, elements);
    graph_.reduce(CUDNN_REDUCE_TENSOR_ADD, elements, sum);
    const int out = rows(AttentionPart::row_sums);
    graph_.pointwise(CUDNN_POINTWISE_MUL, {sum, number(AttentionPart::one)}, out);  // the engine's pattern has a factor
    return out;
  }

  void gradient_of_heads(int transposed, int with, AttentionPart part) {
    const int out = features(part, s_.kv_heads);
    if (s_.kv_heads == s_.heads) {
      graph_.matmul(transposed, with, out);
      return;
    }
    const CudnnSizes sizes{s_.batch, s_.heads, s_.positions, s_.head_size};
    const int of_all_heads = graph_.tensor(sizes, packed(sizes), s_.type, Place::inside);
    graph_.matmul(transposed, with, of_all_heads);
    graph_.reduce(CUDNN_REDUCE_TENSOR_ADD, of_all_heads, out);
  }

  void gradient_of_queries(int score_gradient, int transposed_keys) {
    const CudnnSizes of_keys{s_.batch, s_.kv_heads, s_.positions, s_.head_size};
    const CudnnSizes of_queries{s_.batch, s_.heads, s_.positions, s_.head_size};
    const int keys = graph_.tensor(of_keys, packed(of_keys), s_.type, Place::inside);
    graph_.reshape(transposed_keys, keys);
    const int sums = memory(AttentionPart::query_sums, of_queries, packed(of_queries), CUDNN_DATA_FLOAT);
    graph_.matmul(score_gradient, keys, sums);
    graph_.pointwise(CUDNN_POINTWISE_IDENTITY, {sums}, features(AttentionPart::query_gradient, s_.heads));
  }
};

}  // namespace

AttentionGraph attention_forward(const AttentionShape& shape) {
  return Forward(shape).take();
}

AttentionGraph attention_backward(const AttentionShape& shape) {
  return Backward(shape).take();
}

}  // namespace echelon
