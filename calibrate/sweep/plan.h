// What a sweep measures: every family a row with its shapes, coarse ones first, so that a sweep that is stopped early
// has something of everything.
#pragma once

#include <string>
#include <vector>

#include "calibrate/gpu/device_layer.h"
#include "sim/base/enum_names.h"

namespace echelon {

enum class Scope { quick, standard, thorough };

template <>
inline constexpr auto enum_names<Scope> = std::to_array<EnumName<Scope>>({
    {Scope::quick, "quick"},
    {Scope::standard, "standard"},
    {Scope::thorough, "thorough"},
});

// A family that --only may name.
struct PlanFamily {
  std::string name;
  std::string meaning;
  void (*add)(Scope scope, const DeviceFacts& facts, std::vector<Benchmark>& plan);  // what `scope` itself asks for
};
const std::vector<PlanFamily>& plan_families();

// Everything of `scope` and the coarser ones, once each; `only` names families, empty for all. A reference product
// comes again every hundred benchmarks: its times tell the drift of clocks and temperature.
std::vector<Benchmark> make_plan(Scope scope, const std::vector<std::string>& only, const DeviceFacts& facts);

// How long one benchmark and the whole sweep may take.
Effort effort_of(Scope scope);
double budget_minutes(Scope scope);

}  // namespace echelon
