#include <algorithm>

#include "sim/search/method.h"
#include "sim/search/walk.h"

namespace echelon {

namespace {

constexpr std::size_t population_size = 32;
constexpr std::size_t tournament = 3;
constexpr double mutation = 0.4;  // share of children that also move to a neighbour

class Evolution {
 public:
  Evolution(SearchProblem& problem, std::uint64_t seed) : problem_(problem), draw_(seed) {}

  void run() {
    std::int64_t looks = 0;
    const auto goes_on = [&] { return ++looks < problem_.most_looks() && !problem_.exhausted(); };
    while (population_.size() < population_size && goes_on()) join(random_point(problem_.space(), draw_));
    while (goes_on()) join(child());
  }

 private:
  struct Member {
    std::int64_t point = 0;
    double height = 0;
  };

  // Takes the place of the worst once the population is full, if it is no worse.
  void join(std::int64_t point) {
    const Member member{point, problem_.height(point)};
    if (population_.size() < population_size) {
      population_.push_back(member);
      return;
    }
    const auto known = [&](const Member& other) { return other.point == point; };
    if (std::any_of(population_.begin(), population_.end(), known)) return;
    const auto worst = std::max_element(population_.begin(), population_.end(),
                                        [](const Member& a, const Member& b) { return a.height < b.height; });
    if (member.height <= worst->height) *worst = member;
  }

  std::int64_t parent() {
    const Member* best = &population_[draw_.below(population_.size())];
    for (std::size_t i = 1; i < tournament; ++i) {
      const Member& other = population_[draw_.below(population_.size())];
      if (other.height < best->height) best = &other;
    }
    return best->point;
  }

  std::int64_t child() {
    const Space& space = problem_.space();
    auto digits = space.digits(parent());
    const auto others = space.digits(parent());
    for (std::size_t i = 0; i < digits.size(); ++i)
      if (draw_.share() < 0.5) digits[i] = others[i];
    std::int64_t point = space.point_of(digits);
    while (draw_.share() < mutation) point = neighbour(space, point, draw_);
    return point;
  }

  SearchProblem& problem_;
  Draw draw_;
  std::vector<Member> population_;
};

}  // namespace

void search_evolutionary(SearchProblem& problem, const SearchOptions& options) {
  Evolution(problem, options.seed).run();
}

}  // namespace echelon
