#include "calibrate/fit/sample_tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "calibrate/fit/robust.h"
#include "calibrate/gpu/attention_variant.h"
#include "calibrate/gpu/memory_operations.h"

namespace echelon {
namespace {

constexpr std::size_t fewest_products = 30;  // that fit_gemm takes
constexpr std::size_t fewest_attention = 5;  // that fit_attention_pass takes

bool is_streaming(const std::string& operation) {
  return std::any_of(memory_operations.begin(), memory_operations.end(), [&](const MemoryOperation& known) {
    return known.name == operation && known.role == MemoryRole::streaming;
  });
}

bool is_measured(const Sample& sample, const char* family) {
  return sample.benchmark.family == family && sample.outcome == Outcome::measured;
}

void add_products(std::span<const Sample> samples, const std::string& gpu, const std::string& source,
                  KernelTables& tables) {
  std::map<DataType, std::vector<GemmRow>> by_type;
  for (const Sample& sample : samples) {
    const Benchmark& of = sample.benchmark;
    const auto type = from_name<DataType>(of.type);
    if (!is_measured(sample, "gemm") || of.variant != "forward" || of.batch > 1 || !type) continue;
    GemmRow row;
    row.gpu = gpu;
    row.type = *type;
    row.m = static_cast<double>(of.m);
    row.n = static_cast<double>(of.n);
    row.k = static_cast<double>(of.k);
    row.time = sample.time;
    row.source = source;
    by_type[*type].push_back(std::move(row));
  }
  for (auto& [type, rows] : by_type)
    if (rows.size() >= fewest_products)
      std::move(rows.begin(), rows.end(), std::back_inserter(tables.products));
    else
      tables.skipped[fmt::format("{} products, fewer than the {} of a curve", name_of(type), fewest_products)] +=
          static_cast<std::int64_t>(rows.size());
}

// Fused attention is cuDNN's.
void add_attention(std::span<const Sample> samples, bool backward, const std::string& gpu, const std::string& source,
                   KernelTables& tables) {
  std::vector<AttentionRow> rows;
  for (const Sample& sample : samples) {
    const Benchmark& of = sample.benchmark;
    const AttentionVariant variant = attention_variant(of.variant);
    if (!is_measured(sample, "attention") || of.operation != "fused" || of.type != "bf16" ||
        variant.backward != backward)
      continue;
    const auto head_size = static_cast<double>(of.k);
    rows.push_back({gpu, AttentionImplementation::cudnn, backward, variant.causal, static_cast<double>(of.batch),
                    static_cast<double>(of.m), static_cast<double>(of.heads), static_cast<double>(of.kv_heads),
                    head_size, head_size, sample.time, source});
  }
  if (rows.size() >= fewest_attention)
    std::move(rows.begin(), rows.end(), std::back_inserter(tables.attention));
  else if (!rows.empty())
    tables.skipped[fmt::format("shapes of fused attention, fewer than the {} of a curve", fewest_attention)] +=
        static_cast<std::int64_t>(rows.size());
}

}  // namespace

KernelTables kernel_tables(std::span<const Sample> samples, const std::string& gpu, const std::string& source) {
  KernelTables tables;
  add_products(samples, gpu, source, tables);
  for (const bool backward : {false, true}) add_attention(samples, backward, gpu, source, tables);
  return tables;
}

std::vector<MemorySample> memory_samples(std::span<const Sample> samples) {
  std::vector<MemorySample> all;
  for (const Sample& sample : samples)
    if (is_measured(sample, "memory") && is_streaming(sample.benchmark.operation))
      all.push_back({Bytes(static_cast<double>(sample.benchmark.bytes)), sample.time});
  return all;
}

std::vector<MeasuredRun> collective_runs(std::span<const Sample> samples) {
  std::map<std::tuple<std::string, std::int64_t, std::int64_t>, MeasuredRun> runs;
  for (const Sample& sample : samples) {
    const Benchmark& of = sample.benchmark;
    const auto kind = from_name<CollectiveKind>(of.operation);
    if (!is_measured(sample, "collective") || !kind) continue;
    const std::int64_t per_node = of.ranks_per_node > 0 ? of.ranks_per_node : of.ranks;
    MeasuredRun& run = runs[{of.operation, of.ranks, per_node}];
    run.name = fmt::format("{} of {}", of.operation, of.ranks);
    if (per_node < of.ranks) run.name += fmt::format(", {} a node", per_node);
    run.kind = *kind;
    run.group = {of.ranks, per_node};
    run.times.push_back({Bytes(static_cast<double>(of.bytes)), sample.time});
  }
  std::vector<MeasuredRun> all;
  for (auto& [key, run] : runs) {
    std::sort(run.times.begin(), run.times.end(),
              [](const MeasuredTime& a, const MeasuredTime& b) { return a.bytes < b.bytes; });
    all.push_back(std::move(run));
  }
  return all;
}

Seconds median_time(std::span<const Sample> samples, const std::string& family, const std::string& operation) {
  std::vector<double> times;
  for (const Sample& sample : samples)
    if (is_measured(sample, family.c_str()) && sample.benchmark.operation == operation)
      times.push_back(sample.time.value());
  return Seconds(median_of(times));
}

}  // namespace echelon
