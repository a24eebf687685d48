#include "sim/metrics/forecast.h"

namespace echelon {

namespace {

constexpr double seconds_per_day = 86400;
constexpr double hours_per_year = 8766;
constexpr double joules_per_kwh = 3.6e6;

FailureModel failure_model(const TrainingRun& run, Bytes checkpoint, double nodes) {
  FailureModel model;
  if (run.failures_per_1000_node_days > 0)
    model.mtbf = Seconds(1000 * seconds_per_day / (run.failures_per_1000_node_days * nodes));
  const Seconds transfer = run.storage > ByteRate(0) ? checkpoint / run.storage : Seconds(0);
  model.write = run.checkpoint_blocking > Seconds(0) ? run.checkpoint_blocking : transfer;
  model.recovery = transfer;
  model.down = run.restart;
  return model;
}

void add_money(const TrainingRun& run, const RunMachine& machine, Forecast& result) {
  const double rent = run.usd_per_gpu_hour > 0 ? run.usd_per_gpu_hour : machine.usd_per_gpu_hour;
  if (rent > 0) result.rented_usd = rent * result.gpu_hours;
  if (run.usd_per_kwh > 0) result.electricity_usd = run.usd_per_kwh * result.energy_kwh;
  if (run.usd_per_gpu > 0) {
    const double hours = run.years * hours_per_year * run.utilisation;
    result.bought_usd =
        run.usd_per_gpu * (1 + run.network_share) / hours * result.gpu_hours + result.electricity_usd.value_or(0);
  }
  if (run.kg_co2_per_kwh > 0) result.co2_kg = run.kg_co2_per_kwh * result.energy_kwh;
}

}  // namespace

Forecast forecast(const TrainingRun& run, const Result& result, const RunMachine& machine) {
  Forecast forecast;
  forecast.tokens = run.tokens;
  forecast.checkpoint = Bytes(run.checkpoint_bytes_per_parameter * machine.parameters);
  forecast.failures = failure_model(run, forecast.checkpoint, machine.nodes);
  if (forecast.failures.mtbf > Seconds(0)) {
    forecast.period = run.checkpoint_interval > Seconds(0) ? run.checkpoint_interval + forecast.failures.write
                                                           : best_period(forecast.failures);
    forecast.training_share = training_share(forecast.failures, forecast.period);
  }
  forecast.tokens_per_second = result.tokens_per_second() * forecast.training_share;
  forecast.wall = Seconds(run.tokens / forecast.tokens_per_second);
  if (forecast.failures.mtbf > Seconds(0)) forecast.interruptions = forecast.wall / forecast.failures.mtbf;
  const double gpus = static_cast<double>(result.gpus);
  forecast.gpu_hours = gpus * forecast.wall.value() / 3600;
  const Watts power = (run.watts_per_gpu > Watts(0) ? run.watts_per_gpu : machine.tdp) * gpus * run.pue;
  forecast.energy_kwh = (power * forecast.wall).value() / joules_per_kwh;
  add_money(run, machine, forecast);
  return forecast;
}

}  // namespace echelon
