#include "sim/app/host_cost.h"

namespace echelon {

HostCost host_cost(const Strategy& strategy) {
  switch (strategy.framework) {
    case FrameworkKind::megatron:
    case FrameworkKind::deepspeed:
      return {microseconds(30), microseconds(25), microseconds(5000)};
    case FrameworkKind::nanotron:
    case FrameworkKind::fsdp:
    case FrameworkKind::torchtitan:
      return {microseconds(8), microseconds(6), microseconds(5000)};
  }
  return {};
}

}  // namespace echelon
