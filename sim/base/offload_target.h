// Where what leaves the device goes.
#pragma once

#include "sim/base/enum_names.h"

namespace echelon {

enum class OffloadTarget {
  none,  // it stays on the device
  host,  // memory of the node
  nvme   // its drives, through host memory
};

template <>
inline constexpr auto enum_names<OffloadTarget> = std::to_array<EnumName<OffloadTarget>>({
    {OffloadTarget::none, "none"},
    {OffloadTarget::host, "host"},
    {OffloadTarget::nvme, "nvme"},
});

}  // namespace echelon
