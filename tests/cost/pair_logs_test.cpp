// Messages between two GPUs as ABCI measured them, against the send and receive of the profiles of such machines.
#include <string>

#include "sim/config/profile_config.h"
#include "sim/cost/collective.h"
#include "sim/interop/csv.h"
#include "tests/catch.h"

using namespace echelon;

namespace {

// Predicted over measured, less one; a rate counts as the time of its bytes.
double error_of(const std::string& system, const std::string& where, double bytes) {
  const std::string source = ECHELON_SOURCE_DIR;
  const CsvTable table = CsvTable::read(source + "/tests/data/nccl/abci_pairs.csv");
  const Profile profile =
      load_profile(source + "/hardware_profiles/" + (system == "v100" ? "dgx1-v100-32g" : "dgx-a100-40g") + ".yaml");
  const auto number = [&](std::size_t row, const char* name) {
    return table.number(row, table.require_column(name)).value();
  };
  for (std::size_t row = 0; row < table.rows(); ++row) {
    if (table.cell(row, 0).text != system || table.cell(row, 1).text != where || number(row, "bytes") != bytes)
      continue;
    const bool inside = where == "inside";
    if (bytes == 0) return profile.network.pair_latency.value() * 1e6 / number(row, "value") - 1;
    const Seconds time = point_to_point_time(profile.network, inside, Bytes(bytes), 1);
    if (!inside) return time.value() * 1e6 / number(row, "value") - 1;
    const Seconds transfer = time - profile.network.pair_latency;
    return transfer.value() / (bytes / (number(row, "value") * 1e9)) - 1;
  }
  FAIL("no such row");
  return 0;
}

}  // namespace

TEST_CASE("one GPU to another of its node takes what a pair of ABCI's takes") {
  for (const char* system : {"v100", "a100"})
    for (const double bytes : {0.0, 40e6}) {
      CAPTURE(system, bytes);
      CHECK(error_of(system, "inside", bytes) == Approx(0).margin(0.11));
    }
}

TEST_CASE("one GPU to another node's takes what MPI takes, but where its GPUDirect is slower than NCCL") {
  CHECK(error_of("v100", "between", 1048576) == Approx(-0.17).margin(0.01));
  CHECK(error_of("v100", "between", 4194304) == Approx(-0.04).margin(0.01));
  // 15.3 GB/s of an HDR adapter; rings of the same nodes reach 23 with it.
  CHECK(error_of("a100", "between", 4194304) == Approx(-0.33).margin(0.01));
}
