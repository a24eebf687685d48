#include "sim/report/gantt.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "sim/report/svg.h"

namespace echelon {

namespace {

// Colours that the colour-blind can tell apart (Okabe and Ito, 2008), and the nearest of a terminal's 256.
struct Colour {
  const char* svg;
  int terminal;
};
// The second four are lighter ones of the first; the last two stand apart.
constexpr std::array<Colour, 10> colours{{{"#56b4e9", 74},
                                          {"#009e73", 36},
                                          {"#e69f00", 178},
                                          {"#cc79a7", 175},
                                          {"#aadaf4", 153},
                                          {"#80ceb9", 115},
                                          {"#f3cf80", 222},
                                          {"#e5bcd3", 218},
                                          {"#d55e00", 166},
                                          {"#f0e442", 227}}};

const Colour& colour_of(const GanttBar& bar) {
  return colours[bar.kind % colours.size()];
}

double end_of(const Gantt& gantt) {
  double end = 0;
  for (const GanttLine& line : gantt.lines)
    for (const GanttBar& bar : line.bars) end = std::max(end, bar.end);
  return end;
}

double shortest_bar(const Gantt& gantt) {
  double shortest = end_of(gantt);
  for (const GanttLine& line : gantt.lines)
    for (const GanttBar& bar : line.bars)
      if (bar.end > bar.start) shortest = std::min(shortest, bar.end - bar.start);
  return shortest;
}

std::size_t longest_label(const Gantt& gantt) {
  std::size_t longest = 0;
  for (const GanttLine& line : gantt.lines)
    for (const GanttBar& bar : line.bars) longest = std::max(longest, bar.label.size());
  return longest;
}

// Characters for a unit of time: room for every label if the width allows it.
double scale_of(const Gantt& gantt, std::size_t width) {
  const double fits = static_cast<double>(width) / std::max(end_of(gantt), 1e-300);
  const double wanted = (static_cast<double>(longest_label(gantt)) + 1) / std::max(shortest_bar(gantt), 1e-300);
  return std::min(fits, wanted);
}

// The bar's letter and label in so many characters, as much as there is room for.
std::string cell_text(const Gantt& gantt, const GanttBar& bar, std::size_t length) {
  std::string text = gantt.kinds[bar.kind].letter + bar.label;
  text.resize(std::min(text.size(), length));
  return text + std::string(length - text.size(), text.empty() ? ' ' : '=');
}

std::string coloured(const GanttBar& bar, std::string text) {
  std::replace(text.begin(), text.end(), '=', ' ');
  return fmt::format("\x1b[30;48;5;{}m{}\x1b[0m", colour_of(bar).terminal, text);
}

std::string line_text(const Gantt& gantt, const GanttLine& line, double scale, bool color) {
  std::string text;
  std::size_t column = 0;
  for (const GanttBar& bar : line.bars) {
    const auto first = static_cast<std::size_t>(std::llround(bar.start * scale));
    const auto last = static_cast<std::size_t>(std::llround(bar.end * scale));
    if (first > column) text += std::string(first - column, color ? ' ' : '.');
    column = std::max(column, first);
    if (last <= column) continue;
    const std::string cell = cell_text(gantt, bar, last - column);
    text += color ? coloured(bar, cell) : cell;
    column = last;
  }
  return text;
}

}  // namespace

std::string gantt_text(const Gantt& gantt, std::size_t width, bool color) {
  std::size_t names = 0;
  for (const GanttLine& line : gantt.lines) names = std::max(names, line.name.size());
  const double scale = scale_of(gantt, width);
  std::string text;
  for (const GanttLine& line : gantt.lines)
    text += fmt::format("{:<{}}  {}\n", line.name, names, line_text(gantt, line, scale, color));
  text += std::string(names + 2, ' ');
  for (std::size_t kind = 0; kind < gantt.kinds.size(); ++kind) {
    const std::string letter(1, gantt.kinds[kind].letter);
    text += fmt::format("{}{} {}", kind > 0 ? "   " : "", color ? coloured({0, 0, "", kind}, letter) : letter,
                        gantt.kinds[kind].meaning);
  }
  return text + "\n";
}

std::string gantt_svg(const Gantt& gantt, const std::string& title) {
  constexpr double left = 70;
  constexpr double top = 40;
  constexpr double row = 26;
  constexpr double width = 1200;
  const double scale = width / std::max(end_of(gantt), 1e-300);
  const double height = top + row * static_cast<double>(gantt.lines.size());
  std::string svg = svg_head(left + width + 20, height + 40);
  svg += fmt::format("<text x=\"{}\" y=\"22\" font-size=\"15\">{}</text>\n", left, svg_escaped(title));
  for (std::size_t i = 0; i < gantt.lines.size(); ++i) {
    const double y = top + row * static_cast<double>(i);
    svg += fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\n", left - 8, y + 16,
                       svg_escaped(gantt.lines[i].name));
    for (const GanttBar& bar : gantt.lines[i].bars) {
      const double x = left + bar.start * scale;
      const double length = (bar.end - bar.start) * scale;
      svg += fmt::format(
          "<rect x=\"{:.2f}\" y=\"{}\" width=\"{:.2f}\" height=\"{}\" fill=\"{}\" stroke=\"#fff\" "
          "stroke-width=\"0.5\"/>\n",
          x, y, length, row - 4, colour_of(bar).svg);
      if (length > 7 * static_cast<double>(bar.label.size()))
        svg += fmt::format("<text x=\"{:.2f}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n", x + length / 2, y + 15,
                           svg_escaped(bar.label));
    }
  }
  double x = left;
  for (std::size_t kind = 0; kind < gantt.kinds.size(); ++kind) {
    svg += fmt::format("<rect x=\"{}\" y=\"{}\" width=\"12\" height=\"12\" fill=\"{}\"/>\n", x, height + 10,
                       colours[kind % colours.size()].svg);
    svg +=
        fmt::format("<text x=\"{}\" y=\"{}\">{}</text>\n", x + 17, height + 20, svg_escaped(gantt.kinds[kind].meaning));
    x += 40 + 7 * static_cast<double>(gantt.kinds[kind].meaning.size());
  }
  return svg + "</svg>\n";
}

}  // namespace echelon
