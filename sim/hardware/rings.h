// Rings for collectives: in which orders a group's GPUs hand data on.
//
// GPUs of one scale-up domain stand together; one domain after another follows in the order of the ranks. With several
// domains a ring enters each at another of its GPUs, so that every adapter carries an equal part of the traffic, as
// NCCL's channels do. In a mesh of direct links the ring inside a domain follows links: edge-disjoint Hamiltonian
// cycles, each in both directions, found by search as in NCCL's src/graph/search.cc.
#pragma once

#include <vector>

#include "sim/hardware/topology.h"

namespace echelon {

// Members of one scale-up domain (of one node where there is no domain), in the order of their ranks.
using DomainMembers = std::vector<VertexId>;

// Domains in the order of their first rank.
std::vector<DomainMembers> members_by_domain(const Topology& topology, const std::vector<VertexId>& ranks);

// Every ring through all ranks; each is to carry an equal part. Two ranks or more.
std::vector<std::vector<VertexId>> rings(const Topology& topology, const std::vector<VertexId>& ranks);

}  // namespace echelon
