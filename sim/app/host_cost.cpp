#include "sim/app/host_cost.h"

namespace echelon {

// Effective host times per kernel, autograd and bookkeeping included. Measured only through whole iterations: the two
// groups below are solved from launch-bound rows of published runs, which the profiles name in `tuned_rows` and
// validate leaves out of its summaries:
//   megatron  vtrain_single-0068, -0082, -0088, -0151, -0152 (A100 nodes, Megatron-DeepSpeed)
//   nanotron  nanotron_ultrascale-0028, -0029, -0077, -0078, -0129, -0130 (AWS p5)
// The rest are the usual cost of a PyTorch operator, 5-10 us of dispatch and launch, not tuned.
HostCost host_cost(const Strategy& strategy) {
  constexpr Seconds operator_cost = microseconds(8);
  switch (strategy.framework) {
    case FrameworkKind::megatron:
    case FrameworkKind::deepspeed:
      return {microseconds(50), microseconds(41.5), operator_cost};
    case FrameworkKind::nanotron:
      return {microseconds(100), microseconds(75), operator_cost};
    case FrameworkKind::fsdp:
    case FrameworkKind::torchtitan:
      return {operator_cost, microseconds(6), operator_cost};
  }
  return {};
}

}  // namespace echelon
