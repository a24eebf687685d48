// One measured benchmark: the times of its runs brought down to a median and what they scatter.
#pragma once

#include <string>
#include <vector>

#include "calibrate/gpu/device_layer.h"
#include "sim/base/enum_names.h"
#include "sim/base/units.h"

namespace echelon {

template <>
inline constexpr auto enum_names<Outcome> = std::to_array<EnumName<Outcome>>({
    {Outcome::measured, "measured"},
    {Outcome::out_of_memory, "out_of_memory"},
    {Outcome::unsupported, "unsupported"},
    {Outcome::failed, "failed"},
    {Outcome::lost, "lost"},
});

struct Sample {
  Benchmark benchmark;
  Outcome outcome = Outcome::measured;
  Seconds time;       // median of the runs; 0 unless measured
  double spread = 0;  // distance of the quartiles over the median
  Seconds least;      // fastest run
  int runs = 0;
  int outliers = 0;  // runs beyond 1.5 quartile distances from the quartiles (J. W. Tukey, Exploratory Data Analysis)
  Conditions conditions;
  std::string note;
};

// Throws nothing; a reading without times that says `measured` becomes `failed`.
Sample summarise(const Benchmark& benchmark, const Reading& reading);

}  // namespace echelon
