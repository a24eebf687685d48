#include "calibrate/gpu/rendezvous.h"

#include <fstream>
#include <map>
#include <random>
#include <sstream>
#include <stdexcept>
#include <thread>

namespace echelon {
namespace {

using Clock = std::chrono::steady_clock;
using Path = std::filesystem::path;

constexpr std::chrono::milliseconds pause{50};  // between looks; kind to a network's file system

Path card_of(const Path& file, int rank) {
  return file.string() + "." + std::to_string(rank);
}

std::string random_token() {
  std::random_device device;
  std::ostringstream text;
  for (int i = 0; i < 4; ++i) text << std::hex << device();
  return text.str();
}

// Whole or not at all: readers never see a part.
void write_whole(const Path& path, const std::string& text) {
  const Path draft = path.string() + ".draft";
  std::ofstream out(draft, std::ios::binary);
  out << text;
  out.close();
  std::error_code error;
  if (out) std::filesystem::rename(draft, path, error);
  if (!out || error) throw std::runtime_error("rendezvous: " + path.string() + " cannot be written");
}

std::string read_words(const Path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

// A card says the process's token and its GPUs.
struct Card {
  std::string token;
  int gpus = 0;
};

// The cards of processes 1 and up, waited for.
std::map<int, Card> collect(const Rendezvous& meeting, Clock::time_point latest) {
  std::map<int, Card> cards;
  for (int rank = 1; rank < meeting.ranks;) {
    std::istringstream words(read_words(card_of(meeting.file, rank)));
    Card card;
    if (words >> card.token >> card.gpus) {
      if (card.gpus != meeting.gpus)
        throw std::runtime_error("rendezvous: process " + std::to_string(rank) + " has " + std::to_string(card.gpus) +
                                 " GPUs and process 0 has " + std::to_string(meeting.gpus) + "; all must have as many");
      cards[rank++] = card;
    } else if (Clock::now() > latest) {
      throw std::runtime_error("rendezvous: process " + std::to_string(rank) + " of " + std::to_string(meeting.ranks) +
                               " did not come to " + meeting.file.string());
    } else {
      std::this_thread::sleep_for(pause);
    }
  }
  return cards;
}

std::string invite(const Rendezvous& meeting, const std::function<std::string()>& invitation) {
  std::error_code none;
  for (int rank = 1; rank < meeting.ranks; ++rank) std::filesystem::remove(card_of(meeting.file, rank), none);
  const std::map<int, Card> cards = collect(meeting, Clock::now() + meeting.patience);
  std::string text = invitation();
  std::string tokens;
  for (const auto& [rank, card] : cards) tokens += " " + card.token;
  write_whole(meeting.file, text + tokens + "\n");
  return text;
}

std::string wait_for_invitation(const Rendezvous& meeting) {
  const std::string token = random_token();
  const Path card = card_of(meeting.file, meeting.rank);
  const auto latest = Clock::now() + meeting.patience;
  write_whole(card, token + " " + std::to_string(meeting.gpus) + "\n");
  while (Clock::now() <= latest) {
    std::istringstream words(read_words(meeting.file));
    std::string text, word;
    words >> text;
    while (words >> word)
      if (word == token) {
        std::error_code none;
        std::filesystem::remove(card, none);
        return text;
      }
    if (!std::filesystem::exists(card)) write_whole(card, token + " " + std::to_string(meeting.gpus) + "\n");
    std::this_thread::sleep_for(pause);
  }
  throw std::runtime_error("rendezvous: process 0 of " + std::to_string(meeting.ranks) + " did not answer at " +
                           meeting.file.string());
}

}  // namespace

std::string meet(const Rendezvous& rendezvous, const std::function<std::string()>& invitation) {
  return rendezvous.rank == 0 ? invite(rendezvous, invitation) : wait_for_invitation(rendezvous);
}

}  // namespace echelon
