#include "calibrate/gpu/peers.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <random>
#include <sstream>
#include <system_error>
#include <utility>

namespace echelon {
namespace {

using Path = std::filesystem::path;

constexpr const char* goes_on = "-";

Path sign_of(const Path& file, int rank) {
  return file.string() + ".alive." + std::to_string(rank);
}

std::string text_of(const Path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

// What a file says: "START BEAT TOKEN END TOKEN...", END an exit code or "-", then the tokens of those it has read.
struct Sign {
  int start = 0;
  std::string token;
  std::optional<int> ended;
  std::vector<std::string> has_read;
};

Sign read_sign(const std::string& text) {
  std::istringstream words(text);
  Sign sign;
  unsigned beat = 0;
  std::string end, word;
  words >> sign.start >> beat >> sign.token >> end;
  if (!end.empty() && end != goes_on) sign.ended = std::atoi(end.c_str());
  while (words >> word) sign.has_read.push_back(word);
  return sign;
}

std::string random_token() {
  std::random_device device;
  std::ostringstream text;
  for (int i = 0; i < 2; ++i) text << std::hex << device();
  return text.str();
}

std::string seconds_text(std::chrono::milliseconds time) {
  std::ostringstream text;
  text << static_cast<double>(time.count()) / 1000 << " s";
  return text.str();
}

}  // namespace

Peers::Peers(Rendezvous rendezvous) : rendezvous_(std::move(rendezvous)), token_(random_token()) {
  for (int rank = 0; rank < rendezvous_.ranks; ++rank)
    if (rank != rendezvous_.rank) peers_.push_back({rank, "", false, {}});
}

Rendezvous Peers::meeting(int start, std::int64_t gpus) const {
  Rendezvous meeting = rendezvous_;
  meeting.gpus = static_cast<int>(gpus);
  if (start > 1) meeting.file += ".start" + std::to_string(start);
  return meeting;
}

void Peers::tell(int start) {
  start_ = start;
  ++beat_;
  write(goes_on);
}

void Peers::tell_end(int exit_code) {
  ++beat_;
  write(std::to_string(exit_code));
}

PeersSeen Peers::look() {
  PeersSeen seen;
  for (Peer& peer : peers_) {
    const std::string text = text_of(sign_of(rendezvous_.file, peer.rank));
    const Sign latest = read_sign(text);
    const bool answers = std::find(latest.has_read.begin(), latest.has_read.end(), token_) != latest.has_read.end();
    if (answers && text != peer.text) {
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

void Peers::write(const std::string& ended) const {
  std::string text = std::to_string(start_) + " " + std::to_string(beat_) + " " + token_ + " " + ended;
  for (const Peer& peer : peers_) {
    const std::string theirs = read_sign(text_of(sign_of(rendezvous_.file, peer.rank))).token;
    if (!theirs.empty()) text += " " + theirs;
  }
  const Path path = sign_of(rendezvous_.file, rendezvous_.rank);
  const Path draft = path.string() + ".draft";
  std::ofstream out(draft, std::ios::binary);
  out << text << '\n';
  out.close();
  std::error_code ignored;
  if (out) std::filesystem::rename(draft, path, ignored);
}

}  // namespace echelon
