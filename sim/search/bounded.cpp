#include <tbb/blocked_range.h>
#include <tbb/enumerable_thread_specific.h>
#include <tbb/global_control.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <atomic>
#include <memory>

#include "sim/app/bound.h"
#include "sim/app/quick_bound.h"
#include "sim/search/method.h"

namespace echelon {

namespace {

// All bounds are kept at once.
constexpr std::int64_t most_points = 20'000'000;

// How well the least that a point takes is known.
enum class Known {
  quickly,  // by its quick bound, or not at all
  replayed  // by the bound that replays as many micro-batches as fill its pipeline, where it has one
};

struct Candidate {
  std::int64_t point = 0;
  Scores least;  // empty: ruled out
  Known known = Known::quickly;
  bool counted = false;
  std::optional<BrokenLimit> broken;
};

// The least promising candidate is the greatest.
struct LessPromising {
  bool operator()(const Candidate& a, const Candidate& b) const {
    return a.least != b.least ? a.least > b.least : a.point > b.point;
  }
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
    for (const Candidate& candidate : candidates) count(candidate);
    std::erase_if(candidates, [](const Candidate& candidate) { return candidate.least.empty(); });
    return candidates;
  }

  // The same point with what the dearer bound says of it.
  Candidate replayed(const Candidate& quick) {
    PointEvaluator& evaluator = *evaluators_.local();
    const auto there = evaluator.scenario(evaluator.space().digits(quick.point));
    const Scenario& scenario = *std::get<const Scenario*>(there);
    if (!has_bound(scenario)) return {quick.point, quick.least, Known::replayed, false, {}};
    Candidate result = valued(quick.point, scenario, bound(scenario));
    for (std::size_t i = 0; i < result.least.size(); ++i) result.least[i] = std::max(result.least[i], quick.least[i]);
    result.known = Known::replayed;
    count(result);
    return result;
  }

  const SearchCounts& counts() const { return counts_; }

 private:
  Candidate candidate(PointEvaluator& evaluator, std::int64_t point) const {
    const Space& space = evaluator.space();
    Candidate ruled_out{point, {}, Known::quickly, false, {}};
    const auto digits = space.digits(point);
    if (!space.includes(digits)) return ruled_out;
    const auto outcome = evaluator.scenario(digits);
    const auto* there = std::get_if<const Scenario*>(&outcome);
    if (there == nullptr) return ruled_out;
    const Scenario& scenario = **there;
    if (auto broken = broken_limit(limits_, scenario.gpus))
      return {point, {}, Known::quickly, false, std::move(broken)};
    const Scores nothing_known(scores_of(objective_, Result{}).size(), 0);
    if (!has_quick_bound(scenario.strategy)) return {point, nothing_known, Known::quickly, false, {}};
    return valued(point, scenario, quick_bound(scenario));
  }

  Candidate valued(std::int64_t point, const Scenario& scenario, const std::variant<Result, Infeasible>& least) const {
    const Result* result = std::get_if<Result>(&least);
    if (result == nullptr) return {point, {}, Known::quickly, false, {}};
    if (!result->memory.fits) return {point, {}, Known::quickly, true, {}};
    // Days and money of a run grow with the iteration's: what breaks a limit at its bound breaks it.
    Valuation value = valuation(objective_, limits_, scenario, *result);
    if (value.broken) return {point, {}, Known::quickly, true, std::move(value.broken)};
    return {point, std::move(value.scores), Known::quickly, true, {}};
  }

  void count(const Candidate& candidate) {
    counts_.bounds += candidate.counted ? 1 : 0;
    counts_.refused += candidate.counted || !candidate.least.empty() ? 0 : 1;
    if (candidate.broken) counts_.tally(*candidate.broken);
  }

  Objective objective_;
  RunLimits limits_;
  tbb::enumerable_thread_specific<std::unique_ptr<PointEvaluator>> evaluators_;
  int threads_;
  SearchCounts counts_;
};

// The most promising points first, as far as they may still be better than what was found: those whose bound can be
// raised get the dearer one before they are evaluated.
void evaluate_promising(SearchProblem& problem, Bounds& bounds) {
  std::vector<Candidate> candidates = bounds.of(problem.space().size());
  std::make_heap(candidates.begin(), candidates.end(), LessPromising());
  while (!candidates.empty() && !problem.exhausted()) {
    std::pop_heap(candidates.begin(), candidates.end(), LessPromising());
    const Candidate candidate = std::move(candidates.back());
    candidates.pop_back();
    const auto beats = [&](const Found& found) { return dominates(found.scores, candidate.least); };
    if (std::any_of(problem.found().begin(), problem.found().end(), beats)) continue;
    if (candidate.known == Known::replayed) {
      problem.evaluate(candidate.point);
      continue;
    }
    candidates.push_back(bounds.replayed(candidate));
    if (candidates.back().least.empty())
      candidates.pop_back();
    else
      std::push_heap(candidates.begin(), candidates.end(), LessPromising());
  }
}

}  // namespace

void search_bounded(SearchProblem& problem, const SearchOptions& options) {
  if (problem.space().size() > most_points)
    throw InputError({problem.document().file.string(), 0, 0},
                     fmt::format("the space has {} points, too many to bound each", problem.space().size()),
                     fmt::format("expected at most {}, or --method evolutionary", most_points));
  Bounds bounds(problem, options.threads);
  evaluate_promising(problem, bounds);
  problem.add_counts(bounds.counts());
}

}  // namespace echelon
