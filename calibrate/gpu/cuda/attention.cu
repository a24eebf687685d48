#include "calibrate/gpu/cuda/families.h"
#include "calibrate/gpu/cuda/gemm.h"
#include "calibrate/gpu/cuda/memory_kernels.h"

namespace echelon {
namespace {

// The tensors of one set of heads: queries, keys, values and their like of m x k, scores of m x n.
struct Tensors {
  char* queries;
  char* keys;
  char* values;
  char* gradient;
  char* scores;
  char* weights;
  char* score_gradient;
  char* out;
};

Tensors tensors_in(Context& context, const Benchmark& b) {
  const std::size_t side = aligned(static_cast<std::size_t>(b.batch * std::max(b.m, b.n) * b.k) * 2);
  const std::size_t square = aligned(static_cast<std::size_t>(b.batch * b.m * b.n) * 2);
  char* const in = context.operands.get(4 * side, "bf16");
  char* const out = context.results.get(3 * square + 4 * side, "bf16");  // weight gradients accumulate in fp32
  return {in, in + side, in + 2 * side, in + 3 * side, out, out + square, out + 2 * square, out + 3 * square};
}

}  // namespace

Reading measure_attention(Context& context, const Benchmark& b, const Effort& effort) {
  if (b.operation == "fused") return measure_fused_attention(context, b, effort);
  const ProductType& type = product_type(b.type, 10 * context.properties.major + context.properties.minor);
  const Tensors t = tensors_in(context, b);
  const std::int64_t rows = b.batch * b.m;
  // Scores from queries and keys; weights times values.
  const Product scores(context, type, {b.m, b.n, b.k, b.batch, "forward"});
  const Product mix(context, type, {b.m, b.k, b.n, b.batch, "input_gradient"});
  const auto forward = [&](int, cudaStream_t stream) {
    scores.run(t.queries, t.keys, t.scores, stream);
    launch_softmax(t.scores, t.weights, rows, b.n, stream);
    mix.run(t.weights, t.values, t.out, stream);
  };
  if (b.variant == "forward") return time_captured(context, forward, 1, effort);
  // Gradients of values and keys (sums over queries), of weights and of queries.
  const Product over_queries(context, type, {b.n, b.k, b.m, b.batch, "weight_gradient"});
  const auto backward = [&](int, cudaStream_t stream) {
    over_queries.run(t.weights, t.gradient, t.out, stream);
    scores.run(t.gradient, t.values, t.scores, stream);
    launch_softmax_gradient(t.weights, t.scores, t.score_gradient, rows, b.n, stream);
    mix.run(t.score_gradient, t.keys, t.out, stream);
    over_queries.run(t.score_gradient, t.queries, t.out, stream);
  };
  return time_captured(context, backward, 1, effort);
}

}  // namespace echelon
