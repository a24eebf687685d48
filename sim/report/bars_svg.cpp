#include "sim/report/bars_svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <numeric>

#include "sim/report/svg.h"

namespace echelon {

namespace {

constexpr double width = 960;
constexpr double left = 210;   // names end here
constexpr double right = 810;  // the longest bar ends here
constexpr double bar_height = 22;
constexpr double row_height = 34;
constexpr double legend_row = 20;
constexpr double legend_column = 230;
constexpr std::size_t legend_columns = 4;
constexpr std::size_t longest_name = 30;

// Colours that the colour-blind can tell apart (P. Tol, 2021, "muted" and "bright").
constexpr std::array<const char*, 12> colours{"#332288", "#88ccee", "#44aa99", "#117733", "#999933", "#ddcc77",
                                              "#cc6677", "#882255", "#aa4499", "#777777", "#4477aa", "#ccbb44"};

double sum_of(const StackedBar& bar) {
  return std::accumulate(bar.parts.begin(), bar.parts.end(), 0.0);
}

double longest_of(const BarChart& chart) {
  double longest = 0;
  for (const StackedBar& bar : chart.bars) longest = std::max({longest, sum_of(bar), bar.limit});
  return longest > 0 ? longest : 1;
}

// Indices of the parts that any bar has.
std::vector<std::size_t> shown_parts(const BarChart& chart) {
  std::vector<std::size_t> shown;
  for (std::size_t part = 0; part < chart.parts.size(); ++part) {
    const auto has = [part](const StackedBar& bar) { return part < bar.parts.size() && bar.parts[part] > 0; };
    if (std::any_of(chart.bars.begin(), chart.bars.end(), has)) shown.push_back(part);
  }
  return shown;
}

std::string legend(const BarChart& chart, const std::vector<std::size_t>& shown) {
  std::string text;
  for (std::size_t i = 0; i < shown.size(); ++i) {
    const std::size_t row = i / legend_columns;
    const double x = 10 + legend_column * static_cast<double>(i % legend_columns);
    const double y = 8 + legend_row * static_cast<double>(row);
    text += fmt::format(
        "<rect x=\"{}\" y=\"{}\" width=\"12\" height=\"12\" fill=\"{}\"/><text x=\"{}\" y=\"{}\">{}</text>\n", x, y,
        colours[shown[i] % colours.size()], x + 18, y + 11, svg_escaped(chart.parts[shown[i]]));
  }
  return text;
}

std::string bar_text(const BarChart& chart, const StackedBar& bar, double y, double scale) {
  const std::string name = bar.name.size() <= longest_name ? bar.name : bar.name.substr(0, longest_name - 3) + "...";
  std::string text =
      fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\n", left - 8, y + 15, svg_escaped(name));
  double x = left;
  for (std::size_t part = 0; part < bar.parts.size(); ++part) {
    if (bar.parts[part] <= 0) continue;
    text += fmt::format(
        "<rect x=\"{:.2f}\" y=\"{}\" width=\"{:.2f}\" height=\"{}\" fill=\"{}\"><title>{}: {:.4g} {}</title></rect>\n",
        x, y, bar.parts[part] * scale, bar_height, colours[part % colours.size()], svg_escaped(chart.parts[part]),
        bar.parts[part], svg_escaped(chart.unit));
    x += bar.parts[part] * scale;
  }
  const std::string limit = bar.limit > 0 ? fmt::format(" of {:.4g}", bar.limit) : "";
  if (!bar.parts.empty())
    text += fmt::format("<text x=\"{:.2f}\" y=\"{}\">{:.4g}{} {}</text>\n", std::max(x, left + bar.limit * scale) + 6,
                        y + 15, sum_of(bar), limit, svg_escaped(chart.unit));
  if (bar.limit > 0)
    text += fmt::format(
        "<line x1=\"{0:.2f}\" y1=\"{1}\" x2=\"{0:.2f}\" y2=\"{2}\" stroke=\"#000000\" stroke-width=\"2\">"
        "<title>limit: {3:.4g} {4}</title></line>\n",
        left + bar.limit * scale, y - 4, y + bar_height + 4, bar.limit, svg_escaped(chart.unit));
  return text;
}

}  // namespace

std::string bars_svg(const BarChart& chart) {
  const std::vector<std::size_t> shown = shown_parts(chart);
  const std::size_t legend_rows = (shown.size() + legend_columns - 1) / legend_columns;
  const double top = 18 + legend_row * static_cast<double>(legend_rows);
  std::string text = svg_head(width, top + row_height * static_cast<double>(chart.bars.size()) + 4);
  text += legend(chart, shown);
  const double scale = (right - left) / longest_of(chart);
  for (std::size_t i = 0; i < chart.bars.size(); ++i)
    text += bar_text(chart, chart.bars[i], top + row_height * static_cast<double>(i), scale);
  return text + "</svg>\n";
}

}  // namespace echelon
