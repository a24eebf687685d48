// Samples of `echelon calibrate` -> what the fits take.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "calibrate/fit/link_fit.h"
#include "calibrate/fit/memory_fit.h"
#include "calibrate/sweep/sample.h"
#include "sim/interop/kernel_tables.h"

namespace echelon {

// Forward products that stand alone and fused attention in bf16, as rows of tables about `gpu`. Formats with fewer than
// the 30 products that a curve takes, and directions of attention with fewer than 5 shapes, are left out and counted in
// `skipped`. Batched products are no part of the curves: those have one grid over m, n, k.
KernelTables kernel_tables(std::span<const Sample> samples, const std::string& gpu, const std::string& source);

// Kernels that read and write whole tensors.
std::vector<MemorySample> memory_samples(std::span<const Sample> samples);

// One run for each collective, number of ranks and how many of them are in a node.
std::vector<MeasuredRun> collective_runs(std::span<const Sample> samples);

// Median time of the samples of one operation; 0 where there are none.
Seconds median_time(std::span<const Sample> samples, const std::string& family, const std::string& operation);

}  // namespace echelon
