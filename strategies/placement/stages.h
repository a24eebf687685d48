// Layers on pipeline stages.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "strategies/strategy.h"

namespace echelon {

// Why the layers cannot be laid on the stages, with the number that would do; nothing where they can.
std::optional<std::string> stage_refusal(std::int64_t layers, const Strategy& strategy);

// Number of layers of each stage, in order of the model (pipeline * virtual_stages stages). Even where it divides;
// else the first and last stages, which also hold the embedding and the head, get the fewer. 0 for a place that
// Strategy::rank_layers leaves empty.
std::vector<std::int64_t> layers_by_stage(std::int64_t layers, const Strategy& strategy);

// Consecutive layers on stages so that the costliest stage costs least (PipeDream's partitioning without replication,
// arXiv:1806.03377, section 3.1), and of those the evenest. `first` and `last`: what the ends cost beside their layers.
// At least one layer a stage.
std::vector<std::int64_t> balanced_layers(const std::vector<double>& costs, double first, double last,
                                          std::int64_t stages);

// What layers, and the ends beside them, cost on one kind of rank.
struct LayerCosts {
  std::vector<double> layers;
  double first = 0;
  double last = 0;
};
// The same for stages that lie on ranks of several kinds: of each stage the index of its costs, and the most layers
// that it may take (empty: any number). Empty where these are too few for all layers.
std::vector<std::int64_t> balanced_layers(const std::vector<LayerCosts>& kinds,
                                          const std::vector<std::int32_t>& kind_of_stage,
                                          const std::vector<std::int64_t>& most = {});

// nanotron's placement (build_model in nanotron/models/base.py): block after block, each stage takes the one with which
// the cost so far reaches its share of the whole, `head` the last block. (Its stored versions ask for more than the
// share. The runs of the playbook's table did not: their "Local Params" of rank 0, 940M on two stages and 604M on four,
// are ten and five of 16 layers where the shares are exactly ten and five.) A stage in the middle that would be left
// without takes a layer of the last one before it that has two.
std::vector<std::int64_t> layers_by_thresholds(const std::vector<double>& costs, double head, std::int64_t stages);

// Stages of one copy of the model.
std::int64_t stage_count(const Strategy& strategy);

}  // namespace echelon
