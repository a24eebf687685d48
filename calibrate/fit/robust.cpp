#include "calibrate/fit/robust.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace echelon {
namespace {

using Objective = std::function<double(std::span<const double>)>;

// The simplex and its values, kept in order of value.
class Simplex {
 public:
  Simplex(const Objective& objective, const std::vector<double>& start, std::span<const double> step)
      : objective_(objective) {
    add(start);
    for (std::size_t i = 0; i < start.size(); ++i) {
      std::vector<double> corner = start;
      corner[i] += step[i];
      add(corner);
    }
    sort();
  }

  int evaluations() const { return evaluations_; }
  Minimum best() const { return corners_.front(); }

  // One reflection, expansion, contraction or shrinking.
  void advance() {
    const double dimensions = static_cast<double>(corners_.size() - 1);
    const std::vector<double> centre = centroid();
    const Minimum reflected = along(centre, 1);
    if (reflected.value < corners_.front().value) {
      replace_worst(reflected, along(centre, 1 + 2 / dimensions));
    } else if (reflected.value < corners_[corners_.size() - 2].value) {
      replace_worst(reflected, reflected);
    } else {
      const double contraction = 0.75 - 0.5 / dimensions;
      const bool outside = reflected.value < corners_.back().value;
      const Minimum contracted = along(centre, outside ? contraction : -contraction);
      if (contracted.value < std::min(reflected.value, corners_.back().value))
        replace_worst(contracted, contracted);
      else
        shrink(1 - 1 / dimensions);
    }
    sort();
  }

 private:
  void add(const std::vector<double>& at) { corners_.push_back({at, evaluate(at)}); }

  double evaluate(const std::vector<double>& at) {
    ++evaluations_;
    return objective_(at);
  }

  void sort() {
    std::stable_sort(corners_.begin(), corners_.end(),
                     [](const Minimum& a, const Minimum& b) { return a.value < b.value; });
  }

  std::vector<double> centroid() const {
    std::vector<double> centre(corners_.front().at.size(), 0);
    for (std::size_t c = 0; c + 1 < corners_.size(); ++c)
      for (std::size_t i = 0; i < centre.size(); ++i) centre[i] += corners_[c].at[i];
    for (double& value : centre) value /= static_cast<double>(corners_.size() - 1);
    return centre;
  }

  Minimum along(const std::vector<double>& centre, double distance) {
    std::vector<double> at(centre.size());
    for (std::size_t i = 0; i < at.size(); ++i) at[i] = centre[i] + distance * (centre[i] - corners_.back().at[i]);
    const double value = evaluate(at);
    return {std::move(at), value};
  }

  void replace_worst(const Minimum& one, const Minimum& other) {
    corners_.back() = other.value < one.value ? other : one;
  }

  void shrink(double factor) {
    for (std::size_t c = 1; c < corners_.size(); ++c) {
      for (std::size_t i = 0; i < corners_[c].at.size(); ++i)
        corners_[c].at[i] = corners_[0].at[i] + factor * (corners_[c].at[i] - corners_[0].at[i]);
      corners_[c].value = evaluate(corners_[c].at);
    }
  }

  const Objective& objective_;
  std::vector<Minimum> corners_;
  int evaluations_ = 0;
};

}  // namespace

double huber_loss(double log_ratio, double knee) {
  const double size = std::abs(log_ratio);
  return size <= knee ? 0.5 * size * size : knee * (size - 0.5 * knee);
}

Minimum minimise(const Objective& objective, std::vector<double> start, std::span<const double> step, int evaluations) {
  Minimum best{std::move(start), 0};
  for (int round = 0; round < 3; ++round) {
    std::vector<double> scaled(step.begin(), step.end());
    for (double& value : scaled) value *= round == 0 ? 1 : -0.5;
    Simplex simplex(objective, best.at, scaled);
    while (simplex.evaluations() < evaluations / 3) simplex.advance();
    best = simplex.best();
  }
  return best;
}

std::uint64_t mixed_hash(std::span<const std::int64_t> values) {
  std::uint64_t hash = 0;
  for (const std::int64_t value : values) {
    hash += static_cast<std::uint64_t>(value) + 0x9e3779b97f4a7c15ULL;
    hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9ULL;
    hash = (hash ^ (hash >> 27)) * 0x94d049bb133111ebULL;
    hash ^= hash >> 31;
  }
  return hash;
}

bool held_out(std::span<const std::int64_t> group) {
  return mixed_hash(group) % 5 == 0;
}

double median_of(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

ErrorFigures error_figures(std::vector<double> relative_errors) {
  if (relative_errors.empty()) return {};
  for (double& error : relative_errors) error = std::abs(error);
  std::sort(relative_errors.begin(), relative_errors.end());
  const auto at = [&](double share) {
    return relative_errors[static_cast<std::size_t>(share * static_cast<double>(relative_errors.size() - 1))];
  };
  const double sum = std::accumulate(relative_errors.begin(), relative_errors.end(), 0.0);
  return {at(0.5), at(0.95), sum / static_cast<double>(relative_errors.size())};
}

}  // namespace echelon
