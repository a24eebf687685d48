#include "sim/base/error.h"

namespace echelon {

namespace {

std::string joined(const std::string& wrong, const std::string& right) {
  return right.empty() ? wrong : fmt::format("{}; {}", wrong, right);
}

std::string located(const SourceLocation& where, const std::string& wrong, const std::string& right) {
  const std::string problem = joined(wrong, right);
  if (where.line > 0) return fmt::format("{}:{}:{}: {}", where.file, where.line, where.column, problem);
  return fmt::format("{}: {}", where.file, problem);
}

}  // namespace

InputError::InputError(SourceLocation where, const std::string& wrong, const std::string& right)
    : std::runtime_error(located(where, wrong, right)), where_(std::move(where)), problem_(joined(wrong, right)) {}

void fail_check(const char* condition, const char* file, int line, const std::string& why) {
  throw InternalError(fmt::format("{}:{}: internal check failed: {} ({})", file, line, why, condition));
}

}  // namespace echelon
