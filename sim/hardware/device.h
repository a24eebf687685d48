// One accelerator: datasheet rates, and the fitted curves that say what kernels achieve of them.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "sim/base/data_type.h"
#include "sim/base/enum_names.h"
#include "sim/base/units.h"

namespace echelon {

// What a predicted time stands on.
enum class Ground {
  measured,  // a curve fitted to measurements on this accelerator
  scaled,    // a curve fitted on another accelerator, scaled by datasheet ratios
  datasheet  // a datasheet rate alone
};

template <>
inline constexpr auto enum_names<Ground> = std::to_array<EnumName<Ground>>({
    {Ground::measured, "measured"}, {Ground::scaled, "scaled"}, {Ground::datasheet, "datasheet"},
});

// Where a number comes from: the table, page or run, and how well a fit reproduces what was held out of it.
struct Provenance {
  Ground ground = Ground::datasheet;
  std::string source;
  double median_error = 0;  // of held-out samples, as a fraction; 0 = not fitted
  double p95_error = 0;
  std::int64_t samples = 0;
};

struct Device {
  std::string name;
  std::array<FlopRate, data_type_count> peak{};  // dense peak by DataType; 0 = the device has no such unit
  Bytes memory;                                  // capacity that a process can allocate
  ByteRate memory_bandwidth;                     // datasheet
  std::int64_t multiprocessors = 0;
  Watts tdp;
  Seconds kernel_gap;                            // back-to-back launch to launch of tiny kernels, device-bound
  double overlap_slowdown = 1;                   // compute takes this many times longer while a collective runs beside it
  double sustained_clock = 1;                    // share of the short-benchmark rate that matrix kernels keep in training

  FlopRate peak_of(DataType type) const { return peak[static_cast<std::size_t>(type)]; }
};

}  // namespace echelon
