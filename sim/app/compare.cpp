#include "sim/app/compare.h"

#include <algorithm>
#include <map>

#include "sim/app/simulate.h"
#include "sim/config/variants.h"

namespace echelon {

namespace {

Candidate candidate_of(const Variant& variant, const std::filesystem::path& file, const HfReader& hf_reader) {
  const Scenario scenario = scenario_from_yaml(variant.document, file, hf_reader);
  return {variant.name.empty() ? scenario.name : variant.name, simulate(scenario)};
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
  return candidates;
}

}  // namespace echelon
