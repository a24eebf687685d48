// Draws a pipeline schedule and says what it costs, in plain units of time.
#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>

#include "sim/cli/command.h"
#include "sim/cli/number_in.h"
#include "sim/config/document.h"
#include "sim/interop/pipeline_csv.h"
#include "sim/report/gantt.h"
#include "strategies/pipeline/timing.h"
#include "strategies/pipeline/vocabulary.h"

namespace echelon {

namespace {

constexpr std::int64_t most_ranks_drawn = 4096;
constexpr std::int64_t most_micro_batches_drawn = 100'000;
constexpr std::int64_t most_passes_drawn = 10'000'000;
constexpr std::int64_t most_chunks_searched = 4;
constexpr std::size_t text_width = 160;

struct ScheduleOptions {
  std::string name;
  std::string file;
  std::int64_t ranks = 4;
  std::int64_t micro_batches = 8;
  std::int64_t chunks = 0;
  std::int64_t slices = 1;
  std::int64_t group = 0;
  std::string vocabulary = "none";
  std::vector<double> costs;
  double memory_limit = 0;
  std::string svg;
  std::string csv;
  bool communication = false;
  bool json = false;
};

std::vector<std::string> schedule_names() {
  std::vector<std::string> names;
  for (const auto& kind : enum_names<ScheduleKind>) names.emplace_back(kind.name);
  return names;
}

std::vector<std::string> vocabulary_names() {
  std::vector<std::string> names;
  for (const auto& method : enum_names<VocabularyParallel>) names.emplace_back(method.name);
  return names;
}

ScheduleKind kind_of(const std::string& name) {
  if (const auto kind = from_name<ScheduleKind>(name)) return *kind;
  const std::vector<std::string> names = schedule_names();
  const auto near = nearest(name, names);
  throw InputError(
      {"schedule"}, fmt::format("there is no schedule '{}'", name),
      (near ? fmt::format("did you mean '{}'? ", *near) : "") + fmt::format("one of: {}", fmt::join(names, ", ")));
}

ScheduleShape shape_of(const ScheduleOptions& options, ScheduleKind kind) {
  ScheduleShape shape;
  shape.ranks = options.ranks;
  shape.micro_batches = options.micro_batches;
  shape.chunks = options.chunks > 0 ? options.chunks : schedule_row(kind).least_chunks;
  shape.slices = options.slices;
  shape.group = options.group;
  return shape;
}

// A rank's whole share of the model takes the times given: one for each of F, I and W where none are.
ScheduleCosts costs_of(const ScheduleOptions& options, StageLayout layout, const ScheduleShape& shape) {
  const auto at = [&](std::size_t i, double other) { return i < options.costs.size() ? options.costs[i] : other; };
  const bool copies = layout == StageLayout::bidirectional;
  const double parts = static_cast<double>((copies ? 1 : shape.chunks) * shape.slices);
  ScheduleCosts costs;
  costs.stages = {{at(0, 1) / parts, at(1, 1) / parts, at(2, 1) / parts}};
  costs.communication = at(3, 0);
  const double output = at(4, at(0, 1) / 4);
  costs.output = {output, output, output};
  costs.memory_limit = options.memory_limit;
  return costs;
}

// Scenarios' keys as this command's options.
std::string with_options(std::string text) {
  struct Word {
    std::string_view key;
    std::string_view option;
  };
  for (const Word& word : {Word{"virtual_stages", "--chunks"}, Word{"pipeline_parallel", "--stages"},
                           Word{"vocabulary_parallel", "--vocabulary"}, Word{"schedule_group", "--group"}})
    for (std::size_t at = text.find(word.key); at != std::string::npos; at = text.find(word.key, at + 1))
      text.replace(at, word.key.size(), word.option);
  return text;
}

void refuse(const std::optional<std::string>& reason) {
  if (!reason) return;
  const std::size_t middle = reason->find("; ");
  throw InputError({"schedule"}, with_options(reason->substr(0, middle)), with_options(reason->substr(middle + 2)));
}

// Names of the schedules that read it.
std::string readers_of(ScheduleInput input) {
  std::vector<std::string_view> names;
  for (const auto& kind : enum_names<ScheduleKind>)
    if (schedule_row(kind.value).reads == input) names.push_back(kind.name);
  return fmt::format("{}", fmt::join(names, ", "));
}

// Options that a schedule would leave unread.
void refuse_idle(const ScheduleOptions& options, ScheduleKind kind) {
  struct Option {
    const char* name;
    bool given;
    ScheduleInput input;
  };
  for (const Option& option : {Option{"--slices", options.slices > 1, ScheduleInput::slices},
                               Option{"--group", options.group > 0, ScheduleInput::groups},
                               Option{"--memory-limit", options.memory_limit > 0, ScheduleInput::limit}})
    if (option.given && schedule_row(kind).reads != option.input)
      throw InputError({"schedule"}, fmt::format("{} does not read {}", options.name, option.name),
                       "it is for " + readers_of(option.input));
}

struct Timed {
  std::string title;
  Schedule schedule;
  ScheduleTiming timing;
};

Timed timed_file(const ScheduleOptions& options) {
  Schedule schedule = read_pipeline_csv(options.file);
  const ScheduleCosts costs = costs_of(options, schedule.layout, schedule.shape);
  ScheduleTiming timing = timing_of(schedule, costs);
  return {options.file, std::move(schedule), std::move(timing)};
}

// What is timed and drawn at once: 10^7 passes of 1F1B each way take 2.4 s of processor time and 1.8 GB.
void refuse_huge(const ScheduleShape& shape) {
  const std::int64_t others = shape.ranks * shape.chunks * shape.slices;
  if (others * shape.micro_batches <= most_passes_drawn) return;
  throw InputError({"schedule"},
                   fmt::format("{} stages of {} chunks, {} micro-batches of {} slices are more than {} passes each way",
                               shape.ranks, shape.chunks, shape.micro_batches, shape.slices, most_passes_drawn),
                   fmt::format("--micro-batches {} would do", most_passes_drawn / others));
}

Timed timed_shape(const ScheduleOptions& options, ScheduleKind kind, const ScheduleShape& shape) {
  refuse(chunk_refusal(kind, shape.chunks));
  refuse(rank_refusal(kind, shape));
  refuse(group_refusal(kind, shape));
  if (const std::int64_t fitting = fitting_micro_batches(kind, shape); fitting != shape.micro_batches)
    throw InputError(
        {"schedule"},
        fmt::format("{} cannot have {} micro-batches on {} stages", options.name, shape.micro_batches, shape.ranks),
        fmt::format("--micro-batches {} would do", fitting));
  const ScheduleCosts costs = costs_of(options, schedule_row(kind).layout, shape);
  const VocabularyParallel vocabulary = *from_name<VocabularyParallel>(options.vocabulary);
  refuse(vocabulary_refusal(vocabulary, kind, shape.ranks));
  Schedule schedule = vocabulary == VocabularyParallel::none
                          ? build_schedule(kind, shape, costs)
                          : build_vocabulary_schedule(vocabulary, kind, shape, costs);
  ScheduleTiming timing = timing_of(schedule, costs);
  return {fmt::format("{} ({})", options.name, schedule_row(kind).source), std::move(schedule), std::move(timing)};
}

// Chunk activations of one micro-batch on one rank.
double activations_of_micro_batch(const Schedule& schedule) {
  const bool copies = schedule.layout == StageLayout::bidirectional;
  return static_cast<double>((copies ? 1 : schedule.shape.chunks) * schedule.shape.slices);
}

// Micro-batches that the fullest rank keeps.
double most_kept(const Timed& timed) {
  return *std::max_element(timed.timing.peak.begin(), timed.timing.peak.end()) /
         activations_of_micro_batch(timed.schedule);
}

// The shortest of one to four chunks a rank, and of two as short the one that keeps less. All have a schedule within
// the limit, one micro-batch at least.
Timed timed_search(const ScheduleOptions& options, ScheduleShape shape) {
  constexpr double rounding = 1e-9;
  Timed best = timed_shape(options, ScheduleKind::searched, shape);
  for (shape.chunks = 2; shape.chunks <= most_chunks_searched && !is_large(shape); ++shape.chunks) {
    Timed other = timed_shape(options, ScheduleKind::searched, shape);
    const double gain = best.timing.makespan - other.timing.makespan;
    if (gain > rounding || (gain > -rounding && most_kept(other) < most_kept(best))) best = std::move(other);
  }
  return best;
}

Timed timed_name(const ScheduleOptions& options) {
  const ScheduleKind kind = kind_of(options.name);
  refuse_idle(options, kind);
  const ScheduleShape shape = shape_of(options, kind);
  refuse_huge(shape);
  const bool chooses_chunks = kind == ScheduleKind::searched && options.chunks == 0;
  return chooses_chunks ? timed_search(options, shape) : timed_shape(options, kind, shape);
}

constexpr std::size_t passes = 4;

std::size_t pass_index(Pass pass) {
  switch (pass) {
    case Pass::forward:
      return 0;
    case Pass::backward:
      return 1;
    case Pass::input_gradient:
      return 2;
    case Pass::weight_gradient:
      return 3;
  }
  return 0;
}

// The output layer's passes follow the layers'.
std::size_t kind_index(const Timed& timed, const Action& action) {
  if (action.part == ActionPart::layers) return pass_index(action.pass) + (action.chunk > 0 ? passes : 0);
  return passes * (timed.schedule.shape.chunks > 1 ? 2 : 1) + (action.pass == Pass::forward ? 0 : 1);
}

Gantt gantt_of(const Timed& timed) {
  Gantt gantt;
  gantt.kinds = {{'F', "forward"}, {'B', "backward"}, {'I', "input gradient"}, {'W', "weight gradient"}};
  if (timed.schedule.shape.chunks > 1)
    for (std::size_t i = 0; i < passes; ++i)
      gantt.kinds.push_back({static_cast<char>(gantt.kinds[i].letter + 'a' - 'A'), i == 0 ? "of later chunks" : ""});
  if (timed.schedule.vocabulary != VocabularyParallel::none)
    gantt.kinds.insert(gantt.kinds.end(), {{'S', "output layer forward"}, {'T', "output layer backward"}});
  for (std::size_t rank = 0; rank < timed.schedule.ranks.size(); ++rank) {
    GanttLine line{fmt::format("rank {}", rank), {}};
    const RankOrder& order = timed.schedule.ranks[rank];
    for (std::size_t i = 0; i < order.size(); ++i) {
      if (order[i].part == ActionPart::embedding) continue;  // takes no time
      ActionTime time = timed.timing.actions[rank][i];
      const double half = (time.end - time.start) / 2;  // a pair shares its time
      if (order[i].paired) time.end -= half;
      if (i > 0 && order[i - 1].paired) time.start += half;
      line.bars.push_back({time.start, time.end, std::to_string(order[i].micro_batch), kind_index(timed, order[i])});
    }
    gantt.lines.push_back(std::move(line));
  }
  return gantt;
}

nlohmann::ordered_json to_json(const Timed& timed) {
  const ScheduleShape& shape = timed.schedule.shape;
  nlohmann::ordered_json json = {{"schedule", timed.title},
                                 {"ranks", shape.ranks},
                                 {"micro_batches", shape.micro_batches},
                                 {"chunks", shape.chunks},
                                 {"makespan", timed.timing.makespan},
                                 {"span", timed.timing.span},
                                 {"bubble_of_makespan", timed.timing.bubble_of_makespan()},
                                 {"bubble_of_span", timed.timing.bubble_of_span()}};
  for (std::size_t rank = 0; rank < timed.schedule.ranks.size(); ++rank) {
    nlohmann::ordered_json actions = nlohmann::ordered_json::array();
    for (std::size_t i = 0; i < timed.schedule.ranks[rank].size(); ++i) {
      const ActionTime& time = timed.timing.actions[rank][i];
      actions.push_back(
          {{"action", action_text(timed.schedule, static_cast<std::int64_t>(rank), timed.schedule.ranks[rank][i])},
           {"start", time.start},
           {"end", time.end}});
    }
    json["by_rank"].push_back(
        {{"work", timed.timing.work[rank]},
         {"peak_activations", timed.timing.peak[rank] / activations_of_micro_batch(timed.schedule)},
         {"actions", std::move(actions)}});
  }
  return json;
}

void print_text(const Timed& timed) {
  const ScheduleShape& shape = timed.schedule.shape;
  const ScheduleTiming& timing = timed.timing;
  const auto plural = [](std::int64_t count) { return count == 1 ? "" : "s"; };
  fmt::print("{}\n  {} rank{}, {} micro-batch{}, {} chunk{} a rank\n\n", timed.title, shape.ranks, plural(shape.ranks),
             shape.micro_batches, shape.micro_batches == 1 ? "" : "es", shape.chunks, plural(shape.chunks));
  fmt::print("{}\n", gantt_text(gantt_of(timed), text_width, shows_color()));
  fmt::print("  makespan  {:<10.6g} first start to last end: the iteration, if all ranks wait for the optimizer step\n",
             timing.makespan);
  fmt::print("  span      {:<10.6g} the longest of one rank's own first start to last end\n", timing.span);
  fmt::print("  bubble    {:.2f} % of the makespan, {:.2f} % of the span\n\n", 100 * timing.bubble_of_makespan(),
             100 * timing.bubble_of_span());
  fmt::print("  {:<6}{:>10}{:>14}\n", "rank", "work", "peak");
  for (std::size_t rank = 0; rank < timing.work.size(); ++rank)
    fmt::print("  {:<6}{:>10.6g}{:>14.6g}{}\n", rank, timing.work[rank],
               timing.peak[rank] / activations_of_micro_batch(timed.schedule),
               rank == 0 ? "  micro-batches whose activations are alive" : "");
}

void write_csv(const ScheduleOptions& options, const Schedule& schedule) {
  write_file(options.csv,
             pipeline_csv(schedule, options.communication ? PipelineCsvForm::communication : PipelineCsvForm::compute));
  if (schedule.vocabulary != VocabularyParallel::none)
    fmt::print(stderr, "{}: E, G, S and T, of embedding and output layer, are no letters of PyTorch's grammar\n",
               options.csv);
  if (!schedule.evictions.empty())
    fmt::print(stderr,
               "{}: activations that ranks lend each other have no letter in PyTorch's grammar; the file is 1f1b\n",
               options.csv);
}

int run_schedule(const ScheduleOptions& options) {
  if (options.name.empty() && options.file.empty()) {
    for (const auto& kind : enum_names<ScheduleKind>)
      fmt::print("{:<16} {}\n", kind.name, schedule_row(kind.value).source);
    return 0;
  }
  if (options.costs.size() > 5)
    throw InputError({"--costs"}, fmt::format("{} numbers", options.costs.size()),
                     "expected at most F,I,W,communication,output");
  const Timed timed = options.file.empty() ? timed_name(options) : timed_file(options);
  if (!options.svg.empty()) write_file(options.svg, gantt_svg(gantt_of(timed), timed.title));
  if (!options.csv.empty()) write_csv(options, timed.schedule);
  if (options.json)
    fmt::print("{}\n", to_json(timed).dump(2));
  else
    print_text(timed);
  return 0;
}

}  // namespace

void write_file(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  if (!file.flush()) throw InputError({path}, "cannot be written", "name a file in a folder that exists");
}

void add_schedule_command(CLI::App& app, CommandBody& body) {
  auto options = std::make_shared<ScheduleOptions>();
  CLI::App* command = app.add_subcommand("schedule", "Draw a pipeline schedule, or list those that there are");
  auto* name = command->add_option("name", options->name, "A schedule's name");
  command->add_option("--file", options->file, "A schedule in PyTorch's CSV grammar instead")->excludes(name);
  // What describes a named schedule; a file says these itself.
  const auto shape = [&](CLI::Option* option) { return option->needs(name); };
  shape(command->add_option("--stages", options->ranks, "Pipeline ranks"))->check(integer_in(1, most_ranks_drawn));
  shape(command->add_option("--micro-batches", options->micro_batches, "Micro-batches of an iteration"))
      ->check(integer_in(1, most_micro_batches_drawn));
  shape(command->add_option(
            "--chunks", options->chunks,
            "Chunks of layers on each rank; where left out the fewest, and of searched up to 4, whichever ends first"))
      ->check(integer_in(1, 64));
  shape(
      command->add_option("--slices", options->slices, readers_of(ScheduleInput::slices) + ": slices of each sequence"))
      ->check(integer_in(1, 64));
  shape(
      command->add_option("--group", options->group,
                          readers_of(ScheduleInput::groups) + ": micro-batches that walk through the chunks together"))
      ->check(integer_in(1, most_micro_batches_drawn));
  shape(command->add_option("--vocabulary", options->vocabulary,
                            "1f1b, v_half, v_min: divide embedding and output layer over the ranks"))
      ->check(CLI::IsMember(vocabulary_names()));
  shape(command->add_option(
            "--memory-limit", options->memory_limit,
            readers_of(ScheduleInput::limit) + ": micro-batches whose activations a rank may keep, 1 at least"))
      ->check(number_in(1, 1e6));
  command
      ->add_option("--costs", options->costs,
                   "Times of a rank's layers: forward, input gradient, weight gradient, of a message, and of each "
                   "product of its share of a divided output layer: 1,1,1,0, and a quarter of the first")
      ->delimiter(',')
      ->check(number_in(0, 1e9));
  command->add_option("--svg", options->svg, "Draw it to this file");
  auto* csv = command->add_option("--csv", options->csv, "Write it in PyTorch's CSV grammar");
  command->add_flag("--communication", options->communication, "with --csv: sends and receives too")->needs(csv);
  command->add_flag("--json", options->json, "Print as JSON");
  command->footer("Example: echelon schedule zb_v --stages 4 --micro-batches 8 --costs 1,1.2,0.8,0.05 --svg zb_v.svg");
  command->callback([options, &body] { body = [options] { return run_schedule(*options); }; });
}

}  // namespace echelon
