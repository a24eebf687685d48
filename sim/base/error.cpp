#include "sim/base/error.h"

namespace echelon {

namespace {

std::string located(const SourceLocation& where, const std::string& wrong, const std::string& right) {
  std::string text = where.file;
  if (where.line > 0) text += fmt::format(":{}:{}", where.line, where.column);
  text += fmt::format(": {}", wrong);
  if (!right.empty()) text += fmt::format("; {}", right);
  return text;
}

}  // namespace

InputError::InputError(SourceLocation where, const std::string& wrong, const std::string& right)
    : std::runtime_error(located(where, wrong, right)), where_(std::move(where)) {}

void fail_check(const char* condition, const char* file, int line, const std::string& why) {
  throw InternalError(fmt::format("{}:{}: internal check failed: {} ({})", file, line, why, condition));
}

}  // namespace echelon
