// Measured fused attention -> AttentionCurve.
//
// Each direction is fitted alone: efficiencies at the head sizes that the samples hold, and the parameters of
// sim/cost/compute.h, by minimising Huber's loss of log(predicted / measured). A weak prior keeps parameters that the
// samples do not determine (few shapes, all of them large) at their starting values.
#pragma once

#include <span>
#include <string>

#include "sim/cost/compute.h"
#include "sim/hardware/device.h"

namespace echelon {

struct AttentionSample {
  AttentionWork work;
  AttentionPass pass = AttentionPass::forward;
  Seconds time;
};

struct AttentionPassFit {
  AttentionPassCurve curve;
  Provenance
      provenance;  // errors of held-out samples: groups of equal (sequence, heads, kv_heads, head size), any batch
  std::int64_t held_out = 0;
};

// Fits one direction of one implementation; samples of the other direction are ignored. Throws InputError naming
// `source` with fewer than 5 samples. With fewer than 30, errors are of the fit's own samples, for want of any to hold
// out, and the provenance says so.
AttentionPassFit fit_attention_pass(const Device& device, DataType type, std::span<const AttentionSample> samples,
                                    AttentionPass pass, const std::string& source);

}  // namespace echelon
