#include "sim/interop/hf_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/graph/topological_sort.hpp>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "tests/catch.h"

namespace echelon {
namespace {

std::filesystem::path models_folder() {
  return std::filesystem::path(ECHELON_SOURCE_DIR) / "scenarios/models";
}

TransformerSpec shape_of_file(const std::string& name) {
  return transformer_from_hf(parse_file(models_folder() / (name + ".json")));
}

Model model_of_file(const std::string& name) {
  return build_transformer(shape_of_file(name));
}

std::set<std::string> model_names() {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(models_folder()))
    if (entry.path().extension() == ".json") names.insert(entry.path().stem().string());
  return names;
}

// The message of the InputError that a config's text gives; empty where it gives none.
std::string error_of(const std::string& text) {
  try {
    transformer_from_hf(parse_text(text, "config.json"));
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

using Fields = std::map<std::string, std::string>;

std::string json(const Fields& fields) {
  std::string text;
  for (const auto& [key, value] : fields) text += fmt::format("{}\"{}\": {}", text.empty() ? "" : ", ", key, value);
  return "{" + text + "}";
}

Fields llama() {
  return {{"model_type", "\"llama\""},        {"hidden_size", "64"},        {"num_hidden_layers", "2"},
          {"num_attention_heads", "8"},       {"num_key_value_heads", "2"}, {"intermediate_size", "160"},
          {"max_position_embeddings", "512"}, {"vocab_size", "1000"}};
}

Fields deepseek() {
  Fields fields = llama();
  fields.erase("num_key_value_heads");
  const Fields more = {{"model_type", "\"deepseek_v32\""},
                       {"n_routed_experts", "8"},
                       {"num_experts_per_tok", "2"},
                       {"moe_intermediate_size", "32"},
                       {"q_lora_rank", "24"},
                       {"kv_lora_rank", "16"},
                       {"qk_nope_head_dim", "8"},
                       {"qk_rope_head_dim", "4"},
                       {"v_head_dim", "8"},
                       {"index_n_heads", "2"},
                       {"index_head_dim", "4"},
                       {"index_topk", "16"}};
  for (const auto& [key, value] : more) fields[key] = value;
  return fields;
}

Fields nemotron_h() {
  Fields fields = llama();
  const Fields more = {{"model_type", "\"nemotron_h\""},
                       {"hybrid_override_pattern", "\"M-\""},
                       {"mamba_num_heads", "4"},
                       {"mamba_head_dim", "16"},
                       {"ssm_state_size", "8"},
                       {"n_groups", "1"},
                       {"conv_kernel", "4"}};
  for (const auto& [key, value] : more) fields[key] = value;
  return fields;
}

// Cells of a row of a Markdown table, blanks at their ends cut.
std::vector<std::string> cells_of(const std::string& line) {
  std::vector<std::string> cells;
  std::stringstream stream(line.substr(1));
  for (std::string cell; std::getline(stream, cell, '|');) {
    const auto first = cell.find_first_not_of(' ');
    const auto last = cell.find_last_not_of(' ');
    cells.push_back(first == std::string::npos ? "" : cell.substr(first, last - first + 1));
  }
  return cells;
}

struct Target {
  const char* model;
  double total;   // 10^9 parameters
  double active;  // 0 = not a mixture
};

constexpr double unchecked = -1;  // no count of active parameters to hold against

// Counts made apart from this program: by formulas over the same shapes (some with the weights of linear layers and
// tables alone, which is at most 0.1 % less), or published.
constexpr Target targets[] = {
    {"gpt2", 0.12444, 0},
    {"gpt2-medium", 0.3548, 0},
    {"gpt2-xl", 1.557, 0},
    {"gpt-j-6b", 6.05, 0},
    {"gpt-neox-20b", 20.551, 0},
    {"opt-6.7b", 6.657, 0},
    {"opt-66b", 65.712, 0},
    {"opt-175b", 174.589, 0},
    {"bloom", 176.234, 0},
    {"falcon-7b", 6.921, 0},
    {"falcon-40b", 41.301, 0},
    {"falcon-180b", 178.552, 0},
    {"phi-2", 2.779, 0},
    {"phi-2-msft", 2.779, 0},
    {"phi-3.5-mini", 3.821, 0},
    {"phi-4-mini", 3.836, 0},
    {"llama-2-7b", 6.738, 0},
    {"llama-2-13b", 13.015, 0},
    {"llama-2-70b", 68.975, 0},
    {"llama-3.1-8b", 8.030, 0},
    {"llama-3.1-70b", 70.552, 0},
    {"llama-3.1-405b", 405.849, 0},
    {"llama-3.2-1b", 1.236, 0},
    {"llama-3.2-3b", 3.213, 0},
    {"mistral-7b-v0.1", 7.241, 0},
    {"gemma-2b", 2.506, 0},
    {"gemma-7b", 8.538, 0},
    {"gemma-2-2b", 2.614, 0},
    {"gemma-2-9b", 9.242, 0},
    {"gemma-2-27b", 27.226, 0},
    {"gemma-3-1b", 1.000, 0},
    {"olmo-2-7b", 7.299, 0},
    {"olmo-2-32b", 32.234, 0},
    {"tinyllama-1.1b", 1.100, 0},
    {"redpajama-incite-3b", 2.776, 0},
    {"qwen2-7b", 7.615, 0},
    {"qwen2.5-3b", 3.086, 0},
    {"qwen3-8b", 8.190, 0},
    {"qwen3-32b", 32.761, 0},
    {"nemotron-h-56b", 56.3, 0},
    {"mixtral-8x7b", 46.703, 12.880},
    {"mixtral-8x22b", 140.620, 39.151},
    {"qwen1.5-moe-a2.7b", 14.315, 2.689},
    {"qwen3-30b-a3b", 30.532, 3.353},
    {"qwen3-235b-a22b", 235.093, 22.190},
    {"qwen3-coder-480b-a35b", 480.154, 35.474},
    {"deepseek-moe-16b", 16.38, unchecked},
    {"deepseek-v2-lite", 15.706, 2.661},
    {"deepseek-v2", 235.741, 21.375},
    {"deepseek-v3", 671.025, 37.551},
    {"deepseek-r1", 671.025, 37.551},
    {"kimi-k2", 1026.4, 32.86},
    {"gpt-oss-20b", 20.908, 4.186},
    {"gpt-oss-120b", 116.789, 5.710},
};

}  // namespace

TEST_CASE("Parameter counts of published models") {
  for (const Target& target : targets) {
    CAPTURE(target.model);
    const Model model = model_of_file(target.model);
    CHECK(parameter_count(model) / 1e9 == Approx(target.total).epsilon(0.001));
    if (target.active == unchecked) continue;
    const double active = target.active > 0 ? target.active : target.total;
    CHECK(active_parameter_count(model) / 1e9 == Approx(active).epsilon(0.001));
  }
}

TEST_CASE("The table of scenarios/models/README.md holds") {
  std::ifstream readme(models_folder() / "README.md");
  std::set<std::string> seen;
  for (std::string line; std::getline(readme, line);) {
    if (line.rfind("| ", 0) != 0 || line.find(".json |") == std::string::npos) continue;
    const std::vector<std::string> cells = cells_of(line);
    REQUIRE(cells.size() == 7);
    const std::string name = cells[0].substr(0, cells[0].find(".json"));
    CAPTURE(name);
    CHECK(seen.insert(name).second);
    const Model model = model_of_file(name);
    const double ours = parameter_count(model) / 1e9;
    // The last printed digit counts whole.
    CHECK(std::abs(ours - std::stod(cells[2])) <= std::stod(cells[3]) * (1 + 1e-9));
    CHECK(fmt::format("{:.3f}", ours) == cells[5]);
    CHECK((model.experts > 0 ? fmt::format("{:.3f}", active_parameter_count(model) / 1e9) : "") == cells[6]);
  }
  CHECK(seen == model_names());
  CHECK(seen.size() == 60);
}

TEST_CASE("Every model's blocks are acyclic with one entry and one exit") {
  for (const std::string& name : model_names()) {
    CAPTURE(name);
    const Model model = model_of_file(name);
    CHECK(model.name == name);
    CHECK_FALSE(model.source.empty());
    for (const Block& block : model.blocks) {
      std::size_t entries = 0, exits = 0;
      for (const auto vertex : boost::make_iterator_range(vertices(block.graph))) {
        entries += in_degree(vertex, block.graph) == 0;
        exits += out_degree(vertex, block.graph) == 0;
      }
      CHECK(entries == 1);
      CHECK(exits == 1);
      std::vector<OperatorGraph::vertex_descriptor> order;
      CHECK_NOTHROW(boost::topological_sort(block.graph, std::back_inserter(order)));
    }
  }
}

TEST_CASE("Active parameters as gpt-oss counts them") {
  // Its model card: 3.6 and 5.1 billion active, with the unembedding but not the embedding.
  for (const auto& [name, published] : {std::pair{"gpt-oss-20b", 3.6}, std::pair{"gpt-oss-120b", 5.1}}) {
    const Model model = model_of_file(name);
    CHECK((active_parameter_count(model) - embedding_parameter_count(model)) / 1e9 == Approx(published).margin(0.05));
  }
}

TEST_CASE("Idle experts of DeepSeekMoE 16B") {
  // 58 of 64 experts idle in 27 of 28 layers, three products of 2048 x 1408 each.
  const Model model = model_of_file("deepseek-moe-16b");
  CHECK(parameter_count(model) - active_parameter_count(model) == 27.0 * 58 * 3 * 2048 * 1408);
}

TEST_CASE("DeepSeek-V3.2 is V3 and an indexer in every layer") {
  // Queries 1536*64*128, key and weights 7168*(128 + 64), a LayerNorm of 128.
  const double indexer = 1536 * 64 * 128 + 7168 * (128 + 64) + 2 * 128;
  CHECK(parameter_count(model_of_file("deepseek-v3.2")) ==
        parameter_count(model_of_file("deepseek-v3")) + 61 * indexer);
}

TEST_CASE("Which layers are of which kind") {
  const auto kinds = [](const char* name, LayerKind kind) {
    const TransformerSpec spec = shape_of_file(name);
    return std::count_if(spec.layer_specs.begin(), spec.layer_specs.end(),
                         [kind](const LayerSpec& layer) { return layer.kind == kind; });
  };
  CHECK(kinds("deepseek-v3", LayerKind::dense) == 3);
  CHECK(kinds("deepseek-v3", LayerKind::mixture) == 58);
  CHECK(kinds("llama-4-scout", LayerKind::mixture) == 48);
  CHECK(kinds("llama-4-maverick", LayerKind::mixture) == 24);
  // "54 Mamba-2, 54 MLP, and 10 Self-Attention layers": research.nvidia.com/labs/adlr/nemotronh.
  CHECK(kinds("nemotron-h-56b", LayerKind::state_space) == 54);
  CHECK(kinds("nemotron-h-56b", LayerKind::mlp_only) == 54);
  CHECK(kinds("nemotron-h-56b", LayerKind::attention_only) == 10);
}

TEST_CASE("YaRN's factor is one where mscale and mscale_all_dim are equal") {
  CHECK(shape_of_file("gpt-oss-120b").scaled_rotary);  // has neither
  CHECK_FALSE(shape_of_file("deepseek-v3").scaled_rotary);
  CHECK_FALSE(shape_of_file("kimi-k2").scaled_rotary);
  CHECK_FALSE(shape_of_file("llama-3.1-8b").scaled_rotary);  // scaled otherwise
  const auto scaled = [](const char* name, const std::string& scaling) {
    Fields fields = llama();
    fields[name] = scaling;
    return transformer_from_hf(parse_text(json(fields), "config.json")).scaled_rotary;
  };
  CHECK(scaled("rope_parameters", R"({"rope_type": "yarn", "factor": 4})"));
  CHECK(scaled("rope_scaling", R"({"rope_type": "yarn", "factor": 4, "attention_factor": 1.2})"));
  CHECK_FALSE(scaled("rope_scaling", R"({"rope_type": "yarn", "factor": 4, "attention_factor": 1})"));
}

TEST_CASE("Which layers have windows") {
  const auto windows = [](const char* name, std::int64_t window) {
    const TransformerSpec spec = shape_of_file(name);
    return std::count_if(spec.layer_specs.begin(), spec.layer_specs.end(),
                         [window](const LayerSpec& layer) { return layer.window == window; });
  };
  CHECK(windows("gemma-2-9b", 4096) == 21);  // every second of 42
  CHECK(windows("gemma-3-1b", 512) == 22);   // 26 less every sixth
  CHECK(windows("gpt-oss-20b", 128) == 12);  // layer_types
  CHECK(windows("gpt-oss-120b", 128) == 18);
  CHECK(windows("llama-4-scout", 8192) == 36);  // chunks in all but every fourth
  CHECK(windows("mistral-7b-v0.1", 4096) == 32);
  CHECK(shape_of_file("mistral-7b-v0.3").layer_specs.empty());
  CHECK(shape_of_file("phi-3.5-mini").layer_specs.empty());  // a window longer than the context
  CHECK(shape_of_file("qwen2-7b").layer_specs.empty());      // use_sliding_window is false
  CHECK(shape_of_file("gemma-2-9b").layer_specs[0].window == 4096);
  CHECK(shape_of_file("gemma-2-9b").layer_specs[1].window == 0);
}

TEST_CASE("Old names of fields read the same model") {
  CHECK(parameter_count(model_of_file("phi-2-msft")) == parameter_count(model_of_file("phi-2")));
}

TEST_CASE("Every missing field is refused by its names") {
  CHECK(error_of(json(llama())).empty());
  const Fields aliases = {{"hidden_size", "n_embd"},
                          {"num_hidden_layers", "n_layer"},
                          {"num_attention_heads", "n_head"},
                          {"vocab_size", "vocab_size"}};
  for (const auto& [field, alias] : aliases) {
    CAPTURE(field);
    Fields fields = llama();
    fields.erase(field);
    const std::string error = error_of(json(fields));
    CHECK(error.find("config.json:1:1: ") == 0);
    CHECK(error.find("missing field '" + field + "'") != std::string::npos);
    CHECK(error.find("'" + alias + "'") != std::string::npos);
  }
}

TEST_CASE("Every missing field of mixtures, latent attention and Mamba is refused") {
  REQUIRE(error_of(json(deepseek())).empty());
  REQUIRE(error_of(json(nemotron_h())).empty());
  const auto check_each = [](const Fields& whole, const std::vector<std::string>& required) {
    for (const std::string& field : required) {
      Fields fields = whole;
      fields.erase(field);
      CAPTURE(field);
      CHECK(error_of(json(fields)).find(field) != std::string::npos);
    }
  };
  check_each(deepseek(),
             {"n_routed_experts", "num_experts_per_tok", "moe_intermediate_size", "q_lora_rank", "kv_lora_rank",
              "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim", "index_n_heads", "index_head_dim", "index_topk"});
  check_each(nemotron_h(), {"hybrid_override_pattern", "mamba_num_heads", "mamba_head_dim", "ssm_state_size",
                            "n_groups", "conv_kernel"});
}

TEST_CASE("An unknown model_type is refused with those known") {
  Fields fields = llama();
  fields["model_type"] = "\"lama\"";
  const std::string error = error_of(json(fields));
  CHECK(error.find("model_type 'lama' is not known") != std::string::npos);
  CHECK(error.find("did you mean 'llama'?") != std::string::npos);
  for (const std::string& type : hf_model_types()) CHECK(error.find(type) != std::string::npos);
  fields.erase("model_type");
  CHECK(error_of(json(fields)).find("missing field 'model_type'") != std::string::npos);
}

TEST_CASE("Shapes that no model can have are refused") {
  const auto with = [](Fields fields, const std::string& key, const std::string& value) {
    fields[key] = value;
    return error_of(json(fields));
  };
  CHECK(with(llama(), "num_attention_heads", "7").find("7 heads do not divide 64") != std::string::npos);
  CHECK(with(llama(), "num_key_value_heads", "3").find("3 heads of keys and values") != std::string::npos);
  CHECK(with(llama(), "num_hidden_layers", "0").find("num_hidden_layers") != std::string::npos);
  CHECK(with(llama(), "hidden_size", "\"many\"").find("hidden_size") != std::string::npos);
  CHECK(with(deepseek(), "num_experts_per_tok", "9").find("9 experts a token of 8") != std::string::npos);
  CHECK(with(nemotron_h(), "hybrid_override_pattern", "\"M\"").find("1 layers for 2") != std::string::npos);
  CHECK(with(nemotron_h(), "hybrid_override_pattern", "\"Mx\"").find("kind 'x'") != std::string::npos);
}

TEST_CASE("The language model of a nested config is read") {
  Fields text = llama();
  text["model_type"] = "\"gemma3_text\"";
  text["sliding_window"] = "128";
  const std::string nested = json(text);
  const TransformerSpec spec =
      transformer_from_hf(parse_text("{\"model_type\": \"gemma3\", \"text_config\": " + nested + "}", "a/config.json"));
  CHECK(spec.hidden == 64);
  CHECK(spec.qk_norm == QkNorm::per_head);
  CHECK(spec.name == "a");
  text.erase("model_type");
  const std::string untyped = "{\"model_type\": \"gemma3\", \"text_config\": " + json(text) + "}";
  CHECK(error_of(untyped).empty());
}

}  // namespace echelon
