#include "sim/config/variation_config.h"

#include <fmt/format.h>

#include <numbers>

#include "sim/config/strategy_config.h"

namespace echelon {

namespace {

constexpr double most_variation = 10;
constexpr double least_factor = 0.01;
constexpr double most_factor = 1000;
constexpr double most_seconds = 1e6;
constexpr std::int64_t most_runs = 100'000;
constexpr std::int64_t most_seed = 1'000'000'000;

// Of a shape that is cut off at 0, so that its mean stays 1: a uniform one reaches 0 at 1 / sqrt(3); a normal one lies
// below 0 with probability 4e-4 at 0.3, which raises the mean by 3e-5.
double most_variation_of(JitterShape shape) {
  if (shape == JitterShape::uniform) return 1 / std::numbers::sqrt3;
  return shape == JitterShape::normal ? 0.3 : most_variation;
}

// A fault as it is written: of a rank, of a part of the network, or of a link.
struct FaultDocument {
  std::int64_t rank = 0;
  double compute_factor = 1;
  double link_factor = 1;
  std::string part;
  std::string other;
  Time from;
};

const std::vector<Key<FaultDocument>>& fault_keys() {
  static const std::vector<Key<FaultDocument>> keys = {
      integer_key<FaultDocument>("rank", 0, most_ranks - 1, &FaultDocument::rank,
                                 "that is slow: global, numbered along strategy.mesh_order"),
      number_key<FaultDocument>("compute_factor", least_factor, most_factor, &FaultDocument::compute_factor,
                                "its kernels take so many times as long"),
      number_key<FaultDocument>("link_factor", least_factor, most_factor, &FaultDocument::link_factor,
                                "its messages and collectives between nodes take so many times as long"),
      text_key<FaultDocument>("part", &FaultDocument::part,
                              "with network: flow, a switch or an adapter that is down, by its name in the topology"),
      {{"link", list_type(text_type()), "with network: flow, the two parts whose link is down"},
       [](const Value& value, FaultDocument& fault) {
         const std::vector<Value> ends = value.items();
         if (ends.size() != 2) value.fail("a link of " + std::to_string(ends.size()) + " parts", "expected two names");
         fault.part = ends[0].text();
         fault.other = ends[1].text();
         if (fault.part == fault.other)
           value.fail(fmt::format("a link from {} to itself", fault.part),
                      "expected two different parts, or 'part' for one that is down");
       }},
      {{"from_s", number_type(0, most_seconds),
        "seconds into the iteration; tasks that start earlier are spared, flows on the way go on by another"},
       [](const Value& value, FaultDocument& fault) {
         fault.from = Time::from_seconds(Seconds(value.number(0, most_seconds)));
       }},
  };
  return keys;
}

RankFault rank_fault(const Value& item, const FaultDocument& fault, std::int64_t gpus) {
  if (fault.rank >= gpus)
    item.at("rank").fail(fmt::format("{} is rank {} of {} GPUs", item.path(), fault.rank, gpus),
                         fmt::format("expected 0 to {}", gpus - 1));
  if (!item.find("compute_factor") && !item.find("link_factor"))
    item.fail(item.path() + " has no factor", "expected 'compute_factor' or 'link_factor'");
  return {fault.rank, fault.compute_factor, fault.link_factor, fault.from};
}

LinkFault link_fault(const Value& item, const FaultDocument& fault, NetworkModel network) {
  if (network != NetworkModel::flow)
    item.fail(item.path() + " is a fault of links, which network: analytic does not know",
              "expected cluster.network: flow");
  if (item.find("compute_factor") || item.find("link_factor"))
    item.fail(item.path() + " has a factor, and what is down is not slower but gone",
              "expected 'from_s' or nothing beside it");
  return {fault.part, fault.other, fault.from, item.where()};
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

Variability variability_from_yaml(const Value& value) {
  Variability variability;
  read_keys(value, variability_keys(), variability);
  if (!value.find("compute_cv") && !value.find("link_cv"))
    value.fail("variability says of nothing how it varies", "expected compute_cv or link_cv, such as compute_cv: 0.02");
  const double most = most_variation_of(variability.shape);
  for (const char* key : {"compute_cv", "link_cv"})
    if (const auto spread = value.find(key); spread && spread->number() > most)
      spread->fail(fmt::format("{} is {} of a {} shape, which is cut off at 0", spread->path(), spread->text(),
                               name_of(variability.shape)),
                   fmt::format("expected at most {:.3g}, or shape: lognormal", most));
  return variability;
}

std::string faults_type() {
  return list_type(object_type_of(fault_keys()));
}

Faults faults_from_yaml(const Value& value, std::int64_t gpus, NetworkModel network) {
  Faults faults;
  for (const Value& item : value.items()) {
    FaultDocument fault;
    read_keys(item, fault_keys(), fault);
    const int kinds = (item.find("rank") ? 1 : 0) + (item.find("part") ? 1 : 0) + (item.find("link") ? 1 : 0);
    if (kinds != 1)
      item.fail(fmt::format("{} names {}", item.path(), kinds == 0 ? "nothing" : "several things"),
                "expected one of 'rank', 'part' and 'link'");
    if (item.find("rank"))
      faults.ranks.push_back(rank_fault(item, fault, gpus));
    else
      faults.links.push_back(link_fault(item, fault, network));
  }
  return faults;
}

}  // namespace echelon
