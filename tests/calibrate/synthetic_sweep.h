// A whole sweep of a machine with known constants, with the noise and outliers of synthetic.h.
#pragma once

#include <string>

#include "calibrate/fit/sample_tables.h"
#include "calibrate/sweep/plan.h"
#include "calibrate/sweep/sample_file.h"
#include "sim/cost/collective.h"
#include "sim/hardware/profile.h"
#include "tests/calibrate/synthetic.h"

namespace echelon {

// Eight GPUs with a datasheet of an H100; `known_machine` has the constants that a sweep should find.
inline Profile datasheet_machine() {
  Profile profile;
  profile.name = "datasheet";
  profile.title = "Eight synthetic H100";
  profile.device = synthetic_device();
  profile.device.name = "H100 SXM5 80GB";
  profile.network.ring_bus = gigabytes_per_second(450);
  profile.network.pair_rate = gigabytes_per_second(450);
  profile.network.pair_latency = microseconds(3);
  return profile;
}

inline Profile known_machine() {
  Profile profile = datasheet_machine();
  GemmCurve curve;
  curve.tiles = {{256, 128, 0.8}, {128, 128, 0.72}, {64, 64, 0.5}};
  curve.extra_k = 120;
  curve.wave_quantisation = 0.6;
  curve.bandwidth_fraction = 0.8;
  curve.unhidden_memory = 0.1;
  curve.overhead = microseconds(3);
  curve.weight_gradient_factor = 1.08;
  profile.device.gemm = {curve};
  profile.device.memory_curve = MemoryCurve{0.87, microseconds(1.7), {}};
  profile.device.kernel_gap = microseconds(2.4);
  profile.device.sustained_clock = 0.88;
  profile.network.ring_bus = gigabytes_per_second(360);
  return profile;
}

// What one benchmark takes on the machine; 0 for what is not part of this model.
inline Seconds known_time(const Profile& machine, const Benchmark& of) {
  const Device& device = machine.device;
  const auto size = [](std::int64_t value) { return static_cast<double>(value); };
  if (of.family == "memory")
    return device.memory_curve->overhead +
           Bytes(size(of.bytes)) / (device.memory_bandwidth * device.memory_curve->bandwidth_fraction);
  if (of.family == "launch" && of.operation == "stream") return device.kernel_gap;
  if (of.family == "collective")
    return collective_time(machine.network,
                           {*from_name<CollectiveKind>(of.operation), {of.ranks, of.ranks}, Bytes(size(of.bytes))})
        .time;
  if (of.type != "bf16" || of.batch > 1) return Seconds(0);
  Device fresh = device;
  if (of.family != "sustained") fresh.sustained_clock = 1;
  if (of.family != "gemm" && of.family != "sustained") return Seconds(0);
  const Seconds forward =
      gemm_time_with(device.gemm.front(), fresh, DataType::bf16, {size(of.m), size(of.n), size(of.k)});
  return forward * (of.variant == "weight_gradient" ? device.gemm.front().weight_gradient_factor : 1);
}

inline SweepOrigin known_origin() {
  SweepOrigin origin;
  origin.facts.gpu = "NVIDIA H100 80GB HBM3";
  origin.facts.gpus = 8;
  origin.facts.memory_bytes = std::int64_t{80} << 30;
  origin.facts.multiprocessors = 132;
  origin.facts.driver = "580.95.05";
  origin.facts.cuda = "13.0";
  origin.facts.cublas = "13.0.2";
  origin.host = "node7";
  origin.date = "2026-01-31";
  return origin;
}

inline SampleSet synthetic_sweep(Scope scope) {
  const Profile machine = known_machine();
  SampleSet set{known_origin(), {}};
  Noise noise;
  for (const Benchmark& benchmark : make_plan(scope, {}, set.origin.facts)) {
    const Seconds time = known_time(machine, benchmark);
    if (!(time > Seconds(0))) continue;
    // The clock's test is one long measurement, not one draw of noise.
    const bool exact = benchmark.family == "sustained" || benchmark.family == "launch" ||
                       (benchmark.m == 8192 && benchmark.n == 8192 && benchmark.k == 8192);
    set.samples.push_back(summarise(
        benchmark,
        {Outcome::measured, {1e6 * (exact ? time : noise.disturb(time)).value()}, {1755, 2619, 640, 61}, ""}));
  }
  return set;
}

}  // namespace echelon
