#include "calibrate/fit/refit.h"

#include <fstream>

#include "sim/base/error.h"
#include "sim/cost/compute.h"
#include "tests/calibrate/synthetic.h"
#include "tests/catch.h"

using namespace echelon;

namespace {

std::filesystem::path table(const std::string& name) {
  return std::filesystem::path(ECHELON_SOURCE_DIR) / "tests/data/kernels" / name;
}

Profile h100() {
  Profile profile;
  profile.name = "test";
  profile.device = synthetic_device();
  profile.device.name = "H100 SXM5 80GB";
  profile.device.peak[static_cast<std::size_t>(DataType::fp8)] = teraflops(1979);
  return profile;
}

const FittedCurve& find(const ImportReport& report, const std::string& name) {
  for (const FittedCurve& curve : report.curves)
    if (curve.curve == name) return curve;
  FAIL("no curve " << name);
  return report.curves.front();
}

std::filesystem::path written(const std::string& name, const std::string& text) {
  auto path = std::filesystem::temp_directory_path() / ("echelon_refit_test_" + name);
  std::ofstream(path) << text;
  return path;
}

std::string message_of(const std::filesystem::path& path) {
  KernelTables tables;
  try {
    read_kernel_table(path, tables);
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("Published tables give curves that predict what was held out of them") {
  ImportReport report;
  const Profile fitted =
      refit(h100(),
            {table("gemm_h100.csv"), table("attention_prefill_h100.csv"), table("flashattention_h100.csv"),
             table("memory_bandwidth.csv"), table("op_efficiency_a100_pcie.csv")},
            report);
  // Excerpts have coarser grids than the full tables, whose medians are in hardware_profiles/README.md.
  CHECK(find(report, "gemm bf16").median_error < 0.06);
  CHECK(find(report, "gemm fp8").median_error < 0.08);
  CHECK(find(report, "attention tensorrt_llm forward").median_error < 0.08);
  CHECK(find(report, "attention flash_attention_2 backward").median_error < 0.02);
  CHECK(report.skipped.at("attention of another implementation") ==
        15);  // three panels of five bars of unfused attention
  // cuBLAS reaches 788.6 TFLOPS at 4096 cubed in the table: 174.3 us.
  const Priced product = gemm_time(fitted.device, DataType::bf16, {4096, 4096, 4096});
  CHECK(product.time.value() * 1e6 == Approx(174.3).epsilon(0.05));
  CHECK(product.ground == Ground::measured);
  // BabelStream's copy, add, mul and triad on H100: 2900 to 2970 of 3350 GB/s.
  CHECK(fitted.device.memory_curve->bandwidth_fraction == Approx(0.88).margin(0.01));
  CHECK(fitted.device.gemm.front().weight_gradient_factor == Approx(1.05).margin(0.01));
  CHECK(fitted.device.gemm.front().grouped_factor == 1);
  CHECK(report.skipped.count("attention with fewer than five samples of its kind") == 0);
  CHECK(report.skipped.at("experts' products of another chip") == 8);
}

TEST_CASE("Attention on H100 meets the published rates of FlashAttention-2 and 3") {
  ImportReport report;
  const Device device = refit(h100(), {table("flashattention_h100.csv")}, report).device;
  AttentionWork work{2, 16, 16, 8192, 8192, 128, 128, 4096, true, AttentionImplementation::flash_attention_2};
  const auto rate = [&](AttentionPass pass) {
    return attention_flops(work, pass).value() / attention_time(device, DataType::bf16, work, pass).time.value() / 1e12;
  };
  CHECK(rate(AttentionPass::forward) == Approx(333).epsilon(0.06));  // arXiv:2407.08608, figure 5
  work.implementation = AttentionImplementation::flash_attention_3;
  CHECK(rate(AttentionPass::forward) == Approx(602).epsilon(0.06));
  work.causal = false;
  work.attended_keys = 8192;
  CHECK(rate(AttentionPass::backward) == Approx(559).epsilon(0.03));  // figure 6
}

TEST_CASE("What a table does not tell of products keeps the base's factors") {
  ImportReport report;
  Profile base = h100();
  GemmCurve before;
  before.weight_gradient_factor = 1.07;
  before.grouped_factor = 1.2;
  base.device.gemm = {before};
  const Device device = refit(base, {table("gemm_h100.csv")}, report).device;
  REQUIRE(device.gemm.size() == 2);
  for (const GemmCurve& curve : device.gemm) {
    CHECK(curve.weight_gradient_factor == 1.07);
    CHECK(curve.grouped_factor == 1.2);
  }
}

TEST_CASE("SimuMax's experts become one product each with its own sizes") {
  KernelTables tables;
  read_kernel_table(table("op_efficiency_a100_pcie.csv"), tables);
  REQUIRE(tables.experts.size() == 8);
  CHECK(tables.skipped.at("weight gradients of experts") == 4);
  // 40 products of 616 x 3072 x 5120 at 0.63134 of 312 TFLOPS: 3935.0 us; the input gradient has 5120 features out.
  const GemmRow &forward = tables.experts[0], &backward = tables.experts[1];
  CHECK(forward.time.value() * 1e6 == Approx(3935.0).epsilon(1e-4));
  CHECK((forward.experts == 40 && forward.m == 616 && forward.n == 3072 && forward.k == 5120));
  CHECK((backward.layout == GemmLayout::input_gradient && backward.n == 5120 && backward.k == 3072));
  const std::string head = "system,op,tflops_peak,shape_key,efficiency\n";
  CHECK(message_of(written("stage.csv", head + "H100,group_matmul,989,\"ng=2, M=8, N=8, K=8, dtype=bf16\",0.5\n"))
            .find(":2:23: ") != std::string::npos);
}

TEST_CASE("The factor of experts is found whatever the clock of the machine that was measured") {
  Profile base = h100();
  GemmCurve known;
  known.tiles = {{128, 128, 0.7}};
  known.overhead = microseconds(3);
  known.weight_gradient_factor = 1.04;
  base.device.gemm = {known};
  base.device.gemm.push_back(known);
  base.device.gemm.back().type = DataType::fp8;
  Device slow = base.device;
  slow.sustained_clock = {0.8};
  std::string text = "system,op,tflops_peak,shape_key,efficiency,source\n";
  const auto add = [&](const std::string& operation, const std::string& key, const GemmShape& shape) {
    const double seconds = gemm_time_with(known, slow, DataType::bf16, shape).value();
    const double rate = 2 * shape.m * shape.n * shape.k * shape.batch / seconds;
    text += fmt::format("h100_sxm,{},989,\"{}\",{},a table\n", operation, key, rate / 989e12);
  };
  known.grouped_factor = 1.25;
  for (const double size : {1024, 2048, 4096, 8192}) {
    add("matmul", fmt::format("b=1, m=4096, k=4096, n={}, layout=TN, out_dtype=bf16", size), {4096, size, 4096});
    for (const double rows : {256, 1024}) {
      GemmShape shape{rows, size, 2048, 16};
      shape.batching = GemmBatch::grouped;
      add("group_matmul", fmt::format("ng=16, M={}, N={}, K=2048, dtype=bf16, stage=fwd", rows, size), shape);
    }
  }
  ImportReport report;
  const Device device = refit(base, {written("experts.csv", text)}, report).device;
  for (const GemmCurve& curve : device.gemm) {
    CHECK(curve.grouped_factor == Approx(1.25).epsilon(0.005));
    CHECK(curve.weight_gradient_factor == 1.04);  // the table has none to tell it from
    CHECK(curve.grouped_source == "a table");
    CHECK(curve.provenance.source.empty());  // which is the curve's own
  }
  CHECK(find(report, "gemm of experts").samples == 8);
  CHECK(find(report, "gemm of experts").median_error < 0.005);
  CHECK(find(report, "gemm of experts").note.find("at 0.800 of the clock") != std::string::npos);
}

TEST_CASE("NVIDIA's own benchmark of attention foretells head sizes, masks and windows that are held out") {
  const auto folder = std::filesystem::path(ECHELON_SOURCE_DIR) / "hardware_profiles/kernels";
  Profile profile = h100();
  profile.device.name = "GB200 186GB";
  profile.device.multiprocessors = 148;
  profile.device.peak[static_cast<std::size_t>(DataType::bf16)] = teraflops(2500);
  profile.device.peak[static_cast<std::size_t>(DataType::mxfp8)] = teraflops(5000);
  profile.device.memory_bandwidth = gigabytes_per_second(8000);
  ImportReport report;
  refit(profile, {folder / "cudnn_attention_9_19.csv", folder / "cudnn_attention_9_22.csv"}, report);
  for (const std::string pass : {"forward", "backward"}) {
    const FittedCurve& curve = find(report, "attention cudnn " + pass);
    CHECK(curve.samples == 25);  // one file has both passes in a row, the other a pass a row
    CHECK(curve.held_out == 25);
    CHECK(curve.median_error < 0.05);
    const FittedCurve& narrow = find(report, "attention cudnn_mxfp8 " + pass);
    CHECK(narrow.held_out == 15);
    CHECK(narrow.median_error < 0.05);
  }
  CHECK(report.skipped.at("attention in fp8") == 41);  // of three GPUs
}

TEST_CASE("Rows of NVIDIA's benchmark that the curves do not model are counted, wrong ones told") {
  const std::string head =
      "gpu_name,backend,data_type,attn_mask,batch_size,q_seqlen,num_q_heads,num_kv_heads,head_dim_qk,head_dim_vo,"
      "profile_pass,time_ms,fwd_time_ms,bwd_time_ms,sliding_window_size,success\n";
  KernelTables tables;
  read_kernel_table(
      written("nvidia.csv", head + "NVIDIA GB200,cudnn,bfloat16,top_left,2,512,8,8,64,64,bwd,3,,,128,True\n"
                                   "NVIDIA GB200,cudnn,bfloat16,no_mask,1,512,8,4,192,128,both,,1,2,,True\n"
                                   "NVIDIA GB200,cudnn_oss,bfloat16,no_mask,1,512,8,8,64,64,fwd,1,,,,True\n"
                                   ",cudnn,bfloat16,no_mask,1,512,8,8,64,64,fwd,inf,,,,False\n"),
      tables);
  REQUIRE(tables.attention.size() == 3);
  CHECK(tables.attention[0].backward);
  CHECK(tables.attention[0].window == 128);
  CHECK(tables.attention[0].time == Seconds(3e-3));
  CHECK_FALSE(tables.attention[1].causal);
  CHECK(tables.attention[1].v_head_dim == 128);
  CHECK(tables.attention[2].time == Seconds(2e-3));
  CHECK(tables.skipped.at("attention by cudnn_oss") == 1);
  CHECK(tables.skipped.at("attention that failed") == 1);
  const auto fault = [&](const std::string& row) { return message_of(written("nvidia_fault.csv", head + row)); };
  CHECK(fault("GB200,cudnn,bfloat16,left,1,512,8,8,64,64,fwd,1,,,,True\n").find(":2:22: ") != std::string::npos);
  CHECK(fault("GB200,cudnn,bfloat16,no_mask,1,512,8,8,64,64,up,1,,,,True\n").find(":2:46: ") != std::string::npos);
}

TEST_CASE("Tables of another accelerator are refused") {
  ImportReport report;
  Profile profile = h100();
  profile.device.name = "V100 SXM2 32GB";
  CHECK_THROWS_AS(refit(profile, {table("gemm_h100.csv")}, report), InputError);
}

TEST_CASE("Names of one product match and those of siblings do not") {
  CHECK(chip_of("b200_bf16_ceperm") == "B200");
  CHECK(chip_of("GB200 186GB") == "GB200");
  CHECK(chip_of("L40").empty());
  CHECK(same_product("H100-SXM (ND H100 v5)", "H100 SXM5 80GB"));
  CHECK(same_product("a100_80", "A100 SXM4 80GB"));
  CHECK_FALSE(same_product("a100_40", "A100 SXM4 80GB"));
  CHECK_FALSE(same_product("h100_pcie", "H100 SXM5 80GB"));
  CHECK_FALSE(same_product("B200", "GB200 186GB"));
}

TEST_CASE("A kernel table's faults are told with line and column") {
  CHECK(message_of(written("header.csv", "a,b\n1,2\n")).find(":1:1: ") != std::string::npos);
  const std::string bad = message_of(written("cell.csv", "gpu,dtype,m,n,k,time_us\nH100,bfloat16,512,32,zero,1\n"));
  CHECK(bad.find(":2:22: ") != std::string::npos);
  CHECK(message_of(written("type.csv", "gpu,dtype,m,n,k,time_us\nH100,bf17,512,32,64,1\n")).find(":2:6: ") !=
        std::string::npos);
}

TEST_CASE("Attention that calibrate/check/measure_attention.py timed gives the curve that made it") {
  const Device known = synthetic_device();
  AttentionPassCurve curve;
  curve.heads = {{64, 0.45}, {128, 0.6}};
  curve.overhead = microseconds(5);
  std::string text = "gpu,impl,pass,causal,batch,seqlen,heads,kv_heads,head_dim,time_us,source\n";
  for (const std::string pass : {"forward", "backward"})
    for (const double head : {64, 128})
      for (const double length : {512, 1024, 2048, 4096, 8192, 16384})
        for (const double heads : {16, 32}) {
          const double batch = 32768 / length;
          const AttentionWork work{batch, heads, heads, length, length, head, head, length / 2};
          const Seconds time = attention_time_with(
              curve, known, DataType::bf16, work, pass == "forward" ? AttentionPass::forward : AttentionPass::backward);
          text += fmt::format("NVIDIA H100 80GB HBM3,cudnn,{},yes,{},{},{},{},{},{},here\n", pass, batch, length, heads,
                              heads, head, 1e6 * time.value());
        }
  ImportReport report;
  const Device device = refit(h100(), {written("timed.csv", text)}, report).device;
  REQUIRE(device.attention.size() == 1);
  CHECK(device.attention.front().implementation == AttentionImplementation::cudnn);
  for (const AttentionPassCurve* pass : {&device.attention.front().forward, &device.attention.front().backward}) {
    const AttentionWork work{2, 32, 32, 6144, 6144, 128, 128, 3072};
    CHECK(attention_time_with(*pass, known, DataType::bf16, work, AttentionPass::forward) /
              attention_time_with(curve, known, DataType::bf16, work, AttentionPass::forward) ==
          Approx(1).epsilon(0.02));
  }
  const std::string head = "gpu,impl,pass,causal,batch,seqlen,heads,kv_heads,head_dim,time_us\n";
  CHECK(message_of(written("implementation.csv", head + "H100,math,forward,yes,1,512,8,8,64,9\n")).find(":2:6: ") !=
        std::string::npos);
  CHECK(message_of(written("pass.csv", head + "H100,cudnn,fwd,yes,1,512,8,8,64,9\n")).find(":2:12: ") !=
        std::string::npos);
}
