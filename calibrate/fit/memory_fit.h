// Measured streaming kernels -> MemoryCurve.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "calibrate/fit/held_out.h"
#include "sim/hardware/device.h"

namespace echelon {

struct MemorySample {
  Bytes moved;  // read and written by one kernel
  Seconds time;
};

struct MemoryFit {
  MemoryCurve curve;  // the provenance has the errors of `held_out`
  std::vector<HeldOutShape> held_out;
};

// Fits  time = overhead + moved / (bandwidth fraction)  by Huber's loss of log ratios, over sizes from the smallest to
// the largest. Samples should go from kilobytes, which fix the overhead, to hundreds of megabytes, beyond every cache.
// One size in five is held out, for the errors in the provenance; where none can be, they are of all. Throws InputError
// naming `source` with fewer than 5 samples.
MemoryFit fit_memory(const Device& device, std::span<const MemorySample> samples, const std::string& source);

// From published figures alone: the median of achieved rates, and a fixed time (0 keeps `fallback`'s). The error
// figures are the spread of the rates about their median.
MemoryCurve memory_curve_of(const Device& device, std::span<const ByteRate> rates, Seconds overhead,
                            const MemoryCurve& fallback, const std::string& source);

}  // namespace echelon
