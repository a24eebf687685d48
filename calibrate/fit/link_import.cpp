#include "calibrate/fit/link_import.h"

#include <algorithm>
#include <cmath>

#include "calibrate/fit/robust.h"
#include "sim/base/error.h"
#include "sim/interop/nccl_log.h"

namespace echelon {
namespace {

// Other work on the machine and first calls only ever add time: where the two places differ much, the lesser counts.
Seconds time_of(const NcclRow& row) {
  constexpr double disturbed = 1.5;
  const bool lesser = row.in_place > Seconds(0) && row.out_of_place > row.in_place * disturbed;
  return lesser ? row.in_place : row.out_of_place;
}

GroupShape shape_of(const NcclRun& run, const Profile& base, std::int64_t ranks_per_node) {
  std::int64_t per_node = ranks_per_node > 0 ? ranks_per_node : run.ranks_per_node;
  if (ranks_per_node > 0 && run.ranks_per_node > 0 && std::min(ranks_per_node, run.ranks) != run.ranks_per_node)
    throw InputError(run.where,
                     fmt::format("the log's table shows {} ranks a node, and --ranks-per-node says {}",
                                 run.ranks_per_node, ranks_per_node),
                     "expected no --ranks-per-node for such a log");
  if (ranks_per_node > 0 && run.ranks > ranks_per_node && run.ranks % ranks_per_node != 0)
    throw InputError(run.where, fmt::format("{} ranks do not fill nodes of {}", run.ranks, ranks_per_node),
                     fmt::format("expected --ranks-per-node with a divisor of {}", run.ranks));
  if (per_node == 0) per_node = base.network.gpus_per_node;
  return {run.ranks, std::min(per_node, run.ranks)};
}

bool spans_nodes(const Network& network, const GroupShape& group) {
  return group.ranks > std::max(group.ranks_per_node, network.domain_gpus);
}

void refuse_impossible(const NcclRun& run, const Profile& base, const GroupShape& group, std::int64_t ranks_per_node) {
  const Network& network = base.network;
  if (const std::int64_t most = std::max(group.ranks_per_node, ranks_per_node); most > network.gpus_per_node)
    throw InputError(
        run.where,
        fmt::format("{} ranks a node, but a node of profile '{}' has {}", most, base.name, network.gpus_per_node),
        "expected --profile of a machine with such nodes, or --ranks-per-node");
  if (spans_nodes(network, group) && network.adapters == 0)
    throw InputError(run.where,
                     fmt::format("{} ranks on nodes of {}, but profile '{}' has no network", group.ranks,
                                 group.ranks_per_node, base.name),
                     "expected --profile of a machine with adapters");
}

MeasuredRun measured_run(const NcclRun& run, const GroupShape& group) {
  MeasuredRun result{std::filesystem::path(run.where.file).filename().string(), run.kind, group, {}};
  for (const NcclRow& row : run.rows) result.times.push_back({row.bytes, time_of(row)});
  return result;
}

// Printable, and free of what would end a quoted text in YAML.
std::string plain(std::string text) {
  for (char& c : text)
    if (c == '"' || c == '\\' || static_cast<unsigned char>(c) < 0x20) c = '_';
  return text;
}

// "34 rows of a.txt, b.txt: median 2.1 %, 95 % within 6.0 %" of the runs that one provenance speaks of.
Provenance provenance_of(const LinkImport& result, bool between_nodes, const Provenance& before) {
  constexpr std::size_t most_names = 8;
  std::vector<std::string> names;
  std::vector<double> errors;
  for (const MeasuredRun& run : result.runs) {
    if (spans_nodes(result.fit.network, run.group) != between_nodes) continue;
    if (std::find(names.begin(), names.end(), run.name) == names.end()) names.push_back(run.name);
    const std::vector<double> more = link_errors(result.fit.network, run);
    errors.insert(errors.end(), more.begin(), more.end());
  }
  if (names.empty()) return before;
  std::string text = fmt::format("fitted by echelon import nccl-tests to {} rows of", errors.size());
  for (std::size_t i = 0; i < std::min(names.size(), most_names); ++i) text += (i == 0 ? " " : ", ") + plain(names[i]);
  if (names.size() > most_names) text += fmt::format(" and {} more", names.size() - most_names);
  const ErrorFigures figures = error_figures(errors);
  text += fmt::format(": median off {:.1f} %, 95 % within {:.1f} %", 100 * figures.median, 100 * figures.p95);
  if (!before.source.empty()) text += "; the rest: " + plain(before.source);
  return {Ground::measured, text, figures.median, figures.p95, static_cast<std::int64_t>(errors.size())};
}

}  // namespace

LinkImport import_links(const Profile& base, const std::vector<std::filesystem::path>& logs,
                        std::int64_t ranks_per_node) {
  LinkImport result;
  for (const auto& path : logs) {
    const NcclLog log = read_nccl_log(path);
    for (const auto& [reason, rows] : log.skipped) result.skipped[reason] += rows;
    for (const NcclRun& run : log.runs) {
      if (run.ranks == 0) {
        result.skipped["of runs whose number of ranks is not said"] += static_cast<std::int64_t>(run.rows.size());
        continue;
      }
      const GroupShape group = shape_of(run, base, ranks_per_node);
      refuse_impossible(run, base, group, ranks_per_node);
      result.runs.push_back(measured_run(run, group));
    }
  }
  if (result.runs.empty())
    throw InputError({logs.front().string(), 1, 1}, "no run says over how many ranks it went",
                     "expected the table of devices ('# Rank 0 ... device 0') above the rows");
  result.fit = fit_links(base.network, result.runs);
  result.profile = base;
  result.profile.network = result.fit.network;
  result.profile.network.intra = provenance_of(result, false, base.network.intra);
  result.profile.network.inter = provenance_of(result, true, base.network.inter);
  return result;
}

}  // namespace echelon
