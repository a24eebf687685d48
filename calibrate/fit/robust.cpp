#include "calibrate/fit/robust.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace echelon {
namespace {

constexpr double huber_knee = 0.1;

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

using Residuals = std::function<std::vector<double>(std::span<const double>)>;
using Matrix = std::vector<std::vector<double>>;

double sum_of_losses(const std::vector<double>& log_ratios) {
  double sum = 0;
  for (const double ratio : log_ratios) sum += huber_loss(ratio);
  return sum;
}

// d log_ratios / d parameter, one column a parameter.
Matrix slopes(const Residuals& log_ratios, const std::vector<double>& at, const std::vector<double>& there) {
  constexpr double step = 1e-4;
  Matrix columns;
  for (std::size_t i = 0; i < at.size(); ++i) {
    std::vector<double> beside = at;
    beside[i] += step;
    std::vector<double> column = log_ratios(beside);
    for (std::size_t s = 0; s < column.size(); ++s) column[s] = (column[s] - there[s]) / step;
    columns.push_back(std::move(column));
  }
  return columns;
}

// Solves a symmetric positive definite system by Gauss's elimination.
std::vector<double> solved(Matrix a, std::vector<double> b) {
  const std::size_t count = b.size();
  for (std::size_t i = 0; i < count; ++i)
    for (std::size_t row = i + 1; row < count; ++row) {
      const double factor = a[row][i] / a[i][i];
      for (std::size_t j = i; j < count; ++j) a[row][j] -= factor * a[i][j];
      b[row] -= factor * b[i];
    }
  for (std::size_t i = count; i-- > 0;) {
    for (std::size_t j = i + 1; j < count; ++j) b[i] -= a[i][j] * b[j];
    b[i] /= a[i][i];
  }
  return b;
}

// The weighted normal equations of Huber's loss: weight 1 within the knee, knee / |ratio| beyond.
struct NormalEquations {
  Matrix product;
  std::vector<double> gradient;

  NormalEquations(const Matrix& columns, const std::vector<double>& ratios)
      : product(columns.size(), std::vector<double>(columns.size(), 0)), gradient(columns.size(), 0) {
    std::vector<double> weights;
    for (const double ratio : ratios) weights.push_back(std::min(1.0, huber_knee / std::max(std::abs(ratio), 1e-12)));
    for (std::size_t i = 0; i < columns.size(); ++i) {
      for (std::size_t s = 0; s < ratios.size(); ++s) gradient[i] += weights[s] * columns[i][s] * ratios[s];
      for (std::size_t j = 0; j <= i; ++j) {
        for (std::size_t s = 0; s < ratios.size(); ++s) product[i][j] += weights[s] * columns[i][s] * columns[j][s];
        product[j][i] = product[i][j];
      }
    }
  }

  // A parameter that moves nothing stays.
  std::vector<double> step(double damping) const {
    Matrix damped = product;
    for (std::size_t i = 0; i < damped.size(); ++i) damped[i][i] += damping * product[i][i] + 1e-9;
    return solved(std::move(damped), gradient);
  }
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

Minimum refine(const Residuals& log_ratios, std::vector<double> start) {
  constexpr int rounds = 30;
  constexpr double no_better = 1e-9;  // of the loss: the end
  std::vector<double> ratios = log_ratios(start);
  Minimum best{std::move(start), sum_of_losses(ratios)};
  double damping = 1e-3;
  for (int round = 0; round < rounds && damping < 1e6; ++round) {
    const NormalEquations equations(slopes(log_ratios, best.at, ratios), ratios);
    const double before = best.value;
    for (bool better = false; !better && damping < 1e6; damping *= better ? 0.1 : 10) {
      std::vector<double> there = best.at;
      const std::vector<double> step = equations.step(damping);
      for (std::size_t i = 0; i < there.size(); ++i) there[i] -= step[i];
      std::vector<double> at_there = log_ratios(there);
      const double value = sum_of_losses(at_there);
      better = value < best.value;
      if (!better) continue;
      best = {std::move(there), value};
      ratios = std::move(at_there);
    }
    if (before - best.value < no_better * before) break;
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
