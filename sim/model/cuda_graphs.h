// What of a layer the host replays as CUDA graphs, and so does not launch kernel by kernel.
#pragma once

#include "sim/base/enum_names.h"
#include "sim/model/operator.h"

namespace echelon {

enum class CudaGraphs {
  none,
  router,            // Megatron-Core's scopes moe_router and moe_preprocess
  attention_router,  // and attn: all of a layer but its routed experts
  iteration          // the whole iteration is one graph (cuda_graph_impl full_iteration)
};

template <>
inline constexpr auto enum_names<CudaGraphs> = std::to_array<EnumName<CudaGraphs>>({
    {CudaGraphs::none, "none"},
    {CudaGraphs::router, "router"},
    {CudaGraphs::attention_router, "attention_router"},
    {CudaGraphs::iteration, "iteration"},
});

// Whether the operator's kernels are part of a graph. Where tokens go to is known too late for dispatch and experts to
// be in a graph of a layer's part.
inline bool is_replayed(CudaGraphs graphs, const Operator& op) {
  switch (graphs) {
    case CudaGraphs::none:
      return false;
    case CudaGraphs::router:
      return op.kind == OperatorKind::router;
    case CudaGraphs::attention_router:
      return !op.routed && op.kind != OperatorKind::permute;
    case CudaGraphs::iteration:
      return true;
  }
  return false;
}

}  // namespace echelon
