// Whole runs with failures, checkpoints, restarts and repairs as task graphs that the event engine replays, against the
// closed forms of sim/metrics/checkpointing.h and forecast.h.
//
// The engine interrupts no task. So when failures strike is drawn first, in time that the job is exposed to them
// (training, writing, loading), which needs no clock: a pass that a failure cuts short is a task of the time until it.
// What the clock decides is the engine's: how repairs run beside the job, and how long it waits for one where no spare
// node is left.
#include <cmath>
#include <optional>
#include <random>

#include "sim/engine/replay.h"
#include "sim/metrics/forecast.h"
#include "tests/catch.h"

using namespace echelon;

namespace {

// A second of the run is a millisecond of the engine, whose clock ends after 106 days.
constexpr double scale = 1e-3;

struct Repairs {
  Seconds length;  // 0 = a node is always at hand
  std::size_t spare_nodes = 0;
};

struct ReplayedRun {
  Seconds wall;
  Seconds trained;  // what checkpoints kept
  int failures = 0;
};

// One run of so many periods, failure by failure. Program 0 is the job, each further one a node in repair.
class FailingRun {
 public:
  FailingRun(const FailureModel& model, const Repairs& repairs, std::uint64_t seed)
      : model_(model), repairs_(repairs), random_(seed) {
    graph_.programs.emplace_back();
    until_failure_ = draw();
  }

  ReplayedRun replay(Seconds period, int periods) {
    for (int i = 0; i < periods; ++i) {
      while (!trains_and_writes(period - model_.write))
        while (!survives(Stream::from_host, TaskKind::copy_from_host, model_.recovery)) continue;
      kept_.push_back(trained_);
    }
    const auto outcome = echelon::replay(graph_, times_, {});
    const auto& tasks = std::get<Timeline>(outcome).tasks[0];
    ReplayedRun run{tasks.back().end.seconds() * (1 / scale), Seconds(0), static_cast<int>(failures_)};
    for (const TaskId task : kept_) {
      const TaskTime& time = tasks[static_cast<std::size_t>(task)];
      run.trained += (time.end - time.start).seconds() * (1 / scale);
    }
    return run;
  }

 private:
  Seconds draw() {
    constexpr double steps = 0x1p-53;
    return model_.mtbf * -std::log1p(-static_cast<double>(random_() >> 11U) * steps);
  }

  // A task of a program behind the one that the job did last.
  TaskReference append(std::size_t program, Stream stream, TaskKind kind, Seconds length) {
    times_.push_back({Time::from_seconds(length * scale), Time()});
    Program& into = graph_.programs[program];
    const TaskId task = into.append({static_cast<WorkId>(times_.size() - 1), kind, stream});
    if (last_) into.depend(*last_);
    return {static_cast<std::int32_t>(program), task};
  }

  bool trains_and_writes(Seconds training) {
    if (!survives(Stream::compute, TaskKind::forward, training)) return false;
    trained_ = last_->task;
    return survives(Stream::to_host, TaskKind::copy_to_host, model_.write);
  }

  bool survives(Stream stream, TaskKind kind, Seconds length) {
    const bool lives = until_failure_ >= length;
    last_ = append(0, stream, kind, lives ? length : until_failure_);
    if (lives)
      until_failure_ -= length;
    else
      fail();
    return lives;
  }

  // A node goes to be repaired; the job goes on with a spare one, or with the first that comes back.
  void fail() {
    if (repairs_.length > Seconds(0)) {
      graph_.programs.emplace_back();
      append(graph_.programs.size() - 1, Stream::compute, TaskKind::forward, repairs_.length);
    }
    last_ = append(0, Stream::compute, TaskKind::forward, model_.down);
    if (repairs_.length > Seconds(0) && failures_ >= repairs_.spare_nodes)
      graph_.programs[0].depend({static_cast<std::int32_t>(1 + failures_ - repairs_.spare_nodes), 0});
    ++failures_;
    until_failure_ = draw();
  }

  FailureModel model_;
  Repairs repairs_;
  std::mt19937_64 random_;
  TaskGraph graph_;
  std::vector<WorkTime> times_;
  std::optional<TaskReference> last_;  // of the job
  TaskId trained_ = -1;
  std::vector<TaskId> kept_;
  Seconds until_failure_;
  std::size_t failures_ = 0;
};

// Means over runs with other seeds.
struct Sample {
  double wall = 0;   // of a run, in seconds
  double error = 0;  // standard error of that mean
  double trained = 0;
  double failures = 0;
};

Sample sample(const FailureModel& model, const Repairs& repairs, Seconds period, int periods, int seeds) {
  Sample mean;
  double squares = 0;
  for (int seed = 1; seed <= seeds; ++seed) {
    const ReplayedRun run = FailingRun(model, repairs, static_cast<std::uint64_t>(seed)).replay(period, periods);
    mean.wall += run.wall.value() / seeds;
    mean.trained += run.trained.value() / seeds;
    mean.failures += static_cast<double>(run.failures) / seeds;
    squares += run.wall.value() * run.wall.value() / seeds;
  }
  mean.error = std::sqrt((squares - mean.wall * mean.wall) / (seeds - 1));
  return mean;
}

// Aupy et al. (arXiv:1207.6936), table 2: C = R = 600 s, D = 60 s.
FailureModel aupy(double mtbf) {
  return {Seconds(mtbf), Seconds(600), Seconds(60), Seconds(600)};
}

}  // namespace

TEST_CASE("runs that fail take the time of the closed form on the event engine, at every period that has a formula") {
  for (const double mtbf : {7519.0, 60150.0}) {
    const FailureModel model = aupy(mtbf);
    for (const Seconds period :
         {best_period(model), young_period(model), daly_period(model), first_order_period(model)}) {
      constexpr int periods = 200;
      const Sample runs = sample(model, {}, period, periods, 400);
      CAPTURE(mtbf, period.value(), runs.error / runs.wall);
      CHECK(runs.trained == Approx(periods * (period - model.write).value()));
      // The mean time of a period is (T - C) over the share of the time that trains.
      const double closed = runs.trained / training_share(model, period);
      CHECK(std::abs(runs.wall - closed) < 4 * runs.error);
      CHECK(runs.error < 0.005 * closed);
      // A failure every mu that the job is exposed and D that it is down.
      CHECK(runs.failures == Approx(runs.wall / (mtbf + 60)).epsilon(0.03));
    }
  }
}

TEST_CASE("on the event engine, too, no period trains more than the best") {
  const FailureModel model = aupy(7519);
  const auto share = [&](double factor) {
    const Sample runs = sample(model, {}, best_period(model) * factor, static_cast<int>(200 / factor), 100);
    return runs.trained / runs.wall;
  };
  const double best = share(1);
  CHECK(share(0.5) < best);
  CHECK(share(2) < best);
}

TEST_CASE("for rare failures the event engine loses what Young says: C/T + (D + R + T/2)/mu") {
  const FailureModel model = aupy(962402);
  const Seconds period = young_period(model);
  const Sample runs = sample(model, {}, period, 200, 400);
  const double waste = 600 / period.value() + (660 + period.value() / 2) / 962402;
  CHECK(1 - runs.trained / runs.wall == Approx(waste).epsilon(0.03));
}

TEST_CASE("a job waits for nodes in repair as long as Erlang says") {
  // Restarts at once, so that failures are as random as Erlang has them: 1.5 nodes in repair, 2 spare ones.
  const FailureModel model{Seconds(7519), Seconds(60), Seconds(0), Seconds(60)};
  const Repairs repairs{model.mtbf * 1.5, 2};
  const Seconds period = best_period(model);
  const Sample alone = sample(model, {}, period, 2000, 20);
  const Sample runs = sample(model, repairs, period, 2000, 20);
  CHECK(runs.failures == alone.failures);  // as drawn
  CHECK(1 - alone.wall / runs.wall == Approx(waiting_share(1.5, repairs.spare_nodes)).epsilon(0.05));
}

TEST_CASE("the forecast of a run is that of the event engine, spare nodes and restarts included") {
  // Llama 3 405B's rate (419 interruptions in 54 days on 2,048 nodes, arXiv:2407.21783), every one a node's; ten
  // minutes to restart, a day to repair.
  TrainingRun run;
  run.failures_per_1000_node_days = 419 / (2.048 * 54);
  run.checkpoint_blocking = run.restart = Seconds(600);
  run.storage = gigabytes_per_second(100);
  run.repair = Seconds(86400);
  run.spare_nodes = 10;
  run.tokens = 1e12;
  Result step;
  step.iteration = Seconds(1);
  step.tokens = 1e6;
  step.gpus = 16384;
  const Forecast made = forecast(run, step, {405e9, 2048, Watts(700), 0});
  const Sample runs = sample(made.failures, {run.repair, 10}, made.period, 1000, 50);
  CHECK(made.training_share == Approx(runs.trained / runs.wall).epsilon(0.015));
  CHECK(made.interruptions / made.wall.value() == Approx(runs.failures / runs.wall).epsilon(0.015));
  // After a restart's ten minutes without any, failures are less random than Erlang has them: it overrates the waiting.
  const double waiting = 1 - sample(made.failures, {}, made.period, 1000, 50).wall / runs.wall;
  CAPTURE(waiting);
  CHECK(made.waiting_share > waiting);
  CHECK(made.waiting_share < 1.25 * waiting);
}
