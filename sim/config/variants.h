// One document, several scenarios: lists of models, clusters, workloads and strategies beside the one that each
// extends.
//
//   strategy: {framework: megatron, tensor_parallel: 8}
//   strategies:
//     plain: {}
//     distributed optimizer: {sharding: zero1}     # the keys of `strategy`, then these
//
// Each combination of the lists is one scenario. Keys of a variant replace those of the section as wholes.
#pragma once

#include <string>
#include <vector>

#include "sim/config/document.h"

namespace echelon {

struct Variant {
  std::string name;  // of its parts, "dgx-b200, zero1"; empty where the document has no lists
  Value document;
};

// In the order of the document, the last list varying fastest. Throws InputError for an empty list, or one that gives
// more than `most` scenarios.
std::vector<Variant> variants_of(const Value& document, std::size_t most = 1000);

}  // namespace echelon
