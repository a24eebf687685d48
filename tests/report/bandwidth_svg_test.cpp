#include "sim/report/bandwidth_svg.h"

#include <cmath>

#include "tests/catch.h"

using namespace echelon;

namespace {

std::size_t count(const std::string& text, const std::string& word) {
  std::size_t found = 0;
  for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) ++found;
  return found;
}

}  // namespace

TEST_CASE("a plot has a point for each row, a line and a label for each run") {
  const std::vector<BandwidthSeries> series = {
      {"two <nodes> & \"more\"", {{1024, 0.5}, {1048576, 50}}, {{1024, 0.6}, {1048576, 48}}},
      {"one node", {{1024, 1.5}}, {}}};
  const std::string svg = bandwidth_svg("Links", series);
  CHECK(svg.rfind("<svg ", 0) == 0);
  CHECK(svg.find("</svg>") != std::string::npos);
  CHECK(count(svg, "fill-opacity") == 3);
  CHECK(svg.find("two &lt;nodes&gt; &amp; &quot;more&quot;") != std::string::npos);
  CHECK(svg.find(">1 KiB<") != std::string::npos);
  CHECK(svg.find(">1 MiB<") != std::string::npos);
  CHECK(svg.find(">10<") != std::string::npos);  // GB/s
}

TEST_CASE("points that logarithmic axes have no place for are not drawn") {
  const std::string svg = bandwidth_svg("", {{"a", {{0, 1}, {1, 0}, {1, std::nan("")}, {-1, -1}, {64, 1}}, {}}});
  CHECK(count(svg, "fill-opacity") == 1);
  CHECK(svg.find("nan") == std::string::npos);
  CHECK(svg.find("inf") == std::string::npos);
  CHECK(bandwidth_svg("nothing", {}).find("nan") == std::string::npos);
}

TEST_CASE("many runs are counted where their labels find no place") {
  const std::string svg = bandwidth_svg("", std::vector<BandwidthSeries>(25, {"run", {{8, 1}}, {}}));
  CHECK(count(svg, ">run<") == 20);
  CHECK(svg.find("and 5 more") != std::string::npos);
}
