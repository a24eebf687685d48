#include "sim/app/truth_words.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <span>

namespace echelon {

namespace {

template <class T>
struct Words {
  std::string_view words;
  T meaning;
};

bool blank(std::string_view text) {
  return text.find_first_not_of(" \t-?") == std::string_view::npos;
}

template <class T>
const T* find_words(std::string_view lower, std::span<const Words<T>> table) {
  for (const Words<T>& entry : table)
    if (lower.find(entry.words) != std::string_view::npos) return &entry.meaning;
  return nullptr;
}

template <class T, std::size_t n>
Meaning<T> look_up(std::string_view column, std::string_view text, const std::array<Words<T>, n>& table) {
  if (blank(text)) return std::monostate{};
  if (const T* meaning = find_words<T>(lower_case(text), table)) return *meaning;
  return Infeasible{fmt::format("{} '{}' is not understood", column, text)};
}

constexpr auto switch_words = std::to_array<Words<bool>>({
    {"yes", true},
    {"true", true},
    {"reduce_scatter", true},
    {"reduce-scatter", true},
    {"no", false},
    {"false", false},
    {"off", false},
    {"on", true},
    {"1", true},
    {"0", false},
});

constexpr auto recompute_words = std::to_array<Words<Recompute>>({
    {"per-op", Recompute::selective_ops},  // torchtitan: every second matrix product is kept
    {"per op", Recompute::selective_ops},
    {"selective_ops", Recompute::selective_ops},
    {"attention", Recompute::selective},  // "selective (attention core)"
    {"core_attn", Recompute::selective},
    {"selective", Recompute::selective},
    {"none", Recompute::none},
    {"no", Recompute::none},
    {"false", Recompute::none},
    {"off", Recompute::none},
    {"full", Recompute::full},
    {"uniform", Recompute::full},  // Megatron's --recompute-method
    {"block", Recompute::full},
    {"checkpoint", Recompute::full},
    {"yes", Recompute::full},
    {"true", Recompute::full},
});

constexpr auto sharding_words = std::to_array<Words<ShardingWords>>({
    {"no_shard", {Sharding::none, true, {}, {}}},
    {"hsdp", {Sharding::hybrid, true, {}, {}}},
    {"hybrid", {Sharding::hybrid, true, {}, {}}},
    {"shard_grad_op", {Sharding::zero2, true, {}, {}}},
    {"zero2", {Sharding::zero2, false, {}, {}}},
    {"zero-2", {Sharding::zero2, false, {}, {}}},
    {"stage 2", {Sharding::zero2, false, {}, {}}},
    {"fsdp", {Sharding::zero3, true, {}, {}}},  // FSDP-FULL_SHARD, FSDP2, MCore-FSDP
    {"full_shard", {Sharding::zero3, true, {}, {}}},
    {"zero3", {Sharding::zero3, false, {}, {}}},
    {"zero-3", {Sharding::zero3, false, {}, {}}},
    {"stage 3", {Sharding::zero3, false, {}, {}}},
    {"overlap-grad-reduce, overlap-param-gather", {Sharding::zero1, false, true, true}},
    {"no overlap", {Sharding::zero1, false, false, false}},
    {"zero1", {Sharding::zero1, false, {}, {}}},
    {"zero-1", {Sharding::zero1, false, {}, {}}},
    {"stage 1", {Sharding::zero1, false, {}, {}}},
    {"dist-optimizer", {Sharding::zero1, false, {}, {}}},
    {"distributed optimizer", {Sharding::zero1, false, {}, {}}},
    {"distopt", {Sharding::zero1, false, {}, {}}},
    {"zero0", {Sharding::none, false, {}, {}}},
    {"zero-0", {Sharding::none, false, {}, {}}},
    {"stage 0", {Sharding::none, false, {}, {}}},
    {"ddp", {Sharding::none, false, {}, {}}},
    {"none", {Sharding::none, false, {}, {}}},
    {"no", {Sharding::none, false, {}, {}}},
    {"0", {Sharding::none, false, {}, {}}},  // a bare stage
    {"1", {Sharding::zero1, false, {}, {}}},
    {"2", {Sharding::zero2, false, {}, {}}},
    {"3", {Sharding::zero3, false, {}, {}}},
});

// Where the named schedule lays embedding and output layer (arXiv:2411.05288, table 5).
constexpr auto vocabulary_words = std::to_array<Words<VocabularyParallel>>({
    {"vocab-1", VocabularyParallel::vocab_1},
    {"vocab-2", VocabularyParallel::vocab_2},
    {"interlaced", VocabularyParallel::interlaced},
});

constexpr std::string_view zero_bubble_approximation =
    "the optimizer step after validation in the background (arXiv:2401.10241, section 4) is not modelled";

constexpr auto schedule_words = std::to_array<Words<ScheduleWords>>({
    {"zb-1p", {ScheduleKind::zb_1p, zero_bubble_approximation}},
    {"zb-2p", {ScheduleKind::zb_2p, zero_bubble_approximation}},
    {"zb-v", {ScheduleKind::zb_v, zero_bubble_approximation}},
    {"v-zb", {ScheduleKind::zb_v, zero_bubble_approximation}},
    {"zbv", {ScheduleKind::zb_v, zero_bubble_approximation}},
    {"v-half", {ScheduleKind::v_half, zero_bubble_approximation}},
    {"v-min", {ScheduleKind::v_min, zero_bubble_approximation}},
    {"zb-h1", {ScheduleKind::zb_h1, zero_bubble_approximation}},
    {"zb-h2", {ScheduleKind::zb_h2, zero_bubble_approximation}},
    {"zb_h1", {ScheduleKind::zb_h1, zero_bubble_approximation}},
    {"zb_h2", {ScheduleKind::zb_h2, zero_bubble_approximation}},
    {"zbh1", {ScheduleKind::zb_h1, zero_bubble_approximation}},
    {"zbh2", {ScheduleKind::zb_h2, zero_bubble_approximation}},
    {"dualpipev", {ScheduleKind::dualpipe_v, ""}},
    {"dualpipe", {ScheduleKind::dualpipe, ""}},
    {"chimera", {ScheduleKind::chimera, ""}},
    {"hanayo", {ScheduleKind::hanayo, ""}},
    {"breadth", {ScheduleKind::looped_bfs, ""}},
    {"terapipe", {ScheduleKind::terapipe, ""}},
    {"pipedream-flush", {ScheduleKind::one_f_one_b, ""}},
    {"2bw", {ScheduleKind::pipedream_2bw, ""}},
    {"pipedream", {ScheduleKind::pipedream, ""}},
    {"gpipe", {ScheduleKind::gpipe, ""}},
    {"afab", {ScheduleKind::gpipe, ""}},  // all forward, all backward
    {"interleaving not stated", {ScheduleKind::one_f_one_b, "interleaving is not stated: none is taken"}},
    {"non-interleaved", {ScheduleKind::one_f_one_b, ""}},
    {"interleav", {ScheduleKind::interleaved, ""}},
    {"1f1b-i", {ScheduleKind::interleaved, ""}},
    {"vpp", {ScheduleKind::interleaved, ""}},
    {"1f1b", {ScheduleKind::one_f_one_b, ""}},
    {"none", {ScheduleKind::one_f_one_b, ""}},
});

constexpr auto matrix_words = std::to_array<Words<DataType>>({
    {"nvfp4", DataType::nvfp4},
    {"fp4", DataType::nvfp4},
    {"mxfp8", DataType::mxfp8},
    {"fp8-mx", DataType::mxfp8},
    {"sub-channel", DataType::mxfp8},
    {"fp8", DataType::fp8},
    {"float8", DataType::fp8},
    {"e4m3", DataType::fp8},
});

constexpr auto compute_words = std::to_array<Words<DataType>>({
    {"fp16/bf16", DataType::fp16},  // not stated which: one rate on every device here
    {"bf16/fp16", DataType::fp16},
    {"bf16", DataType::bf16},
    {"bfloat16", DataType::bf16},
    {"fp16", DataType::fp16},
    {"float16", DataType::fp16},
    {"half", DataType::fp16},
    {"tf32", DataType::tf32},
    {"fp32", DataType::fp32},
    {"float32", DataType::fp32},
    {"single", DataType::fp32},
});

// What follows or precedes "grad accum", and Composer's FSDP policies: DEFAULT computes and gathers in the named format
// and reduces in fp32, PURE reduces in it too; FSDP keeps fp32 shards under both
// (mosaicml/composer trainer/mosaic_fsdp_utils.py, get_mixed_precision).
constexpr auto gradient_words = std::to_array<Words<DataType>>({
    {"grad accum fp16", DataType::fp16},
    {"grad accum bf16", DataType::bf16},
    {"grad accum fp32", DataType::fp32},
    {"fp16 grad accum", DataType::fp16},
    {"bf16 grad accum", DataType::bf16},
    {"fp32 grad accum", DataType::fp32},
    {"fp32 grad", DataType::fp32},
});

PrecisionWords low_precision(std::string_view lower, DataType matrix) {
  PrecisionWords words;  // products in eight or four bits leave activations in bf16 unless the text says fp16
  words.matrix = matrix;
  words.microscaled = matrix == DataType::mxfp8;
  words.rowwise_scaling = lower.find("rowwise") != std::string_view::npos;
  words.fp8_parameter_gather = lower.find("all-gather") != std::string_view::npos;
  return words;
}

}  // namespace

std::string lower_case(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return lower;
}

bool mentions(std::string_view text, std::string_view words) {
  return lower_case(text).find(words) != std::string::npos;
}

Meaning<bool> parse_switch(std::string_view text) {
  return look_up("seq_parallel", text, switch_words);
}

Meaning<Recompute> parse_recompute(std::string_view text) {
  return look_up("recompute", text, recompute_words);
}

Meaning<ShardingWords> parse_sharding(std::string_view text) {
  return look_up("zero_or_fsdp", text, sharding_words);
}

Meaning<ScheduleWords> parse_schedule(std::string_view text) {
  const std::string lower = lower_case(text);
  Meaning<ScheduleWords> meaning = look_up("schedule", text, schedule_words);
  if (auto* words = std::get_if<ScheduleWords>(&meaning)) {
    words->redistributes_layers = lower.find("redis") != std::string::npos;
    if (const auto* vocabulary = find_words<VocabularyParallel>(lower, vocabulary_words))
      words->vocabulary = *vocabulary;
  }
  if (std::holds_alternative<Infeasible>(meaning))
    return Infeasible{fmt::format("schedule '{}' is not among {}", text, all_names<ScheduleKind>())};
  return meaning;
}

Meaning<PrecisionWords> parse_precision(std::string_view text) {
  if (blank(text)) return std::monostate{};
  const std::string lower = lower_case(text);
  const DataType* matrix = find_words<DataType>(lower, matrix_words);
  const DataType* compute = find_words<DataType>(lower, compute_words);
  if (matrix == nullptr && compute == nullptr) return Infeasible{fmt::format("precision '{}' is not understood", text)};
  PrecisionWords words = matrix != nullptr ? low_precision(lower, *matrix) : PrecisionWords{};
  if (matrix == nullptr || lower.find("fp16") != std::string::npos) words.compute = compute ? *compute : words.compute;
  if (const DataType* gradient = find_words<DataType>(lower, gradient_words)) {
    words.gradient = *gradient;
    words.gradient_reduce = *gradient;
  }
  if (lower.find("/default") != std::string::npos) words.gradient_reduce = DataType::fp32;
  if (lower.find("/pure") != std::string::npos) words.gradient_reduce = words.compute;
  return words;
}

}  // namespace echelon
