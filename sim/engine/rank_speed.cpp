#include "sim/engine/rank_speed.h"

#include <algorithm>
#include <array>
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

// Polynomials of seventh degree, the constant first, one over the other.
struct Ratio {
  std::array<double, 8> over;
  std::array<double, 8> under;

  double at(double x) const { return value(over, x) / value(under, x); }

 private:
  static double value(const std::array<double, 8>& polynomial, double x) {
    double sum = polynomial[7];
    for (std::size_t i = 7; i-- > 0;) sum = sum * x + polynomial[i];
    return sum;
  }
};

// Wichura's PPND16 (Appl. Statist. 37, 1988, algorithm AS 241): near the median, in the tails and far out.
constexpr Ratio near{
    {3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3, 1.3731693765509461125e4,
     4.5921953931549871457e4, 6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3},
    {1, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3, 2.1213794301586595867e4,
     3.9307895800092710610e4, 2.8729085735721942674e4, 5.2264952788528545610e3}};
constexpr Ratio tail{
    {1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0, 3.64784832476320460504e0,
     1.27045825245236838258e0, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4},
    {1, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1, 1.48103976427480074590e-1,
     1.51986665636164571966e-2, 5.47593808499534494600e-4, 1.05075007164441684324e-9}};
constexpr Ratio far{
    {6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0, 2.96560571828504891230e-1,
     2.65321895265761230930e-2, 1.24266094738807843860e-3, 2.71155556874348757815e-5, 2.01033439929228813265e-7},
    {1, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2, 7.86869131145613259100e-4,
     1.84631831751005468180e-5, 1.42151175831644588870e-7, 2.04426310338993978564e-15}};

// The standard normal value below which a share of `probability` lies.
double normal_quantile(double probability) {
  const double from_median = probability - 0.5;
  if (std::abs(from_median) <= 0.425) return from_median * near.at(0.180625 - from_median * from_median);
  const double depth = std::sqrt(-std::log(std::min(probability, 1 - probability)));
  const double value = depth <= 5 ? tail.at(depth - 1.6) : far.at(depth - 5);
  return from_median < 0 ? -value : value;
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
      return std::exp(sigma * normal_quantile(uniform(bits)) - sigma * sigma / 2);
    case JitterShape::normal:
      return std::max(0.0, 1 + variation * normal_quantile(uniform(bits)));
    case JitterShape::uniform:
      return std::max(0.0, 1 + variation * std::numbers::sqrt3 * (2 * uniform(bits) - 1));
  }
  return 1;
}

}  // namespace echelon
