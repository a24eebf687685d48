// `echelon import nccl-tests`, registered by import.cpp.
#pragma once

#include "sim/cli/command.h"

namespace echelon {

// Adds the subcommand to `import`.
void add_import_nccl_tests(CLI::App& import, CommandBody& body);

}  // namespace echelon
