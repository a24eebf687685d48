#include "sim/config/background_config.h"

#include <algorithm>

#include "sim/config/strategy_config.h"

namespace echelon {

namespace {

constexpr double most_megabytes = 1e9;
constexpr double most_milliseconds = 1e9;
constexpr std::int64_t most_seed = 1'000'000'000;

const std::vector<Key<BackgroundJob>>& background_keys() {
  static const std::vector<Key<BackgroundJob>> keys = {
      text_key<BackgroundJob>("name", &BackgroundJob::name, "for people"),
      enum_key<CollectiveKind, BackgroundJob>("collective", &BackgroundJob::kind,
                                              "that its ranks run again and again; all_reduce is the default"),
      {{"megabytes", number_type(1e-6, most_megabytes),
        "10^6 bytes of one collective: the full vector, as nccl-tests counts it", Presence::required},
       [](const Value& value, BackgroundJob& job) { job.bytes = Bytes(value.number(1e-6, most_megabytes) * 1e6); }},
      {{"every_ms", number_type(0, most_milliseconds),
        "milliseconds from one beginning to the next, or as long as one takes; 0, the default, is without a pause"},
       [](const Value& value, BackgroundJob& job) { job.every = Seconds(value.number(0, most_milliseconds) * 1e-3); }},
      {{"nodes", list_type(integer_type(0, most_ranks)), "of the cluster, none of which this job runs on",
        Presence::required},
       [](const Value& value, BackgroundJob& job) {
         for (const Value& item : value.items()) {
           const std::int64_t node = item.integer(0, most_ranks);
           if (std::count(job.nodes.begin(), job.nodes.end(), node) > 0)
             item.fail("node " + std::to_string(node) + " twice", "expected each node once");
           job.nodes.push_back(node);
         }
         if (job.nodes.size() < 2)
           value.fail("a job of fewer than two nodes", "expected two at least: others do not meet");
       }},
      integer_key<BackgroundJob>("ranks_per_node", 1, most_ranks, &BackgroundJob::ranks_per_node,
                                 "that one collective joins; the others of a node run one of their own. Default: all"),
      integer_key<BackgroundJob>("seed", 0, most_seed, &BackgroundJob::seed,
                                 "of the instant at which the first begins"),
  };
  return keys;
}

}  // namespace

std::string background_type() {
  return list_type(object_type_of(background_keys()));
}

std::vector<BackgroundJob> background_from_yaml(const Value& value, NetworkModel network, std::int64_t gpus_per_node) {
  std::vector<BackgroundJob> jobs;
  for (const Value& item : value.items()) {
    BackgroundJob job;
    job.where = item.where();
    read_keys(item, background_keys(), job);
    if (network != NetworkModel::flow)
      item.fail(item.path() + " shares links, which network: analytic does not know", "expected cluster.network: flow");
    if (job.ranks_per_node > 0 && gpus_per_node % job.ranks_per_node != 0)
      item.at("ranks_per_node")
          .fail(fmt::format("{} ranks of each node of {} GPUs", job.ranks_per_node, gpus_per_node),
                "expected a divisor of them");
    jobs.push_back(std::move(job));
  }
  return jobs;
}

}  // namespace echelon
