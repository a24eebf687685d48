// `mpirun echelon sweep`: processes share a space, write one result, and are stopped and killed.
#include <signal.h>

#include <chrono>
#include <fstream>
#include <iostream>
#include <sstream>
#include <thread>

#include "tests/catch.h"
#include "tests/cli/program.h"

using namespace echelon;

namespace {

const std::string scenario = std::string(ECHELON_SOURCE_DIR) + "/scenarios/sweeps/gpt3-175b-1024-a100.yaml";
const std::string mpirun = ECHELON_MPIRUN;

bool is_there() {
  if (!mpirun.empty()) return true;
  std::cerr << "MPI was not found when this was built: sweeps of several processes are not tested\n";
  return false;
}

std::vector<std::string> launch(int processes, const std::vector<std::string>& arguments) {
  std::vector<std::string> command = {mpirun, "-n", std::to_string(processes), "--oversubscribe",
                                      "--allow-run-as-root"};
  command.emplace_back(ECHELON_PROGRAM);
  command.insert(command.end(), arguments.begin(), arguments.end());
  return command;
}

std::string text_of(const std::filesystem::path& file) {
  std::ostringstream text;
  text << std::ifstream(file, std::ios::binary).rdbuf();
  return text.str();
}

std::uintmax_t size_of(const std::filesystem::path& file) {
  std::error_code none_yet;
  const auto size = std::filesystem::file_size(file, none_yet);
  return none_yet ? 0 : size;
}

// Waits for something that must come within a minute.
template <class Due>
bool comes(Due due) {
  for (int i = 0; i < 60'000 && !due(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return due();
}

// The process of that rank that the launcher started; 0 where there is none yet.
int process_of_rank(int launcher, int rank) {
  const std::string parent = "PPid:\t" + std::to_string(launcher) + "\n";
  const std::string variable = "OMPI_COMM_WORLD_RANK=" + std::to_string(rank) + std::string(1, '\0');
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    if (text_of(entry.path() / "status").find(parent) == std::string::npos) continue;
    if (text_of(entry.path() / "environ").find(variable) != std::string::npos) return std::stoi(name);
  }
  return 0;
}

}  // namespace

TEST_CASE("two and four processes write the bytes that one writes") {
  if (!is_there()) return;
  const ScratchFolder folder;
  for (const char* ending : {".csv", ".jsonl", ".sqlite"}) {
    const std::string one = folder.path() / (std::string("one") + ending);
    REQUIRE(run_program({"sweep", scenario, "-o", one}).exit_code == 0);
    for (const int processes : {2, 4}) {
      const std::string several = folder.path() / (std::to_string(processes) + ending);
      REQUIRE(StartedCommand(launch(processes, {"sweep", scenario, "-o", several})).wait() == 0);
      const bool same = text_of(one) == text_of(several);
      CHECK(same);
    }
  }
}

TEST_CASE("a process that stands still holds nobody up") {
  if (!is_there()) return;
  const ScratchFolder folder;
  const std::string one = folder.path() / "one.csv";
  REQUIRE(run_program({"sweep", scenario, "-o", one}).exit_code == 0);
  const std::string several = folder.path() / "several.csv";
  StartedCommand command(launch(3, {"sweep", scenario, "-o", several}));
  REQUIRE(comes([&] { return size_of(several) > 0; }));
  const int slow = process_of_rank(command.process(), 2);
  REQUIRE(slow > 0);
  kill(slow, SIGSTOP);
  // The whole file is there before it goes on.
  const bool all = comes([&] { return size_of(several) == size_of(one); });
  CHECK(!command.has_ended());
  kill(slow, SIGCONT);
  CHECK(all);
  CHECK(command.wait() == 0);
  const bool same = text_of(one) == text_of(several);
  CHECK(same);
}

TEST_CASE("a sweep of several processes of which one is killed goes on and loses nothing") {
  if (!is_there()) return;
  const ScratchFolder folder;
  const std::string one = folder.path() / "one.csv";
  REQUIRE(run_program({"sweep", scenario, "-o", one}).exit_code == 0);
  const std::string killed = folder.path() / "killed.csv";
  for (const int victim : {0, 1}) {
    const auto before = size_of(killed);
    StartedCommand command(launch(2, {"sweep", scenario, "-o", killed}));
    if (!comes([&] { return size_of(killed) > before + 100'000 || command.has_ended(); })) FAIL("nothing is written");
    if (const int process = process_of_rank(command.process(), victim)) kill(process, SIGKILL);
    CHECK(command.wait() != 0);
  }
  REQUIRE(StartedCommand(launch(2, {"sweep", scenario, "-o", killed})).wait() == 0);
  const bool same = text_of(one) == text_of(killed);
  CHECK(same);
}

TEST_CASE("what is wrong ends all processes") {
  if (!is_there()) return;
  const ScratchFolder folder;
  const std::string file = folder.path() / "x.csv";
  CHECK(StartedCommand(launch(3, {"sweep", scenario, "-o", file, "--set", "cluster.profile=none"})).wait() == 2);
  CHECK(StartedCommand(launch(3, {"sweep", scenario, "-o", "/nowhere/x.csv"})).wait() == 2);
}
