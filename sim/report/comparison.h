// Several predictions held against each other: which is best, and why the others differ, in sentences.
//
// Differences are told from the time breakdown: the critical rank's time for as many tokens a GPU as the first one
// processes, so that other batches and other numbers of GPUs can be held against it.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "sim/base/error.h"
#include "sim/metrics/result.h"
#include "sim/report/result_columns.h"

namespace echelon {

struct Candidate {
  std::string name;
  std::variant<Result, Infeasible> outcome;

  // The prediction where there is one, whether it fits or not.
  const Result* result() const { return std::get_if<Result>(&outcome); }
  // The prediction where it can run: nothing that does not fit.
  const Result* runnable() const { return result() != nullptr && result()->memory.fits ? result() : nullptr; }
};

// The index of the runnable candidate with the best value of the column; the first of equals. Nothing where none runs
// or the value is not known.
std::optional<std::size_t> best_candidate(const std::vector<Candidate>& candidates, const ResultColumn& metric);

// One sentence for each candidate but the reference, which is the first that can run: how much faster or slower, and
// which parts of its time grew or shrank. One that cannot run or does not fit says why.
std::vector<std::string> explain_differences(const std::vector<Candidate>& candidates);

}  // namespace echelon
