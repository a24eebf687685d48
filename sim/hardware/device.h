// One accelerator: datasheet rates, and the fitted curves that say what kernels achieve of them.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/base/data_type.h"
#include "sim/base/units.h"
#include "sim/hardware/curves.h"

namespace echelon {

// Share of the short-benchmark rate that matrix kernels keep in training, where power holds clocks back.
struct SustainedClock {
  double wide = 1;
  double narrow = 0;  // operands of 8 bits and fewer, which draw less power; 0 = as of wider ones

  double of(DataType type) const { return narrow > 0 && element_size(type) <= Bytes(1) ? narrow : wide; }
};

struct Device {
  std::string name;
  std::array<FlopRate, data_type_count> peak{};  // dense peak by DataType; 0 = the device has no such unit
  Bytes memory;                                  // capacity that a process can allocate
  ByteRate memory_bandwidth;                     // datasheet
  std::int64_t multiprocessors = 0;
  Watts tdp;
  Seconds kernel_gap;           // back-to-back launch to launch of tiny kernels, device-bound
  double overlap_slowdown = 1;  // compute takes this many times longer while a collective runs beside it
  SustainedClock sustained_clock;
  std::string datasheet_source;  // of the peaks, memory, multiprocessors and tdp
  std::string behaviour_source;  // of the gap, overlap and clocks

  std::vector<GemmCurve> gemm;            // at most one a DataType; the first serves where several are as near
  std::vector<AttentionCurve> attention;  // the first is what serves where the wanted implementation is absent
  std::optional<MemoryCurve> memory_curve;

  FlopRate peak_of(DataType type) const { return peak[static_cast<std::size_t>(type)]; }
};

}  // namespace echelon
