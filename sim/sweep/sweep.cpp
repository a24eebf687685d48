#include "sim/sweep/sweep.h"

#include <fmt/ranges.h>
#include <tbb/enumerable_thread_specific.h>
#include <tbb/global_control.h>
#include <tbb/parallel_pipeline.h>

#include <algorithm>
#include <memory>

namespace echelon {

namespace {

// Combinations that a thread takes at a time: enough to make the queue cheap, few enough that little is under way when
// a sweep is killed.
constexpr std::int64_t chunk = 32;

struct Batch {
  std::int64_t first = 0;
  std::int64_t last = 0;  // behind the last
  std::vector<Row> rows;
};
using BatchPointer = std::shared_ptr<Batch>;

}  // namespace

void add_row(PointEvaluator& evaluator, std::int64_t point, std::vector<Row>& rows) {
  const auto digits = evaluator.space().digits(point);
  if (evaluator.space().includes(digits)) rows.push_back(row_of(point, digits, evaluator.evaluate(digits)));
}

void check_last_row(PointEvaluator& evaluator, const RowSink& sink) {
  if (sink.last_line().empty()) return;
  const std::int64_t point = sink.next_point() - 1;
  const Space& space = evaluator.space();
  if (point < space.size()) {
    const auto digits = space.digits(point);
    if (space.includes(digits) && sink.line(row_of(point, digits, evaluator.evaluate(digits))) == sink.last_line())
      return;
  }
  throw InputError(sink.last_place(), fmt::format("the row of point {} is not what comes out now", point),
                   "expected the profiles, the models and the version that the sweep began with; --restart discards "
                   "what is there, another name keeps it");
}

std::string sweep_identity(const SpaceDocument& document) {
  return fmt::format("echelon {}, {} columns, --set [{}]\n{}", ECHELON_VERSION, value_columns().size(),
                     fmt::join(document.overrides, "] ["), document.text);
}

void run_sweep(const SpaceDocument& document, RowSink& sink, const SweepOptions& options) {
  tbb::enumerable_thread_specific<std::unique_ptr<PointEvaluator>> evaluators(
      [&] { return std::make_unique<PointEvaluator>(document); });
  PointEvaluator& first = *evaluators.local();
  check_last_row(first, sink);
  const std::int64_t size = first.space().size();
  std::int64_t next = sink.next_point();

  const auto take = [&](tbb::flow_control& control) -> BatchPointer {
    if (next >= size) {
      control.stop();
      return nullptr;
    }
    auto batch = std::make_shared<Batch>();
    batch->first = next;
    batch->last = next = std::min(size, next + chunk);
    return batch;
  };
  const auto work = [&](BatchPointer batch) {
    PointEvaluator& evaluator = *evaluators.local();
    for (std::int64_t point = batch->first; point < batch->last; ++point) add_row(evaluator, point, batch->rows);
    return batch;
  };
  const auto write = [&](const BatchPointer& batch) {
    if (!batch->rows.empty()) sink.write(batch->rows);
    if (options.written) options.written(batch->rows, batch->last);
  };
  const auto threads = static_cast<std::size_t>(std::max(1, options.threads));
  const tbb::global_control limit(tbb::global_control::max_allowed_parallelism, threads);
  tbb::parallel_pipeline(4 * threads,
                         tbb::make_filter<void, BatchPointer>(tbb::filter_mode::serial_in_order, take) &
                             tbb::make_filter<BatchPointer, BatchPointer>(tbb::filter_mode::parallel, work) &
                             tbb::make_filter<BatchPointer, void>(tbb::filter_mode::serial_in_order, write));
}

}  // namespace echelon
