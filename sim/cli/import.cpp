#include <fmt/format.h>

#include <memory>

#include "calibrate/fit/refit.h"
#include "sim/cli/command.h"
#include "sim/cli/import_links.h"
#include "sim/config/data_dir.h"
#include "sim/config/profile_config.h"

namespace echelon {

namespace {

struct KernelsOptions {
  std::vector<std::string> tables;
  std::string profile;
  std::string output;
};

int import_kernels(const KernelsOptions& options) {
  const Profile base = load_profile(data_file(DataKind::profile, options.profile, {"--profile"}));
  ImportReport report;
  const Profile fitted = refit(base, {options.tables.begin(), options.tables.end()}, report);
  for (const FittedCurve& curve : report.curves) fmt::print(stderr, "{}\n", curve.line());
  for (const HeldOutShape& shape : worst_of(report.held_out)) fmt::print(stderr, "{}\n", shape.line());
  for (const auto& [reason, rows] : report.skipped) fmt::print(stderr, "{} rows left out: {}\n", rows, reason);
  write_file(options.output, save_profile(fitted));
  return 0;
}

}  // namespace

void add_import_command(CLI::App& app, CommandBody& body) {
  auto options = std::make_shared<KernelsOptions>();
  CLI::App* command = app.add_subcommand("import", "Turn measurements of others into a hardware profile");
  command->require_subcommand(1);
  command->footer("Example: echelon import kernels gemm.csv --profile dgx-h100 -o my-h100.yaml");
  CLI::App* kernels = command->add_subcommand("kernels", "Fit compute curves to tables of measured kernels");
  kernels->alias("gemm-table");
  kernels->add_option("tables", options->tables, "Kernel tables (CSV)")->required();
  kernels->add_option("--profile", options->profile, "The profile whose curves are fitted again")->required();
  kernels->add_option("-o,--output", options->output, "The profile to write")->required();
  kernels->footer("Example: echelon import kernels gemm.csv attention.csv --profile dgx-h100 -o my-h100.yaml");
  kernels->callback([options, &body] { body = [options] { return import_kernels(*options); }; });
  add_import_nccl_tests(*command, body);
}

}  // namespace echelon
