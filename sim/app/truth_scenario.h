// A row of a truth table as a scenario: what `validate` simulates.
//
// Nothing that was measured (times, throughputs, memory) is read here, but into Scenario::measured for the comparison.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "sim/app/truth_cluster.h"
#include "sim/app/truth_model.h"
#include "sim/base/error.h"
#include "sim/config/scenario.h"
#include "sim/interop/truth_table.h"

namespace echelon {

// Where names become profiles and shapes. Calls may come many times for one name: the sources should remember.
struct TruthLibrary {
  ProfileSource profiles;
  ShapeSource shapes;
};

struct TruthScenario {
  Scenario scenario;
  const Profile* profile = nullptr;      // the library's profile; Scenario::profile is a copy of it
  bool first_stage_peak = false;         // the measured peak is that of the first pipeline stage, not of the worst
  std::vector<std::string> assumptions;  // what the row does not state and was taken
};

// Blank columns take the source's convention (sim/app/truth_sources.h) and then the framework's defaults. Infeasible
// says which column is missing, contradicts another or names what cannot be simulated.
std::variant<TruthScenario, Infeasible> scenario_from_truth(const TruthRow& row, const TruthLibrary& library);

// Seconds of one iteration as measured, or derived from tokens/s; nothing where the row has neither.
std::optional<double> measured_iteration_time(const TruthRow& row);

}  // namespace echelon
