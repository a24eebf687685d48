#include "sim/app/sensitivity.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>

#include "sim/app/machines.h"
#include "sim/app/simulate.h"
#include "sim/app/whole_run.h"
#include "sim/metrics/limit_check.h"

namespace echelon {

namespace {

constexpr double step = 1.02;  // of the difference quotient
constexpr double less = less_of_number;
constexpr double more = more_of_number;
constexpr double tokens_without_run = 1e9;

void scale_peak(Profile& profile, double factor) {
  for (FlopRate& peak : profile.device.peak) peak *= factor;
}

void scale_memory_bandwidth(Profile& profile, double factor) {
  profile.device.memory_bandwidth *= factor;
}

void scale_memory(Profile& profile, double factor) {
  profile.device.memory *= factor;
}

void scale_links(Profile& profile, double factor) {
  Network& network = profile.network;
  for (ByteRate* rate :
       {&network.ring_bus, &network.pair_bus, &network.nvls_bus, &network.all_to_all_bus, &network.pair_rate})
    *rate *= factor;
}

// What a shared fabric leaves of the adapters was measured as a rate: it grows with them.
void scale_adapters(Profile& profile, double factor) {
  profile.network.adapter_rate *= factor;
  for (ScalingPoint& point : profile.network.scaling.points) {
    point.all_reduce_bus *= factor;
    point.gather_bus *= factor;
  }
}

void scale_link_latency(Profile& profile, double factor) {
  Network& network = profile.network;
  for (double* scale : {&network.step_latency_scale, &network.base_latency_scale}) *scale *= factor;
  for (Seconds* latency : {&network.pair_latency, &network.nvls_latency, &network.call_floor}) *latency *= factor;
}

void scale_network_latency(Profile& profile, double factor) {
  profile.network.network_latency_scale *= factor;
  profile.network.adapter_latency *= factor;
}

// Of the run, or of 10^9 tokens; nothing where no price is known.
std::optional<double> money(const Scenario& scenario, const Result& result, double tokens) {
  if (const auto run = whole_run(scenario, result, tokens)) return money_of(*run);
  if (!result.cost_usd) return std::nullopt;
  return *result.cost_usd / result.tokens * tokens_without_run;
}

// A prediction with one number changed.
struct Changed {
  Result result;
  bool runs = true;  // or as the scenario itself does not
};

// Whatever hangs on a number, as a function of what the number is multiplied with.
template <class Outcome>
Sensitivity answer(std::string_view name, std::string_view meaning, double as_is, Outcome outcome) {
  const double elasticity = std::log(outcome(step) / outcome(1 / step)) / (2 * std::log(step));
  return {std::string(name), std::string(meaning), elasticity, as_is, outcome(less), outcome(more)};
}

// The same of hardware, without which it may not run.
template <class Value>
Sensitivity answer(const HardwareNumber& number, double as_is, const std::map<double, Changed>& changed, Value value) {
  Sensitivity entry =
      answer(number.name, number.meaning, as_is, [&](double factor) { return value(changed.at(factor).result); });
  constexpr double nothing = std::numeric_limits<double>::quiet_NaN();
  if (!changed.at(less).runs) entry.at_less = nothing;
  if (!changed.at(more).runs) entry.at_more = nothing;
  return entry;
}

class Charts {
 public:
  Charts(const Scenario& scenario, const Result& result, double tokens)
      : scenario_(scenario), result_(result), tokens_(tokens), money_(money(scenario, result, tokens)) {
    charts_.tokens = tokens > 0 ? tokens : scenario.training_run ? scenario.training_run->tokens : tokens_without_run;
  }

  Sensitivities draw() {
    for (const HardwareNumber& number : hardware_numbers()) add(number);
    if (money_)
      for (const PriceNumber& number : price_numbers()) add(number);
    for (std::vector<Sensitivity>* chart : {&charts_.time, &charts_.money})
      std::stable_sort(chart->begin(), chart->end(), [](const Sensitivity& a, const Sensitivity& b) {
        return std::abs(a.elasticity) > std::abs(b.elasticity);
      });
    return std::move(charts_);
  }

 private:
  void add(const HardwareNumber& number) {
    std::map<double, Changed> changed;
    for (const double factor : {step, 1 / step, less, more}) changed[factor] = with(number, factor);
    charts_.time.push_back(answer(number, result_.iteration.value(), changed,
                                  [](const Result& result) { return result.iteration.value(); }));
    if (money_)
      charts_.money.push_back(answer(number, *money_, changed, [this](const Result& result) {
        return money(scenario_, result, tokens_).value_or(*money_);
      }));
  }

  void add(const PriceNumber& number) {
    if (number.value(scenario_) <= 0) return;
    charts_.money.push_back(answer(number.name, number.meaning, *money_, [&](double factor) {
      Scenario changed = scenario_;
      number.scale(changed, factor);
      Result result = result_;
      add_money_and_energy(changed, result);
      return money(changed, result, tokens_).value_or(*money_);
    }));
  }

  Changed with(const HardwareNumber& number, double factor) const {
    Scenario changed = scenario_;
    scale_hardware(changed, number, factor);
    auto outcome = simulate(changed);
    const auto* result = std::get_if<Result>(&outcome);
    if (result == nullptr) return {result_, false};
    return {*result, result->memory.fits || !result_.memory.fits};
  }

  const Scenario& scenario_;
  const Result& result_;
  double tokens_;
  std::optional<double> money_;
  Sensitivities charts_;
};

double rent(const Scenario& scenario) {
  if (scenario.training_run && scenario.training_run->usd_per_gpu > 0) return 0;
  if (scenario.training_run && scenario.training_run->usd_per_gpu_hour) return *scenario.training_run->usd_per_gpu_hour;
  return mean_price(scenario);
}

void scale_rent(Scenario& scenario, double factor) {
  for (std::size_t machine = 0; machine < scenario.machines(); ++machine)
    scenario.machine(machine).price_usd_per_gpu_hour *= factor;
  if (scenario.training_run && scenario.training_run->usd_per_gpu_hour)
    *scenario.training_run->usd_per_gpu_hour *= factor;
}

template <double TrainingRun::*member>
double of_run(const Scenario& scenario) {
  return scenario.training_run ? (*scenario.training_run).*member : 0;
}

// What counts where hardware is bought alone.
template <double TrainingRun::*member>
double of_purchase(const Scenario& scenario) {
  return of_run<&TrainingRun::usd_per_gpu>(scenario) > 0 ? of_run<member>(scenario) : 0;
}

template <double TrainingRun::*member>
void scale_of_run(Scenario& scenario, double factor) {
  (*scenario.training_run).*member *= factor;
}

// A facility's overhead cannot fall below none.
void scale_overhead(Scenario& scenario, double factor) {
  double& pue = scenario.training_run->pue;
  pue = 1 + (pue - 1) * factor;
}

// Of whatever causes: only whether there are any counts.
double failures(const Scenario& scenario) {
  double rate = of_run<&TrainingRun::failures_per_1000_node_days>(scenario);
  if (scenario.training_run)
    for (const FailureCause& cause : scenario.training_run->failures) rate += cause.per_1000_days;
  return rate;
}

void scale_failures(Scenario& scenario, double factor) {
  scale_of_run<&TrainingRun::failures_per_1000_node_days>(scenario, factor);
  for (FailureCause& cause : scenario.training_run->failures) cause.per_1000_days *= factor;
}

double overhead(const Scenario& scenario) {
  return of_purchase<&TrainingRun::usd_per_kwh>(scenario) > 0 ? of_run<&TrainingRun::pue>(scenario) - 1 : 0;
}

}  // namespace

std::span<const HardwareNumber> hardware_numbers() {
  static constexpr auto numbers = std::to_array<HardwareNumber>({
      {"peak", "matrix rate of every number format", scale_peak},
      {"hbm_bandwidth", "memory bandwidth of a GPU", scale_memory_bandwidth},
      {"hbm_capacity", "memory of a GPU: what fits, and what recompute: auto keeps", scale_memory},
      {"nvlink", "bandwidth inside a node", scale_links},
      {"nic", "bandwidth of the network adapters", scale_adapters},
      {"link_latency", "of collectives and messages inside a node", scale_link_latency},
      {"network_latency", "of collectives and messages between nodes", scale_network_latency},
  });
  return numbers;
}

void scale_hardware(Scenario& scenario, const HardwareNumber& number, double factor) {
  for (std::size_t machine = 0; machine < scenario.machines(); ++machine)
    number.scale(scenario.machine(machine), factor);
  if (number.scale == scale_adapters) scenario.link.node_rate *= factor;
  if (number.scale == scale_network_latency) scenario.link.latency *= factor;
}

std::span<const PriceNumber> price_numbers() {
  using Run = TrainingRun;
  static constexpr auto numbers = std::to_array<PriceNumber>({
      {"usd_per_gpu_hour", "rent", rent, scale_rent},
      {"usd_per_gpu", "price of a bought GPU", of_purchase<&Run::usd_per_gpu>, scale_of_run<&Run::usd_per_gpu>},
      {"network_share", "of that price, for network and storage", of_purchase<&Run::network_share>,
       scale_of_run<&Run::network_share>},
      {"years", "that bought GPUs are used", of_purchase<&Run::years>, scale_of_run<&Run::years>},
      {"usd_per_kwh", "electricity", of_purchase<&Run::usd_per_kwh>, scale_of_run<&Run::usd_per_kwh>},
      {"pue - 1", "power of the facility beside its computers", overhead, scale_overhead},
      {"failures", "that stop the job", failures, scale_failures},
  });
  return numbers;
}

std::variant<Sensitivities, Infeasible> sensitivities(const Scenario& scenario, double tokens) {
  const auto outcome = simulate(scenario);
  if (const auto* refusal = std::get_if<Infeasible>(&outcome)) return *refusal;
  return Charts(scenario, std::get<Result>(outcome), tokens).draw();
}

}  // namespace echelon
