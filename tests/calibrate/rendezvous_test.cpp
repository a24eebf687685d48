#include "calibrate/gpu/rendezvous.h"

#include <unistd.h>

#include <fstream>
#include <future>

#include "tests/catch.h"

using namespace echelon;
using namespace std::chrono_literals;

namespace {

class ScratchFolder {
 public:
  ScratchFolder() : path_(std::filesystem::temp_directory_path() / ("rendezvous-" + std::to_string(getpid()))) {
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  ~ScratchFolder() { std::filesystem::remove_all(path_); }
  std::filesystem::path file() const { return path_ / "meet"; }

 private:
  std::filesystem::path path_;
};

std::future<std::string> come(const Rendezvous& rendezvous, const std::string& invitation) {
  return std::async(std::launch::async, [=] { return meet(rendezvous, [&] { return invitation; }); });
}

std::string complaint(std::future<std::string>& waiting) {
  try {
    waiting.get();
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("Processes meet at a file and are told what the first one says") {
  const ScratchFolder folder;
  // Left over from an earlier start: an invitation of others, and a card of a process that is gone.
  std::ofstream(folder.file()) << "old-address 1234\n";
  std::ofstream(folder.file().string() + ".2") << "stale 4\n";
  std::vector<std::future<std::string>> all;
  for (const int rank : {2, 1, 0}) all.push_back(come({folder.file(), rank, 3, 4, 10s}, "address"));
  for (auto& one : all) CHECK(one.get() == "address");
  CHECK_FALSE(std::filesystem::exists(folder.file().string() + ".1"));
}

TEST_CASE("Whoever does not come is named in time") {
  const ScratchFolder folder;
  auto first = come({folder.file(), 0, 3, 8, 300ms}, "address");
  auto second = come({folder.file(), 1, 3, 8, 300ms}, "");
  CHECK(complaint(first).find("process 2 of 3 did not come") != std::string::npos);
  CHECK(complaint(second).find("process 0 of 3 did not answer") != std::string::npos);
}

TEST_CASE("Nodes of unlike numbers of GPUs and folders that are not there are refused") {
  const ScratchFolder folder;
  auto first = come({folder.file(), 0, 2, 8, 10s}, "address");
  auto second = come({folder.file(), 1, 2, 4, 500ms}, "");
  CHECK(complaint(first).find("process 1 has 4 GPUs and process 0 has 8") != std::string::npos);
  CHECK_FALSE(complaint(second).empty());
  auto lost = come({folder.file() / "nowhere" / "meet", 1, 2, 8, 100ms}, "");
  CHECK(complaint(lost).find("cannot be written") != std::string::npos);
}
