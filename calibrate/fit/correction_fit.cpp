#include "calibrate/fit/correction_fit.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "sim/cost/compute.h"

namespace echelon {
namespace {

// All three by products held out of the training part of the tables of four GPUs; the shapes that errors are reported
// of had no part in it.
constexpr double ridge = 0.05;  // samples' worth of pull to 1 at each knot
constexpr double bond = 0.2;    // samples' worth of pull to a neighbouring knot an octave away
constexpr double knee = 0.06;   // residuals beyond 6 % lose weight
constexpr int rounds = 60;
constexpr double factor_digits = 1e4;  // factors are stored to four decimals
// Knots in log2: an octave apart where training shapes lie. Fewer raise the held-out medians by half a point, more do
// not lower them.
constexpr std::array<double, 9> knots{5, 7, 9, 10, 11, 12, 13, 14, 16};

std::vector<double> knots_between(double least, double most) {
  std::vector<double> kept;
  for (const double knot : knots)
    if (knot >= std::log2(least) - 0.5 && knot <= std::log2(most) + 0.5) kept.push_back(knot);
  if (kept.empty()) kept.push_back(std::log2(least));
  return kept;
}

// The eight knots around a sample and their shares.
struct Stencil {
  std::array<std::size_t, 8> knot{};
  std::array<double, 8> share{};
  double value = 0;
};

Stencil stencil_of(const GemmCorrection& grid, const CorrectionSample& sample) {
  const KnotPosition m = locate_knot(grid.log2_m, std::log2(sample.m));
  const KnotPosition n = locate_knot(grid.log2_n, std::log2(sample.n));
  const KnotPosition k = locate_knot(grid.log2_k, std::log2(sample.k));
  Stencil stencil;
  stencil.value = sample.log_ratio;
  for (std::size_t corner = 0; corner < 8; ++corner) {
    const std::size_t up_m = corner >> 2, up_n = corner >> 1 & 1, up_k = corner & 1;
    stencil.share[corner] =
        (up_m ? m.share : 1 - m.share) * (up_n ? n.share : 1 - n.share) * (up_k ? k.share : 1 - k.share);
    if (stencil.share[corner] == 0) continue;
    stencil.knot[corner] =
        ((m.index + up_m) * grid.log2_n.size() + n.index + up_n) * grid.log2_k.size() + k.index + up_k;
  }
  return stencil;
}

double value_at(const Stencil& stencil, const std::vector<double>& logs) {
  double value = 0;
  for (std::size_t c = 0; c < 8; ++c) value += stencil.share[c] * logs[stencil.knot[c]];
  return value;
}

// Which samples touch each knot, as (sample, corner).
std::vector<std::vector<std::array<std::size_t, 2>>> users_of(const std::vector<Stencil>& stencils, std::size_t count) {
  std::vector<std::vector<std::array<std::size_t, 2>>> users(count);
  for (std::size_t s = 0; s < stencils.size(); ++s)
    for (std::size_t c = 0; c < 8; ++c)
      if (stencils[s].share[c] > 0) users[stencils[s].knot[c]].push_back({s, c});
  return users;
}

// A neighbouring knot and how strongly it draws.
struct Bond {
  std::size_t knot = 0;
  double pull = 0;
};

std::vector<std::vector<Bond>> bonds_of(const GemmCorrection& grid) {
  std::vector<std::vector<Bond>> bonds(grid.log2_m.size() * grid.log2_n.size() * grid.log2_k.size());
  std::size_t stride = bonds.size();
  for (const auto* axis : {&grid.log2_m, &grid.log2_n, &grid.log2_k}) {
    stride /= axis->size();
    for (std::size_t knot = 0; knot < bonds.size(); ++knot) {
      const std::size_t at = knot / stride % axis->size();
      if (at + 1 == axis->size()) continue;
      const double pull = bond / ((*axis)[at + 1] - (*axis)[at]);
      bonds[knot].push_back({knot + stride, pull});
      bonds[knot + stride].push_back({knot, pull});
    }
  }
  return bonds;
}

std::vector<double> solve(const std::vector<Stencil>& stencils, const std::vector<std::vector<Bond>>& bonds) {
  const std::size_t count = bonds.size();
  const auto users = users_of(stencils, count);
  std::vector<double> logs(count, 0), residual(stencils.size());
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t s = 0; s < stencils.size(); ++s) residual[s] = stencils[s].value - value_at(stencils[s], logs);
    for (std::size_t knot = 0; knot < count; ++knot) {
      double top = -ridge * logs[knot], bottom = ridge;
      for (const Bond& other : bonds[knot]) {
        top += other.pull * (logs[other.knot] - logs[knot]);
        bottom += other.pull;
      }
      for (const auto& [s, c] : users[knot]) {
        const double share = stencils[s].share[c];
        const double weight = std::min(1.0, knee / std::max(std::abs(residual[s]), 1e-9));
        top += weight * share * residual[s];
        bottom += weight * share * share;
      }
      const double change = top / bottom;
      logs[knot] += change;
      for (const auto& [s, c] : users[knot]) residual[s] -= change * stencils[s].share[c];
    }
  }
  return logs;
}

}  // namespace

GemmCorrection fit_correction(std::span<const CorrectionSample> samples) {
  GemmCorrection grid;
  if (samples.empty()) return grid;
  const auto bounds = [&](double CorrectionSample::*field) {
    const auto [least, most] = std::minmax_element(
        samples.begin(), samples.end(), [field](const auto& a, const auto& b) { return a.*field < b.*field; });
    return knots_between((*least).*field, (*most).*field);
  };
  grid.log2_m = bounds(&CorrectionSample::m);
  grid.log2_n = bounds(&CorrectionSample::n);
  grid.log2_k = bounds(&CorrectionSample::k);
  std::vector<Stencil> stencils;
  stencils.reserve(samples.size());
  for (const CorrectionSample& sample : samples) stencils.push_back(stencil_of(grid, sample));
  grid.factors = solve(stencils, bonds_of(grid));
  for (double& factor : grid.factors) factor = std::round(std::exp(factor) * factor_digits) / factor_digits;
  return grid;
}

}  // namespace echelon
