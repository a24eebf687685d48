#include "sim/base/units.h"
#include "sim/base/data_type.h"
#include "sim/base/error.h"
#include "tests/catch.h"

using namespace echelon;

TEST_CASE("quantities of one kind add, scale and divide to a ratio") {
  CHECK((Bytes(3) + Bytes(4)).value() == 7);
  CHECK((2.0 * Bytes(3) - Bytes(1)).value() == 5);
  CHECK(Bytes(6) / Bytes(3) == 2);
  CHECK((Bytes(1e9) / gigabytes_per_second(2)).value() == Approx(0.5));  // 10^9 bytes at 2 x 10^9 a second
  CHECK(gibibytes(1).value() == 1073741824);
}

TEST_CASE("time is whole picoseconds") {
  CHECK(Time::from_seconds(microseconds(1)).picoseconds() == 1000000);
  CHECK(Time::from_seconds(Seconds(1.4e-12)).picoseconds() == 1);
  CHECK((Time::from_picoseconds(5) - Time::from_picoseconds(7)).picoseconds() == -2);
  CHECK(Time::from_picoseconds(2500).seconds().value() == Approx(2.5e-9));
}

TEST_CASE("block formats count their scales") {
  CHECK(element_size(DataType::mxfp8).value() == Approx(33.0 / 32));  // 32 bytes and one scale
  CHECK(element_size(DataType::nvfp4).value() == Approx(9.0 / 16));   // 16 half bytes and one scale
}

TEST_CASE("an input error says where, what is wrong and what would be right") {
  const InputError error({"a.yaml", 3, 5}, "unknown key 'modle'", "did you mean 'model'?");
  CHECK(std::string(error.what()) == "a.yaml:3:5: unknown key 'modle'; did you mean 'model'?");
  CHECK(std::string(InputError({"a.yaml"}, "is empty", "").what()) == "a.yaml: is empty");
}

TEST_CASE("a failed check is our own error") {
  CHECK_THROWS_AS([] { SIM_CHECK(1 > 2, "why {}", 3); }(), InternalError);
}
