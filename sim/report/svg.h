// What every SVG picture here begins with, and text that cannot break out of it.
#pragma once

#include <string>

namespace echelon {

// The opening tag with a white background and the font; whoever draws closes it.
std::string svg_head(double width, double height);
// Markup characters as entities, control characters as '_'.
std::string svg_escaped(const std::string& text);

}  // namespace echelon
