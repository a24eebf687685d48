// Keys of a strategy that say something nobody reads beside its other keys: told rather than refused, so that they may
// be axes of sweeps.
#pragma once

#include <string>
#include <vector>

#include "sim/model/model.h"
#include "strategies/strategy.h"

namespace echelon {

// A sentence for each key that differs from its default and changes nothing: "strategy.shard_ranks is read with
// sharding: hybrid alone". The strategy is one that lower() takes.
std::vector<std::string> unread_keys(const Model& model, const Strategy& strategy);

}  // namespace echelon
