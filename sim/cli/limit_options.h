// --tokens, --deadline, --budget and --max-gpus: what a scenario's `search.constraints` says, on the command line.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "sim/metrics/forecast.h"

namespace echelon {

// 0 = not given.
struct LimitOptions {
  double tokens = 0;
  double deadline_days = 0;
  double budget_usd = 0;
  std::int64_t max_gpus = 0;
};

// Adds the four options; `options` must outlive the parsing.
void add_limit_options(CLI::App& command, LimitOptions& options);

// The `--set` overrides that say the same, to be applied behind the user's own.
std::vector<std::string> overrides_of(const LimitOptions& options);

// "1e+12 tokens in 41.2 days for 1,234,567 USD on 512 GPUs".
std::string run_text(const Forecast& run, double gpus);

}  // namespace echelon
