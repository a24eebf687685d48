#include "sim/cli/limit_options.h"

#include <fmt/format.h>

#include "sim/cli/number_in.h"
#include "sim/metrics/limit_check.h"
#include "sim/report/number_text.h"

namespace echelon {

namespace {

constexpr double seconds_per_day = 86400;

}  // namespace

void add_limit_options(CLI::App& command, LimitOptions& options) {
  command.add_option("--tokens", options.tokens, "Tokens of the whole run (search.constraints.tokens)")
      ->check(positive_number());
  command
      .add_option("--deadline", options.deadline_days, "Days that the run may take (search.constraints.deadline_days)")
      ->check(positive_number());
  command.add_option("--budget", options.budget_usd, "USD that the run may cost (search.constraints.budget_usd)")
      ->check(positive_number());
  command.add_option("--max-gpus", options.max_gpus, "GPUs that a cluster may have (search.constraints.max_gpus)")
      ->check(integer_in(1, 1'000'000'000));
}

std::vector<std::string> overrides_of(const LimitOptions& options) {
  std::vector<std::string> overrides;
  const auto add = [&](const char* key, double value) {
    if (value > 0) overrides.push_back(fmt::format("search.constraints.{}={}", key, value));
  };
  add("tokens", options.tokens);
  add("deadline_days", options.deadline_days);
  add("budget_usd", options.budget_usd);
  add("max_gpus", static_cast<double>(options.max_gpus));
  return overrides;
}

std::string run_text(const Forecast& run, double gpus) {
  const auto money = money_of(run);
  return fmt::format("{:.4g} tokens in {:.1f} days{} on {} GPUs", run.tokens, run.wall.value() / seconds_per_day,
                     money ? fmt::format(" for {} USD", grouped(*money)) : "", grouped(gpus));
}

}  // namespace echelon
