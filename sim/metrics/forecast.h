// What a whole training run takes: days, failures, GPU-hours, money, energy, carbon.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/base/units.h"
#include "sim/metrics/checkpointing.h"
#include "sim/metrics/result.h"
#include "sim/model/training_run.h"

namespace echelon {

// What the forecast needs beside the run's description and the result of one iteration.
struct RunMachine {
  double parameters = 0;
  double nodes = 0;
  Watts tdp;
  double usd_per_gpu_hour = 0;  // the profile's; 0 = not known
};

struct CauseShare {
  std::string cause;
  double interruptions = 0;
};

struct Forecast {
  double tokens = 0;
  double training_share = 1;     // goodput over throughput, of all the time
  double tokens_per_second = 0;  // goodput
  Seconds wall;
  FailureModel failures;  // mtbf 0 where none are given
  Bytes checkpoint;
  Seconds period;  // of checkpoints, their writing included; 0 = none are written
  double interruptions = 0;
  std::vector<CauseShare> causes;  // of those that the run lists
  double waiting_share = 0;        // of the time, for a node in repair where no spare was left
  std::int64_t spare_nodes = 0;
  double gpu_hours = 0;   // of spare nodes too
  double energy_kwh = 0;  // of the facility
  std::optional<double> rented_usd;
  std::optional<double> bought_usd;  // the hardware's share of its life, and electricity where it has a price
  std::optional<double> electricity_usd;
  std::optional<double> co2_kg;

  // Whether it ever ends: not where hardly anything trains between failures, less than the 0.05 % that would be shown
  // as 0.0 % of the time.
  bool ends() const { return training_share >= 0.0005; }
};

// What an hour of one GPU of so many watts costs the run: its share of the purchase and its electricity where it is
// bought, else the run's rent, else `rent`. 0 = not known.
double usd_per_gpu_hour(const TrainingRun& run, Watts tdp, double rent);

Forecast forecast(const TrainingRun& run, const Result& result, const RunMachine& machine);

}  // namespace echelon
