// Measured matrix products -> GemmCurve.
//
// The physical part (tiles, wave quantisation, extra k, bandwidth, overhead) is found by minimising Huber's loss of
// log(predicted / measured). What it leaves over is smoothed on a coarse grid of log2 m, log2 n, log2 k; each knot is
// drawn to 1 unless samples near it agree. The grid is kept only if it lowers the held-out error. Whole groups of equal
// (n, k) are held out, not single samples, so that neighbours in m cannot give an answer away. The figures in the
// provenance are of curves fitted without those groups; the curve returned is fitted to all samples.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "calibrate/fit/held_out.h"
#include "sim/cost/compute.h"
#include "sim/hardware/device.h"

namespace echelon {

struct GemmSample {
  GemmShape shape;
  Seconds time;
};

// Which samples decide the held-out figures: training shapes. All samples take part in the fit.
struct GemmRegion {
  double least_m = 1024;
  double least_n = 1024;
  double least_k = 1024;
};

// Time that tables of 8-bit products add to the product itself: casting the m x k operand from 16 bits.
struct InputCast {
  Seconds overhead;
  double bytes_per_element = 0;  // moved at the achieved bandwidth
};

struct GemmFit {
  GemmCurve curve;          // provenance holds the errors in the region
  double median_error = 0;  // of all held-out samples, small shapes included
  double p95_error = 0;
  double physical_median = 0;          // in the region, without the correction grid
  std::vector<HeldOutShape> held_out;  // samples in the region that were
  InputCast cast;                      // what was taken off the samples; zero without a reference
};

// Needs at least 30 samples of positive time; throws InputError naming `source` with fewer. `device` gives peak,
// bandwidth and multiprocessors. Takes seconds for ten thousand samples. With `cast_reference`, a 16-bit curve of the
// same device, the samples are taken to include the cast of the m x k operand: the cast is estimated with the
// reference's fixed time and bandwidth for the product, and the curve is of the product alone.
GemmFit fit_gemm(const Device& device, DataType type, std::span<const GemmSample> samples, const std::string& source,
                 const GemmRegion& region = {}, const GemmCurve* cast_reference = nullptr);

}  // namespace echelon
