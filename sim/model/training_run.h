// A whole run of many iterations, as its owner describes it: tokens, failures, checkpoints, prices. 0 = not given,
// but where a number may be absent.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/base/enum_names.h"
#include "sim/base/units.h"

namespace echelon {

// What a cause of failures strikes: how often depends on how many of them the job has.
enum class FailureScope { gpu, node, job };

template <>
inline constexpr auto enum_names<FailureScope> = std::to_array<EnumName<FailureScope>>({
    {FailureScope::gpu, "gpu"},
    {FailureScope::node, "node"},
    {FailureScope::job, "job"},
});

// A cause of failures that stop the job.
struct FailureCause {
  std::string cause;  // "HBM3"
  FailureScope per = FailureScope::node;
  double per_1000_days = 0;  // of one GPU, node or job
};

struct TrainingRun {
  double tokens = 0;

  // Failures and checkpoints.
  double failures_per_1000_node_days = 0;  // of causes that `failures` does not list
  std::vector<FailureCause> failures;
  std::int64_t spare_nodes = 0;  // that stand by for failed ones, paid for like the others
  Seconds repair;                // of a node; failures of the job itself need none. 0 = a node is always at hand
  double checkpoint_bytes_per_parameter = 14;  // 16-bit weights, fp32 masters and Adam's two moments
  ByteRate storage;                            // of the whole cluster, to write and to read a checkpoint
  std::optional<Seconds> checkpoint_blocking;  // training stands still for; absent: as long as writing takes
  Seconds checkpoint_interval;                 // of training between two; 0 = the best
  Seconds restart;                             // from a failure to loading: detection, new nodes, initialisation

  // Money, energy and carbon.
  std::optional<double> usd_per_gpu_hour;  // absent: the profile's; 0 = no price
  double usd_per_gpu = 0;                  // bought, its share of the node included
  double network_share = 0;                // of that price, for network and storage
  double years = 0;                        // that it is used
  double utilisation = 1;                  // share of those years that it trains
  double usd_per_kwh = 0;
  double pue = 1;       // facility power over IT power
  Watts watts_per_gpu;  // its share of the node; 0 = the TDP
  double kg_co2_per_kwh = 0;
};

}  // namespace echelon
