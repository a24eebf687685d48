#include "sim/metrics/forecast.h"

#include <algorithm>

namespace echelon {

namespace {

constexpr double seconds_per_day = 86400;
constexpr double hours_per_year = 8766;
constexpr double joules_per_kwh = 3.6e6;

// Failures of the whole job in 1000 days.
struct FailureRates {
  double all = 0;
  double of_nodes = 0;  // that need a repair
  std::vector<double> by_cause;
};

FailureRates failure_rates(const TrainingRun& run, double nodes, double gpus) {
  FailureRates rates;
  rates.all = rates.of_nodes = run.failures_per_1000_node_days * nodes;
  for (const FailureCause& cause : run.failures) {
    const double struck = cause.per == FailureScope::gpu ? gpus : cause.per == FailureScope::node ? nodes : 1;
    rates.by_cause.push_back(cause.per_1000_days * struck);
    rates.all += rates.by_cause.back();
    if (cause.per != FailureScope::job) rates.of_nodes += rates.by_cause.back();
  }
  return rates;
}

FailureModel failure_model(const TrainingRun& run, Bytes checkpoint, const FailureRates& rates) {
  FailureModel model;
  if (rates.all > 0) model.mtbf = Seconds(1000 * seconds_per_day / rates.all);
  const Seconds transfer = run.storage > ByteRate(0) ? checkpoint / run.storage : Seconds(0);
  model.write = run.checkpoint_blocking.value_or(transfer);
  model.recovery = transfer;
  model.down = run.restart;
  return model;
}

// Of a GPU at the facility's meter.
Watts drawn(const TrainingRun& run, Watts tdp) {
  return (run.watts_per_gpu > Watts(0) ? run.watts_per_gpu : tdp) * run.pue;
}

// The purchase alone, by the hours that it trains.
double purchase_per_hour(const TrainingRun& run) {
  return run.usd_per_gpu * (1 + run.network_share) / (run.years * hours_per_year * run.utilisation);
}

void add_money(const TrainingRun& run, const RunMachine& machine, Forecast& result) {
  const double rent = run.usd_per_gpu_hour.value_or(machine.usd_per_gpu_hour);
  if (rent > 0) result.rented_usd = rent * result.gpu_hours;
  if (run.usd_per_kwh > 0) result.electricity_usd = run.usd_per_kwh * result.energy_kwh;
  if (run.usd_per_gpu > 0)
    result.bought_usd = purchase_per_hour(run) * result.gpu_hours + result.electricity_usd.value_or(0);
  if (run.kg_co2_per_kwh > 0) result.co2_kg = run.kg_co2_per_kwh * result.energy_kwh;
}

// The best where the run names none, but no checkpoint begins before the one before it is on storage.
Seconds checkpoint_period(const TrainingRun& run, const FailureModel& failures) {
  if (run.checkpoint_interval > Seconds(0)) return run.checkpoint_interval + failures.write;
  if (failures.mtbf == Seconds(0)) return Seconds(0);
  return std::max(best_period(failures), failures.recovery);
}

}  // namespace

double usd_per_gpu_hour(const TrainingRun& run, Watts tdp, double rent) {
  if (run.usd_per_gpu == 0) return run.usd_per_gpu_hour.value_or(rent);
  return purchase_per_hour(run) + run.usd_per_kwh * (drawn(run, tdp) * Seconds(3600)).value() / joules_per_kwh;
}

Forecast forecast(const TrainingRun& run, const Result& result, const RunMachine& machine) {
  Forecast forecast;
  forecast.tokens = run.tokens;
  forecast.checkpoint = Bytes(run.checkpoint_bytes_per_parameter * machine.parameters);
  const double gpus = static_cast<double>(result.gpus);
  const FailureRates rates = failure_rates(run, machine.nodes, gpus);
  forecast.failures = failure_model(run, forecast.checkpoint, rates);
  forecast.period = checkpoint_period(run, forecast.failures);
  if (rates.all > 0 || forecast.period > Seconds(0))
    forecast.training_share = training_share(forecast.failures, forecast.period);
  // The share of the time without waiting in which something may fail: not while the job is down. So failures are a
  // little less random than Erlang has them, and waiting is overrated: by about a seventh at Llama 3's rate, ten
  // minutes down and ten spare nodes for the eight in repair (tests/metrics/failure_replay_test.cpp replays it).
  const double exposed = rates.all > 0 ? forecast.failures.mtbf / (forecast.failures.mtbf + run.restart) : 1;
  if (run.repair > Seconds(0))
    forecast.waiting_share =
        waiting_share(exposed * rates.of_nodes * run.repair.value() / (1000 * seconds_per_day), run.spare_nodes);
  forecast.training_share *= 1 - forecast.waiting_share;
  forecast.tokens_per_second = result.tokens_per_second() * forecast.training_share;
  forecast.wall = Seconds(run.tokens / forecast.tokens_per_second);
  // Nor while it waits.
  const double exposed_days = forecast.wall.value() * (1 - forecast.waiting_share) * exposed / seconds_per_day;
  forecast.interruptions = exposed_days * rates.all / 1000;
  for (std::size_t i = 0; i < run.failures.size(); ++i)
    forecast.causes.push_back({run.failures[i].cause, exposed_days * rates.by_cause[i] / 1000});
  forecast.spare_nodes = run.spare_nodes;
  const double paid = gpus * (1 + static_cast<double>(run.spare_nodes) / machine.nodes);
  forecast.gpu_hours = paid * forecast.wall.value() / 3600;
  forecast.energy_kwh = (drawn(run, machine.tdp) * paid * forecast.wall).value() / joules_per_kwh;
  add_money(run, machine, forecast);
  return forecast;
}

}  // namespace echelon
