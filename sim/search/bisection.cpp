// GPUs handed out a prime factor at a time.
//
// Double recursive search (Wang et al., "Efficient and systematic partitioning of large and deep neural networks for
// parallelization", Euro-Par 2021) halves the machine again and again and at each halving cuts every
// operator along the dimension that costs least; it never takes a cut back. Here the dimensions are the axes of degrees
// (`strategy.*_parallel`): all begin at their least, data parallelism holding the rest, and at each step the one that
// gains most takes a prime factor more, by the score of the whole point where the paper has a symbolic cost of each
// operator. It stops where no factor gains. The other axes then settle in turn, and the factors are handed out again
// for what they became.
#include <algorithm>
#include <optional>

#include "sim/search/method.h"

namespace echelon {

namespace {

constexpr int most_rounds = 4;

using Digits = std::vector<std::size_t>;

std::optional<std::int64_t> degree_of(const AxisValue& value) {
  const auto* number = std::get_if<double>(&value.value);
  if (number == nullptr || *number < 1) return std::nullopt;
  return static_cast<std::int64_t>(*number);
}

bool is_prime(std::int64_t number) {
  if (number < 2) return false;
  for (std::int64_t factor = 2; factor * factor <= number; ++factor)
    if (number % factor == 0) return false;
  return true;
}

bool is_degree(const SpaceAxis& axis) {
  constexpr std::string_view ending = "_parallel";
  return axis.key.size() > ending.size() &&
         axis.key.compare(axis.key.size() - ending.size(), ending.size(), ending) == 0 &&
         axis.key != "strategy.sequence_parallel" &&
         std::all_of(axis.values.begin(), axis.values.end(), [](const AxisValue& v) { return degree_of(v); });
}

class Bisection {
 public:
  explicit Bisection(SearchProblem& problem) : problem_(problem) {
    const auto& axes = problem.space().axes();
    for (std::size_t i = 0; i < axes.size(); ++i) {
      if (axes[i].key == "strategy.data_parallel" && is_degree(axes[i]))
        data_ = i;
      else
        (is_degree(axes[i]) ? degrees_ : others_).push_back(i);
    }
  }

  // From the first value of every other axis, and from the last.
  void run() {
    const auto& axes = problem_.space().axes();
    Digits first(axes.size(), 0);
    Digits last = first;
    for (const std::size_t axis : others_) last[axis] = axes[axis].values.size() - 1;
    for (const Digits& start : {first, last}) settle(start);
  }

 private:
  std::int64_t degree(std::size_t axis, std::size_t digit) const {
    return *degree_of(problem_.space().axes()[axis].values[digit]);
  }

  double height(const Digits& digits) { return problem_.height(problem_.space().point_of(digits)); }

  void settle(Digits digits) {
    for (int round = 0; round < most_rounds && !problem_.exhausted(); ++round) {
      const Digits before = digits;
      Digits divided = hand_out(digits);
      if (round == 0 || height(divided) < height(digits)) digits = std::move(divided);
      for (const std::size_t axis : others_) digits = best_of(digits, axis);
      if (digits == before) return;
    }
  }

  // The digit of the least degree, or of the greatest.
  std::size_t end_of(std::size_t axis, bool least) const {
    const auto& values = problem_.space().axes()[axis].values;
    std::size_t end = 0;
    for (std::size_t i = 1; i < values.size(); ++i)
      if (least ? degree(axis, i) < degree(axis, end) : degree(axis, i) > degree(axis, end)) end = i;
    return end;
  }

  Digits hand_out(Digits digits) {
    for (const std::size_t axis : degrees_) digits[axis] = end_of(axis, true);
    if (data_) digits[*data_] = end_of(*data_, false);
    while (!problem_.exhausted()) {
      Digits best = digits;
      for (const std::size_t axis : degrees_)
        for (std::size_t digit = 0; digit < problem_.space().axes()[axis].values.size(); ++digit)
          if (const auto next = with_factor(digits, axis, digit); next && height(*next) < height(best)) best = *next;
      if (best == digits) break;
      digits = best;
    }
    return digits;
  }

  // The axis a prime factor larger, which an axis of data parallelism gives up.
  std::optional<Digits> with_factor(const Digits& digits, std::size_t axis, std::size_t digit) const {
    const std::int64_t now = degree(axis, digits[axis]);
    const std::int64_t then = degree(axis, digit);
    if (then % now != 0 || !is_prime(then / now)) return std::nullopt;
    Digits next = digits;
    next[axis] = digit;
    if (!data_) return next;
    const auto& values = problem_.space().axes()[*data_].values;
    for (std::size_t i = 0; i < values.size(); ++i) {
      next[*data_] = i;
      if (degree(*data_, i) * then == degree(*data_, digits[*data_]) * now) return next;
    }
    return std::nullopt;
  }

  Digits best_of(Digits digits, std::size_t axis) {
    Digits best = digits;
    for (std::size_t value = 0; value < problem_.space().axes()[axis].values.size(); ++value) {
      digits[axis] = value;
      if (height(digits) < height(best)) best = digits;
    }
    return best;
  }

  SearchProblem& problem_;
  std::vector<std::size_t> degrees_;
  std::vector<std::size_t> others_;
  std::optional<std::size_t> data_;
};

}  // namespace

void search_bisection(SearchProblem& problem, const SearchOptions&) {
  Bisection(problem).run();
}

}  // namespace echelon
