#include "calibrate/fit/sample_fit.h"

#include "calibrate/fit/robust.h"
#include "sim/base/error.h"
#include "sim/interop/kernel_tables.h"
#include "tests/calibrate/synthetic_sweep.h"
#include "tests/catch.h"

using namespace echelon;

TEST_CASE("A sweep's constants are recovered within 2 % from noisy samples with outliers") {
  const SampleSet set = synthetic_sweep(Scope::standard);
  const SampleFit fit = fit_samples(datasheet_machine(), set, "samples.csv");
  const Profile known = known_machine();
  const Device& device = fit.profile.device;
  CHECK(device.memory_curve->bandwidth_fraction == Approx(0.87).epsilon(0.02));
  CHECK(device.memory_curve->overhead.value() * 1e6 == Approx(1.7).epsilon(0.02));
  CHECK(device.kernel_gap.value() * 1e6 == Approx(2.4));
  CHECK(device.sustained_clock == Approx(0.88).epsilon(0.02));
  REQUIRE(device.gemm.size() == 1);
  CHECK(device.gemm.front().weight_gradient_factor == Approx(1.08).epsilon(0.02));
  Device fitted = device, truth = known.device;
  fitted.sustained_clock = truth.sustained_clock = 1;
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
  CHECK(fit.profile.network.ring_bus.value() / 1e9 == Approx(360).epsilon(0.02));
  CHECK(fit.links.has_value());
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
  CHECK(fit.worst.size() == 10);
}

TEST_CASE("Real products measured by others fit through the same path") {
  KernelTables tables;
  read_kernel_table(std::string(ECHELON_SOURCE_DIR) + "/tests/data/kernels/gemm_h100.csv", tables);
  SampleSet set{known_origin(), {}};
  for (const GemmRow& row : tables.products) {
    if (row.type != DataType::bf16) continue;
    Benchmark benchmark{"gemm", "product", "bf16", "forward"};
    benchmark.m = static_cast<std::int64_t>(row.m);
    benchmark.n = static_cast<std::int64_t>(row.n);
    benchmark.k = static_cast<std::int64_t>(row.k);
    set.samples.push_back(summarise(benchmark, {Outcome::measured, {1e6 * row.time.value()}, {}, ""}));
  }
  const SampleFit fit = fit_samples(datasheet_machine(), set, "samples.csv");
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

TEST_CASE("What one GPU cannot show keeps the base's numbers, and is said") {
  SampleSet set = synthetic_sweep(Scope::quick);
  set.origin.facts.gpus = 1;
  std::erase_if(set.samples, [](const Sample& sample) { return sample.benchmark.family == "collective"; });
  const SampleFit fit = fit_samples(datasheet_machine(), set, "samples.csv");
  CHECK(fit.profile.network.ring_bus == datasheet_machine().network.ring_bus);
  CHECK(fit.notes.at(1).find("One GPU") == 0);
}
