#include "sim/cost/compute.h"

#include <algorithm>
#include <cmath>

namespace echelon {
namespace {

// What serves where a profile has no curve. Matrix products: the median share of peak at m, n, k >= 4096 is 0.84 on
// A100, 0.78 on H100, 0.65 on B200 and 0.57 on L40S in the GEMM tables of ai-dynamo/aiconfigurator @095f58a51c4c: about
// 0.7.
constexpr double typical_gemm_efficiency = 0.7;
// FlashAttention-2 reaches 50-73 % of A100's peak, and 35 % of H100's (arXiv:2307.08691, arXiv:2407.08608): about 0.45.
constexpr double typical_attention_efficiency = 0.45;
// STREAM-like kernels reach 0.83-0.91 of the datasheet (te42kyfo/gpu-benches @1c36d509ee71, Azure
// AI-benchmarking-guide).
constexpr double typical_bandwidth_fraction = 0.85;
// A kernel in a CUDA graph takes 1.1-1.35 us end to end (te42kyfo/gpu-benches gpu-small-kernels @1c36d509ee71).
constexpr Seconds typical_overhead = microseconds(1.3);
// Backward over forward rate where only the forward pass was measured: 63 % and 73 % of peak for FlashAttention-2 on
// A100 (arXiv:2307.08691, section 4.1), 561 and 648 TFLOPS for FlashAttention-3 on H100 (arXiv:2407.08608, figures 5
// and 6).
constexpr double typical_backward_ratio = 0.86;

// Efficiency of a head size over that of twice the size, below the smallest measured: 0.77 on H100 and H200, 0.65 on
// B200 between 64 and 128 (prefill tables of ai-dynamo/aiconfigurator @095f58a51c4c), since exponentials weigh twice as
// much: about 0.8 for slower kernels.
constexpr double efficiency_of_half_head = 0.8;

GemmCurve typical_gemm_curve() {
  GemmCurve curve;
  curve.tiles = {GemmTile{128, 128, typical_gemm_efficiency}};
  curve.bandwidth_fraction = typical_bandwidth_fraction;
  curve.overhead = typical_overhead;
  return curve;
}

// The next wider format that a library runs the work in where the device has no unit for `type`.
DataType wider(DataType type) {
  switch (type) {
    case DataType::nvfp4:
      return DataType::mxfp8;
    case DataType::mxfp8:
      return DataType::fp8;
    case DataType::fp8:
    case DataType::int8:
      return DataType::bf16;
    case DataType::fp16:
    case DataType::bf16:
    case DataType::tf32:
    case DataType::fp32:
      return DataType::fp32;
  }
  return DataType::fp32;
}

DataType format_with_unit(const Device& device, DataType type) {
  while (device.peak_of(type).value() <= 0 && type != DataType::fp32) type = wider(type);
  return type;
}

double result_bytes(DataType type) {
  return type == DataType::fp32 || type == DataType::tf32 ? 4 : 2;
}

// The curve of `type`, else the one whose format's peak is nearest in ratio; null where there is none.
const GemmCurve* nearest_curve(const Device& device, DataType type) {
  const GemmCurve* best = nullptr;
  double best_distance = 0;
  for (const GemmCurve& curve : device.gemm) {
    if (curve.type == type) return &curve;
    const double ratio = device.peak_of(curve.type) / device.peak_of(type);
    const double distance = ratio > 0 ? std::abs(std::log(ratio)) : 1e9;
    if (best == nullptr || distance < best_distance) {
      best = &curve;
      best_distance = distance;
    }
  }
  return best;
}

Ground at_best(Ground ground, Ground limit) {
  return std::max(ground, limit);
}

double effective_peak(const Device& device, DataType type) {
  return device.peak_of(type).value() * device.sustained_clock.of(type);
}

// That of `implementation`, else the first of 16-bit inputs; null where there is none.
const AttentionCurve* find_curve(const Device& device, AttentionImplementation implementation) {
  const AttentionCurve* first = nullptr;
  for (const AttentionCurve& curve : device.attention) {
    if (curve.implementation == implementation) return &curve;
    if (first == nullptr && fitted_type(curve.implementation) == DataType::bf16) first = &curve;
  }
  return first;
}

double efficiency_at(const std::vector<AttentionHead>& heads, double head_dim) {
  if (head_dim <= heads.front().head_dim)
    return heads.front().efficiency * std::pow(efficiency_of_half_head, std::log2(heads.front().head_dim / head_dim));
  for (std::size_t i = 1; i < heads.size(); ++i) {
    if (head_dim > heads[i].head_dim) continue;
    const double span = std::log2(heads[i].head_dim / heads[i - 1].head_dim);
    const double share = std::log2(head_dim / heads[i - 1].head_dim) / span;
    return heads[i - 1].efficiency + share * (heads[i].efficiency - heads[i - 1].efficiency);
  }
  return heads.back().efficiency;
}

// The backward curve where only the forward pass is known.
AttentionPassCurve backward_from_forward(AttentionPassCurve curve) {
  for (AttentionHead& head : curve.heads) head.efficiency *= typical_backward_ratio;
  return curve;
}

AttentionPassCurve typical_attention_curve(AttentionPass pass) {
  AttentionPassCurve curve;
  curve.heads = {AttentionHead{128, typical_attention_efficiency}};
  curve.overhead = typical_overhead;
  return pass == AttentionPass::forward ? curve : backward_from_forward(curve);
}

// Operations of one (query, key) pair of one head.
double pair_flops(const AttentionWork& work, AttentionPass pass) {
  if (pass == AttentionPass::forward) return 2 * (work.qk_head_dim + work.v_head_dim);
  return 2 * (3 * work.qk_head_dim + 2 * work.v_head_dim);
}

// Queries, keys, values and results once; the backward pass also reads the result's gradient and writes three others.
double attention_bytes(const AttentionWork& work, DataType type, AttentionPass pass) {
  const double per_head = work.qk_head_dim + work.v_head_dim;
  const double elements = work.batch * per_head * (work.heads * work.queries + work.kv_heads * work.keys);
  const double element = std::max(element_size(type).value(), 1.0);
  return elements * element * (pass == AttentionPass::forward ? 1 : 2);
}

}  // namespace

KnotPosition locate_knot(const std::vector<double>& knots, double at) {
  if (knots.size() < 2 || at <= knots.front()) return {};
  const std::size_t last = knots.size() - 1;
  if (at >= knots[last]) return {last - 1, 1};
  std::size_t index = 0;
  while (at > knots[index + 1]) ++index;
  return {index, (at - knots[index]) / (knots[index + 1] - knots[index])};
}

double correction_factor(const GemmCorrection& correction, double m, double n, double k) {
  if (correction.factors.empty()) return 1;
  const KnotPosition at_m = locate_knot(correction.log2_m, std::log2(m));
  const KnotPosition at_n = locate_knot(correction.log2_n, std::log2(n));
  const KnotPosition at_k = locate_knot(correction.log2_k, std::log2(k));
  const std::size_t columns = correction.log2_n.size();
  const std::size_t depths = correction.log2_k.size();
  double factor = 0;
  for (std::size_t corner = 0; corner < 8; ++corner) {
    const std::size_t up_m = corner >> 2, up_n = corner >> 1 & 1, up_k = corner & 1;
    const double weight = (up_m ? at_m.share : 1 - at_m.share) * (up_n ? at_n.share : 1 - at_n.share) *
                          (up_k ? at_k.share : 1 - at_k.share);
    if (weight == 0) continue;  // also keeps a grid of one knot a dimension within its bounds
    factor +=
        weight * correction.factors[((at_m.index + up_m) * columns + at_n.index + up_n) * depths + at_k.index + up_k];
  }
  return factor;
}

Seconds gemm_time_with(const GemmCurve& curve, const Device& device, DataType type, const GemmShape& shape) {
  const double products = shape.m * shape.n * shape.k * shape.batch;
  if (!(products > 0)) return Seconds(0);
  const double peak = effective_peak(device, type);
  const Seconds at_peak(2 * products / peak);
  if (shape.batching == GemmBatch::grouped) {
    GemmShape one = shape;
    one.batching = GemmBatch::strided;
    one.batch = 1;
    const Seconds apart = gemm_time_with(curve, device, type, one) * (shape.batch * curve.grouped_factor);
    return std::max(apart, at_peak);
  }
  const double processors = static_cast<double>(std::max<std::int64_t>(device.multiprocessors, 1));
  double compute = 0;
  for (const GemmTile& tile : curve.tiles) {
    const double upright = std::ceil(shape.m / tile.rows) * std::ceil(shape.n / tile.columns);
    const double turned = std::ceil(shape.m / tile.columns) * std::ceil(shape.n / tile.rows);
    const double share = shape.batch * std::min(upright, turned) / processors;
    const double waves = std::max(1.0, share + curve.wave_quantisation * (std::ceil(share) - share));
    const double time = waves * tile.rows * tile.columns * processors / tile.efficiency;
    if (compute == 0 || time < compute) compute = time;
  }
  compute *= 2 * (shape.k + curve.extra_k) / peak;
  const double operands = shape.operands > 0 ? shape.operands : shape.k * (shape.m + shape.n);
  const double result = shape.buffer_bytes > 0 ? shape.buffer_bytes : result_bytes(type);
  const double bytes = shape.batch * (element_size(type).value() * operands + result * shape.m * shape.n);
  const double memory = bytes / (device.memory_bandwidth.value() * curve.bandwidth_fraction);
  double time = curve.overhead.value() + std::max(compute, memory) + curve.unhidden_memory * std::min(compute, memory);
  time *= correction_factor(curve.correction, shape.m, shape.n, shape.k);
  if (shape.role == GemmRole::weight_gradient) time *= curve.weight_gradient_factor;
  return std::max(Seconds(time), at_peak);
}

Priced gemm_time(const Device& device, DataType type, const GemmShape& shape) {
  const DataType used = format_with_unit(device, type);
  const GemmCurve* curve = nearest_curve(device, used);
  if (curve == nullptr) return {gemm_time_with(typical_gemm_curve(), device, used, shape), Ground::datasheet};
  const Ground limit = curve->type == type ? Ground::measured : Ground::scaled;
  return {gemm_time_with(*curve, device, used, shape), at_best(curve->provenance.ground, limit)};
}

Flops attention_flops(const AttentionWork& work, AttentionPass pass) {
  return Flops(work.batch * work.heads * work.queries * work.attended_keys * pair_flops(work, pass));
}

Seconds attention_time_with(const AttentionPassCurve& curve, const Device& device, DataType type,
                            const AttentionWork& work, AttentionPass pass) {
  const double flops = attention_flops(work, pass).value();
  if (!(flops > 0)) return Seconds(0);
  const double peak = effective_peak(device, type);
  const double processors = static_cast<double>(std::max<std::int64_t>(device.multiprocessors, 1));
  // The backward pass gives each block a tile of keys and walks the queries that see them.
  const double positions = pass == AttentionPass::forward ? work.queries : work.keys;
  const double mean = flops / (work.batch * work.heads * positions * pair_flops(work, pass));
  const double others = pass == AttentionPass::forward ? work.keys : work.queries;
  const double waste = curve.extra_keys + (work.causal ? curve.causal_keys : 0);
  const double longest = std::min(work.causal ? 2 * mean : mean, others) + waste;
  const double blocks = work.batch * work.heads * std::ceil(positions / curve.tile);
  const double span = std::max(longest, blocks * (mean + waste) / processors + curve.tail * longest);
  const double efficiency = efficiency_at(curve.heads, (work.qk_head_dim + work.v_head_dim) / 2);
  const double compute = span * curve.tile * pair_flops(work, pass) * processors / (peak * efficiency);
  const double memory = attention_bytes(work, type, pass) / device.memory_bandwidth.value();
  return Seconds(std::max(curve.overhead.value() + std::max(compute, memory), flops / peak));
}

Priced attention_time(const Device& device, DataType type, const AttentionWork& work, AttentionPass pass) {
  const AttentionCurve* curve = find_curve(device, work.implementation);
  if (curve == nullptr)
    return {attention_time_with(typical_attention_curve(pass), device, format_with_unit(device, type), work, pass),
            Ground::datasheet};
  const DataType fitted = fitted_type(curve->implementation);
  const DataType used = fitted == DataType::bf16 ? format_with_unit(device, type) : fitted;
  Ground ground = curve->provenance.ground;
  if (used != fitted && used != DataType::fp16) ground = at_best(ground, Ground::scaled);
  if (pass == AttentionPass::forward) return {attention_time_with(curve->forward, device, used, work, pass), ground};
  if (!curve->backward.heads.empty()) return {attention_time_with(curve->backward, device, used, work, pass), ground};
  const Seconds time = attention_time_with(backward_from_forward(curve->forward), device, used, work, pass);
  return {time, at_best(ground, Ground::scaled)};
}

Priced memory_bound_time(const Device& device, Bytes moved, double kernels) {
  MemoryCurve curve{typical_bandwidth_fraction, typical_overhead, {}};
  if (device.memory_curve) curve = *device.memory_curve;
  const Seconds time = moved / (device.memory_bandwidth * curve.bandwidth_fraction) + curve.overhead * kernels;
  return {time, curve.provenance.ground};
}

}  // namespace echelon
