#include "sim/config/strategy_keys.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "sim/config/strategy_config.h"

namespace echelon {

namespace {

void read_data_parallel(const Value& value, Strategy& strategy) {
  const bool automatic = value.is_scalar() && value.text() == "auto";
  const bool word = value.is_scalar() && value.text().find_first_of("0123456789") == std::string::npos;
  if (word && !automatic) value.fail_kind(fmt::format("auto, or an integer from 1 to {}", most_ranks));
  strategy.mesh.data = automatic ? 0 : value.integer(1, most_ranks);
}

void read_tensor_parallel(const Value& value, Strategy& strategy) {
  Mesh& mesh = strategy.mesh;
  mesh.stage_tensor.clear();
  if (!value.is_sequence()) {
    const bool word = value.is_scalar() && value.text().find_first_of("0123456789") == std::string::npos;
    if (word)
      value.fail_kind(
          fmt::format("an integer from 1 to {}, or one for each pipeline rank, such as [8, 4]", most_degree));
    mesh.tensor = value.integer(1, most_degree);
    return;
  }
  for (const Value& item : value.items()) mesh.stage_tensor.push_back(item.integer(1, most_degree));
  if (mesh.stage_tensor.empty()) value.fail(value.path() + " is empty", "expected a degree for each pipeline rank");
  mesh.tensor = *std::max_element(mesh.stage_tensor.begin(), mesh.stage_tensor.end());
}

void read_mesh_order(const Value& value, Strategy& strategy) {
  std::vector<Axis> order;
  for (const Value& item : value.items()) {
    const Axis axis = item.one_of<Axis>();
    if (std::find(order.begin(), order.end(), axis) != order.end())
      item.fail(fmt::format("{} names '{}' again", item.path(), name_of(axis)), "expected each axis once");
    order.push_back(axis);
  }
  for (const auto& entry : enum_names<Axis>)
    if (std::find(order.begin(), order.end(), entry.value) == order.end())
      value.fail(fmt::format("{} lacks '{}'", value.path(), entry.name),
                 "expected each of " + all_names<Axis>() + " once, innermost first");
  strategy.mesh.order = order;
}

std::string mesh_order_type() {
  return fmt::format(R"({{"type":"array","items":{},"minItems":5,"maxItems":5,"uniqueItems":true}})",
                     enum_type<Axis>());
}

}  // namespace

StrategyKeys mesh_keys() {
  const auto degree = [](std::string name, auto member, std::string meaning) {
    return integer_key<Strategy>(
        std::move(name), 1, most_degree,
        [member](Strategy& strategy) -> std::int64_t& { return strategy.mesh.*member; }, std::move(meaning));
  };
  return {
      {{"data_parallel", any_of({choice_type({"auto"}), integer_type(1, most_ranks)}),
        "replicas of the model; auto (the default) = GPUs / (tensor * pipeline * context)"},
       read_data_parallel},
      {{"tensor_parallel", any_of({integer_type(1, most_degree), list_type(integer_type(1, most_degree))}),
        "ranks that share each matrix product, of all stages or a list by pipeline rank"},
       read_tensor_parallel},
      enum_key<TensorMode, Strategy>("tensor_mode", &Strategy::tensor_mode,
                                     "how they do: 1d by columns and rows (Megatron), 2d in blocks of a square of "
                                     "ranks (Optimus), 2.5d of tensor_depth squares (Tesseract)"),
      integer_key<Strategy>("tensor_depth", 1, most_degree, &Strategy::tensor_depth,
                            "2.5d: squares of ranks that hold the same weights and divide the tokens"),
      degree("pipeline_parallel", &Mesh::pipeline, "stages that share the layers"),
      degree("context_parallel", &Mesh::context, "ranks that share each sequence"),
      degree("expert_parallel", &Mesh::expert, "ranks, inside data * context, that share the experts"),
      integer_key<Strategy>(
          "expert_tensor_parallel", 0, most_degree, [](Strategy& s) -> std::int64_t& { return s.mesh.expert_tensor; },
          "ranks that share each expert; 0 = tensor_parallel without expert parallelism, 1 with it"),
      {{"mesh_order", mesh_order_type(), "axes from the innermost (neighbouring ranks) out"}, read_mesh_order},
  };
}

}  // namespace echelon
