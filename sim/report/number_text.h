// Numbers as people read them.
#pragma once

#include <string>

#include "sim/base/units.h"

namespace echelon {

// "2.621 s", "9.44 ms", "12.3 us".
std::string duration(Seconds time);

// Whether duration() would show nothing but zeros: sums of differences leave as much.
constexpr bool shows_as_zero(Seconds time) {
  return time < microseconds(0.05) && time > microseconds(-0.05);
}

// A whole number with its thousands apart: "50,005".
std::string grouped(double value);

// A bar of eighth blocks: share 1 (and more) fills `width` cells; padded with spaces to that width.
std::string bar(double share, int width = 36);

// Cells that a UTF-8 text takes in a terminal, each code point one.
std::size_t cells_of(const std::string& text);

// Clipped and padded to `width` cells, at the right or at the left.
std::string to_the_right(const std::string& text, std::size_t width);
std::string to_the_left(const std::string& text, std::size_t width);

}  // namespace echelon
