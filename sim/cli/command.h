// Subcommands: one file each, registered on the CLI11 application in main.cpp.
//
// A command's function runs after parsing and returns the exit code: 0 done, 1 a strategy that cannot run or does not
// fit, 2 bad input (InputError is mapped in main alone).
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

#include "sim/config/scenario.h"

namespace echelon {

using CommandBody = std::function<int()>;

// Each adds its subcommand to `app` and stores what to run in `body` when it was chosen.
void add_run_command(CLI::App& app, CommandBody& body);
void add_compare_command(CLI::App& app, CommandBody& body);
void add_sweep_command(CLI::App& app, CommandBody& body);
void add_search_command(CLI::App& app, CommandBody& body);
void add_dataset_command(CLI::App& app, CommandBody& body);
void add_validate_command(CLI::App& app, CommandBody& body);
void add_models_command(CLI::App& app, CommandBody& body);
void add_profiles_command(CLI::App& app, CommandBody& body);
void add_import_command(CLI::App& app, CommandBody& body);
void add_schedule_command(CLI::App& app, CommandBody& body);
void add_calibrate_command(CLI::App& app, CommandBody& body);

struct ResultColumn;

// The column that --metric names. Throws InputError with the names that there are.
const ResultColumn& metric_of(const std::string& name);

// Writes a text to a file. Throws InputError where it cannot.
void write_file(const std::string& path, const std::string& text);

// The HuggingFace reader that scenarios use.
HfReader huggingface_reader();

// Whether standard output is a terminal that shows colours (NO_COLOR is respected).
bool shows_color();

}  // namespace echelon
