#include <array>

#include "sim/search/method.h"

namespace echelon {

std::span<const SearchMethod> search_methods() {
  static constexpr auto methods = std::to_array<SearchMethod>({
      {"bounded", "the optimum, by lower bounds of every point", search_bounded},
      {"exhaustive", "the optimum, by every point", search_exhaustive},
      {"random", "points drawn evenly", search_random},
      {"evolutionary", "a population with crossover and mutation", search_evolutionary},
      {"annealing", "simulated annealing from point to neighbour", search_annealing},
      {"descent", "steepest descent from random points", search_descent},
      {"stages", "dynamic programming over stages for every choice inside them", search_stages},
      {"frontier", "the front of score and memory, axis by axis", search_frontier},
      {"bisection", "GPUs handed out a prime factor at a time", search_bisection},
  });
  return methods;
}

const SearchMethod* search_method(std::string_view name) {
  for (const SearchMethod& method : search_methods())
    if (method.name == name) return &method;
  return nullptr;
}

std::string search_method_names() {
  std::string names;
  for (const SearchMethod& method : search_methods()) names += (names.empty() ? "" : ", ") + std::string(method.name);
  return names;
}

}  // namespace echelon
