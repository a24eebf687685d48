#include "sim/config/schema.h"

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "tests/catch.h"

namespace echelon {

TEST_CASE("the committed schemas are what the tables say", "[config]") {
  const std::string folder = std::string(ECHELON_SOURCE_DIR) + "/scenarios/schema/";
  const auto matches = [&](const std::string& name, const std::string& schema) {
    const std::string file = folder + name;
    if (std::getenv("ECHELON_APPROVE")) std::ofstream(file) << schema;
    std::ostringstream text;
    text << std::ifstream(file).rdbuf();
    CHECK(text.str() == schema);
  };
  matches("scenario.schema.json", scenario_schema());
  matches("model.schema.json", model_schema());
  matches("profile.schema.json", profile_schema());
}

}  // namespace echelon
