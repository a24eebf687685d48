// Summaries of errors: order statistics and rank correlation.
#pragma once

#include <optional>
#include <utility>
#include <vector>

namespace echelon {

// Arithmetic mean; nothing of an empty sample.
std::optional<double> mean(const std::vector<double>& values);

// Percentile by linear interpolation between closest ranks (type 7 of Hyndman and Fan 1996, numpy's default): the value
// at position share * (n - 1) of the sorted sample. `share` in 0..1; nothing of an empty sample.
std::optional<double> percentile(std::vector<double> values, double share);

std::optional<double> median(const std::vector<double>& values);

// Kendall's tau-b of pairs (x, y), ties in either counted: (C - D) / sqrt((n0 - n1)(n0 - n2)), where n0 = n(n-1)/2,
// n1 and n2 the pairs tied in x and in y (Kendall 1945). Nothing where all x or all y are equal or n < 2.
// Two values are tied when exactly equal. Quadratic in n.
std::optional<double> kendall_tau_b(const std::vector<std::pair<double, double>>& pairs);

}  // namespace echelon
