// Measured products of experts -> GemmCurve::grouped_factor: the median of their times over what the curve says of as
// many products one after another.
//
// The machine may be slower than the one that the curve was fitted on, or run longer at a time; that must not be laid
// to the grouping. So the curve is first brought to the clock at which it meets the plain products of the same machine,
// at the median of measured / predicted.
#pragma once

#include <span>
#include <vector>

#include "calibrate/fit/gemm_fit.h"
#include "calibrate/fit/held_out.h"
#include "sim/hardware/device.h"

namespace echelon {

struct GroupedFit {
  double factor = 1;
  double clock = 1;                    // at which the curve meets the plain products; 1 without any
  std::vector<HeldOutShape> held_out;  // each shape, with the factor that all others give
};

// Forward products and input gradients of `shape.batch` experts; of weight gradients a share that depends on the shape
// is the traffic of their buffer. The clock that the device keeps does not matter. Without `grouped` the factor is 1.
GroupedFit fit_grouped(Device device, const GemmCurve& curve, std::span<const GemmSample> grouped,
                       std::span<const GemmSample> plain);

}  // namespace echelon
