#include "sim/cost/compute.h"

#include <cmath>
#include <random>

#include "tests/catch.h"

using namespace echelon;

namespace {

// 100 multiprocessors of 1 TFLOPS, 1 TB/s: round numbers to compute with by hand.
Device round_device() {
  Device device;
  device.multiprocessors = 100;
  device.memory_bandwidth = gigabytes_per_second(1000);
  device.peak[static_cast<std::size_t>(DataType::bf16)] = teraflops(100);
  device.peak[static_cast<std::size_t>(DataType::fp8)] = teraflops(200);
  device.peak[static_cast<std::size_t>(DataType::fp32)] = teraflops(10);
  GemmCurve curve;
  curve.type = DataType::bf16;
  curve.tiles = {{100, 100, 0.5}};
  curve.bandwidth_fraction = 1;
  curve.overhead = microseconds(2);
  curve.provenance.ground = Ground::measured;
  device.gemm.push_back(curve);
  AttentionCurve attention;
  attention.forward.heads = {{64, 0.4}, {128, 0.5}};
  attention.forward.tile = 100;
  attention.provenance.ground = Ground::measured;
  device.attention.push_back(attention);
  device.memory_curve = MemoryCurve{0.5, microseconds(1), {Ground::measured, "by hand"}};
  return device;
}

double us(Seconds time) {
  return time.value() * 1e6;
}

AttentionWork attention_of(double sequence, double heads, bool causal) {
  AttentionWork work;
  work.heads = work.kv_heads = heads;
  work.queries = work.keys = sequence;
  work.qk_head_dim = work.v_head_dim = 128;
  work.causal = causal;
  work.attended_keys = causal ? sequence / 2 : sequence;
  return work;
}

// A device with a correction grid and every parameter away from its default.
Device bent_device() {
  Device device = round_device();
  GemmCurve& curve = device.gemm.front();
  curve.tiles = {{256, 128, 0.8}, {128, 128, 0.75}, {64, 64, 0.5}};
  curve.extra_k = 120;
  curve.wave_quantisation = 0.6;
  curve.unhidden_memory = 0.1;
  curve.correction = {{9, 13}, {9, 13}, {9, 13}, {0.9, 1.1, 1.0, 0.95, 1.05, 1.0, 0.9, 1.0}};
  return device;
}

}  // namespace

TEST_CASE("A product that fills every multiprocessor takes its FLOPs over the efficiency") {
  // 1000 x 1000 in blocks of 100 x 100: 100 blocks, one wave. 2e9 k=1000 FLOPs at 50 of 100 TFLOPS = 40 us, and 2 us
  // fixed. Memory: 3 x 1000 x 1000 x 2 B at 1 TB/s = 6 us, hidden.
  const Priced priced = gemm_time(round_device(), DataType::bf16, {1000, 1000, 1000});
  CHECK(us(priced.time) == Approx(42));
  CHECK(priced.ground == Ground::measured);
}

TEST_CASE("One block more costs a second wave") {
  // 101 blocks: two waves of 40 us.
  CHECK(us(gemm_time(round_device(), DataType::bf16, {10100, 100, 1000}).time) == Approx(82));
}

TEST_CASE("A tile lies the way round that leaves fewer blocks") {
  Device device = round_device();
  device.gemm.front().tiles = {{200, 100, 0.5}};
  device.gemm.front().overhead = Seconds(0);
  // 100 x 20000: 200 rows by 100 columns make 200 blocks and two waves, half of each block unused; turned, 100 columns
  // deep, one wave of 100. 2 x 200 x 100 x 1000 x 100 FLOPs at 50 TFLOPS = 80 us, in one wave.
  CHECK(us(gemm_time(device, DataType::bf16, {100, 20000, 1000}).time) == Approx(80));
  CHECK(us(gemm_time(device, DataType::bf16, {20000, 100, 1000}).time) == Approx(80));
}

TEST_CASE("A thin product is bound by memory") {
  // 10000 x 100 with k = 10: compute 2 x 100 x 100 x 10 x 100 blocks / 50 TFLOPS = 0.4 us; memory (10000 x 10 + 10 x
  // 100 + 10000 x 100) x 2 B = 2.202 MB at 1 TB/s = 2.202 us.
  CHECK(us(gemm_time(round_device(), DataType::bf16, {10000, 100, 10}).time) == Approx(4.202));
}

TEST_CASE("A format without a curve takes the nearest one scaled by peak") {
  const Device device = round_device();
  // fp8 has twice the rate: 20 us and 2 us.
  const Priced narrow = gemm_time(device, DataType::fp8, {1000, 1000, 1000});
  CHECK(us(narrow.time) == Approx(22));
  CHECK(narrow.ground == Ground::scaled);
  // No fp16 unit: fp32's 10 TFLOPS at half efficiency.
  const Priced absent = gemm_time(device, DataType::fp16, {1000, 1000, 1000});
  CHECK(us(absent.time) == Approx(402));
  CHECK(absent.ground == Ground::scaled);
}

TEST_CASE("A device without curves is priced from its datasheet") {
  Device device = round_device();
  device.gemm.clear();
  device.attention.clear();
  device.memory_curve.reset();
  CHECK(gemm_time(device, DataType::bf16, {4096, 4096, 4096}).ground == Ground::datasheet);
  CHECK(attention_time(device, DataType::bf16, attention_of(4096, 32, true), AttentionPass::backward).ground ==
        Ground::datasheet);
  CHECK(memory_bound_time(device, Bytes(1e9), 1).ground == Ground::datasheet);
}

TEST_CASE("A sustained clock below one slows compute alone") {
  Device device = round_device();
  device.sustained_clock = {0.5};
  CHECK(us(gemm_time(device, DataType::bf16, {1000, 1000, 1000}).time) == Approx(82));
}

TEST_CASE("Products of 8 bits keep a clock of their own where one is known") {
  Device device = round_device();
  device.peak[static_cast<std::size_t>(DataType::fp8)] = device.peak_of(DataType::bf16) * 2;
  device.sustained_clock = {0.5};
  const GemmShape shape{4096, 4096, 4096};
  const Seconds wide = gemm_time(device, DataType::bf16, shape).time;
  const Seconds narrow = gemm_time(device, DataType::fp8, shape).time;
  device.sustained_clock.narrow = 1;
  CHECK(gemm_time(device, DataType::bf16, shape).time == wide);
  CHECK(gemm_time(device, DataType::fp8, shape).time < 0.6 * narrow);
}

TEST_CASE("A weight gradient costs its factor") {
  Device device = round_device();
  device.gemm.front().weight_gradient_factor = 1.05;
  const GemmShape forward{1000, 1000, 1000};
  const GemmShape weight{1000, 1000, 1000, 1, GemmRole::weight_gradient};
  CHECK(gemm_time(device, DataType::bf16, weight).time / gemm_time(device, DataType::bf16, forward).time ==
        Approx(1.05));
}

TEST_CASE("Experts' products cost what they do one after another, times their factor") {
  Device device = round_device();
  device.gemm.front().grouped_factor = 1.3;
  const GemmShape one{1000, 1000, 1000};
  GemmShape experts{1000, 1000, 1000, 8};
  experts.batching = GemmBatch::grouped;
  CHECK(gemm_time(device, DataType::bf16, experts).time / gemm_time(device, DataType::bf16, one).time ==
        Approx(8 * 1.3));
}

TEST_CASE("Experts' products do not beat the peak, however small their factor") {
  Device device = round_device();
  device.gemm.front().grouped_factor = 0.01;
  GemmShape experts{4096, 4096, 4096, 8};
  experts.batching = GemmBatch::grouped;
  const double flops = 2 * 8 * 4096.0 * 4096.0 * 4096.0;
  CHECK(gemm_time(device, DataType::bf16, experts).time.value() ==
        Approx(flops / device.peak_of(DataType::bf16).value()));
}

TEST_CASE("Attention without masking takes its FLOPs over the efficiency") {
  // 1000 queries, 10 heads: 100 blocks of 100 queries, each with 1000 keys: 4 x 128 x 1e6 x 10 = 5.12e9 FLOPs at 50
  // TFLOPS.
  const Priced priced =
      attention_time(round_device(), DataType::bf16, attention_of(1000, 10, false), AttentionPass::forward);
  CHECK(us(priced.time) == Approx(102.4));
  CHECK(priced.ground == Ground::measured);
}

TEST_CASE("Causal attention of few blocks waits for its longest") {
  // The same with a mask: half the work, but the last block still walks 1000 keys.
  CHECK(us(attention_time(round_device(), DataType::bf16, attention_of(1000, 10, true), AttentionPass::forward).time) ==
        Approx(102.4));
  // Eight times the heads: 8 x 51.2 us of work.
  CHECK(us(attention_time(round_device(), DataType::bf16, attention_of(1000, 80, true), AttentionPass::forward).time) ==
        Approx(409.6));
}

TEST_CASE("Attention that quantises runs at its own format's peak, and serves nothing else") {
  Device device = round_device();
  device.peak[static_cast<std::size_t>(DataType::mxfp8)] = teraflops(400);
  AttentionCurve narrow = device.attention.front();
  narrow.implementation = AttentionImplementation::cudnn_mxfp8;
  device.attention.insert(device.attention.begin(), narrow);
  AttentionWork work = attention_of(1000, 10, false);
  const auto time = [&] { return us(attention_time(device, DataType::bf16, work, AttentionPass::forward).time); };
  CHECK(time() == Approx(102.4));
  work.implementation = AttentionImplementation::cudnn_mxfp8;
  CHECK(time() == Approx(102.4 / 4));
  CHECK(attention_time(device, DataType::bf16, work, AttentionPass::forward).ground == Ground::measured);
  device.attention.erase(device.attention.begin());
  CHECK(time() == Approx(102.4));
}

TEST_CASE("An unknown backward pass follows the forward one and says so") {
  const AttentionWork work = attention_of(4000, 40, false);
  const Device device = round_device();
  const Priced forward = attention_time(device, DataType::bf16, work, AttentionPass::forward);
  const Priced backward = attention_time(device, DataType::bf16, work, AttentionPass::backward);
  // 2.5 times the operations at 0.86 of the rate.
  CHECK(backward.time / forward.time == Approx(2.5 / 0.86));
  CHECK(backward.ground == Ground::scaled);
}

TEST_CASE("Head sizes between known ones interpolate") {
  AttentionWork work = attention_of(4000, 40, false);
  const auto rate = [&](double size) {
    work.qk_head_dim = work.v_head_dim = size;
    return attention_flops(work, AttentionPass::forward) /
           attention_time(round_device(), DataType::bf16, work, AttentionPass::forward).time.value();
  };
  CHECK(rate(64).value() == Approx(40e12));
  CHECK(rate(128).value() == Approx(50e12));
  CHECK(rate(64 * std::sqrt(2.0)).value() == Approx(45e12));
  CHECK(rate(256).value() == Approx(50e12));
  CHECK(rate(32).value() == Approx(32e12));  // 0.8 an octave below the smallest
}

TEST_CASE("Memory-bound kernels pay for each kernel and each byte") {
  // 3 kernels x 1 us + 1 MB at 0.5 TB/s = 2 us.
  CHECK(us(memory_bound_time(round_device(), Bytes(1e6), 3).time) == Approx(5));
}

TEST_CASE("No work takes no time") {
  const Device device = round_device();
  CHECK(gemm_time(device, DataType::bf16, {0, 1000, 1000}).time == Seconds(0));
  CHECK(gemm_time(device, DataType::bf16, {1000, 1000, 1000, 0}).time == Seconds(0));
  CHECK(attention_time(device, DataType::bf16, attention_of(0, 10, true), AttentionPass::forward).time == Seconds(0));
  CHECK(memory_bound_time(device, Bytes(0), 0).time == Seconds(0));
}

TEST_CASE("No product is faster than the peak") {
  const Device device = bent_device();
  std::mt19937 random(1);
  std::uniform_real_distribution<double> size(0, 17);
  for (int i = 0; i < 20000; ++i) {
    const GemmShape shape{std::ceil(std::exp2(size(random))), std::ceil(std::exp2(size(random))),
                          std::ceil(std::exp2(size(random)))};
    const double least = 2 * shape.m * shape.n * shape.k / 100e12;
    REQUIRE(gemm_time(device, DataType::bf16, shape).time.value() >= least * (1 - 1e-12));
  }
}

TEST_CASE("A larger product is not faster, but for waves and tiles") {
  const Device device = bent_device();
  std::mt19937 random(2);
  std::uniform_real_distribution<double> size(9, 13);
  for (int i = 0; i < 5000; ++i) {
    GemmShape shape{std::exp2(size(random)), std::exp2(size(random)), std::exp2(size(random))};
    const double before = gemm_time(device, DataType::bf16, shape).time.value();
    GemmShape deeper = shape;
    deeper.k *= 1.3;
    // k has no waves; the grid above bends the time by at most 20 % over 4 octaves.
    REQUIRE(gemm_time(device, DataType::bf16, deeper).time.value() >= before);
    shape.m *= 2;
    REQUIRE(gemm_time(device, DataType::bf16, shape).time.value() >= before);
  }
}

TEST_CASE("The correction interpolates between knots and holds outside") {
  GemmCorrection correction{{10, 12}, {10}, {10}, {1.0, 2.0}};
  CHECK(correction_factor(correction, 1024, 5, 5) == Approx(1));
  CHECK(correction_factor(correction, 2048, 5, 5) == Approx(1.5));
  CHECK(correction_factor(correction, 4096, 1e6, 5) == Approx(2));
  CHECK(correction_factor(correction, 1e9, 5, 5) == Approx(2));
  CHECK(correction_factor({}, 1, 2, 3) == 1);
}
