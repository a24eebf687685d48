// Broadcast and reduce between nodes: one chain through all ranks, whose pieces wait for each other.
//
// NCCL takes LL for small vectors, then LL128, then Simple, by a cost that grows with the ranks of the chain
// (src/graph/tuning.cc of 2.8: steps of all ranks for rooted collectives), so that the sizes at which it changes grow
// with them, too:
//   LL       up to 4096 B x ranks: its 512 threads at 8 bytes times the ranks each (enqueue.cc's threshold of LL
//   rings).
//            Smaller vectors halve the threads down to 64, whose message is 4 KiB; from there on messages grow with the
//            vector and stay ranks / 8 in number: time = call + slot x min(bytes / 4096, ranks / 8)
//   LL128    up to 131072 B x ranks, where ABCI's V100 nodes change (tests/data/nccl/abci_nodes.csv: 4 nodes at 2 MiB,
//   32
//            at 16 MiB): time = call + step x nodes + bytes / bandwidth
//   Simple   beyond, the same with steps of 512 KiB
// Calls in a row overlap in the first alone: small broadcasts take as long on 128 ranks as on 8. A size never takes
// less than the largest of the protocol before it.
#pragma once

#include "sim/base/units.h"
#include "sim/hardware/network.h"

namespace echelon {

struct RootedPrice {
  Seconds time;
  CollectiveProtocol protocol = CollectiveProtocol::simple;
};

// `call`: what the smallest takes; `bandwidth`: that Simple reaches; two nodes or more. A protocol may be forced.
RootedPrice rooted_time(const Network& network, double ranks, double nodes, Bytes bytes, Seconds call,
                        ByteRate bandwidth);

}  // namespace echelon
