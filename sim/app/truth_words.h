// What the free-text columns of a truth table mean: one table of (words, meaning) for each column.
//
// Text is compared in lower case; the first entry of a table whose words stand in the text wins, so the special stands
// before the general ("zero2" before "fsdp", "interleaving not stated" before "interleav"). A text that no entry knows
// is an Infeasible with the text in it; a blank text is "not stated", and whoever asks takes a default.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "sim/base/data_type.h"
#include "sim/base/error.h"
#include "strategies/strategy.h"

namespace echelon {

// A meaning, or nothing where the column is blank, or why the text cannot be simulated.
template <class T>
using Meaning = std::variant<std::monostate, T, Infeasible>;

// Lower-case ASCII.
std::string lower_case(std::string_view text);
// Whether `text` holds `words`, compared in lower case. `words` must be lower case.
bool mentions(std::string_view text, std::string_view words);

Meaning<bool> parse_switch(std::string_view text);  // seq_parallel
Meaning<Recompute> parse_recompute(std::string_view text);

struct ShardingWords {
  Sharding sharding = Sharding::none;
  bool fully_sharded = false;  // the text names FSDP
  std::optional<bool> overlap_gradient_reduce;
  std::optional<bool> overlap_parameter_gather;
};
Meaning<ShardingWords> parse_sharding(std::string_view text);

struct ScheduleWords {
  ScheduleKind kind = ScheduleKind::one_f_one_b;
  std::string_view approximation;  // what is left out of the named schedule; "" = nothing
  bool redistributes_layers =
      false;  // so that stages with embedding or loss have fewer (arXiv:2411.05288, section 6.1)
  VocabularyParallel vocabulary = VocabularyParallel::none;
};
Meaning<ScheduleWords> parse_schedule(std::string_view text);

// Number formats as a row spells them; what it leaves out is empty.
struct PrecisionWords {
  DataType compute = DataType::bf16;
  std::optional<DataType> matrix;  // fp8, mxfp8, nvfp4
  bool microscaled = false;        // MXFP8, or fp8 blocks where the device has no MX units
  bool rowwise_scaling = false;
  bool fp8_parameter_gather = false;
  std::optional<DataType> gradient;         // accumulation buffer
  std::optional<DataType> gradient_reduce;  // what data parallelism sends
};
Meaning<PrecisionWords> parse_precision(std::string_view text);

}  // namespace echelon
