// What the fits share: a robust loss of log ratios, a derivative-free minimiser, a deterministic hold-out and error
// figures.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace echelon {

// Huber's loss of a log ratio: quadratic to `knee` (a ratio's logarithm, 0.1 = 10 %), linear beyond, so that outliers
// do not steer the fit (P. J. Huber, Ann. Math. Stat. 35(1), 1964).
double huber_loss(double log_ratio, double knee = 0.1);

struct Minimum {
  std::vector<double> at;
  double value = 0;
};
// Nelder-Mead simplex search (The Computer Journal 7(4), 1965) with adaptive coefficients (Gao and Han, 2012),
// restarted twice from its result. `step` is the size of the first simplex in each direction. Deterministic.
Minimum minimise(const std::function<double(std::span<const double>)>& objective, std::vector<double> start,
                 std::span<const double> step, int evaluations);

// Damped Gauss-Newton steps (D. Marquardt, J. SIAM 11(2), 1963) on the sum of Huber's losses of log ratios, from a
// start that is near: what a simplex search leaves of a valley. Its value is no more than the start's.
Minimum refine(const std::function<std::vector<double>(std::span<const double>)>& log_ratios,
               std::vector<double> start);

// A well-mixed hash of a few integers (splitmix64 finaliser, public domain, S. Vigna): which samples are held out must
// not depend on their order in a table.
std::uint64_t mixed_hash(std::span<const std::int64_t> values);
// Whether a sample of this group is held out: one group in five.
bool held_out(std::span<const std::int64_t> group);

// Median, 95th percentile and mean (MAPE) of |predicted / measured - 1|.
struct ErrorFigures {
  double median = 0;
  double p95 = 0;
  double mean = 0;
};
ErrorFigures error_figures(std::vector<double> relative_errors);

// The middle value (the upper one of an even count); 0 for none.
double median_of(std::vector<double> values);

}  // namespace echelon
