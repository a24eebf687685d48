// What befalls the network of a cluster while a job runs on it: parts that are down, and other jobs' traffic.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/base/collective_kind.h"
#include "sim/base/error.h"
#include "sim/base/units.h"

namespace echelon {

// A part of the topology with all its links, or the links between two parts, that are down from some time on.
struct LinkFault {
  std::string part;   // by its name: "leaf0", "n3.nic2"
  std::string other;  // the other end; empty: the part itself is down
  Time from;          // of the iteration; 0: since the job began, so that its rings are laid around it
  SourceLocation where{"faults"};
};

// Another job of the cluster: a collective over all GPUs of some nodes, again and again.
struct BackgroundJob {
  std::string name;
  CollectiveKind kind = CollectiveKind::all_reduce;
  Bytes bytes;                      // the full vector, as nccl-tests counts it
  Seconds every;                    // from one beginning to the next; 0 = without a pause
  std::vector<std::int64_t> nodes;  // of the cluster, counted from 0
  std::int64_t ranks_per_node = 0;  // that one collective joins, and so many collectives run at once; 0 = all
  std::int64_t seed = 1;            // of when the first begins
  SourceLocation where{"background"};
};

}  // namespace echelon
