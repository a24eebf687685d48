#include "sim/interop/pipeline_csv.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <tuple>

#include "sim/interop/pipeline_cells.h"
#include "sim/interop/pipeline_messages.h"
#include "sim/interop/pipeline_vocabulary.h"
#include "sim/interop/text_file.h"
#include "strategies/pipeline/timing.h"

namespace echelon {

namespace {

using namespace pipeline_cells;

constexpr std::int64_t most_stages = 100'000;

// B for the input gradient, BW for both.
bool uses_older_letters(const std::vector<Line>& lines) {
  bool weights = false;
  bool inputs = false;
  for (const Line& line : lines)
    for (const Entry& entry : line) {
      if (entry.move != Move::pass) continue;
      if (entry.pass == Pass::backward && entry.text.find("BW") != std::string::npos) return true;
      weights |= entry.pass == Pass::weight_gradient;
      inputs |= entry.pass == Pass::input_gradient;
    }
  return weights && !inputs;
}

class Reader {
 public:
  Reader(Cells cells, const std::string& file) : cells_(std::move(cells)), lines_(cells_.lines), file_(file) {}

  Schedule read() {
    if (lines_.empty()) throw InputError({file_}, "has no line of actions", "expected a line for each rank");
    if (uses_older_letters(lines_))
      for (Line& line : lines_)
        for (Entry& entry : line)
          if (entry.move == Move::pass && entry.part == ActionPart::layers && entry.pass == Pass::backward &&
              entry.text.find("BW") == std::string::npos)
            entry.pass = Pass::input_gradient;
    find_stages();
    check_vocabulary(cells_, micro_batches_, file_);
    check_passes();
    check_messages(cells_, rank_of_);
    Schedule schedule = laid_out();
    check_message_order(cells_, rank_of_);
    return schedule;
  }

 private:
  using Key = std::tuple<std::int64_t, std::int32_t, std::int32_t>;  // stage, micro-batch, slice

  static Key key_of(const Entry& entry) { return {entry.stage, entry.micro_batch, entry.slice}; }

  void find_stages() {
    for (std::size_t rank = 0; rank < lines_.size(); ++rank)
      for (const Entry& entry : lines_[rank]) {
        if (entry.stage >= most_stages)
          fail(entry, "names too large a stage", fmt::format("expected 0 to {}", most_stages - 1));
        micro_batches_ = std::max<std::int64_t>(micro_batches_, entry.micro_batch + 1);
        if (entry.part != ActionPart::layers) continue;
        const auto [place, added] = rank_of_.emplace(entry.stage, rank);
        if (!added && place->second != rank)
          fail(entry, fmt::format("is on line {} of ranks, stage {} already on another", rank, entry.stage),
               fmt::format("expected each stage on one rank; rank {} has it", place->second));
        stages_ = std::max(stages_, entry.stage + 1);
        slices_ = std::max<std::int64_t>(slices_, entry.slice + 1);
      }
    if (stages_ == 0)
      throw InputError({file_}, "has no pass of a stage",
                       "expected F, and B or I and W, of each stage and micro-batch");
    if (stages_ % std::ssize(lines_) != 0)
      throw InputError({file_}, fmt::format("has {} stages on {} ranks", stages_, lines_.size()),
                       "expected as many on each");
  }

  // Every stage sees each micro-batch forward once, then back once, W after I.
  void check_passes() {
    std::map<Key, int> state;  // 1 forward, 2 input gradient, 3 done
    for (const Line& line : lines_)
      for (const Entry& entry : line) {
        if (entry.move != Move::pass || entry.part != ActionPart::layers) continue;
        int& now = state[key_of(entry)];
        const int expected = entry.pass == Pass::forward ? 0 : entry.pass == Pass::weight_gradient ? 2 : 1;
        if (now > expected) fail(entry, "comes twice", "expected each pass of a stage and micro-batch once");
        if (now < expected)
          fail(entry, "comes before what it needs",
               entry.pass == Pass::weight_gradient ? "expected its input gradient (I) before it"
                                                   : "expected its forward (F) before it");
        now = entry.pass == Pass::forward ? 1 : entry.pass == Pass::input_gradient ? 2 : 3;
      }
    if (static_cast<double>(stages_) * static_cast<double>(micro_batches_ * slices_) >
        static_cast<double>(state.size()))
      throw InputError({file_},
                       fmt::format("has passes of {} stages and micro-batches, not of all {} x {} that it names",
                                   state.size(), stages_, micro_batches_ * slices_),
                       "expected F, and B or I and W, of each stage and micro-batch");
    for (std::int64_t stage = 0; stage < stages_; ++stage)
      for (std::int32_t j = 0; j < micro_batches_; ++j)
        for (std::int32_t slice = 0; slice < slices_; ++slice)
          if (const auto found = state.find({stage, j, slice}); found == state.end() || found->second != 3)
            throw InputError({file_},
                             fmt::format("lacks {} of stage {}, micro-batch {}", missing(found, state), stage, j),
                             "expected F, and B or I and W, of each stage and micro-batch");
  }

  static std::string_view missing(std::map<Key, int>::const_iterator found, const std::map<Key, int>& state) {
    if (found == state.end()) return "F";
    return found->second == 1 ? "B" : "W";
  }

  Schedule laid_out() const {
    std::optional<ScheduleDeadlock> blocked;
    Schedule found;
    for (const StageLayout layout : {StageLayout::loop, StageLayout::wave, StageLayout::bidirectional}) {
      ScheduleShape shape;
      shape.ranks = std::ssize(lines_);
      shape.chunks = stages_ / shape.ranks;
      shape.slices = slices_;
      const bool divided = cells_.vocabulary != VocabularyParallel::none;
      if (layout == StageLayout::bidirectional && divided) continue;
      if (layout == StageLayout::bidirectional && (shape.chunks % 2 == 1 || shape.ranks % shape.chunks != 0)) continue;
      shape.micro_batches = micro_batches_ * (layout == StageLayout::bidirectional ? shape.chunks : 1);
      if (!lies_so(layout, shape)) continue;
      Schedule schedule = with_layout(layout, shape);
      auto outcome = time_schedule(schedule, {});
      if (std::holds_alternative<ScheduleTiming>(outcome)) return schedule;
      if (blocked) continue;
      blocked = std::get<ScheduleDeadlock>(std::move(outcome));
      found = std::move(schedule);
    }
    if (!blocked)
      throw InputError({file_}, "lays its stages neither in a loop nor in a wave nor from both ends",
                       "expected stage s on rank s mod ranks, or forth and back over the ranks");
    throw InputError({file_}, "waits for itself: " + circle(found, *blocked), "expected an order that can run");
  }

  bool lies_so(StageLayout layout, const ScheduleShape& shape) const {
    return std::all_of(rank_of_.begin(), rank_of_.end(), [&](const auto& entry) {
      return place_of(layout, shape, entry.first).rank == static_cast<std::int64_t>(entry.second);
    });
  }

  Schedule with_layout(StageLayout layout, const ScheduleShape& shape) const {
    Schedule schedule{shape, layout, {}};
    schedule.vocabulary = cells_.vocabulary;
    for (const Line& line : lines_) {
      RankOrder order;
      for (const Entry& entry : line)
        if (entry.move == Move::pass) {
          const std::int64_t chunk =
              entry.part == ActionPart::layers ? place_of(layout, shape, entry.stage).chunk : std::int64_t{0};
          order.push_back(
              {entry.pass, static_cast<std::int32_t>(chunk), entry.micro_batch, entry.slice, entry.paired, entry.part});
        }
      schedule.ranks.push_back(std::move(order));
    }
    return schedule;
  }

  // Who waits for whom, and behind what that stands in its list.
  static std::string circle(const Schedule& schedule, const ScheduleDeadlock& deadlock) {
    const std::vector<BlockedAction>& cycle = deadlock.cycle;
    const auto text = [&](const BlockedAction& at, const Action& action) {
      return action_text(schedule, at.rank, action);
    };
    std::string chain = fmt::format("{} on rank {}", text(cycle.front(), cycle.front().action), cycle.front().rank);
    for (std::size_t i = 0; i < cycle.size(); ++i) {
      const BlockedAction& next = cycle[(i + 1) % cycle.size()];
      chain +=
          fmt::format("{} waits for {} on rank {}", i > 0 ? ", which" : "", text(next, cycle[i].awaited), next.rank);
      if (!(cycle[i].awaited == next.action)) chain += " behind " + text(next, next.action);
    }
    return chain;
  }

  Cells cells_;
  std::vector<Line>& lines_;  // by rank
  const std::string& file_;
  std::map<std::int64_t, std::size_t> rank_of_;  // by stage
  std::int64_t stages_ = 0;
  std::int64_t micro_batches_ = 0;
  std::int64_t slices_ = 1;
};

std::string_view letter(Pass pass) {
  switch (pass) {
    case Pass::forward:
      return "F";
    case Pass::backward:
      return "B";
    case Pass::input_gradient:
      return "I";
    case Pass::weight_gradient:
      return "W";
  }
  return "";
}

// Of a rank's share of output layer (S and T in arXiv:2411.05288) and embedding.
std::string_view vocabulary_letter(const Action& action) {
  const bool forward = action.pass == Pass::forward;
  if (action.part == ActionPart::output) return forward ? "S" : "T";
  return forward ? "E" : "G";
}

std::string slice_text(const Schedule& schedule, const Action& action) {
  return schedule.shape.slices > 1 ? fmt::format(".{}", action.slice) : "";
}

// The cells of all ranks. A message stands on both of its ranks when it is sent, so that the messages of two ranks have
// one order (sim/interop/pipeline_messages.h): passes are written in the order in which they end.
class Writer {
 public:
  explicit Writer(const Schedule& schedule) : schedule_(schedule), lines_(schedule.ranks.size()) {}

  std::string text() {
    for (const Place& place : in_order_of_ends()) write(place);
    std::string text;
    for (const std::string& line : lines_) text += line + "\n";
    return text;
  }

 private:
  struct Place {
    double end = 0;
    std::size_t rank = 0;
    std::size_t index = 0;

    auto operator<=>(const Place&) const = default;
  };

  // In plain units of time.
  std::vector<Place> in_order_of_ends() const {
    const ScheduleTiming timing = timing_of(schedule_, {});
    std::vector<Place> places;
    for (std::size_t rank = 0; rank < schedule_.ranks.size(); ++rank)
      for (std::size_t index = 0; index < schedule_.ranks[rank].size(); ++index)
        places.push_back({timing.actions[rank][index].end, rank, index});
    std::sort(places.begin(), places.end());
    return places;
  }

  // Both passes of a pair are written, and send, with its second.
  void write(const Place& place) {
    const RankOrder& order = schedule_.ranks[place.rank];
    const Action& action = order[place.index];
    if (action.paired) return;
    const bool pair = place.index > 0 && order[place.index - 1].paired;
    const auto rank = static_cast<std::int64_t>(place.rank);
    const std::string text = action_text(schedule_, rank, action);
    if (!pair) {
      cell(place.rank, text);
    } else {
      const Action& first = order[place.index - 1];
      cell(place.rank, fmt::format("({};{})OVERLAP_F_B", action_text(schedule_, rank, first), text));
      send(rank, first);
    }
    send(rank, action);
  }

  void cell(std::size_t rank, const std::string& text) { lines_[rank] += (lines_[rank].empty() ? "" : ",") + text; }

  void send(std::int64_t rank, const Action& action) {
    if (action.pass == Pass::weight_gradient || action.part != ActionPart::layers) return;
    const std::int64_t here = stage_of(schedule_.layout, schedule_.shape, rank, action.chunk);
    const bool forward = action.pass == Pass::forward;
    if (forward ? is_last_stage(schedule_.layout, schedule_.shape, here)
                : is_first_stage(schedule_.layout, schedule_.shape, here))
      return;
    const std::int64_t there = forward ? here + 1 : here - 1;
    const std::int64_t receiver = place_of(schedule_.layout, schedule_.shape, there).rank;
    if (receiver == rank) return;
    const std::string what = fmt::format("{}{}", action.micro_batch, slice_text(schedule_, action));
    cell(static_cast<std::size_t>(rank), fmt::format("{}{}{}", here, forward ? "SEND_F" : "SEND_B", what));
    cell(static_cast<std::size_t>(receiver), fmt::format("{}{}{}", there, forward ? "RECV_F" : "RECV_B", what));
  }

  const Schedule& schedule_;
  std::vector<std::string> lines_;  // by rank
};

// The passes of one rank alone.
std::string compute_line(const Schedule& schedule, std::int64_t rank) {
  const RankOrder& order = schedule.ranks[static_cast<std::size_t>(rank)];
  std::string line;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const std::string text = action_text(schedule, rank, order[i]);
    line += line.empty() ? "" : ",";
    line += order[i].paired ? fmt::format("({};{})OVERLAP_F_B", text, action_text(schedule, rank, order[i + 1])) : text;
    if (order[i].paired) ++i;
  }
  return line;
}

}  // namespace

Schedule parse_pipeline_csv(std::string_view text, const std::string& name) {
  return Reader(pipeline_cells::read_cells(text, name), name).read();
}

Schedule read_pipeline_csv(const std::filesystem::path& path) {
  return parse_pipeline_csv(read_text_file(path, "pipeline schedule (CSV)"), path.string());
}

std::string action_text(const Schedule& schedule, std::int64_t rank, const Action& action) {
  if (action.part != ActionPart::layers)
    return fmt::format("{}{}{}", rank, vocabulary_letter(action), action.micro_batch);
  const std::int64_t stage = stage_of(schedule.layout, schedule.shape, rank, action.chunk);
  return fmt::format("{}{}{}{}", stage, letter(action.pass), action.micro_batch, slice_text(schedule, action));
}

std::string pipeline_csv(const Schedule& schedule, PipelineCsvForm form) {
  std::string text;
  if (schedule.vocabulary != VocabularyParallel::none)
    text = fmt::format("# vocabulary_parallel: {}\n", name_of(schedule.vocabulary));
  if (form == PipelineCsvForm::communication) return text + Writer(schedule).text();
  for (std::int64_t rank = 0; rank < schedule.shape.ranks; ++rank) text += compute_line(schedule, rank) + "\n";
  return text;
}

}  // namespace echelon
