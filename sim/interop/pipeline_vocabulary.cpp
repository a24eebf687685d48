#include "sim/interop/pipeline_vocabulary.h"

#include <fmt/format.h>

#include <map>

namespace echelon::pipeline_cells {

namespace {

using Passes = std::vector<const Entry*>;

// Of the output layer (or the embedding) on one line.
Passes passes_of(const Line& line, ActionPart part) {
  Passes found;
  for (const Entry& entry : line)
    if (entry.part == part) found.push_back(&entry);
  return found;
}

void check_cells(const Line& line, std::int64_t rank, const Cells& cells) {
  for (std::size_t i = 0; i < line.size(); ++i) {
    const Entry& entry = line[i];
    if (entry.part == ActionPart::layers) continue;
    if (cells.vocabulary == VocabularyParallel::none)
      fail(entry, "is a pass of a divided vocabulary",
           "expected a line '# vocabulary_parallel: vocab_1' (or vocab_2, or interlaced) at the head of the file");
    if (entry.stage != rank)
      fail(entry, fmt::format("is on the line of rank {}", rank), fmt::format("expected the rank, {}, first", rank));
    if (entry.slice > 0) fail(entry, "names a slice", "expected a vocabulary's passes for whole sequences");
    if (entry.paired || (i > 0 && line[i - 1].paired))
      fail(entry, "is one of a pair", "expected a vocabulary's passes in cells of their own");
  }
}

// Forward once, then backward once, for each micro-batch.
void check_turns(const Passes& passes, std::int64_t rank, std::int64_t micro_batches, const std::string& file,
                 std::string_view letters) {
  std::map<std::int32_t, int> done;
  for (const Entry* entry : passes) {
    const int expected = entry->pass == Pass::forward ? 0 : 1;
    int& now = done[entry->micro_batch];
    if (now > expected) fail(*entry, "comes twice", "expected each pass of a rank and micro-batch once");
    if (now < expected)
      fail(*entry, "comes before what it needs", fmt::format("expected its {} before it", letters[0]));
    ++now;
  }
  for (std::int32_t j = 0; j < micro_batches; ++j)
    if (done[j] < 2)
      throw InputError({file}, fmt::format("lacks {} of rank {}, micro-batch {}", letters[done[j] > 0], rank, j),
                       "expected S, T, E and G of each rank and micro-batch where the vocabulary is divided");
}

void check_order(const Passes& first, const Passes& here) {
  for (std::size_t i = 0; i < here.size(); ++i)
    if (here[i]->pass != first[i]->pass || here[i]->micro_batch != first[i]->micro_batch)
      fail(*here[i], fmt::format("stands where rank 0 has '{}'", first[i]->text),
           "expected all ranks to make a vocabulary's passes in one order, for their collectives");
}

}  // namespace

void check_vocabulary(const Cells& cells, std::int64_t micro_batches, const std::string& file) {
  for (std::size_t rank = 0; rank < cells.lines.size(); ++rank)
    check_cells(cells.lines[rank], static_cast<std::int64_t>(rank), cells);
  if (cells.vocabulary == VocabularyParallel::none) return;
  struct Part {
    ActionPart part;
    std::string_view letters;
  };
  for (const Part& part : {Part{ActionPart::output, "ST"}, Part{ActionPart::embedding, "EG"}}) {
    const Passes first = passes_of(cells.lines.front(), part.part);
    for (std::size_t rank = 0; rank < cells.lines.size(); ++rank) {
      const Passes here = passes_of(cells.lines[rank], part.part);
      check_turns(here, static_cast<std::int64_t>(rank), micro_batches, file, part.letters);
      check_order(first, here);
    }
  }
}

}  // namespace echelon::pipeline_cells
