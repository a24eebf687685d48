#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "sim/cli/command.h"
#include "sim/config/data_dir.h"
#include "sim/interop/hf_config.h"
#include "sim/model/kernel_style.h"
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

// What one operator of a graph does to a sample, activations in two bytes.
struct SampleWork {
  OperatorFlops flops;
  Bytes kept;
};

SampleWork sample_work(const Operator& op) {
  Execution execution;
  execution.style = KernelStyle::eager;
  return {executed_flops(op, 1, 1, execution.attention), saved_activations(op, 1, 1, execution).kept};
}

nlohmann::ordered_json to_json(const Operator& op, bool of_graph) {
  nlohmann::ordered_json json = {
      {"name", op.name}, {"kind", std::string(name_of(op.kind))}, {"parameters", op.parameters}};
  if (!of_graph) return json;
  const SampleWork work = sample_work(op);
  json["forward_flops"] = work.flops.forward.value();
  json["backward_input_flops"] = work.flops.backward_input.value();
  json["backward_weight_flops"] = work.flops.backward_weight.value();
  json["kept_bytes"] = work.kept.value();
  return json;
}

nlohmann::ordered_json to_json(const std::string& name, const Model& model) {
  nlohmann::ordered_json blocks = nlohmann::ordered_json::array();
  for (std::size_t block = 0; block < model.blocks.size(); ++block) {
    const OperatorGraph& graph = model.blocks[block].graph;
    nlohmann::ordered_json operators = nlohmann::ordered_json::array();
    for (const auto vertex : boost::make_iterator_range(vertices(graph)))
      operators.push_back(to_json(graph[vertex], model.graph.has_value()));
    blocks.push_back({{"name", model.blocks[block].name}, {"operators", operators}});
    if (model.graph)
      blocks.back()["layers"] = std::count(model.layers.begin(), model.layers.end(), static_cast<std::int32_t>(block));
  }
  return {{"name", name},
          {"layers", model.layers.size()},
          {"hidden", model.hidden},
          {"heads", model.heads},
          {"parameters", parameter_count(model)},
          {"active_parameters", active_parameter_count(model)},
          {"blocks", blocks}};
}

void print_transformer(const Model& model) {
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

void print_operator(const Operator& op) {
  const SampleWork work = sample_work(op);
  fmt::print("  {:<28} {:<13} {:>13.0f} {:>10.2f} {:>10.2f} {:>10.2f} {:>11.3f}\n", op.name, name_of(op.kind),
             op.parameters, work.flops.forward.value() / 1e6, work.flops.backward_input.value() / 1e6,
             work.flops.backward_weight.value() / 1e6, work.kept.value() / 1e6);
}

// Each distinct layer once.
void print_graph(const Model& model) {
  SampleWork sum;
  for (const auto vertex : boost::make_iterator_range(vertices(model.graph->whole))) {
    const SampleWork work = sample_work(model.graph->whole[vertex]);
    sum.flops.forward += work.flops.forward;
    sum.kept += work.kept;
  }
  fmt::print("{}: {}\n", model.name, model.source);
  fmt::print("{} layers of {} operators, {:.2f} million parameters\n", model.layers.size(),
             num_vertices(model.graph->whole), parameter_count(model) / 1e6);
  fmt::print("a sample: {:.3f} GFLOP forward, {:.1f} MB kept for the backward pass in two-byte activations\n",
             sum.flops.forward.value() / 1e9, sum.kept.value() / 1e6);
  fmt::print("  {:<28} {:<13} {:>13} {:>10} {:>10} {:>10} {:>11}\n", "operator", "kind", "parameters", "F MFLOP",
             "B MFLOP", "W MFLOP", "kept MB");
  for (std::size_t block = 0; block < model.blocks.size(); ++block) {
    const auto times = std::count(model.layers.begin(), model.layers.end(), static_cast<std::int32_t>(block));
    fmt::print("{}{}\n", model.blocks[block].name, times > 1 ? fmt::format(", {} times", times) : "");
    const OperatorGraph& graph = model.blocks[block].graph;
    for (const auto vertex : boost::make_iterator_range(vertices(graph))) print_operator(graph[vertex]);
  }
}

void print_model(const Model& model) {
  if (model.graph)
    print_graph(model);
  else
    print_transformer(model);
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
