#include "sim/report/result_columns.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>

#include "sim/report/number_text.h"

namespace echelon {

namespace {

Bytes device_memory(const MemoryResult& memory) {
  Bytes worst;
  for (const StageMemory& stage : memory.per_stage) worst = std::max(worst, stage.device);
  return worst;
}

constexpr double billion = 1e9;
constexpr double joules_per_kwh = 3.6e6;

double cost_of(const Result& result) {
  return result.cost_usd.value_or(std::numeric_limits<double>::quiet_NaN());
}

}  // namespace

std::span<const ResultColumn> result_columns() {
  static constexpr auto columns = std::to_array<ResultColumn>({
      {"iteration_time_s", "s", "time of one optimizer step", [](const Result& r) { return r.iteration.value(); },
       Better::lower},
      {"iteration_time_low_s", "s", "lower end of the expected interval",
       [](const Result& r) { return r.iteration_low.value(); }},
      {"iteration_time_high_s", "s", "upper end of the expected interval",
       [](const Result& r) { return r.iteration_high.value(); }},
      {"tokens_per_s", "tokens/s", "throughput of the cluster", [](const Result& r) { return r.tokens_per_second(); },
       Better::higher},
      {"tokens_per_s_per_gpu", "tokens/s", "throughput of one GPU",
       [](const Result& r) { return r.tokens_per_second_per_gpu(); }, Better::higher},
      {"samples_per_s", "sequences/s", "sequences a second", [](const Result& r) { return r.samples_per_second(); },
       Better::higher},
      {"model_tflops_per_gpu", "TFLOP/s", "useful FLOPs (no recompute) a second and GPU",
       [](const Result& r) { return r.model_rate_per_gpu() / teraflops(1); }, Better::higher},
      {"hardware_tflops_per_gpu", "TFLOP/s",
       "FLOPs with recomputed ones a second and GPU, of attention those of masked keys too",
       [](const Result& r) { return r.hardware_rate_per_gpu() / teraflops(1); }},
      {"mfu", "1", "useful FLOPs over dense peak, attention counted whole as PaLM does",
       [](const Result& r) { return r.mfu(); }, Better::higher},
      {"hfu", "1", "FLOPs with recomputed ones over dense peak, attention counted whole",
       [](const Result& r) { return r.hfu(); }},
      {"bubble_fraction", "1", "share of the critical rank's time that waits for other stages",
       [](const Result& r) { return r.bubble_fraction; }, Better::lower},
      {"peak_memory_bytes", "B", "memory of the fullest rank at its peak",
       [](const Result& r) { return r.memory.peak.value(); }, Better::lower},
      {"device_memory_bytes", "B", "all that the fullest GPU must hold: what fits is told by",
       [](const Result& r) { return device_memory(r.memory).value(); }},
      {"memory_capacity_bytes", "B", "that a GPU has", [](const Result& r) { return r.memory.capacity.value(); }},
      {"energy_j", "J", "of one step, all GPUs at TDP: an upper bound",
       [](const Result& r) { return r.energy.value(); }, Better::lower},
      {"cost", "USD", "of one step, at what training_run pays for a GPU-hour, else the profile's price", cost_of,
       Better::lower},
      {"kwh_per_billion_tokens", "kWh", "energy for 10^9 tokens",
       [](const Result& r) { return r.energy.value() / joules_per_kwh * (billion / r.tokens); }, Better::lower},
      {"usd_per_billion_tokens", "USD", "cost of 10^9 tokens",
       [](const Result& r) { return cost_of(r) * (billion / r.tokens); }, Better::lower},
  });
  return columns;
}

std::string figure_text(const ResultColumn& column, double value) {
  if (column.unit == "s") return duration(Seconds(value));
  if (column.unit == "1") return fmt::format("{:.1f} %", 100 * value);
  if (column.unit == "B") return fmt::format("{:.1f} GiB", Bytes(value) / gibibytes(1));
  return fmt::format("{} {}", value < 1000 ? fmt::format("{:.4g}", value) : grouped(value), column.unit);
}

const ResultColumn* result_column(std::string_view name) {
  for (const ResultColumn& column : result_columns())
    if (column.name == name) return &column;
  return nullptr;
}

std::string metric_names() {
  std::string names;
  for (const ResultColumn& column : result_columns())
    if (column.better != Better::neither) names += (names.empty() ? "" : ", ") + std::string(column.name);
  return names;
}

std::optional<double> usd_per_gpu_hour(const Result& result) {
  constexpr double seconds_per_hour = 3600;
  if (!result.cost_usd) return std::nullopt;
  return *result.cost_usd / static_cast<double>(result.gpus) * (seconds_per_hour / result.iteration.value());
}

std::span<const BreakdownColumn> breakdown_columns() {
  static constexpr auto columns = std::to_array<BreakdownColumn>({
      {"compute", "forward and backward kernels", &Breakdown::compute},
      {"recompute", "activations computed again", &Breakdown::recompute},
      {"exposed_tp", "waiting for tensor-parallel collectives", &Breakdown::exposed_tp},
      {"exposed_pp", "waiting for messages between stages", &Breakdown::exposed_pp},
      {"exposed_dp", "waiting for gradient reduction and parameter gathers", &Breakdown::exposed_dp},
      {"exposed_cp", "waiting for context-parallel transfers", &Breakdown::exposed_cp},
      {"exposed_ep", "waiting for expert all-to-alls", &Breakdown::exposed_ep},
      {"offload", "waiting for copies to and from the host", &Breakdown::offload},
      {"bubble", "waiting for other pipeline stages", &Breakdown::bubble},
      {"optimizer", "optimizer step", &Breakdown::optimizer},
      {"other", "host launches, overlap slowdown", &Breakdown::other},
      {"stragglers", "waiting for slower ranks", &Breakdown::stragglers},
  });
  return columns;
}

}  // namespace echelon
