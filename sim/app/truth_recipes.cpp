#include "sim/app/truth_recipes.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <optional>

#include "sim/app/truth_words.h"

namespace echelon {

namespace {

struct ExpertRecipe {
  std::string_view model;      // words in the model column
  std::string_view gpu;        // words there, from the first letter; "" = any
  std::string_view precision;  // words in the precision column; "" = any
  int since;                   // container, 2606 = 26.06
  ExpertDispatch dispatch;
  bool overlap;
  CudaGraphs graphs;
  bool fp8_attention = false;  // fp8_dot_product_attention
};

constexpr ExpertDispatch apart = ExpertDispatch::all_to_all;
constexpr ExpertDispatch once = ExpertDispatch::deduplicated;
constexpr CudaGraphs none = CudaGraphs::none;
constexpr CudaGraphs router = CudaGraphs::router;
constexpr CudaGraphs parts = CudaGraphs::attention_router;
constexpr CudaGraphs whole = CudaGraphs::iteration;

// NVIDIA-NeMo/Megatron-Bridge scripts/performance/configs/{qwen,gpt_oss,deepseek,kimi}/*_workload_base_configs.py
// @01b2977e518f, @07eea52d4523, @042641823051: moe_flex_dispatcher_backend (hybridep or deepep, else all-to-all),
// moe_a2a_overlap, cuda_graph_impl, cuda_graph_scope and fp8_dot_product_attention. The newest first. The MXFP8 recipes
// that overlap and replay whole iterations came with container 26.06, and in them each expert as one operation
// (use_transformer_engine_op_fuser in perf_recipes/gpt_oss; Megatron-Bridge issue 2885); qwen3's of then were not found
// and are taken to be as gpt-oss's and deepseek's, kimi's as deepseek's. Graphs of a layer's parts are taken to be
// there from 26.02 on.
constexpr auto recipes = std::to_array<ExpertRecipe>({
    {"gpt-oss", "gb", "mxfp8", 2606, once, true, whole, true},
    {"gpt-oss", "b300", "", 2604, once, false, parts},
    {"gpt-oss", "b300", "", 2602, apart, false, parts},
    {"gpt-oss", "gb300", "bf16", 2602, apart, false, parts},
    {"gpt-oss", "gb200", "bf16", 2602, apart, true, none},
    {"gpt-oss", "", "", 0, apart, false, none},
    {"deepseek", "gb300", "mxfp8", 2606, once, true, whole, true},
    {"deepseek", "gb200", "mxfp8", 2606, once, true, whole},
    {"deepseek", "b300", "mxfp8", 2606, once, true, whole, true},
    {"deepseek", "b200", "mxfp8", 2604, once, true, parts},
    {"deepseek", "gb", "", 2602, once, false, parts},
    {"deepseek", "b300", "", 2602, once, false, parts},
    {"deepseek", "", "", 0, once, false, none},
    {"kimi", "gb", "mxfp8", 2606, once, true, whole},
    {"kimi", "gb", "", 2602, once, false, parts},
    {"kimi", "", "", 0, once, false, none},
    {"qwen3-235b", "gb", "mxfp8", 2606, once, true, whole},
    {"qwen3-235b", "gb", "", 2602, once, false, parts},
    {"qwen3-235b", "gb", "", 0, once, false, none},
    {"qwen3-235b", "h100", "", 0, apart, true, none},
    {"qwen3-30b", "gb", "mxfp8", 2606, once, true, whole},
    {"qwen3-30b", "b", "mxfp8", 2606, once, true, whole},
    {"qwen3-30b", "gb", "", 2602, once, false, router},
    {"qwen3-30b", "gb", "", 0, once, false, none},
    {"qwen3-30b", "b200", "", 2604, once, false, parts},
    {"qwen3-30b", "b300", "", 2604, once, false, router},
    {"qwen3-30b", "", "", 2604, once, false, none},
});

// Rows "(tokendrop)" of container 25.09: apply_moe_token_drop() pads experts to a capacity of 1, which takes plain
// all-to-alls, and the graphs of whole iterations that dropless runs of the time could not have
// (scripts/performance/configs/qwen3/workload_base_configs.py @0fa501acee1e, qwen3_30b_a3b_llm_pretrain.py and
// deepseek/deepseek_v3_llm_pretrain.py @58fa56a3eabd).
struct TokenDropRecipe {
  std::string_view model;
  std::string_view gpu;
  CudaGraphs graphs;
};
constexpr auto token_drop_recipes = std::to_array<TokenDropRecipe>({
    {"qwen3-235b", "gb", whole},
    {"qwen3-30b", "gb", whole},
    {"qwen3-30b", "b200", whole},
    {"", "", none},
});

using Modules = std::array<std::optional<RecomputeModule>, 2>;

struct MemoryRecipe {
  std::string_view model;
  std::string_view gpu;
  std::string_view precision;
  int since;
  std::int64_t pipeline;       // stages; 0 = any
  bool sharded;                // Megatron-FSDP alone
  Modules again;               // recompute_modules
  std::int64_t offloaded = 0;  // cpu_offloading_num_layers
};

constexpr Modules nothing{};
constexpr Modules up_projections{RecomputeModule::mla_up_proj};
constexpr Modules up_projections_and_mlp{RecomputeModule::mla_up_proj, RecomputeModule::mlp};
constexpr Modules norms_and_activation{RecomputeModule::layernorm, RecomputeModule::moe_act};

// The same files (llama's @00919dcf1fe1 and @0013c9a8ed4d, deepseek's of 2025 @0fa501acee1e). Qwen3's and the dense
// models' without FSDP recompute nothing.
constexpr auto memory_recipes = std::to_array<MemoryRecipe>({
    {"llama3-70b", "gb300", "fp8", 0, 0, true, nothing, 20},
    {"llama3-70b", "gb200", "fp8", 0, 0, true, nothing, 40},
    {"llama3-70b", "b200", "fp8", 0, 0, true, nothing, 5},
    {"llama3.1-405b", "gb300", "fp8", 0, 0, true, nothing, 10},
    {"llama3.1-405b", "gb200", "fp8", 0, 0, true, nothing, 92},
    {"llama3", "", "", 0, 0, false, nothing},
    {"deepseek", "gb300", "mxfp8", 2606, 0, false, nothing},
    {"deepseek", "b200", "mxfp8", 2604, 8, false, up_projections_and_mlp},
    {"deepseek", "", "fp8", 0, 0, false, up_projections},
    {"kimi", "", "", 0, 0, false, up_projections},
    {"gpt-oss", "gb300", "", 0, 0, false, nothing},
    {"gpt-oss", "b300", "", 0, 0, false, nothing},
    {"gpt-oss", "gb200", "mxfp8", 2606, 0, false, nothing},
    {"gpt-oss", "", "", 0, 0, false, norms_and_activation},
    {"qwen3", "", "", 0, 0, false, nothing},
});

// "container 26.06.01 NeMo Container" -> 2606; 0 where the notes name none.
int container_of(const std::string& notes) {
  constexpr std::string_view word = "container ";
  const std::size_t start = notes.find(word);
  if (start == std::string::npos) return 0;
  const std::string version = notes.substr(start + word.size(), 5);
  if (version.size() < 5 || version[2] != '.') return 0;
  return std::atoi(version.substr(0, 2).c_str()) * 100 + std::atoi(version.substr(3).c_str());
}

template <class Recipe>
bool names_machine(const Recipe& recipe, const TruthRow& row) {
  return mentions(row.model, recipe.model) && lower_case(row.gpu).starts_with(recipe.gpu);
}

template <class Recipe>
bool applies(const Recipe& recipe, const TruthRow& row, int container) {
  return names_machine(recipe, row) && mentions(row.precision, recipe.precision) && container >= recipe.since;
}

void apply_token_drop(const TruthRow& row, Strategy& strategy, std::vector<std::string>& assumptions) {
  const auto* recipe = std::find_if(token_drop_recipes.begin(), token_drop_recipes.end(),
                                    [&](const TokenDropRecipe& one) { return names_machine(one, row); });
  strategy.expert_capacity_factor = 1;
  strategy.cuda_graphs = recipe->graphs;
  assumptions.push_back(
      fmt::format("Megatron-Bridge's recipe: experts padded to the mean of their tokens; CUDA graphs: {}",
                  name_of(recipe->graphs)));
}

std::string described(const MemoryRecipe& recipe) {
  std::string text;
  for (const auto& module : recipe.again)
    if (module) text += fmt::format("{}{}", text.empty() ? "computes again " : ", ", name_of(*module));
  if (recipe.offloaded > 0) text += fmt::format("keeps activations of {} layers on the host", recipe.offloaded);
  return text.empty() ? "computes nothing again" : text;
}

}  // namespace

bool apply_memory_recipe(const TruthRow& row, Strategy& strategy, std::vector<std::string>& assumptions) {
  if (!mentions(row.source, "megatron-bridge")) return false;
  const int container = container_of(lower_case(row.notes));
  const auto found = std::find_if(memory_recipes.begin(), memory_recipes.end(), [&](const MemoryRecipe& recipe) {
    return applies(recipe, row, container) && (recipe.pipeline == 0 || recipe.pipeline == strategy.mesh.pipeline) &&
           (!recipe.sharded || strategy.sharding == Sharding::zero3);
  });
  if (found == memory_recipes.end()) return false;
  for (const auto& module : found->again)
    if (module) strategy.recompute_operators.modules.push_back(*module);
  strategy.recompute = strategy.recompute_operators.empty() ? Recompute::none : Recompute::operators;
  strategy.offload.activation_layers = found->offloaded;
  assumptions.push_back("Megatron-Bridge's recipe: " + described(*found));
  return true;
}

// mosaicml/llm-foundry scripts/train/benchmarking/sweep.py @4a6d4e6b4033: --attn_impl by model (FlashAttention-2 of the
// gpu-flash2 extra for all but 13b and 30b, which stay with Triton's) and --fsdp_config_backward_prefetch BACKWARD_PRE;
// its micro-batches are those of the README's rows.
void apply_large_scale_recipe(const TruthRow& row, Strategy& strategy, std::vector<std::string>& assumptions) {
  if (!mentions(row.source, "llm-foundry") || !mentions(row.notes, "large scale")) return;
  strategy.backward_prefetch = BackwardPrefetch::pre;
  if (!mentions(row.model, "13b") && !mentions(row.model, "30b")) strategy.attention = AttentionKernel::flash;
  assumptions.push_back(
      fmt::format("llm-foundry's sweep of large scale: attention {}, BACKWARD_PRE", name_of(strategy.attention)));
}

void apply_recipe(const TruthRow& row, Scenario& scenario, std::vector<std::string>& assumptions) {
  Strategy& strategy = scenario.strategy;
  if (!mentions(row.source, "megatron-bridge") || strategy.mesh.expert <= 1) return;
  if (mentions(row.notes, "tokendrop")) return apply_token_drop(row, strategy, assumptions);
  const int container = container_of(lower_case(row.notes));
  for (const ExpertRecipe& recipe : recipes) {
    if (!applies(recipe, row, container)) continue;
    strategy.expert_dispatch = recipe.dispatch;
    strategy.overlap_expert = recipe.overlap;
    strategy.cuda_graphs = recipe.graphs;
    strategy.fused_experts = recipe.graphs == CudaGraphs::iteration;
    scenario.workload.precision.fp8_attention = recipe.fp8_attention;
    assumptions.push_back(
        fmt::format("Megatron-Bridge's recipe: experts' tokens sent {}, {} compute; CUDA graphs: {}{}",
                    name_of(recipe.dispatch), recipe.overlap ? "beside" : "between", name_of(recipe.graphs),
                    recipe.fp8_attention ? "; attention in mxfp8" : ""));
    return;
  }
}

}  // namespace echelon
