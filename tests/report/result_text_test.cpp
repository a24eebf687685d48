#include "sim/report/result_text.h"

#include "tests/catch.h"

using namespace echelon;

namespace {

Result result_with(double peak, double device, double capacity) {
  Result result;
  result.iteration = Seconds(1);
  result.tokens = 1000;
  result.samples = 1;
  result.gpus = 8;
  result.peak = teraflops(1000);
  result.memory.peak = gibibytes(peak);
  result.memory.capacity = gibibytes(capacity);
  result.memory.per_stage = {{result.memory.peak, {}, gibibytes(device), result.memory.capacity}};
  result.memory.fits = device <= capacity;
  return result;
}

std::string text_of(const Result& result) {
  return result_to_text(result, {}, {});
}

}  // namespace

TEST_CASE("the line of the peak does not contradict itself") {
  CHECK(text_of(result_with(60, 64, 80)).find("60.0 GiB   of 80.0 GiB: fits\n") != std::string::npos);
  // 77 of 80 GiB do not fail to fit: what the device must hold besides does.
  CHECK(text_of(result_with(77, 81, 80)).find("77.0 GiB   of 80.0 GiB: DOES NOT FIT, 81.0 GiB of 80.0 with CUDA") !=
        std::string::npos);
  CHECK(text_of(result_with(90, 95, 80)).find("90.0 GiB   of 80.0 GiB: DOES NOT FIT\n") != std::string::npos);
}

TEST_CASE("what the host cannot hold is said of the host") {
  Result result = result_with(60, 64, 80);
  result.memory.host = gibibytes(3000);
  result.memory.host_capacity = gibibytes(2000);
  result.memory.fits = false;
  const std::string text = text_of(result);
  CHECK(text.find("60.0 GiB   of 80.0 GiB: fits\n") != std::string::npos);
  CHECK(text.find("3000.0 GiB   of a node's 2000.0 GiB: DOES NOT FIT\n") != std::string::npos);
}
