// Where the program's own data lie: hardware profiles and model shapes that documents call by name.
//
// Searched in this order: $ECHELON_DATA, the source tree that the program was built from, share/echelon beside the
// program's folder. Each holds hardware_profiles/NAME.yaml and scenarios/models/NAME.json or NAME.yaml.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "sim/base/error.h"

namespace echelon {

enum class DataKind { profile, model };

// Folders that exist, in the order of search.
std::vector<std::filesystem::path> data_roots();

// Every name of that kind, sorted, once each.
std::vector<std::string> data_names(DataKind kind);

// The file of a name; a profile may also be given as the path of a file NAME.yaml, as calibrate writes it. Throws
// InputError at `where`, with the names that there are and "did you mean".
std::filesystem::path data_file(DataKind kind, std::string_view name, const SourceLocation& where);

}  // namespace echelon
