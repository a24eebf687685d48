// The cells of a pipeline schedule's file (sim/interop/pipeline_csv.h), each with its place; nothing of what they mean
// together.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sim/base/error.h"
#include "strategies/pipeline/schedule.h"

namespace echelon::pipeline_cells {

constexpr std::int64_t most_micro_batches = 1'000'000;

enum class Move { pass, send_forward, receive_forward, send_backward, receive_backward, sharding };

// One action of a cell; a cell has two where they run together.
struct Entry {
  SourceLocation where;
  std::string text;
  Move move = Move::pass;
  Pass pass = Pass::forward;
  ActionPart part = ActionPart::layers;
  std::int64_t stage = 0;  // of the vocabulary's passes: the rank
  std::int32_t micro_batch = 0;
  std::int32_t slice = 0;
  bool paired = false;
};
using Line = std::vector<Entry>;

struct Cells {
  std::vector<Line> lines;
  VocabularyParallel vocabulary = VocabularyParallel::none;  // as a line "# vocabulary_parallel: vocab_1" says
};

// Throws InputError at a cell that is no action.
Cells read_cells(std::string_view text, const std::string& file);

// "RECV_F": the type's name.
std::string_view name_of_move(Move move);

// Throws InputError at the entry: "'0F3' wrong; right".
[[noreturn]] void fail(const Entry& entry, const std::string& wrong, const std::string& right);

}  // namespace echelon::pipeline_cells
