// Whether a run keeps to its owner's limits.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "sim/base/enum_names.h"
#include "sim/metrics/forecast.h"
#include "sim/model/run_limits.h"

namespace echelon {

enum class Limit {
  max_gpus,
  deadline,
  budget,
  price  // money counts and is not known
};

template <>
inline constexpr auto enum_names<Limit> = std::to_array<EnumName<Limit>>({
    {Limit::max_gpus, "max_gpus"},
    {Limit::deadline, "deadline"},
    {Limit::budget, "budget"},
    {Limit::price, "price"},
});
inline constexpr std::size_t limit_count = enum_names<Limit>.size();

struct BrokenLimit {
  Limit limit;
  double taken = 0;  // GPUs, seconds, USD; price: 0
  double share = 0;  // of what is allowed, above 1; price: infinite
  std::string reason;
};

// What the run costs: the share of bought hardware where a price to buy it is given, else its rent.
std::optional<double> money_of(const Forecast& forecast);

// Whether a cluster of so many GPUs is too large: known before anything is predicted.
std::optional<BrokenLimit> broken_limit(const RunLimits& limits, std::int64_t gpus);
// The first of deadline and budget that the run breaks; a budget is broken by a price that is not known.
std::optional<BrokenLimit> broken_limit(const RunLimits& limits, const Forecast& forecast);
// That the price of the profile's GPUs is not known.
BrokenLimit no_price();

}  // namespace echelon
