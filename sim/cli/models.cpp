#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "sim/cli/command.h"
#include "sim/config/data_dir.h"
#include "sim/interop/hf_config.h"
#include "sim/model/transformer.h"

namespace echelon {

HfReader huggingface_reader() {
  return [](const Value& root) { return build_transformer(transformer_from_hf(root)); };
}

namespace {

struct ModelsOptions {
  std::string name;
  bool json = false;
};

Model load(const std::string& name) {
  return named_model(name, {"models"}, huggingface_reader());
}

nlohmann::ordered_json to_json(const std::string& name, const Model& model) {
  nlohmann::ordered_json blocks = nlohmann::ordered_json::array();
  for (const Block& block : model.blocks) {
    nlohmann::ordered_json operators = nlohmann::ordered_json::array();
    for (const auto vertex : boost::make_iterator_range(vertices(block.graph))) {
      const Operator& op = block.graph[vertex];
      operators.push_back({{"name", op.name}, {"kind", std::string(name_of(op.kind))}, {"parameters", op.parameters}});
    }
    blocks.push_back({{"name", block.name}, {"operators", operators}});
  }
  return {{"name", name},
          {"layers", model.layers.size()},
          {"hidden", model.hidden},
          {"heads", model.heads},
          {"parameters", parameter_count(model)},
          {"active_parameters", active_parameter_count(model)},
          {"blocks", blocks}};
}

void print_model(const Model& model) {
  fmt::print("{} layers, hidden {}, {} heads, {} key-value heads, vocabulary {}\n", model.layers.size(), model.hidden,
             model.heads, model.kv_heads, model.vocabulary);
  fmt::print("{:.4f} billion parameters, {:.4f} active\n", parameter_count(model) / 1e9,
             active_parameter_count(model) / 1e9);
  for (const Block& block : model.blocks) {
    fmt::print("block {}\n", block.name);
    for (const auto vertex : boost::make_iterator_range(vertices(block.graph))) {
      const Operator& op = block.graph[vertex];
      fmt::print("  {:<24} {:<14} {:>16.0f} parameters\n", op.name, name_of(op.kind), op.parameters);
    }
  }
}

int run_models(const ModelsOptions& options) {
  if (!options.name.empty()) {
    const Model model = load(options.name);
    if (options.json)
      fmt::print("{}\n", to_json(options.name, model).dump(2));
    else
      print_model(model);
    return 0;
  }
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (const std::string& name : data_names(DataKind::model)) {
    const Model model = load(name);
    if (options.json)
      all.push_back({{"name", name},
                     {"parameters", parameter_count(model)},
                     {"active_parameters", active_parameter_count(model)}});
    else
      fmt::print("{:<40} {:>10.3f} B parameters {:>10.3f} B active\n", name, parameter_count(model) / 1e9,
                 active_parameter_count(model) / 1e9);
  }
  if (options.json) fmt::print("{}\n", all.dump(2));
  return 0;
}

}  // namespace

void add_models_command(CLI::App& app, CommandBody& body) {
  auto options = std::make_shared<ModelsOptions>();
  CLI::App* command = app.add_subcommand("models", "List the models that ship, or show one");
  command->add_option("name", options->name, "A model's name");
  command->add_flag("--json", options->json, "Print as JSON");
  command->footer("Example: echelon models llama-3.1-8b");
  command->callback([options, &body] { body = [options] { return run_models(*options); }; });
}

}  // namespace echelon
