#include "calibrate/sweep/sample.h"

#include <algorithm>
#include <cmath>

namespace echelon {
namespace {

// Linear between the two nearest of ascending values.
double quantile(const std::vector<double>& ascending, double share) {
  const double at = share * static_cast<double>(ascending.size() - 1);
  const auto below = static_cast<std::size_t>(at);
  const std::size_t above = std::min(below + 1, ascending.size() - 1);
  return ascending[below] + (ascending[above] - ascending[below]) * (at - std::floor(at));
}

}  // namespace

Sample summarise(const Benchmark& benchmark, const Reading& reading) {
  Sample sample;
  sample.benchmark = benchmark;
  sample.outcome = reading.outcome;
  sample.conditions = reading.conditions;
  sample.note = reading.note;
  std::vector<double> times = reading.microseconds;
  std::sort(times.begin(), times.end());
  if (sample.outcome == Outcome::measured && (times.empty() || !(times.front() > 0))) {
    sample.outcome = Outcome::failed;
    sample.note = "no time above 0";
  }
  if (sample.outcome != Outcome::measured) return sample;
  const double low = quantile(times, 0.25), middle = quantile(times, 0.5), high = quantile(times, 0.75);
  const double fence = 1.5 * (high - low);
  sample.time = microseconds(middle);
  sample.spread = (high - low) / middle;
  sample.least = microseconds(times.front());
  sample.runs = static_cast<int>(times.size());
  sample.outliers = static_cast<int>(
      std::count_if(times.begin(), times.end(), [&](double t) { return t < low - fence || t > high + fence; }));
  return sample;
}

}  // namespace echelon
