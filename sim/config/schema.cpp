#include "sim/config/schema.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "sim/config/graph_config.h"
#include "sim/config/model_config.h"
#include "sim/config/profile_config.h"
#include "sim/config/scenario_keys.h"

namespace echelon {

namespace {

// A whole schema document from the type of its root.
std::string schema_document(const std::string& title, const std::string& type) {
  const std::string text = fmt::format(R"({{"$schema":"https://json-schema.org/draft/2020-12/schema","title":"{}",{})",
                                       title, type.substr(1));
  return nlohmann::ordered_json::parse(text).dump(2) + "\n";
}

}  // namespace

std::string scenario_schema() {
  return schema_document("echelon scenario", object_type_of(scenario_keys()));
}

std::string model_schema() {
  const std::string either = any_of({transformer_type(), graph_model_type()});
  return schema_document("echelon model", fmt::format(R"({},"$defs":{{"layer":{}}}}})",
                                                      either.substr(0, either.size() - 1), graph_layer_type()));
}

std::string profile_schema() {
  return schema_document("echelon hardware profile", profile_type());
}

}  // namespace echelon
