// A comparison as one page to decide from, which needs nothing beside itself: no script, no network, SVG in place.
#pragma once

#include <string>
#include <vector>

#include "sim/report/comparison.h"

namespace echelon {

// HTML that is well-formed XML too: what is best by `metric` and why the others differ, the table, time and memory as
// bars, warnings, and where the numbers come from.
std::string comparison_to_html(const std::vector<Candidate>& candidates, const ResultColumn& metric);

}  // namespace echelon
