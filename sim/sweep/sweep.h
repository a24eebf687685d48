// Every point of a space, in order, on several threads; the rows are the same bytes for any number of them.
#pragma once

#include <cstdint>
#include <functional>

#include "sim/sweep/point_evaluator.h"
#include "sim/sweep/sink.h"

namespace echelon {

struct SweepOptions {
  int threads = 1;
  // Called in order, on one thread at a time, with the rows that were just written and the number of combinations of
  // the space that lie behind.
  std::function<void(const std::vector<Row>& rows, std::int64_t behind)> written;
};

// What tells this sweep from others: the document with its overrides, the number of columns, and the program's version.
std::string sweep_identity(const SpaceDocument& document);

// Evaluates the points that the sink does not have yet. Memory does not grow with the number of points. To be called
// after PointEvaluator::check_values(), or mistakes in values come out as infeasible points. Throws InputError where
// the last row that the sink has is no longer what the program says of that point (a profile or a model changed).
void run_sweep(const SpaceDocument& document, RowSink& sink, const SweepOptions& options);

// The row of a combination, if the conditions include it.
void add_row(PointEvaluator& evaluator, std::int64_t point, std::vector<Row>& rows);

// Throws InputError where the last row of a sink that is continued is not what would be written now.
void check_last_row(PointEvaluator& evaluator, const RowSink& sink);

}  // namespace echelon
