#include "sim/config/run_limits_config.h"

namespace echelon {

namespace {

constexpr double most = 1e18;
constexpr double most_days = 1e6;
constexpr double seconds_per_day = 86400;
constexpr std::int64_t most_gpus = 1'000'000'000;

const std::vector<Key<RunLimits>>& constraint_keys() {
  static const std::vector<Key<RunLimits>> keys = {
      number_key<RunLimits>("tokens", 1, most, &RunLimits::tokens, "of the run; by default training_run's"),
      {{"deadline_days", number_type(1e-6, most_days), "days that the run takes at most, failures included"},
       [](const Value& value, RunLimits& limits) {
         limits.deadline = Seconds(value.number(1e-6, most_days) * seconds_per_day);
       }},
      number_key<RunLimits>("budget_usd", 1e-6, most, &RunLimits::budget_usd,
                            "money that the run costs at most: rent, or bought hardware's share and electricity"),
      integer_key<RunLimits>("max_gpus", 1, most_gpus, &RunLimits::max_gpus, "GPUs of the cluster at most"),
  };
  return keys;
}

}  // namespace

const std::vector<Key<RunLimits>>& search_keys() {
  static const std::vector<Key<RunLimits>> keys = {
      {{"constraints", object_type_of(constraint_keys()), "what the run may take at most"},
       [](const Value& value, RunLimits& limits) { read_keys(value, constraint_keys(), limits); }},
  };
  return keys;
}

RunLimits run_limits_in(const Value& document) {
  RunLimits limits;
  const auto search = document.find("search");
  if (!search) return limits;
  read_keys(*search, search_keys(), limits);
  const bool needs_tokens = limits.deadline > Seconds(0) || limits.budget_usd > 0;
  const auto run = document.find("training_run");
  if (needs_tokens && limits.tokens <= 0 && !(run && run->find("tokens")))
    search->at("constraints")
        .fail("a deadline or a budget is given for a run of unknown length",
              "expected search.constraints.tokens (--tokens), or training_run.tokens; --budget is money, and "
              "--evaluations what a search may spend");
  return limits;
}

}  // namespace echelon
