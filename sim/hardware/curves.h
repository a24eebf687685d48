// Fitted curves: what share of its datasheet rates an accelerator achieves, as plain values.
//
// All rates are relative to the device that holds the curve (peak, bandwidth, multiprocessors), so that a curve fitted
// on one accelerator can be carried to a sibling; its provenance then says `scaled`. The formulas stand in
// sim/cost/compute.h.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "sim/base/data_type.h"
#include "sim/base/enum_names.h"
#include "sim/base/units.h"

namespace echelon {

// What a predicted time stands on, best first.
enum class Ground {
  measured,  // a curve fitted to measurements on this accelerator
  scaled,    // a curve fitted on another accelerator or number format, scaled by datasheet ratios
  datasheet  // a datasheet rate alone
};

template <>
inline constexpr auto enum_names<Ground> = std::to_array<EnumName<Ground>>({
    {Ground::measured, "measured"},
    {Ground::scaled, "scaled"},
    {Ground::datasheet, "datasheet"},
});

// Where a number comes from: the table, page or run, and how well a fit reproduces what was held out of it.
struct Provenance {
  Ground ground = Ground::datasheet;
  std::string source;
  double median_error = 0;  // of held-out samples, as a fraction; 0 = not fitted
  double p95_error = 0;
  std::int64_t samples = 0;  // all samples, those held out included
};

// One thread-block tile that the matrix library can choose, either way round: libraries have kernels of both.
struct GemmTile {
  double rows = 128;
  double columns = 128;
  double efficiency = 0.7;  // share of the peak rate that a multiprocessor full of such tiles keeps; 0..1
};

// Ratios measured/model on a grid of (log2 m, log2 n, log2 k), interpolated linearly in those logarithms and held
// constant outside. Knots ascend; the factor of knots (i, j, l) is factors[(i * n.size() + j) * k.size() + l]. Empty =
// no correction.
struct GemmCorrection {
  std::vector<double> log2_m;
  std::vector<double> log2_n;
  std::vector<double> log2_k;
  std::vector<double> factors;
};

// How long matrix products of one number format take.
struct GemmCurve {
  DataType type = DataType::bf16;
  std::vector<GemmTile> tiles;      // the fastest one is taken, as the library's heuristic aims to
  double extra_k = 0;               // prologue and epilogue of a tile, as steps of k
  double wave_quantisation = 1;     // 0: a last partial wave costs its share; 1: it costs a whole wave
  double bandwidth_fraction = 0.8;  // of the datasheet bandwidth, when operands and result each move once
  double unhidden_memory = 0;       // share of the shorter of compute and memory time that the longer does not hide
  double weight_gradient_factor =
      1;  // time of a weight gradient over that of a forward product which moves the gradient's buffer for its result
  double grouped_factor =
      1;             // time of a group of experts' products over that which the curve says of one after another
  Seconds overhead;  // fixed time of a kernel
  GemmCorrection correction;
  Provenance provenance;
  std::string grouped_source;  // where grouped_factor comes from; empty: from where the curve does
};

// Fused attention kernels differ by a factor of two on one accelerator, so each has a curve of its own.
enum class AttentionImplementation { flash_attention_2, flash_attention_3, cudnn, tensorrt_llm, cudnn_mxfp8 };

template <>
inline constexpr auto enum_names<AttentionImplementation> = std::to_array<EnumName<AttentionImplementation>>({
    {AttentionImplementation::flash_attention_2, "flash_attention_2"},
    {AttentionImplementation::flash_attention_3, "flash_attention_3"},
    {AttentionImplementation::cudnn, "cudnn"},
    {AttentionImplementation::tensorrt_llm, "tensorrt_llm"},
    {AttentionImplementation::cudnn_mxfp8, "cudnn_mxfp8"},
});

// The format whose peak an implementation's efficiencies are shares of.
constexpr DataType fitted_type(AttentionImplementation implementation) {
  return implementation == AttentionImplementation::cudnn_mxfp8 ? DataType::mxfp8 : DataType::bf16;
}

// Share of the peak rate that attention with one head size keeps on long sequences.
struct AttentionHead {
  double head_dim = 128;
  double efficiency = 0.5;
};

// One direction of a fused attention kernel. The kernel works in blocks of `tile` positions of one head.
struct AttentionPassCurve {
  std::vector<AttentionHead> heads;  // ascending head sizes, interpolated in log2 between; empty = not known
  double tile = 128;                 // positions of one block
  double extra_keys = 0;             // prologue and epilogue of a block, as key positions
  double causal_keys = 0;            // masked positions that a causal block computes all the same
  double tail = 0;   // share of the longest block during which the other multiprocessors have run out of work
  Seconds overhead;  // fixed time
};

struct AttentionCurve {
  AttentionImplementation implementation = AttentionImplementation::flash_attention_2;
  AttentionPassCurve forward;
  AttentionPassCurve backward;
  Provenance provenance;
};

// Kernels that stream through memory.
struct MemoryCurve {
  double bandwidth_fraction = 0.8;  // of the datasheet bandwidth, on large tensors, reads and writes mixed
  Seconds overhead;                 // fixed time of a kernel; it makes the ramp with size
  Provenance provenance;
};

}  // namespace echelon
