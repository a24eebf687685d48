#include "sim/cli/import_links.h"

#include <fmt/format.h>

#include <memory>

#include "calibrate/fit/link_import.h"
#include "sim/cli/number_in.h"
#include "sim/config/data_dir.h"
#include "sim/config/profile_config.h"
#include "sim/report/bandwidth_svg.h"

namespace echelon {

namespace {

struct NcclOptions {
  std::vector<std::string> logs;
  std::string profile;
  std::string output;
  std::string plot;
  std::int64_t ranks_per_node = 0;
};

void print_constants(const LinkFit& fit) {
  for (const FittedConstant& constant : fit.constants)
    fmt::print(stderr, "{:<24} {:>10.4g} -> {:<10.4g}{}\n", constant.name, constant.before, constant.after,
               constant.at_bound ? " at its bound" : "");
}

// As Markdown, which reads well on a terminal too.
void print_residuals(const LinkFit& fit) {
  fmt::print(stderr,
             "\n| log | collective | ranks x nodes | rows | median off | 95 % within | fitted half | other half |\n"
             "| --- | --- | --: | --: | --: | --: | --: | --: |\n");
  for (const RunResidual& run : fit.residuals) {
    const std::int64_t nodes = (run.group.ranks + run.group.ranks_per_node - 1) / run.group.ranks_per_node;
    const std::string other = run.rows > 1 ? fmt::format("{:.1f} %", 100 * run.other_half) : "-";
    fmt::print(stderr, "| {} | {} | {} x {} | {} | {:.1f} % | {:.1f} % | {:.1f} % | {} |\n", run.name,
               name_of(run.kind), run.group.ranks_per_node, nodes, run.rows, 100 * run.median, 100 * run.p95,
               100 * run.fitted_half, other);
  }
  fmt::print(stderr, "Halves: medians of a second fit, to every second size, over those and over the sizes between.\n");
}

std::vector<BandwidthPoint> points_of(const std::vector<BusBandwidth>& curve) {
  constexpr double gb = 1e9;
  std::vector<BandwidthPoint> points;
  for (const BusBandwidth& one : curve) points.push_back({one.bytes.value(), one.bus.value() / gb});
  return points;
}

int import_nccl_tests(const NcclOptions& options) {
  const Profile base = load_profile(data_file(DataKind::profile, options.profile, {"--profile"}));
  const LinkImport result = import_links(base, {options.logs.begin(), options.logs.end()}, options.ranks_per_node);
  print_constants(result.fit);
  print_residuals(result.fit);
  for (const auto& [reason, rows] : result.skipped) fmt::print(stderr, "{} rows left out: {}\n", rows, reason);
  write_file(options.output, save_profile(result.profile));
  if (options.plot.empty()) return 0;
  std::vector<BandwidthSeries> series;
  for (const MeasuredRun& run : result.runs)
    series.push_back({run.name.substr(0, run.name.find_last_of('.')), points_of(measured_bandwidth(run)),
                      points_of(fitted_bandwidth(result.fit.network, run))});
  write_file(options.plot, bandwidth_svg(fmt::format("Collectives on {}, measured and fitted", base.name), series));
  return 0;
}

}  // namespace

void add_import_nccl_tests(CLI::App& import, CommandBody& body) {
  auto options = std::make_shared<NcclOptions>();
  CLI::App* command =
      import.add_subcommand("nccl-tests", "Fit the constants of links to nccl-tests or rccl-tests logs");
  command->add_option("logs", options->logs, "Output of all_reduce_perf and its like, all of one system")->required();
  command->add_option("--profile", options->profile, "The profile of the system's machine, or the one nearest to it")
      ->required();
  command->add_option("-o,--output", options->output, "The profile to write")->required();
  command->add_option("--plot", options->plot, "Also draw measured against fitted bus bandwidth (SVG)");
  command->add_option("--ranks-per-node", options->ranks_per_node, "Ranks of a node, where the logs do not show it")
      ->check(integer_in(1, 1'000'000));
  command->footer(
      "A log's table of devices tells ranks and nodes; without it ranks come from its bandwidths, and nodes are taken\n"
      "to be full ones of the profile.\n"
      "Example: echelon import nccl-tests all_reduce_2.txt all_reduce_8.txt --profile dgx-h100 -o my-h100.yaml\n"
      "         --plot my-h100.svg");
  command->callback([options, &body] { body = [options] { return import_nccl_tests(*options); }; });
}

}  // namespace echelon
