#include <tbb/blocked_range.h>
#include <tbb/enumerable_thread_specific.h>
#include <tbb/global_control.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <atomic>
#include <memory>

#include "sim/app/bound.h"
#include "sim/search/method.h"

namespace echelon {

namespace {

// All bounds are kept at once.
constexpr std::int64_t most_points = 20'000'000;

struct Candidate {
  std::int64_t point = 0;
  Scores least;  // empty: ruled out
  bool counted = false;
  std::optional<BrokenLimit> broken;
};

class Bounds {
 public:
  Bounds(const SearchProblem& problem, int threads)
      : objective_(problem.objective()),
        limits_(problem.limits()),
        evaluators_([document = problem.document()] { return std::make_unique<PointEvaluator>(document); }),
        threads_(threads) {}

  // What every point scores at least, in the order of points; none that is ruled out.
  std::vector<Candidate> of(std::int64_t size) {
    std::vector<Candidate> candidates(static_cast<std::size_t>(size));
    const tbb::global_control limit(tbb::global_control::max_allowed_parallelism,
                                    static_cast<std::size_t>(std::max(1, threads_)));
    tbb::parallel_for(tbb::blocked_range<std::size_t>(0, candidates.size(), 16), [&](const auto& range) {
      PointEvaluator& evaluator = *evaluators_.local();
      for (std::size_t i = range.begin(); i < range.end(); ++i)
        candidates[i] = candidate(evaluator, static_cast<std::int64_t>(i));
    });
    for (const Candidate& candidate : candidates) {
      counts_.bounds += candidate.counted ? 1 : 0;
      counts_.refused += candidate.counted || !candidate.least.empty() ? 0 : 1;
      if (candidate.broken) counts_.tally(*candidate.broken);
    }
    std::erase_if(candidates, [](const Candidate& candidate) { return candidate.least.empty(); });
    return candidates;
  }

  const SearchCounts& counts() const { return counts_; }

 private:
  Candidate candidate(PointEvaluator& evaluator, std::int64_t point) const {
    const Space& space = evaluator.space();
    const auto digits = space.digits(point);
    if (!space.includes(digits)) return {point, {}, false, {}};
    const auto outcome = evaluator.scenario(digits);
    const auto* there = std::get_if<const Scenario*>(&outcome);
    if (there == nullptr) return {point, {}, false, {}};
    const Scenario& scenario = **there;
    if (auto broken = broken_limit(limits_, scenario.gpus)) return {point, {}, false, std::move(broken)};
    const Scores nothing_known(scores_of(objective_, Result{}).size(), 0);
    if (!has_bound(scenario.strategy)) return {point, nothing_known, false, {}};
    const auto least = bound(scenario);
    const Result* result = std::get_if<Result>(&least);
    if (result == nullptr) return {point, {}, false, {}};
    if (!result->memory.fits) return {point, {}, true, {}};
    // Days and money of a run grow with the iteration's: what breaks a limit at its bound breaks it.
    Valuation value = valuation(objective_, limits_, scenario, *result);
    if (value.broken) return {point, {}, true, std::move(value.broken)};
    return {point, std::move(value.scores), true, {}};
  }

  Objective objective_;
  RunLimits limits_;
  tbb::enumerable_thread_specific<std::unique_ptr<PointEvaluator>> evaluators_;
  int threads_;
  SearchCounts counts_;
};

}  // namespace

void search_bounded(SearchProblem& problem, const SearchOptions& options) {
  if (problem.space().size() > most_points)
    throw InputError({problem.document().file.string(), 0, 0},
                     fmt::format("the space has {} points, too many to bound each", problem.space().size()),
                     fmt::format("expected at most {}, or --method evolutionary", most_points));
  Bounds bounds(problem, options.threads);
  std::vector<Candidate> candidates = bounds.of(problem.space().size());
  problem.add_counts(bounds.counts());
  std::sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
    return a.least != b.least ? a.least < b.least : a.point < b.point;
  });
  for (const Candidate& candidate : candidates) {
    const auto beats = [&](const Found& found) { return dominates(found.scores, candidate.least); };
    if (std::any_of(problem.found().begin(), problem.found().end(), beats)) continue;
    problem.evaluate(candidate.point);
    if (problem.exhausted()) return;
  }
}

}  // namespace echelon
