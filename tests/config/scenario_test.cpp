#include "sim/config/scenario.h"

#include <filesystem>
#include <fstream>

#include "sim/config/data_dir.h"
#include "tests/catch.h"
#include "tests/config/config_test.h"

namespace echelon {

using test::error_of;
using test::scenario_of;
using test::whole_scenario;

namespace {

// The whole scenario with one piece of its text replaced.
std::string with(const std::string& old, const std::string& fresh) {
  std::string text(whole_scenario);
  const std::size_t place = text.find(old);
  REQUIRE(place != std::string::npos);
  return text.replace(place, old.size(), fresh);
}

std::string error_with(const std::string& old, const std::string& fresh) {
  const std::string text = with(old, fresh);
  return error_of([&] { scenario_of(text); });
}

}  // namespace

TEST_CASE("a whole scenario is read", "[config]") {
  const Scenario scenario = scenario_of(whole_scenario);
  CHECK(scenario.name == "a test");
  CHECK(scenario.source == "nowhere");
  CHECK(scenario.model.heads == 4);
  CHECK(scenario.profile.name == "dgx-h100");
  CHECK(scenario.gpus == 16);
  CHECK(scenario.workload.sequence_length == 8192);
  CHECK(scenario.workload.optimizer_variant == OptimizerVariant::pytorch);
  CHECK(scenario.strategy.mesh.data == 2);  // 16 / (4 * 2)
  CHECK(scenario.strategy.recompute_layers == 1);
  CHECK(scenario.measured.iteration_time_s == 2.84);
  CHECK(scenario.measured.peak_memory_gib == 82.4);
  CHECK(scenario_of(with("name: a test\n", "")).name == "scenario");
}

TEST_CASE("what tells ranks apart is read", "[config]") {
  const std::string jitter = "measured: {iteration_time_s: 2.84, peak_memory_gib: 82.4}\n";
  CHECK(!scenario_of(whole_scenario).tells_ranks_apart());
  const Scenario scenario =
      scenario_of(with(jitter,
                       "variability: {compute_cv: 0.02, link_cv: 0.1, shape: normal, seed: 7, runs: 9}\n"
                       "faults:\n"
                       "  - {rank: 15, compute_factor: 1.5, from_s: 0.25}\n"
                       "  - {rank: 0, link_factor: 4}\n"));
  CHECK(scenario.tells_ranks_apart());
  CHECK(scenario.variability.compute_cv == 0.02);
  CHECK(scenario.variability.link_cv == 0.1);
  CHECK(scenario.variability.shape == JitterShape::normal);
  CHECK(scenario.variability.seed == 7);
  CHECK(scenario.variability.runs == 9);
  REQUIRE(scenario.faults.size() == 2);
  CHECK(scenario.faults[0].rank == 15);
  CHECK(scenario.faults[0].compute_factor == 1.5);
  CHECK(scenario.faults[0].link_factor == 1);
  CHECK(scenario.faults[0].from == Time::from_picoseconds(250'000'000'000));
  CHECK(scenario.faults[1].link_factor == 4);
}

TEST_CASE("what befalls the network is read", "[config]") {
  const Scenario scenario =
      scenario_of(with("nodes: 2}", "nodes: 2, network: flow}") +
                  "faults:\n"
                  "  - {part: leaf0}\n"
                  "  - {link: [n1.nic0, leaf0], from_s: 0.5}\n"
                  "background:\n"
                  "  - {name: other, collective: all_gather, megabytes: 100, every_ms: 20, nodes: "
                  "[4, 5], ranks_per_node: 1, seed: 3}\n");
  CHECK(scenario.faults.empty());
  REQUIRE(scenario.link_faults.size() == 2);
  CHECK(scenario.link_faults[0].part == "leaf0");
  CHECK(scenario.link_faults[0].other.empty());
  CHECK(scenario.link_faults[1].part == "n1.nic0");
  CHECK(scenario.link_faults[1].other == "leaf0");
  CHECK(scenario.link_faults[1].from == Time::from_picoseconds(500'000'000'000));
  REQUIRE(scenario.background.size() == 1);
  const BackgroundJob& job = scenario.background[0];
  CHECK(job.kind == CollectiveKind::all_gather);
  CHECK(job.bytes == Bytes(100e6));
  CHECK(job.every.value() == Approx(0.02));
  CHECK(job.nodes == std::vector<std::int64_t>{4, 5});
  CHECK(job.ranks_per_node == 1);
  CHECK(job.seed == 3);
}

TEST_CASE("a fault that cannot be is refused at its place", "[config]") {
  const std::string measured = "measured: {iteration_time_s: 2.84, peak_memory_gib: 82.4}\n";
  CHECK(error_with(measured, "faults: [{part: leaf0}]") ==
        "doc:14:10: faults[0] is a fault of links, which network: analytic does not know; expected cluster.network: "
        "flow");
  CHECK(error_with(measured, "faults: [{part: leaf0, rank: 3}]") ==
        "doc:14:10: faults[0] names several things; expected one of 'rank', 'part' and 'link'");
  CHECK(error_with(measured, "faults: [{compute_factor: 2}]") ==
        "doc:14:10: faults[0] names nothing; expected one of 'rank', 'part' and 'link'");
  CHECK(error_with(measured, "faults: [{link: [leaf0]}]") == "doc:14:17: a link of 1 parts; expected two names");
  CHECK(error_with(measured, "background: [{megabytes: 1, nodes: [4, 5]}]") ==
        "doc:14:14: background[0] shares links, which network: analytic does not know; expected cluster.network: flow");
  CHECK(error_with(measured, "background: [{megabytes: 1, nodes: [4]}]") ==
        "doc:14:36: a job of fewer than two nodes; expected two at least: others do not meet");
  CHECK(error_with(measured, "background: [{megabytes: 1, nodes: [4, 4]}]") ==
        "doc:14:40: node 4 twice; expected each node once");
  CHECK(error_with(measured, "faults: [{rank: 16, link_factor: 2}]") ==
        "doc:14:17: faults[0] is rank 16 of 16 GPUs; expected 0 to 15");
  CHECK(error_with(measured, "faults: [{rank: 3, from_s: 1}]") ==
        "doc:14:10: faults[0] has no factor; expected 'compute_factor' or 'link_factor'");
  CHECK(
      error_with(measured, "faults: [{rank: 3, compute_facter: 2}]").find("doc:14:20: unknown key 'compute_facter'") !=
      std::string::npos);
  CHECK(error_with(measured, "faults: [{link: [leaf0, leaf0]}]") ==
        "doc:14:17: a link from leaf0 to itself; expected two different parts, or 'part' for one that is down");
  CHECK(error_with(measured, "variability: {runs: 10}").find("expected compute_cv or link_cv") != std::string::npos);
  CHECK(error_with(measured, "variability: {compute_cv: 1, shape: uniform}").find("at most 0.577") !=
        std::string::npos);
  CHECK(error_with(measured, "variability: {link_cv: 0.4, shape: normal}").find("at most 0.3, or shape: lognormal") !=
        std::string::npos);
  CHECK(error_with(measured, "variability: {compute_cvs: 0.1}").find("did you mean 'compute_cv'") != std::string::npos);
  CHECK(error_with(measured, "variability: {compute_cv: -1}").find("doc:14:27: ") == 0);
  CHECK(error_with(measured, "variability: {shape: gauss}").find("lognormal, normal, uniform") != std::string::npos);
}

TEST_CASE("a background job's collectives join equal parts of a node", "[config]") {
  for (const char* ranks : {"3", "9"})
    CHECK(error_of([&] {
            scenario_of(with("nodes: 2}", "nodes: 2, network: flow}") +
                        "background: [{megabytes: 1, nodes: [4, 5], ranks_per_node: " + ranks + "}]\n");
          }).find("of each node of 8 GPUs; expected a divisor") != std::string::npos);
}

TEST_CASE("numbers of a training run that mean nothing are refused", "[config]") {
  const std::string measured = "measured: {iteration_time_s: 2.84, peak_memory_gib: 82.4}\n";
  const auto refusal = [&](const std::string& keys) {
    return error_with(measured, "training_run: {tokens: 1e12, " + keys + "}");
  };
  const auto run = [&](const std::string& keys) {
    return *scenario_of(with(measured, "training_run: {tokens: 1e12, " + keys + "}")).training_run;
  };
  // 0 is a number, and absent is something else.
  CHECK(run("failures: [{cause: x, per_1000_days: 1}], storage_gb_s: 1").checkpoint_blocking == std::nullopt);
  CHECK(run("failures_per_1000_node_days: 1, storage_gb_s: 1, checkpoint_blocking_s: 0").checkpoint_blocking ==
        Seconds(0));
  CHECK(run("usd_per_gpu_hour: 0").usd_per_gpu_hour == 0);
  CHECK(refusal("checkpoint_blocking_s: 60, checkpoint_interval_s: 0").find("checkpoint_interval_s is '0'") !=
        std::string::npos);
  CHECK(refusal("failures_per_1000_node_days: 1, checkpoint_blocking_s: 0").find("no best interval") !=
        std::string::npos);
  CHECK(refusal("failures_per_1000_node_days: 1").find("nothing says what a checkpoint costs") != std::string::npos);
  CHECK(refusal("checkpoint_interval_s: 600").find("nothing says what a checkpoint costs") != std::string::npos);
  CHECK(refusal("failures_per_1000_node_days: 1, storage_gb_s: 1, checkpoint_bytes_per_parameter: 0").find("is '0'") !=
        std::string::npos);
  // Nor what belongs to something that is not there.
  CHECK(refusal("years: 4").find("training_run.years says nothing by itself; expected usd_per_gpu beside it") !=
        std::string::npos);
  CHECK(refusal("network_share: .2").find("expected usd_per_gpu") != std::string::npos);
  CHECK(refusal("repair_hours: 5").find("expected failures_per_1000_node_days or failures") != std::string::npos);
  CHECK(refusal("storage_gb_s: 5").find("or checkpoint_interval_s") != std::string::npos);
}

TEST_CASE("the network model, the placement and another topology are the cluster's", "[config]") {
  const Scenario scenario = scenario_of(with("nodes: 2",
                                             "nodes: 2, network: flow, placement: fragmented, placement_seed: 7, "
                                             "cluster_gpus: 64, topology: {network: {family: torus}}"));
  CHECK(scenario.network == NetworkModel::flow);
  CHECK(scenario.placement.kind == PlacementKind::fragmented);
  CHECK(scenario.placement.seed == 7);
  CHECK(scenario.cluster_gpus == 64);
  CHECK(scenario.profile.topology.network.family == NetworkFamily::torus);
  const Scenario listed = scenario_of(with("nodes: 2", "nodes: 2, network: flow, placement_list: [3, 1]"));
  CHECK(listed.placement.kind == PlacementKind::listed);
  CHECK(listed.placement.list == std::vector<std::int32_t>{3, 1});
  const auto file = std::filesystem::temp_directory_path() / "echelon_ranks.yaml";
  std::ofstream(file) << "# by rank\n[3, 1]\n";
  const std::string key = "placement_file: " + file.string();
  CHECK(scenario_of(with("nodes: 2", "nodes: 2, network: flow, " + key)).placement.list == listed.placement.list);
  CHECK(error_with("nodes: 2", "nodes: 2, placement_list: [3, 1], " + key).find("beside placement_list") !=
        std::string::npos);
  std::ofstream(file) << "[3, one]\n";
  CHECK(error_with("nodes: 2", "nodes: 2, " + key).find("echelon_ranks.yaml:1:5: ") != std::string::npos);
  CHECK(scenario_of(whole_scenario).network == NetworkModel::analytic);
  CHECK(error_with("nodes: 2", "nodes: 2, placement: packd").find("doc:5:") == 0);
}

TEST_CASE("a placement that nothing would look at is refused", "[config]") {
  CHECK(error_with("nodes: 2", "nodes: 2, topology: {network: {family: torus}}")
            .find("cluster.topology shapes links, which network: analytic does not know") != std::string::npos);
  CHECK(error_with("nodes: 2", "nodes: 2, cluster_gpus: 64").find("expected cluster.network: flow") !=
        std::string::npos);
  CHECK(error_with("nodes: 2", "nodes: 2, placement_seed: 3").find("expected placement: fragmented") !=
        std::string::npos);
  CHECK(error_with("nodes: 2", "nodes: 2, network: flow, placement: scattered, placement_list: [1, 0]")
            .find("placement: scattered stands beside a list") != std::string::npos);
  CHECK(error_with("nodes: 2", "nodes: 2, placement: scattered")
            .find("scattered ranks differ from packed ones on links, which network: analytic does not know") !=
        std::string::npos);
  CHECK(error_with("nodes: 2", "nodes: 2, placement_list: [0, 1]").find("listed ranks") != std::string::npos);
  CHECK(scenario_of(with("nodes: 2", "nodes: 2, placement: packed")).network == NetworkModel::analytic);
  CHECK(error_with("nodes: 2", "nodes: 2, network: flow, cluster_gpus: 8")
            .find("a job of 16 GPUs in a cluster of 8; expected 16 or more") != std::string::npos);
}

TEST_CASE("the cluster in nodes or in GPUs", "[config]") {
  CHECK(scenario_of(with("nodes: 2", "gpus: 8")).gpus == 8);
  CHECK(scenario_of(with("nodes: 2", "nodes: 2, gpus: 16, gpus_per_node: 8")).gpus == 16);
  CHECK(error_with("nodes: 2", "gpus: 12") == "doc:5:36: 12 GPUs do not fill nodes of 8; expected 8 or 16");
  CHECK(error_with("nodes: 2", "nodes: 2, gpus: 8").substr(0, 53) ==
        "doc:5:46: 2 nodes of 8 have 16 GPUs, not 8; expected ");
  CHECK(error_with(", nodes: 2", "") ==
        "doc:5:10: cluster has neither 'nodes' nor 'gpus'; expected one of them, such as 'nodes: 1'");
  CHECK(error_with("nodes: 2", "nodes: 2, gpus_per_node: 4").substr(0, 61) ==
        "doc:5:55: gpus_per_node is 4 but profile dgx-h100 has 8; expe");
  CHECK(error_with("nodes: 2", "nodes: 10000000").substr(0, 44) == "doc:5:10: the cluster has 80000000 GPUs; exp");
  CHECK(error_with("dgx-h100", "dgx-h10").substr(0, 70) ==
        "doc:5:20: there is no hardware profile 'dgx-h10'; did you mean 'dgx-h1");
  CHECK(error_with("dgx-h100", "nowhere/x.yaml").find("nowhere/x.yaml: no such file") != std::string::npos);
}

TEST_CASE("a cluster of several machines", "[config]") {
  const std::string one = "{profile: dgx-h100, nodes: 2}";
  const auto groups = [&](const std::string& more) {
    return with(one, "{groups: [{profile: dgx-a100-80g, nodes: 1}, {profile: dgx-h100, nodes: 3}]" + more + "}");
  };
  const auto error_of_groups = [&](const std::string& cluster) { return error_with(one, cluster); };
  const Scenario mixed = scenario_of(groups(", link: {node_gb_s: 50, latency_us: 12}"));
  CHECK(mixed.gpus == 32);
  CHECK(mixed.machines() == 2);
  CHECK(mixed.profile.name == "dgx-a100-80g");
  CHECK(mixed.machine(1).name == "dgx-h100");
  CHECK(mixed.machine_gpus(0) == 8);
  CHECK(mixed.machine_gpus(1) == 24);
  CHECK(mixed.link.node_rate == gigabytes_per_second(50));
  CHECK(mixed.link.latency == microseconds(12));
  CHECK(scenario_of(whole_scenario).machines() == 1);
  CHECK(error_of_groups("{groups: []}").substr(0, 40) == "doc:5:19: cluster.groups is empty; expec");
  CHECK(error_of_groups("{groups: [{profile: dgx-h100}]}").find("missing key 'nodes'") != std::string::npos);
  CHECK(error_of_groups("{groups: [{profile: dgx-h10, nodes: 1}]}").find("did you mean") != std::string::npos);
  CHECK(error_of_groups("{groups: [{profile: dgx-h100, nodes: 1}], profile: dgx-h100}") ==
        "doc:5:61: cluster.profile stands beside groups; expected one of them");
  CHECK(error_of_groups("{groups: [{profile: dgx-h100, nodes: 1}], network: flow}").empty());
  CHECK(error_of_groups("{groups: [{profile: dgx-h100, nodes: 1}, {profile: gb200-nvl72, nodes: 2}]}") ==
        "doc:5:61: nodes of gb200-nvl72 have 4 GPUs, those of dgx-h100 8; expected nodes of as many GPUs in every "
        "group");
  CHECK(error_of_groups("{groups: [{profile: pcie-8x-l40s, nodes: 1}]}").find("no network between nodes") !=
        std::string::npos);
  CHECK(error_of_groups("{profile: dgx-h100, nodes: 2, link: {node_gb_s: 5}}").find("expected cluster.groups") !=
        std::string::npos);
}

TEST_CASE("the model by file or by name", "[config]") {
  CHECK(error_with("tiny_model", "tinny_model").find("data/tinny_model.json: no such file") != std::string::npos);
  CHECK(error_with("{huggingface: data/tiny_model.json}", "{name: no-such-model-at-all}").substr(0, 52) ==
        "doc:4:15: there is no model 'no-such-model-at-all'; ");
  CHECK(error_with("tiny_model.json}", "tiny_model.json, name: x}") ==
        "doc:4:50: model has both 'name' and 'huggingface'; expected one of them");
  CHECK(error_with("{huggingface: data/tiny_model.json}", "tiny").substr(0, 24) == "doc:4:8: model is 'tiny'");
}

TEST_CASE("a key of another section is told with it", "[config]") {
  CHECK(error_with("micro_batch: 2", "gradient_accumulation: 2").find("did you mean 'workload.global_batch'?") !=
        std::string::npos);
  CHECK(error_with("micro_batch: 2", "seq_len: 2").find("did you mean 'workload.sequence_length'?") !=
        std::string::npos);
}

TEST_CASE("wrong outer keys", "[config]") {
  CHECK(error_with("echelon: 1", "echelon: 2") == "doc:1:10: echelon is '2'; expected an integer from 1 to 1");
  CHECK(error_with("echelon: 1\n", "").substr(0, 54) == "doc:1:1: missing key 'echelon' in the document; expect");
  CHECK(error_with("workload:", "worklaod:") ==
        "doc:6:1: unknown key 'worklaod' in the document; did you mean 'workload', which is missing?");
  CHECK(error_with("measured:", "mesured:") ==
        "doc:14:1: unknown key 'mesured' in the document; did you mean 'measured'?");
  CHECK(error_with("micro_batch: 2", "micro_batch: 0") ==
        "doc:12:16: strategy.micro_batch is '0'; expected an integer from 1 to 1000000");
  CHECK(error_with("2.84", "-1").substr(0, 44) == "doc:14:30: measured.iteration_time_s is '-1'");
  CHECK(error_with("2.84", ".nan").substr(0, 46) == "doc:14:30: measured.iteration_time_s is '.nan'");
}

TEST_CASE("data names are sorted and found", "[config]") {
  const std::vector<std::string> names = data_names(DataKind::profile);
  CHECK(std::is_sorted(names.begin(), names.end()));
  CHECK(data_file(DataKind::profile, "dgx-h100", {}).filename() == "dgx-h100.yaml");
  CHECK_THROWS_AS(data_file(DataKind::profile, "../hardware_profiles/dgx-h100", {}), InputError);
  CHECK_THROWS_AS(data_file(DataKind::profile, "", {}), InputError);
}

TEST_CASE("machines without a network make no cluster", "[config]") {
  std::string text(test::whole_scenario);
  text.replace(text.find("dgx-h100"), 8, "pcie-8x-l40s");
  CHECK(
      test::error_of([&] { test::scenario_of(text); }) ==
      "doc:5:10: 16 GPUs need 2 nodes, and profile pcie-8x-l40s has no network between nodes; expected at most 8 GPUs, "
      "or another profile");
}

}  // namespace echelon
