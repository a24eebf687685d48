// A cluster's topology as an SVG picture: GPUs at the bottom, what joins them above, the networks' tiers at the top.
#pragma once

#include <string>

#include "sim/hardware/topology.h"

namespace echelon {

// A whole SVG document. Links are coloured by bandwidth; what stands in one row and is joined by an arc. Each vertex
// and link tells its name and numbers where the pointer rests.
std::string topology_svg(const Topology& topology);

}  // namespace echelon
