#include "calibrate/fit/sample_fit.h"

#include <unistd.h>

#include <map>
#include <set>

#include "calibrate/fit/robust.h"
#include "calibrate/sweep/sweep.h"
#include "sim/base/error.h"
#include "sim/interop/kernel_tables.h"
#include "tests/calibrate/recorded_device.h"
#include "tests/calibrate/synthetic_sweep.h"
#include "tests/catch.h"

using namespace echelon;

namespace {

// Of what a fitted device says of attention against what is true, on shapes that no sweep measures.
ErrorFigures errors_of_attention(const Device& fitted, const Device& truth) {
  std::vector<double> errors;
  for (const AttentionPass pass : {AttentionPass::forward, AttentionPass::backward})
    for (const double positions : {1500, 6000, 12000})
      for (const double heads : {24, 40}) {
        const AttentionWork work{
            2, heads, 8, positions, positions, 128, 128, positions / 2, true, AttentionImplementation::cudnn};
        errors.push_back(attention_time(fitted, DataType::bf16, work, pass).time /
                             attention_time(truth, DataType::bf16, work, pass).time -
                         1);
      }
  return error_figures(errors);
}

// The same of experts' products.
ErrorFigures errors_of_experts(const Device& fitted, const Device& truth) {
  std::vector<double> errors;
  for (const double rows : {384, 768, 1536})
    for (const double experts : {8, 16}) {
      GemmShape shape{rows, 4096, 6144, experts};
      shape.batching = GemmBatch::grouped;
      errors.push_back(gemm_time(fitted, DataType::bf16, shape).time / gemm_time(truth, DataType::bf16, shape).time -
                       1);
    }
  return error_figures(errors);
}

// A quick sweep of some families alone: their fits take no time.
SampleSet quick_sweep_of(const std::set<std::string>& families) {
  SampleSet set = synthetic_sweep(Scope::quick);
  std::erase_if(set.samples, [&](const Sample& sample) { return families.count(sample.benchmark.family) == 0; });
  return set;
}

}  // namespace

TEST_CASE("A sweep's constants are recovered within 2 % from noisy samples with outliers") {
  const SampleSet set = synthetic_sweep(Scope::standard);
  const SampleFit fit = fit_samples(datasheet_machine(), set, "samples.csv");
  const Profile known = known_machine();
  const Device& device = fit.profile.device;
  CHECK(device.memory_curve->bandwidth_fraction == Approx(0.87).epsilon(0.02));
  CHECK(device.memory_curve->overhead.value() * 1e6 == Approx(1.7).epsilon(0.02));
  CHECK(device.kernel_gap.value() * 1e6 == Approx(2.4));
  CHECK(device.sustained_clock.wide == Approx(0.88).epsilon(0.02));
  REQUIRE(device.gemm.size() == 1);
  CHECK(device.gemm.front().weight_gradient_factor == Approx(1.08).epsilon(0.02));
  CHECK(device.gemm.front().grouped_factor == Approx(1.3).epsilon(0.05));  // makes up for the curve on a batch
  CHECK(device.overlap_slowdown == Approx(1.15).epsilon(0.001));
  CHECK(fit.profile.host.link.value() / 1e9 == Approx(52).epsilon(0.005));
  Device fitted = device, truth = known.device;
  fitted.sustained_clock = truth.sustained_clock = {};
  std::vector<double> errors;
  for (const double m : {1024, 3000, 4096})
    for (const double n : {1024, 3072, 6000, 12288})
      for (const double k : {1024, 3072, 7168}) {
        const GemmShape shape{m, n, k};
        errors.push_back(gemm_time_with(device.gemm.front(), fitted, DataType::bf16, shape) /
                             gemm_time_with(truth.gemm.front(), truth, DataType::bf16, shape) -
                         1);
      }
  CHECK(error_figures(errors).median < 0.02);
  CHECK(errors_of_attention(fitted, truth).median < 0.02);
  CHECK(errors_of_experts(fitted, truth).median < 0.04);  // one factor, whatever the shape
  CHECK(fit.profile.network.ring_bus.value() / 1e9 == Approx(360).epsilon(0.02));
  CHECK(fit.links.has_value());
  const auto ragged = std::find_if(fit.notes.begin(), fit.notes.end(), [](const std::string& note) {
    return note.find("Experts with none to twice the mean of rows take 1.") == 0;
  });
  REQUIRE(ragged != fit.notes.end());
  CHECK(std::stod(ragged->substr(ragged->find("take ") + 5)) == Approx(ragged_over_alike).epsilon(0.02));
}

TEST_CASE("A calibrated profile says where and with what it was measured, and how well it fits") {
  const SampleFit fit = fit_samples(datasheet_machine(), synthetic_sweep(Scope::quick), "samples.csv");
  CHECK(fit.profile.calibration.host == "node7");
  CHECK(fit.profile.calibration.driver == "580.95.05");
  CHECK(fit.profile.calibration.clocks.find("SM 1755 to 1755 MHz") == 0);
  const Provenance& provenance = fit.profile.device.gemm.front().provenance;
  CHECK(provenance.ground == Ground::measured);
  CHECK(provenance.median_error > 0);
  CHECK(provenance.source.find("node7, 2026-01-31") != std::string::npos);
  CHECK(fit.profile.device.memory == gibibytes(80));
  CHECK(provenance.source.find("cuDNN 9.19.0") != std::string::npos);
  CHECK(fit.profile.calibration.cudnn == "9.19.0");
  CHECK(fit.report.curves.front().mean_error > 0);
  REQUIRE(fit.report.held_out.size() > 10);
  const std::vector<HeldOutShape> worst = worst_of(fit.report.held_out);
  REQUIRE(worst.size() == 10);
  CHECK(std::abs(worst.front().error()) > std::abs(worst.back().error()));
}

TEST_CASE("A trace of real products, replayed through a whole sweep, fits") {
  KernelTables tables;
  read_kernel_table(std::string(ECHELON_SOURCE_DIR) + "/tests/data/kernels/gemm_h100.csv", tables);
  SampleSet trace{known_origin(), {}};
  std::vector<Benchmark> plan;
  for (const GemmRow& row : tables.products) {
    if (row.type != DataType::bf16) continue;
    Benchmark benchmark{"gemm", "product", "bf16", "forward"};
    benchmark.m = static_cast<std::int64_t>(row.m);
    benchmark.n = static_cast<std::int64_t>(row.n);
    benchmark.k = static_cast<std::int64_t>(row.k);
    trace.samples.push_back(summarise(benchmark, {Outcome::measured, {1e6 * row.time.value()}, {}, ""}));
    plan.push_back(benchmark);
  }
  const auto file = std::filesystem::temp_directory_path() / ("echelon-trace-" + std::to_string(getpid()) + ".csv.gz");
  RecordedDevice device(trace);
  {
    SampleJournal journal(file, trace.origin);
    CHECK(sweep(device, plan, effort_of(Scope::quick), Seconds(3600), journal).left == 0);
    journal.finish();
  }
  const SampleFit fit = fit_samples(datasheet_machine(), read_samples(file), file.string());
  std::filesystem::remove(file);
  CHECK(fit.report.curves.front().samples == static_cast<std::int64_t>(plan.size()));
  CHECK(fit.report.curves.front().held_out > 5);
  CHECK(fit.report.curves.front().median_error < 0.06);
}

TEST_CASE("Samples of another chip and samples of too little are refused") {
  SampleSet set = synthetic_sweep(Scope::quick);
  Profile other = datasheet_machine();
  other.device.name = "A100 SXM4 80GB";
  CHECK_THROWS_AS(fit_samples(other, set, "samples.csv"), InputError);
  set.samples.resize(3);
  CHECK_THROWS_AS(fit_samples(datasheet_machine(), set, "samples.csv"), InputError);
}

TEST_CASE("A profile says how its reference product drifted while it was measured") {
  SampleSet set = quick_sweep_of({"memory"});
  for (const double us : {200.0, 204.0, 210.0}) {
    Benchmark reference{"reference", "product_" + std::to_string(set.samples.size()), "bf16", "forward"};
    set.samples.push_back(summarise(reference, {Outcome::measured, {us}, {1700, 2619, 690, 71}, ""}));
  }
  const std::string clocks = fit_samples(datasheet_machine(), set, "samples.csv").profile.calibration.clocks;
  CHECK(clocks.find("SM 1700 to 1755 MHz") == 0);
  CHECK(clocks.find("at most 690 W and 71 C") != std::string::npos);
  CHECK(clocks.find("the reference product's time drifted by 5.0 %") != std::string::npos);
}

TEST_CASE("What one GPU cannot show keeps the base's numbers, and is said") {
  SampleSet set = quick_sweep_of({"memory", "launch", "copy"});
  set.origin.facts.gpus = 1;
  const Profile base = datasheet_machine();
  const SampleFit fit = fit_samples(base, set, "samples.csv");
  CHECK(fit.profile.network.ring_bus == base.network.ring_bus);
  CHECK(fit.profile.device.overlap_slowdown == base.device.overlap_slowdown);
  const auto says = [&](const std::string& text) {
    return std::any_of(fit.notes.begin(), fit.notes.end(),
                       [&](const std::string& note) { return note.find(text) == 0; });
  };
  CHECK(says("One GPU: links between GPUs and compute beside collectives were not measured"));
  CHECK_FALSE(says("No collectives"));
}

TEST_CASE("Long products of 8 bits tell the clock of 8 bits, those of 16 bits that of wider ones") {
  Profile base = datasheet_machine();
  base.device.sustained_clock = {0.5, 0.6};
  const std::map<std::string, double> kept = {{"bf16", 0.8}, {"fp8", 0.95}};
  const auto clock_from = [&](const std::set<std::string>& types) {
    SampleSet set = quick_sweep_of({"memory"});
    for (const std::string& type : types) {
      const Benchmark brief{"gemm", "product", type, "forward", 8192, 8192, 8192, 1};
      const Benchmark lasting{"sustained", "product", type, "forward", 8192, 8192, 8192, 1};
      set.samples.push_back(summarise(brief, {Outcome::measured, {1000}, {}, ""}));
      set.samples.push_back(summarise(lasting, {Outcome::measured, {1000 / kept.at(type)}, {}, ""}));
    }
    return fit_samples(base, set, "samples.csv").profile.device.sustained_clock;
  };
  const SustainedClock both = clock_from({"bf16", "fp8"});
  CHECK(both.wide == Approx(0.8));
  CHECK(both.narrow == Approx(0.95));
  const SustainedClock eight = clock_from({"fp8"});
  CHECK(eight.wide == 0.5);  // the base's
  CHECK(eight.narrow == Approx(0.95));
  const SustainedClock sixteen = clock_from({"bf16"});
  CHECK(sixteen.wide == Approx(0.8));
  CHECK(sixteen.narrow == 0.6);
}

TEST_CASE("Weight gradients of fp8 have a factor of their own, formats that were not measured that of bf16") {
  Profile base = known_machine();
  base.device.peak[static_cast<std::size_t>(DataType::fp8)] = teraflops(1979);
  base.device.peak[static_cast<std::size_t>(DataType::fp16)] = teraflops(989);
  for (const DataType type : {DataType::fp8, DataType::fp16}) {
    base.device.gemm.push_back(base.device.gemm.front());
    base.device.gemm.back().type = type;
  }
  Device fresh = base.device;
  fresh.sustained_clock = {};
  SampleSet set{known_origin(), {}};
  for (const GemmCurve& curve : base.device.gemm)
    for (const std::int64_t size : {1024, 2048, 3072, 4096, 6144}) {
      if (curve.type == DataType::fp16) continue;
      const double factor = curve.type == DataType::fp8 ? 1.4 : 1.1;
      GemmShape shape{4096, 8192, static_cast<double>(size)};
      shape.buffer_bytes = 8;
      Benchmark benchmark{"gemm", "product", std::string(name_of(curve.type)), "weight_gradient", 4096, 8192, size, 1};
      const Seconds time = gemm_time_with(curve, fresh, curve.type, shape) * factor;
      set.samples.push_back(summarise(benchmark, {Outcome::measured, {1e6 * time.value()}, {}, ""}));
    }
  const SampleFit fit = fit_samples(base, set, "samples.csv");
  REQUIRE(fit.profile.device.gemm.size() == 3);
  CHECK(fit.profile.device.gemm[0].weight_gradient_factor == Approx(1.1).epsilon(0.001));
  CHECK(fit.profile.device.gemm[1].weight_gradient_factor == Approx(1.4).epsilon(0.001));
  CHECK(fit.profile.device.gemm[2].weight_gradient_factor == Approx(1.1).epsilon(0.001));
  CHECK(fit.profile.device.gemm[0].grouped_factor == 1.3);  // none was measured
}

TEST_CASE("Attention that cuDNN refused is told, and the rest of the sweep fits") {
  SampleSet set = quick_sweep_of({"memory", "attention"});
  for (Sample& sample : set.samples)
    if (sample.benchmark.family == "attention")
      sample = summarise(sample.benchmark, {Outcome::unsupported, {}, {}, "cuDNN has no engine for this shape"});
  const SampleFit fit = fit_samples(datasheet_machine(), set, "samples.csv");
  CHECK(fit.profile.device.attention.empty());
  CHECK(fit.notes.back().find("16 benchmarks unsupported; the first, attention/fused/bf16/causal_") == 0);
}

TEST_CASE("Collectives over nodes fit the network's links, inside a node those there") {
  Profile base = datasheet_machine();
  base.network.adapters = 8;
  base.network.adapter_rate = gigabytes_per_second(50);
  Profile machine = known_machine();
  machine.network.adapters = 8;
  machine.network.adapter_rate = gigabytes_per_second(40);
  SampleSet set = quick_sweep_of({"memory", "collective"});
  for (std::int64_t bytes = 1024; bytes <= std::int64_t{1} << 30; bytes *= 4) {
    Benchmark benchmark{"collective", "all_reduce", "bf16", ""};
    benchmark.ranks = 16;
    benchmark.ranks_per_node = 8;
    benchmark.bytes = bytes;
    const Seconds time =
        collective_time(machine.network, {CollectiveKind::all_reduce, {16, 8}, Bytes(size(bytes))}).time;
    set.samples.push_back(summarise(benchmark, {Outcome::measured, {1e6 * time.value()}, {}, ""}));
  }
  const SampleFit fit = fit_samples(base, set, "samples.csv");
  CHECK(fit.profile.network.inter.ground == Ground::measured);
  CHECK(fit.profile.network.inter.samples == 11);
  const CollectiveCall far{CollectiveKind::all_reduce, {16, 8}, gibibytes(2)};
  CHECK(collective_time(fit.profile.network, far).time / collective_time(machine.network, far).time ==
        Approx(1).epsilon(0.05));
  // A base without a network cannot take them in.
  const SampleFit alone = fit_samples(datasheet_machine(), set, "samples.csv");
  CHECK(alone.report.skipped.begin()->second == 11);
}
