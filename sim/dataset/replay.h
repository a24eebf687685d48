// What a search sees of a data set: predictions that need no simulation.
#pragma once

#include <cstdint>
#include <filesystem>
#include <variant>
#include <vector>

#include "sim/base/error.h"
#include "sim/dataset/manifest.h"
#include "sim/metrics/result.h"

namespace echelon {

class RecordedPoints {
 public:
  // Reads the points of a checked data set: 64 bytes a point. Throws InputError where the file is not what its manifest
  // says.
  RecordedPoints(const std::filesystem::path& folder, const Manifest& manifest);

  // What simulate() said, as far as objectives ask: time, tokens, energy, cost and memory. The reason of what is
  // infeasible is not kept. Infeasible for a point that is not in the data.
  std::variant<Result, Infeasible> at(std::int64_t point) const;

 private:
  struct Record {
    std::int64_t point = 0;
    bool fits = false;
    double iteration_s = 0;
    double tokens = 0;
    double energy_j = 0;
    double cost_usd = 0;  // NaN: not known
    double peak_bytes = 0;
    double device_bytes = 0;
    double capacity_bytes = 0;
  };
  std::vector<Record> records_;  // of the points that can be laid out, in order
};

}  // namespace echelon
