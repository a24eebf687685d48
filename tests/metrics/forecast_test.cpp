#include "sim/metrics/forecast.h"

#include <cmath>

#include "tests/catch.h"

using namespace echelon;

namespace {

// One step of a million tokens in a second.
Result result_on(std::int64_t gpus) {
  Result result;
  result.iteration = Seconds(1);
  result.tokens = 1e6;
  result.gpus = gpus;
  return result;
}

}  // namespace

TEST_CASE("Llama 3 405B's interruptions: one every 3.1 hours, and Young's intervals for it") {
  // arXiv:2407.21783, section 3.3.4: 419 unexpected interruptions in 54 days on 16,384 GPUs, 2,048 nodes of 8:
  // 419 / (2.048 x 54) = 3.789 for 1000 node-days; 54 x 24 / 419 = 3.093 h between them.
  TrainingRun run;
  run.tokens = 1e6 * 54 * 86400;
  run.failures_per_1000_node_days = 419 / (2.048 * 54);
  run.checkpoint_blocking = Seconds(60);
  const Forecast made = forecast(run, result_on(16384), {405e9, 2048, Watts(700), 0});
  CHECK(made.failures.mtbf.value() / 3600 == Approx(54 * 24.0 / 419));
  CHECK(made.checkpoint.value() == Approx(5.67e12));  // 14 bytes for each of 405e9 parameters
  // 54 days of training take longer than 54 days, and meet as many more interruptions.
  CHECK(made.interruptions == Approx(419 / made.training_share));
  // sqrt(2 x 3.093 h x 1 min) = 19.3 min of training between checkpoints.
  CHECK((young_period(made.failures) - made.failures.write).value() / 60 == Approx(19.3).epsilon(0.003));
  CHECK((made.period - made.failures.write).value() / 60 == Approx(19.3).epsilon(0.05));
  // To first order sqrt(2 C / mu) of the time is lost: sqrt(2 x 60 / 11,135) = 10.4 %.
  CHECK(made.training_share == Approx(1 - std::sqrt(120 / made.failures.mtbf.value())).epsilon(0.01));
}

TEST_CASE("causes fail as often as the job has what they strike") {
  // arXiv:2407.21783, table 5, summed: 268 of GPUs, 53 of nodes and 98 of the job in 54 days.
  TrainingRun run;
  run.tokens = 1e6 * 54 * 86400;
  run.failures = {{"GPU", FailureScope::gpu, 268 / (16.384 * 54)},
                  {"node", FailureScope::node, 53 / (2.048 * 54)},
                  {"software", FailureScope::job, 98 / 0.054}};
  run.checkpoint_blocking = Seconds(60);
  const RunMachine machine{405e9, 2048, Watts(700), 0};
  const Forecast made = forecast(run, result_on(16384), machine);
  CHECK(made.failures.mtbf.value() / 3600 == Approx(54 * 24.0 / 419));
  REQUIRE(made.causes.size() == 3);
  CHECK(made.causes[0].interruptions == Approx(268 / made.training_share));
  CHECK(made.causes[2].interruptions / made.causes[1].interruptions == Approx(98 / 53.0));
  const Forecast half = forecast(run, result_on(8192), {405e9, 1024, Watts(700), 0});
  CHECK(half.failures.mtbf / made.failures.mtbf == Approx(419 / (98 + 160.5)));

  run.repair = Seconds(86400);  // 321 / 54 nodes in repair
  run.spare_nodes = 8;
  const Forecast spared = forecast(run, result_on(16384), machine);
  CHECK(spared.waiting_share == Approx(waiting_share(321 / 54.0, 8)));
  CHECK(spared.training_share == Approx(made.training_share * (1 - spared.waiting_share)));
  CHECK(spared.interruptions == Approx(made.interruptions));  // of as much training
  CHECK(spared.gpu_hours / spared.wall.value() == Approx(16384.0 / 3600 * (1 + 8 / 2048.0)));
}

TEST_CASE("storage and its speed make the checkpoint's cost") {
  TrainingRun run;
  run.tokens = 1e12;
  run.failures_per_1000_node_days = 5;
  run.storage = gigabytes_per_second(100);
  const Forecast made = forecast(run, result_on(1024), {100e9, 128, Watts(700), 0});
  CHECK(made.failures.write.value() == Approx(14));  // 1.4 TB at 100 GB/s
  CHECK(made.failures.recovery.value() == Approx(14));
  run.checkpoint_blocking = Seconds(2);
  CHECK(forecast(run, result_on(1024), {100e9, 128, Watts(700), 0}).training_share > made.training_share);
  run.checkpoint_interval = Seconds(3600);
  CHECK(forecast(run, result_on(1024), {100e9, 128, Watts(700), 0}).period.value() == Approx(3602));
}

TEST_CASE("checkpoints are written where nothing fails, if the run says how often") {
  TrainingRun run;
  run.tokens = 1e12;
  run.checkpoint_blocking = Seconds(60);
  const RunMachine machine{8e9, 4, Watts(700), 0};
  CHECK(forecast(run, result_on(32), machine).training_share == 1);
  run.checkpoint_interval = Seconds(600);
  const Forecast made = forecast(run, result_on(32), machine);
  CHECK(made.training_share == Approx(600 / 660.0));
  CHECK(made.period == Seconds(660));
}

TEST_CASE("training that goes on beside a checkpoint stands still for none of it") {
  TrainingRun run;
  run.tokens = 1e12;
  run.failures_per_1000_node_days = 50;
  run.storage = gigabytes_per_second(0.5);
  run.checkpoint_blocking = Seconds(0);
  const Forecast made = forecast(run, result_on(32), {8e9, 4, Watts(700), 0});
  CHECK(made.failures.write == Seconds(0));
  // 112 GB at 0.5 GB/s: the next checkpoint waits for the storage. 5 days between failures, of which a period's half
  // and a loading are lost.
  CHECK(made.failures.recovery.value() == Approx(224));
  CHECK(made.period.value() == Approx(224));
  CHECK(made.training_share == Approx(1 - (112 + 224) / 432000.0).epsilon(1e-6));
}

TEST_CASE("a run that fails faster than it loads never ends") {
  TrainingRun run;
  run.tokens = 1e12;
  run.failures_per_1000_node_days = 1e9;
  run.storage = gigabytes_per_second(1);
  CHECK_FALSE(forecast(run, result_on(32), {8e9, 4, Watts(700), 0}).ends());
  run.failures_per_1000_node_days = 50;
  CHECK(forecast(run, result_on(32), {8e9, 4, Watts(700), 0}).ends());
}

TEST_CASE("a GPU-hour costs the run one price, whoever asks") {
  TrainingRun run;
  run.tokens = 1e6 * 3600;
  const RunMachine machine{1e9, 1, Watts(700), 2.95};
  const auto hour = [&](std::optional<double> (*money)(const Forecast&)) {
    const Forecast made = forecast(run, result_on(8), machine);
    return *money(made) / made.gpu_hours;
  };
  const auto rented = [](const Forecast& made) { return made.rented_usd; };
  CHECK(usd_per_gpu_hour(run, Watts(700), 2.95) == Approx(hour(rented)));
  run.usd_per_gpu_hour = 1;
  CHECK(usd_per_gpu_hour(run, Watts(700), 2.95) == Approx(hour(rented)));
  run.usd_per_gpu_hour = 0;  // no price
  CHECK(usd_per_gpu_hour(run, Watts(700), 2.95) == 0);
  CHECK(!forecast(run, result_on(8), machine).rented_usd);
  run.usd_per_gpu = 30000;
  run.years = 4;
  run.usd_per_kwh = 0.1;
  run.pue = 1.2;
  CHECK(usd_per_gpu_hour(run, Watts(700), 2.95) == Approx(hour([](const Forecast& made) { return made.bought_usd; })));
}

TEST_CASE("days, GPU-hours, rent, electricity and carbon follow from the time") {
  TrainingRun run;
  run.tokens = 1e6 * 86400 * 10;
  run.pue = 1.2;
  run.usd_per_kwh = 0.1;
  run.kg_co2_per_kwh = 0.4;
  run.watts_per_gpu = Watts(1000);
  const Forecast made = forecast(run, result_on(100), {1e9, 12.5, Watts(700), 2});
  CHECK(made.wall.value() == Approx(864000));
  CHECK(made.training_share == 1);
  CHECK(made.gpu_hours == Approx(24000));
  CHECK(*made.rented_usd == Approx(48000));
  CHECK(made.energy_kwh == Approx(24000 * 1.0 * 1.2));
  CHECK(*made.electricity_usd == Approx(2880));
  CHECK(*made.co2_kg == Approx(11520));
  CHECK(!made.bought_usd);
}

TEST_CASE("published bills come out") {
  // DeepSeek-V3 (arXiv:2412.19437, table 1): 2.788 million H800 hours at 2 USD are 5.576 million USD. 1,000 GPUs need
  // 2,788 hours for them.
  TrainingRun run;
  run.tokens = 1e6 * 3600 * 2788;
  run.usd_per_gpu_hour = 2;
  CHECK(*forecast(run, result_on(1000), {671e9, 125, Watts(700), 5}).rented_usd == Approx(5.576e6));
}

TEST_CASE("bought hardware costs its share of its life") {
  // 30,000 USD and a fifth for the network over 4 years of 8,766 hours, half of them training: 2.0534 USD an hour.
  TrainingRun run;
  run.tokens = 1e6 * 3600;
  run.usd_per_gpu = 30000;
  run.network_share = 0.2;
  run.years = 4;
  run.utilisation = 0.5;
  const Forecast made = forecast(run, result_on(8), {1e9, 1, Watts(700), 0});
  CHECK(*made.bought_usd == Approx(8 * 36000.0 / (4 * 8766 * 0.5)));
  CHECK(!made.rented_usd);
}
