#include "calibrate/gpu/cuda/cudnn_graph.h"

#include <algorithm>
#include <utility>

namespace echelon {
namespace {

constexpr std::int64_t alignment = 16;       // bytes; vector loads of the engines ask for it
constexpr std::int64_t most_candidates = 8;  // engine configurations that are tried

CudnnDescriptor operation_graph(const CudnnGraph& graph, const CudnnTarget& target) {
  std::vector<cudnnBackendDescriptor_t> operations;
  for (const CudnnDescriptor& operation : graph.operations()) operations.push_back(operation.get());
  CudnnDescriptor made(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
  made.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, static_cast<std::int64_t>(operations.size()),
           operations.data());
  if (target.handle != nullptr) made.set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, target.handle);
  made.finalize("graph of operations");
  return made;
}

std::vector<CudnnDescriptor> candidates_of(const CudnnDescriptor& graph, const CudnnTarget& target) {
  CudnnDescriptor heuristic(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
  heuristic.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph);
  heuristic.set(CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, CUDNN_HEUR_MODE_A);
  if (target.described != nullptr) heuristic.set(CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, *target.described);
  heuristic.finalize("heuristic");
  std::vector<CudnnDescriptor> found;
  std::vector<cudnnBackendDescriptor_t> places;
  for (std::int64_t i = 0; i < most_candidates; ++i) {
    found.emplace_back(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    places.push_back(found.back().get());
  }
  std::int64_t count = 0;
  check_cudnn(cudnn().get_attribute(heuristic.get(), CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                                    most_candidates, &count, places.data()),
              "engines of the heuristic");
  if (count == 0) throw Unsupported("cuDNN has no engine for this shape");
  found.erase(found.begin() + std::min(count, most_candidates), found.end());
  return found;
}

CudnnDescriptor plan_of(const CudnnDescriptor& candidate, const CudnnTarget& target) {
  CudnnDescriptor plan(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
  if (target.handle != nullptr) plan.set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, target.handle);
  if (target.described != nullptr) plan.set(CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, *target.described);
  plan.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, candidate);
  plan.finalize("plan");
  return plan;
}

CudnnDescriptor first_plan(const std::vector<CudnnDescriptor>& candidates, const CudnnTarget& target) {
  std::string reason;
  for (const CudnnDescriptor& candidate : candidates) try {
      return plan_of(candidate, target);
    } catch (const std::runtime_error& error) {
      if (reason.empty()) reason = error.what();
    }
  throw Unsupported(reason);
}

}  // namespace

CudnnDescriptor::CudnnDescriptor(cudnnBackendDescriptorType_t type) {
  check_cudnn(cudnn().create_descriptor(type, &descriptor_), "descriptor");
}

CudnnDescriptor::CudnnDescriptor(CudnnDescriptor&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, nullptr)) {}

CudnnDescriptor& CudnnDescriptor::operator=(CudnnDescriptor&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

CudnnDescriptor::~CudnnDescriptor() {
  if (descriptor_ != nullptr) cudnn().destroy_descriptor(descriptor_);
}

void CudnnDescriptor::set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, std::int64_t count,
                          const void* values) {
  check_cudnn(cudnn().set_attribute(descriptor_, name, type, count, values),
              "attribute " + std::to_string(static_cast<int>(name)));
}

void CudnnDescriptor::set(cudnnBackendAttributeName_t name, const CudnnDescriptor& part) {
  set(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &part.descriptor_);
}

void CudnnDescriptor::finalize(const char* what) {
  check_cudnn(cudnn().finalize(descriptor_), what);
}

CudnnDescriptor described_device(const std::string& json) {
  CudnnDescriptor device(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);
  device.set(CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, static_cast<std::int64_t>(json.size()),
             json.data());
  device.finalize("described device");
  return device;
}

CudnnSizes packed(const CudnnSizes& sizes) {
  return {sizes[1] * sizes[2] * sizes[3], sizes[2] * sizes[3], sizes[3], 1};
}

int CudnnGraph::tensor(const CudnnSizes& sizes, const CudnnSizes& strides, cudnnDataType_t type, Place place) {
  const auto number = static_cast<std::int64_t>(tensors_.size());
  CudnnDescriptor made(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
  made.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, number);
  made.set(CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, type);
  made.set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, alignment);
  made.set(CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, sizes.data());
  made.set(CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, strides.data());
  made.set(CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, place == Place::inside);
  made.set(CUDNN_ATTR_TENSOR_IS_BY_VALUE, CUDNN_TYPE_BOOLEAN, place == Place::host);
  made.finalize("tensor");
  tensors_.push_back(std::move(made));
  return static_cast<int>(number);
}

void CudnnGraph::add(CudnnDescriptor operation, const char* what) {
  operation.finalize(what);
  operations_.push_back(std::move(operation));
}

void CudnnGraph::matmul(int a, int b, int c) {
  CudnnDescriptor how(CUDNN_BACKEND_MATMUL_DESCRIPTOR);
  how.set(CUDNN_ATTR_MATMUL_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, CUDNN_DATA_FLOAT);
  how.finalize("matmul");
  CudnnDescriptor operation(CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR);
  operation.set(CUDNN_ATTR_OPERATION_MATMUL_ADESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, at(a));
  operation.set(CUDNN_ATTR_OPERATION_MATMUL_BDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, at(b));
  operation.set(CUDNN_ATTR_OPERATION_MATMUL_CDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, at(c));
  operation.set(CUDNN_ATTR_OPERATION_MATMUL_DESC, how);
  operators_.push_back(std::move(how));
  add(std::move(operation), "matmul");
}

void CudnnGraph::point(CudnnDescriptor how, cudnnPointwiseMode_t mode, const std::vector<int>& in, int out) {
  const bool compares = mode == CUDNN_POINTWISE_CMP_GE;
  how.set(CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, mode);
  how.set(CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, compares ? CUDNN_DATA_BOOLEAN : CUDNN_DATA_FLOAT);
  how.finalize("pointwise");
  CudnnDescriptor operation(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
  operation.set(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, how);
  constexpr std::array<cudnnBackendAttributeName_t, 3> inputs{
      CUDNN_ATTR_OPERATION_POINTWISE_XDESC, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, CUDNN_ATTR_OPERATION_POINTWISE_TDESC};
  for (std::size_t i = 0; i < in.size(); ++i) operation.set(inputs[i], CUDNN_TYPE_BACKEND_DESCRIPTOR, at(in[i]));
  operation.set(CUDNN_ATTR_OPERATION_POINTWISE_YDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, at(out));
  operators_.push_back(std::move(how));
  add(std::move(operation), "pointwise");
}

void CudnnGraph::pointwise(cudnnPointwiseMode_t mode, const std::vector<int>& in, int out) {
  point(CudnnDescriptor(CUDNN_BACKEND_POINTWISE_DESCRIPTOR), mode, in, out);
}

void CudnnGraph::positions(std::int64_t axis, int like, int out) {
  CudnnDescriptor how(CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
  how.set(CUDNN_ATTR_POINTWISE_AXIS, CUDNN_TYPE_INT64, axis);
  point(std::move(how), CUDNN_POINTWISE_GEN_INDEX, {like}, out);
}

void CudnnGraph::reduce(cudnnReduceTensorOp_t mode, int in, int out) {
  CudnnDescriptor how(CUDNN_BACKEND_REDUCTION_DESCRIPTOR);
  how.set(CUDNN_ATTR_REDUCTION_OPERATOR, CUDNN_TYPE_REDUCTION_OPERATOR_TYPE, mode);
  how.set(CUDNN_ATTR_REDUCTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, CUDNN_DATA_FLOAT);
  how.finalize("reduction");
  CudnnDescriptor operation(CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR);
  operation.set(CUDNN_ATTR_OPERATION_REDUCTION_XDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, at(in));
  operation.set(CUDNN_ATTR_OPERATION_REDUCTION_YDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, at(out));
  operation.set(CUDNN_ATTR_OPERATION_REDUCTION_DESC, how);
  operators_.push_back(std::move(how));
  add(std::move(operation), "reduction");
}

void CudnnGraph::reshape(int in, int out) {
  CudnnDescriptor operation(CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR);
  operation.set(CUDNN_ATTR_OPERATION_RESHAPE_XDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, at(in));
  operation.set(CUDNN_ATTR_OPERATION_RESHAPE_YDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, at(out));
  add(std::move(operation), "reshape");
}

std::size_t count_engines(const CudnnGraph& graph, const CudnnTarget& target) {
  return candidates_of(operation_graph(graph, target), target).size();
}

CudnnArguments::CudnnArguments(const std::vector<std::int64_t>& tensors, const std::vector<void*>& places,
                               void* workspace)
    : pack_(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR) {
  const auto count = static_cast<std::int64_t>(tensors.size());
  pack_.set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, count, tensors.data());
  pack_.set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, count, places.data());
  pack_.set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, workspace);
  pack_.finalize("arguments");
}

CudnnPlan::CudnnPlan(const CudnnGraph& graph, const CudnnTarget& target)
    : graph_(operation_graph(graph, target)),
      candidates_(candidates_of(graph_, target)),
      plan_(first_plan(candidates_, target)) {
  std::int64_t count = 0;
  check_cudnn(cudnn().get_attribute(plan_.get(), CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &count,
                                    &workspace_bytes_),
              "workspace of the plan");
}

void CudnnPlan::run(cudnnHandle_t handle, const CudnnArguments& arguments) const {
  check_cudnn(cudnn().execute(handle, plan_.get(), arguments.get()), "execution");
}

}  // namespace echelon
