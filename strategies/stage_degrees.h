// Pipeline stages that are not alike: tensor degrees of their own, GPUs of another type.
//
// Every stage has the same data and context ranks, and so the same samples in the same micro-batches; only the ranks
// that share a layer differ in number (Mesh::stage_tensor). Stages then lie one after another on the ranks, stage s on
// data * context * tensor(s) of them. Between stages of tensor degrees a and b activations are cut anew: every rank of
// the sending stage sends 1/a of the whole, every rank of the receiving stage gets 1/b of it and, unless it is its
// shard of the sequence that it needs, gathers the whole from its tensor group.
#pragma once

#include <optional>
#include <string>

#include "strategies/lower.h"

namespace echelon {

// Why such stages cannot be, with what would do; nothing where they can or are all alike.
std::optional<std::string> unlike_stages_refusal(const Strategy& strategy, const Placement& placement);

}  // namespace echelon
