// The three kinds of error, never mixed:
//   InputError   the user's mistake: thrown, caught in main alone, exit code 2.
//   Infeasible   a strategy that cannot run: a returned value, because sweeps expect it, exit code 1.
//   SIM_CHECK    our own bug: on in release too; user input never reaches one.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace echelon {

// Where in a document something stands. Lines and columns count from 1; 0 means "the document as a whole".
struct SourceLocation {
  std::string file;
  int line = 0;
  int column = 0;
};

// what() reads "file:line:column: what is wrong; what would be right".
class InputError : public std::runtime_error {
 public:
  InputError(SourceLocation where, const std::string& wrong, const std::string& right);

  const SourceLocation& where() const { return where_; }
  // what() without the place.
  const std::string& problem() const { return problem_; }

 private:
  SourceLocation where_;
  std::string problem_;
};

// Why a strategy cannot run, with the number that would work where there is one.
struct Infeasible {
  std::string reason;
};

// Thrown by SIM_CHECK: a state that our own code must never reach.
class InternalError : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

[[noreturn]] void fail_check(const char* condition, const char* file, int line, const std::string& why);

}  // namespace echelon

// SIM_CHECK(condition, "why {}", values...): throws InternalError when the condition does not hold.
#define SIM_CHECK(condition, ...)                                                                      \
  do {                                                                                                 \
    if (!(condition)) ::echelon::fail_check(#condition, __FILE__, __LINE__, fmt::format(__VA_ARGS__)); \
  } while (false)
