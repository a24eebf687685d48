// The `workload` mapping of a scenario: batch, sequence, number formats, optimizer.
//
//   workload: {sequence_length: 8192, global_batch: 16, precision: bf16, optimizer: adam}
#pragma once

#include <string_view>
#include <vector>

#include "sim/config/key_table.h"
#include "sim/model/workload.h"
#include "strategies/strategy.h"

namespace echelon {

const std::vector<Key<Workload>>& workload_keys();

// The number formats that a name stands for. fp32 and tf32 keep everything in four bytes; fp16 accumulates and reduces
// gradients in fp16, bf16 in fp32; fp8, mxfp8 and nvfp4 are bf16 with linear layers in that format.
Precision precision_of(DataType name);

// How a framework keeps parameters and optimizer states unless told otherwise.
OptimizerVariant default_variant(FrameworkKind framework);

// What a sample is: a sequence of tokens, or one whose shape the model gives (graph models), which counts as one token.
enum class SampleTokens { sequence, one };

// Reads the mapping; `framework` gives the default of optimizer.variant. Throws InputError.
Workload workload_from_yaml(const Value& value, FrameworkKind framework, SampleTokens sample = SampleTokens::sequence);

}  // namespace echelon
