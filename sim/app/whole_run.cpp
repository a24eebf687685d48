#include "sim/app/whole_run.h"

#include <cmath>

#include "sim/app/machines.h"

namespace echelon {

std::optional<Forecast> whole_run(const Scenario& scenario, const Result& result, double tokens) {
  if (!scenario.training_run && tokens <= 0) return std::nullopt;
  TrainingRun run = scenario.training_run.value_or(TrainingRun{});
  if (tokens > 0) run.tokens = tokens;
  const double nodes =
      std::ceil(static_cast<double>(scenario.gpus) / static_cast<double>(scenario.profile.network.gpus_per_node));
  return forecast(run, result, {parameter_count(scenario.model), nodes, mean_tdp(scenario), mean_price(scenario)});
}

double hourly_price(const Scenario& scenario, const Profile& machine) {
  const double rent = machine.price_usd_per_gpu_hour;
  return scenario.training_run ? usd_per_gpu_hour(*scenario.training_run, machine.device.tdp, rent) : rent;
}

}  // namespace echelon
