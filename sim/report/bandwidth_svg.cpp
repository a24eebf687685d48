#include "sim/report/bandwidth_svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "sim/report/svg.h"

namespace echelon {
namespace {

constexpr double width = 1080;
constexpr double left = 80;
constexpr double right = 640;
constexpr double top = 50;
constexpr double bottom = 470;
constexpr double height = 530;
constexpr std::size_t most_labels = 20;
constexpr std::size_t longest_label = 54;

// Colours that the colour-blind can tell apart (Okabe and Ito, 2008; P. Tol, 2021).
constexpr std::array<const char*, 10> colours{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9",
                                              "#e69f00", "#332288", "#882255", "#777777", "#000000"};

// Names of logs differ at their ends.
std::string shortened(const std::string& label) {
  return label.size() <= longest_label ? label : "..." + label.substr(label.size() - longest_label + 3);
}

bool drawable(const BandwidthPoint& point) {
  return point.bytes > 0 && point.gb_s > 0 && std::isfinite(point.bytes) && std::isfinite(point.gb_s);
}

std::string size_label(double bytes) {
  constexpr std::array<const char*, 5> units{"B", "KiB", "MiB", "GiB", "TiB"};
  std::size_t unit = 0;
  for (; bytes >= 1024 && unit + 1 < units.size(); ++unit) bytes /= 1024;
  return fmt::format("{:g} {}", bytes, units[unit]);
}

// One logarithmic axis: whole powers of its base from the least to the greatest value.
class Axis {
 public:
  Axis(double base, double from, double to) : base_(base), from_(from), to_(to) {}

  void include(double value) {
    const double power = std::log(value) / std::log(base_);
    low_ = empty_ ? std::floor(power) : std::min(low_, std::floor(power));
    high_ = empty_ ? low_ + 1 : high_;
    high_ = std::max(high_, std::ceil(power));
    empty_ = false;
  }
  double at(double value) const {
    return from_ + (to_ - from_) * (std::log(value) / std::log(base_) - low_) / (high_ - low_);
  }
  std::vector<double> ticks(double step) const {
    std::vector<double> values;
    for (double power = std::ceil(low_ / step) * step; power <= high_; power += step)
      values.push_back(std::pow(base_, power));
    return values;
  }
  double powers() const { return high_ - low_; }

 private:
  double base_;
  double from_;
  double to_;
  double low_ = 0;
  double high_ = 1;
  bool empty_ = true;
};

std::string grid(const Axis& x, const Axis& y) {
  std::string out = "<g stroke=\"#dddddd\" stroke-width=\"1\">\n";
  std::string labels = "<g fill=\"#333333\">\n";
  for (const double value : x.ticks(x.powers() > 16 ? 5 : 2)) {
    out += fmt::format("<path d=\"M{0:.1f} {1} V{2}\"/>\n", x.at(value), top, bottom);
    labels += fmt::format("<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n", x.at(value), bottom + 18,
                          size_label(value));
  }
  for (const double value : y.ticks(1)) {
    out += fmt::format("<path d=\"M{0} {1:.1f} H{2}\"/>\n", left, y.at(value), right);
    labels +=
        fmt::format("<text x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{:g}</text>\n", left - 8, y.at(value) + 4, value);
  }
  return out + "</g>\n" + labels + "</g>\n";
}

std::string drawn(const BandwidthSeries& series, const char* colour, const Axis& x, const Axis& y) {
  std::string line;
  for (const BandwidthPoint& point : series.fitted)
    if (drawable(point))
      line += fmt::format("{}{:.1f} {:.1f}", line.empty() ? "M" : " L", x.at(point.bytes), y.at(point.gb_s));
  std::string out;
  if (!line.empty())
    out += fmt::format("<path d=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.6\"/>\n", line, colour);
  for (const BandwidthPoint& point : series.measured)
    if (drawable(point))
      out += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"2.6\" fill=\"{}\" fill-opacity=\"0.75\"/>\n",
                         x.at(point.bytes), y.at(point.gb_s), colour);
  return out;
}

std::string legend(const std::vector<BandwidthSeries>& series) {
  std::string out = "<g fill=\"#333333\">\n";
  const std::size_t shown = std::min(series.size(), most_labels);
  const double x = right + 24;
  double y = top + 8;
  for (std::size_t i = 0; i < shown; ++i, y += 20) {
    const char* colour = colours[i % colours.size()];
    out += fmt::format("<path d=\"M{0} {1} H{2}\" stroke=\"{3}\" stroke-width=\"1.6\"/>\n", x, y, x + 22, colour);
    out += fmt::format("<circle cx=\"{}\" cy=\"{}\" r=\"2.6\" fill=\"{}\"/>\n", x + 11, y, colour);
    out += fmt::format("<text x=\"{}\" y=\"{}\">{}</text>\n", x + 30, y + 4, svg_escaped(shortened(series[i].label)));
  }
  if (series.size() > shown)
    out += fmt::format("<text x=\"{}\" y=\"{}\">and {} more</text>\n", x + 30, y + 4, series.size() - shown);
  out += fmt::format("<text x=\"{}\" y=\"{}\" fill=\"#777777\">points measured, lines fitted</text>\n", x, y + 28);
  return out + "</g>\n";
}

}  // namespace

std::string bandwidth_svg(const std::string& title, const std::vector<BandwidthSeries>& series) {
  Axis x(2, left, right);
  Axis y(10, bottom, top);
  for (const BandwidthSeries& one : series)
    for (const auto* points : {&one.measured, &one.fitted})
      for (const BandwidthPoint& point : *points)
        if (drawable(point)) {
          x.include(point.bytes);
          y.include(point.gb_s);
        }
  std::string out = svg_head(width, height);
  out += fmt::format("<text x=\"{}\" y=\"28\" font-size=\"16\" fill=\"#111111\">{}</text>\n", left, svg_escaped(title));
  out += grid(x, y);
  for (std::size_t i = 0; i < series.size(); ++i) out += drawn(series[i], colours[i % colours.size()], x, y);
  out += fmt::format("<path d=\"M{0} {1} V{2} H{3}\" fill=\"none\" stroke=\"#333333\"/>\n", left, top, bottom, right);
  out += fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"middle\" fill=\"#333333\">size of the collective</text>\n",
                     (left + right) / 2, bottom + 42);
  out += fmt::format(
      "<text transform=\"translate(22 {}) rotate(-90)\" text-anchor=\"middle\" fill=\"#333333\">bus bandwidth, "
      "GB/s</text>\n",
      (top + bottom) / 2);
  return out + legend(series) + "</svg>\n";
}

}  // namespace echelon
