#include "sim/cli/children.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <optional>
#include <system_error>
#include <thread>

namespace echelon {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int most_children = 10;
constexpr std::chrono::seconds longest_silence(60);  // the longest benchmark of one node takes a third of that
constexpr std::chrono::milliseconds between_looks(500);

// How a child ended: for good, or so that another one follows.
struct ChildEnd {
  std::optional<int> exit_code;
  std::string died_of;
  bool by_peer = false;
  int next = 0;  // number of the next start
};

// Watches one child, and ends it where it or its peers do not get on.
class ChildWatch {
 public:
  ChildWatch(const Watched& watched, pid_t child, int start) : watched_(watched), child_(child), start_(start) {}

  ChildEnd wait() {
    int status = 0;
    while (waitpid(child_, &status, WNOHANG) == 0) {
      look_at_peers();
      look_at_journal();
      if (stopped_) kill(child_, SIGKILL);
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    return stopped_ ? *stopped_ : end_of(status);
  }

 private:
  void stop(ChildEnd end) {
    if (!stopped_) stopped_ = std::move(end);
  }
  ChildEnd again(std::string died_of) const { return {std::nullopt, std::move(died_of), false, start_ + 1}; }

  void look_at_peers() {
    if (watched_.peers == nullptr || Clock::now() - looked_ < between_looks) return;
    looked_ = Clock::now();
    watched_.peers->tell(start_);
    const PeersSeen seen = watched_.peers->look();
    if (seen.first_ended == 0) return stop({0, "", true, 0});
    if (!seen.gone.empty()) return stop({1, seen.gone, true, 0});
    if (seen.start > start_) stop({std::nullopt, "a process on another node started anew", true, seen.start});
  }

  // A library that hangs would hold up the rest. Without peers there is no silence before and after measuring.
  void look_at_journal() {
    if (watched_.journal.empty()) return;
    std::error_code absent;
    const std::uintmax_t size = std::filesystem::file_size(watched_.journal, absent);
    if ((absent && watched_.peers == nullptr) || size != size_) grown_ = Clock::now();
    size_ = size;
    const auto longest = longest_silence + to_meet_in();
    if (Clock::now() - grown_ <= longest) return;
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(longest).count();
    stop(again(fmt::format("it gave no sample within {} s", seconds)));
  }

  std::chrono::milliseconds to_meet_in() const {
    return watched_.peers == nullptr ? std::chrono::milliseconds(0) : watched_.peers->rendezvous().patience;
  }

  ChildEnd end_of(int status) const {
    if (WIFEXITED(status) && WEXITSTATUS(status) == go_on_exit_code) return again("");
    if (WIFEXITED(status)) return {WEXITSTATUS(status), "", false, 0};
    const int signal = WTERMSIG(status);
    for (const int wish : {SIGHUP, SIGINT, SIGKILL, SIGPIPE, SIGTERM})  // of somebody's
      if (signal == wish) return {128 + signal, "", false, 0};
    return again(fmt::format("the process died of signal {}", signal));
  }

  const Watched& watched_;
  pid_t child_;
  int start_;
  std::optional<ChildEnd> stopped_;
  Clock::time_point looked_{};
  Clock::time_point grown_ = Clock::now();
  std::uintmax_t size_ = 0;
};

int ended(const Watched& watched, int exit_code) {
  if (watched.peers != nullptr) watched.peers->tell_end(exit_code);
  return exit_code;
}

}  // namespace

int run_in_children(const Watched& watched, const std::function<int(const ChildStart&)>& work) {
  const auto begun = Clock::now();
  for (ChildStart start;;) {
    const pid_t pid = fork();
    if (pid == 0) prctl(PR_SET_PDEATHSIG, SIGTERM);  // nobody is left to measure for
    if (pid <= 0) return work(start);                // the child; or no child can be had
    const ChildEnd end = ChildWatch(watched, pid, start.number).wait();
    if (end.exit_code && !end.died_of.empty()) fmt::print(stderr, "{}; what was measured is kept\n", end.died_of);
    if (end.exit_code) return ended(watched, *end.exit_code);
    const char* const no_answer = watched.peers == nullptr ? "the GPU stopped answering" : "a GPU stopped answering";
    fmt::print(stderr, "{}; going on after that benchmark in a new process\n",
               end.died_of.empty() ? no_answer : end.died_of);
    if (end.next > most_children) return ended(watched, 1);
    start = {end.next, end.died_of, end.by_peer, Seconds(std::chrono::duration<double>(Clock::now() - begun).count())};
  }
}

}  // namespace echelon
