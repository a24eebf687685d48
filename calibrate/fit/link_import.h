// A profile and nccl-tests logs -> the profile with constants of its links fitted to those logs: the body of
// `echelon import nccl-tests LOG... --profile NAME -o OUT.yaml`. What no row depends on keeps the profile's numbers.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "calibrate/fit/link_fit.h"
#include "sim/hardware/profile.h"

namespace echelon {

struct LinkImport {
  Profile profile;                // with the fitted network, the logs named in its provenance
  std::vector<MeasuredRun> runs;  // in the order of the files; residual i is of run i
  LinkFit fit;
  std::map<std::string, std::int64_t> skipped;  // reason -> rows left out
};

// `ranks_per_node`: of the logs that do not say it; 0 = as many as a node of the profile has. Throws InputError for
// files that are no such logs, where a log says otherwise, and where a run cannot have been made on the profile's
// machine.
LinkImport import_links(const Profile& base, const std::vector<std::filesystem::path>& logs,
                        std::int64_t ranks_per_node);

}  // namespace echelon
