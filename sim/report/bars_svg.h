// Stacked bars in a row each, as SVG: what a time or a memory is made of, candidate by candidate.
#pragma once

#include <string>
#include <vector>

namespace echelon {

struct StackedBar {
  std::string name;
  std::vector<double> parts;  // by BarChart::parts, 0 or more; empty: nothing is known, only the name is shown
  double limit = 0;           // a mark across the bar; 0 = none
};

struct BarChart {
  std::string unit;                // "GiB": behind each bar's sum
  std::vector<std::string> parts;  // in the legend: those that any bar has
  std::vector<StackedBar> bars;
};

std::string bars_svg(const BarChart& chart);

}  // namespace echelon
