// Measured fused attention -> AttentionCurve.
//
// Each direction is fitted alone: efficiencies at the head sizes that the samples hold, and the parameters of
// sim/cost/compute.h, by minimising Huber's loss of log(predicted / measured). A weak prior keeps parameters that the
// samples do not determine (few shapes, all of them large) at their starting values.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "calibrate/fit/held_out.h"
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
  Provenance provenance;  // errors of `held_out`
  std::vector<HeldOutShape> held_out;
};

// Fits one direction of one implementation; samples of the other direction are ignored. Groups of equal (sequence,
// heads, kv_heads, head size), whatever their batch, are held out whole: one in five from a single trial, or with
// fewer than 30 samples each in turn from a trial of its own, head sizes that one group alone has excepted. Where
// nothing can be held out, errors are of the fit's own samples, and the provenance says so. Throws InputError naming
// `source` with fewer than 5 samples.
AttentionPassFit fit_attention_pass(const Device& device, DataType type, std::span<const AttentionSample> samples,
                                    AttentionPass pass, const std::string& source);

}  // namespace echelon
