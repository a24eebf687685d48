// How processes on several nodes find each other: through a file that all of them see.
//
// Process 0 waits until every other one has left a card (FILE.1, FILE.2, ...) with a token drawn for this start, then
// writes FILE with what the others need and all their tokens. A process takes no FILE without its own token, so that
// one left over from an earlier start is no harm; process 0 first removes old cards, and whoever finds its card gone
// leaves it again.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>

namespace echelon {

struct Rendezvous {
  std::filesystem::path file;  // in a folder that all nodes share
  int rank = 0;                // of this process
  int ranks = 1;               // processes, one a node
  int gpus = 1;                // of this process; every process must have as many
  std::chrono::milliseconds patience{120000};
};

// What process 0's `invitation` gave, on all processes. Throws std::runtime_error that says who did not come in time,
// whose number of GPUs differs, or what could not be written.
std::string meet(const Rendezvous& rendezvous, const std::function<std::string()>& invitation);

}  // namespace echelon
