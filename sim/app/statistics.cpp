#include "sim/app/statistics.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>

namespace echelon {

std::optional<double> mean(const std::vector<double>& values) {
  if (values.empty()) return std::nullopt;
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

std::optional<double> percentile(std::vector<double> values, double share) {
  if (values.empty()) return std::nullopt;
  std::sort(values.begin(), values.end());
  const double position = share * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::size_t>(std::floor(position));
  const std::size_t above = std::min(below + 1, values.size() - 1);
  return values[below] + (position - static_cast<double>(below)) * (values[above] - values[below]);
}

std::optional<double> median(const std::vector<double>& values) {
  return percentile(values, 0.5);
}

std::optional<double> kendall_tau_b(const std::vector<std::pair<double, double>>& pairs) {
  double agreement = 0;  // concordant minus discordant
  double untied_x = 0;
  double untied_y = 0;
  for (std::size_t i = 0; i < pairs.size(); ++i)
    for (std::size_t j = 0; j < i; ++j) {
      const auto& [x, y] = pairs[i];
      const auto& [other_x, other_y] = pairs[j];
      const int sign_x = (x > other_x) - (x < other_x);
      const int sign_y = (y > other_y) - (y < other_y);
      agreement += sign_x * sign_y;
      untied_x += sign_x != 0;
      untied_y += sign_y != 0;
    }
  if (untied_x == 0 || untied_y == 0) return std::nullopt;
  return agreement / std::sqrt(untied_x * untied_y);
}

}  // namespace echelon
