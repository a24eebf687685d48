// A comparison for people and for machines.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "sim/report/comparison.h"

namespace echelon {

// A column for each candidate, a line for each figure; the best figure of a line carries a `*`, the best candidate by
// `metric` is named below, and the differences follow in sentences.
std::string comparison_to_text(const std::vector<Candidate>& candidates, const ResultColumn& metric, bool color);

// {"metric", "best": NAME or null, "candidates": [{"name", "status": "ok" | "does_not_fit" | "infeasible", "reason",
// "result": run --json's}], "differences": [sentence]}
nlohmann::ordered_json comparison_to_json(const std::vector<Candidate>& candidates, const ResultColumn& metric);

}  // namespace echelon
