#include <algorithm>
#include <vector>

#include "calibrate/gpu/cuda/event.h"
#include "calibrate/gpu/cuda/families.h"
#include "calibrate/gpu/cuda/gemm.h"

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
// multi_stream_cublas_gemm (common/gemm/cublaslt_gemm.cu).
class ExpertProducts {
 public:
  ExpertProducts(Context& context, const Benchmark& b)
      : product_(context, product_type(b.type, 10 * context.properties.major + context.properties.minor),
                 {b.m, b.n, b.k, 1, b.variant}),
        experts_(static_cast<std::size_t>(b.batch)),
        lanes_(std::min(stream_count, experts_)) {
    const std::size_t in = product_.a_bytes() + product_.b_bytes();
    copies_ = context.copies_for(experts_ * (in + product_.c_bytes()));
    const std::size_t count = experts_ * static_cast<std::size_t>(copies_);
    operands_ = context.operands.get(count * in, b.type);
    results_ = context.results.get(count * product_.c_bytes(), "bf16");
  }

  int copies() const { return copies_; }

  void run(int copy, cudaStream_t stream) const {
    begun_.record(stream);
    for (const Lane& lane : lanes_) begun_.hold(lane.stream);
    const std::size_t first = experts_ * static_cast<std::size_t>(copy % copies_);
    for (std::size_t i = 0; i < experts_; ++i) {
      const Lane& lane = lanes_[i % lanes_.size()];
      const char* const a = operands_ + (first + i) * (product_.a_bytes() + product_.b_bytes());
      char* const c = results_ + (first + i) * product_.c_bytes();
      product_.run(a, a + product_.a_bytes(), c, lane.stream, lane.workspace);
    }
    for (const Lane& lane : lanes_) {
      lane.done.record(lane.stream);
      lane.done.hold(stream);
    }
  }

 private:
  Product product_;
  std::size_t experts_;
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
