#include "sim/config/training_run_config.h"

#include <algorithm>

namespace echelon {

namespace {

constexpr double most = 1e18;
constexpr double most_seconds = 1e9;

Key<TrainingRun> seconds_key(std::string name, Seconds TrainingRun::*member, std::string meaning) {
  return {{std::move(name), number_type(0, most_seconds), std::move(meaning)},
          [member](const Value& value, TrainingRun& run) { run.*member = Seconds(value.number(0, most_seconds)); }};
}

Key<TrainingRun> plain_key(std::string name, double least, double TrainingRun::*member, std::string meaning) {
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
      plain_key("checkpoint_bytes_per_parameter", 0, &Run::checkpoint_bytes_per_parameter,
                "14 by default: 16-bit weights, fp32 masters and Adam's two moments"),
      {{"storage_gb_s", number_type(0, most), "10^9 bytes a second in which the cluster writes and reads checkpoints"},
       [](const Value& value, Run& run) { run.storage = gigabytes_per_second(value.number(0, most)); }},
      seconds_key("checkpoint_blocking_s", &Run::checkpoint_blocking,
                  "seconds that training stands still for a checkpoint; by default as long as writing takes"),
      seconds_key("checkpoint_interval_s", &Run::checkpoint_interval,
                  "seconds of training between two checkpoints; by default the best"),
      seconds_key("restart_s", &Run::restart,
                  "seconds from a failure to loading: detection, new nodes, initialisation"),
      plain_key("usd_per_gpu_hour", 0, &Run::usd_per_gpu_hour, "rent; by default the profile's price"),
      plain_key("usd_per_gpu", 0, &Run::usd_per_gpu, "price of a bought GPU with its share of the node"),
      plain_key("network_share", 0, &Run::network_share, "of that price, what network and storage add"),
      plain_key("years", 0, &Run::years, "that bought GPUs are used"),
      number_key<Run>("utilisation", 1e-6, 1, &Run::utilisation, "share of those years that they train"),
      plain_key("usd_per_kwh", 0, &Run::usd_per_kwh, "price of electricity"),
      plain_key("pue", 1, &Run::pue, "power of the facility over that of its computers"),
      {{"watts_per_gpu", number_type(0, most), "power of a GPU with its share of the node; by default its TDP"},
       [](const Value& value, Run& run) { run.watts_per_gpu = Watts(value.number(0, most)); }},
      plain_key("kg_co2_per_kwh", 0, &Run::kg_co2_per_kwh, "carbon intensity of the grid"),
  };
  return keys;
}

TrainingRun training_run_from_yaml(const Value& value) {
  TrainingRun run;
  read_keys(value, training_run_keys(), run);
  if (fails(run) && run.storage == ByteRate(0) && run.checkpoint_blocking == Seconds(0))
    value.fail("training_run has failures, and nothing says what a checkpoint costs",
               "expected storage_gb_s or checkpoint_blocking_s");
  if (run.spare_nodes > 0 && run.repair == Seconds(0))
    value.fail("training_run has spare_nodes, and nothing says how long a repair takes",
               "expected repair_hours, such as 24");
  if (run.usd_per_gpu > 0 && run.years == 0)
    value.fail("training_run has usd_per_gpu without years", "expected the years that the GPUs are used, such as 4");
  return run;
}

}  // namespace echelon
