// The forecast of a whole run for people and for machines.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "sim/metrics/forecast.h"

namespace echelon {

std::string forecast_to_text(const Forecast& forecast, bool color);

// {"tokens", "days", "goodput", "goodput_tokens_per_s", "mtbf_s", "interruptions", "checkpoint_bytes",
// "checkpoint_period_s", "gpu_hours", "energy_kwh", "rented_usd", "bought_usd", "electricity_usd", "co2_kg"}; null
// where nothing says so.
nlohmann::ordered_json forecast_to_json(const Forecast& forecast);

}  // namespace echelon
