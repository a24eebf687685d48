#include "sim/app/compare.h"

#include <algorithm>
#include <map>

#include "sim/app/scenario_text.h"
#include "sim/app/simulate.h"
#include "sim/app/whole_run.h"
#include "sim/config/run_limits_config.h"
#include "sim/config/variants.h"
#include "sim/metrics/limit_check.h"

namespace echelon {

namespace {

Candidate candidate_of(const Variant& variant, const std::filesystem::path& file, const HfReader& hf_reader) {
  const Scenario scenario = scenario_from_yaml(variant.document, file, hf_reader);
  const RunLimits limits = run_limits_in(variant.document);
  Candidate candidate{variant.name.empty() ? scenario.name : variant.name, simulate(scenario)};
  candidate.description = scenario_text(scenario);
  if (const Result* result = candidate.result()) candidate.run = whole_run(scenario, *result, limits.tokens);
  auto broken = broken_limit(limits, scenario.gpus);
  if (!broken && candidate.run) broken = broken_limit(limits, *candidate.run);
  if (broken) candidate.broken_limit = broken->reason;
  return candidate;
}

}  // namespace

std::vector<Candidate> candidates_of(const std::vector<std::filesystem::path>& files,
                                     const std::vector<std::string>& overrides, const HfReader& hf_reader) {
  std::vector<Candidate> candidates;
  std::vector<std::string> stems;
  for (const std::filesystem::path& file : files)
    for (const Variant& variant : variants_of(with_overrides(parse_file(file), overrides))) {
      candidates.push_back(candidate_of(variant, file, hf_reader));
      stems.push_back(file.stem().string());
    }
  std::map<std::string, int> uses;
  for (const Candidate& candidate : candidates) ++uses[candidate.name];
  for (std::size_t i = 0; i < candidates.size(); ++i)
    if (uses[candidates[i].name] > 1) candidates[i].name = stems[i] + ": " + candidates[i].name;
  std::map<std::string, int> seen;  // of one file given twice, or of files of one name in several folders
  for (Candidate& candidate : candidates)
    if (const int number = ++seen[candidate.name]; number > 1) candidate.name += fmt::format(" ({})", number);
  return candidates;
}

}  // namespace echelon
