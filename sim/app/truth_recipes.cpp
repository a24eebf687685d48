#include "sim/app/truth_recipes.h"

#include <fmt/format.h>

#include <array>
#include <cstdlib>

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
};

constexpr ExpertDispatch apart = ExpertDispatch::all_to_all;
constexpr ExpertDispatch once = ExpertDispatch::deduplicated;
constexpr CudaGraphs none = CudaGraphs::none;
constexpr CudaGraphs router = CudaGraphs::router;
constexpr CudaGraphs parts = CudaGraphs::attention_router;
constexpr CudaGraphs whole = CudaGraphs::iteration;

// NVIDIA-NeMo/Megatron-Bridge scripts/performance/configs/{qwen,gpt_oss,deepseek,kimi}/*_workload_base_configs.py
// @01b2977e518f, @07eea52d4523, @042641823051: moe_flex_dispatcher_backend (hybridep or deepep, else all-to-all),
// moe_a2a_overlap, cuda_graph_impl and cuda_graph_scope. The newest first. The MXFP8 recipes that overlap and replay
// whole iterations came with container 26.06, and in them each expert as one operation (use_transformer_engine_op_fuser
// in perf_recipes/gpt_oss; Megatron-Bridge issue 2885); qwen3's of then were not found and are taken to be as gpt-oss's
// and deepseek's, kimi's as deepseek's. Graphs of a layer's parts are taken to be there from 26.02 on.
constexpr auto recipes = std::to_array<ExpertRecipe>({
    {"gpt-oss", "gb", "mxfp8", 2606, once, true, whole},
    {"gpt-oss", "b300", "", 2604, once, false, parts},
    {"gpt-oss", "b300", "", 2602, apart, false, parts},
    {"gpt-oss", "gb300", "bf16", 2602, apart, false, parts},
    {"gpt-oss", "gb200", "bf16", 2602, apart, true, none},
    {"gpt-oss", "", "", 0, apart, false, none},
    {"deepseek", "gb", "mxfp8", 2606, once, true, whole},
    {"deepseek", "b300", "mxfp8", 2606, once, true, whole},
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

// "container 26.06.01 NeMo Container" -> 2606; 0 where the notes name none.
int container_of(const std::string& notes) {
  constexpr std::string_view word = "container ";
  const std::size_t start = notes.find(word);
  if (start == std::string::npos) return 0;
  const std::string version = notes.substr(start + word.size(), 5);
  if (version.size() < 5 || version[2] != '.') return 0;
  return std::atoi(version.substr(0, 2).c_str()) * 100 + std::atoi(version.substr(3).c_str());
}

bool applies(const ExpertRecipe& recipe, const TruthRow& row, int container) {
  return mentions(row.model, recipe.model) && lower_case(row.gpu).starts_with(recipe.gpu) &&
         mentions(row.precision, recipe.precision) && container >= recipe.since;
}

}  // namespace

void apply_recipe(const TruthRow& row, Strategy& strategy, std::vector<std::string>& assumptions) {
  if (!mentions(row.source, "megatron-bridge") || strategy.mesh.expert <= 1) return;
  const int container = container_of(lower_case(row.notes));
  for (const ExpertRecipe& recipe : recipes) {
    if (!applies(recipe, row, container)) continue;
    strategy.expert_dispatch = recipe.dispatch;
    strategy.overlap_expert = recipe.overlap;
    strategy.cuda_graphs = recipe.graphs;
    strategy.fused_experts = recipe.graphs == CudaGraphs::iteration;
    assumptions.push_back(fmt::format("Megatron-Bridge's recipe: experts' tokens sent {}, {} compute; CUDA graphs: {}",
                                      name_of(recipe.dispatch), recipe.overlap ? "beside" : "between",
                                      name_of(recipe.graphs)));
    return;
  }
}

}  // namespace echelon
