#include <cmath>

#include "sim/search/method.h"
#include "sim/search/walk.h"

namespace echelon {

namespace {

// Accepted with probability exp(-ln(new / old) / temperature); from 0.5 to 0.005, then again from the best.
constexpr double hot = 0.5;
constexpr double cold = 0.005;
constexpr std::int64_t steps_of_a_round = 400;

}  // namespace

void search_annealing(SearchProblem& problem, const SearchOptions& options) {
  Draw draw(options.seed);
  const Space& space = problem.space();
  std::int64_t point = random_point(space, draw);
  double height = problem.height(point);
  for (std::int64_t step = 0; step < problem.most_looks() && !problem.exhausted(); ++step) {
    const double share = static_cast<double>(step % steps_of_a_round) / steps_of_a_round;
    if (step % steps_of_a_round == 0 && step > 0) {
      point = random_point(space, draw);
      height = problem.height(point);
    }
    const double temperature = hot * std::pow(cold / hot, share);
    const std::int64_t next = neighbour(space, point, draw);
    const double next_height = problem.height(next);
    if (next_height > height && draw.share() >= std::exp(-std::log(next_height / height) / temperature)) continue;
    point = next;
    height = next_height;
  }
}

}  // namespace echelon
