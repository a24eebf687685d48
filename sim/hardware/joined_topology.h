// Clusters of unlike machines as one graph.
//
// Each part keeps its own network. Its topmost switches are joined to a gateway, and the gateways to one switch between
// the parts, by a link that carries what all nodes of the part may send to other parts at once. GPUs are counted part
// after part, nodes and domains too; names begin with "group0.", "group1.", ...
#pragma once

#include <vector>

#include "sim/base/error.h"
#include "sim/hardware/topology.h"
#include "sim/hardware/topology_spec.h"

namespace echelon {

struct TopologyPart {
  Topology topology;
  RoutePolicy policy;
  ByteRate outwards;     // of all its nodes together to other parts, each way; above 0
  SourceLocation where;  // of its topology, for messages
};

struct JoinedTopology {
  Topology topology;
  RoutePolicy policy;  // by rails in the parts that route so, over hashed ways where any part hashes
};

// Throws InputError at TopologyPart::where for a part without a network switch, which nothing can be joined to.
JoinedTopology join_parts(const std::vector<TopologyPart>& parts);

}  // namespace echelon
