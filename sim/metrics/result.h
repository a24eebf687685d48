// The prediction for one scenario: the fields that other tools rely on (`run --json`).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/base/units.h"
#include "sim/engine/memory_ledger.h"
#include "sim/hardware/device.h"
#include "sim/metrics/breakdown.h"
#include "sim/metrics/local_round.h"
#include "sim/metrics/rank_replay.h"

namespace echelon {

// Peak memory of one pipeline rank.
struct StageMemory {
  Bytes peak;  // of the kind that the scenario asks for: allocated, reserved or device
  std::array<Bytes, memory_category_count> by_category{};
  Bytes device;    // all that the device must hold: what `fits` compares with
  Bytes capacity;  // of the rank's GPU; of GPUs of several types the smallest
};

struct MemoryResult {
  Bytes peak;                                              // of the worst rank, the fullest for its capacity
  std::array<Bytes, memory_category_count> by_category{};  // of that rank
  std::vector<StageMemory> per_stage;
  Bytes capacity;       // of that rank's GPU
  Bytes host;           // that offload needs on a node, as if all its ranks were the one that fills the most
  Bytes host_capacity;  // of a node; 0 = not known
  bool fits = true;     // on the device and on the host
};

// One line of the operator table: where the time of a layer comes from.
struct OperatorLine {
  std::string block;
  std::string name;
  Seconds forward;
  Seconds backward;
  double times = 0;  // layers of this kind on the critical rank x micro-batches
  Ground ground = Ground::datasheet;
};

struct Result {
  Seconds iteration;  // of several runs the median
  Seconds iteration_low;
  Seconds iteration_high;
  double tokens = 0;  // of one iteration
  double samples = 0;
  std::int64_t gpus = 0;
  Flops model_flops;     // of one iteration over all ranks
  Flops executed_flops;  // recomputed ones too; attention as in model_flops, also what kernels skip of it
  FlopRate peak;         // dense, of one GPU, in the compute type; of GPUs of several types the mean
  double bubble_fraction = 0;
  Breakdown breakdown;
  std::size_t critical_stage = 0;
  MemoryResult memory;
  Joules energy;                     // all accelerators at TDP: an upper bound
  std::optional<double> cost_usd;    // of one iteration; absent where the profile has no price
  std::array<double, 3> coverage{};  // share of device time by Ground
  std::vector<OperatorLine> operators;
  std::optional<RankReplay> ranks;  // full replay alone
  std::optional<Seconds> alone;     // the iteration with the network whole and without other jobs, if it is not so
  std::optional<LocalRound> round;  // of groups that train apart: `iteration` and `breakdown` are its mean
  std::vector<std::string> warnings;
  std::string profile;  // names of several joined by " + "
  std::vector<std::string> sources;
  std::string bottleneck;  // one sentence

  double tokens_per_second() const { return tokens / iteration.value(); }
  double tokens_per_second_per_gpu() const { return tokens_per_second() / static_cast<double>(gpus); }
  double samples_per_second() const { return samples / iteration.value(); }
  FlopRate model_rate_per_gpu() const {
    return FlopRate(model_flops.value() / iteration.value() / static_cast<double>(gpus));
  }
  FlopRate hardware_rate_per_gpu() const {
    return FlopRate(executed_flops.value() / iteration.value() / static_cast<double>(gpus));
  }
  double mfu() const { return model_rate_per_gpu() / peak; }
  double hfu() const { return hardware_rate_per_gpu() / peak; }
};

}  // namespace echelon
