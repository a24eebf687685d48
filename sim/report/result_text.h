// A result for people: the numbers first, then where time and memory go, as bars.
#pragma once

#include <string>

#include "sim/metrics/result.h"

namespace echelon {

struct TextOptions {
  bool color = false;
  bool operators = false;  // also the table of operators and their ground
};

// `title` heads the page; `measured_*` are shown beside the prediction where given (0 = not given).
struct TextHeading {
  std::string title;
  std::string subtitle;
  double measured_iteration_s = 0;
  double measured_peak_gib = 0;
};

std::string result_to_text(const Result& result, const TextHeading& heading, const TextOptions& options);

}  // namespace echelon
