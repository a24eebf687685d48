#include "sim/hardware/topology.h"

#include <stdexcept>
#include <utility>

#include "sim/base/error.h"

namespace echelon {

VertexId Topology::add(Vertex vertex) {
  if (vertices.size() >= most_vertices) throw std::length_error("vertices");
  const auto id = static_cast<VertexId>(vertices.size());
  if (vertex.kind == VertexKind::gpu) gpus.push_back(id);
  vertices.push_back(std::move(vertex));
  return id;
}

LinkId Topology::join(VertexId a, VertexId b, const LinkSpec& spec) {
  SIM_CHECK(a != b && spec.bandwidth > ByteRate(0) && spec.metric >= 1, "a link of {} to {} is none", a, b);
  if (links.size() >= most_links) throw std::length_error("links");
  const auto id = static_cast<LinkId>(links.size());
  links.push_back({a, b, spec.bandwidth, spec.latency, spec.metric});
  links.push_back({b, a, spec.bandwidth, spec.latency, spec.metric});
  return id;
}

std::string sort_of(const Vertex& vertex) {
  const std::size_t last_dot = vertex.name.rfind('.');
  std::string word = vertex.name.substr(last_dot == std::string::npos ? 0 : last_dot + 1);
  while (!word.empty() && word.back() >= '0' && word.back() <= '9') word.pop_back();
  return word.empty() ? std::string(name_of(vertex.kind)) : word;
}

std::vector<ByteRate> link_capacities(const Topology& topology) {
  std::vector<ByteRate> capacities;
  capacities.reserve(topology.links.size());
  for (const Link& link : topology.links) capacities.push_back(link.bandwidth);
  return capacities;
}

}  // namespace echelon
