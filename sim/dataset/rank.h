// Search methods against each other on a data set: how far from the optimum each is after how many evaluations, over
// many seeds. Nothing is simulated but the bounds of a method that asks for them itself.
//
// The regret of a search after n evaluations is best(n) / optimum - 1, best(n) being the least score among its first n
// evaluations (as NAS-Bench-101 has it for accuracies: Ying et al., arXiv:1902.09635, section 4).
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "sim/dataset/replay.h"
#include "sim/search/method.h"

namespace echelon {

struct RankOptions {
  Objective objective = Objective::time;  // one score: not pareto
  int seeds = 100;
  std::int64_t evaluations = 500;  // budget of each search
  int threads = 1;                 // for bounds
  std::function<void()> searched;  // called after each search
};

// Of the regrets of all seeds; infinite where that share of searches has found nothing that runs.
struct Quartiles {
  double low = 0;
  double median = 0;
  double high = 0;
};

struct MethodRank {
  std::string method;
  int searches = 0;               // 1 where the seed changes nothing
  std::vector<Quartiles> regret;  // by Ranking::checkpoints
  double to_near = 0;             // median of the evaluations until the regret is at most `near`; infinite: never
  std::int64_t bounds = 0;        // that one search asked for
};

struct Ranking {
  static constexpr double near = 0.01;

  Objective objective = Objective::time;
  std::int64_t optimum_point = 0;
  double optimum = 0;                     // its score, by objective.h
  std::vector<std::int64_t> checkpoints;  // numbers of evaluations: 1, 2, 5, 10, ... and the budget
  std::vector<MethodRank> methods;        // the soonest near the optimum first, then by regret at the end
};

// Throws InputError where nothing in the data can run.
Ranking rank_methods(const SpaceDocument& document, const RecordedPoints& points,
                     const std::vector<const SearchMethod*>& methods, const RankOptions& options);

nlohmann::ordered_json ranking_json(const Ranking& ranking);

enum class TableStyle { text, markdown };
// A row a method: median regret at the checkpoints from 10 on, quartiles beside it.
std::string ranking_table(const Ranking& ranking, TableStyle style);

}  // namespace echelon
