// Layers that a pipeline rank holds in several runs, not next to each other in the model (FTPipe's mixed pipeline:
// Eliad et al., USENIX ATC 2021, section 4: a model cut into more stages than there are GPUs, any stage on any GPU).
//
// A schedule orders passes through chunks, and its layout says which chunk of which rank comes after which. Every run
// of layers takes the first place of its rank behind the place of the run before it; places that are left over stay
// empty, and no pass goes through them. What is left of an order that runs is an order that runs: a pass waits for the
// passes that its schedule lets it wait for through the empty places.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "strategies/pipeline/schedule.h"
#include "strategies/strategy.h"

namespace echelon {

// What is wrong with Strategy::rank_layers, and where.
struct RankLayersFault {
  std::optional<std::size_t> rank;  // that lists it; none where it is the list as a whole
  std::size_t item = 0;             // of that rank's list
  std::string wrong;
  std::string right;  // "... would do"
};

// For a model of so many layers: each layer exactly once, one layer at least on every rank, a schedule whose layout has
// a place for every run, and that does not choose the layout itself as the searched one does.
std::optional<RankLayersFault> rank_layers_fault(std::int64_t layers, const Strategy& strategy);

// Layers of every place of the layout, in the order of the model; 0 for one that stays empty. `strategy` has no fault.
std::vector<std::int64_t> layers_by_place(const Strategy& strategy);

// The fewest chunks a rank with which the layout has a place for every run. Layers that are listed twice or not at all
// do not matter. The layout is not bidirectional.
std::int64_t fewest_chunks(const Strategy& strategy, StageLayout layout);

}  // namespace echelon
