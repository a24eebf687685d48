#include "sim/interop/pipeline_messages.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <string>
#include <tuple>

namespace echelon::pipeline_cells {

namespace {

using Key = std::tuple<std::int64_t, std::int32_t, std::int32_t>;  // stage, micro-batch, slice

Key key_of(const Entry& entry) {
  return {entry.stage, entry.micro_batch, entry.slice};
}

bool is_message(const Entry& entry) {
  return entry.move != Move::pass && entry.move != Move::sharding;
}

bool sends(const Entry& entry) {
  return entry.move == Move::send_forward || entry.move == Move::send_backward;
}

// The stage at the other end.
std::int64_t other_stage(const Entry& entry) {
  return entry.stage + (sends(entry) == (entry.pass == Pass::forward) ? 1 : -1);
}

Move counterpart(const Entry& entry) {
  if (entry.pass == Pass::forward) return sends(entry) ? Move::receive_forward : Move::send_forward;
  return sends(entry) ? Move::receive_backward : Move::send_backward;
}

// What waits for what: passes of a rank for the passes and receives before them, messages for the passes before both
// ends and for the messages with the same rank before them. The two ends of a message are one node.
class Waits {
 public:
  Waits(const Cells& cells, const std::map<std::int64_t, std::size_t>& rank_of) : cells_(cells), rank_of_(rank_of) {
    for (std::size_t rank = 0; rank < cells.lines.size(); ++rank) add_rank(rank);
  }

  // Throws where some wait for themselves.
  void check() {
    std::vector<std::size_t> missing(nodes_.size());
    std::vector<std::vector<std::size_t>> waiting(nodes_.size());
    std::vector<std::size_t> ready;
    for (std::size_t node = 0; node < nodes_.size(); ++node) {
      missing[node] = nodes_[node].size();
      for (const Wait& wait : nodes_[node]) waiting[wait.node].push_back(node);
      if (missing[node] == 0) ready.push_back(node);
    }
    while (!ready.empty()) {
      const std::size_t done = ready.back();
      ready.pop_back();
      for (const std::size_t node : waiting[done])
        if (--missing[node] == 0) ready.push_back(node);
    }
    const auto blocked = std::find_if(missing.begin(), missing.end(), [](std::size_t count) { return count > 0; });
    if (blocked != missing.end()) refuse(static_cast<std::size_t>(blocked - missing.begin()), missing);
  }

 private:
  struct Wait {
    std::size_t node = 0;
    const Entry* behind = nullptr;  // the entry of that node,
    const Entry* entry = nullptr;   // and this node's, on one rank
    std::size_t rank = 0;
  };

  void add_rank(std::size_t rank) {
    std::optional<std::pair<std::size_t, const Entry*>> pass;
    std::map<std::size_t, std::pair<std::size_t, const Entry*>> message;  // the last one, by the rank at its other end
    std::map<std::pair<Key, Pass>, std::pair<std::size_t, const Entry*>> received;
    for (const Entry& entry : cells_.lines[rank]) {
      if (entry.move == Move::sharding) continue;
      const std::size_t node = node_of(entry);
      const auto wait_for = [&](const std::pair<std::size_t, const Entry*>& before) {
        if (before.first != node) nodes_[node].push_back({before.first, before.second, &entry, rank});
      };
      if (pass) wait_for(*pass);
      if (!is_message(entry)) {
        const Pass direction = entry.pass == Pass::input_gradient ? Pass::backward : entry.pass;
        if (const auto found = received.find({key_of(entry), direction}); found != received.end())
          wait_for(found->second);
        pass = {node, &entry};
        continue;
      }
      const auto [last, is_first] = message.try_emplace(rank_of_.at(other_stage(entry)), node, &entry);
      if (!is_first) wait_for(last->second);
      last->second = {node, &entry};
      if (!sends(entry)) received[{key_of(entry), entry.pass}] = {node, &entry};
    }
  }

  // A pass has one of its own, the ends of a message share theirs.
  std::size_t node_of(const Entry& entry) {
    if (!is_message(entry)) {
      nodes_.emplace_back();
      return nodes_.size() - 1;
    }
    Key sender = key_of(entry);
    if (!sends(entry)) std::get<0>(sender) = other_stage(entry);
    const auto [found, is_new] = messages_.try_emplace({sender, entry.pass}, nodes_.size());
    if (is_new) nodes_.emplace_back();
    return found->second;
  }

  // Each blocked node waits for another one that is blocked.
  [[noreturn]] void refuse(std::size_t node, const std::vector<std::size_t>& missing) const {
    std::vector<std::size_t> path;
    std::vector<const Wait*> waits;
    while (std::find(path.begin(), path.end(), node) == path.end()) {
      const auto blocked = std::find_if(nodes_[node].begin(), nodes_[node].end(),
                                        [&](const Wait& wait) { return missing[wait.node] > 0; });
      path.push_back(node);
      waits.push_back(&*blocked);
      node = blocked->node;
    }
    const auto first = std::find(path.begin(), path.end(), node) - path.begin();
    std::string chain;
    for (auto at = static_cast<std::size_t>(first); at < waits.size(); ++at)
      chain += fmt::format("{}{} behind {} on rank {}", chain.empty() ? "" : ", ", waits[at]->entry->text,
                           waits[at]->behind->text, waits[at]->rank);
    fail(*waits[static_cast<std::size_t>(first)]->entry, "waits for itself: " + chain,
         "expected the messages of two ranks in one order on both");
  }

  const Cells& cells_;
  const std::map<std::int64_t, std::size_t>& rank_of_;
  std::vector<std::vector<Wait>> nodes_;
  std::map<std::pair<Key, Pass>, std::size_t> messages_;  // by the sending stage
};

}  // namespace

void check_messages(const Cells& cells, const std::map<std::int64_t, std::size_t>& rank_of) {
  std::set<Key> done_forward;
  std::set<Key> done_backward;
  std::array<std::set<Key>, 4> messages;
  const auto of_kind = [&](Move move) -> std::set<Key>& { return messages[static_cast<std::size_t>(move) - 1]; };
  for (const Line& line : cells.lines)
    for (const Entry& entry : line) {
      if (entry.move == Move::sharding || entry.part != ActionPart::layers) continue;
      auto& done = entry.pass == Pass::forward ? done_forward : done_backward;
      if (entry.move == Move::pass) {
        done.insert(key_of(entry));
        continue;
      }
      const bool is_done = done.count(key_of(entry)) > 0;
      if (sends(entry) && !is_done) fail(entry, "sends what its stage has not made yet", "expected its pass before it");
      if (!sends(entry) && is_done)
        fail(entry, "receives what its stage has used already", "expected it before its pass");
      if (!of_kind(entry.move).insert(key_of(entry)).second) fail(entry, "comes twice", "expected each message once");
    }
  for (const Line& line : cells.lines)
    for (const Entry& entry : line) {
      if (!is_message(entry)) continue;
      Key other = key_of(entry);
      std::get<0>(other) = other_stage(entry);
      if (of_kind(counterpart(entry)).count(other) == 0 || rank_of.count(std::get<0>(other)) == 0)
        fail(entry, "has no other end",
             fmt::format("expected {}{}{} on another rank", std::get<0>(other), name_of_move(counterpart(entry)),
                         entry.micro_batch));
    }
}

void check_message_order(const Cells& cells, const std::map<std::int64_t, std::size_t>& rank_of) {
  const bool has_messages = std::any_of(cells.lines.begin(), cells.lines.end(), [](const Line& line) {
    return std::any_of(line.begin(), line.end(), is_message);
  });
  if (has_messages) Waits(cells, rank_of).check();
}

}  // namespace echelon::pipeline_cells
