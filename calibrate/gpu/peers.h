// How the processes of several nodes learn that one of them is gone. NCCL leaves the others of a collective waiting for
// ever; so each process that measures has a watcher that touches no CUDA, and the watchers tell each other through
// files beside the rendezvous (FILE.alive.0, FILE.alive.1, ...).
//
// A process that fails is started again by its watcher. Those that wait for it cannot be woken, so that all are then
// started again and meet anew: every start has a number, a watcher tells the one that it is at, and whoever sees a
// higher one goes there. A watcher that ends says so; one that says nothing any more, with its node, is given up after
// the rendezvous' patience.
//
//   Peers peers(rendezvous);
//   { peers.tell(start); seen = peers.look(); }*  every now and then
//   peers.tell_end(exit code)
//
// Files of an earlier launch are no harm, however late a network's file system shows them: every watcher has a token of
// its own, drawn anew, and says which ones of the others it has read. Only what names this one's is heeded.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "calibrate/gpu/rendezvous.h"

namespace echelon {

// What the others' files say.
struct PeersSeen {
  int start = 0;                   // the highest of all
  std::string gone;                // who is, and how; empty if nobody
  std::optional<int> first_ended;  // the exit code of process 0
};

class Peers {
 public:
  // Throws nothing; files that cannot be written are seen as silence by the others.
  explicit Peers(Rendezvous rendezvous);

  const Rendezvous& rendezvous() const { return rendezvous_; }
  // Where this process, with so many GPUs, meets the others at its start number `start`: at a file of its own, for
  // those left over from the start before are not to be met.
  Rendezvous meeting(int start, std::int64_t gpus) const;
  void tell(int start);
  void tell_end(int exit_code);
  PeersSeen look();

 private:
  using Clock = std::chrono::steady_clock;
  struct Peer {
    int rank = 0;
    std::string text;    // as last heeded
    bool alive = false;  // it has answered
    Clock::time_point changed{};
  };

  void write(const std::string& ended) const;

  Rendezvous rendezvous_;
  std::vector<Peer> peers_;
  std::string token_;
  unsigned beat_ = 0;  // another one each time, so that what is told changes
  int start_ = 0;      // as told
};

}  // namespace echelon
