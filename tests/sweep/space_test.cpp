#include "sim/sweep/space.h"

#include "tests/catch.h"
#include "tests/sweep/small_space.h"

using namespace echelon;

namespace {

std::string space_error(const std::string& axes) {
  try {
    const Space space(test::parsed(test::document_of(axes)));
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

std::vector<std::string> texts(const SpaceAxis& axis) {
  std::vector<std::string> all;
  for (const AxisValue& value : axis.values) all.push_back(value.text);
  return all;
}

}  // namespace

TEST_CASE("axes are lists, ranges and powers of two, the last one fastest") {
  const Space space(test::parsed(test::document_of(test::small_axes)));
  REQUIRE(space.axes().size() == 3);
  CHECK(texts(space.axes()[0]) == std::vector<std::string>{"1", "2", "4"});
  CHECK(texts(space.axes()[1]) == std::vector<std::string>{"1", "2", "4", "8"});
  CHECK(space.size() == 3 * 4 * 2);
  CHECK(space.digits(0) == std::vector<std::size_t>{0, 0, 0});
  CHECK(space.digits(1) == std::vector<std::size_t>{0, 0, 1});
  CHECK(space.digits(23) == std::vector<std::size_t>{2, 3, 1});
  for (std::int64_t point = 0; point < space.size(); ++point) CHECK(space.point_of(space.digits(point)) == point);
}

TEST_CASE("ranges stop where the next step passes the end") {
  const Space space(
      test::parsed(test::document_of("    workload.global_batch: {from: 16, to: 50, step: 16}\n"
                                     "    strategy.micro_batch: {from: 1, to: 3}\n"
                                     "    cluster.gpus: {powers_of_two: [3, 9]}\n")));
  CHECK(texts(space.axes()[0]) == std::vector<std::string>{"16", "32", "48"});
  CHECK(texts(space.axes()[1]) == std::vector<std::string>{"1", "2", "3"});
  CHECK(texts(space.axes()[2]) == std::vector<std::string>{"4", "8"});
}

TEST_CASE("a mapping on a section sets its keys together") {
  const Space space(test::parsed(test::document_of("    cluster: [{profile: dgx-a100-80g, gpus: 8}, {gpus: 16}]\n")));
  const auto assignments = space.assignments({0});
  REQUIRE(assignments.size() == 2);
  CHECK(assignments[0].path == "cluster.profile");
  CHECK(assignments[1].value.text() == "8");
  CHECK(space.axes()[0].values[0].text == "{profile: dgx-a100-80g, gpus: 8}");
}

TEST_CASE("conditions leave points out, by axes and by what the scenario says") {
  const Space space(test::parsed(test::document_of(
      test::small_axes + "  where: [strategy.tensor_parallel * strategy.pipeline_parallel <= cluster.gpus / 4]\n")));
  // tensor x pipeline <= 4: (1: 1 2 4), (2: 1 2), (4: 1) = 6 pairs, of two micro-batches each.
  int included = 0;
  for (std::int64_t point = 0; point < space.size(); ++point) included += space.includes(space.digits(point)) ? 1 : 0;
  CHECK(included == 12);
}

TEST_CASE("what is no space is refused") {
  CHECK(space_error("    stratgy.micro_batch: [1]\n").find("did you mean 'strategy'?") != std::string::npos);
  CHECK(space_error("    strategy.micro_batch: []\n").find("has no values") != std::string::npos);
  CHECK(space_error("    strategy.micro_batch: 3\n").find("expected a sequence") != std::string::npos);
  CHECK(space_error("    strategy.micro_batch: {from: 1, to: 4, steps: 2}\n").find("did you mean 'step'") !=
        std::string::npos);
  CHECK(space_error("    strategy.micro_batch: {from: 1, to: 4, step: 2, times: 2}\n").find("both") !=
        std::string::npos);
  CHECK(space_error("    strategy.micro_batch: {powers_of_two: [5, 7]}\n").find("no power of two") !=
        std::string::npos);
  CHECK(space_error("    strategy.micro_batch: {from: 1, to: 900000000}\n").find("too many values") !=
        std::string::npos);
  CHECK(space_error(test::small_axes + "  where: [strategy.zero == 1]\n").find("neither an axis nor the scenario") !=
        std::string::npos);
  std::string huge;
  for (const char* key : {"micro_batch", "tensor_parallel", "pipeline_parallel", "virtual_stages"})
    huge += std::string("    strategy.") + key + ": {from: 1, to: 99999}\n";
  CHECK(space_error(huge).find("too many points") != std::string::npos);
}
