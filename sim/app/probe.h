// The probe that quick bounds replay: at most three micro-batches, one after another through the pipeline.
#pragma once

#include <cstdint>
#include <optional>
#include <variant>

#include "sim/app/simulate.h"
#include "sim/base/error.h"
#include "sim/config/scenario.h"
#include "strategies/pipeline/schedule.h"

namespace echelon {

// How a schedule runs backward passes.
enum class Backward { whole, split, mixed };

// Nothing of schedules that are not named in it: one that is added has no quick bound until it is.
std::optional<Backward> backward_of(ScheduleKind kind);

// Whether the task is a forward or backward pass, or part of one.
bool is_pass(TaskKind kind);

// What of a scenario the bound goes by.
struct ProbeShape {
  StageLayout layout = StageLayout::loop;
  Backward backward = Backward::whole;
  WeightVersions versions = WeightVersions::one;
  bool validates_afterwards = false;  // Strategy::optimizer_post_validation
  std::int64_t copies = 1;            // of the model: pipelines that share a rank
  std::int64_t micro_batches = 0;     // of one copy
  std::int64_t probed = 0;            // of these

  // Whether another order of passes may find parameters gathered that the probe's gathers: in a pipeline every forward
  // pass leaves its successor to gather, with one stage weight gradients that stand apart do not.
  bool may_share_gathers = false;

  bool from_both_ends() const { return layout == StageLayout::bidirectional; }
  bool empties() const { return versions == WeightVersions::one && !validates_afterwards; }
  // How many of its like stand behind a task of the probe.
  std::int64_t weight(const Task& task) const;
};

// The schedule's backward passes are known.
ProbeShape probe_shape(const Scenario& scenario);

// Infeasible as lower() says.
std::variant<Replayed, Infeasible> replay_probe(const Scenario& scenario, const ProbeShape& shape);

}  // namespace echelon
