#include "calibrate/gpu/peers.h"

#include <unistd.h>

#include <fstream>
#include <thread>

#include "tests/catch.h"

using namespace echelon;
using namespace std::chrono_literals;

namespace {

class ScratchFolder {
 public:
  ScratchFolder() : path_(std::filesystem::temp_directory_path() / ("peers-" + std::to_string(getpid()))) {
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  ~ScratchFolder() { std::filesystem::remove_all(path_); }
  Rendezvous rendezvous(int rank, std::chrono::milliseconds patience = 10s) const {
    return {path_ / "meet", rank, 3, 8, patience};
  }

 private:
  std::filesystem::path path_;
};

}  // namespace

TEST_CASE("Peers see who starts anew, who ends, and that the first one is done") {
  const ScratchFolder folder;
  Peers first(folder.rendezvous(0)), second(folder.rendezvous(1)), third(folder.rendezvous(2));
  CHECK(first.look().start == 0);  // nobody has come yet
  first.tell(1);
  second.tell(1);
  third.tell(2);
  first.tell(1);  // the others have come: it answers them
  CHECK(first.look().start == 2);
  CHECK(first.look().gone.empty());
  CHECK(third.look().start == 1);
  second.tell_end(0);  // it has done its part
  CHECK(first.look().gone.empty());
  second.tell_end(2);
  CHECK(first.look().gone == "process 1 of 3 ended with exit code 2");
  CHECK_FALSE(third.look().first_ended.has_value());
  first.tell_end(0);
  CHECK(third.look().first_ended == 0);
}

TEST_CASE("A peer that was there and says nothing any more is given up") {
  const ScratchFolder folder;
  Peers first(folder.rendezvous(0, 200ms)), second(folder.rendezvous(1));
  first.tell(1);
  std::this_thread::sleep_for(300ms);
  CHECK(first.look().gone.empty());  // it never came: meeting it has a time limit of its own
  second.tell(1);
  CHECK(first.look().gone.empty());
  std::this_thread::sleep_for(100ms);
  second.tell(1);  // the same, said again
  CHECK(first.look().gone.empty());
  std::this_thread::sleep_for(150ms);
  CHECK(first.look().gone.empty());
  std::this_thread::sleep_for(150ms);
  CHECK(first.look().gone == "process 1 of 3 has given no sign of life for 0.2 s");
}

TEST_CASE("What an earlier launch has left is not heeded") {
  const ScratchFolder folder;
  {
    Peers second(folder.rendezvous(1)), third(folder.rendezvous(2));
    second.tell(7);
    third.tell_end(1);
  }
  Peers first(folder.rendezvous(0, 50ms));
  std::this_thread::sleep_for(100ms);
  const PeersSeen seen = first.look();
  CHECK(seen.start == 0);
  CHECK(seen.gone.empty());
}

TEST_CASE("What an earlier launch has left is not heeded where a file system shows it late") {
  const ScratchFolder folder;
  const auto sign = folder.rendezvous(0).file.string() + ".alive.1";
  {
    Peers earlier(folder.rendezvous(0)), second(folder.rendezvous(1));
    for (int beat = 0; beat < 2; ++beat) earlier.tell(3), second.tell(3);
    second.tell_end(1);
    CHECK(earlier.look().gone == "process 1 of 3 ended with exit code 1");
  }
  std::filesystem::rename(sign, sign + ".late");
  Peers first(folder.rendezvous(0));
  first.tell(1);
  std::filesystem::rename(sign + ".late", sign);
  CHECK(first.look().gone.empty());
  CHECK(first.look().start == 0);
  Peers second(folder.rendezvous(1));  // the one of this launch comes at last
  second.tell(2);
  CHECK(first.look().start == 2);
}

TEST_CASE("Each start has a meeting place of its own") {
  const ScratchFolder folder;
  const Peers peers(folder.rendezvous(1));
  CHECK(peers.meeting(1, 4).file == folder.rendezvous(1).file);
  CHECK(peers.meeting(1, 4).gpus == 4);
  CHECK(peers.meeting(2, 4).file != peers.meeting(3, 4).file);
}
