#include "calibrate/sweep/sweep.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <set>
#include <thread>

#include "calibrate/sweep/plan.h"
#include "sim/base/error.h"
#include "tests/calibrate/recorded_device.h"
#include "tests/calibrate/synthetic_sweep.h"
#include "tests/catch.h"

using namespace echelon;

namespace {

const Seconds an_hour(3600);

// A name in the folder of temporary files, with nothing there before and after.
class ScratchFile {
 public:
  explicit ScratchFile(const std::string& name)
      : path_(std::filesystem::temp_directory_path() / (std::to_string(getpid()) + "-" + name)) {
    remove();
  }
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;
  ~ScratchFile() { remove(); }
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path part() const { return path_.string() + ".part"; }

 private:
  void remove() const {
    std::filesystem::remove(path_);
    std::filesystem::remove(part());
  }
  std::filesystem::path path_;
};

// A device that takes its time over every benchmark.
class SlowDevice : public RecordedDevice {
 public:
  using RecordedDevice::RecordedDevice;
  Reading measure(const Benchmark& benchmark, const Effort& effort) override {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    return RecordedDevice::measure(benchmark, effort);
  }
};

// A device that is lost at one benchmark.
class DyingDevice : public RecordedDevice {
 public:
  using RecordedDevice::RecordedDevice;
  Reading measure(const Benchmark& benchmark, const Effort& effort) override {
    if (calls == 10) return {Outcome::lost, {}, {}, "illegal address"};
    return RecordedDevice::measure(benchmark, effort);
  }
};

Benchmark benchmark_of_bytes(std::int64_t bytes) {
  Benchmark benchmark{"memory", "device_copy", "bf16", ""};
  benchmark.bytes = bytes;
  return benchmark;
}

}  // namespace

TEST_CASE("Runs come down to median, quartile spread and outliers") {
  // Quartiles of 1..8 and 100 are 3 and 7, so that the fences are at -3 and 13.
  const Sample sample = summarise(benchmark_of_bytes(1), {Outcome::measured, {8, 1, 2, 100, 3, 7, 4, 5, 6}, {}, ""});
  CHECK(sample.time.value() * 1e6 == Approx(5));
  CHECK(sample.spread == Approx(4.0 / 5));
  CHECK(sample.least.value() * 1e6 == Approx(1));
  CHECK(sample.runs == 9);
  CHECK(sample.outliers == 1);
  CHECK(summarise(benchmark_of_bytes(1), {}).outcome == Outcome::failed);
}

TEST_CASE("A sweep goes on after what is out of memory, and skips it when it goes on") {
  SampleSet trace = synthetic_sweep(Scope::quick);
  trace.samples[5].outcome = Outcome::out_of_memory;
  trace.samples[5].note = "cudaMalloc: \"out of memory\", here";
  const std::string key = trace.samples[5].benchmark.key();
  RecordedDevice device(trace);
  const ScratchFile file("sweep.csv.gz");
  const auto plan = make_plan(Scope::quick, {}, trace.origin.facts);
  {
    SampleJournal journal(file.path(), trace.origin);
    const SweepResult result = sweep(device, plan, effort_of(Scope::quick), an_hour, journal);
    CHECK(result.measured == plan.size());
    CHECK(result.left == 0);
    journal.finish();
  }
  CHECK_FALSE(std::filesystem::exists(file.part()));
  const SampleSet read = read_samples(file.path());
  REQUIRE(read.samples.size() == plan.size());
  CHECK(read.origin.facts.gpu == trace.origin.facts.gpu);
  CHECK(read.origin.facts.memory_bytes == trace.origin.facts.memory_bytes);
  CHECK(read.origin.date == "2026-01-31");
  for (const Sample& sample : read.samples)
    if (sample.benchmark.key() == key) CHECK(sample.note == trace.samples[5].note);
  device.calls = 0;
  SampleJournal again(file.path(), trace.origin);
  CHECK(sweep(device, plan, effort_of(Scope::quick), an_hour, again).had == plan.size());
  CHECK(device.calls == 0);
}

TEST_CASE("A sweep killed at any time goes on with nothing lost") {
  const SampleSet trace = synthetic_sweep(Scope::quick);
  const auto plan = make_plan(Scope::quick, {"memory", "launch"}, trace.origin.facts);
  const ScratchFile file("killed.csv");
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    SlowDevice device(trace);
    SampleJournal journal(file.path(), trace.origin);
    sweep(device, plan, effort_of(Scope::quick), an_hour, journal);
    _exit(0);
  }
  const auto rows_at_least = [&](std::uintmax_t bytes) {
    std::error_code none;
    const auto size = std::filesystem::file_size(file.part(), none);
    return !none && size > bytes;
  };
  while (!rows_at_least(1500)) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  std::ofstream(file.part(), std::ios::app) << "memory,rms_norm,bf";  // as a kill within a write leaves it
  const std::size_t had = read_samples(file.part()).samples.size();
  CHECK(had > 5);
  CHECK(had < plan.size());
  RecordedDevice device(trace);
  SampleJournal journal(file.path(), trace.origin);
  const SweepResult result = sweep(device, plan, effort_of(Scope::quick), an_hour, journal);
  CHECK(result.had == had);
  CHECK(static_cast<std::size_t>(device.calls) == plan.size() - had);
  journal.finish();
  CHECK(read_samples(file.path()).samples.size() == plan.size());
}

TEST_CASE("A lost device ends a sweep, and the next one goes on behind what killed it") {
  const SampleSet trace = synthetic_sweep(Scope::quick);
  const auto plan = make_plan(Scope::quick, {"memory"}, trace.origin.facts);
  const ScratchFile file("lost.csv");
  DyingDevice dying(trace);
  {
    SampleJournal journal(file.path(), trace.origin);
    const SweepResult result = sweep(dying, plan, effort_of(Scope::quick), an_hour, journal);
    CHECK(result.device_lost);
    CHECK(result.measured == 11);
    CHECK(result.left == plan.size() - 11);
  }
  RecordedDevice device(trace);
  SampleJournal journal(file.path(), trace.origin);
  CHECK(sweep(device, plan, effort_of(Scope::quick), an_hour, journal).left == 0);
}

TEST_CASE("A benchmark that took its process down is not tried again") {
  const SampleSet trace = synthetic_sweep(Scope::quick);
  const auto plan = make_plan(Scope::quick, {"memory"}, trace.origin.facts);
  const ScratchFile file("died.csv");
  SampleJournal journal(file.path(), trace.origin);
  RecordedDevice device(trace);
  sweep(device, {plan[0], plan[1]}, effort_of(Scope::quick), an_hour, journal);
  REQUIRE(next_of(plan, journal) != nullptr);
  CHECK(next_of(plan, journal)->key() == plan[2].key());
  journal.append(summarise(plan[2], {Outcome::lost, {}, {}, "the process died of signal 11"}));
  const SweepResult result = sweep(device, plan, effort_of(Scope::quick), an_hour, journal);
  CHECK(result.had == 3);
  CHECK(result.left == 0);
}

TEST_CASE("What a process told to be lost before another node's failure ended it is not given up twice") {
  const SampleSet trace = synthetic_sweep(Scope::quick);
  const std::vector<Benchmark> plan = make_plan(Scope::quick, {"memory"}, trace.origin.facts);
  const ScratchFile file("twice.csv");
  const Effort effort = effort_of(Scope::quick);
  const Death elsewhere{"a process on another node started anew", false};
  const auto lost = [&] {
    std::size_t count = 0;
    for (const Sample& sample : read_samples(file.part()).samples) count += sample.outcome == Outcome::lost ? 1 : 0;
    return count;
  };
  const auto process = [&](DeviceLayer* device, const Death& death) {
    SampleJournal journal(file.path(), trace.origin);
    take_over(plan, journal, death);
    if (device != nullptr) sweep(*device, plan, effort, an_hour, journal);
  };
  DyingDevice dying(trace);
  process(&dying, {});  // tells the loss itself
  CHECK(lost() == 1);
  process(nullptr, elsewhere);  // it failed on both nodes: that is told already
  CHECK(lost() == 1);
  process(nullptr, {"the process died of signal 6", false});  // before it had measured anything
  CHECK(lost() == 2);
  process(nullptr, {"the process died of signal 6", false});  // and again, at the next one
  CHECK(lost() == 3);
  RecordedDevice sound(trace);
  process(&sound, {});
  CHECK(read_samples(file.part()).samples.size() == plan.size());
}

TEST_CASE("A used-up budget ends a sweep and says what is left") {
  const SampleSet trace = synthetic_sweep(Scope::quick);
  const auto plan = make_plan(Scope::quick, {"memory"}, trace.origin.facts);
  const ScratchFile file("budget.csv");
  SlowDevice device(trace);
  SampleJournal journal(file.path(), trace.origin);
  std::size_t told = 0;
  const SweepResult result = sweep(device, plan, effort_of(Scope::quick), Seconds(0.02), journal,
                                   [&](const SweepProgress& progress) { told = progress.done; });
  CHECK(result.left > 0);
  CHECK(result.measured + result.left == plan.size());
  CHECK(told == result.measured);
}

TEST_CASE("A sweep tells how far it is, and what is left at its pace or of its budget") {
  const SampleSet trace = synthetic_sweep(Scope::quick);
  const auto plan = make_plan(Scope::quick, {"memory"}, trace.origin.facts);
  const ScratchFile file("pace.csv");
  SampleJournal journal(file.path(), trace.origin);
  SlowDevice device(trace);
  std::size_t told = 0;
  const auto look = [&](const SweepProgress& progress) {
    CHECK(progress.done == ++told);
    CHECK(progress.total == plan.size());
    REQUIRE(progress.last != nullptr);
    CHECK(progress.last->benchmark.key() == plan[told - 1].key());
    // 2 ms a benchmark at least, of those to come.
    CHECK(progress.remaining >= Seconds(0.002 * static_cast<double>(plan.size() - told)));
    CHECK(progress.remaining <= an_hour);
  };
  sweep(device, plan, effort_of(Scope::quick), an_hour, journal, look);
  CHECK(told == plan.size());
}

TEST_CASE("Samples of another machine are not mixed in") {
  SweepOrigin origin = known_origin();
  const ScratchFile file("other.csv");
  SampleJournal(file.path(), origin).finish();
  origin.facts.driver = "575.51.03";
  CHECK_THROWS_AS(SampleJournal(file.path(), origin), InputError);
}

TEST_CASE("A file that holds no samples is refused at its place") {
  const ScratchFile file("broken.csv");
  const auto message = [&](const std::string& text) {
    std::ofstream(file.path()) << text;
    try {
      read_samples(file.path());
    } catch (const InputError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  const std::string head = csv_head(known_origin());
  CHECK(message("gpu,dtype\n").find(":1:1: not a file of samples") != std::string::npos);
  CHECK(message(head + "gemm,product,bf16,forward,-1,2,3,1,,,,,,measured,5,,,,,,,,,\n").find(":17:27: ") !=
        std::string::npos);
  CHECK(message(head + "gemm,product,bf16,forward,1,2,3,1,,,,,,done,5,,,,,,,,,\n").find("out_of_memory") !=
        std::string::npos);
  CHECK(message(head + "gemm,product,bf16,forward,1,2,3,1,,,,,,measured,,,,,,,,,,\n").find("no time") !=
        std::string::npos);
}

TEST_CASE("Plans have no benchmark twice, grow with their scope and name what is asked for") {
  const DeviceFacts facts = known_origin().facts;
  std::size_t smaller = 0;
  for (const auto& scope : enum_names<Scope>) {
    const auto plan = make_plan(scope.value, {}, facts);
    std::set<std::string> keys;
    for (const Benchmark& benchmark : plan) keys.insert(benchmark.key());
    CHECK(keys.size() == plan.size());
    CHECK(plan.size() > smaller);
    smaller = plan.size();
  }
  for (const Benchmark& benchmark : make_plan(Scope::standard, {"gemm"}, facts))
    CHECK((benchmark.family == "gemm" || benchmark.family == "reference"));
  DeviceFacts one = facts;
  one.gpus = 1;
  for (const Benchmark& benchmark : make_plan(Scope::quick, {}, one)) {
    CHECK(benchmark.family != "collective");
    CHECK(benchmark.operation != "to_peer");
    CHECK(benchmark.operation != "product_beside_all_reduce");
  }
}

// A benchmark warms up for a fifth of the time that it is timed for (timing.cu). What it takes beside that, to choose
// algorithms and fill memory, the whole device layer shows on the test's runtime (calibrate/README.md has its figures).
TEST_CASE("The timed runs of a whole plan fit its budget") {
  DeviceFacts facts = known_origin().facts;
  facts.gpus = 1;
  for (const auto& scope : enum_names<Scope>) {
    CAPTURE(scope.name);
    const double seconds = 1.2 * effort_of(scope.value).seconds;
    const double minutes = seconds * static_cast<double>(make_plan(scope.value, {}, facts).size()) / 60;
    CHECK(minutes < budget_minutes(scope.value));
  }
}

TEST_CASE("A plan has every subset of a node's GPUs, and of the nodes that met") {
  DeviceFacts facts = known_origin().facts;
  facts.gpus = 6;
  facts.nodes = 3;
  std::set<std::pair<std::int64_t, std::int64_t>> groups;
  for (const Benchmark& benchmark : make_plan(Scope::quick, {"collective"}, facts))
    if (benchmark.family == "collective") groups.emplace(benchmark.ranks, benchmark.ranks_per_node);
  CHECK(groups ==
        std::set<std::pair<std::int64_t, std::int64_t>>{{2, 0}, {4, 0}, {6, 0}, {2, 1}, {3, 1}, {12, 6}, {18, 6}});
}

TEST_CASE("A plan has fused attention by length, head size, heads and mask, and experts' products") {
  std::set<std::int64_t> lengths, head_sizes, groups, experts;
  std::set<std::string> variants, layouts, ragged;
  for (const Benchmark& benchmark : make_plan(Scope::standard, {"attention", "grouped"}, known_origin().facts)) {
    if (benchmark.operation == "fused") {
      lengths.insert(benchmark.m);
      head_sizes.insert(benchmark.k);
      groups.insert(benchmark.heads / benchmark.kv_heads);
      variants.insert(benchmark.variant);
    }
    if (benchmark.family == "grouped") {
      experts.insert(benchmark.batch);
      (benchmark.operation == ragged_product ? ragged : layouts).insert(benchmark.variant);
    }
  }
  CHECK(lengths == std::set<std::int64_t>{256, 512, 1024, 2048, 4096, 8192, 16384});
  CHECK(head_sizes == std::set<std::int64_t>{64, 128});
  CHECK(groups == std::set<std::int64_t>{1, 4});
  CHECK(variants == std::set<std::string>{"forward", "backward", "causal_forward", "causal_backward"});
  CHECK(experts == std::set<std::int64_t>{8, 32});
  CHECK(layouts == std::set<std::string>{"forward", "input_gradient", "weight_gradient"});
  CHECK(ragged == layouts);
}

TEST_CASE("Experts with unlike rows have the mean at the mean") {
  for (const std::int64_t experts : {8, 32})
    for (const std::int64_t mean : {1, 128, 1000}) {
      std::int64_t sum = 0, most = 0;
      for (std::int64_t expert = 0; expert < experts; ++expert) {
        sum += rows_of_expert(mean, expert, experts);
        most = std::max(most, rows_of_expert(mean, expert, experts));
      }
      CHECK(sum == mean * experts);
      CHECK(most <= 2 * mean);
    }
}

TEST_CASE("Weight gradients are measured in every format that training uses, int8 in none") {
  const auto formats = [](Scope scope) {
    std::set<std::string> types;
    for (const Benchmark& benchmark : make_plan(scope, {"gemm"}, known_origin().facts))
      if (benchmark.variant == "weight_gradient") types.insert(benchmark.type);
    return types;
  };
  CHECK(formats(Scope::quick) == std::set<std::string>{"bf16"});
  CHECK(formats(Scope::standard) == std::set<std::string>{"bf16", "fp8"});
  CHECK(formats(Scope::thorough) == std::set<std::string>{"bf16", "fp16", "fp32", "fp8", "tf32"});
}
