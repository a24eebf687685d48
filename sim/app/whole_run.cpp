#include "sim/app/whole_run.h"

#include <cmath>

namespace echelon {

std::optional<Forecast> whole_run(const Scenario& scenario, const Result& result, double tokens) {
  if (!scenario.training_run && tokens <= 0) return std::nullopt;
  TrainingRun run = scenario.training_run.value_or(TrainingRun{});
  if (tokens > 0) run.tokens = tokens;
  const Profile& profile = scenario.profile;
  const double nodes =
      std::ceil(static_cast<double>(scenario.gpus) / static_cast<double>(profile.network.gpus_per_node));
  return forecast(run, result,
                  {parameter_count(scenario.model), nodes, profile.device.tdp, profile.price_usd_per_gpu_hour});
}

}  // namespace echelon
