#include "calibrate/fit/attention_fit.h"

#include "calibrate/fit/robust.h"
#include "sim/base/error.h"
#include "tests/calibrate/synthetic.h"
#include "tests/catch.h"

using namespace echelon;

namespace {

AttentionPassCurve known_curve() {
  AttentionPassCurve curve;
  curve.heads = {{64, 0.45}, {128, 0.6}};
  curve.tile = 128;
  curve.extra_keys = 90;
  curve.causal_keys = 70;
  curve.tail = 0.6;
  curve.overhead = microseconds(6);
  return curve;
}

AttentionWork work_of(double batch, double sequence, double heads, double size, bool causal) {
  return {batch, heads, heads, sequence, sequence, size, size, causal ? sequence / 2 : sequence, causal};
}

std::vector<AttentionSample> samples_of(const AttentionPassCurve& curve, AttentionPass pass) {
  const Device device = synthetic_device();
  Noise noise;
  std::vector<AttentionSample> samples;
  for (const double batch : {1, 2, 4, 8})
    for (const double sequence : {512, 1024, 2048, 4096, 8192, 16384})
      for (const double heads : {8, 16, 32, 64})
        for (const double size : {64, 128})
          for (const bool causal : {true, false}) {
            const AttentionWork work = work_of(batch, sequence, heads, size, causal);
            samples.push_back(
                {work, pass, noise.disturb(attention_time_with(curve, device, DataType::bf16, work, pass))});
          }
  return samples;
}

}  // namespace

TEST_CASE("Attention is recovered within 2 % from noisy samples with outliers") {
  const Device device = synthetic_device();
  const AttentionPassCurve known = known_curve();
  for (const AttentionPass pass : {AttentionPass::forward, AttentionPass::backward}) {
    const AttentionPassFit fit = fit_attention_pass(device, DataType::bf16, samples_of(known, pass), pass, "synthetic");
    std::vector<double> errors;
    for (const double sequence : {1500, 4096, 12000})
      for (const double heads : {12, 32, 96}) {
        const AttentionWork work = work_of(2, sequence, heads, 128, true);
        errors.push_back(attention_time_with(fit.curve, device, DataType::bf16, work, pass) /
                             attention_time_with(known, device, DataType::bf16, work, pass) -
                         1);
      }
    CHECK(error_figures(errors).median < 0.02);
    CHECK(fit.curve.heads[0].efficiency == Approx(0.45).epsilon(0.02));
    CHECK(fit.curve.heads[1].efficiency == Approx(0.6).epsilon(0.02));
    CHECK_FALSE(fit.held_out.empty());
  }
}

TEST_CASE("Few samples are foretold each by a fit of the others") {
  // Four lengths of 8, 16, 32 and 64 heads with one head size: groups are told apart by length and heads, so that all
  // samples can be held out in turn.
  std::vector<AttentionSample> samples;
  for (const AttentionSample& sample : samples_of(known_curve(), AttentionPass::forward))
    if (sample.work.batch == 1 && sample.work.causal && sample.work.qk_head_dim == 128 && sample.work.queries >= 1024 &&
        sample.work.queries <= 8192)
      samples.push_back(sample);
  REQUIRE(samples.size() == 16);
  const AttentionPassFit fit =
      fit_attention_pass(synthetic_device(), DataType::bf16, samples, AttentionPass::forward, "few");
  CHECK(fit.held_out.size() == 16);
  CHECK(fit.provenance.median_error == error_figures(errors_of(fit.held_out)).median);
  CHECK(fit.provenance.median_error < 0.1);
  CHECK(fit.provenance.source == "few");
}

TEST_CASE("A head size that one shape alone has cannot be held out") {
  // Both groups are the only ones of their head size.
  std::vector<AttentionSample> samples;
  for (const AttentionSample& sample : samples_of(known_curve(), AttentionPass::forward))
    if (sample.work.queries == 4096 && sample.work.heads == 32) samples.push_back(sample);
  REQUIRE(samples.size() == 16);
  const AttentionPassFit fit =
      fit_attention_pass(synthetic_device(), DataType::bf16, samples, AttentionPass::forward, "few");
  CHECK(fit.held_out.empty());
  CHECK(fit.provenance.source.find("too few") != std::string::npos);
  samples.resize(4);
  CHECK_THROWS_AS(fit_attention_pass(synthetic_device(), DataType::bf16, samples, AttentionPass::forward, "few"),
                  InputError);
}
