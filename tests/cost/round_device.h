// A device of round numbers to compute with by hand.
#pragma once

#include "sim/hardware/device.h"

namespace echelon::test {

// 100 multiprocessors, 100 TFLOPS, 1 TB/s, products at full efficiency in tiles of 100 x 100 that each take `overhead`
// more.
inline Device round_device(Seconds overhead = Seconds(0)) {
  Device device;
  device.multiprocessors = 100;
  device.memory_bandwidth = gigabytes_per_second(1000);
  device.peak[static_cast<std::size_t>(DataType::bf16)] = teraflops(100);
  GemmCurve curve;
  curve.type = DataType::bf16;
  curve.tiles = {{100, 100, 1}};
  curve.bandwidth_fraction = 1;
  curve.overhead = overhead;
  curve.provenance.ground = Ground::measured;
  device.gemm.push_back(curve);
  device.memory_curve = MemoryCurve{1, microseconds(1), {Ground::measured, "by hand"}};
  return device;
}

}  // namespace echelon::test
