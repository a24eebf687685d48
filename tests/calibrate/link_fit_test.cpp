// Constants of links from measured collectives: known ones are found again, and published logs foretell their own other
// half and, by number of nodes, larger systems.
#include "calibrate/fit/link_fit.h"

#include <cmath>
#include <random>

#include "calibrate/fit/robust.h"
#include "sim/cost/collective.h"
#include "sim/interop/csv.h"
#include "sim/interop/nccl_log.h"
#include "tests/catch.h"

using namespace echelon;

namespace {

const std::string data = std::string(ECHELON_SOURCE_DIR) + "/tests/data/nccl/";

// Datasheet rates of a node of eight GPUs, as a profile has them before anything was measured.
Network node(double ring_gb_s, double nvls_gb_s, std::int64_t adapters, double adapter_gb_s) {
  Network network;
  network.ring_bus = gigabytes_per_second(ring_gb_s);
  network.nvls_bus = gigabytes_per_second(nvls_gb_s);
  network.pair_rate = gigabytes_per_second(ring_gb_s);
  network.pair_latency = microseconds(3);
  network.adapters = adapters;
  network.adapter_rate = gigabytes_per_second(adapter_gb_s);
  network.adapter_latency = microseconds(10);
  network.mid_size_loss = 0.4;
  return network;
}

// Times by `truth`, 5 % of noise, and 3 % of the rows two to five times too slow.
std::vector<MeasuredRun> synthetic_runs(const Network& truth, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> noise(0, 0.05);
  std::uniform_real_distribution<double> uniform(0, 1);
  std::vector<MeasuredRun> runs;
  for (const CollectiveKind kind : {CollectiveKind::all_reduce, CollectiveKind::all_gather,
                                    CollectiveKind::reduce_scatter, CollectiveKind::all_to_all})
    for (const GroupShape group :
         {GroupShape{2, 2}, GroupShape{4, 4}, GroupShape{8, 8}, GroupShape{16, 8}, GroupShape{32, 8}, GroupShape{64, 8},
          GroupShape{128, 8}, GroupShape{256, 8}, GroupShape{4, 1}}) {
      MeasuredRun run{"synthetic", kind, group, {}};
      for (double bytes = 8; bytes < 1.8e10; bytes *= 1.19) {
        double seconds = collective_time(truth, {kind, group, Bytes(bytes)}).time.value() * std::exp(noise(random));
        if (uniform(random) < 0.03) seconds *= 2 + 3 * uniform(random);
        run.times.push_back({Bytes(bytes), Seconds(seconds)});
      }
      runs.push_back(std::move(run));
    }
  return runs;
}

MeasuredRun measured(const std::string& log) {
  const NcclRun run = read_nccl_log(data + log).runs.front();
  MeasuredRun result{log, run.kind, {run.ranks, std::min<std::int64_t>(run.ranks, 8)}, {}};
  for (const NcclRow& row : run.rows) result.times.push_back({row.bytes, row.out_of_place});
  return result;
}

// All-reduce and broadcast of one of ABCI's two systems.
std::vector<MeasuredRun> abci_runs(const std::string& system, CollectiveKind kind) {
  const CsvTable table = CsvTable::read(data + "abci_nodes.csv");
  std::vector<MeasuredRun> runs;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const auto number = [&](const char* name) { return table.number(row, table.require_column(name)).value(); };
    if (table.cell(row, 0).text != system || table.cell(row, 1).text != name_of(kind)) continue;
    const GroupShape group{static_cast<std::int64_t>(number("ranks")),
                           static_cast<std::int64_t>(number("ranks_per_node"))};
    if (runs.empty() || runs.back().group.ranks != group.ranks) runs.push_back({system, kind, group, {}});
    runs.back().times.push_back({Bytes(number("bytes")), microseconds(number("time_us"))});
  }
  return runs;
}

double median_error(const Network& network, const MeasuredRun& run) {
  return error_figures(link_errors(network, run)).median;
}

// Fits runs of at most `nodes` nodes; the largest median error of the others.
double error_beyond(const Network& base, const std::vector<MeasuredRun>& runs, std::int64_t nodes) {
  std::vector<MeasuredRun> small;
  for (const MeasuredRun& run : runs)
    if (run.group.ranks <= nodes * run.group.ranks_per_node) small.push_back(run);
  REQUIRE(small.size() < runs.size());
  const Network fitted = fitted_network(base, small);
  double worst = 0;
  for (const MeasuredRun& run : runs)
    if (run.group.ranks > nodes * run.group.ranks_per_node) worst = std::max(worst, median_error(fitted, run));
  return worst;
}

}  // namespace

TEST_CASE("known constants are found again in noisy times with outliers") {
  Network truth = node(238, 470, 8, 41);
  truth.pair_bus = gigabytes_per_second(190);
  truth.all_to_all_bus = gigabytes_per_second(330);
  truth.step_latency_scale = 1.7;
  truth.network_latency_scale = 2.6;
  truth.mid_size_loss = 0.55;
  for (const std::uint64_t seed : {1, 2}) {
    const Network found = fitted_network(node(300, 600, 8, 50), synthetic_runs(truth, seed));
    CAPTURE(seed);
    for (const LinkConstant& constant : link_constants()) {
      const std::string name = constant.name;
      if (name == "pair_gb_s" || name == "pair_latency_us" || name == "adapter_latency_us" || name == "call_floor_us" ||
          name == "congestion" || name.find("rooted") == 0)
        continue;  // no such call among the rows, or nothing
      CAPTURE(name, constant.get(truth), constant.get(found));
      // Trees run at few sizes, so that few rows speak of them.
      CHECK(constant.get(found) == Approx(constant.get(truth)).epsilon(name == "tree_share" ? 0.05 : 0.02));
    }
    CHECK(found.congestion < 0.01);
    CHECK(found.pair_rate == gigabytes_per_second(300));  // as the base has it: no row depends on it
  }
}

TEST_CASE("constants of half the sizes of a published log foretell the other half") {
  const std::vector<std::pair<const char*, Network>> logs = {
      {"aws-p4de-a100-80g-2x8-efa-allreduce-16gpus.txt", node(235, 0, 8, 23)},
      {"dgxcloud-h100-nvlsharp-allreduce-8gpus.txt", node(358, 480, 8, 47)},
      {"simumax-h100-nvlink-alltoall-8gpus.txt", node(358, 480, 8, 47)},
      {"simumax-h100-nvlink-reducescatter-8gpus.txt", node(358, 480, 8, 47)},
      {"superbench-a100sxm4-40g-nvswitch-allgather-8gpus.txt", node(235, 0, 8, 23)}};
  for (const auto& [log, base] : logs) {
    const LinkFit fit = fit_links(base, {measured(log)});
    CAPTURE(log, fit.residuals.front().median, fit.residuals.front().other_half);
    CHECK(fit.residuals.front().median < 0.05);
    CHECK(fit.residuals.front().other_half < 0.05);
  }
}

TEST_CASE("constants of a few nodes foretell more of them") {
  Network v100 = node(112.5, 0, 2, 9.9);
  v100.gpus_per_node = 4;
  const Network a100 = node(235, 0, 8, 23);
  const auto all_reduce = CollectiveKind::all_reduce;
  // 8, 16 and 32 nodes from 1, 2 and 4; 8 and 16 nodes from 1, 2 and 4.
  CHECK(error_beyond(v100, abci_runs("v100", all_reduce), 4) < 0.15);
  CHECK(error_beyond(a100, abci_runs("a100", all_reduce), 4) < 0.15);
  const auto broadcast = CollectiveKind::broadcast;
  CHECK(error_beyond(v100, abci_runs("v100", broadcast), 4) < 0.15);
  CHECK(error_beyond(a100, abci_runs("a100", broadcast), 4) < 0.15);
}

TEST_CASE("a sweep that stops at small sizes leaves bandwidths as they were") {
  MeasuredRun run = measured("dgxcloud-h100-nvlsharp-allreduce-8gpus.txt");
  while (run.times.back().bytes > Bytes(16384)) run.times.pop_back();
  const Network base = node(358, 480, 8, 47);
  const Network fitted = fitted_network(base, {run});
  CHECK(fitted.ring_bus.value() == Approx(base.ring_bus.value()).epsilon(0.05));
  CHECK(fitted.nvls_bus == base.nvls_bus);
  CHECK(fitted.adapter_rate == base.adapter_rate);
  CHECK(fitted_network(base, {}).step_latency_scale == base.step_latency_scale);
}
