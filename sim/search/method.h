// Ways to look for the best point of a space. Each is a function of its own file; adding one: a file, a declaration, a
// row in registry.cpp.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "sim/search/problem.h"

namespace echelon {

struct SearchOptions {
  std::uint64_t seed = 1;
  int threads = 1;  // for bounds; what is found does not depend on it
};

// Evaluates points of the problem until it is done or the budget is spent; what was found stands in the problem.
using SearchFunction = void (*)(SearchProblem& problem, const SearchOptions& options);

struct SearchMethod {
  std::string_view name;
  std::string_view meaning;
  SearchFunction run;
};

// The first is the default.
std::span<const SearchMethod> search_methods();
const SearchMethod* search_method(std::string_view name);
std::string search_method_names();

// Finds the optimum: points in the order of their bounds (sim/app/bound.h), until none that is left could win.
void search_bounded(SearchProblem& problem, const SearchOptions& options);
// Every point in order.
void search_exhaustive(SearchProblem& problem, const SearchOptions& options);
// Points drawn evenly.
void search_random(SearchProblem& problem, const SearchOptions& options);
// A population of points, the better of a few as parents, digits from either, now and then another digit.
void search_evolutionary(SearchProblem& problem, const SearchOptions& options);
// A walk to neighbours that takes worse ones ever more rarely: Markov chain Monte Carlo, as FlexFlow searches
// (arXiv:1807.05358, section 6.2).
void search_annealing(SearchProblem& problem, const SearchOptions& options);
// From random points to the best neighbour until none is better, over and over.
void search_descent(SearchProblem& problem, const SearchOptions& options);
// Dynamic programming over stages for every choice inside them, as Alpa, PipeDream and RaNNC search; stages.cpp says
// where it differs.
void search_stages(SearchProblem& problem, const SearchOptions& options);
// The front of score and memory, varied axis by axis, after TensorOpt's frontier tracking (frontier.cpp).
void search_frontier(SearchProblem& problem, const SearchOptions& options);
// GPUs handed out a prime factor at a time, after double recursive search (bisection.cpp).
void search_bisection(SearchProblem& problem, const SearchOptions& options);

}  // namespace echelon
