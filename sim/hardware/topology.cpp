#include "sim/hardware/topology.h"

#include <utility>

#include "sim/base/error.h"

namespace echelon {

VertexId Topology::add(Vertex vertex) {
  const auto id = static_cast<VertexId>(vertices.size());
  if (vertex.kind == VertexKind::gpu) gpus.push_back(id);
  vertices.push_back(std::move(vertex));
  return id;
}

LinkId Topology::join(VertexId a, VertexId b, const LinkSpec& spec) {
  SIM_CHECK(a != b && spec.bandwidth > ByteRate(0) && spec.metric >= 1, "a link of {} to {} is none", a, b);
  const auto id = static_cast<LinkId>(links.size());
  links.push_back({a, b, spec.bandwidth, spec.latency, spec.metric});
  links.push_back({b, a, spec.bandwidth, spec.latency, spec.metric});
  return id;
}

std::vector<ByteRate> link_capacities(const Topology& topology) {
  std::vector<ByteRate> capacities;
  capacities.reserve(topology.links.size());
  for (const Link& link : topology.links) capacities.push_back(link.bandwidth);
  return capacities;
}

}  // namespace echelon
