// Who does what when: bars on lines, for a terminal and as an SVG picture. Times in any unit.
#pragma once

#include <string>
#include <vector>

namespace echelon {

struct GanttBar {
  double start = 0;
  double end = 0;
  std::string label;     // short: it is drawn inside where there is room
  std::size_t kind = 0;  // index of its legend entry
};

struct GanttLine {
  std::string name;
  std::vector<GanttBar> bars;  // in time, none over another
};

struct GanttKind {
  char letter = ' ';  // stands for the bar where there are no colours or no room
  std::string meaning;
};

struct Gantt {
  std::vector<GanttLine> lines;
  std::vector<GanttKind> kinds;
};

// One row of characters a line, at most `width` wide beside the names. Without colours a bar begins with its letter.
std::string gantt_text(const Gantt& gantt, std::size_t width, bool color);
// A whole SVG document.
std::string gantt_svg(const Gantt& gantt, const std::string& title);

}  // namespace echelon
