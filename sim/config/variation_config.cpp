#include "sim/config/variation_config.h"

#include <fmt/format.h>

#include "sim/config/strategy_config.h"

namespace echelon {

namespace {

constexpr double most_variation = 10;
constexpr double least_factor = 0.01;
constexpr double most_factor = 1000;
constexpr double most_seconds = 1e6;
constexpr std::int64_t most_runs = 100'000;
constexpr std::int64_t most_seed = 1'000'000'000;

const std::vector<Key<RankFault>>& fault_keys() {
  static const std::vector<Key<RankFault>> keys = {
      integer_key<RankFault>("rank", 0, most_ranks - 1, &RankFault::rank,
                             "global rank, numbered along strategy.mesh_order", Presence::required),
      number_key<RankFault>("compute_factor", least_factor, most_factor, &RankFault::compute_factor,
                            "its kernels take so many times as long"),
      number_key<RankFault>("link_factor", least_factor, most_factor, &RankFault::link_factor,
                            "its messages and collectives between nodes take so many times as long"),
      {{"from_s", number_type(0, most_seconds), "seconds into the iteration; tasks that start earlier are spared"},
       [](const Value& value, RankFault& fault) {
         fault.from = Time::from_seconds(Seconds(value.number(0, most_seconds)));
       }},
  };
  return keys;
}

}  // namespace

const std::vector<Key<Variability>>& variability_keys() {
  static const std::vector<Key<Variability>> keys = {
      number_key<Variability>("compute_cv", 0, most_variation, &Variability::compute_cv,
                              "standard deviation over mean of each task's time in kernels"),
      number_key<Variability>("link_cv", 0, most_variation, &Variability::link_cv,
                              "the same of its time on links between nodes"),
      enum_key<JitterShape, Variability>("shape", &Variability::shape,
                                         "distribution of both; lognormal is the default"),
      integer_key<Variability>("seed", 0, most_seed, &Variability::seed, "of all draws"),
      integer_key<Variability>("runs", 1, most_runs, &Variability::runs,
                               "iterations drawn; more than one give P5, P50 and P95"),
  };
  return keys;
}

std::string faults_type() {
  return list_type(object_type_of(fault_keys()));
}

std::vector<RankFault> faults_from_yaml(const Value& value, std::int64_t gpus) {
  std::vector<RankFault> faults;
  for (const Value& item : value.items()) {
    RankFault fault;
    read_keys(item, fault_keys(), fault);
    if (fault.rank >= gpus)
      item.at("rank").fail(fmt::format("{} is rank {} of {} GPUs", item.path(), fault.rank, gpus),
                           fmt::format("expected 0 to {}", gpus - 1));
    if (!item.find("compute_factor") && !item.find("link_factor"))
      item.fail(item.path() + " has no factor", "expected 'compute_factor' or 'link_factor'");
    faults.push_back(fault);
  }
  return faults;
}

}  // namespace echelon
