// Collectives as flows on a topology: every edge of a ring or tree over which a group hands data on is one flow.
//
//   ring       each of R rings (sim/hardware/rings.h) carries 1/R of what an edge of one ring would: 2 (n - 1) / n of
//              the vector for all-reduce, (n - 1) / n for gather and scatter, all of it for broadcast and reduce
//   tree       all-reduce up and down a chain inside each domain and double binary trees between domains (P. Sanders,
//              J. Speck, J. Traeff, Parallel Computing 35, 2009), one pair of trees for each GPU of a domain; by the
//              profile's share slower than a ring on the same links
//   nvls       all-reduce in the scale-up switch: each GPU sends the vector and its own n-th part, and receives as much
//   nvls_tree  the same in each domain, double binary trees between them
//   pat        gather and scatter over the powers of two: each rank sends 2^k parts to the one 2^k places on
//   direct     all-to-all and send-receive, a flow for each pair
// A flow is never faster than what its share of the collective is allowed by the bus bandwidth that the profile has for
// the algorithm (Network): links say where traffic meets, the profile what NCCL reaches on them.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "sim/base/collective_kind.h"
#include "sim/engine/flow.h"
#include "sim/hardware/network.h"
#include "sim/hardware/route.h"
#include "sim/hardware/topology.h"

namespace echelon {

struct GroupCall {
  CollectiveKind kind = CollectiveKind::all_reduce;
  std::vector<VertexId> gpus;                    // by rank, distinct; rank 0 is the root
  Bytes bytes;                                   // the full vector, as nccl-tests counts it
  std::optional<CollectiveAlgorithm> algorithm;  // absent: the fastest where the collective is alone
  std::optional<Time> latency;  // before bytes move, but for that between switches; absent: that of the links along the
                                // longest chain of steps
  double calls = 1;             // that those bytes are of, one after another
};

class CollectiveFlows {
 public:
  // All must outlive this. `ways`: the topology with other links down, which flows go by while rings and trees stay as
  // `topology` has them; null: the same.
  CollectiveFlows(const Topology& topology, RoutePolicy policy, const Network& network, const Topology* ways = nullptr);

  // Whether the algorithm does this collective on these GPUs.
  bool applies(const GroupCall& call, CollectiveAlgorithm algorithm) const;

  // Flows that begin at `start`; the collective is through when all are. None for one rank or no bytes. `number`: of
  // the collective, for the choice among equal ways. Throws NoWay.
  std::vector<Flow> flows(const GroupCall& call, Time start, std::uint64_t number);

  // How long the collective takes with the topology to itself.
  Time time_alone(const GroupCall& call);

 private:
  struct Edge {
    VertexId from = 0;
    VertexId to = 0;
    Bytes bytes;
    bool in_tree = false;    // between domains
    std::int64_t then = -1;  // of a tree: the edge up that waits for this one
  };
  struct Plan {
    std::vector<Edge> edges;
    Bytes vector_on_bus;   // bytes times bus factor
    ByteRate bus;          // that the profile allows; 0 = no bound
    double steps = 1;      // one after another along the longest chain outside trees, in messages
    bool at_once = false;  // no edge waits for another
  };

  static Seconds latency_of_chain(const Plan& plan, const std::vector<Seconds>& latencies);
  CollectiveAlgorithm fastest(const GroupCall& call);
  Plan plan(const GroupCall& call, CollectiveAlgorithm algorithm);
  Plan ring(const GroupCall& call) const;
  Plan tree(const GroupCall& call);
  Plan switched(const GroupCall& call) const;
  Plan pat(const GroupCall& call) const;
  Plan all_to_all(const GroupCall& call) const;
  Plan send_receive(const GroupCall& call) const;
  void trees_between(const std::vector<std::vector<VertexId>>& domains, Bytes bytes, Plan& plan) const;
  ByteRate ring_bus(const GroupCall& call) const;

  const Topology& topology_;
  const Network& network_;
  Router router_;
  std::vector<ByteRate> capacities_;
  std::vector<VertexId> switch_of_;  // by vertex: the scale-up switch that a GPU is on; -1 = none
};

}  // namespace echelon
