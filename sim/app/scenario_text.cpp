#include "sim/app/scenario_text.h"

#include <fmt/format.h>

namespace echelon {

std::string scenario_text(const Scenario& scenario) {
  const Mesh& mesh = scenario.strategy.mesh;
  std::string text =
      fmt::format("{} on {} GPUs ({}): dp {} tp {} pp {} cp {} ep {}, micro-batch {}, global batch {}{}",
                  scenario.model.name, scenario.gpus, scenario.profile.title, mesh.data, mesh.tensor, mesh.pipeline,
                  mesh.context, mesh.expert, scenario.strategy.micro_batch, scenario.workload.global_batch,
                  scenario.model.graph ? "" : fmt::format(", sequence {}", scenario.workload.sequence_length));
  if (scenario.network == NetworkModel::flow)
    text += fmt::format(", {} ranks on shared links", name_of(scenario.placement.kind));
  return text;
}

}  // namespace echelon
