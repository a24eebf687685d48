#include "sim/config/strategy_keys.h"

#include <fmt/format.h>

#include <string>

#include "sim/config/strategy_config.h"
#include "strategies/placement/rank_layers.h"

namespace echelon {

namespace {

constexpr std::int64_t most_slice = 1'000'000'000;  // tokens

void read_slice_split(const Value& value, Strategy& strategy) {
  if (!value.is_scalar()) {
    for (const Value& item : value.items()) strategy.slice_lengths.push_back(item.integer(1, most_slice));
    return;
  }
  strategy.balances_slices = value.text() == "balanced";
  if (!strategy.balances_slices && value.text() != "even")
    value.fail(fmt::format("{} is '{}'", value.path(), value.text()),
               "expected even, balanced, or a list of lengths in tokens");
}

const StrategyKeys& slice_keys() {
  static const StrategyKeys keys = {
      integer_key<Strategy>("count", 1, most_degree, &Strategy::sequence_slices,
                            "of a sequence; where left out, as many as split has lengths"),
      {{"split", any_of({choice_type({"even", "balanced"}), list_type(integer_type(1, most_slice))}),
        "even; balanced: lengths by predicted time, so that a pipeline of them takes least; or lengths in tokens"},
       read_slice_split},
  };
  return keys;
}

// A number cuts evenly.
void read_sequence_slices(const Value& value, Strategy& strategy) {
  strategy.slice_lengths.clear();
  strategy.balances_slices = false;
  if (!value.is_mapping()) {
    strategy.sequence_slices = value.integer(1, most_degree);
    return;
  }
  read_keys(value, slice_keys(), strategy);
  const auto listed = static_cast<std::int64_t>(strategy.slice_lengths.size());
  if (listed == 0) return;
  if (value.find("count") && strategy.sequence_slices != listed)
    value.fail(fmt::format("{} has {} lengths for {} slices", value.path(), listed, strategy.sequence_slices),
               fmt::format("expected count: {}, or as many lengths", listed));
  strategy.sequence_slices = listed;
}

void read_stage_layers(const Value& value, Strategy& strategy) {
  strategy.balances_stages = value.is_scalar() && value.text() == "balanced";
  if (strategy.balances_stages) return;
  if (!value.is_sequence()) value.fail_kind("balanced, or the layers of every stage, such as [10, 12, 12, 10]");
  for (const Value& item : value.items()) strategy.stage_layers.push_back(item.integer(0, most_placed_layers));
}

// 7, or the first and the last of a run: 4-7.
void read_layer_run(const Value& value, std::vector<std::int64_t>& layers) {
  const std::string text = value.text();
  const std::size_t dash = text.find('-', 1);
  const auto number = [&](const std::string& part) {
    const bool digits = !part.empty() && part.size() <= 6 && part.find_first_not_of("0123456789") == std::string::npos;
    const std::int64_t layer = digits ? std::stoll(part) : most_placed_layers;
    if (layer >= most_placed_layers)
      value.fail(fmt::format("{} is '{}'", value.path(), text), "expected a layer, such as 7, or a run, such as 4-7");
    return layer;
  };
  const std::int64_t first = number(text.substr(0, dash));
  const std::int64_t last = dash == std::string::npos ? first : number(text.substr(dash + 1));
  if (last < first)
    value.fail(fmt::format("{} is '{}'", value.path(), text), fmt::format("expected {}-{}", last, first));
  for (std::int64_t layer = first; layer <= last; ++layer) layers.push_back(layer);
}

void read_rank_layers(const Value& value, Strategy& strategy) {
  strategy.rank_layers.clear();
  std::size_t listed = 0;
  for (const Value& rank : value.items()) {
    strategy.rank_layers.emplace_back();
    if (!rank.is_sequence())
      rank.fail_kind("the layers of a pipeline rank as a list, such as [0-7] of [[0-7], [8-15]]");
    for (const Value& run : rank.items()) {
      const std::size_t before = strategy.rank_layers.back().size();
      read_layer_run(run, strategy.rank_layers.back());
      listed += strategy.rank_layers.back().size() - before;
      if (listed > static_cast<std::size_t>(most_placed_layers))
        run.fail(fmt::format("{} lists more than {} layers", value.path(), most_placed_layers),
                 "expected each layer once");
    }
  }
  if (strategy.rank_layers.empty()) value.fail(value.path() + " is empty", "expected the layers of each pipeline rank");
}

// The rank's item of `rank_layers` that lists its `layer`-th layer.
Value layer_run(const Value& rank, std::size_t layer) {
  for (const Value& run : rank.items()) {
    std::vector<std::int64_t> layers;
    read_layer_run(run, layers);
    if (layer < layers.size()) return run;
    layer -= layers.size();
  }
  return rank;
}

}  // namespace

StrategyKeys pipeline_keys() {
  return {
      integer_key<Strategy>("micro_batch", 1, most_degree, &Strategy::micro_batch,
                            "sequences of one micro-batch of one data-parallel rank"),
      enum_key<ScheduleKind, Strategy>("schedule", &Strategy::schedule,
                                       "pipeline schedule; 1f1b, or interleaved where virtual_stages is over 1"),
      text_key<Strategy>("schedule_file", &Strategy::schedule_file,
                         "a schedule of your own in PyTorch's CSV grammar, instead of a named one"),
      integer_key<Strategy>("virtual_stages", 1, most_placed_layers, &Strategy::virtual_stages,
                            "chunks of layers on each pipeline rank, or copies of the model on it (dualpipe, chimera); "
                            "where left out, the fewest that the schedule takes"),
      integer_key<Strategy>("schedule_group", 0, most_degree, &Strategy::schedule_group,
                            "interleaved, interleaved_zb: micro-batches that walk through the chunks together; 0 = as "
                            "many as pipeline ranks"),
      number_key<Strategy>("schedule_activations", 0, 1e6, &Strategy::schedule_activations,
                           "searched: micro-batches whose activations a rank may keep; 0 = as 1F1B, one for each rank"),
      {{"sequence_slices", any_of({integer_type(1, most_degree), object_type_of(slice_keys())}),
        "seq1f1b, terapipe: parts of a sequence that go through the pipeline apart; a number, or how they are cut"},
       read_sequence_slices},
      enum_key<VocabularyParallel, Strategy>(
          "vocabulary_parallel", &Strategy::vocabulary_parallel,
          "embedding and output layer divided over all pipeline ranks, their passes between the stages' with two "
          "(vocab_1) or one (vocab_2) barriers, or all ranks at once (interlaced); none: on the first and last stage"),
      integer_key<Strategy>("first_stage_layers", 0, most_placed_layers, &Strategy::first_stage_layers,
                            "layers of the first pipeline stage; 0 = an even share"),
      integer_key<Strategy>("last_stage_layers", 0, most_placed_layers, &Strategy::last_stage_layers,
                            "layers of the last pipeline stage; 0 = an even share"),
      {{"stage_layers",
        any_of({choice_type({"balanced"}),
                fmt::format(R"({{"type":"array","items":{}}})", integer_type(0, most_placed_layers))}),
        "layers of every stage, in the order of the model; balanced: by predicted time, as far as they fit"},
       read_stage_layers},
      {{"rank_layers",
        list_type(list_type(
            any_of({integer_type(0, most_placed_layers), R"({"type":"string","pattern":"^[0-9]+-[0-9]+$"})"}))),
        "layers of every pipeline rank, from 0 and in any order, such as [[0-3, 8-11], [4-7]]: runs that are not "
        "next to each other lie in chunks of their own"},
       read_rank_layers},
  };
}

void check_rank_layers(const Value& value, std::int64_t layers, const Strategy& strategy) {
  const auto list = value.find("rank_layers");
  if (!list || !strategy.schedule_file.empty()) return;
  const auto fault = rank_layers_fault(layers, strategy);
  if (!fault) return;
  const Value place = fault->rank ? layer_run(list->items()[*fault->rank], fault->item) : *list;
  place.fail(fault->wrong, fault->right);
}

}  // namespace echelon
