#include "sim/config/training_run_config.h"

#include <fmt/ranges.h>

#include <algorithm>

namespace echelon {

namespace {

constexpr double most = 1e18;
constexpr double above_zero = 1e-6;  // of what cannot be nothing: to leave it out is to say nothing
constexpr double most_seconds = 1e9;

template <class Member>
Key<TrainingRun> seconds_key(std::string name, double least, Member TrainingRun::*member, std::string meaning) {
  return {{std::move(name), number_type(least, most_seconds), std::move(meaning)},
          [=](const Value& value, TrainingRun& run) { run.*member = Seconds(value.number(least, most_seconds)); }};
}

template <class Member>
Key<TrainingRun> plain_key(std::string name, double least, Member TrainingRun::*member, std::string meaning) {
  return number_key<TrainingRun>(std::move(name), least, most, member, std::move(meaning));
}

const std::vector<Key<FailureCause>>& failure_keys() {
  static const std::vector<Key<FailureCause>> keys = {
      text_key<FailureCause>("cause", &FailureCause::cause, "its name, for the report", Presence::required),
      enum_key<FailureScope, FailureCause>("per", &FailureCause::per, "what it strikes; as many as the job has fail"),
      number_key<FailureCause>("per_1000_days", 0, most, &FailureCause::per_1000_days,
                               "failures that stop the job, for 1000 days of one GPU, node or job", Presence::required),
  };
  return keys;
}

void read_failures(const Value& value, TrainingRun& run) {
  for (const Value& item : value.items()) {
    run.failures.emplace_back();
    read_keys(item, failure_keys(), run.failures.back());
  }
}

// Keys that are read only beside one of some others.
struct Companion {
  std::string_view key;
  std::vector<std::string_view> of;
};

const std::vector<Companion>& companions() {
  static const std::vector<std::string_view> failures = {"failures_per_1000_node_days", "failures"};
  static const std::vector<std::string_view> checkpoints = {"failures_per_1000_node_days", "failures",
                                                            "checkpoint_interval_s"};
  static const std::vector<Companion> all = {
      {"spare_nodes", failures},
      {"repair_hours", failures},
      {"restart_s", failures},
      {"storage_gb_s", checkpoints},
      {"checkpoint_blocking_s", checkpoints},
      {"network_share", {"usd_per_gpu"}},
      {"years", {"usd_per_gpu"}},
      {"utilisation", {"usd_per_gpu"}},
  };
  return all;
}

void refuse_alone(const Value& run) {
  for (const Companion& companion : companions()) {
    const auto found = run.find(companion.key);
    const bool read = std::any_of(companion.of.begin(), companion.of.end(),
                                  [&](std::string_view other) { return run.find(other).has_value(); });
    if (found && !read)
      found->fail(fmt::format("{} says nothing by itself", found->path()),
                  fmt::format("expected {} beside it", fmt::join(companion.of, " or ")));
  }
}

void check_checkpoints(const Value& value, const TrainingRun& run, bool fails) {
  const bool costs_nothing = run.checkpoint_blocking == Seconds(0);
  if (run.storage > ByteRate(0) || (run.checkpoint_blocking && !costs_nothing)) return;
  if (!run.checkpoint_blocking && (fails || run.checkpoint_interval > Seconds(0)))
    value.fail(fmt::format("training_run has {}, and nothing says what a checkpoint costs",
                           fails ? "failures" : "checkpoints"),
               "expected storage_gb_s or checkpoint_blocking_s");
  if (costs_nothing && fails && run.checkpoint_interval == Seconds(0))
    value.at("checkpoint_blocking_s")
        .fail("checkpoints that cost nothing have no best interval",
              "expected storage_gb_s, that the next one waits for, or checkpoint_interval_s");
}

bool fails(const TrainingRun& run) {
  return run.failures_per_1000_node_days > 0 ||
         std::any_of(run.failures.begin(), run.failures.end(),
                     [](const FailureCause& cause) { return cause.per_1000_days > 0; });
}

}  // namespace

const std::vector<Key<TrainingRun>>& training_run_keys() {
  using Run = TrainingRun;
  static const std::vector<Key<Run>> keys = {
      number_key<Run>("tokens", 1, most, &Run::tokens, "tokens of the whole run", Presence::required),
      plain_key("failures_per_1000_node_days", 0, &Run::failures_per_1000_node_days,
                "failures that stop the job, for 1000 days of one node"),
      {{"failures", list_type(object_type_of(failure_keys())), "causes of more of them, each with a rate of its own"},
       read_failures},
      integer_key<Run>("spare_nodes", 0, 1'000'000, &Run::spare_nodes, "nodes that stand by for those in repair"),
      {{"repair_hours", number_type(0, most_seconds), "of a failed node; without it a node is always at hand"},
       [](const Value& value, Run& run) { run.repair = Seconds(value.number(0, most_seconds) * 3600); }},
      plain_key("checkpoint_bytes_per_parameter", above_zero, &Run::checkpoint_bytes_per_parameter,
                "14 by default: 16-bit weights, fp32 masters and Adam's two moments"),
      {{"storage_gb_s", number_type(above_zero, most),
        "10^9 bytes a second in which the cluster writes and reads checkpoints"},
       [](const Value& value, Run& run) { run.storage = gigabytes_per_second(value.number(above_zero, most)); }},
      seconds_key("checkpoint_blocking_s", 0, &Run::checkpoint_blocking,
                  "seconds that training stands still for a checkpoint; by default as long as writing takes"),
      seconds_key("checkpoint_interval_s", above_zero, &Run::checkpoint_interval,
                  "seconds of training between two checkpoints; by default the best"),
      seconds_key("restart_s", 0, &Run::restart,
                  "seconds from a failure to loading: detection, new nodes, initialisation"),
      plain_key("usd_per_gpu_hour", 0, &Run::usd_per_gpu_hour, "rent; by default the profile's price, 0 for none"),
      plain_key("usd_per_gpu", above_zero, &Run::usd_per_gpu, "price of a bought GPU with its share of the node"),
      plain_key("network_share", 0, &Run::network_share, "of that price, what network and storage add"),
      plain_key("years", above_zero, &Run::years, "that bought GPUs are used"),
      number_key<Run>("utilisation", 1e-6, 1, &Run::utilisation, "share of those years that they train"),
      plain_key("usd_per_kwh", 0, &Run::usd_per_kwh, "price of electricity"),
      plain_key("pue", 1, &Run::pue, "power of the facility over that of its computers"),
      {{"watts_per_gpu", number_type(above_zero, most),
        "power of a GPU with its share of the node; by default its TDP"},
       [](const Value& value, Run& run) { run.watts_per_gpu = Watts(value.number(above_zero, most)); }},
      plain_key("kg_co2_per_kwh", 0, &Run::kg_co2_per_kwh, "carbon intensity of the grid"),
  };
  return keys;
}

TrainingRun training_run_from_yaml(const Value& value) {
  TrainingRun run;
  read_keys(value, training_run_keys(), run);
  refuse_alone(value);
  check_checkpoints(value, run, fails(run));
  if (run.spare_nodes > 0 && run.repair == Seconds(0))
    value.fail("training_run has spare_nodes, and nothing says how long a repair takes",
               "expected repair_hours, such as 24");
  if (run.usd_per_gpu > 0 && run.years == 0)
    value.fail("training_run has usd_per_gpu without years", "expected the years that the GPUs are used, such as 4");
  return run;
}

}  // namespace echelon
