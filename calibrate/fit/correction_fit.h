// Residuals of a physical model -> GemmCorrection, a smooth factor on a coarse grid.
//
// Minimises  sum_i w_i (r_i - g(x_i))^2 + mu sum_pairs (g_a - g_b)^2 / distance + lambda sum_knots g^2  over the knots'
// logarithms g and pairs of neighbouring knots, with weights w_i = min(1, knee / |r_i - g|) renewed each round
// (iteratively reweighted least squares for Huber's loss), by Gauss-Seidel. A knot that no sample touches so takes on
// what its neighbours say.
#pragma once

#include <span>

#include "sim/hardware/curves.h"

namespace echelon {

struct CorrectionSample {
  double m = 0;
  double n = 0;
  double k = 0;
  double log_ratio = 0;  // ln(measured / model)
};

// Knots span the samples, an octave apart from 512 to 16384 and sparser elsewhere. Empty for no samples.
GemmCorrection fit_correction(std::span<const CorrectionSample> samples);

}  // namespace echelon
