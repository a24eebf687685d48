#include "sim/metrics/checkpointing.h"

#include <algorithm>
#include <cmath>

namespace echelon {

Seconds young_period(const FailureModel& model) {
  return Seconds(std::sqrt(2 * model.mtbf.value() * model.write.value())) + model.write;
}

Seconds daly_period(const FailureModel& model) {
  const Seconds sum = model.mtbf + model.down + model.recovery;
  return Seconds(std::sqrt(2 * sum.value() * model.write.value())) + model.write;
}

Seconds first_order_period(const FailureModel& model) {
  const Seconds rest = model.mtbf - model.down - model.recovery;
  return Seconds(std::sqrt(2 * rest.value() * model.write.value()));
}

// With u = T/mu and c = C/mu: u - c = 1 - e^-u. The difference of both sides is convex and grows from the root on, so
// Newton's steps from the right of it come down to it.
Seconds best_period(const FailureModel& model) {
  constexpr int most_steps = 100;
  if (model.write == Seconds(0)) return Seconds(0);
  const double c = model.write / model.mtbf;
  double u = c + std::min(1.0, std::sqrt(2 * c) + c);
  for (int step = 0; step < most_steps; ++step) {
    const double next = u - (u - c + std::expm1(-u)) / -std::expm1(-u);
    if (std::abs(next - u) <= 1e-15 * u) break;
    u = next;
  }
  return model.mtbf * u;
}

double waiting_share(double in_repair, std::int64_t spare_nodes) {
  double blocked = 1;  // by the recursion over servers, which neither overflows nor cancels
  for (std::int64_t servers = 1; servers <= spare_nodes + 1; ++servers)
    blocked = in_repair * blocked / (static_cast<double>(servers) + in_repair * blocked);
  return blocked;
}

double training_share(const FailureModel& model, Seconds period) {
  if (period == Seconds(0)) return model.mtbf / (model.mtbf + model.down) * std::exp(-(model.recovery / model.mtbf));
  if (model.mtbf == Seconds(0)) return (period - model.write) / period;
  const Seconds taken =
      (model.mtbf + model.down) * (std::exp(model.recovery / model.mtbf) * std::expm1(period / model.mtbf));
  return (period - model.write) / taken;
}

}  // namespace echelon
