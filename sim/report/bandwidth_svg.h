// Bus bandwidth by size, measured points against fitted lines, as an SVG picture with logarithmic axes.
#pragma once

#include <string>
#include <vector>

namespace echelon {

struct BandwidthPoint {
  double bytes = 0;  // above 0, as is gb_s; others are not drawn
  double gb_s = 0;   // 10^9 bytes a second
};

struct BandwidthSeries {
  std::string label;
  std::vector<BandwidthPoint> measured;  // drawn as points
  std::vector<BandwidthPoint> fitted;    // drawn as a line of the same colour
};

// A whole SVG document. Beyond the tenth series colours come again, and beyond the twentieth labels are counted.
std::string bandwidth_svg(const std::string& title, const std::vector<BandwidthSeries>& series);

}  // namespace echelon
