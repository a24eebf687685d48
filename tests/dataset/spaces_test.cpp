// The spaces that ship, and the data of the smallest.
#include <fstream>
#include <sstream>

#include "sim/dataset/build.h"
#include "sim/dataset/point_table.h"
#include "sim/interop/hf_config.h"
#include "sim/model/transformer.h"
#include "tests/catch.h"

using namespace echelon;

namespace {

const std::filesystem::path spaces = std::filesystem::path(ECHELON_SOURCE_DIR) / "scenarios/spaces";

HfReader reader() {
  return [](const Value& value) { return build_transformer(transformer_from_hf(value)); };
}

}  // namespace

TEST_CASE("every space that ships can be read, and its first points predicted") {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(spaces)) {
    if (entry.path().extension() != ".yaml") continue;
    CAPTURE(entry.path().filename().string());
    ++count;
    PointEvaluator evaluator(load_space_document(entry.path(), {}, reader()));
    evaluator.check_values();
    const Space& space = evaluator.space();
    CHECK(space.size() > 4000);
    int laid_out = 0;
    for (std::int64_t point = 0; point < space.size() && laid_out < 3; ++point) {
      const auto digits = space.digits(point);
      if (!space.includes(digits)) continue;
      const auto outcome = evaluator.evaluate(digits);
      if (const Result* result = std::get_if<Result>(&outcome)) {
        ++laid_out;
        CHECK(result->iteration > Seconds(0));
      }
    }
    CHECK(laid_out == 3);
  }
  CHECK(count == 4);
}

TEST_CASE("the data that ship are whole, and of the space beside them") {
  const auto folder = spaces / "llama3-70b-h100-b200";
  const Manifest manifest = read_manifest(folder);
  check_packed(folder, manifest.points);
  std::ostringstream definition;
  definition << std::ifstream(spaces / manifest.scenario, std::ios::binary).rdbuf();
  CHECK(manifest.definition == definition.str());
  CHECK(manifest.licence == "Apache-2.0");
  std::vector<std::string> names;
  names.reserve(manifest.columns.size());
  for (const DatasetColumn& column : manifest.columns) names.push_back(column.name);
  PointTable table(folder / manifest.points.name, names);
  std::int64_t rows = 0;
  while (table.next()) ++rows;
  CHECK(rows == manifest.rows());
}
