// The variants of attention, for the plan, for CUDA and for the fit alike.
#pragma once

#include <string>
#include <string_view>

namespace echelon {

struct AttentionVariant {
  bool causal = false;
  bool backward = false;

  // "forward", "causal_backward"
  std::string name() const { return std::string(causal ? "causal_" : "") + (backward ? "backward" : "forward"); }
};

inline AttentionVariant attention_variant(std::string_view name) {
  return {name.find("causal_") == 0, name.find("backward") != std::string_view::npos};
}

}  // namespace echelon
