// Graphs of operations for cuDNN 9's backend interface: tensors of four dimensions are added first, then the operations
// that join them, then a plan is made, which an engine of cuDNN runs as one kernel or a few.
//
//   CudnnGraph graph;
//   const int a = graph.tensor({...}), b = ..., c = ...;
//   graph.matmul(a, b, c);
//   const CudnnPlan plan(graph, device);     throws Unsupported where no engine takes the graph
//   const CudnnArguments arguments(...);
//   plan.run(handle, arguments);
//
// All throw what errors.h names. Host code alone: no CUDA call is made before run().
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "calibrate/gpu/cuda/cudnn_api.h"

namespace echelon {

// One object of the backend interface, destroyed with it.
class CudnnDescriptor {
 public:
  explicit CudnnDescriptor(cudnnBackendDescriptorType_t type);
  CudnnDescriptor(CudnnDescriptor&& other) noexcept;
  CudnnDescriptor& operator=(CudnnDescriptor&& other) noexcept;
  CudnnDescriptor(const CudnnDescriptor&) = delete;
  CudnnDescriptor& operator=(const CudnnDescriptor&) = delete;
  ~CudnnDescriptor();

  // An attribute of `count` values. `values` of descriptors point at cudnnBackendDescriptor_t.
  void set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, std::int64_t count, const void* values);
  template <class Value>
  void set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, const Value& value) {
    set(name, type, 1, &value);
  }
  void set(cudnnBackendAttributeName_t name, const CudnnDescriptor& part);
  void finalize(const char* what);
  cudnnBackendDescriptor_t get() const { return descriptor_; }

 private:
  cudnnBackendDescriptor_t descriptor_ = nullptr;
};

// What a plan is made for: the device of a handle, or one that a text describes (cuDNN 9.8 on; NVIDIA, "Deviceless
// ahead-of-time compilation"), which needs no GPU.
struct CudnnTarget {
  cudnnHandle_t handle = nullptr;
  const CudnnDescriptor* described = nullptr;
};

// A device as cuDNN writes it: JSON with its compute capability, multiprocessors and the like.
CudnnDescriptor described_device(const std::string& json);

using CudnnSizes = std::array<std::int64_t, 4>;

// Strides of a tensor that lies row by row, the last dimension innermost.
CudnnSizes packed(const CudnnSizes& sizes);

class CudnnGraph {
 public:
  enum class Place { memory, inside, host };  // in device memory; within the fused kernel; a number of the host

  // Each gives the tensor's number, by which operations and arguments know it.
  int tensor(const CudnnSizes& sizes, const CudnnSizes& strides, cudnnDataType_t type, Place place);
  int inside(const CudnnSizes& sizes) { return tensor(sizes, packed(sizes), CUDNN_DATA_FLOAT, Place::inside); }
  int number() { return tensor({1, 1, 1, 1}, {1, 1, 1, 1}, CUDNN_DATA_FLOAT, Place::host); }

  void matmul(int a, int b, int c);
  // out = mode(in[0], in[1]); a selection takes (if true, if false, which).
  void pointwise(cudnnPointwiseMode_t mode, const std::vector<int>& in, int out);
  // Each element's position along `axis`; `like` has the same sizes.
  void positions(std::int64_t axis, int like, int out);
  void reduce(cudnnReduceTensorOp_t how, int in, int out);
  void reshape(int in, int out);

  const std::vector<CudnnDescriptor>& operations() const { return operations_; }

 private:
  cudnnBackendDescriptor_t at(int tensor) const { return tensors_[static_cast<std::size_t>(tensor)].get(); }
  void add(CudnnDescriptor operation, const char* what);
  void point(CudnnDescriptor operator_descriptor, cudnnPointwiseMode_t mode, const std::vector<int>& in, int out);

  std::vector<CudnnDescriptor> tensors_;
  std::vector<CudnnDescriptor> operators_;
  std::vector<CudnnDescriptor> operations_;
};

// How many engine configurations the heuristic offers, at most eight, nothing compiled. Throws Unsupported for none.
std::size_t count_engines(const CudnnGraph& graph, const CudnnTarget& target);

// Where the tensors of one run lie, by number.
class CudnnArguments {
 public:
  CudnnArguments(const std::vector<std::int64_t>& tensors, const std::vector<void*>& places, void* workspace);
  cudnnBackendDescriptor_t get() const { return pack_.get(); }

 private:
  CudnnDescriptor pack_;
};

class CudnnPlan {
 public:
  // The first engine of cuDNN's heuristic that takes the graph. Throws Unsupported where none does.
  CudnnPlan(const CudnnGraph& graph, const CudnnTarget& target);

  std::int64_t workspace_bytes() const { return workspace_bytes_; }
  // Enqueues one execution on the handle's stream.
  void run(cudnnHandle_t handle, const CudnnArguments& arguments) const;

 private:
  CudnnDescriptor graph_;
  std::vector<CudnnDescriptor> candidates_;
  CudnnDescriptor plan_;
  std::int64_t workspace_bytes_ = 0;
};

}  // namespace echelon
