#include "calibrate/gpu/device_layer.h"

namespace echelon {

std::string Benchmark::key() const {
  std::string text = family + "/" + operation + "/" + type + "/" + variant;
  for (const std::int64_t number : {m, n, k, batch, ranks, bytes, heads, kv_heads, ranks_per_node})
    text += "/" + std::to_string(number);
  return text;
}

}  // namespace echelon
