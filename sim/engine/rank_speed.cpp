#include "sim/engine/rank_speed.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "sim/base/error.h"

namespace echelon {

namespace {

// 2^64 / golden ratio, odd: the step of SplitMix64's counter.
constexpr std::uint64_t golden_step = 0x9E3779B97F4A7C15U;

std::uint64_t mixed(std::uint64_t bits) {
  bits = (bits ^ (bits >> 30U)) * 0xBF58476D1CE4E5B9U;
  bits = (bits ^ (bits >> 27U)) * 0x94D049BB133111EBU;
  return bits ^ (bits >> 31U);
}

// In (0, 1), both ends left out.
double uniform(std::uint64_t bits) {
  return (static_cast<double>(bits >> 11U) + 0.5) * 0x1p-53;
}

double normal(std::uint64_t bits) {
  const double radius = std::sqrt(-2 * std::log(uniform(bits)));
  return radius * std::cos(2 * std::numbers::pi * uniform(mixed(bits + golden_step)));
}

}  // namespace

RankSpeed::RankSpeed(const RankVariation& variation, std::int64_t run, std::int64_t ranks)
    : shape_(variation.variability.shape),
      faults_(variation.faults),
      key_(mixed(mixed(static_cast<std::uint64_t>(variation.variability.seed) + golden_step) +
                 static_cast<std::uint64_t>(run))),
      ranks_(ranks),
      varies_(!faults_.empty() || variation.variability.compute_cv > 0 || variation.variability.link_cv > 0) {
  const double variations[] = {variation.variability.compute_cv, variation.variability.link_cv};
  for (std::size_t kind = 0; kind < jitters_.size(); ++kind)
    jitters_[kind] = {variations[kind], std::sqrt(std::log1p(variations[kind] * variations[kind]))};
  if (faults_.empty()) return;
  std::stable_sort(faults_.begin(), faults_.end(),
                   [](const RankFault& a, const RankFault& b) { return a.rank < b.rank; });
  first_.assign(static_cast<std::size_t>(ranks), -1);
  for (std::size_t i = faults_.size(); i-- > 0;) {
    SIM_CHECK(faults_[i].rank >= 0 && faults_[i].rank < ranks, "a fault of rank {} of {}", faults_[i].rank, ranks);
    first_[static_cast<std::size_t>(faults_[i].rank)] = static_cast<std::int32_t>(i);
  }
}

Time RankSpeed::duration(Time device, const WorkParts& parts, std::int64_t task, std::int64_t rank,
                         std::int64_t receiver, Time start) const {
  double extra = 0;
  if (parts.kernels > Time()) {
    const double factor = fault(rank, start, &RankFault::compute_factor) * jitter(DrawKind::kernels, task, rank);
    extra += static_cast<double>(parts.kernels.picoseconds()) * (factor - 1);
  }
  if (parts.links > Time()) {
    double factor = fault(rank, start, &RankFault::link_factor);
    if (receiver != rank) factor = std::max(factor, fault(receiver, start, &RankFault::link_factor));
    factor *= jitter(DrawKind::links, task, rank);
    extra += static_cast<double>(parts.links.picoseconds()) * (factor - 1);
  }
  return device + Time::from_picoseconds(std::llround(extra));
}

double RankSpeed::fault(std::int64_t rank, Time start, double RankFault::*factor) const {
  if (first_.empty() || first_[static_cast<std::size_t>(rank)] < 0) return 1;
  double product = 1;
  for (auto i = static_cast<std::size_t>(first_[static_cast<std::size_t>(rank)]);
       i < faults_.size() && faults_[i].rank == rank; ++i)
    if (start >= faults_[i].from) product *= faults_[i].*factor;
  return product;
}

double RankSpeed::jitter(DrawKind kind, std::int64_t task, std::int64_t rank) const {
  const auto [variation, sigma] = jitters_[static_cast<std::size_t>(kind)];
  if (variation <= 0) return 1;
  const auto number = static_cast<std::uint64_t>((task * ranks_ + rank) * 2 + static_cast<std::int64_t>(kind));
  const std::uint64_t bits = mixed(key_ + golden_step * (number + 1));
  switch (shape_) {
    case JitterShape::lognormal:
      return std::exp(sigma * normal(bits) - sigma * sigma / 2);
    case JitterShape::normal:
      return std::max(0.0, 1 + variation * normal(bits));
    case JitterShape::uniform:
      return std::max(0.0, 1 + variation * std::numbers::sqrt3 * (2 * uniform(bits) - 1));
  }
  return 1;
}

}  // namespace echelon
