// `echelon import nccl-tests`, registered by import.cpp.
#pragma once

#include "sim/cli/command.h"

namespace echelon {

// Adds the subcommand to `import`.
void add_import_nccl_tests(CLI::App& import, CommandBody& body);

// Writes a text to a file. Throws InputError where it cannot.
void write_file(const std::string& path, const std::string& text);

}  // namespace echelon
