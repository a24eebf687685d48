// Matrix products through cuBLASLt, with the algorithm that its heuristic puts first: what frameworks run.
#pragma once

#include <cublasLt.h>

#include <cstdint>
#include <string>

#include "calibrate/gpu/cuda/context.h"

namespace echelon {

// How operands lie in the products of a backward pass.
enum class Backward {
  as_it_lies,         // as forward left them: the unit takes any layout
  transposed_copies,  // as in a forward product, the one layout that the unit takes, of copies that frameworks keep
  none
};

// A number format as cuBLAS takes it.
struct ProductType {
  const char* name;
  cudaDataType_t operand;
  cudaDataType_t gradient;  // of dY, in products of a backward pass
  cudaDataType_t result;
  cublasComputeType_t compute;
  cudaDataType_t scale;
  std::size_t operand_bytes;
  std::size_t result_bytes;
  int least_capability;
  Backward backward;
};

// The row of a format. Throws Unsupported where there is none or the device lacks it.
const ProductType& product_type(const std::string& name, int capability);

// C[m,n] = A[m,k] B[k,n] in a linear layer's layouts, row by row in memory:
//   forward          A = X[m,k], B = W[n,k] transposed     (cuBLAS: TN)
//   input_gradient   A = dY[m,k], B = W[k,n]               (NN)
//   weight_gradient  A = dY[k,m] transposed, B = X[k,n]    (NT), added to C in fp32, as fused accumulation does
// fp8 is TN in all three, and without fast accumulation backward.
struct ProductShape {
  std::int64_t m = 0, n = 0, k = 0, batch = 1;
  std::string layout = "forward";
};

class Product {
 public:
  // Throws Unsupported where cuBLASLt has no algorithm.
  Product(Context& context, const ProductType& type, const ProductShape& shape);
  Product(const Product&) = delete;
  Product& operator=(const Product&) = delete;
  ~Product();

  std::size_t a_bytes() const { return a_bytes_; }
  std::size_t b_bytes() const { return b_bytes_; }
  std::size_t c_bytes() const { return c_bytes_; }
  void run(const void* a, const void* b, void* c, cudaStream_t stream) const;
  // With a workspace of its own: products that run at once must not share one.
  void run(const void* a, const void* b, void* c, cudaStream_t stream, const DeviceBuffer& workspace) const;

 private:
  void set_layouts(const ProductShape& shape);
  void choose_algorithm();
  void release();

  Context& context_;
  const ProductType& type_;
  bool accumulate_ = false;
  std::size_t a_bytes_ = 0, b_bytes_ = 0, c_bytes_ = 0;
  cublasLtMatmulDesc_t operation_ = nullptr;
  cublasLtMatrixLayout_t a_ = nullptr, b_ = nullptr, c_ = nullptr;
  cublasLtMatmulHeuristicResult_t chosen_{};
};

Reading measure_product(Context& context, const Benchmark& benchmark, const Effort& effort);

// The same product for a hundred times as long, until clocks have settled; times of the second half.
Reading measure_sustained(Context& context, const Benchmark& benchmark, const Effort& effort);

}  // namespace echelon
