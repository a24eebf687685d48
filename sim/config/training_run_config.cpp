#include "sim/config/training_run_config.h"

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

}  // namespace

const std::vector<Key<TrainingRun>>& training_run_keys() {
  using Run = TrainingRun;
  static const std::vector<Key<Run>> keys = {
      number_key<Run>("tokens", 1, most, &Run::tokens, "tokens of the whole run", Presence::required),
      plain_key("failures_per_1000_node_days", 0, &Run::failures_per_1000_node_days,
                "failures that stop the job, for 1000 days of one node"),
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
  if (run.failures_per_1000_node_days > 0 && run.storage == ByteRate(0) && run.checkpoint_blocking == Seconds(0))
    value.fail("training_run has failures, and nothing says what a checkpoint costs",
               "expected storage_gb_s or checkpoint_blocking_s");
  if (run.usd_per_gpu > 0 && run.years == 0)
    value.fail("training_run has usd_per_gpu without years", "expected the years that the GPUs are used, such as 4");
  return run;
}

}  // namespace echelon
