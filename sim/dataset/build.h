// A whole space into a folder: every point is predicted, then packed, then the manifest is written. Killed at any time
// and begun again, it goes on where it stopped.
#pragma once

#include <filesystem>
#include <string>

#include "sim/dataset/manifest.h"
#include "sim/sweep/sweep.h"

namespace echelon {

struct BuildOptions {
  std::string title;
  std::string licence;
  SweepOptions sweep;
};

// Where the points stand until they are packed; a sink of sim/sweep/sink.h.
std::filesystem::path unpacked_points(const std::filesystem::path& folder);

// Whether the folder holds all of this space already. Throws InputError where it holds another, or damaged files.
bool is_built(const SpaceDocument& document, const std::filesystem::path& folder);

// Predicts what the sink, of unpacked_points(), does not have yet, and finishes the data set. Throws InputError where
// the folder cannot be written, and as run_sweep() does.
Manifest build_dataset(const SpaceDocument& document, const Space& space, const std::filesystem::path& folder,
                       RowSink& sink, const BuildOptions& options);

// Removes what build_dataset() left in the folder.
void discard_dataset(const std::filesystem::path& folder);

}  // namespace echelon
