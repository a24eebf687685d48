// JSON Schemas (draft 2020-12) of the documents, written from the tables that read them.
//
// The committed files under scenarios/schema/ are this text; a test compares them, and writes them anew when
// ECHELON_APPROVE is set in its environment.
#pragma once

#include <string>

namespace echelon {

// scenarios/schema/scenario.schema.json
std::string scenario_schema();
// scenarios/schema/model.schema.json, of scenarios/models/*.yaml and of a scenario's model in place
std::string model_schema();
// scenarios/schema/profile.schema.json, of hardware_profiles/*.yaml
std::string profile_schema();

}  // namespace echelon
