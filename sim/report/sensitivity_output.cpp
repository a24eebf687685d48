#include "sim/report/sensitivity_output.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "sim/report/number_text.h"

namespace echelon {

namespace {

constexpr int half_width = 24;

double change(const Sensitivity& entry, Seconds time) {
  return time / entry.as_is - 1;
}

// Cells from the middle: to the left for a shorter time, to the right for a longer one; `whole` fills a half.
std::string tornado_bar(const Sensitivity& entry, double whole) {
  const double low = std::min({0.0, change(entry, entry.at_less), change(entry, entry.at_more)});
  const double high = std::max({0.0, change(entry, entry.at_less), change(entry, entry.at_more)});
  const auto cells = [&](double part) { return static_cast<std::size_t>(std::lround(part / whole * half_width)); };
  std::string left(half_width - cells(-low), ' ');
  for (std::size_t i = 0; i < cells(-low); ++i) left += "█";
  std::string right;
  for (std::size_t i = 0; i < cells(high); ++i) right += "█";
  return left + "│" + to_the_left(right, half_width);
}

}  // namespace

std::string sensitivities_to_text(const std::vector<Sensitivity>& sensitivities, bool color) {
  const std::string heading = "What the time hangs on: each number alone at 0.8 and 1.25 times its value";
  std::string text = (color ? "\033[1m" + heading + "\033[0m" : heading) + "\n";
  text += fmt::format("  {:<16} {:>10} {:>9} {:>9}  {:>24}│{:<24}\n", "", "elasticity", "at 0.8", "at 1.25",
                      "faster ◄ ", " ► slower");
  double whole = 1e-6;
  for (const Sensitivity& entry : sensitivities)
    whole = std::max({whole, std::abs(change(entry, entry.at_less)), std::abs(change(entry, entry.at_more))});
  for (const Sensitivity& entry : sensitivities)
    text += fmt::format("  {:<16} {:>10.3f} {:>+7.1f} % {:>+7.1f} %  {}  {}\n", entry.name, entry.elasticity,
                        100 * change(entry, entry.at_less), 100 * change(entry, entry.at_more),
                        tornado_bar(entry, whole), entry.meaning);
  return text;
}

nlohmann::ordered_json sensitivities_to_json(const std::vector<Sensitivity>& sensitivities) {
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  for (const Sensitivity& entry : sensitivities)
    json.push_back({{"number", entry.name},
                    {"elasticity", entry.elasticity},
                    {"time_at_0.8_s", entry.at_less.value()},
                    {"time_at_1.25_s", entry.at_more.value()}});
  return json;
}

}  // namespace echelon
