// A process that measures, and another in its place where its GPU stopped answering, a library took it down or hangs,
// or a process on another node did: the sweep goes on behind that benchmark. The one that watches touches no CUDA.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "calibrate/gpu/peers.h"
#include "sim/base/units.h"

namespace echelon {

// What a process that measures is told.
struct ChildStart {
  int number = 1;        // of this start, on all nodes alike
  std::string died_of;   // what ended the one before; empty for the first and where that one told it in its journal
  bool by_peer = false;  // that happened on another node
  Seconds spent;         // since the first one began
};

// Exit code of a process that lost its GPU or its peers, and may get them back in a new one: EX_TEMPFAIL.
constexpr int go_on_exit_code = 75;

struct Watched {
  std::filesystem::path journal;  // grows while a process measures; empty where it only takes part
  Peers* peers = nullptr;         // on other nodes; none where it measures alone
};

// Runs `work` in children, at most ten, and gives the exit code of the last. Throws nothing of its own; what `work`
// throws leaves the child's call.
int run_in_children(const Watched& watched, const std::function<int(const ChildStart&)>& work);

}  // namespace echelon
