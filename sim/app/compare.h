// Several scenarios, predicted one after the other for a comparison (sim/report/comparison.h).
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "sim/config/scenario.h"
#include "sim/report/comparison.h"

namespace echelon {

// Every scenario of every file, lists of variants included (sim/config/variants.h), with `--set` overrides applied to
// each file before its lists, the whole run where its tokens are known, and the limit of `search.constraints` that it
// breaks. Equal names are told apart by their files. Throws InputError.
std::vector<Candidate> candidates_of(const std::vector<std::filesystem::path>& files,
                                     const std::vector<std::string>& overrides, const HfReader& hf_reader);

}  // namespace echelon
