// Dynamic programming over stages, the choice inside a stage within it.
//
// Alpa (arXiv:2201.12023, section 5) finds the best choice inside a stage for every run of layers, then cuts the model
// into stages by dynamic programming; PipeDream and RaNNC (arXiv:2103.16063) do the second with profiled layers. Here
// the choice inside is every combination of the axes but `strategy.pipeline_parallel`. For each one the layers are
// priced and one table gives the slowest stage of every pipeline length (sim/app/stage_plan.h). Then points are
// evaluated, the least estimates first, those that a bound shows not to fit left out, until `patience` of them in a row
// are no better. The strategies of echelon have one choice inside for all stages, where Alpa may give each its own; and
// a point's layers lie as its strategy says, not as the table would have them (`strategy.stage_layers: balanced`
// does that).
#include <algorithm>
#include <map>
#include <optional>

#include "sim/app/bound.h"
#include "sim/app/simulate.h"
#include "sim/app/stage_plan.h"
#include "sim/search/method.h"

namespace echelon {

namespace {

constexpr std::int64_t most_points = 20'000'000;  // all estimates are kept at once
constexpr int patience = 24;

struct Estimate {
  std::int64_t point = 0;
  Scores scores;
};

class Stages {
 public:
  explicit Stages(SearchProblem& problem) : problem_(problem), evaluator_(problem.document()) {
    const auto& axes = problem.space().axes();
    for (std::size_t i = 0; i < axes.size(); ++i)
      if (axes[i].key == "strategy.pipeline_parallel") pipeline_ = i;
  }

  void run() {
    std::vector<Estimate> estimates;
    for (std::int64_t point = 0; point < problem_.space().size(); ++point)
      if (auto scores = estimate(point)) estimates.push_back({point, std::move(*scores)});
    std::stable_sort(estimates.begin(), estimates.end(),
                     [](const Estimate& a, const Estimate& b) { return a.scores < b.scores; });
    int in_vain = 0;
    for (const Estimate& estimate : estimates) {
      if (in_vain == patience || problem_.exhausted()) break;
      if (!may_fit(estimate.point)) continue;
      const auto before = best();
      if (problem_.evaluate(estimate.point)) in_vain = best() == before ? in_vain + 1 : 0;
    }
    problem_.add_counts(counts_);
  }

 private:
  struct Table {
    std::vector<Seconds> layers;  // empty: no point of it can be laid out
    std::vector<Seconds> slowest;
  };

  // What was found so far, to see whether it changes.
  std::vector<std::int64_t> best() const {
    std::vector<std::int64_t> points;
    for (const Found& found : problem_.found()) points.push_back(found.row.point);
    return points;
  }

  std::optional<Scores> estimate(std::int64_t point) {
    const auto digits = problem_.space().digits(point);
    if (!problem_.space().includes(digits)) return std::nullopt;
    const auto there = evaluator_.scenario(digits);
    const auto* scenario = std::get_if<const Scenario*>(&there);
    if (scenario == nullptr || broken_limit(problem_.limits(), (*scenario)->gpus)) return std::nullopt;
    const Table& table = table_of(digits, **scenario);
    if (table.layers.empty()) return std::nullopt;
    const Seconds time = stage_estimate(**scenario, table.layers, table.slowest);
    return scores_of_time(**scenario, time);
  }

  // One for all points that differ in the number of stages alone, priced at the first that can be laid out.
  const Table& table_of(std::vector<std::size_t> digits, const Scenario& scenario) {
    if (pipeline_) digits[*pipeline_] = 0;
    Table& table = tables_[problem_.space().point_of(digits)];
    if (!table.layers.empty()) return table;
    auto layers = layer_times(scenario);
    if (auto* times = std::get_if<std::vector<Seconds>>(&layers)) {
      table.slowest = slowest_stages(*times, times->size());
      table.layers = std::move(*times);
    }
    return table;
  }

  Scores scores_of_time(const Scenario& scenario, Seconds time) const {
    Result result;
    result.iteration = time;
    result.samples = static_cast<double>(scenario.workload.global_batch);
    result.tokens = result.samples * static_cast<double>(scenario.workload.sequence_length);
    result.gpus = scenario.gpus;
    add_money_and_energy(scenario, result);
    return valuation(problem_.objective(), problem_.limits(), scenario, result).scores;
  }

  bool may_fit(std::int64_t point) {
    const auto there = evaluator_.scenario(problem_.space().digits(point));
    const auto* scenario = std::get_if<const Scenario*>(&there);
    if (scenario == nullptr || !has_bound(**scenario)) return scenario != nullptr;
    ++counts_.bounds;
    const auto least = bound(**scenario);
    const auto* result = std::get_if<Result>(&least);
    return result != nullptr && result->memory.fits;
  }

  SearchProblem& problem_;
  PointEvaluator evaluator_;
  std::optional<std::size_t> pipeline_;
  std::map<std::int64_t, Table> tables_;
  SearchCounts counts_;
};

}  // namespace

void search_stages(SearchProblem& problem, const SearchOptions&) {
  if (problem.space().size() > most_points)
    throw InputError({problem.document().file.string(), 0, 0},
                     fmt::format("the space has {} points, too many to estimate each", problem.space().size()),
                     fmt::format("expected at most {}, or --method evolutionary", most_points));
  Stages(problem).run();
}

}  // namespace echelon
