// Every distinct spelling of the truth tables that this project was built with, and some of others.
#include "sim/app/truth_words.h"

#include "tests/catch.h"

using namespace echelon;

namespace {

template <class T>
T value_of(const Meaning<T>& meaning) {
  REQUIRE(std::holds_alternative<T>(meaning));
  return std::get<T>(meaning);
}

template <class T>
bool stays_open(const Meaning<T>& meaning) {
  return std::holds_alternative<std::monostate>(meaning);
}

template <class T>
std::string reason_of(const Meaning<T>& meaning) {
  REQUIRE(std::holds_alternative<Infeasible>(meaning));
  return std::get<Infeasible>(meaning).reason;
}

}  // namespace

TEST_CASE("spellings of sequence parallelism") {
  for (const auto* text : {"yes", "yes(REDUCE_SCATTER)", "yes (tp-comm-overlap implies)", "true", "1", "on"})
    CHECK(value_of(parse_switch(text)));
  for (const auto* text : {"no", "false", "None", "0", "off"}) CHECK_FALSE(value_of(parse_switch(text)));
  CHECK(stays_open(parse_switch("")));
  CHECK(reason_of(parse_switch("maybe")) == "seq_parallel 'maybe' is not understood");
}

TEST_CASE("spellings of recompute") {
  CHECK(value_of(parse_recompute("full")) == Recompute::full);
  CHECK(value_of(parse_recompute("none")) == Recompute::none);
  CHECK(value_of(parse_recompute("no")) == Recompute::none);
  CHECK(value_of(parse_recompute("selective (attention core)")) == Recompute::selective);
  CHECK(value_of(parse_recompute("selective")) == Recompute::selective);
  CHECK(value_of(parse_recompute("selective(per-op)")) == Recompute::selective_ops);
  CHECK(stays_open(parse_recompute("")));
}

TEST_CASE("spellings of sharding") {
  struct Row {
    const char* text;
    Sharding sharding;
    bool fully_sharded;
  };
  const Row rows[] = {
      {"FSDP2(zero3)", Sharding::zero3, true},
      {"FSDP-FULL_SHARD(zero3)", Sharding::zero3, true},
      {"FSDP-SHARD_GRAD_OP(zero2)", Sharding::zero2, true},
      {"FSDP(zero3)", Sharding::zero3, true},
      {"HSDP", Sharding::hybrid, true},
      {"MCore-FSDP", Sharding::zero3, true},
      {"zero3 (DeepSpeed)", Sharding::zero3, false},
      {"zero1", Sharding::zero1, false},
      {"zero0", Sharding::none, false},
      {"none", Sharding::none, false},
      {"none (DDP)", Sharding::none, false},
      {"distributed optimizer (NeMo default)", Sharding::zero1, false},
      {"DDP+dist-optimizer(default; not stated)", Sharding::zero1, false},
      {"ZeRO stage 2", Sharding::zero2, false},
      {"1", Sharding::zero1, false},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    const auto words = value_of(parse_sharding(row.text));
    CHECK(words.sharding == row.sharding);
    CHECK(words.fully_sharded == row.fully_sharded);
    CHECK_FALSE(words.overlap_gradient_reduce);
  }
  CHECK(stays_open(parse_sharding("")));
}

TEST_CASE("sharding that says how communication overlaps") {
  const auto with = value_of(parse_sharding("distributed optimizer w/ overlap-grad-reduce, overlap-param-gather"));
  CHECK(with.sharding == Sharding::zero1);
  CHECK(with.overlap_gradient_reduce == true);
  CHECK(with.overlap_parameter_gather == true);
  const auto without = value_of(parse_sharding("zero1 (Megatron distributed optimizer, no overlap)"));
  CHECK(without.sharding == Sharding::zero1);
  CHECK(without.overlap_gradient_reduce == false);
}

TEST_CASE("spellings of the schedule") {
  CHECK(value_of(parse_schedule("1F1B")).kind == ScheduleKind::one_f_one_b);
  CHECK(value_of(parse_schedule("1F1B / Baseline")).kind == ScheduleKind::one_f_one_b);
  CHECK(value_of(parse_schedule("1F1B-I")).kind == ScheduleKind::interleaved);
  CHECK(value_of(parse_schedule("interleaved-1F1B")).kind == ScheduleKind::interleaved);
  CHECK(value_of(parse_schedule("Interleaved1F1B")).kind == ScheduleKind::interleaved);
  CHECK(value_of(parse_schedule("GPipe")).kind == ScheduleKind::gpipe);
  const auto unstated = value_of(parse_schedule("1F1B (interleaving not stated)"));
  CHECK(unstated.kind == ScheduleKind::one_f_one_b);
  CHECK(unstated.approximation == "interleaving is not stated: none is taken");
  const auto planned = value_of(parse_schedule("ZB-1p"));
  CHECK(planned.kind == ScheduleKind::zb_1p);
  CHECK_FALSE(planned.approximation.empty());
  CHECK(value_of(parse_schedule("ZB-2p(all-reduce sync optimizer)")).kind == ScheduleKind::zb_2p);
  CHECK(value_of(parse_schedule("ZB-V")).kind == ScheduleKind::zb_v);
  CHECK(value_of(parse_schedule("V-Half Baseline")).kind == ScheduleKind::v_half);
  CHECK(value_of(parse_schedule("DualPipeV")).kind == ScheduleKind::dualpipe_v);
  CHECK(value_of(parse_schedule("DualPipe")).kind == ScheduleKind::dualpipe);
  CHECK(value_of(parse_schedule("PipeDream-2BW")).kind == ScheduleKind::pipedream_2bw);
  CHECK(value_of(parse_schedule("PipeDream-Flush")).kind == ScheduleKind::one_f_one_b);
  CHECK(value_of(parse_schedule("1F1B / Redis")).redistributes_layers);
  CHECK_FALSE(value_of(parse_schedule("1F1B / Baseline")).redistributes_layers);
  CHECK(value_of(parse_schedule("1F1B / Baseline")).vocabulary == VocabularyParallel::none);
  CHECK(value_of(parse_schedule("1F1B / Vocab-1")).vocabulary == VocabularyParallel::vocab_1);
  CHECK(value_of(parse_schedule("1F1B / Vocab-2")).vocabulary == VocabularyParallel::vocab_2);
  CHECK(value_of(parse_schedule("1F1B / Interlaced")).vocabulary == VocabularyParallel::interlaced);
  CHECK(value_of(parse_schedule("1F1B / Interlaced")).kind == ScheduleKind::one_f_one_b);
  CHECK(value_of(parse_schedule("V-Half / Vocab-1")).kind == ScheduleKind::v_half);
  CHECK(stays_open(parse_schedule("")));
}

TEST_CASE("schedules that are not there say which are") {
  CHECK(reason_of(parse_schedule("PipeMare")).find("schedule 'PipeMare' is not among gpipe, 1f1b, ") == 0);
}

TEST_CASE("spellings of 16-bit precision") {
  CHECK(value_of(parse_precision("bf16")).compute == DataType::bf16);
  CHECK(value_of(parse_precision("BF16")).compute == DataType::bf16);
  CHECK(value_of(parse_precision("fp16")).compute == DataType::fp16);
  CHECK(value_of(parse_precision("fp16/bf16 mixed (Megatron; not stated)")).compute == DataType::fp16);
  CHECK(value_of(parse_precision("fp16/bf16 (not stated here)")).compute == DataType::fp16);
  CHECK(value_of(parse_precision("tf32")).compute == DataType::tf32);
  CHECK_FALSE(value_of(parse_precision("bf16")).matrix);
  CHECK_FALSE(value_of(parse_precision("bf16")).gradient);
  CHECK(stays_open(parse_precision("")));
  CHECK(reason_of(parse_precision("posit")) == "precision 'posit' is not understood");
}

TEST_CASE("precision that names gradients") {
  const auto fp16 = value_of(parse_precision("fp16 (grad accum fp16)"));
  CHECK(fp16.compute == DataType::fp16);
  CHECK(fp16.gradient == DataType::fp16);
  for (const auto* text : {"bf16 (BF16Optimizer, fp32 grad accum)", "bf16, fp32 grad accum"}) {
    const auto bf16 = value_of(parse_precision(text));
    CHECK(bf16.compute == DataType::bf16);
    CHECK(bf16.gradient == DataType::fp32);
    CHECK(bf16.gradient_reduce == DataType::fp32);
  }
  const auto standard = value_of(parse_precision("amp_bf16/DEFAULT"));
  CHECK(standard.compute == DataType::bf16);
  CHECK(standard.gradient_reduce == DataType::fp32);
  CHECK(value_of(parse_precision("bf16/PURE")).gradient_reduce == DataType::bf16);
}

TEST_CASE("spellings of 8-bit and 4-bit precision") {
  struct Row {
    const char* text;
    DataType matrix;
    bool microscaled;
  };
  const Row rows[] = {
      {"FP8", DataType::fp8, false},
      {"fp8 per-tensor", DataType::fp8, false},
      {"FP8-CS", DataType::fp8, false},
      {"amp_fp8/DEFAULT", DataType::fp8, false},
      {"float8 linears", DataType::fp8, false},
      {"float8 tensorwise", DataType::fp8, false},
      {"MXFP8", DataType::mxfp8, true},
      {"FP8-MX", DataType::mxfp8, true},
      {"FP8 sub-channel/MX", DataType::mxfp8, true},
      {"NVFP4", DataType::nvfp4, false},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    const auto words = value_of(parse_precision(row.text));
    CHECK(words.compute == DataType::bf16);
    CHECK(words.matrix == row.matrix);
    CHECK(words.microscaled == row.microscaled);
    CHECK_FALSE(words.rowwise_scaling);
  }
  CHECK(value_of(parse_precision("float8 rowwise")).rowwise_scaling);
  CHECK(value_of(parse_precision("float8 tensorwise + fp8 all-gather")).fp8_parameter_gather);
}
