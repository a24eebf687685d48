// How the sources of truth tables ran what their rows do not say: one table row a source.
//
// A row of a table names a source; the source decides the framework, its kernels and the state of its defaults at the
// time. Only facts about software stand here, none that was derived from a measured time or memory.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sim/base/data_type.h"
#include "sim/interop/truth_table.h"
#include "sim/model/workload.h"
#include "strategies/strategy.h"

namespace echelon {

// What a source sets on top of framework_defaults(); an empty field keeps the framework's default.
struct SourceConvention {
  std::string_view words;  // lower case; looked for in the row's source, url, zero_or_fsdp and model
  FrameworkKind framework = FrameworkKind::megatron;
  std::optional<KernelStyle> kernels;
  std::optional<KernelStyle> loss_kernels;
  std::int64_t metric_losses = 0;
  std::optional<AttentionKernel> attention;
  std::optional<bool> dropout;
  std::optional<bool> fused_activation;
  std::optional<bool> data_overlap;  // gradient reduce and parameter gather
  std::optional<BackwardPrefetch> backward_prefetch;
  std::optional<bool> overlap_pipeline;
  std::optional<bool> synchronous_pipeline;
  std::optional<BatchFetch> batch_fetch;
  std::optional<bool> overlap_tensor;
  std::optional<bool> overlap_weight_gradient;
  std::optional<GradientFusion> gradient_fusion;
  std::optional<bool> sequence_parallel;  // where the row is blank and tensor parallelism is used
  std::optional<Sharding> sharding;       // where the row is blank
  std::optional<Recompute> selective;     // what "selective" means here
  std::optional<Recompute> recompute;     // where the row is blank
  bool recompute_least = false;           // where the row is blank: the least that fits
  std::optional<OptimizerVariant> optimizer;
  std::optional<DataType> gradient;  // accumulation buffer, where the row does not say
  std::optional<DataType> gradient_reduce;
  bool fp8_activation_gather = false;  // with tensorwise scales
  std::optional<PeakKind> peak;
  bool checked_pipelines = false;    // runs with stages over nodes had PyTorch check their collectives
  bool zero_bubble_runtime = false;  // schedules other than 1F1B and interleaved run in that fork's runtime
  bool first_stage_peak = false;     // the source reports memory of the first pipeline stage alone
  bool megatron_vocabulary = false;  // padded to a multiple of 128 * tensor parallelism
  std::int64_t vocabulary = 0;       // where the row is blank; 0: GPT-2's
  std::string_view reason;           // where the facts stand; shown as an assumption
};

// The convention of the row's source; `assumptions` gains why. An unknown source is judged by the words of its columns.
const SourceConvention& convention_of(const TruthRow& row, std::vector<std::string>& assumptions);

// The framework's defaults with the convention on top.
Strategy conventional_strategy(const SourceConvention& convention);

// Sets what the row's notes say of the run ("torch.compile", "AsyncTP", "overlap features disabled").
void apply_notes(const TruthRow& row, Strategy& strategy, std::vector<std::string>& assumptions);

}  // namespace echelon
