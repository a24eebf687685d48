// nccl-tests output: logs that others published, and every way in which such a text can be damaged.
#include "sim/interop/nccl_log.h"

#include <filesystem>
#include <random>

#include "sim/interop/text_file.h"
#include "tests/catch.h"

using namespace echelon;

namespace {

const std::filesystem::path folder = std::filesystem::path(ECHELON_SOURCE_DIR) / "tests/data/nccl";

std::vector<std::filesystem::path> logs() {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (entry.path().extension() == ".txt") paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  return paths;
}

struct Expected {
  const char* file;
  CollectiveKind kind;
  std::int64_t ranks;
  std::int64_t ranks_per_node;
  std::size_t rows;  // of more than no bytes
  double last_us;    // out of place
  double last_in_place_us;
};

// Reads, or is refused with a place; anything else fails the test.
bool reads(std::string_view text) {
  try {
    const NcclLog log = parse_nccl_log(text, "log.txt");
    for (const NcclRun& run : log.runs) {
      CHECK(run.ranks != 1);
      for (const NcclRow& row : run.rows) CHECK((row.bytes > Bytes(0) && row.out_of_place > Seconds(0)));
    }
    return true;
  } catch (const InputError& error) {
    CHECK(error.where().line >= 1);
    return false;
  }
}

std::string refusal(std::string_view text) {
  try {
    parse_nccl_log(text, "log.txt");
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

constexpr const char* heading =
    "# nThread 1 nGpus 1 minBytes 8 maxBytes 1 step: 2(factor) warmup iters: 5 iters: 20 validation: 1\n"
    "#       size         count      type   redop    root     time   algbw   busbw #wrong     time   algbw   busbw "
    "#wrong\n";

std::string device_line(int rank, const std::string& host, int device) {
  return fmt::format("#  Rank {:2} Group  0 Pid {:6} on {:>10} device {:2} [0x0f] NVIDIA H100\n", rank, 100 + rank,
                     host, device);
}

}  // namespace

TEST_CASE("published logs of several versions are read in full") {
  using Kind = CollectiveKind;
  // Numbers read off the logs' last rows.
  const std::vector<Expected> table = {
      {"abci-v100sxm2-16g-ib-edr-inter02-broadcast-8gpus", Kind::broadcast, 8, 4, 24, 1850.5, 1851.3},
      {"aws-p4de-a100-80g-2x8-efa-allreduce-16gpus", Kind::all_reduce, 16, 0, 29, 51406, 51406},
      {"dgxcloud-h100-nvlsharp-allreduce-8gpus", Kind::all_reduce, 8, 8, 32, 62648, 62636},
      {"oci-h100-2x8-roce-allreduce-16gpus", Kind::all_reduce, 16, 8, 5, 68359, 68427},
      {"optcast-v100pcie-2x2-ib-optcast-allreduce-4gpus", Kind::all_reduce, 4, 2, 1, 103128, 119592},
      {"simumax-h100-nvlink-alltoall-8gpus", Kind::all_to_all, 8, 0, 14, 21730, 21834},
      {"simumax-h100-nvlink-reducescatter-8gpus", Kind::reduce_scatter, 8, 0, 14, 20940, 20909},
      {"superbench-a100sxm4-40g-nvswitch-allgather-8gpus", Kind::all_gather, 8, 8, 29, 33646, 32669}};
  CHECK(table.size() == logs().size());
  for (const Expected& expected : table) {
    CAPTURE(expected.file);
    const NcclLog log = read_nccl_log(folder / (std::string(expected.file) + ".txt"));
    REQUIRE(log.runs.size() == 1);
    const NcclRun& run = log.runs.front();
    CHECK(run.kind == expected.kind);
    CHECK(run.ranks == expected.ranks);
    CHECK(run.ranks_per_node == expected.ranks_per_node);
    REQUIRE(run.rows.size() == expected.rows);
    CHECK(run.rows.back().out_of_place.value() * 1e6 == Approx(expected.last_us));
    CHECK(run.rows.back().in_place.value() * 1e6 == Approx(expected.last_in_place_us));
    CHECK(log.skipped.empty());
  }
}

TEST_CASE("the collective is told from columns and bandwidths where no name is given") {
  const auto kind_of = [](const std::string& rows) { return parse_nccl_log(rows, "log.txt").runs.front().kind; };
  // 1 MiB in 100 us is 10.49 GB/s; over 4 ranks the bus factor is 1.5 for all-reduce and 0.75 for parts.
  CHECK(kind_of("1048576 262144 float sum -1 100.0 10.49 15.73 0 100.0 10.49 15.73 0\n") == CollectiveKind::all_reduce);
  CHECK(kind_of("1048576 65536 float sum -1 100.0 10.49 7.86 0\n") == CollectiveKind::reduce_scatter);
  CHECK(kind_of("1048576 65536 float none -1 100.0 10.49 7.86 0 100.0 10.49 7.86 0\n") == CollectiveKind::all_gather);
  CHECK(kind_of("1048576 65536 float none -1 100.0 10.49 7.86 0 100.0 10.49 7.86 N/A\n") == CollectiveKind::all_to_all);
  CHECK(kind_of("1048576 262144 float none 0 100.0 10.49 10.49 0\n") == CollectiveKind::broadcast);
  CHECK(kind_of("1048576 262144 float sum 2 100.0 10.49 10.49 0\n") == CollectiveKind::reduce);
  CHECK(kind_of("1048576 262144 float none -1 100.0 10.49 10.49 0\n") == CollectiveKind::send_receive);
  CHECK(kind_of("# Collective test starting: alltoall_perf\n1048576 65536 float none -1 100.0 10.49 7.86 0\n") ==
        CollectiveKind::all_to_all);
  // A name that the columns rule out is not believed.
  CHECK(kind_of("./all_gather_perf -b 8\n1048576 262144 float sum -1 100.0 10.49 15.73 0\n") ==
        CollectiveKind::all_reduce);
}

TEST_CASE("ranks of a node come from host names, or from device numbers that start again") {
  const std::string row = "1048576 262144 float sum -1 100.0 10.49 15.73 0\n";
  std::string named;
  std::string blanked;
  for (int rank = 0; rank < 4; ++rank) {
    named += device_line(rank, rank < 2 ? "alpha" : "beta", 0);  // each process sees its own device 0
    blanked += device_line(rank, "host", rank % 2);
  }
  const NcclRun by_name = parse_nccl_log(named + heading + row, "log.txt").runs.front();
  CHECK(by_name.ranks_per_node == 2);
  CHECK(by_name.hosts == std::vector<std::string>{"alpha", "beta"});
  CHECK(by_name.device == "NVIDIA H100");
  CHECK(parse_nccl_log(blanked + heading + row, "log.txt").runs.front().ranks_per_node == 2);
}

TEST_CASE("several runs of one file are kept apart, each with its own ranks") {
  std::string text;
  for (const int ranks : {2, 4}) {
    text += "====== " + std::to_string(ranks) + " GPUs ======\n" + heading;
    for (int rank = 0; rank < ranks; ++rank) text += device_line(rank, "host", rank);
    const double bus = 10.49 * 2 * (ranks - 1) / ranks;
    text += fmt::format(" 524288 131072 float sum -1 50.00 10.49 {:.2f} 0\n", bus);
    text += "host:1:1 [0] NCCL INFO Launch mode Parallel\n";
    text += fmt::format("0: 1048576 262144 float sum -1 100.0 10.49 {:.2f} 0\r\n", bus);
  }
  const NcclLog log = parse_nccl_log(text, "log.txt");
  REQUIRE(log.runs.size() == 2);
  CHECK(log.runs[0].ranks == 2);
  CHECK(log.runs[1].ranks == 4);
  CHECK(log.runs[1].rows.size() == 2);
  CHECK(log.runs[1].where.line > log.runs[0].where.line);
}

TEST_CASE("comma-separated tables with nccl-tests' column names are read") {
  // github.com/VIA-Research/vTrain @f8dda8473a48 trace/a100/AR_GPU8_1M_1024M_LUT, first rows
  const NcclLog log = parse_nccl_log(
      "size(B),count,type,time(ns),busbw(GB/s),time(ns),busbw(GB/s)\n"
      "1048576,262144,float,92790,19.78,92150,19.91\n2097152,524288,float,93250,39.36,92970,39.47\n",
      "AR-allreduce-8.csv");
  REQUIRE(log.runs.size() == 1);
  CHECK(log.runs[0].kind == CollectiveKind::all_reduce);
  CHECK(log.runs[0].ranks == 8);
  CHECK(log.runs[0].rows[1].out_of_place.value() == Approx(93.25e-6));
  CHECK(log.runs[0].rows[1].in_place.value() == Approx(92.97e-6));
}

TEST_CASE("rows without worth are left out and counted; a log of nothing else is refused at its place") {
  const std::string good = "1048576 262144 float sum -1 100.0 10.49 15.73 0\n";
  const NcclLog log = parse_nccl_log(good + "2097152 524288 float sum -1 100.0 10.49 15.73 0\n" +
                                         "2097152 524288 float sum -1 200.0 10.49 15.73 7\n4194304 1048576 float sum",
                                     "log.txt");
  CHECK(log.runs.front().rows.size() == 1);
  CHECK(log.skipped.at("wrong results") == 1);
  CHECK(log.skipped.at("cut short, or its numbers contradict each other") == 2);
  CHECK(refusal("").rfind("log.txt:1:1: ", 0) == 0);
  CHECK(refusal("hello\n").find("nccl-tests") != std::string::npos);
  // Four programs of one rank each, started together (built without MPI): no link was measured.
  const std::string alone = device_line(0, "host", 0) + device_line(0, "host", 0) + heading +
                            "1048576 262144 float sum -1 10.0 104.86 0.00 0\n";
  CHECK(refusal(alone).find("log.txt:5:1: ") == 0);
  CHECK(refusal(alone).find("one rank") != std::string::npos);
}

TEST_CASE("damaged logs are read or refused, never worse") {
  std::mt19937_64 random(20261121);
  for (const auto& path : logs()) {
    CAPTURE(path.string());
    const std::string text = read_text_file(path, "text file");
    for (int round = 0; round < 60; ++round) reads(text.substr(0, random() % text.size()));
    for (int round = 0; round < 60; ++round) {
      std::string damaged = text;
      for (int i = 0; i < 40; ++i) damaged[random() % damaged.size()] = static_cast<char>(random());
      reads(damaged);
    }
    std::string windows = text;
    for (std::size_t at = 0; (at = windows.find('\n', at)) != std::string::npos; at += 2) windows.insert(at, "\r");
    const NcclLog log = parse_nccl_log(windows, path.filename().string());
    CHECK(log.runs.front().rows.size() == read_nccl_log(path).runs.front().rows.size());
  }
}

TEST_CASE("megabytes of noise are refused at once") {
  std::mt19937_64 random(7);
  std::string noise(8'000'000, '\0');
  for (char& byte : noise) byte = static_cast<char>(random());
  CHECK_FALSE(reads(noise));
  for (char& byte : noise) byte = "0123456789 .\nfloat"[random() % 18];
  reads(noise);
  CHECK_FALSE(reads(std::string(8'000'000, '7')));
  std::string ranks;
  for (int i = 0; i < 50'000; ++i) ranks += device_line(i, "host" + std::to_string(i), 0);
  CHECK_FALSE(reads(ranks));
}
