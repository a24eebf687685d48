#include "calibrate/gpu/device_layer.h"

namespace echelon {

std::string Benchmark::key() const {
  std::string text = family + "/" + operation + "/" + type + "/" + variant;
  for (const std::int64_t number : {m, n, k, batch, ranks, bytes}) text += "/" + std::to_string(number);
  return text;
}

}  // namespace echelon
