// The front of score and memory, axis by axis.
//
// TensorOpt's frontier tracking (arXiv:2004.10856) eliminates the operators of a graph one by one and keeps,
// for what is left, the choices that nothing beats in time and memory together; costs there are sums over operators, so
// what is dropped can be in no best plan. A point's costs here are no sums over its axes: a front is kept of whole
// points, which every axis in turn varies, and what is dropped could still have been on the way to the best. Points
// that do not fit stay on the front, since an axis yet to come (recompute, sharding) may make room.
#include <algorithm>

#include "sim/search/method.h"
#include "sim/search/walk.h"

namespace echelon {

namespace {

constexpr std::size_t widest = 6;  // points of a front that the next axis varies
constexpr int most_rounds = 4;     // over all axes, from one start
constexpr int patience = 2;        // starts in a row that find nothing better

struct Member {
  std::int64_t point = 0;
  PointCost cost;
};

bool beats(const Member& a, const Member& b) {
  if (a.cost.score == b.cost.score && a.cost.bytes == b.cost.bytes) return a.point < b.point;
  return a.cost.score <= b.cost.score && a.cost.bytes <= b.cost.bytes;
}

// By score upwards, memory downwards: what nothing beats.
std::vector<Member> front_of(const std::vector<Member>& members) {
  std::vector<Member> front;
  for (const Member& member : members) {
    const auto loses_to = [&](const Member& other) { return other.point != member.point && beats(other, member); };
    if (std::none_of(members.begin(), members.end(), loses_to)) front.push_back(member);
  }
  std::sort(front.begin(), front.end(), [](const Member& a, const Member& b) {
    return a.cost.score != b.cost.score ? a.cost.score < b.cost.score : a.point < b.point;
  });
  return front;
}

class Tracking {
 public:
  Tracking(SearchProblem& problem, std::uint64_t seed) : problem_(problem), draw_(seed) {}

  void run() {
    double least = 0;
    int in_vain = 0;
    for (std::int64_t look = 0; look < problem_.most_looks() && in_vain < patience && !problem_.exhausted(); ++look) {
      const std::int64_t start = random_point(problem_.space(), draw_);
      if (!problem_.cost(start)) continue;
      const double height = track(start);
      in_vain = look > 0 && least > 0 && height >= least ? in_vain + 1 : 0;
      if (least == 0 || height < least) least = height;
    }
  }

 private:
  // The least height on the front that the start leads to.
  double track(std::int64_t start) {
    std::vector<Member> front = {{start, *problem_.cost(start)}};
    for (int round = 0; round < most_rounds && !problem_.exhausted(); ++round) {
      const std::vector<Member> before = front;
      for (std::size_t axis = 0; axis < problem_.space().axes().size(); ++axis) front = varied(front, axis);
      const auto same = [](const Member& a, const Member& b) { return a.point == b.point; };
      if (std::equal(front.begin(), front.end(), before.begin(), before.end(), same)) break;
    }
    double least = problem_.height(start);
    for (const Member& member : front) least = std::min(least, problem_.height(member.point));
    return least;
  }

  std::vector<Member> varied(const std::vector<Member>& front, std::size_t axis) {
    const Space& space = problem_.space();
    std::vector<Member> members;
    for (const Member& member : front) {
      auto digits = space.digits(member.point);
      for (std::size_t value = 0; value < space.axes()[axis].values.size(); ++value) {
        digits[axis] = value;
        const std::int64_t point = space.point_of(digits);
        const auto known = [&](const Member& other) { return other.point == point; };
        if (std::any_of(members.begin(), members.end(), known)) continue;
        if (const auto cost = problem_.cost(point)) members.push_back({point, *cost});
      }
    }
    return narrowed(front_of(members));
  }

  // At most `widest`: the best that can run, and of the others the nearest to it on either side.
  std::vector<Member> narrowed(std::vector<Member> front) {
    if (front.size() <= widest) return front;
    const auto higher = [&](const Member& a, const Member& b) {
      return problem_.height(a.point) < problem_.height(b.point);
    };
    const auto best = static_cast<std::size_t>(std::min_element(front.begin(), front.end(), higher) - front.begin());
    const std::size_t first = std::min(best > widest / 2 ? best - widest / 2 : 0, front.size() - widest);
    return {front.begin() + static_cast<std::ptrdiff_t>(first),
            front.begin() + static_cast<std::ptrdiff_t>(first + widest)};
  }

  SearchProblem& problem_;
  Draw draw_;
};

}  // namespace

void search_frontier(SearchProblem& problem, const SearchOptions& options) {
  Tracking(problem, options.seed).run();
}

}  // namespace echelon
