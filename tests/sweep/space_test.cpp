#include "sim/sweep/space.h"

#include "tests/catch.h"
#include "tests/error_of.h"
#include "tests/sweep/small_space.h"

using namespace echelon;

namespace {

std::string space_error(const std::string& axes) {
  return test::error_of([&] { const Space space(test::parsed(test::document_of(axes))); });
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

TEST_CASE("a value that an axis has already is refused where it stands") {
  // It would make points that nothing tells apart.
  CHECK(space_error("    strategy.micro_batch: [1, 2, 1]\n") ==
        "small.yaml:8:34: 1 is on the axis strategy.micro_batch already; expected each value once");
  CHECK(space_error("    strategy.micro_batch: [1, 1.0]\n").find("1.0 is on the axis") != std::string::npos);
  CHECK(space_error("    cluster: [{gpus: 8}, {gpus: 8}]\n").find("{gpus: 8} is on the axis cluster") !=
        std::string::npos);
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

TEST_CASE("conditions see the keys that each value of a section's axis sets, and the scenario's where one sets none") {
  const auto included = [](const std::string& condition) {
    const Space space(test::parsed(test::document_of(
        "    cluster: [{profile: dgx-a100-80g, gpus: 8}, {gpus: 16}, {profile: dgx-b200, gpus: 8}]\n  where: [" +
        condition + "]\n")));
    std::vector<std::int64_t> points;
    for (std::int64_t point = 0; point < space.size(); ++point)
      if (space.includes(space.digits(point))) points.push_back(point);
    return points;
  };
  CHECK(included("cluster.profile == dgx-h100") == std::vector<std::int64_t>{1});  // the scenario's
  CHECK(included("cluster.profile == dgx-b200") == std::vector<std::int64_t>{2});
  CHECK(included("cluster.gpus == 8") == std::vector<std::int64_t>{0, 2});
}

TEST_CASE("conditions see keys inside of an axis's values") {
  const Space space(test::parsed(test::document_of(
      "    strategy.recompute: [{kind: full}, {kind: none}]\n  where: [strategy.recompute.kind == full]\n")));
  CHECK(space.includes({0}));
  CHECK(!space.includes({1}));
  CHECK(space_error("    strategy.recompute: [{kind: full}, none]\n  where: [strategy.recompute.kind == full]\n")
            .find("'strategy.recompute.kind' is not given by none of strategy.recompute") != std::string::npos);
}

TEST_CASE("conditions that leave nothing are refused at the one that takes the last points away") {
  const auto error = [](const std::string& conditions) {
    const Space space(test::parsed(test::document_of(test::small_axes + "  where:\n" + conditions)));
    return test::error_of([&] { space.check_not_empty(); });
  };
  CHECK(error("    - strategy.micro_batch > 1\n").empty());
  CHECK(error("    - strategy.micro_batch > 2\n").find("small.yaml:12:7: no point meets this condition; ") == 0);
  CHECK(error("    - strategy.micro_batch > 1\n    - strategy.micro_batch < 2\n")
            .find("small.yaml:13:7: no point meets this condition and those before it") == 0);
  CHECK(error("    - cluster.gpus == 8\n").find("small.yaml:12:7:") == 0);  // which no axis has
}

TEST_CASE("what is no space is refused") {
  CHECK(space_error("    strategy.micro_batch: {power_of_two: [1, 4]}\n").find("did you mean 'powers_of_two'?") !=
        std::string::npos);
  CHECK(space_error("    strategy: {powers_of_two: [1, 4]}\n")
            .find("small.yaml:8:15: the axis of the section strategy") == 0);
  CHECK(space_error("    cluster: [{gpus: 8}]\n    cluster.gpus: [16]\n")
            .find("cluster.gpus is set by the axes cluster and cluster.gpus") != std::string::npos);
  CHECK(space_error(test::small_axes + "  where: [strategy.micro_bach == 1]\n")
            .find("did you mean 'strategy.micro_batch'?") != std::string::npos);
  CHECK(space_error(test::small_axes + "  where: [tensor_parallel == 2]\n")
            .find("gives 'tensor_parallel'; did you mean 'strategy.tensor_parallel'?") != std::string::npos);
  CHECK(space_error("    stratgy.micro_batch: [1]\n").find("did you mean 'strategy'?") != std::string::npos);
  CHECK(space_error("    tensor_paralel: [1]\n").find("did you mean 'strategy.tensor_parallel'?") != std::string::npos);
  CHECK(space_error("    startegy: [{micro_batch: 1}]\n").find("did you mean 'strategy'?") != std::string::npos);
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
