// The families of models that HuggingFace configs describe: one row of a table each. Private to the interop room.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sim/config/document.h"
#include "sim/model/transformer.h"

namespace echelon {

// The names of one field, the most usual first.
using HfNames = std::initializer_list<std::string_view>;

// A config with its fields by any of their names.
class HfConfig {
 public:
  explicit HfConfig(const Value& value) : value_(value) {}

  const Value& value() const { return value_; }
  // The first of the names that is there and not null.
  std::optional<Value> find(HfNames names) const;
  // Throws InputError "missing field 'hidden_size'" with the other names.
  Value at(HfNames names) const;
  // Integers from 1 (from 0 where a default is given) to `most`.
  std::int64_t size(HfNames names, std::int64_t most) const;
  std::int64_t size_or(HfNames names, std::int64_t otherwise, std::int64_t most) const;
  bool flag_or(HfNames names, bool otherwise) const;

 private:
  Value value_;
};

// Linear layers with biases.
struct HfBiases {
  bool qkv = false;
  bool out = false;
  bool mlp = false;
  bool head = false;
};

// What a family's modeling code fixes, and what reads the rest. Norms of type LayerNorm have biases in all of them.
struct HfFamily {
  std::string_view model_type;
  NormKind norm = NormKind::rms_norm;
  PositionKind positions = PositionKind::rotary;
  bool gated = true;
  bool tied = false;  // where the config does not say
  HfBiases biases;
  NormPlacement norm_placement = NormPlacement::before;
  QkNorm qk_norm = QkNorm::none;
  BlockOrder block_order = BlockOrder::sequential;
  void (*refine)(const HfConfig& config, TransformerSpec& spec) = nullptr;  // called when the common fields are read
};

std::span<const HfFamily> hf_families();

}  // namespace echelon
