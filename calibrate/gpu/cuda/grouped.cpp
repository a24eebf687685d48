#include <algorithm>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "calibrate/gpu/cuda/event.h"
#include "calibrate/gpu/cuda/families.h"
#include "calibrate/gpu/cuda/gemm.h"
#include "calibrate/gpu/expert_rows.h"

namespace echelon {
namespace {

// As many as Transformer Engine deals experts to, one after another (common/util/multi_stream.h).
constexpr std::size_t stream_count = 4;

struct Lane {
  Stream stream;
  Event done;
  DeviceBuffer workspace{Context::workspace_bytes};  // products of two streams must not share one
};

// Each expert's product a call of its own, on streams that begin and end together: Transformer Engine's
// multi_stream_cublas_gemm (common/gemm/cublaslt_gemm.cu). An expert without rows has no call.
class ExpertProducts {
 public:
  ExpertProducts(Context& context, const Benchmark& b) {
    const ProductType& type = product_type(b.type, 10 * context.properties.major + context.properties.minor);
    for (std::int64_t expert = 0; expert < b.batch; ++expert)
      if (const ProductShape shape = shape_of(b, expert); shape.m > 0 && shape.k > 0) add(context, type, shape);
    lanes_ = std::vector<Lane>(std::min(stream_count, experts_.size()));
    copies_ = context.copies_for(operand_bytes_ + result_bytes_);
    const auto count = static_cast<std::size_t>(copies_);
    operands_ = context.operands.get(count * operand_bytes_, b.type);
    results_ = context.results.get(count * result_bytes_, "bf16");
  }

  int copies() const { return copies_; }

  void run(int copy, cudaStream_t stream) const {
    begun_.record(stream);
    for (const Lane& lane : lanes_) begun_.hold(lane.stream);
    const auto at = static_cast<std::size_t>(copy % copies_);
    for (std::size_t i = 0; i < experts_.size(); ++i) {
      const Expert& expert = experts_[i];
      const Lane& lane = lanes_[i % lanes_.size()];
      const char* const a = operands_ + at * operand_bytes_ + expert.operands;
      char* const c = results_ + at * result_bytes_ + expert.result;
      expert.product->run(a, a + expert.product->a_bytes(), c, lane.stream, lane.workspace);
    }
    for (const Lane& lane : lanes_) {
      lane.done.record(lane.stream);
      lane.done.hold(stream);
    }
  }

 private:
  struct Expert {
    const Product* product = nullptr;
    std::size_t operands = 0, result = 0;  // where they begin
  };

  static ProductShape shape_of(const Benchmark& b, std::int64_t expert) {
    ProductShape shape{b.m, b.n, b.k, 1, b.variant};
    std::int64_t& rows = b.variant == "weight_gradient" ? shape.k : shape.m;
    if (b.operation == ragged_product) rows = rows_of_expert(rows, expert, b.batch);
    return shape;
  }

  void add(Context& context, const ProductType& type, const ProductShape& shape) {
    std::unique_ptr<Product>& product = products_[{shape.m, shape.k}];
    if (product == nullptr) product = std::make_unique<Product>(context, type, shape);
    experts_.push_back({product.get(), operand_bytes_, result_bytes_});
    operand_bytes_ += product->a_bytes() + product->b_bytes();
    result_bytes_ += product->c_bytes();
  }

  std::map<std::pair<std::int64_t, std::int64_t>, std::unique_ptr<Product>> products_;
  std::vector<Expert> experts_;
  std::size_t operand_bytes_ = 0, result_bytes_ = 0;
  std::vector<Lane> lanes_;
  Event begun_;
  int copies_ = 1;
  char* operands_ = nullptr;
  char* results_ = nullptr;
};

}  // namespace

Reading measure_grouped(Context& context, const Benchmark& benchmark, const Effort& effort) {
  const ExpertProducts products(context, benchmark);
  return time_captured(
      context, [&](int copy, cudaStream_t stream) { products.run(copy, stream); }, products.copies(), effort);
}

}  // namespace echelon
