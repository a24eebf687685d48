#include "sim/report/forecast_output.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "sim/report/number_text.h"

namespace echelon {

namespace {

constexpr double seconds_per_day = 86400;

// "0.02 s", "42.0 s", "12.3 min", "3.1 h", "54.0 days".
std::string long_duration(Seconds time) {
  const double s = time.value();
  if (s < 1) return fmt::format("{:.2g} s", s);
  if (s < 120) return fmt::format("{:.1f} s", s);
  if (s < 7200) return fmt::format("{:.1f} min", s / 60);
  if (s < 2 * seconds_per_day) return fmt::format("{:.1f} h", s / 3600);
  return fmt::format("{:.1f} days", s / seconds_per_day);
}

std::string line(const std::string& label, const std::string& text) {
  return fmt::format("  {:<16} {}\n", label, text);
}

std::string failure_lines(const Forecast& forecast) {
  std::string text;
  if (forecast.failures.mtbf > Seconds(0)) {
    text += line("interruptions", fmt::format("{}, one every {}", grouped(forecast.interruptions),
                                              long_duration(forecast.wall / forecast.interruptions)));
    for (const CauseShare& cause : forecast.causes)
      text += line("", fmt::format("{} of {}", grouped(cause.interruptions), cause.cause));
  }
  if (forecast.period > Seconds(0))
    text += line(
        "checkpoints",
        fmt::format("{:.3g} TB every {} of training, {} standing still for each", forecast.checkpoint.value() / 1e12,
                    long_duration(forecast.period - forecast.failures.write), long_duration(forecast.failures.write)));
  if (forecast.waiting_share > 0)
    text += line("spare nodes", fmt::format("{}; {:.3g} % of the time waiting for a node in repair",
                                            forecast.spare_nodes, 100 * forecast.waiting_share));
  return text;
}

// Where next to nothing trains, the time and what hangs on it say nothing.
std::string endless_line(const Forecast& forecast) {
  return line("time",
              fmt::format("never done: {:.2g} % of it training, a failure every {}, after each {} down and {} to "
                          "load a checkpoint",
                          100 * forecast.training_share, long_duration(forecast.failures.mtbf),
                          long_duration(forecast.failures.down), long_duration(forecast.failures.recovery)));
}

std::string money_lines(const Forecast& forecast) {
  const auto dollars = [](double amount) { return grouped(amount) + " USD"; };
  std::string text;
  if (forecast.rented_usd) text += line("rented", dollars(*forecast.rented_usd));
  if (forecast.bought_usd)
    text += line("bought", dollars(*forecast.bought_usd) + (forecast.electricity_usd ? ", electricity included" : ""));
  if (forecast.electricity_usd) text += line("electricity", dollars(*forecast.electricity_usd));
  if (forecast.co2_kg) text += line("carbon", fmt::format("{} t CO2", grouped(*forecast.co2_kg / 1000)));
  return text;
}

}  // namespace

std::string forecast_to_text(const Forecast& forecast, bool color) {
  const std::string heading = fmt::format("A run of {:.4g} tokens", forecast.tokens);
  std::string text = (color ? "\033[1m" + heading + "\033[0m" : heading) + "\n";
  if (!forecast.ends()) return text + endless_line(forecast);
  text += line("time", fmt::format("{}, {:.1f} % of it training: {} tokens/s", long_duration(forecast.wall),
                                   100 * forecast.training_share, grouped(forecast.tokens_per_second)));
  text += failure_lines(forecast);
  text += line("GPU-hours", grouped(forecast.gpu_hours));
  text += line("energy", grouped(forecast.energy_kwh) + " kWh");
  return text + money_lines(forecast);
}

nlohmann::ordered_json forecast_to_json(const Forecast& forecast) {
  using Json = nlohmann::ordered_json;
  const auto known = [](const std::optional<double>& amount) { return amount ? Json(*amount) : Json(nullptr); };
  const bool fails = forecast.failures.mtbf > Seconds(0);
  const auto if_fails = [&](double value) { return fails ? Json(value) : Json(nullptr); };
  Json causes = Json::object();
  for (const CauseShare& cause : forecast.causes) causes[cause.cause] = cause.interruptions;
  return {{"tokens", forecast.tokens},
          {"days", forecast.wall.value() / seconds_per_day},
          {"goodput", forecast.training_share},
          {"goodput_tokens_per_s", forecast.tokens_per_second},
          {"mtbf_s", if_fails(forecast.failures.mtbf.value())},
          {"interruptions", if_fails(forecast.interruptions)},
          {"interruptions_by_cause", causes},
          {"spare_nodes", forecast.spare_nodes},
          {"waiting_share", forecast.waiting_share},
          {"checkpoint_bytes", forecast.checkpoint.value()},
          {"checkpoint_period_s", forecast.period > Seconds(0) ? Json(forecast.period.value()) : Json(nullptr)},
          {"gpu_hours", forecast.gpu_hours},
          {"energy_kwh", forecast.energy_kwh},
          {"rented_usd", known(forecast.rented_usd)},
          {"bought_usd", known(forecast.bought_usd)},
          {"electricity_usd", known(forecast.electricity_usd)},
          {"co2_kg", known(forecast.co2_kg)}};
}

}  // namespace echelon
