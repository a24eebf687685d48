#include "sim/app/scenario_text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "sim/app/machines.h"

namespace echelon {

namespace {

// "8", or by pipeline rank "[4, 4, 8, 8]".
std::string tensor_degrees(const Mesh& mesh) {
  if (mesh.stage_tensor.empty()) return std::to_string(mesh.tensor);
  return fmt::format("[{}]", fmt::join(mesh.stage_tensor, ", "));
}

}  // namespace

std::string scenario_text(const Scenario& scenario) {
  const Mesh& mesh = scenario.strategy.mesh;
  std::string text = fmt::format(
      "{} on {} GPUs ({}): dp {} tp {} pp {} cp {} ep {}, micro-batch {}, global batch {}{}", scenario.model.name,
      scenario.gpus, profile_titles(scenario), mesh.data, tensor_degrees(mesh), mesh.pipeline, mesh.context,
      mesh.expert, scenario.strategy.micro_batch, scenario.workload.global_batch,
      scenario.model.graph ? "" : fmt::format(", sequence {}", scenario.workload.sequence_length));
  if (scenario.network == NetworkModel::flow)
    text += fmt::format(", {} ranks on shared links", name_of(scenario.placement.kind));
  return text;
}

}  // namespace echelon
