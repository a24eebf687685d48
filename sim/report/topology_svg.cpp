#include "sim/report/topology_svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <vector>

#include "sim/report/svg.h"

namespace echelon {
namespace {

constexpr double margin = 90;  // at the sides, with the rows' labels
constexpr double bottom = 40;
constexpr double row_height = 110;
constexpr double title_height = 60;
constexpr double least_gap = 26;  // between neighbours of a row
constexpr double least_width = 760;

// Colours that the colour-blind can tell apart (Okabe and Ito, 2008; P. Tol, 2021).
constexpr std::array<const char*, 8> link_colours{"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                                  "#56b4e9", "#e69f00", "#332288", "#777777"};

struct KindStyle {
  VertexKind kind;
  const char* fill;
  double width;
};
constexpr std::array<KindStyle, 6> kind_styles{{{VertexKind::gpu, "#76b900", 20},
                                                {VertexKind::adapter, "#f0e442", 14},
                                                {VertexKind::pcie_switch, "#bbbbbb", 26},
                                                {VertexKind::host_bridge, "#999999", 26},
                                                {VertexKind::scale_up_switch, "#a6d96a", 40},
                                                {VertexKind::network_switch, "#9ecae1", 22}}};

const KindStyle& style_of(VertexKind kind) {
  return *std::find_if(kind_styles.begin(), kind_styles.end(),
                       [&](const KindStyle& style) { return style.kind == kind; });
}

// Rows from the bottom: 0 GPUs, then what sits in nodes, then the network's tiers.
int row_of(const Vertex& vertex) {
  switch (vertex.kind) {
    case VertexKind::gpu:
      return 0;
    case VertexKind::pcie_switch:
      return 1;
    case VertexKind::host_bridge:
    case VertexKind::scale_up_switch:
      return 2;
    case VertexKind::adapter:
      return 3;
    case VertexKind::network_switch:
      break;
  }
  return 4 + vertex.tier;
}

struct Point {
  double x = 0;
  double y = 0;
};

class Picture {
 public:
  explicit Picture(const Topology& topology) : topology_(topology), at_(topology.vertices.size()) {
    for (std::size_t id = 0; id < topology.vertices.size(); ++id)
      rows_[row_of(topology.vertices[id])].push_back(static_cast<VertexId>(id));
    std::size_t longest = 0;
    for (const auto& [row, ids] : rows_) longest = std::max(longest, ids.size());
    width_ = std::max(least_width, 2 * margin + least_gap * static_cast<double>(longest));
    height_ = title_height + row_height * (static_cast<double>(rows_.size()) - 0.5) + bottom;
    place();
    for (const Link& link : topology.links) classes_.emplace(link.bandwidth.value(), 0);
    std::size_t next = 0;
    for (auto entry = classes_.rbegin(); entry != classes_.rend(); ++entry) entry->second = next++;
  }

  std::string drawn() const {
    std::string out = svg_head(width_, height_);
    out += fmt::format("<text x=\"{}\" y=\"28\" font-size=\"16\" fill=\"#111111\">{}, {} GPUs</text>\n", margin,
                       svg_escaped(topology_.name), topology_.gpus.size());
    out += legend() + "<g fill=\"none\" stroke-opacity=\"0.6\">\n";
    for (std::size_t id = 0; id < topology_.links.size(); id += 2) out += drawn(topology_.links[id]);
    out += "</g>\n<g stroke=\"#333333\" stroke-width=\"0.7\">\n";
    for (std::size_t id = 0; id < at_.size(); ++id) out += drawn(topology_.vertices[id], at_[id]);
    out += "</g>\n" + labels();
    return out + "</svg>\n";
  }

 private:
  Point& at(VertexId id) { return at_[static_cast<std::size_t>(id)]; }
  const Point& at(VertexId id) const { return at_[static_cast<std::size_t>(id)]; }

  // GPUs evenly; each row above in the order of the middles of what it is joined to below, evenly again.
  void place() {
    double y = height_ - bottom;
    bool first = true;
    for (auto& [row, ids] : rows_) {
      if (!first) sort_by_middles(ids);
      first = false;
      for (std::size_t i = 0; i < ids.size(); ++i)
        at(ids[i]) = {margin + (width_ - 2 * margin) * (static_cast<double>(i) + 0.5) / static_cast<double>(ids.size()),
                      y};
      y -= row_height;
    }
  }

  void sort_by_middles(std::vector<VertexId>& ids) {
    std::vector<double> sum(at_.size(), 0);
    std::vector<double> count(at_.size(), 0);
    for (const Link& link : topology_.links)
      if (row_of(topology_.vertex(link.from)) < row_of(topology_.vertex(link.to))) {
        sum[static_cast<std::size_t>(link.to)] += at(link.from).x;
        ++count[static_cast<std::size_t>(link.to)];
      }
    const auto middle = [&](VertexId id) {
      const auto i = static_cast<std::size_t>(id);
      return count[i] > 0 ? sum[i] / count[i] : width_;
    };
    std::stable_sort(ids.begin(), ids.end(), [&](VertexId a, VertexId b) { return middle(a) < middle(b); });
  }

  const char* colour_of(const Link& link) const {
    return link_colours[std::min(classes_.at(link.bandwidth.value()), link_colours.size() - 1)];
  }

  std::string drawn(const Link& link) const {
    const Point& a = at(link.from);
    const Point& b = at(link.to);
    std::string path = fmt::format("M{:.1f} {:.1f} L{:.1f} {:.1f}", a.x, a.y, b.x, b.y);
    if (a.y == b.y) {
      const double rise = std::min(0.8 * row_height, 12 + 0.25 * std::abs(a.x - b.x));
      path =
          fmt::format("M{:.1f} {:.1f} Q{:.1f} {:.1f} {:.1f} {:.1f}", a.x, a.y, (a.x + b.x) / 2, a.y - rise, b.x, b.y);
    }
    return fmt::format(
        "<path d=\"{}\" stroke=\"{}\" stroke-width=\"1.2\"><title>{} - {}: {:.1f} GB/s, {:.2f} us</title></path>\n",
        path, colour_of(link), svg_escaped(topology_.vertex(link.from).name),
        svg_escaped(topology_.vertex(link.to).name), link.bandwidth.value() / 1e9, link.latency.value() * 1e6);
  }

  static std::string drawn(const Vertex& vertex, const Point& point) {
    const KindStyle& style = style_of(vertex.kind);
    return fmt::format(
        "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{}\" height=\"14\" rx=\"2\" fill=\"{}\"><title>{}</title></rect>\n",
        point.x - style.width / 2, point.y - 7, style.width, style.fill, svg_escaped(vertex.name));
  }

  // What a row holds, at its left.
  std::string labels() const {
    std::string out = "<g fill=\"#333333\" font-size=\"11\">\n";
    for (const auto& [row, ids] : rows_)
      out += fmt::format("<text x=\"8\" y=\"{:.1f}\">{} {}</text>\n", at(ids.front()).y + 4, ids.size(),
                         svg_escaped(sort_of(topology_.vertex(ids.front()))));
    return out + "</g>\n";
  }

  std::string legend() const {
    std::string out = "<g fill=\"#333333\" font-size=\"11\">\n";
    double x = margin;
    for (auto entry = classes_.rbegin(); entry != classes_.rend() && entry->second < link_colours.size(); ++entry) {
      out +=
          fmt::format("<path d=\"M{:.1f} 46 h22\" stroke=\"{}\" stroke-width=\"2\"/>", x, link_colours[entry->second]);
      out += fmt::format("<text x=\"{:.1f}\" y=\"50\">{:.4g} GB/s</text>\n", x + 27, entry->first / 1e9);
      x += 105;
    }
    return out + "</g>\n";
  }

  const Topology& topology_;
  std::vector<Point> at_;
  std::map<int, std::vector<VertexId>> rows_;
  std::map<double, std::size_t> classes_;  // bandwidth -> colour, fastest first
  double width_ = 0;
  double height_ = 0;
};

}  // namespace

std::string topology_svg(const Topology& topology) {
  return Picture(topology).drawn();
}

}  // namespace echelon
