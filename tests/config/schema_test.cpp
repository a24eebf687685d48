#include "sim/config/schema.h"

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "tests/catch.h"

namespace echelon {

TEST_CASE("the committed schema is what the tables say", "[config]") {
  const std::string file = std::string(ECHELON_SOURCE_DIR) + "/scenarios/schema/scenario.schema.json";
  if (std::getenv("ECHELON_APPROVE")) std::ofstream(file) << scenario_schema();
  std::ifstream stream(file);
  std::ostringstream text;
  text << stream.rdbuf();
  INFO("run this test with ECHELON_APPROVE=1 and review the difference");
  CHECK(text.str() == scenario_schema());
}

}  // namespace echelon
