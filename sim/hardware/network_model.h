// How the time of what crosses links is found.
#pragma once

#include "sim/base/enum_names.h"

namespace echelon {

enum class NetworkModel {
  analytic,  // NCCL's cost of a collective on its group alone (sim/cost/collective.h)
  flow       // flows on the links of the cluster's topology, shared by all that runs at once (sim/engine/flow.h)
};

template <>
inline constexpr auto enum_names<NetworkModel> = std::to_array<EnumName<NetworkModel>>({
    {NetworkModel::analytic, "analytic"},
    {NetworkModel::flow, "flow"},
});

}  // namespace echelon
