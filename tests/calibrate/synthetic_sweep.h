// A whole sweep of a machine with known constants, with the noise and outliers of synthetic.h.
#pragma once

#include <string>

#include "calibrate/fit/sample_tables.h"
#include "calibrate/gpu/attention_variant.h"
#include "calibrate/gpu/expert_rows.h"
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
  profile.network.gpus_per_node = 8;
  return profile;
}

inline Profile known_machine() {
  Profile profile = datasheet_machine();
  GemmCurve curve;
  curve.tiles = {{256, 128, 0.8}, {128, 128, 0.72}, {64, 64, 0.5}, {64, 32, 0.4}};
  curve.extra_k = 120;
  curve.wave_quantisation = 0.6;
  curve.bandwidth_fraction = 0.8;
  curve.unhidden_memory = 0.1;
  curve.overhead = microseconds(3);
  curve.weight_gradient_factor = 1.08;
  curve.grouped_factor = 1.3;
  profile.device.gemm = {curve};
  AttentionCurve attention;
  attention.implementation = AttentionImplementation::cudnn;
  attention.forward = {{{64, 0.5}, {128, 0.66}}, 128, 80, 60, 0.5, microseconds(7)};
  attention.backward = {{{64, 0.4}, {128, 0.52}}, 128, 120, 90, 0.5, microseconds(14)};
  profile.device.attention = {attention};
  profile.device.overlap_slowdown = 1.15;
  profile.host.link = gigabytes_per_second(52);
  profile.device.memory_curve = MemoryCurve{0.87, microseconds(1.7), {}};
  profile.device.kernel_gap = microseconds(2.4);
  profile.device.sustained_clock = {0.88};
  profile.network.ring_bus = gigabytes_per_second(360);
  return profile;
}

inline double size(std::int64_t value) {
  return static_cast<double>(value);
}

inline Seconds known_product_time(const Profile& machine, const Device& device, const Benchmark& of) {
  GemmShape shape{size(of.m), size(of.n), size(of.k)};
  if (of.variant == "weight_gradient") {
    shape.role = GemmRole::weight_gradient;
    shape.buffer_bytes = 8;  // added to a buffer in fp32
  }
  if (of.family == "grouped") {
    shape.batch = size(of.batch);
    shape.batching = GemmBatch::grouped;
  }
  const Seconds time = gemm_time_with(machine.device.gemm.front(), device, DataType::bf16, shape);
  return of.operation == "product_beside_all_reduce" ? time * device.overlap_slowdown : time;
}

inline Seconds known_attention_time(const Profile& machine, const Device& device, const Benchmark& of) {
  const AttentionVariant variant = attention_variant(of.variant);
  const AttentionWork work{size(of.batch),    size(of.heads),
                           size(of.kv_heads), size(of.m),
                           size(of.n),        size(of.k),
                           size(of.k),        variant.causal ? size(of.m) / 2 : size(of.m),
                           variant.causal,    AttentionImplementation::cudnn};
  const AttentionCurve& curve = machine.device.attention.front();
  return attention_time_with(variant.backward ? curve.backward : curve.forward, device, DataType::bf16, work,
                             variant.backward ? AttentionPass::backward : AttentionPass::forward);
}

// As many rows each took, times what the experts' own numbers take over that.
constexpr double ragged_over_alike = 1.17;

// What one benchmark takes on the machine; 0 for what is not part of this model.
inline Seconds known_time(const Profile& machine, const Benchmark& of) {
  const Device& device = machine.device;
  if (of.family == "memory")
    return device.memory_curve->overhead +
           Bytes(size(of.bytes)) / (device.memory_bandwidth * device.memory_curve->bandwidth_fraction);
  if (of.family == "launch" && of.operation == "stream") return device.kernel_gap;
  if (of.family == "copy" && of.variant == "pinned" && of.operation != "both_ways")
    return microseconds(5) + Bytes(size(of.bytes)) / machine.host.link;
  if (of.family == "collective")
    return collective_time(machine.network,
                           {*from_name<CollectiveKind>(of.operation), {of.ranks, of.ranks}, Bytes(size(of.bytes))})
        .time;
  if (of.type != "bf16" || (of.batch > 1 && of.family == "gemm")) return Seconds(0);
  Device fresh = device;
  if (of.family != "sustained") fresh.sustained_clock = {};
  if (of.family == "attention" && of.operation == "fused") return known_attention_time(machine, fresh, of);
  const bool beside_copies = of.operation == "product_beside_host_copy" || of.operation == "product_beside_device_copy";
  if (of.family == "attention" || of.family == "reference" || beside_copies) return Seconds(0);
  return known_product_time(machine, fresh, of) * (of.operation == ragged_product ? ragged_over_alike : 1.0);
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
  origin.facts.cudnn = "9.19.0";
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
    // What few benchmarks tell is no one draw of noise.
    const bool exact = benchmark.family == "sustained" || benchmark.family == "launch" ||
                       benchmark.family == "overlap" || benchmark.family == "copy" ||
                       (benchmark.m == 8192 && benchmark.n == 8192 && benchmark.k == 8192);
    set.samples.push_back(summarise(
        benchmark,
        {Outcome::measured, {1e6 * (exact ? time : noise.disturb(time)).value()}, {1755, 2619, 640, 61}, ""}));
  }
  return set;
}

}  // namespace echelon
