#include "calibrate/fit/machine_fit.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>

#include "calibrate/fit/robust.h"
#include "calibrate/fit/sample_tables.h"

namespace echelon {
namespace {

constexpr double large_copy = 128 << 20;  // bytes from which on a copy shows its bandwidth

bool is_measured(const Sample& sample, const char* family) {
  return sample.benchmark.family == family && sample.outcome == Outcome::measured;
}

// What a short run of the same product of that format takes over what a long one does.
std::optional<double> lasting_clock(const std::vector<Sample>& samples, DataType type) {
  std::vector<double> ratios;
  for (const Sample& sample : samples) {
    if (!is_measured(sample, "sustained") || sample.benchmark.type != name_of(type)) continue;
    const Benchmark& of = sample.benchmark;
    for (const Sample& other : samples) {
      const Benchmark& b = other.benchmark;
      if (is_measured(other, "gemm") && b.type == of.type && b.batch <= 1 && b.variant == "forward" && b.m == of.m &&
          b.n == of.n && b.k == of.k)
        ratios.push_back(other.time / sample.time);
    }
  }
  if (ratios.empty()) return std::nullopt;
  return std::clamp(median_of(ratios), 0.1, 1.0);
}

// Median over sizes of a product's time beside some load over its time alone.
std::optional<double> slowdown(const std::vector<Sample>& samples, const std::string& operation) {
  std::vector<double> ratios;
  for (const Sample& beside : samples)
    for (const Sample& alone : samples)
      if (is_measured(beside, "overlap") && is_measured(alone, "overlap") && beside.benchmark.operation == operation &&
          alone.benchmark.operation == "product_alone" && beside.benchmark.m == alone.benchmark.m)
        ratios.push_back(beside.time / alone.time);
  if (ratios.empty()) return std::nullopt;
  return median_of(ratios);
}

// Median rate of large copies; 0 where there were none.
ByteRate copy_rate(const std::vector<Sample>& samples, const std::string& operation, const std::string& variant) {
  std::vector<double> rates;
  for (const Sample& sample : samples) {
    const Benchmark& b = sample.benchmark;
    if (is_measured(sample, "copy") && b.operation == operation && b.variant == variant &&
        static_cast<double>(b.bytes) >= large_copy)
      rates.push_back(static_cast<double>(b.bytes) / sample.time.value());
  }
  return ByteRate(median_of(rates));
}

void fit_behaviour(Device& device, const SampleSet& set, const std::string& source, std::vector<std::string>& notes) {
  std::vector<std::string> told;
  if (const Seconds gap = median_time(set.samples, "launch", "stream"); gap > Seconds(0)) {
    device.kernel_gap = gap;
    told.emplace_back("kernel gap");
  }
  if (const auto ratio = slowdown(set.samples, "product_beside_all_reduce")) {
    device.overlap_slowdown = std::clamp(*ratio, 1.0, 10.0);
    told.emplace_back("overlap");
    notes.push_back(fmt::format("Beside an all-reduce of all GPUs a product takes {:.3f} times as long.", *ratio));
  }
  if (const auto clock = lasting_clock(set.samples, DataType::bf16)) {
    device.sustained_clock.wide = *clock;
    told.emplace_back("sustained clock");
    notes.push_back(fmt::format("A long product keeps {:.3f} of a short one's rate.", *clock));
  }
  if (const auto clock = lasting_clock(set.samples, DataType::fp8)) {
    device.sustained_clock.narrow = *clock;
    told.emplace_back("that of 8 bits");
    notes.push_back(fmt::format("A long product in fp8 keeps {:.3f} of a short one's rate.", *clock));
  }
  if (!told.empty())
    device.behaviour_source =
        fmt::format("{}: {}; the rest: {}", fmt::join(told, ", "), source, device.behaviour_source);
}

// The slower direction, since offload uses both.
void fit_host(Host& host, const SampleSet& set, const std::string& source) {
  const ByteRate up = copy_rate(set.samples, "host_to_device", "pinned");
  const ByteRate down = copy_rate(set.samples, "device_to_host", "pinned");
  if (!(up > ByteRate(0)) || !(down > ByteRate(0))) return;
  host.link = std::min(up, down);
  host.source = fmt::format("link: {}{}", source, host.source.empty() ? "" : "; the rest: " + host.source);
}

void note_copies(const SampleSet& set, std::vector<std::string>& notes) {
  for (const char* operation : {"host_to_device", "device_to_host", "both_ways", "to_peer"})
    for (const char* variant : {"pinned", "pageable", ""})
      if (const ByteRate rate = copy_rate(set.samples, operation, variant); rate > ByteRate(0))
        notes.push_back(fmt::format("Copies {}{}{}: {:.1f} GB/s{}.", operation, *variant != 0 ? ", " : "", variant,
                                    rate.value() / 1e9, operation == std::string("both_ways") ? " each way" : ""));
}

void note_the_rest(const SampleSet& set, std::vector<std::string>& notes) {
  for (const char* beside : {"device_copy", "host_copy"})
    if (const auto ratio = slowdown(set.samples, std::string("product_beside_") + beside))
      notes.push_back(fmt::format("Beside a {} a product takes {:.3f} times as long.", beside, *ratio));
  if (const Seconds launch = median_time(set.samples, "launch", "host"); launch > Seconds(0))
    notes.push_back(fmt::format("A launch takes the host {:.2f} us.", 1e6 * launch.value()));
  if (const Seconds replayed = median_time(set.samples, "launch", "graph"); replayed > Seconds(0))
    notes.push_back(
        fmt::format("Replayed as a graph, empty kernels follow each other every {:.2f} us.", 1e6 * replayed.value()));
  if (set.origin.facts.gpus == 1)
    notes.emplace_back(
        "One GPU: links between GPUs and compute beside collectives were not measured and keep the base profile's "
        "numbers.");
}

}  // namespace

void fit_machine(Profile& profile, const SampleSet& set, const std::string& source, std::vector<std::string>& notes) {
  fit_behaviour(profile.device, set, source, notes);
  fit_host(profile.host, set, source);
  note_copies(set, notes);
  note_the_rest(set, notes);
}

}  // namespace echelon
