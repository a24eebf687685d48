#include "calibrate/fit/refit.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <tuple>

#include "calibrate/fit/attention_fit.h"
#include "calibrate/fit/gemm_fit.h"
#include "calibrate/fit/grouped_fit.h"
#include "calibrate/fit/memory_fit.h"
#include "calibrate/fit/robust.h"
#include "sim/base/error.h"

namespace echelon {
namespace {

// The distinct sources of rows, joined by "; ".
template <class Row>
std::string sources_of(const std::vector<Row>& rows) {
  std::set<std::string> distinct;
  for (const Row& row : rows) distinct.insert(row.source);
  std::string text;
  for (const std::string& source : distinct) text += (text.empty() ? "" : "; ") + source;
  return text;
}

template <class Row, class Matches>
std::vector<Row> rows_where(const std::vector<Row>& rows, Matches matches) {
  std::vector<Row> kept;
  std::copy_if(rows.begin(), rows.end(), std::back_inserter(kept), matches);
  return kept;
}

// Factors that these rows do not tell stay as they were.
void put_curve(std::vector<GemmCurve>& curves, GemmCurve curve) {
  const auto same = [&](const GemmCurve& other) { return other.type == curve.type; };
  const auto found = std::find_if(curves.begin(), curves.end(), same);
  if (!curves.empty()) {
    const GemmCurve& before = found == curves.end() ? curves.front() : *found;
    curve.weight_gradient_factor = before.weight_gradient_factor;
    curve.grouped_factor = before.grouped_factor;
    curve.grouped_source = before.grouped_source;
  }
  if (found != curves.end())
    *found = std::move(curve);
  else
    curves.push_back(std::move(curve));
}

// Median time of a weight gradient over that of a forward product of the same three sizes; 0 where none is known.
double weight_gradient_factor(const std::vector<GemmRow>& rows) {
  std::map<std::array<double, 3>, std::array<std::vector<double>, 2>> times;
  for (const GemmRow& row : rows) {
    if (row.layout == GemmLayout::input_gradient) continue;
    std::array<double, 3> sizes{row.m, row.n, row.k};
    std::sort(sizes.begin(), sizes.end());
    times[sizes][row.layout == GemmLayout::weight_gradient].push_back(row.time.value());
  }
  std::vector<double> ratios;
  for (const auto& [sizes, pair] : times)
    if (!pair[0].empty() && !pair[1].empty()) ratios.push_back(median_of(pair[1]) / median_of(pair[0]));
  return std::round(median_of(ratios) * 1000) / 1000;
}

GemmFit fit_products(const Device& device, DataType type, const std::vector<GemmRow>& rows) {
  std::vector<GemmSample> samples;
  for (const GemmRow& row : rows) samples.push_back({{row.m, row.n, row.k}, row.time});
  const bool cast = std::any_of(rows.begin(), rows.end(), [](const GemmRow& row) { return row.includes_cast; });
  const GemmCurve* reference = cast && !device.gemm.empty() ? &device.gemm.front() : nullptr;
  return fit_gemm(device, type, samples, sources_of(rows), {}, reference);
}

// What large products of 10 ms and more keep of the rate that those of 0.3 to 3 ms reach: the clock falls to what the
// power limit sustains. Said, not fitted: it is the profile's sustained_clock_fraction, which other sources may know
// better.
void report_sustained_rate(DataType type, const std::vector<GemmRow>& rows, ImportReport& report) {
  constexpr double smallest_side = 3000;
  std::vector<double> short_rates;
  std::vector<double> long_rates;
  for (const GemmRow& row : rows) {
    if (std::min({row.m, row.n, row.k}) < smallest_side) continue;
    const double rate = row.m * row.n * row.k / row.time.value();
    if (row.time >= Seconds(10e-3)) long_rates.push_back(rate);
    if (row.time >= Seconds(0.3e-3) && row.time < Seconds(3e-3)) short_rates.push_back(rate);
  }
  if (short_rates.size() < 10 || long_rates.size() < 10) return;
  report.curves.push_back({fmt::format("{} sustained clock", name_of(type)),
                           static_cast<std::int64_t>(long_rates.size()), 0, 0, 0,
                           fmt::format("products of 10 ms and more keep {:.3f} of the rate of those of 0.3 to 3 ms",
                                       median_of(long_rates) / median_of(short_rates))});
}

std::int64_t size_of(const std::vector<HeldOutShape>& shapes) {
  return static_cast<std::int64_t>(shapes.size());
}

void refit_products(Device& device, const KernelTables& tables, ImportReport& report) {
  const std::string chip = chip_of(device.name);
  // 16-bit formats first: they are what casts of narrower ones are measured against.
  for (const DataType type :
       {DataType::bf16, DataType::fp16, DataType::tf32, DataType::fp32, DataType::fp8, DataType::int8}) {
    const auto rows =
        rows_where(tables.products, [&](const GemmRow& row) { return row.type == type && chip_of(row.gpu) == chip; });
    if (rows.empty()) continue;
    if (device.peak_of(type).value() <= 0) {
      report.skipped["products of a format that the device has no unit for"] += static_cast<std::int64_t>(rows.size());
      continue;
    }
    GemmFit fit = fit_products(device, type, rows);
    const std::string note = fmt::format("physical part alone {:.1f} %; with sizes below 1024 {:.1f} %",
                                         100 * fit.physical_median, 100 * fit.median_error);
    if (fit.cast.bytes_per_element > 0) {
      const double microseconds_off = 1e6 * fit.cast.overhead.value();
      fit.curve.provenance.source += fmt::format(" (less the input's cast: {:.1f} us and {:g} B an element)",
                                                 microseconds_off, fit.cast.bytes_per_element);
    }
    const Provenance& figures = fit.curve.provenance;
    report.curves.push_back({fmt::format("gemm {}", name_of(type)), figures.samples, size_of(fit.held_out),
                             figures.median_error, figures.p95_error, note,
                             error_figures(errors_of(fit.held_out)).mean});
    std::move(fit.held_out.begin(), fit.held_out.end(), std::back_inserter(report.held_out));
    put_curve(device.gemm, std::move(fit.curve));
    report_sustained_rate(type, rows, report);
  }
}

void refit_layouts(Device& device, const KernelTables& tables, ImportReport& report) {
  const std::string chip = chip_of(device.name);
  auto rows = rows_where(tables.layouts, [&](const GemmRow& row) { return chip_of(row.gpu) == chip; });
  // The ratio differs little between chips (1.05 on A100 and on B200), so that of others is better than none.
  if (rows.empty()) rows = tables.layouts;
  if (rows.empty() || device.gemm.empty()) return;
  const double factor = weight_gradient_factor(rows);
  if (!(factor > 0)) return;
  for (GemmCurve& curve : device.gemm) {
    curve.weight_gradient_factor = factor;
    const std::string note = "; weight gradient: " + rows.front().source;
    if (curve.provenance.source.find(note) == std::string::npos) curve.provenance.source += note;
  }
  report.curves.push_back({"gemm weight gradient", static_cast<std::int64_t>(rows.size()), 0, 0, 0,
                           fmt::format("takes {:.3f} times the forward product", factor)});
}

std::vector<GemmSample> samples_of(const std::vector<GemmRow>& rows, DataType type) {
  std::vector<GemmSample> samples;
  for (const GemmRow& row : rows)
    if (row.type == type) samples.push_back({{row.m, row.n, row.k, row.experts}, row.time});
  return samples;
}

// From the format that the table has, for all: grouping is a matter of the library. Not from another chip's, for the
// factor is 0.85 on A100 and 1.07 on B200.
void refit_experts(Device& device, const KernelTables& tables, ImportReport& report) {
  const std::string chip = chip_of(device.name);
  const auto ours = [&](const GemmRow& row) { return chip_of(row.gpu) == chip; };
  const auto forward = [&](const GemmRow& row) { return ours(row) && row.layout == GemmLayout::forward; };
  const auto rows = rows_where(tables.experts, ours);
  if (rows.size() < tables.experts.size())
    report.skipped["experts' products of another chip"] +=
        static_cast<std::int64_t>(tables.experts.size() - rows.size());
  if (rows.empty()) return;
  const auto curve = std::find_if(device.gemm.begin(), device.gemm.end(),
                                  [&](const GemmCurve& known) { return known.type == rows.front().type; });
  if (curve == device.gemm.end() || rows.size() < fewest_of_a_factor) {
    report.skipped["experts' products, of a format without a curve or fewer than five"] +=
        static_cast<std::int64_t>(rows.size());
    return;
  }
  const std::vector<GemmSample> grouped = samples_of(rows, curve->type);
  const auto plain = samples_of(rows_where(tables.layouts, forward), curve->type);
  put_grouped(device, fit_grouped(device, *curve, grouped, plain), rows.front().source, report);
}

AttentionCurve& curve_for(Device& device, AttentionImplementation implementation) {
  for (AttentionCurve& curve : device.attention)
    if (curve.implementation == implementation) return curve;
  AttentionCurve curve;
  curve.implementation = implementation;
  return device.attention.emplace_back(std::move(curve));
}

// Half of the keys under a causal mask; of a window w, w less what the first w queries lack.
double attended_keys(const AttentionRow& row) {
  if (!row.causal) return row.sequence;
  const auto pass = row.backward ? AttentionPass::backward : AttentionPass::forward;
  const bool skips = skips_before_window(row.implementation, pass);
  if (row.window == 0 || row.window >= row.sequence || !skips) return row.sequence / 2;
  return row.window * (1 - row.window / (2 * row.sequence));
}

std::vector<AttentionSample> samples_of(const std::vector<AttentionRow>& rows) {
  std::vector<AttentionSample> samples;
  for (const AttentionRow& row : rows) {
    AttentionSample sample;
    sample.work = {row.batch,       row.heads,      row.kv_heads,       row.sequence, row.sequence,
                   row.qk_head_dim, row.v_head_dim, attended_keys(row), row.causal,   row.implementation};
    sample.pass = row.backward ? AttentionPass::backward : AttentionPass::forward;
    sample.time = row.time;
    samples.push_back(sample);
  }
  return samples;
}

void refit_one_attention(Device& device, const std::vector<AttentionRow>& rows, ImportReport& report) {
  AttentionCurve& curve = curve_for(device, rows.front().implementation);
  const std::vector<AttentionSample> samples = samples_of(rows);
  const std::string source = sources_of(rows);
  const DataType type = fitted_type(curve.implementation);
  std::int64_t fitted = 0;
  for (const AttentionPass pass : {AttentionPass::forward, AttentionPass::backward}) {
    const auto same = [&](const AttentionSample& sample) { return sample.pass == pass; };
    const std::int64_t count = std::count_if(samples.begin(), samples.end(), same);
    if (count < 5) {
      if (count > 0) report.skipped["attention with fewer than five samples of its kind"] += count;
      continue;
    }
    const AttentionPassFit fit = fit_attention_pass(device, type, samples, pass, source);
    const bool forward = pass == AttentionPass::forward;
    (forward ? curve.forward : curve.backward) = fit.curve;
    const Provenance& figures = fit.provenance;
    report.curves.push_back(
        {fmt::format("attention {} {}", name_of(curve.implementation), forward ? "forward" : "backward"),
         figures.samples, size_of(fit.held_out), figures.median_error, figures.p95_error, "",
         error_figures(errors_of(fit.held_out)).mean});
    std::copy(fit.held_out.begin(), fit.held_out.end(), std::back_inserter(report.held_out));
    // Both directions share one provenance: the larger errors, all samples.
    curve.provenance = {Ground::measured, figures.source,
                        std::max(fitted > 0 ? curve.provenance.median_error : 0, figures.median_error),
                        std::max(fitted > 0 ? curve.provenance.p95_error : 0, figures.p95_error),
                        fitted + figures.samples};
    fitted += figures.samples;
  }
}

void refit_attention(Device& device, const KernelTables& tables, ImportReport& report) {
  const std::string chip = chip_of(device.name);
  for (const auto& entry : enum_names<AttentionImplementation>) {
    const auto rows = rows_where(tables.attention, [&](const AttentionRow& row) {
      return row.implementation == entry.value && chip_of(row.gpu) == chip;
    });
    if (!rows.empty()) refit_one_attention(device, rows, report);
  }
}

// Kernels that read and write, as those of training do; pure reads and fills reach other rates.
bool reads_and_writes(const std::string& kernel) {
  return kernel == "copy" || kernel == "mul" || kernel == "add" || kernel == "triad" || kernel == "scale";
}

void refit_memory(Device& device, const KernelTables& tables, ImportReport& report) {
  const auto bandwidth = rows_where(tables.bandwidth, [&](const BandwidthRow& row) {
    return same_product(row.gpu, device.name) && reads_and_writes(row.kernel) && row.rate <= device.memory_bandwidth;
  });
  const std::string chip = chip_of(device.name);
  const auto small =
      rows_where(tables.small_kernels, [&](const SmallKernelRow& row) { return chip_of(row.gpu) == chip; });
  if (bandwidth.empty() && small.empty()) return;
  std::vector<ByteRate> rates;
  for (const BandwidthRow& row : bandwidth) rates.push_back(row.rate);
  const Seconds overhead = small.empty() ? Seconds(0) : small.front().time;
  std::string source = sources_of(bandwidth);
  if (!small.empty()) source += (source.empty() ? "" : "; ") + small.front().source;
  // 1.3 us: small kernels in a CUDA graph on A100, te42kyfo/gpu-benches gpu-small-kernels @1c36d509ee71.
  const MemoryCurve fallback = device.memory_curve.value_or(MemoryCurve{0.85, microseconds(1.3), {}});
  device.memory_curve = memory_curve_of(device, rates, overhead, fallback, source);
  const Provenance& figures = device.memory_curve->provenance;
  report.curves.push_back(
      {"memory", figures.samples, 0, figures.median_error, figures.p95_error, "spread of published rates"});
}

}  // namespace

void put_grouped(Device& device, GroupedFit fit, const std::string& source, ImportReport& report) {
  for (GemmCurve& curve : device.gemm) {
    curve.grouped_factor = fit.factor;
    curve.grouped_source = source;
  }
  const ErrorFigures errors = error_figures(errors_of(fit.held_out));
  const std::int64_t count = size_of(fit.held_out);
  report.curves.push_back({"gemm of experts", count, count, errors.median, errors.p95,
                           fmt::format("takes {:.3f} times as many products one after another, at {:.3f} of the clock",
                                       fit.factor, fit.clock),
                           errors.mean});
  std::move(fit.held_out.begin(), fit.held_out.end(), std::back_inserter(report.held_out));
}

std::string FittedCurve::line() const {
  const std::string errors = p95_error > 0
                                 ? fmt::format(", {:>5} held out: median {:.1f} %, p95 {:.1f} %, mean {:.1f} %",
                                               held_out, 100 * median_error, 100 * p95_error, 100 * mean_error)
                                 : "";
  return fmt::format("{:<40} {:>6} samples{} {}", curve, samples, errors, note);
}

Profile refit(const Profile& base, const std::vector<std::filesystem::path>& tables, ImportReport& report) {
  if (chip_of(base.device.name).empty())
    throw InputError({base.file, 0, 0},
                     fmt::format("device name '{}' names no chip that kernel tables speak of", base.device.name),
                     "expected a name with, for example, A100, H100 or B200 in it");
  KernelTables read;
  for (const auto& path : tables) read_kernel_table(path, read);
  return refit(base, read, report);
}

Profile refit(const Profile& base, const KernelTables& tables, ImportReport& report) {
  Profile profile = base;
  profile.device.sustained_clock = {};  // benchmarks are short
  const std::size_t before = report.curves.size();
  refit_products(profile.device, tables, report);
  refit_layouts(profile.device, tables, report);
  refit_experts(profile.device, tables, report);
  refit_attention(profile.device, tables, report);
  refit_memory(profile.device, tables, report);
  for (const auto& [reason, count] : tables.skipped) report.skipped[reason] += count;
  if (report.curves.size() == before)
    throw InputError({base.file, 0, 0}, fmt::format("no row of the tables speaks of '{}'", base.device.name),
                     "expected rows of " + chip_of(base.device.name));
  profile.device.sustained_clock = base.device.sustained_clock;
  return profile;
}

}  // namespace echelon
