#include <cublas_v2.h>

#include <memory>
#include <vector>

#include "calibrate/gpu/cuda/families.h"
#include "calibrate/gpu/cuda/gemm.h"
#include "calibrate/gpu/cuda/shared_library.h"

namespace echelon {

#if CUBLAS_VERSION >= 120500  // the first with grouped products of 16 bits
namespace {

// The part of cuBLAS that cuBLASLt does not have, loaded when experts' products are measured.
struct Cublas {
  decltype(&cublasCreate) create = nullptr;
  decltype(&cublasDestroy) destroy = nullptr;
  decltype(&cublasSetStream) set_stream = nullptr;
  decltype(&cublasGemmGroupedBatchedEx) grouped = nullptr;

  Cublas() {
    const SharedLibrary library(("libcublas.so." + std::to_string(CUBLAS_VER_MAJOR)).c_str());
    library.find(create, "cublasCreate_v2");
    library.find(destroy, "cublasDestroy_v2");
    library.find(set_stream, "cublasSetStream_v2");
    library.find(grouped, "cublasGemmGroupedBatchedEx");
  }
};

const Cublas& cublas() {
  static const Cublas loaded;
  return loaded;
}

using Handle = std::unique_ptr<cublasContext, cublasStatus_t (*)(cublasHandle_t)>;

Handle new_handle() {
  cublasHandle_t made = nullptr;
  check(cublas().create(&made), "cublasCreate");
  return {made, cublas().destroy};
}

// Addresses of each expert's operand, on the device: `count` of `stride` bytes each from `first` on.
class Addresses {
 public:
  Addresses(char* first, std::size_t stride, std::size_t count) : device_(count * sizeof(void*)) {
    std::vector<void*> host;
    for (std::size_t i = 0; i < count; ++i) host.push_back(first + i * stride);
    check(cudaMemcpy(device_.data(), host.data(), device_.bytes(), cudaMemcpyHostToDevice), "addresses of experts");
  }
  void** data() const { return reinterpret_cast<void**>(device_.data()); }

 private:
  DeviceBuffer device_;
};

// The experts' products in a linear layer's layouts (gemm.h), each a group of its own, since in training each has as
// many rows as it was sent tokens. cuBLAS counts column by column, so that it is given the transposed product.
class GroupedProduct {
 public:
  GroupedProduct(Context& context, const Benchmark& b)
      : handle_(new_handle()),
        type_(product_type(b.type, 10 * context.properties.major + context.properties.minor)),
        experts_(static_cast<std::size_t>(b.batch)),
        first_(experts_, b.variant == "forward" ? CUBLAS_OP_T : CUBLAS_OP_N),
        second_(experts_, b.variant == "weight_gradient" ? CUBLAS_OP_T : CUBLAS_OP_N),
        m_(experts_, static_cast<int>(b.n)),
        n_(experts_, static_cast<int>(b.m)),
        k_(experts_, static_cast<int>(b.k)),
        first_rows_(experts_, b.variant == "forward" ? k_[0] : m_[0]),
        second_rows_(experts_, b.variant == "weight_gradient" ? n_[0] : k_[0]),
        group_(experts_, 1),
        alpha_(experts_, 1.0F),
        beta_(experts_, 0.0F) {
    if (type_.operand_bytes != 2) throw Unsupported(std::string("grouped products of ") + type_.name);
    const std::size_t a = aligned(static_cast<std::size_t>(b.m * b.k) * 2);
    const std::size_t w = aligned(static_cast<std::size_t>(b.n * b.k) * 2);
    const std::size_t c = aligned(static_cast<std::size_t>(b.m * b.n) * 2);
    copies_ = context.copies_for(experts_ * (a + w + c));
    const std::size_t count = experts_ * static_cast<std::size_t>(copies_);
    char* const in = context.operands.get(count * (a + w), b.type);
    a_ = std::make_unique<Addresses>(in, a, count);
    w_ = std::make_unique<Addresses>(in + count * a, w, count);
    c_ = std::make_unique<Addresses>(context.results.get(count * c, b.type), c, count);
  }

  int copies() const { return copies_; }

  void run(int copy, cudaStream_t stream) const {
    const std::size_t at = experts_ * static_cast<std::size_t>(copy % copies_);
    check(cublas().set_stream(handle_.get(), stream), "cublasSetStream");
    check(cublas().grouped(handle_.get(), first_.data(), second_.data(), m_.data(), n_.data(), k_.data(), alpha_.data(),
                           w_->data() + at, type_.operand, first_rows_.data(), a_->data() + at, type_.operand,
                           second_rows_.data(), beta_.data(), c_->data() + at, type_.operand, m_.data(),
                           static_cast<int>(experts_), group_.data(), CUBLAS_COMPUTE_32F),
          "cublasGemmGroupedBatchedEx");
  }

 private:
  Handle handle_;
  const ProductType& type_;
  std::size_t experts_;
  std::vector<cublasOperation_t> first_, second_;
  std::vector<int> m_, n_, k_, first_rows_, second_rows_, group_;
  std::vector<float> alpha_, beta_;
  std::unique_ptr<Addresses> a_, w_, c_;
  int copies_ = 1;
};

}  // namespace

Reading measure_grouped(Context& context, const Benchmark& benchmark, const Effort& effort) {
  const GroupedProduct product(context, benchmark);
  return time_captured(
      context, [&](int copy, cudaStream_t stream) { product.run(copy, stream); }, product.copies(), effort);
}

#else

Reading measure_grouped(Context&, const Benchmark&, const Effort&) {
  throw Unsupported("grouped products come with cuBLAS 12.5");
}

#endif

}  // namespace echelon
