#include "calibrate/gpu/peers.h"

#include <algorithm>
#include <fstream>
#include <random>
#include <sstream>
#include <system_error>
#include <utility>

namespace echelon {
namespace {

using Path = std::filesystem::path;

constexpr const char* ended_word = "ended";

Path sign_of(const Path& file, int rank) {
  return file.string() + ".alive." + std::to_string(rank);
}

std::string text_of(const Path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

// What a file says: "START BEAT" or "START BEAT ended CODE".
struct Sign {
  int start = 0;
  std::optional<int> ended;
};

Sign read_sign(const std::string& text) {
  std::istringstream words(text);
  Sign sign;
  unsigned beat = 0;
  std::string word;
  int code = 0;
  words >> sign.start >> beat;
  if (words >> word >> code && word == ended_word) sign.ended = code;
  return sign;
}

std::string seconds_text(std::chrono::milliseconds time) {
  std::ostringstream text;
  text << static_cast<double>(time.count()) / 1000 << " s";
  return text.str();
}

}  // namespace

Peers::Peers(Rendezvous rendezvous) : rendezvous_(std::move(rendezvous)), beat_(std::random_device()()) {
  for (int rank = 0; rank < rendezvous_.ranks; ++rank)
    if (rank != rendezvous_.rank) peers_.push_back({rank, text_of(sign_of(rendezvous_.file, rank)), false, {}});
}

Rendezvous Peers::meeting(int start, std::int64_t gpus) const {
  Rendezvous meeting = rendezvous_;
  meeting.gpus = static_cast<int>(gpus);
  if (start > 1) meeting.file += ".start" + std::to_string(start);
  return meeting;
}

void Peers::tell(int start) {
  start_ = start;
  write(std::to_string(start) + " " + std::to_string(++beat_) + "\n");
}

void Peers::tell_end(int exit_code) {
  write(std::to_string(start_) + " " + std::to_string(++beat_) + " " + ended_word + " " + std::to_string(exit_code) +
        "\n");
}

PeersSeen Peers::look() {
  PeersSeen seen;
  for (Peer& peer : peers_) {
    const std::string text = text_of(sign_of(rendezvous_.file, peer.rank));
    if (!text.empty() && text != peer.text) {
      peer.text = text;
      peer.alive = true;
      peer.changed = Clock::now();
    }
    if (!peer.alive) continue;
    const Sign sign = read_sign(peer.text);
    seen.start = std::max(seen.start, sign.start);
    if (sign.ended && peer.rank == 0) seen.first_ended = sign.ended;
    const std::string name = "process " + std::to_string(peer.rank) + " of " + std::to_string(rendezvous_.ranks);
    if (sign.ended && *sign.ended != 0)
      seen.gone = name + " ended with exit code " + std::to_string(*sign.ended);
    else if (!sign.ended && Clock::now() - peer.changed > rendezvous_.patience)
      seen.gone = name + " has given no sign of life for " + seconds_text(rendezvous_.patience);
  }
  return seen;
}

void Peers::write(const std::string& text) const {
  const Path path = sign_of(rendezvous_.file, rendezvous_.rank);
  const Path draft = path.string() + ".draft";
  std::ofstream out(draft, std::ios::binary);
  out << text;
  out.close();
  std::error_code ignored;
  if (out) std::filesystem::rename(draft, path, ignored);
}

}  // namespace echelon
