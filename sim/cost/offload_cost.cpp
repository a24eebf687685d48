#include "sim/cost/offload_cost.h"

#include <algorithm>

namespace echelon {

Seconds host_copy_time(const Host& host, double sharers, const HostCopy& copy) {
  if (copy.bytes <= Bytes(0)) return Seconds(0);
  const Seconds over_link = copy.bytes / host.link;
  if (copy.target != OffloadTarget::nvme) return over_link;
  const ByteRate drives = copy.direction == CopyDirection::to_host ? host.nvme_write : host.nvme_read;
  return std::max(over_link, copy.bytes / (drives / sharers));
}

Seconds host_step_time(const Host& host, double sharers, const OptimizerWork& step) {
  const Seconds update = step.moved_per_element * step.elements / (host.memory_bandwidth / sharers);
  if (step.target != OffloadTarget::nvme) return update;
  const Bytes stored = step.stored_per_element * step.elements;
  return std::max(update, stored / (host.nvme_read / sharers) + stored / (host.nvme_write / sharers));
}

}  // namespace echelon
