#include "sim/cost/rooted.h"

#include <algorithm>

namespace echelon {

namespace {

constexpr Bytes slot_bytes{4096};       // of 64 threads, eight lines of 8 bytes each
constexpr double ranks_of_slot = 8;     // messages of a vector of more than that: ranks / 8
constexpr Bytes most_of_ll{4096};       // of the vector, for each rank
constexpr Bytes most_of_ll128{131072};  // the same

struct Chain {
  const Network& network;
  double ranks;
  double nodes;
  Seconds call;
  ByteRate bandwidth;

  Seconds ll(Bytes bytes) const {
    return call + network.rooted_slot * std::min(bytes / slot_bytes, ranks / ranks_of_slot);
  }
  Seconds ll128(Bytes bytes) const {
    return call + network.rooted_ll128_step * nodes + bytes / (bandwidth * network.rooted_ll128_share);
  }
  Seconds simple(Bytes bytes) const { return call + network.rooted_simple_step * nodes + bytes / bandwidth; }
};

}  // namespace

RootedPrice rooted_time(const Network& network, double ranks, double nodes, Bytes bytes, Seconds call,
                        ByteRate bandwidth) {
  const Chain chain{network, ranks, nodes, call, bandwidth};
  // LL alone beyond its sizes: its messages no longer grow.
  const auto ll_alone = [&] {
    return std::max(chain.ll(bytes),
                    call + network.rooted_slot * (bytes / (most_of_ll * ranks) * ranks / ranks_of_slot));
  };
  if (network.forced_protocol) {
    switch (*network.forced_protocol) {
      case CollectiveProtocol::ll:
        return {ll_alone(), CollectiveProtocol::ll};
      case CollectiveProtocol::ll128:
        return {chain.ll128(bytes), CollectiveProtocol::ll128};
      case CollectiveProtocol::simple:
        return {chain.simple(bytes), CollectiveProtocol::simple};
    }
  }
  if (bytes <= most_of_ll * ranks) return {chain.ll(bytes), CollectiveProtocol::ll};
  const Seconds after_ll = chain.ll(most_of_ll * ranks);
  if (bytes <= most_of_ll128 * ranks) return {std::max(after_ll, chain.ll128(bytes)), CollectiveProtocol::ll128};
  const Seconds after_ll128 = std::max(after_ll, chain.ll128(most_of_ll128 * ranks));
  return {std::max(after_ll128, chain.simple(bytes)), CollectiveProtocol::simple};
}

}  // namespace echelon
